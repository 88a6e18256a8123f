/**
 * 01 Primitives. The provider for Node: node:crypto where it is faster, noble for the rest.
 *
 * Same results as noble.ts, byte for byte; test/unit/crypto-provider.test.ts runs on both. Where a runtime
 * lacks a function or a behaviour this file rests on, that function falls back to noble's.
 * Spec: spec/01-primitives.md §7.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPublicKey,
  diffieHellman,
  getHashes,
  hash as hashOnce,
  type KeyObject,
  randomBytes,
  sign,
  verify,
} from 'node:crypto';

import { type Bytes, concatBytes, copyBytes, fromHex, samePublicBytes } from '../bytes.js';
import { VerificationError } from '../errors.js';
import { redacted, wipe } from '../secret.js';
import {
  CURVE_KEY_TYPE,
  type PrivateKey,
  type PublicKey,
  toPrivateKey,
  toPublicKey,
} from '../types.js';
import { isCanonical } from './canonical.js';
import { isAllZero } from './constant-time.js';
import { isStrictEd25519Key } from './ed25519.js';
import { kemFunctions, nobleSponge } from './kem.js';
import { expectLength, expectNotWiped } from './lengths.js';
import type { Sponge } from './mlkem.js';
import { clampedKey, noblePublicKey, nobleProvider, nobleX25519 } from './noble.js';
import { importPublic, KeyCache, RecentKeys } from './node-keys.js';
import type { CryptoProvider } from './provider.js';
import { hkdfSha256, hmacSha256 } from './sha256.js';
import { hasValidRange, signXeddsa, toEdwards, verifyXeddsa } from './xeddsa.js';

/** Bytes of PRF for one noise polynomial. */
const NOISE_BYTES = 128;
/** Three blocks of SHAKE-128; a multiple of 3. */
const SHAKE128_FIRST_BYTES = 504;

/** Converted keys that are kept. Lower: more conversions, 20 us each. Higher: memory, about 1 kB each. */
const CONVERTED_KEYS_MAX = 512;

const x25519Keys = new KeyCache('X25519');
const ed25519Keys = new KeyCache('Ed25519');

function nodeRandomBytes(length: number): Bytes {
  return plain(randomBytes(length));
}

/** Up to here joining the parts takes less time than an object that is updated with each. */
const SHORT_HASH_BYTES = 1024;

function hasher(algorithm: string): (...parts: readonly Uint8Array[]) => Bytes {
  return (...parts) => {
    let length = 0;
    for (const part of parts) length += part.length;
    if (length <= SHORT_HASH_BYTES) {
      const input = concatBytes(...parts);
      const digest = plain(hashOnce(algorithm, input, 'buffer'));
      wipe(input);
      return digest;
    }
    const hash = createHash(algorithm);
    for (const part of parts) hash.update(part);
    return plain(hash.digest());
  };
}

const nodeSha512 = hasher('sha512');

/**
 * One call a round, and the digest as a string of bytes: setting up an object and a `Buffer` takes longer
 * than the hash. A string cannot be wiped, hence for public values only.
 */
function nodeSha512Iterated(first: Uint8Array, suffix: Uint8Array, times: number): Bytes {
  const input = Buffer.from(concatBytes(first, suffix).buffer);
  for (let i = 0; i < times; i++) input.write(hashOnce('sha512', input, 'binary'), 0, 64, 'binary');
  return copyBytes(input.subarray(0, 64));
}

function nodeHmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Bytes {
  let length = key.length;
  for (const part of parts) length += part.length;
  if (length <= SHORT_HMAC_BYTES) return hmacSha256(key, ...parts);
  const mac = createHmac('sha256', key);
  for (const part of parts) mac.update(part);
  return plain(mac.digest());
}

function nodePublicKey(secret: PrivateKey): PublicKey {
  expectNotWiped(secret);
  if (!nativeCurves()) return noblePublicKey(secret);
  return withType(x25519Keys.derive(secret));
}

function nodeX25519(secret: PrivateKey, theirs: PublicKey): Bytes {
  expectNotWiped(secret);
  if (!nativeCurves()) return nobleX25519(secret, theirs);
  return agree(secret, theirs);
}

