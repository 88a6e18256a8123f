/**
 * 01 Primitives. Ciphers that only sealed sender uses, kept out of the provider so that an app without
 * sealed sender does not carry them.
 */
import { ctr, gcmsiv } from '@noble/ciphers/aes.js';
import { copyBytes, type Bytes } from '../bytes.js';

/** AES-256-CTR from an all-zero counter block. Encrypting and decrypting are the same. */
export function aesCtrZero(key: Uint8Array, data: Uint8Array): Bytes {
  return copyBytes(ctr(key, new Uint8Array(16)).encrypt(data));
}

/** AES-256-GCM-SIV (RFC 8452), 12 zero bytes of nonce, no associated data; 16-byte tag behind. */
export function gcmSivSeal(key: Uint8Array, plaintext: Uint8Array): Bytes {
  return copyBytes(gcmsiv(key, new Uint8Array(12)).encrypt(plaintext));
}

/** The plaintext of {@link gcmSivSeal}, or `undefined` when the tag is wrong or missing. */
export function gcmSivOpen(key: Uint8Array, sealed: Uint8Array): Bytes | undefined {
  if (sealed.length < 16) return undefined;
  try {
    return copyBytes(gcmsiv(key, new Uint8Array(12)).decrypt(sealed));
  } catch {
    return undefined; // the library's only failure left is a wrong tag
  }
}
