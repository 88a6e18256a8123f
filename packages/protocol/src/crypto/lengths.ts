/** 01 Primitives. Length checks that both providers make alike. */
import { UsageError } from '../errors.js';

/** @throws UsageError `USAGE_LENGTH` when `value` is not `length` bytes. */
export function expectLength(value: Uint8Array, length: number, what: string): void {
  if (value.length !== length) {
    throw new UsageError('USAGE_LENGTH', `${what} of ${value.length} bytes, expected ${length}`);
  }
}
