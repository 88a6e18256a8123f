/**
 * 01 Primitives. One strict meaning of "a valid Ed25519 signature", the same in every provider.
 *
 * RFC 8032 leaves room: cofactored or not, unreduced encodings, keys of low order. Here: `s` below l, key
 * canonical and not of low order, equation without cofactor. Spec: spec/01-primitives.md §3.5.
 */
import { type Bytes, concatBytes, copyBytes } from '../bytes.js';
import { wipe } from '../secret.js';
import { decodePoint, encodeBaseMultiple } from './edwards25519.js';
import { multiplyAddScalars, reduceScalar } from './scalar25519.js';
import { checkEquation, type Sha512 } from './xeddsa.js';

/** The public key, 32 bytes, of a 32-byte seed. RFC 8032 §5.1.5. */
export function ed25519PublicKey(sha512: Sha512, seed: Uint8Array): Bytes {
  const hash = expandSeed(sha512, seed);
  const key = encodeBaseMultiple(hash.subarray(0, 32));
  wipe(hash);
  return key;
}

/** Sign with a 32-byte seed, 64 bytes. RFC 8032 §5.1.6. */
export function signEd25519(sha512: Sha512, seed: Uint8Array, message: Uint8Array): Bytes {
  const hash = expandSeed(sha512, seed);
  const scalar = hash.subarray(0, 32);
  const key = encodeBaseMultiple(scalar);
  const nonceHash = sha512(hash.subarray(32), message);
  const r = reduceScalar(nonceHash);
  const commitment = encodeBaseMultiple(r);
  const h = reduceScalar(sha512(commitment, key, message));
  const signature = concatBytes(commitment, multiplyAddScalars(h, scalar, r));
  wipe(hash, nonceHash, r);
  return signature;
}

/** Scalar, clamped, and prefix. Secret. */
function expandSeed(sha512: Sha512, seed: Uint8Array): Bytes {
  const hash = sha512(seed);
  hash[0] = (hash[0] as number) & 0xf8;
  hash[31] = ((hash[31] as number) & 0x7f) | 0x40;
  return hash;
}

/** Whether 32 bytes are a canonical encoding with a y that no point of low order has. No curve arithmetic. */
export function isStrictEd25519Key(key: Uint8Array): boolean {
  if (key.length !== 32) return false;
  const top = (key[31] as number) & 0x7f;
  if (!below(key, top, P)) return false;
  return !LOW_ORDER_Y.some((y) => y.every((byte, i) => byte === (i === 31 ? top : key[i])));
}

/** Whether `scalar` (32 bytes little-endian) is below the group order. */
export function isReducedScalar(scalar: Uint8Array): boolean {
  return below(scalar, scalar[31] as number, ORDER);
}

/** Verify by the rules above with our point arithmetic. Never throws. */
export function verifyEd25519(
  sha512: Sha512,
  key: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (signature.length !== 64 || !isStrictEd25519Key(key)) return false;
  const scalar = copyBytes(signature.subarray(32));
  if (!isReducedScalar(scalar)) return false;
  const point = decodePoint(key);
  if (point === undefined) return false;
  const commitment = signature.subarray(0, 32);
  return checkEquation(sha512, { edwardsKey: key, point, commitment, scalar }, [message]);
}

/** Little-endian comparison of public values; `top` stands in for byte 31 of `value`. */
function below(value: Uint8Array, top: number, bound: Bytes): boolean {
  for (let i = 31; i >= 0; i--) {
    const a = i === 31 ? top : (value[i] as number);
    const b = bound[i] as number;
    if (a !== b) return a < b;
  }
  return false;
}

/** p = 2^255 - 19. */
const P_NUMBER = 2n ** 255n - 19n;
const P: Bytes = littleEndian(P_NUMBER);
/** l, the order of the base point. */
const ORDER: Bytes = littleEndian(2n ** 252n + 27742317777372353535851937790883648493n);

function littleEndian(value: bigint): Bytes {
  const out = new Uint8Array(32);
  for (let i = 0; i < 32; i++) out[i] = Number((value >> BigInt(8 * i)) & 0xffn);
  return out;
}

/** y of the eight points of low order: 1, -1, 0 and the two of order 8. */
const LOW_ORDER_Y: readonly Bytes[] = [
  1n,
  P_NUMBER - 1n,
  0n,
  2707385501144840649318225287225658788936804267575313519463743609750303402022n,
  55188659117513257062467267217118295137698188065244968500265048394206261417927n,
].map(littleEndian);
