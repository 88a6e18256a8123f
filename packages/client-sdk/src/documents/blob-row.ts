/**
 * What lets a blob of ours be kept or deleted after its message was sent. Secret: whoever has it can delete the blob.
 */
import { ProtoWriter, toHex, type Bytes } from '@qasid/protocol';

import { Fields } from '../content/fields.js';
import { CONTENT_ID_BYTES, TIME_MAX_MS } from '../content/limits.js';
import type { RecordChange } from '../stores/port.js';
import { SPACE } from '../timeline/batch.js';
import { CAPABILITY_BYTES } from './limits.js';
import type { FileRow } from './upload-row.js';

/** A blob of ours. */
export interface BlobRow {
  readonly capability: Bytes;
  /** Id of the message it was uploaded for, 32 hex digits. */
  readonly message: string;
  readonly uploadedAtMs: number;
}

/** For the commit that sends the message. */
export function blobRecord(file: FileRow, message: Bytes, nowMs: number): RecordChange {
  const value = new ProtoWriter()
    .bytes(1, file.capability)
    .bytes(2, message)
    .uint64(3, nowMs)
    .finish();
  return { space: SPACE.blob, key: toHex(file.attachment.id), value, expectedVersion: 0 };
}

/** @throws DecodeError `DECODE_CONTENT` */
export function decodeBlob(value: Uint8Array): BlobRow {
  const fields = new Fields(value, { 1: 'bytes', 2: 'bytes', 3: 'number' });
  return {
    capability: fields.bytes(1, CAPABILITY_BYTES),
    message: toHex(fields.bytes(2, CONTENT_ID_BYTES)),
    uploadedAtMs: fields.number(3, TIME_MAX_MS),
  };
}
