/**
 * 01 Primitives. Ciphers that only sealed sender and the small formats use, kept out of the provider so
 * that an app without them does not carry them.
 */
import { ctr, gcm, gcmsiv } from '@noble/ciphers/aes.js';
import { copyBytes, type Bytes } from '../bytes.js';

/** AES-256-CTR from an all-zero counter block. Encrypting and decrypting are the same. */
export function aesCtrZero(key: Uint8Array, data: Uint8Array): Bytes {
  return copyBytes(ctr(key, new Uint8Array(16)).encrypt(data));
}

/** AES-256-GCM-SIV (RFC 8452), 12 zero bytes of nonce, no associated data; 16-byte tag behind. */
export function gcmSivSeal(key: Uint8Array, plaintext: Uint8Array): Bytes {
  return aes256GcmSivSeal(key, ZERO_NONCE, plaintext, NO_DATA);
}

/** The plaintext of {@link gcmSivSeal}, or `undefined` when the tag is wrong or missing. */
export function gcmSivOpen(key: Uint8Array, sealed: Uint8Array): Bytes | undefined {
  return aes256GcmSivOpen(key, ZERO_NONCE, sealed, NO_DATA);
}

/** AES-256-GCM (12-byte nonce); 16-byte tag behind the ciphertext. */
export function gcmSeal(
  key: Uint8Array,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  associatedData: Uint8Array,
): Bytes {
  return copyBytes(gcm(key, nonce, associatedData).encrypt(plaintext));
}

/** The plaintext of {@link gcmSeal}, or `undefined` when the tag is wrong or missing. */
export function gcmOpen(
  key: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
  associatedData: Uint8Array,
): Bytes | undefined {
  return opened(gcm(key, nonce, associatedData), sealed);
}

/** AES-256-GCM-SIV (RFC 8452) with a 12-byte nonce and associated data; 16-byte tag behind. */
export function aes256GcmSivSeal(
  key: Uint8Array,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  associatedData: Uint8Array,
): Bytes {
  return copyBytes(gcmsiv(key, nonce, associatedData).encrypt(plaintext));
}

/** The plaintext of {@link aes256GcmSivSeal}, or `undefined`. */
export function aes256GcmSivOpen(
  key: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
  associatedData: Uint8Array,
): Bytes | undefined {
  return opened(gcmsiv(key, nonce, associatedData), sealed);
}

function opened(
  cipher: { decrypt(sealed: Uint8Array): Uint8Array },
  sealed: Uint8Array,
): Bytes | undefined {
  if (sealed.length < TAG_BYTES) return undefined;
  try {
    return copyBytes(cipher.decrypt(sealed));
  } catch {
    return undefined; // the library's only failure left is a wrong tag
  }
}

const TAG_BYTES = 16;
const ZERO_NONCE = new Uint8Array(12);
const NO_DATA = new Uint8Array(0);
