/**
 * 12 Envelope. What the body of a part holds: who sent which kind of message.
 *
 * Read and written by clients. To a relay it is opaque bytes, and a later version hides the sender
 * (spec 10). The sender named here is a claim: only the session that opens `message` proves it.
 */
import { copyBytes, type Bytes } from '../bytes.js';
import { MAX_ENVELOPE_BYTES } from '../limits.js';
import { FILLER_MIN_BYTES, ProtoReader, ProtoWriter, withFiller } from '../wire/protobuf.js';
import { accountField, badFrame, deviceField, required } from './fields.js';
import type { AccountId } from './mailbox.js';

/** One encrypted message with its sender. */
export interface Envelope {
  /** 2: message of a session. 3: prekey message. 7: sender-key message. As compatible peers number them. */
  readonly type: 2 | 3 | 7;
  readonly senderAccount: AccountId;
  /** 1 to 127. */
  readonly senderDevice: number;
  /** Encoded message, spec 11. */
  readonly message: Bytes;
}

/**
 * Bytes of an envelope, version 1, filled with zeros in a field readers skip up to the first of `sizes`
 * that holds it: ciphertexts have a few more lengths than a relay should see.
 *
 * @param sizes - Ascending. None that is large enough, or none at all: nothing is filled.
 * @throws DecodeError `DECODE_FRAME` when it is over the limit.
 */
export function encodeEnvelope(envelope: Envelope, sizes: readonly number[] = []): Bytes {
  const writer = new ProtoWriter(envelope.message.length + 64)
    .uint32(1, ENVELOPE_VERSION)
    .uint32(2, envelope.type)
    .bytes(3, envelope.senderAccount)
    .uint32(4, envelope.senderDevice)
    .bytes(5, envelope.message);
  const plain = writer.finish();
  const size = sizes.find(
    (step) => step === plain.length || step >= plain.length + FILLER_MIN_BYTES,
  );
  const bytes =
    size === undefined || size === plain.length ? plain : withFiller(plain, FILLER_FIELD, size);
  if (bytes.length > MAX_ENVELOPE_BYTES) throw badFrame(`envelope of ${bytes.length} bytes`);
  return bytes;
}

/** @throws DecodeError `DECODE_FRAME` or `DECODE_PROTOBUF` */
export function decodeEnvelope(bytes: Uint8Array): Envelope {
  if (bytes.length > MAX_ENVELOPE_BYTES) throw badFrame(`envelope of ${bytes.length} bytes`);
  const reader = new ProtoReader(bytes);
  let version = 0;
  let type = 0;
  let senderAccount: AccountId | undefined;
  let senderDevice: number | undefined;
  let message: Bytes | undefined;
  while (reader.next()) {
    if (reader.field === 1) version = reader.uint64();
    else if (reader.field === 2) type = reader.uint64();
    else if (reader.field === 3) senderAccount = accountField(reader);
    else if (reader.field === 4) senderDevice = deviceField(reader);
    else if (reader.field === 5) message = copyBytes(reader.bytes());
    else reader.skip();
  }
  if (version !== ENVELOPE_VERSION) throw badFrame(`envelope version ${version}`);
  if (type !== 2 && type !== 3 && type !== 7) throw badFrame(`envelope type ${type}`);
  return {
    type,
    senderAccount: required(senderAccount, 'sender account'),
    senderDevice: required(senderDevice, 'sender device'),
    message: required(message, 'message'),
  };
}

const ENVELOPE_VERSION = 1;
const FILLER_FIELD = 15;
