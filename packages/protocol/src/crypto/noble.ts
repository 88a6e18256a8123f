/**
 * 01 Primitives. The portable provider: noble's SHA-512, SHA-3 and AES, our curves, SHA-256 and ML-KEM,
 * no platform but randomness.
 *
 * Only files in crypto/ import @noble/*. Spec: spec/01-primitives.md.
 */
import { cbc } from '@noble/ciphers/aes.js';
import { sha512 } from '@noble/hashes/sha2.js';

import { type Bytes, concatBytes, copyBytes } from '../bytes.js';
import { VerificationError } from '../errors.js';
import { redacted } from '../secret.js';
import {
  CURVE_KEY_TYPE,
  type PrivateKey,
  type PublicKey,
  toPrivateKey,
  toPublicKey,
} from '../types.js';
import { isCanonical } from './canonical.js';
import { isAllZero } from './constant-time.js';
import { ed25519PublicKey, signEd25519, verifyEd25519 } from './ed25519.js';
import { kemFunctions, nobleSponge } from './kem.js';
import { expectLength, expectNotWiped } from './lengths.js';
import type { CryptoProvider } from './provider.js';
import { webRandomBytes } from './random.js';
import { hkdfSha256, hmacSha256, sha256 } from './sha256.js';
import { scalarMultiply, scalarMultiplyBase } from './x25519.js';
import { signXeddsa, verifyXeddsa } from './xeddsa.js';

function nobleSha512(...parts: readonly Uint8Array[]): Bytes {
  const hash = sha512.create();
  for (const part of parts) hash.update(part);
  return own(hash.digest());
}

/** Public key of a clamped private key. */
export function noblePublicKey(secret: PrivateKey): PublicKey {
  expectNotWiped(secret);
  return toPublicKey(concatBytes(TYPE_BYTE, scalarMultiplyBase(secret)));
}

/** X25519 with the check for an all-zero result. */
export function nobleX25519(secret: PrivateKey, theirs: PublicKey): Bytes {
  expectNotWiped(secret);
  const shared = scalarMultiply(secret, theirs.subarray(1));
  if (isAllZero(shared)) {
    throw new VerificationError('VERIFY_KEY_AGREEMENT', 'invalid key agreement');
  }
  return shared;
}

/** The portable provider. */
export const nobleProvider: CryptoProvider = {
  name: 'noble',
  randomBytes: webRandomBytes,

  sha256,
  sha512: nobleSha512,
  sha512Iterated(first, suffix, times) {
    let hash = first;
    for (let i = 0; i < times; i++) hash = nobleSha512(hash, suffix);
    return copyBytes(hash);
  },
  hmacSha256,
  hkdfSha256,

  x25519KeyPair() {
    const secret = clampedKey(webRandomBytes(32));
    return redacted({ public: noblePublicKey(secret), secret });
  },
  x25519PublicKey: noblePublicKey,
  x25519: nobleX25519,
  isCanonicalPublicKey: (key) => isCanonical(nobleX25519, key),

  xeddsaSign: (secret, random, ...parts) => signXeddsa(nobleSha512, secret, random, parts),
  xeddsaVerify: (key, signature, ...parts) => verifyXeddsa(nobleSha512, key, signature, parts),

  ed25519KeyPair() {
    const secret = webRandomBytes(32);
    return redacted({ public: ed25519PublicKey(nobleSha512, secret), secret });
  },
  ed25519Sign(secret, message) {
    expectLength(secret, 32, 'Ed25519 seed');
    return signEd25519(nobleSha512, secret, message);
  },
  ed25519Verify: (key, message, signature) => verifyEd25519(nobleSha512, key, message, signature),

  aesCbcEncrypt(key, iv, plaintext) {
    expectLength(key, 32, 'AES key');
    expectLength(iv, 16, 'AES IV');
    return own(cbc(key, iv).encrypt(plaintext));
  },
  aesCbcDecrypt(key, iv, ciphertext) {
    expectLength(key, 32, 'AES key');
    expectLength(iv, 16, 'AES IV');
    if (ciphertext.length === 0 || ciphertext.length % 16 !== 0) return undefined;
    try {
      return own(cbc(key, iv).decrypt(ciphertext));
    } catch {
      return undefined;
    }
  },

  ...kemFunctions(nobleSponge, webRandomBytes),
};

/** What `#provider` resolves to outside Node. */
export const provider: CryptoProvider = nobleProvider;

/** Clamp `random` in place, so that no unclamped copy stays behind, and take it over. */
export function clampedKey(random: Bytes): PrivateKey {
  random[0] = (random[0] as number) & 0xf8;
  random[31] = ((random[31] as number) & 0x7f) | 0x40;
  return toPrivateKey(random);
}

/** The array as it is when it has a buffer of its own, else a copy. */
function own(bytes: Uint8Array): Bytes {
  return bytes.byteLength === bytes.buffer.byteLength ? (bytes as Bytes) : copyBytes(bytes);
}

const TYPE_BYTE = new Uint8Array([CURVE_KEY_TYPE]);
