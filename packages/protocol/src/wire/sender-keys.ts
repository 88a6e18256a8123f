/**
 * 11 Wire. Sender-key messages, distribution messages and stored sender-key records.
 *
 * Shapes and parse rules only; keys, signatures and transitions are in sender-keys.ts. Layouts: spec 09.
 */
import { concatBytes, copyBytes, type Bytes } from '../bytes.js';
import { DecodeError } from '../errors.js';
import { SENDER_KEY_MESSAGE_VERSION } from '../limits.js';
import { redacted } from '../secret.js';
import { ProtoReader, ProtoWriter } from './protobuf.js';

/** Bytes of the signature behind a sender-key message. */
export const SENDER_KEY_SIGNATURE_BYTES = 64;

/** Shortest distribution or sender-key message that is looked at. */
const MIN_BYTES = 65;

/** Low nibble of the version byte when sending; ignored when reading. */
const LOW_NIBBLE = 3;

/** A distribution message: hands one chain of one sender to a member. */
export interface DistributionMessage {
  /** 3. */
  readonly version: number;
  /** 16 bytes. */
  readonly distributionId: Bytes;
  readonly chainId: number;
  /** Iteration of `chainKey`. */
  readonly iteration: number;
  /** 32 bytes, secret. */
  readonly chainKey: Bytes;
  /** 33 bytes, first byte unchecked here. */
  readonly signingKey: Bytes;
}

/** A sender-key message as it was received. */
export interface SenderKeyMessage {
  /** 3. */
  readonly version: number;
  /** 16 bytes. */
  readonly distributionId: Bytes;
  readonly chainId: number;
  readonly iteration: number;
  /** AES-256-CBC. */
  readonly ciphertext: Bytes;
  /** Exactly what the signature covers: version byte and protobuf as received. */
  readonly signedBytes: Bytes;
  /** 64 bytes. */
  readonly signature: Bytes;
}

/** Seed of one message's keys with its place in the chain. */
export interface SenderSeed {
  readonly iteration: number;
  /** 32 bytes when usable; stored values are checked when used. Secret. */
  readonly seed: Bytes;
}

/** Key that signs the messages of one chain. */
export interface SenderSigningKey {
  /** 33 bytes when usable. */
  readonly public: Bytes;
  /** 32 bytes in the sender's own record, else empty. Secret. */
  readonly secret: Bytes;
}

/** One chain of one sender, as stored. Nothing inside is checked until it is used. */
export interface SenderKeyState {
  readonly chainId: number;
  /** Chain key of the next message (sender) or the next unseen iteration (receiver). */
  readonly chain: SenderSeed | undefined;
  readonly signing: SenderSigningKey | undefined;
  /** Seeds of messages not yet arrived, oldest first. */
  readonly skipped: readonly SenderSeed[];
  /** 3; 0 in old records means 3 and is written back as it was. */
  readonly messageVersion: number;
}

/** Everything kept for one (sender address, distribution id), newest state first. */
export interface SenderKeyRecord {
  readonly states: readonly SenderKeyState[];
}

function missing(): DecodeError {
  return new DecodeError('DECODE_PROTOBUF', 'protobuf encoding was invalid: field missing');
}

function version(bytes: Uint8Array): number {
  if (bytes.length < MIN_BYTES) {
    throw new DecodeError(
      'DECODE_MESSAGE_TOO_SHORT',
      `ciphertext serialized bytes were too short <${bytes.length}>`,
    );
  }
  const found = (bytes[0] as number) >>> 4;
  if (found < SENDER_KEY_MESSAGE_VERSION) {
    throw new DecodeError('DECODE_VERSION_TOO_OLD', `ciphertext version was too old <${found}>`);
  }
  if (found > SENDER_KEY_MESSAGE_VERSION) {
    throw new DecodeError(
      'DECODE_VERSION_UNKNOWN',
      `ciphertext version was unrecognized <${found}>`,
    );
  }
  return found;
}

interface Fields {
  id?: Uint8Array;
  chainId?: number;
  iteration?: number;
  first?: Uint8Array;
  second?: Uint8Array;
}

/** Both messages share their first fields: 1 id, 2 chain id, 3 iteration, then one or two byte strings. */
function readFields(bytes: Uint8Array, last: 4 | 5): Fields {
  const fields: Fields = {};
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) fields.id = reader.bytes();
    else if (reader.field === 2) fields.chainId = reader.uint32();
    else if (reader.field === 3) fields.iteration = reader.uint32();
    else if (reader.field === 4) fields.first = reader.bytes();
    else if (reader.field === 5 && last === 5) fields.second = reader.bytes();
    else reader.skip();
  }
  return fields;
}

/**
 * Parse a distribution message. The signing key's type byte is checked by sender-keys.ts.
 *
 * @throws DecodeError `DECODE_MESSAGE_TOO_SHORT`, `DECODE_VERSION_TOO_OLD`, `DECODE_VERSION_UNKNOWN`,
 *   `DECODE_PROTOBUF`. Source: 09 §2.
 */
export function decodeDistributionMessage(bytes: Uint8Array): DistributionMessage {
  const found = version(bytes);
  const { id, chainId, iteration, first, second } = readFields(bytes.subarray(1), 5);
  if (!id || chainId === undefined || iteration === undefined || !first || !second) throw missing();
  if (id.length !== 16 || first.length !== 32 || second.length !== 33) throw missing();
  return {
    version: found,
    distributionId: copyBytes(id),
    chainId,
    iteration,
    chainKey: copyBytes(first),
    signingKey: copyBytes(second),
  };
}

