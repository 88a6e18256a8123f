/**
 * 15 Content §3. A text with its ranges, quote and attachments.
 */
import { ProtoWriter, type Bytes } from '@qasid/protocol';

import { Fields, refuse } from './fields.js';
import {
  ACCOUNT_BYTES,
  ATTACHMENT_BYTES_MAX,
  ATTACHMENTS_MAX,
  CONTENT_ID_BYTES,
  DIMENSION_MAX,
  HASH_BYTES,
  MENTIONS_MAX,
  NAME_BYTES_MAX,
  QUOTE_TEXT_MAX,
  STYLES_MAX,
  THUMBNAIL_BYTES_MAX,
  TIME_MAX_MS,
} from './limits.js';
import type { Attachment, Mention, MessageRef, Quote, StyledRange, TextBody } from './types.js';

/** Largest text, bounded by the content around it. */
const TEXT_BYTES_MAX = 65_536;

/** Bytes of the MAC list of a streamed attachment. */
const INCREMENTAL_MAC_BYTES_MAX = 8_192;

const STYLES = ['bold', 'italic', 'strikethrough', 'monospace', 'spoiler'] as const;

/** @throws DecodeError `DECODE_CONTENT` for a range that is not inside the text or cuts a character */
function checkRange(text: string, start: number, length: number): void {
  const end = start + length;
  if (length === 0 || end > text.length || cuts(text, start) || cuts(text, end)) {
    refuse('a range does not fit its text');
  }
}

/** Whether a position lies within a surrogate pair. */
function cuts(text: string, at: number): boolean {
  const before = text.charCodeAt(at - 1);
  const after = text.charCodeAt(at);
  return before >= 0xd800 && before < 0xdc00 && after >= 0xdc00 && after < 0xe000;
}

/** A text body; the same body always gives the same bytes. */
export function encodeText(body: Omit<TextBody, 'kind'>): Bytes {
  const writer = new ProtoWriter().text(1, body.text);
  for (const { start, length, style } of body.styles ?? []) {
    writer.bytes(
      2,
      encodeRange(start, length)
        .uint32(3, STYLES.indexOf(style) + 1)
        .finish(),
    );
  }
  for (const { start, length, account } of body.mentions ?? []) {
    writer.bytes(3, encodeRange(start, length).bytes(3, account).finish());
  }
  if (body.quote !== undefined) {
    const { digest, text } = body.quote;
    writer.bytes(4, encodeRef(body.quote).bytes(3, digest).text(4, text).finish());
  }
  for (const attachment of body.attachments ?? []) writer.bytes(5, encodeAttachment(attachment));
  if (body.viewOnce === true) writer.bool(6, true);
  return writer.finish();
}

/** @throws DecodeError `DECODE_CONTENT` */
export function decodeText(encoded: Uint8Array): TextBody {
  const fields = new Fields(
    encoded,
    { 1: 'bytes', 2: 'bytes', 3: 'bytes', 4: 'bytes', 5: 'bytes', 6: 'number' },
    { 2: STYLES_MAX, 3: MENTIONS_MAX, 5: ATTACHMENTS_MAX },
  );
  const text = fields.text(1, TEXT_BYTES_MAX);
  const styles = fields.views(2).flatMap((view) => decodeStyle(text, view));
  const mentions = fields.views(3).map((view) => decodeMention(text, view));
  const attachments = fields.views(5).map(decodeAttachment);
  const quote = fields.view(4);
  return {
    kind: 'text',
    text,
    ...(styles.length > 0 && { styles }),
    ...(mentions.length > 0 && { mentions }),
    ...(quote !== undefined && { quote: decodeQuote(quote) }),
    ...(attachments.length > 0 && { attachments }),
    ...(fields.flag(6) && { viewOnce: true }),
  };
}

function encodeRange(start: number, length: number): ProtoWriter {
  return new ProtoWriter(32).uint32(1, start).uint32(2, length);
}

/** A style of a newer version is no error: the text is shown without it. */
function decodeStyle(text: string, encoded: Uint8Array): readonly StyledRange[] {
  const fields = new Fields(encoded, { 1: 'number', 2: 'number', 3: 'number' });
  const start = fields.number(1, text.length);
  const length = fields.number(2, text.length);
  checkRange(text, start, length);
  const style = STYLES[fields.number(3, 255) - 1];
  return style === undefined ? [] : [{ start, length, style }];
}

