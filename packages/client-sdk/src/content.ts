/**
 * 15 Content. What is inside a decrypted message, and the padding that hides its length.
 *
 * Everything here is authenticated by the session it came through; nothing here is seen by a relay.
 * Spec: spec/15-content.md.
 */
import {
  DecodeError,
  LimitError,
  ProtoReader,
  ProtoWriter,
  copyBytes,
  type Bytes,
} from '@qasid/protocol';
import { ENVELOPE_BUCKETS } from '@qasid/protocol/envelope';

/** What a message says. `unknown` is content of a newer version: kept, and shown as such. */
export type ContentBody =
  | { readonly kind: 'text'; readonly text: string }
  /** From another device of our own account: what it sent, and to whom. */
  | { readonly kind: 'sent'; readonly account: Uint8Array; readonly content: Bytes }
  | { readonly kind: 'unknown' };

/** One message as its sender made it. */
export interface Content {
  /** 16 random bytes, chosen by the sender. */
  readonly id: Bytes;
  /** The sender's clock, milliseconds since 1970. For display only: nothing is decided by it. */
  readonly sentAtMs: number;
  readonly body: ContentBody;
}

/** Version written into every content. Readers accept higher ones and keep what they cannot show. */
export const CONTENT_VERSION = 1;

/** Bytes of a content id. */
export const CONTENT_ID_BYTES = 16;

/** Latest time a `Date` can hold. Anything later in a message is nonsense from its sender. */
const TIME_MAX_MS = 8_640_000_000_000_000;

/** Encode without padding; the same content always gives the same bytes. */
export function encodeContent(content: Content): Bytes {
  const writer = new ProtoWriter();
  writer.uint32(1, CONTENT_VERSION).bytes(2, content.id).uint64(3, content.sentAtMs);
  switch (content.body.kind) {
    case 'text':
      writer.bytes(4, new ProtoWriter().text(1, content.body.text).finish());
      break;
    case 'sent':
      writer.bytes(
        5,
        new ProtoWriter().bytes(1, content.body.account).bytes(2, content.body.content).finish(),
      );
      break;
    case 'unknown':
      break;
  }
  return writer.finish();
}

/**
 * Decode content without padding. Unknown fields and unknown kinds are no error.
 *
 * @throws DecodeError `DECODE_CONTENT` when it is not content at all.
 */
export function decodeContent(bytes: Uint8Array): Content {
  try {
    return readContent(bytes);
  } catch (cause) {
    if (cause instanceof DecodeError && cause.code === 'DECODE_CONTENT') throw cause;
    throw new DecodeError('DECODE_CONTENT', 'content is damaged', { cause });
  }
}

function readContent(bytes: Uint8Array): Content {
  let id: Bytes | undefined;
  let sentAtMs: number | undefined;
  let body: ContentBody = { kind: 'unknown' };
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    switch (reader.field) {
      case 2:
        id = copyBytes(reader.bytes());
        break;
      case 3:
        sentAtMs = reader.uint64();
        break;
      case 4:
        body = readText(reader.bytes());
        break;
      case 5:
        body = readSent(reader.bytes());
        break;
      default:
        reader.skip();
    }
  }
  if (id?.length !== CONTENT_ID_BYTES) throw new DecodeError('DECODE_CONTENT', 'content has no id');
  if (sentAtMs === undefined || sentAtMs > TIME_MAX_MS) {
    throw new DecodeError('DECODE_CONTENT', 'content has no time');
  }
  return { id, sentAtMs, body };
}

function readText(bytes: Uint8Array): ContentBody {
  let text = '';
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) text = reader.text();
    else reader.skip();
  }
  return { kind: 'text', text };
}

function readSent(bytes: Uint8Array): ContentBody {
  let account: Bytes | undefined;
  let content: Bytes | undefined;
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) account = copyBytes(reader.bytes());
    else if (reader.field === 2) content = copyBytes(reader.bytes());
    else reader.skip();
  }
  if (account?.length !== 16 || content === undefined) return { kind: 'unknown' };
  return { kind: 'sent', account, content };
}

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
