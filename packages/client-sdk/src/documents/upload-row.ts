/**
 * What is kept of an upload until its message is sent: enough to go on after a restart, given the file.
 * Secret as a whole: it holds the keys of the documents.
 */
import { ProtoWriter, type Bytes } from '@qasid/protocol';

import { Fields } from '../content/fields.js';
import { ACCOUNT_BYTES, ATTACHMENTS_MAX, CONTENT_ID_BYTES, HASH_BYTES } from '../content/limits.js';
import { decodeAttachment, decodeText, encodeAttachment, encodeText } from '../content/text.js';
import type { Attachment, TextBody } from '../content/types.js';
import { refuse } from '../content/fields.js';
import { BLOB_ID_BYTES, CAPABILITY_BYTES, DOCUMENT_BYTES_MAX } from './limits.js';

/** One document of an upload. */
export interface FileRow {
  /** `id` and `digest` are zeros until they are known. */
  readonly attachment: Attachment;
  /** First block of the blob, 16 bytes; with the key it makes the same blob of the same file again. */
  readonly iv: Bytes;
  /** Lets the blob be written and deleted, 32 bytes. */
  readonly capability: Bytes;
  /** `new`: nothing at the relay. `open`: some of it may be. `done`: all of it is. */
  readonly stage: 'new' | 'open' | 'done';
  /** Bytes of the blob that were sent, or were about to be. */
  readonly through: number;
  /** SHA-256 of those bytes: another file is noticed before anything of it is sent. */
  readonly prefix: Bytes | undefined;
  /** Where the file lies, when the platform can open it again. */
  readonly path: string | undefined;
}

/** A message whose documents are being uploaded. */
export interface UploadRow {
  /** Content id that the message will have, 16 bytes: it cannot be sent twice. */
  readonly id: Bytes;
  /** The conversation: bytes of an account or a group. */
  readonly to: Bytes;
  /** All of the message but its documents. */
  readonly body: TextBody;
  /** Days that the relay keeps the documents; 0: its own rule. */
  readonly days: number;
  readonly files: readonly FileRow[];
}

const STAGES = ['new', 'open', 'done'] as const;
const DAYS_MAX = 36_500;
const PATH_BYTES_MAX = 16_384;
const IV_BYTES = 16;

/** As it is stored. */
export function encodeUpload(row: UploadRow): Bytes {
  const writer = new ProtoWriter()
    .bytes(1, row.id)
    .bytes(2, row.to)
    .bytes(3, encodeText(row.body))
    .uint32(4, row.days);
  for (const file of row.files) writer.bytes(5, encodeFile(file));
  return writer.finish();
}

/** @throws DecodeError `DECODE_CONTENT` */
export function decodeUpload(encoded: Uint8Array): UploadRow {
  const fields = new Fields(
    encoded,
    { 1: 'bytes', 2: 'bytes', 3: 'bytes', 4: 'number', 5: 'bytes' },
    { 5: ATTACHMENTS_MAX },
  );
  return {
    id: fields.bytes(1, CONTENT_ID_BYTES),
    to: fields.bytes(2, ACCOUNT_BYTES, HASH_BYTES),
    body: decodeText(fields.view(3) ?? refuse('an upload has no message')),
    days: fields.number(4, DAYS_MAX),
    files: fields.views(5).map(decodeFile),
  };
}

function encodeFile(file: FileRow): Bytes {
  const writer = new ProtoWriter()
    .bytes(1, encodeAttachment(file.attachment))
    .bytes(2, file.iv)
    .bytes(3, file.capability)
    .uint32(4, STAGES.indexOf(file.stage))
    .uint64(5, file.through);
  if (file.prefix !== undefined) writer.bytes(6, file.prefix);
  if (file.path !== undefined) writer.text(7, file.path);
  return writer.finish();
}

function decodeFile(encoded: Uint8Array): FileRow {
  const fields = new Fields(encoded, {
    1: 'bytes',
    2: 'bytes',
    3: 'bytes',
    4: 'number',
    5: 'number',
    6: 'bytes',
    7: 'bytes',
  });
  return {
    attachment: decodeAttachment(fields.view(1) ?? refuse('an upload has no document')),
    iv: fields.bytes(2, IV_BYTES),
    capability: fields.bytes(3, CAPABILITY_BYTES),
    stage: STAGES[fields.number(4, STAGES.length - 1)] ?? refuse('an upload has an odd stage'),
    through: fields.number(5, 2 * DOCUMENT_BYTES_MAX),
    prefix: fields.optionalBytes(6, HASH_BYTES),
    path: fields.optionalText(7, PATH_BYTES_MAX),
  };
}

/** Stands for an id or a digest that is not known yet. */
export const UNKNOWN_BYTES: Bytes = new Uint8Array(BLOB_ID_BYTES);
