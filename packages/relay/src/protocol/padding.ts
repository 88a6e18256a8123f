/**
 * 13 Relay §4. Has a body one of the sizes that tell nothing but a step?
 */
import { ENVELOPE_BUCKETS } from '@qasid/protocol/envelope';

/** Whether `length` is one of the sizes of chapter 12 §5 (ATK-D06). */
export function isPadded(length: number): boolean {
  return ENVELOPE_BUCKETS.includes(length);
}
