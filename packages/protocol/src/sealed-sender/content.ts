/**
 * 10 Sealed sender. What a sealed message encrypts: an inner message with its sender's certificate.
 *
 * Parsing checks no signature: a name read from here means nothing before the certificate was validated,
 * which `openSealed` in index.ts does. Spec: spec/10-sealed-sender.md §4.
 */
import { copyBytes, type Bytes } from '../bytes.js';
import { DecodeError, LimitError } from '../errors.js';
import { ENVELOPE_BUCKETS } from '../limits.js';
import { FILLER_MIN_BYTES, ProtoReader, ProtoWriter, withFiller } from '../wire/protobuf.js';
import { decodeSenderCertificate, type SenderCertificate } from './certificates.js';

/** Message types as in 11: 2 message, 3 prekey message, 7 sender-key message, 8 plaintext content. */
export type SealedContentType = 2 | 3 | 7 | 8;

/** What the receiver tells its user when the message cannot be opened. Unknown values are kept. */
export const CONTENT_HINT: {
  /** The sender will not resend: tell at once. */
  readonly default: 0;
  /** The sender keeps a copy: wait for it. */
  readonly resendable: 1;
  /** Receipts, typing: say nothing. */
  readonly implicit: 2;
} = { default: 0, resendable: 1, implicit: 2 };

/** The sealed content. */
export interface SealedContent {
  readonly type: SealedContentType;
  readonly senderCertificate: SenderCertificate;
  /** The inner message's bytes. */
  readonly content: Bytes;
  /** u32; see {@link CONTENT_HINT}. */
  readonly contentHint: number;
  /** Which conversation an unreadable message belonged to. */
  readonly groupId: Bytes | undefined;
}

/** Only the prekey message has another number here than on the outside: 1 instead of 3. */
const TYPES: ReadonlyMap<number, SealedContentType> = new Map([
  [1, 3],
  [2, 2],
  [7, 7],
  [8, 8],
]);

/** Canonical bytes. Source: 10 §4. Vectors: sealed-sender/usmc.json. */
export function encodeSealedContent(content: SealedContent): Bytes {
  const writer = new ProtoWriter(content.content.length + 400)
    .uint32(1, content.type === 3 ? 1 : content.type)
    .bytes(2, content.senderCertificate.encoded)
    .bytes(3, content.content);
  if (content.contentHint !== 0) writer.int32(4, content.contentHint);
  if (content.groupId && content.groupId.length > 0) writer.bytes(5, content.groupId);
  return writer.finish();
}

/**
 * Encoded content with zeros after it, so that the sealed message of version 2 has the first of `sizes` that
 * holds it: then a relay learns a step and not a length. The zeros are encrypted with the rest; readers,
 * those of compatible peers too, skip the field.
 *
 * @param encoded - Of {@link encodeSealedContent}.
 * @param sizes - Ascending; those a relay takes unless given.
 * @throws LimitError `LIMIT_ENVELOPE_SIZE` when none is large enough.
 *
 * Source: 12 §5. Vectors: sealed-sender/pad-sealed-content.
 */
export function padSealedContent(
  encoded: Bytes,
  sizes: readonly number[] = ENVELOPE_BUCKETS,
): Bytes {
  const plain = encoded.length + SEALED_V2_OVERHEAD_BYTES;
  const size = sizes.find((step) => step === plain || step >= plain + FILLER_MIN_BYTES);
  if (size === undefined) {
    throw new LimitError('LIMIT_ENVELOPE_SIZE', `sealed content of ${encoded.length} bytes`);
  }
  if (size === plain) return encoded;
  return withFiller(encoded, FILLER_FIELD, size - SEALED_V2_OVERHEAD_BYTES);
}

/**
 * Parse sealed content and the certificate in it; nothing is verified.
 *
 * @throws DecodeError `DECODE_PROTOBUF`, `DECODE_KEY_TYPE`, `DECODE_KEY_LENGTH`. Source: 10 §4.
 */
export function decodeSealedContent(bytes: Uint8Array): SealedContent {
  let type: SealedContentType | undefined;
  let certificate: Uint8Array | undefined;
  let content: Uint8Array | undefined;
  let contentHint = 0;
  let groupId: Uint8Array | undefined;
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) type = TYPES.get(reader.uint32());
    else if (reader.field === 2) certificate = reader.bytes();
    else if (reader.field === 3) content = reader.bytes();
    else if (reader.field === 4) contentHint = reader.uint32();
    else if (reader.field === 5) groupId = reader.bytes();
    else reader.skip();
  }
  if (type === undefined || !certificate || !content) {
    throw new DecodeError('DECODE_PROTOBUF', 'protobuf encoding was invalid: sealed content');
  }
  return {
    type,
    senderCertificate: decodeSenderCertificate(certificate),
    content: copyBytes(content),
    contentHint,
    groupId: groupId && copyBytes(groupId),
  };
}

/** Version byte, masked M, tag, ephemeral key, and the tag of the body: spec 10 §6.2. */
const SEALED_V2_OVERHEAD_BYTES = 1 + 32 + 16 + 32 + 16;

const FILLER_FIELD = 15;
