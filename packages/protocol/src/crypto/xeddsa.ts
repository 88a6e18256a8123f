/**
 * 01 Primitives. XEdDSA: Ed25519-style signatures made and checked with Curve25519 (Montgomery) keys.
 *
 * The bit rules are those of compatible peers: the sign of the Edwards key travels in the top bit of the
 * signature, `s` is only required to be below 2^253, the equation is checked without cofactor. A general
 * Ed25519 `verify` decides differently at each of these points, so none is used here.
 *
 * The arithmetic is bigint arithmetic of noble-curves: algorithmically constant time where secret, but a
 * JavaScript engine promises no timing. Spec: spec/01-primitives.md §3.
 */
import { ed25519 } from '@noble/curves/ed25519.js';

import { type Bytes, concatBytes, copyBytes } from '../bytes.js';
import { UsageError } from '../errors.js';
import { wipe } from '../secret.js';
import type { PrivateKey, PublicKey } from '../types.js';
import { equalBytes } from './constant-time.js';

/** SHA-512 of the parts joined. Each provider brings its own. */
export type Sha512 = (...parts: readonly Uint8Array[]) => Bytes;

const Point = ed25519.Point;
const { Fp, Fn } = Point;

/**
 * Sign the joined `parts`.
 *
 * @param random - 64 fresh bytes; the nonce stays unpredictable even if they are not, since the key and
 *   the message are hashed with them, but they are required.
 * @returns 64 bytes.
 * @throws UsageError `USAGE_LENGTH` when `random` is not 64 bytes.
 *
 * Source: 01 §3.2. Vectors: sessions/xeddsa.json.
 */
export function signXeddsa(
  sha512: Sha512,
  secret: PrivateKey,
  random: Uint8Array,
  parts: readonly Uint8Array[],
): Bytes {
  if (random.length !== 64) {
    throw new UsageError(
      'USAGE_LENGTH',
      `signature randomness of ${random.length} bytes, expected 64`,
    );
  }
  const a = littleEndian(secret) % Fn.ORDER;
  const edwardsKey = Point.BASE.multiply(a).toBytes();
  const nonceHash = sha512(NONCE_PREFIX, secret, ...parts, random);
  const r = littleEndian(nonceHash) % Fn.ORDER;
  wipe(nonceHash);
  const commitment = Point.BASE.multiply(r).toBytes();
  const h = littleEndian(sha512(commitment, edwardsKey, ...parts)) % Fn.ORDER;
  const signature = concatBytes(commitment, Fn.toBytes(Fn.add(Fn.mul(h, a), r)));
  // s is below 2^253, so bit 255 is free; it carries the sign that the Montgomery key has lost.
  signature[63] = ((signature[63] as number) & 0x7f) | ((edwardsKey[31] as number) & 0x80);
  return signature;
}

/**
 * Whether `signature` over the joined `parts` is valid. Never throws.
 *
 * Source: 01 §3.3. Vectors: sessions/xeddsa.json.
 */
export function verifyXeddsa(
  sha512: Sha512,
  key: PublicKey,
  signature: Uint8Array,
  parts: readonly Uint8Array[],
): boolean {
  const prepared = prepareVerification(key, signature);
  return prepared !== undefined && checkEquation(sha512, prepared, parts);
}

/** A signature taken apart, with the Edwards form of the key it claims to be made with. */
export interface PreparedVerification {
  /** Encoding of the Edwards key, 32 bytes, sign bit included. */
  readonly edwardsKey: Bytes;
  /** R, 32 bytes as received. */
  readonly commitment: Bytes;
  /** s, 32 bytes little-endian with the sign bit removed; below 2^253. */
  readonly scalar: Bytes;
}

/** Steps 1 to 5 of verification; `undefined` when one of them already refuses. Source: 01 §3.3. */
export function prepareVerification(
  key: PublicKey,
  signature: Uint8Array,
): PreparedVerification | undefined {
  if (signature.length !== 64) return undefined;
  const top = signature[63] as number;
  // The only range test on s: below 2^253, after the sign bit is taken away. s + l passes, as with peers.
  if ((top & 0x60) !== 0) return undefined;
  const edwardsKey = toEdwards(key, top >> 7);
  if (edwardsKey === undefined) return undefined;
  const scalar = copyBytes(signature.subarray(32, 64));
  scalar[31] = top & 0x7f;
  return { edwardsKey, commitment: copyBytes(signature.subarray(0, 32)), scalar };
}

/** Steps 6 and 7 of verification: `enc(s*B - h*A) = R`, byte for byte. Source: 01 §3.3. */
export function checkEquation(
  sha512: Sha512,
  prepared: PreparedVerification,
  parts: readonly Uint8Array[],
): boolean {
  const { edwardsKey, commitment, scalar } = prepared;
  const h = littleEndian(sha512(commitment, edwardsKey, ...parts)) % Fn.ORDER;
  // B has order l, so reducing s does not change s*B. A may have a torsion part: h is used as it is.
  const s = littleEndian(scalar) % Fn.ORDER;
  const A = Point.fromBytes(edwardsKey, true);
  const expected = Point.BASE.multiplyUnsafe(s).subtract(A.multiplyUnsafe(h));
  // Comparing encodings refuses every non-canonical R.
  return equalBytes(expected.toBytes(), commitment);
}

/**
 * The Edwards encoding of a Montgomery key with the given sign of x, or `undefined` when there is none
 * (u = -1, or a point of the twist).
 *
 * Source: 01 §3.1.
 */
export function toEdwards(key: PublicKey, sign: number): Bytes | undefined {
  const masked = copyBytes(key.subarray(1));
  masked[31] = (masked[31] as number) & 0x7f;
  const u = littleEndian(masked) % Fp.ORDER;
  const denominator = Fp.add(u, Fp.ONE);
  if (Fp.is0(denominator)) return undefined;
  const encoded = copyBytes(Fp.toBytes(Fp.div(Fp.sub(u, Fp.ONE), denominator)));
  encoded[31] = (encoded[31] as number) | (sign << 7);
  try {
    // x = 0 (only u = 0): the sign request is ignored; re-encoding writes the sign x really has.
    return copyBytes(Point.fromBytes(encoded, true).toBytes());
  } catch {
    return undefined;
  }
}

function littleEndian(bytes: Uint8Array): bigint {
  let hex = '';
  for (let i = bytes.length - 1; i >= 0; i--) hex += HEX[bytes[i] as number];
  return BigInt(`0x${hex}`);
}

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'));

/** 0xFE and 31 times 0xFF: no encoding of a point, so the nonce hash cannot meet the challenge hash. */
const NONCE_PREFIX: Bytes = new Uint8Array(32).fill(0xff);
NONCE_PREFIX[0] = 0xfe;
