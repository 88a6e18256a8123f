/**
 * 01 Primitives. The one place where a public key must be canonical: the base key of a prekey message.
 *
 * Spec: spec/01-primitives.md §2.4.
 */
import { type Bytes, samePublicBytes } from '../bytes.js';
import { VerificationError } from '../errors.js';
import { type PrivateKey, type PublicKey, toPrivateKey } from '../types.js';

/**
 * Whether `key` is the canonical encoding of a point in the subgroup of prime order l.
 *
 * A multiplication by 5*l - 1 decides it. On that subgroup it is negation, which keeps u. 5*l - 1 is a
 * multiple of 8, so it removes every torsion part: what is not in the subgroup does not come back as
 * itself, and a point of low order becomes zero. On the twist nothing but zero comes back as itself
 * either. The result is written reduced, so an unreduced u or a set bit 255 does not come back as itself.
 * And 5*l - 1 has bit 254 set and bits 0 to 2 and 255 clear: it is a clamped private key, so the
 * ordinary X25519 of any library computes it. Proof: 01 §2.4.
 */
export function isCanonical(
  x25519: (secret: PrivateKey, theirs: PublicKey) => Bytes,
  key: PublicKey,
): boolean {
  try {
    return samePublicBytes(x25519(FIVE_ORDERS_LESS_ONE, key), key.subarray(1));
  } catch (error) {
    if (error instanceof VerificationError) return false;
    throw error;
  }
}

/** 5*l - 1 as 32 bytes little-endian, l = 2^252 + 27742317777372353535851937790883648493. */
const FIVE_ORDERS_LESS_ONE: PrivateKey = toPrivateKey(
  new Uint8Array([
    0xa0, 0x23, 0xcd, 0xd0, 0x83, 0xef, 0x5b, 0xb8, 0x2f, 0x10, 0xd6, 0x2e, 0x59, 0xe1, 0x5a, 0x68,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x50,
  ]),
);