function decodeMention(text: string, encoded: Uint8Array): Mention {
  const fields = new Fields(encoded, { 1: 'number', 2: 'number', 3: 'bytes' });
  const start = fields.number(1, text.length);
  const length = fields.number(2, text.length);
  checkRange(text, start, length);
  return { start, length, account: fields.bytes(3, ACCOUNT_BYTES) };
}

/** Author and id, as fields 1 and 2 of whatever refers to a message. */
export function encodeRef({ author, id }: MessageRef): ProtoWriter {
  return new ProtoWriter(48).bytes(1, author).bytes(2, id);
}

/** @throws DecodeError `DECODE_CONTENT` */
export function decodeRef(encoded: Uint8Array): MessageRef {
  const fields = new Fields(encoded, { 1: 'bytes', 2: 'bytes' });
  return { author: fields.bytes(1, ACCOUNT_BYTES), id: fields.bytes(2, CONTENT_ID_BYTES) };
}

function decodeQuote(encoded: Uint8Array): Quote {
  const fields = new Fields(encoded, { 3: 'bytes', 4: 'bytes' });
  const text = fields.text(4, 4 * QUOTE_TEXT_MAX);
  if (text.length > QUOTE_TEXT_MAX) refuse('a quote is too long');
  return { ...decodeRef(encoded), digest: fields.bytes(3, HASH_BYTES), text };
}

/** A descriptor; secret, because it holds the key. */
export function encodeAttachment(attachment: Attachment): Bytes {
  const writer = new ProtoWriter(256)
    .bytes(1, attachment.id)
    .bytes(2, attachment.key)
    .bytes(3, attachment.digest)
    .uint64(4, attachment.size)
    .text(5, attachment.mediaType);
  const { name, width, height, durationMs, thumbnail, placeholder, caption } = attachment;
  if (name !== undefined) writer.text(6, name);
  if (width !== undefined) writer.uint32(7, width);
  if (height !== undefined) writer.uint32(8, height);
  if (durationMs !== undefined) writer.uint64(9, durationMs);
  if (thumbnail !== undefined) writer.bytes(10, thumbnail);
  if (placeholder !== undefined) writer.text(11, placeholder);
  if (caption !== undefined) writer.text(12, caption);
  if (attachment.chunkBytes !== undefined) writer.uint32(13, attachment.chunkBytes);
  if (attachment.incrementalMac !== undefined) writer.bytes(14, attachment.incrementalMac);
  return writer.finish();
}

/** @throws DecodeError `DECODE_CONTENT` */
export function decodeAttachment(encoded: Uint8Array): Attachment {
  const fields = new Fields(encoded, {
    1: 'bytes',
    2: 'bytes',
    3: 'bytes',
    4: 'number',
    5: 'bytes',
    6: 'bytes',
    7: 'number',
    8: 'number',
    9: 'number',
    10: 'bytes',
    11: 'bytes',
    12: 'bytes',
    13: 'number',
    14: 'bytes',
  });
  return defined({
    id: fields.bytes(1, 1, 64),
    key: fields.bytes(2, 64),
    digest: fields.bytes(3, HASH_BYTES),
    size: fields.number(4, ATTACHMENT_BYTES_MAX),
    mediaType: fields.text(5, NAME_BYTES_MAX),
    name: fields.optionalText(6, NAME_BYTES_MAX),
    width: fields.optionalNumber(7, DIMENSION_MAX),
    height: fields.optionalNumber(8, DIMENSION_MAX),
    durationMs: fields.optionalNumber(9, TIME_MAX_MS),
    thumbnail: fields.optionalBytes(10, 0, THUMBNAIL_BYTES_MAX),
    placeholder: fields.optionalText(11, NAME_BYTES_MAX),
    caption: fields.optionalText(12, TEXT_BYTES_MAX),
    chunkBytes: fields.optionalNumber(13, ATTACHMENT_BYTES_MAX),
    incrementalMac: fields.optionalBytes(14, 0, INCREMENTAL_MAC_BYTES_MAX),
  });
}

/** The same object without members that are `undefined`. */
export function defined<Value extends object>(value: Value): Value {
  const known = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(known) as Value;
}
