/** 01 Primitives. Checks of a caller's arguments that both providers make alike. */
import { UsageError } from '../errors.js';
import type { PrivateKey } from '../types.js';

/** @throws UsageError `USAGE_LENGTH` when `value` is not `length` bytes. */
export function expectLength(value: Uint8Array, length: number, what: string): void {
  if (value.length !== length) {
    throw new UsageError('USAGE_LENGTH', `${what} of ${value.length} bytes, expected ${length}`);
  }
}

/**
 * Refuse a private key that has been wiped: as a scalar it would give secrets that everyone knows. Every
 * `PrivateKey` is clamped, zeros are not.
 *
 * @throws UsageError `USAGE_ARGUMENT`.
 */
export function expectNotWiped(secret: PrivateKey): void {
  if (((secret[31] as number) & 0xc0) !== 0x40) {
    throw new UsageError('USAGE_ARGUMENT', 'private key has been wiped');
  }
}
