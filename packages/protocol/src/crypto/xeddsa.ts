/**
 * 01 Primitives. XEdDSA: Ed25519-style signatures made and checked with Curve25519 (Montgomery) keys.
 *
 * The bit rules are those of compatible peers: the sign of the Edwards key travels in the top bit of the
 * signature, `s` is only required to be below 2^253, the equation is checked without cofactor. A general
 * Ed25519 `verify` decides differently at each of these points, so none is used here.
 *
 * The arithmetic is that of edwards25519.ts and scalar25519.ts: no branch or index depends on a secret, but a
 * JavaScript engine promises no timing. Spec: spec/01-primitives.md §3.
 */
import { type Bytes, concatBytes, copyBytes } from '../bytes.js';
import { wipe } from '../secret.js';
import type { PrivateKey, PublicKey } from '../types.js';
import { equalBytes } from './constant-time.js';
import {
  decodePoint,
  encodeBaseMultiple,
  encodeMultipleDifference,
  isZero,
  type Point,
} from './edwards25519.js';
import {
  add,
  decodeElement,
  encodeElement,
  invert,
  multiply,
  subtract,
  zeroElement,
} from './field25519.js';
import { expectLength, expectNotWiped } from './lengths.js';
import { multiplyAddScalars, reduceScalar } from './scalar25519.js';

/** SHA-512 of the parts joined. Each provider brings its own. */
export type Sha512 = (...parts: readonly Uint8Array[]) => Bytes;

/**
 * Sign the joined `parts`.
 *
 * @param random - 64 fresh bytes; the nonce stays unpredictable even if they are not, since the key and
 *   the message are hashed with them, but they are required.
 * @returns 64 bytes.
 * @throws UsageError `USAGE_LENGTH` when `random` is not 64 bytes, `USAGE_ARGUMENT` for a wiped key.
 *
 * Source: 01 §3.2. Vectors: sessions/xeddsa.json.
 */
export function signXeddsa(
  sha512: Sha512,
  secret: PrivateKey,
  random: Uint8Array,
  parts: readonly Uint8Array[],
): Bytes {
  expectNotWiped(secret);
  expectLength(random, 64, 'signature randomness');
  const edwardsKey = edwardsPublicKey(secret);
  const nonceHash = sha512(NONCE_PREFIX, secret, ...parts, random);
  const r = reduceScalar(nonceHash);
  const commitment = encodeBaseMultiple(r);
  const challengeHash = sha512(commitment, edwardsKey, ...parts);
  const h = reduceScalar(challengeHash);
  const signature = concatBytes(commitment, multiplyAddScalars(h, secret, r));
  wipe(nonceHash, r);
  // s is below 2^253, so bit 255 is free; it carries the sign that the Montgomery key has lost.
  signature[63] = ((signature[63] as number) & 0x7f) | ((edwardsKey[31] as number) & 0x80);
  return signature;
}

/**
 * enc(a*B), remembered by the array of the key: half the cost of a signature, and an identity key signs a
 * hundred prekeys in a row. Were it ever another key's, the signature would be invalid and no more: the nonce
 * depends on `secret` and on fresh randomness, so it never meets two challenges.
 */
function edwardsPublicKey(secret: PrivateKey): Uint8Array {
  const known = edwardsKeys.get(secret);
  if (known !== undefined) return known;
  const made = encodeBaseMultiple(secret);
  edwardsKeys.set(secret, made);
  return made;
}

const edwardsKeys = new WeakMap<PrivateKey, Uint8Array>();

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
  readonly edwardsKey: Uint8Array;
  /** The same key as a point. */
  readonly point: Point;
  /** R, 32 bytes as received. */
  readonly commitment: Uint8Array;
  /** s, 32 bytes little-endian with the sign bit removed; below 2^253. */
  readonly scalar: Uint8Array;
}

/** Steps 1 to 5 of verification; `undefined` when one of them already refuses. Source: 01 §3.3. */
function prepareVerification(
  key: PublicKey,
  signature: Uint8Array,
): PreparedVerification | undefined {
  if (!hasValidRange(signature)) return undefined;
  const top = signature[63] as number;
  const edwardsKey = toEdwards(key, top >> 7);
  const point = edwardsKey && decodePoint(edwardsKey);
  if (edwardsKey === undefined || point === undefined) return undefined;
  const scalar = copyBytes(signature.subarray(32, 64));
  scalar[31] = top & 0x7f;
  return { edwardsKey, point, commitment: signature.subarray(0, 32), scalar };
}

/** Whether a signature has 64 bytes and, without its sign bit, s below 2^253: the only test on s. */
export function hasValidRange(signature: Uint8Array): boolean {
  return signature.length === 64 && ((signature[63] as number) & 0x60) === 0;
}

/** Steps 6 and 7 of verification: `enc(s*B - h*A) = R`, byte for byte. Source: 01 §3.3. */
export function checkEquation(
  sha512: Sha512,
  prepared: PreparedVerification,
  parts: readonly Uint8Array[],
): boolean {
  const { edwardsKey, point, commitment, scalar } = prepared;
  // B has order l, so reducing s would not change s*B. The key may have a torsion part: h stays as it is.
  const h = reduceScalar(sha512(commitment, edwardsKey, ...parts));
  // Comparing encodings refuses every non-canonical R.
  return equalBytes(encodeMultipleDifference(scalar, h, point), commitment);
}

/**
 * The Edwards encoding for a Montgomery key and a sign of x, or `undefined` when u = -1 has none. Whether
 * it is the encoding of a point (it is not for keys on the twist) is left to `decodePoint`.
 *
 * Source: 01 §3.1.
 */
export function toEdwards(key: PublicKey, sign: number): Bytes | undefined {
  const [u, numerator, denominator] = [zeroElement(), zeroElement(), zeroElement()];
  decodeElement(u, key.subarray(1));
  add(denominator, u, ONE);
  if (isZero(denominator)) return undefined;
  const inverse = zeroElement();
  invert(inverse, denominator);
  subtract(numerator, u, ONE);
  multiply(numerator, numerator, inverse);
  const encoded = encodeElement(numerator);
  // u = 0 is the point (0, -1): x has no sign to ask for, and its encoding has sign bit 0.
  if (!isZero(u)) encoded[31] = (encoded[31] as number) | (sign << 7);
  return encoded;
}

/** 0xFE and 31 times 0xFF: no encoding of a point, so the nonce hash cannot meet the challenge hash. */
const NONCE_PREFIX: Bytes = new Uint8Array(32).fill(0xff);
NONCE_PREFIX[0] = 0xfe;

const ONE = zeroElement();
ONE[0] = 1;
