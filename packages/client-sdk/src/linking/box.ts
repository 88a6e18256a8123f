/**
 * 20 Linking §3. Encryption of one message under a key that is used for one direction of one linking:
 * AES-256-CBC, then HMAC-SHA-256 over context, IV and ciphertext.
 */
import { concatBytes, equalBytes, type Bytes, type CryptoProvider } from '@qasid/protocol';

/**
 * Encrypt.
 *
 * @param key - 64 bytes: cipher key, MAC key.
 * @param context - What this message is; of one length for each use.
 * @returns IV (16), ciphertext, MAC (32).
 */
export function sealBox(
  crypto: CryptoProvider,
  key: Uint8Array,
  context: Uint8Array,
  message: Uint8Array,
): Bytes {
  const iv = crypto.randomBytes(16);
  const ciphertext = crypto.aesCbcEncrypt(key.subarray(0, 32), iv, message);
  const mac = crypto.hmacSha256(key.subarray(32), context, iv, ciphertext);
  return concatBytes(iv, ciphertext, mac);
}

/** The message, or `undefined` when anything about it is not as it was sent. */
export function openBox(
  crypto: CryptoProvider,
  key: Uint8Array,
  context: Uint8Array,
  sealed: Uint8Array,
): Bytes | undefined {
  if (sealed.length < 16 + 16 + 32) return undefined;
  const iv = sealed.subarray(0, 16);
  const ciphertext = sealed.subarray(16, sealed.length - 32);
  const expected = crypto.hmacSha256(key.subarray(32), context, iv, ciphertext);
  if (!equalBytes(expected, sealed.subarray(sealed.length - 32))) return undefined;
  return crypto.aesCbcDecrypt(key.subarray(0, 32), iv, ciphertext);
}
