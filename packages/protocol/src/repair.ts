/**
 * 08 Session. Telling a peer that its message could not be opened, so that it starts a new session.
 *
 * A DecryptionErrorMessage travels as plaintext content: the only thing ever sent unencrypted between
 * devices, so nothing in it is believed beyond "try a new session", and only at a limited rate (ATK-C06).
 * Spec: spec/08-session.md, spec/16-small-formats.md §5.
 */
import { concatBytes, copyBytes, type Bytes } from './bytes.js';
import { DecodeError, UsageError } from './errors.js';
import { toPublicKey, type PublicKey } from './types.js';
import { decodePreKeySignalMessage, decodeSignalMessage } from './wire/messages.js';
import { ProtoReader, ProtoWriter } from './wire/protobuf.js';

/** First byte of plaintext content; its message type is 8. */
export const PLAINTEXT_CONTENT_MARKER = 0xc0;
/** Last byte of its body: where padding would begin. */
const BOUNDARY = 0x80;

/** "I could not open your message": which one, without saying why (ATK-C14). */
export interface DecryptionErrorMessage {
  /** Ratchet key of the failed pairwise message; none for a group message. */
  readonly ratchetKey: PublicKey | undefined;
  /** Timestamp of the failed message in ms, as its sender set it. */
  readonly timestampMs: number;
  /** Device that had sent it; any u32. */
  readonly deviceId: number;
}

/**
 * Describe a message that failed.
 *
 * @param original - The message's bytes; looked at only for types 2 and 3.
 * @param type - 2, 3 or 7. Plaintext content (8) is not encrypted, so it cannot fail to decrypt.
 * @throws DecodeError as the message's parser; UsageError `USAGE_ARGUMENT` for type 8 or an unknown one.
 *
 * Source: 16 §5. Vectors: misc/plaintext-content.json.
 */
export function describeFailure(
  original: Uint8Array,
  type: number,
  timestampMs: number,
  deviceId: number,
): DecryptionErrorMessage {
  if (type === 2) {
    return { ratchetKey: decodeSignalMessage(original).ratchetKey, timestampMs, deviceId };
  }
  if (type === 3) {
    const { message } = decodePreKeySignalMessage(original);
    return { ratchetKey: message.ratchetKey, timestampMs, deviceId };
  }
  if (type === 7) return { ratchetKey: undefined, timestampMs, deviceId };
  throw new UsageError(
    'USAGE_ARGUMENT',
    type === 8
      ? 'cannot create a DecryptionErrorMessage for plaintext content; it is not encrypted'
      : `unknown message type ${type}`,
  );
}

/** Canonical bytes: 1 ratchet key if any, 2 timestamp, 3 device, the last two also when 0. */
export function encodeDecryptionError(message: DecryptionErrorMessage): Bytes {
  const writer = new ProtoWriter(64);
  if (message.ratchetKey) writer.bytes(1, message.ratchetKey);
  return writer.uint64(2, message.timestampMs).uint32(3, message.deviceId).finish();
}

/**
 * @throws DecodeError `DECODE_PROTOBUF` also without a timestamp or with one beyond 2^53;
 *   `DECODE_KEY_TYPE`, `DECODE_KEY_LENGTH`.
 */
export function decodeDecryptionError(bytes: Uint8Array): DecryptionErrorMessage {
  let ratchetKey: Uint8Array | undefined;
  let timestampMs: number | undefined;
  let deviceId = 0;
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) ratchetKey = reader.bytes();
    else if (reader.field === 2) timestampMs = reader.uint64();
    else if (reader.field === 3) deviceId = reader.uint32();
    else reader.skip();
  }
  if (timestampMs === undefined) {
    throw new DecodeError('DECODE_PROTOBUF', 'protobuf encoding was invalid: no timestamp');
  }
  return {
    ratchetKey: ratchetKey && toPublicKey(copyBytes(ratchetKey)),
    timestampMs,
    deviceId,
  };
}

/** Wrap an encoded decryption error as plaintext content: marker, field 8, boundary byte. */
export function encodePlaintextContent(decryptionError: Uint8Array): Bytes {
  return new ProtoWriter(decryptionError.length + 8)
    .raw(new Uint8Array([PLAINTEXT_CONTENT_MARKER]))
    .bytes(8, decryptionError)
    .raw(new Uint8Array([BOUNDARY]))
    .finish();
}

/**
 * The body of plaintext content, not looked at.
 *
 * @throws DecodeError `DECODE_MESSAGE_TOO_SHORT`, `DECODE_VERSION_MISMATCH` for another marker.
 */
export function decodePlaintextContent(bytes: Uint8Array): Bytes {
  if (bytes.length === 0) {
    throw new DecodeError(
      'DECODE_MESSAGE_TOO_SHORT',
      'ciphertext serialized bytes were too short <0>',
    );
  }
  if (bytes[0] !== PLAINTEXT_CONTENT_MARKER) {
    throw new DecodeError('DECODE_VERSION_MISMATCH', `unrecognized message version <${bytes[0]}>`);
  }
  return copyBytes(bytes.subarray(1));
}

/**
 * The decryption error in a content body.
 *
 * @throws DecodeError `DECODE_PROTOBUF`; UsageError `USAGE_ARGUMENT` for content of another kind.
 */
export function decryptionErrorOfBody(body: Uint8Array): Bytes {
  if (body[body.length - 1] !== BOUNDARY) {
    throw new DecodeError('DECODE_PROTOBUF', 'protobuf encoding was invalid: no boundary byte');
  }
  let found: Uint8Array | undefined;
  const reader = new ProtoReader(body.subarray(0, body.length - 1));
  while (reader.next()) {
    // Fields 1 to 8 of the content are byte strings, whatever they hold.
    if (reader.field >= 1 && reader.field <= 8) {
      const value = reader.bytes();
      if (reader.field === 8) found = value;
    } else reader.skip();
  }
  if (found === undefined) {
    throw new UsageError('USAGE_ARGUMENT', 'Content does not contain DecryptionErrorMessage');
  }
  return concatBytes(found);
}
