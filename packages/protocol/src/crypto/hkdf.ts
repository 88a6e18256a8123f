/**
 * 01 Primitives. HKDF-SHA-256 (RFC 5869) over a provider's HMAC, so that both providers share it.
 */
import type { Bytes } from '../bytes.js';
import { UsageError } from '../errors.js';
import { wipe } from '../secret.js';

/** Bytes of one HMAC-SHA-256. */
const HASH_BYTES = 32;
const NO_SALT = new Uint8Array(HASH_BYTES);

/**
 * Extract and expand.
 *
 * @param salt - `undefined` means 32 zero bytes, which HMAC treats like an empty key.
 * @param length - 0 to 8160 (255 blocks).
 * @throws UsageError `USAGE_RANGE` for another length.
 */
export function hkdf(
  hmac: (key: Uint8Array, ...parts: readonly Uint8Array[]) => Bytes,
  salt: Uint8Array | undefined,
  ikm: Uint8Array,
  info: Uint8Array,
  length: number,
): Bytes {
  if (!Number.isInteger(length) || length < 0 || length > 255 * HASH_BYTES) {
    throw new UsageError(
      'USAGE_RANGE',
      `HKDF output of ${length} bytes, limit ${255 * HASH_BYTES}`,
    );
  }
  const prk = hmac(salt ?? NO_SALT, ikm);
  const out = new Uint8Array(length);
  const counter = new Uint8Array(1);
  let block = new Uint8Array(0);
  for (let offset = 0; offset < length; offset += HASH_BYTES) {
    counter[0] = (counter[0] as number) + 1;
    const next = hmac(prk, block, info, counter);
    wipe(block);
    block = next;
    out.set(block.subarray(0, Math.min(HASH_BYTES, length - offset)), offset);
  }
  wipe(prk, block);
  return out;
}
