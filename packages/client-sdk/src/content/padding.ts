/**
 * 15 Content §6. Padding: all contents of one step have one length.
 */
import { DecodeError, LimitError, type Bytes } from '@qasid/protocol';
import { ENVELOPE_BUCKETS } from '@qasid/protocol/envelope';

/**
 * Bytes between padded content and the envelope around it, at most, for a message of an answered session:
 * cipher padding, ratchet and SPQR headers, MAC, sender, protobuf. Lower: a message may miss its bucket
 * and take the next. Higher: fewer bytes of text in the smallest bucket.
 */
export const MESSAGE_OVERHEAD_BYTES = 232;

/** The same for a prekey message, which carries a Kyber ciphertext. Bounds the largest content. */
const PREKEY_MESSAGE_OVERHEAD_BYTES = 2_400;

/** Bytes of the largest content, encoded. Anything larger is an attachment. */
export const CONTENT_BYTES_MAX: number = 65_536 - PREKEY_MESSAGE_OVERHEAD_BYTES;

/**
 * Pad `content` so that all contents of one step have one length: content, 0x80, zeros.
 *
 * @throws LimitError `LIMIT_ENVELOPE_SIZE` when it fits no envelope.
 */
export function padContent(content: Uint8Array): Bytes {
  const needed = content.length + 1;
  if (content.length >= CONTENT_BYTES_MAX) {
    throw new LimitError(
      'LIMIT_ENVELOPE_SIZE',
      `message of ${content.length} bytes, limit ${CONTENT_BYTES_MAX - 1}`,
    );
  }
  const step = ENVELOPE_BUCKETS.find((bucket) => bucket - MESSAGE_OVERHEAD_BYTES >= needed);
  const length = step === undefined ? CONTENT_BYTES_MAX : step - MESSAGE_OVERHEAD_BYTES;
  const padded = new Uint8Array(Math.min(length, CONTENT_BYTES_MAX));
  padded.set(content);
  padded[content.length] = 0x80;
  return padded;
}

/**
 * Take the padding off; a view of `padded`.
 *
 * @throws DecodeError `DECODE_CONTENT` when there is none.
 */
export function unpadContent(padded: Uint8Array): Uint8Array {
  let end = padded.length - 1;
  while (end >= 0 && padded[end] === 0) end--;
  if (end < 0 || padded[end] !== 0x80) {
    throw new DecodeError('DECODE_CONTENT', 'content is not padded');
  }
  return padded.subarray(0, end);
}