function agree(secret: PrivateKey, theirs: PublicKey): Bytes {
  const privateKey = x25519Keys.privateKey(secret);
  const publicKey = x25519Keys.publicKey(theirs, theirs.subarray(1));
  let shared: Bytes;
  try {
    shared = plain(diffieHellman({ privateKey, publicKey }));
  } catch (cause) {
    // OpenSSL refuses an all-zero result with an error that has no code of its own.
    throw new VerificationError('VERIFY_KEY_AGREEMENT', 'invalid key agreement', { cause });
  }
  if (isAllZero(shared)) {
    throw new VerificationError('VERIFY_KEY_AGREEMENT', 'invalid key agreement');
  }
  return shared;
}

/** Up to here setting up OpenSSL's HMAC takes longer than hashing here. */
const SHORT_HMAC_BYTES = 128;

/** Edwards KeyObjects of Montgomery keys and a sign, by their bytes: senders and peers write often. */
const converted = new RecentKeys(CONVERTED_KEYS_MAX);

function edwardsKeyObject(key: PublicKey, sign: 0 | 1): KeyObject | undefined {
  return converted.get(key, sign, () => {
    const encoded = toEdwards(key, sign);
    return encoded && importPublic('Ed25519', encoded);
  });
}

/**
 * XEdDSA verification that asks OpenSSL first. Its yes is a yes: it hashes the same bytes, demands the same
 * equation without cofactor, and is stricter only about s (below l, where peers allow 2^253). So only a no
 * goes on to the exact rules. Proof: 01 §3.4; the property test tries s + l, torsion and low order.
 */
function nodeVerifyXeddsa(
  key: PublicKey,
  signature: Uint8Array,
  parts: readonly Uint8Array[],
): boolean {
  if (!hasValidRange(signature)) return false;
  if (nativeCurves()) {
    const edwardsKey = edwardsKeyObject(key, ((signature[63] as number) >> 7) as 0 | 1);
    // u = -1 has no Edwards form.
    if (edwardsKey === undefined) return false;
    const plainSignature = copyBytes(signature);
    plainSignature[63] = (plainSignature[63] as number) & 0x7f;
    if (verify(null, joined(parts), edwardsKey, plainSignature)) return true;
  }
  return verifyXeddsa(nodeSha512, key, signature, parts);
}

/** The provider for Node. */
export const nodeProvider: CryptoProvider = {
  name: 'node',
  randomBytes: nodeRandomBytes,

  sha256: hasher('sha256'),
  sha512: nodeSha512,
  sha512Iterated: nodeSha512Iterated,
  hmacSha256: nodeHmac,
  hkdfSha256,

  x25519KeyPair() {
    if (!nativeCurves()) return nobleProvider.x25519KeyPair();
    const secret = clampedKey(nodeRandomBytes(32));
    return redacted({ public: nodePublicKey(secret), secret });
  },
  x25519PublicKey: nodePublicKey,
  x25519: nodeX25519,
  isCanonicalPublicKey: (key) => isCanonical(nodeX25519, key),

  xeddsaSign: (secret, random, ...parts) => signXeddsa(nodeSha512, secret, random, parts),
  xeddsaVerify: (key, signature, ...parts) => nodeVerifyXeddsa(key, signature, parts),

  ed25519KeyPair() {
    if (!nativeCurves()) return nobleProvider.ed25519KeyPair();
    const secret = nodeRandomBytes(32);
    return redacted({ public: ed25519Keys.derive(secret), secret });
  },
  ed25519Sign(secret, message) {
    expectLength(secret, 32, 'Ed25519 seed');
    if (!nativeCurves()) return nobleProvider.ed25519Sign(secret, message);
    return plain(sign(null, message, ed25519Keys.privateKey(secret)));
  },
  ed25519Verify(key, message, signature) {
    if (!nativeCurves()) return nobleProvider.ed25519Verify(key, message, signature);
    if (signature.length !== 64 || !isStrictEd25519Key(key)) return false;
    return verify(null, message, ed25519Keys.publicKey(key, key), signature);
  },

  aesCbcEncrypt(key, iv, plaintext) {
    expectLength(key, 32, 'AES key');
    expectLength(iv, 16, 'AES IV');
    const cipher = createCipheriv('aes-256-cbc', key, iv);
    return concatBytes(cipher.update(plaintext), cipher.final());
  },
  aesCbcDecrypt(key, iv, ciphertext) {
    expectLength(key, 32, 'AES key');
    expectLength(iv, 16, 'AES IV');
    if (ciphertext.length === 0 || ciphertext.length % 16 !== 0) return undefined;
    const decipher = createDecipheriv('aes-256-cbc', key, iv);
    const head = decipher.update(ciphertext);
    try {
      const tail = decipher.final();
      const plaintext = concatBytes(head, tail);
      wipe(tail);
      return plaintext;
    } catch {
      return undefined;
    } finally {
      wipe(head);
    }
  },

  ...kemFunctions(nodeSponge(), nodeRandomBytes),
};

