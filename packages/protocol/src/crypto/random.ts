/**
 * 01 Primitives. The portable way to randomness: the platform's Web Crypto generator, or an error.
 */
import type { Bytes } from '../bytes.js';
import { UsageError } from '../errors.js';

/** Bytes that `getRandomValues` gives per call. */
const CHUNK_BYTES = 65_536;

/**
 * `length` bytes from `globalThis.crypto`, looked up at each call.
 *
 * @throws UsageError `USAGE_NO_RANDOMNESS` when the platform has no such generator: there is no fallback.
 */
export function webRandomBytes(length: number): Bytes {
  const generator = (globalThis as { crypto?: { getRandomValues?(into: Uint8Array): unknown } })
    .crypto;
  if (typeof generator?.getRandomValues !== 'function') {
    throw new UsageError('USAGE_NO_RANDOMNESS', 'this platform has no secure random generator');
  }
  const out = new Uint8Array(length);
  for (let offset = 0; offset < length; offset += CHUNK_BYTES) {
    generator.getRandomValues(out.subarray(offset, Math.min(offset + CHUNK_BYTES, length)));
  }
  return out;
}
