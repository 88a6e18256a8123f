/**
 * 13 Relay. The four functions a relay needs: hashes, Ed25519, and checking an XEdDSA signature.
 *
 * node:crypto where it has them. There is no cipher, no key agreement and no KEM in this package.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  randomBytes,
  timingSafeEqual,
  verify,
} from 'node:crypto';
import { type Bytes, copyBytes, verifyXeddsa } from '@qasid/protocol/envelope';

/** What the services take; a part of the protocol's `CryptoProvider`. */
export interface RelayCrypto {
  randomBytes(length: number): Bytes;
  sha256(...parts: readonly Uint8Array[]): Bytes;
  /** Whether two byte strings are equal, in a time that depends on their lengths alone. */
  equal(a: Uint8Array, b: Uint8Array): boolean;
  /** Never throws. */
  ed25519Verify(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  /** Never throws. `key` is 33 bytes. */
  xeddsaVerify(key: Uint8Array, signature: Uint8Array, ...parts: readonly Uint8Array[]): boolean;
}

function hash(algorithm: 'sha256' | 'sha512', parts: readonly Uint8Array[]): Bytes {
  const state = createHash(algorithm);
  for (const part of parts) state.update(part);
  return copyBytes(state.digest());
}

/** node:crypto. */
export const relayCrypto: RelayCrypto = {
  randomBytes: (length) => copyBytes(randomBytes(length)),
  sha256: (...parts) => hash('sha256', parts),
  equal: (a, b) => a.length === b.length && timingSafeEqual(a, b),
  ed25519Verify: (key, message, signature) => {
    try {
      return verify(null, message, importPublicKey(key), signature);
    } catch {
      // Not a point of the curve: a wrong key is a signature that does not verify.
      return false;
    }
  },
  xeddsaVerify: (key, signature, ...parts) =>
    verifyXeddsa(
      (...hashed) => hash('sha512', hashed),
      // Type and length were checked when the frame was decoded.
      key as Parameters<typeof verifyXeddsa>[1],
      signature,
      parts,
    ),
};

/** The public key, 32 bytes, of an Ed25519 seed, 32 bytes. */
export function ed25519PublicKey(seed: Uint8Array): Bytes {
  const key = createPrivateKey({
    key: { kty: 'OKP', crv: 'Ed25519', d: base64url(seed), x: base64url(new Uint8Array(32)) },
    format: 'jwk',
  });
  const { x } = createPublicKey(key).export({ format: 'jwk' });
  return copyBytes(Buffer.from(x ?? '', 'base64url'));
}

function importPublicKey(key: Uint8Array): KeyObject {
  return createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: base64url(key) },
    format: 'jwk',
  });
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}