/** What `#provider` resolves to in Node. */
export const provider: CryptoProvider = nodeProvider;

/** Native Keccak when this build of Node has it (one without OpenSSL may not), else noble's. */
function nodeSponge(): Sponge {
  const known = new Set(getHashes());
  if (!['sha3-256', 'sha3-512', 'shake128', 'shake256'].every((name) => known.has(name))) {
    return nobleSponge;
  }
  // A copy of a fresh hash is cheaper than a fresh hash: a KEM operation needs some thirty.
  const noiseOptions = { outputLength: NOISE_BYTES };
  const noise = createHash('shake256', noiseOptions);
  const matrixOptions = { outputLength: SHAKE128_FIRST_BYTES };
  const matrix = createHash('shake128', matrixOptions);
  return {
    sha3_256: hasher('sha3-256'),
    sha3_512: hasher('sha3-512'),
    shake256(length, ...parts) {
      const hash =
        length === NOISE_BYTES
          ? noise.copy(noiseOptions)
          : createHash('shake256', { outputLength: length });
      for (const part of parts) hash.update(part);
      return plain(hash.digest());
    },
    shake128(seed) {
      // Three blocks are enough for 99 of 100 polynomials. There is no way to ask for more of the same
      // stream here, so the rare case starts again with twice as much; the seed is public.
      let done = 0;
      return () => {
        if (done === 0) {
          done = SHAKE128_FIRST_BYTES;
          return matrix.copy(matrixOptions).update(seed).digest();
        }
        const longer = createHash('shake128', { outputLength: 2 * done })
          .update(seed)
          .digest();
        const rest = longer.subarray(done);
        done *= 2;
        return rest;
      };
    },
  };
}

/** X25519 of 32 bytes 0x48 with the base point and with the result; RFC 8032 §7.1, test 1. */
const KNOWN_ANSWERS: Readonly<Record<'publicKey' | 'shared' | 'seed' | 'signature', Bytes>> = {
  publicKey: known('9177b23278cbf0f3d17c36f2acc9b55e9c85f87b220a5386ec370d663e20e337'),
  shared: known('e469e83946726e527d5318ceec2f6a70b4c6192938195706b11b1ec06882e07a'),
  seed: known('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60'),
  signature: known(
    'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  ),
};

function known(hex: string): Bytes {
  return fromHex(hex) ?? new Uint8Array(0);
}

let nativeCurvesChecked: boolean | undefined;

/**
 * Whether node:crypto imports and derives keys as this file needs: a private JWK with a zero x must yield
 * the true public key. That is behaviour, not documentation, so known answers are compared once.
 */
export function nativeCurves(): boolean {
  nativeCurvesChecked ??= checkNativeCurves();
  return nativeCurvesChecked;
}

function checkNativeCurves(): boolean {
  const secret = toPrivateKey(new Uint8Array(32).fill(0x48));
  const { publicKey, shared, seed, signature } = KNOWN_ANSWERS;
  const message = new Uint8Array(0);
  try {
    const signingKey = ed25519Keys.privateKey(seed);
    return (
      samePublicBytes(x25519Keys.derive(secret), publicKey) &&
      samePublicBytes(agree(secret, withType(publicKey)), shared) &&
      samePublicBytes(sign(null, message, signingKey), signature) &&
      verify(null, message, createPublicKey(signingKey), signature)
    );
  } catch {
    return false;
  }
}

function withType(raw: Uint8Array): PublicKey {
  return toPublicKey(concatBytes(TYPE_BYTE, raw));
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : concatBytes(...parts);
}

/** The bytes of a `Buffer` as a plain array with a buffer of its own: a `Buffer`'s `slice` shares memory. */
function plain(buffer: Buffer): Bytes {
  if (buffer.byteLength === buffer.buffer.byteLength && buffer.buffer instanceof ArrayBuffer) {
    return new Uint8Array(buffer.buffer);
  }
  const out = copyBytes(buffer);
  wipe(buffer);
  return out;
}

const TYPE_BYTE = new Uint8Array([CURVE_KEY_TYPE]);