/** Version byte and protobuf. Source: 09 §2. */
export function encodeDistributionMessage(message: DistributionMessage): Bytes {
  return new ProtoWriter(112)
    .raw(new Uint8Array([((message.version & 0xf) << 4) | LOW_NIBBLE]))
    .bytes(1, message.distributionId)
    .uint32(2, message.chainId)
    .uint32(3, message.iteration)
    .bytes(4, message.chainKey)
    .bytes(5, message.signingKey)
    .finish();
}

/**
 * Parse a sender-key message; the signature is not checked.
 *
 * @throws DecodeError as {@link decodeDistributionMessage}. Source: 09 §3.
 */
export function decodeSenderKeyMessage(bytes: Uint8Array): SenderKeyMessage {
  const found = version(bytes);
  const end = bytes.length - SENDER_KEY_SIGNATURE_BYTES;
  const { id, chainId, iteration, first } = readFields(bytes.subarray(1, end), 4);
  if (id?.length !== 16 || chainId === undefined || iteration === undefined || !first) {
    throw missing();
  }
  return {
    version: found,
    distributionId: copyBytes(id),
    chainId,
    iteration,
    ciphertext: copyBytes(first),
    signedBytes: copyBytes(bytes.subarray(0, end)),
    signature: copyBytes(bytes.subarray(end)),
  };
}

/** What the signature covers: version byte and protobuf. The signature follows it. Source: 09 §3. */
export function encodeSenderKeyBody(
  message: Pick<SenderKeyMessage, 'distributionId' | 'chainId' | 'iteration' | 'ciphertext'>,
  messageVersion: number,
): Bytes {
  return new ProtoWriter(message.ciphertext.length + 64)
    .raw(new Uint8Array([((messageVersion & 0xf) << 4) | LOW_NIBBLE]))
    .bytes(1, message.distributionId)
    .uint32(2, message.chainId)
    .uint32(3, message.iteration)
    .bytes(4, message.ciphertext)
    .finish();
}

const EMPTY: Bytes = new Uint8Array(0);

/** A sub-message that occurs twice counts as the two joined. */
function merged(before: Uint8Array | undefined, more: Uint8Array): Uint8Array {
  return before === undefined ? more : concatBytes(before, more);
}

function readSeed(bytes: Uint8Array): SenderSeed {
  let iteration = 0;
  let seed: Uint8Array = EMPTY;
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) iteration = reader.uint32();
    else if (reader.field === 2) seed = reader.bytes();
    else reader.skip();
  }
  return { iteration, seed: copyBytes(seed) };
}

function writeSeed({ iteration, seed }: SenderSeed): Bytes {
  const writer = new ProtoWriter(48);
  if (iteration !== 0) writer.uint32(1, iteration);
  if (seed.length !== 0) writer.bytes(2, seed);
  return writer.finish();
}

function readSigningKey(bytes: Uint8Array): SenderSigningKey {
  let publicKey: Uint8Array = EMPTY;
  let secret: Uint8Array = EMPTY;
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) publicKey = reader.bytes();
    else if (reader.field === 2) secret = reader.bytes();
    else reader.skip();
  }
  return { public: copyBytes(publicKey), secret: copyBytes(secret) };
}

function writeSigningKey(key: SenderSigningKey): Bytes {
  const writer = new ProtoWriter(80);
  if (key.public.length !== 0) writer.bytes(1, key.public);
  if (key.secret.length !== 0) writer.bytes(2, key.secret);
  return writer.finish();
}

function readState(bytes: Uint8Array): SenderKeyState {
  let chainId = 0;
  let messageVersion = 0;
  let chain: Uint8Array | undefined;
  let signing: Uint8Array | undefined;
  const skipped: SenderSeed[] = [];
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) chainId = reader.uint32();
    else if (reader.field === 2) chain = merged(chain, reader.bytes());
    else if (reader.field === 3) signing = merged(signing, reader.bytes());
    else if (reader.field === 4) skipped.push(readSeed(reader.bytes()));
    else if (reader.field === 5) messageVersion = reader.uint32();
    else reader.skip();
  }
  return {
    chainId,
    chain: chain && readSeed(chain),
    signing: signing && readSigningKey(signing),
    skipped,
    messageVersion,
  };
}

function writeState(state: SenderKeyState): Bytes {
  const writer = new ProtoWriter(160 + 40 * state.skipped.length);
  if (state.chainId !== 0) writer.uint32(1, state.chainId);
  if (state.chain) writer.bytes(2, writeSeed(state.chain));
  if (state.signing) writer.bytes(3, writeSigningKey(state.signing));
  for (const seed of state.skipped) writer.bytes(4, writeSeed(seed));
  if (state.messageVersion !== 0) writer.uint32(5, state.messageVersion);
  return writer.finish();
}

/**
 * Parse a stored record. Only the protobuf is checked; empty bytes are a record without states.
 *
 * @throws DecodeError `DECODE_PROTOBUF`. Source: 09 §5.
 */
export function decodeSenderKeyRecord(bytes: Uint8Array): SenderKeyRecord {
  const states: SenderKeyState[] = [];
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) states.push(readState(reader.bytes()));
    else reader.skip();
  }
  return redacted({ states });
}

/** Canonical bytes of a record. Source: 09 §5. */
export function encodeSenderKeyRecord(record: SenderKeyRecord): Bytes {
  const writer = new ProtoWriter(256);
  for (const state of record.states) writer.bytes(1, writeState(state));
  return writer.finish();
}
