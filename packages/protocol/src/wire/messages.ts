/**
 * 11 Wire. The two message formats: version byte, protobuf, and for a SignalMessage its MAC.
 *
 * Parsing checks form only, in the order of 11 §3; keys, MACs and addresses are the chapters' work. What
 * the MAC covers is kept exactly as received, since a re-encoding would drop fields we do not know.
 */
import { concatBytes, copyBytes, type Bytes } from '../bytes.js';
import { DecodeError } from '../errors.js';
import { MESSAGE_MAC_BYTES, MESSAGE_VERSION, MESSAGE_VERSION_MIN } from '../limits.js';
import { toPublicKey, type PublicKey } from '../types.js';
import { ProtoReader, ProtoWriter } from './protobuf.js';

/** Type numbers of messages between two addresses. */
export const MESSAGE_TYPE_SIGNAL = 2;
/** A message that also carries the handshake. */
export const MESSAGE_TYPE_PREKEY = 3;

/** A message of an established session (type 2), or the inner message of a prekey message. */
export interface SignalMessage {
  /** 3 or 4. */
  readonly version: number;
  readonly ratchetKey: PublicKey;
  readonly counter: number;
  readonly previousCounter: number;
  readonly ciphertext: Bytes;
  /** Empty when absent. */
  readonly spqr: Bytes;
  /** The addresses both ends have in mind; empty and absent are different. */
  readonly addresses: Bytes | undefined;
  /** Version byte and protobuf, as sent: what the MAC covers. */
  readonly authenticated: Bytes;
  /** 8 bytes. */
  readonly mac: Bytes;
}

/** A message that also carries the handshake (type 3). */
export interface PreKeySignalMessage {
  /** 3 or 4. */
  readonly version: number;
  /** 0 to 2^32 - 1; 0 when the field is absent. Not authenticated. */
  readonly registrationId: number;
  readonly preKeyId: number | undefined;
  readonly signedPreKeyId: number;
  /** Both or neither; never neither in version 4. The ciphertext's form is checked when it is used. */
  readonly kem: { readonly preKeyId: number; readonly ciphertext: Bytes } | undefined;
  readonly baseKey: PublicKey;
  readonly identityKey: PublicKey;
  readonly message: SignalMessage;
}

function checkVersion(bytes: Uint8Array): number {
  const version = (bytes[0] as number) >> 4;
  if (version < MESSAGE_VERSION_MIN) {
    throw new DecodeError('DECODE_VERSION_TOO_OLD', `ciphertext version was too old <${version}>`);
  }
  if (version > MESSAGE_VERSION) {
    throw new DecodeError(
      'DECODE_VERSION_UNKNOWN',
      `ciphertext version was unrecognized <${version}>`,
    );
  }
  return version;
}

function tooShort(length: number): DecodeError {
  return new DecodeError(
    'DECODE_MESSAGE_TOO_SHORT',
    `ciphertext serialized bytes were too short <${length}>`,
  );
}

function missing(field: string): DecodeError {
  return new DecodeError('DECODE_PROTOBUF', `protobuf encoding was invalid: no ${field}`);
}

/**
 * Parse a SignalMessage. Copies what it keeps.
 *
 * @throws DecodeError, tested in this order: `DECODE_MESSAGE_TOO_SHORT` below 9 bytes,
 * `DECODE_VERSION_TOO_OLD`, `DECODE_VERSION_UNKNOWN`, `DECODE_PROTOBUF` also for a missing required field,
 * `DECODE_KEY_TYPE` or `DECODE_KEY_LENGTH` of the ratchet key.
 *
 * Source: 11 §3. Vectors: sessions/errors.json (whisperCases).
 */
export function decodeSignalMessage(bytes: Uint8Array): SignalMessage {
  if (bytes.length < 1 + MESSAGE_MAC_BYTES) throw tooShort(bytes.length);
  const version = checkVersion(bytes);
  const end = bytes.length - MESSAGE_MAC_BYTES;
  const authenticated = copyBytes(bytes.subarray(0, end));
  let ratchetKey: Uint8Array | undefined;
  let counter: number | undefined;
  let previousCounter = 0;
  let ciphertext: Uint8Array | undefined;
  let spqr: Uint8Array | undefined;
  let addresses: Uint8Array | undefined;
  const reader = new ProtoReader(authenticated.subarray(1));
  while (reader.next()) {
    if (reader.field === 1) ratchetKey = reader.bytes();
    else if (reader.field === 2) counter = reader.uint32();
    else if (reader.field === 3) previousCounter = reader.uint32();
    else if (reader.field === 4) ciphertext = reader.bytes();
    else if (reader.field === 5) spqr = reader.bytes();
    else if (reader.field === 6) addresses = reader.bytes();
    else reader.skip();
  }
  if (ratchetKey === undefined) throw missing('ratchet key');
  if (counter === undefined) throw missing('counter');
  if (ciphertext === undefined) throw missing('ciphertext');
  return {
    version,
    ratchetKey: toPublicKey(copyBytes(ratchetKey)),
    counter,
    previousCounter,
    ciphertext: copyBytes(ciphertext),
    spqr: spqr === undefined ? new Uint8Array(0) : copyBytes(spqr),
    addresses: addresses === undefined ? undefined : copyBytes(addresses),
    authenticated,
    mac: copyBytes(bytes.subarray(end)),
  };
}

/**
 * Version byte and protobuf of a SignalMessage: what its MAC covers. `spqr` is left out when empty.
 *
 * Source: 11 §2.
 */
export function encodeSignalMessageBody(
  message: Omit<SignalMessage, 'authenticated' | 'mac'>,
): Bytes {
  const { spqr, addresses } = message;
  const writer = new ProtoWriter(message.ciphertext.length + spqr.length + 128)
    .raw(versionByte(message.version))
    .bytes(1, message.ratchetKey)
    .uint32(2, message.counter)
    .uint32(3, message.previousCounter)
    .bytes(4, message.ciphertext);
  if (spqr.length > 0) writer.bytes(5, spqr);
  if (addresses !== undefined) writer.bytes(6, addresses);
  return writer.finish();
}

// The low nibble says which version we speak at best. Nobody checks it, but the MAC covers it.
function versionByte(version: number): Bytes {
  return new Uint8Array([(version << 4) | MESSAGE_VERSION]);
}

/** A SignalMessage as it travels. */
export function encodeSignalMessage(message: Pick<SignalMessage, 'authenticated' | 'mac'>): Bytes {
  return concatBytes(message.authenticated, message.mac);
}

/**
 * Parse a PreKeySignalMessage and the SignalMessage in it. Copies what it keeps.
 *
 * @throws DecodeError, tested in this order: `DECODE_MESSAGE_TOO_SHORT` when empty,
 * `DECODE_VERSION_TOO_OLD`, `DECODE_VERSION_UNKNOWN`, `DECODE_PROTOBUF` also for a missing required field,
 * key errors of the base key, `DECODE_PREKEY_MESSAGE` when only one KEM field is there or when neither is
 * in version 4, key errors of the identity key, errors of the inner message.
 *
 * Source: 11 §4. Vectors: sessions/errors.json.
 */
export function decodePreKeySignalMessage(bytes: Uint8Array): PreKeySignalMessage {
  if (bytes.length === 0) throw tooShort(0);
  const version = checkVersion(bytes);
  let preKeyId: number | undefined;
  let baseKeyBytes: Uint8Array | undefined;
  let identityKeyBytes: Uint8Array | undefined;
  let inner: Uint8Array | undefined;
  let registrationId = 0;
  let signedPreKeyId: number | undefined;
  let kemPreKeyId: number | undefined;
  let kemCiphertext: Uint8Array | undefined;
  const reader = new ProtoReader(bytes.subarray(1));
  while (reader.next()) {
    if (reader.field === 1) preKeyId = reader.uint32();
    else if (reader.field === 2) baseKeyBytes = reader.bytes();
    else if (reader.field === 3) identityKeyBytes = reader.bytes();
    else if (reader.field === 4) inner = reader.bytes();
    else if (reader.field === 5) registrationId = reader.uint32();
    else if (reader.field === 6) signedPreKeyId = reader.uint32();
    else if (reader.field === 7) kemPreKeyId = reader.uint32();
    else if (reader.field === 8) kemCiphertext = reader.bytes();
    else reader.skip();
  }
  if (baseKeyBytes === undefined) throw missing('base key');
  if (identityKeyBytes === undefined) throw missing('identity key');
  if (inner === undefined) throw missing('message');
  if (signedPreKeyId === undefined) throw missing('signed prekey id');
  const baseKey = toPublicKey(copyBytes(baseKeyBytes));
  let kem: PreKeySignalMessage['kem'];
  if (kemPreKeyId !== undefined && kemCiphertext !== undefined) {
    kem = { preKeyId: kemPreKeyId, ciphertext: copyBytes(kemCiphertext) };
  } else if (kemPreKeyId !== undefined || kemCiphertext !== undefined) {
    throw new DecodeError(
      'DECODE_PREKEY_MESSAGE',
      'both or neither of KEM prekey id and KEM ciphertext can be present',
    );
  } else if (version >= MESSAGE_VERSION) {
    // ATK-B02: stripping the KEM fields must not give a session without them.
    throw new DecodeError(
      'DECODE_PREKEY_MESSAGE',
      'KEM prekey must be present for this message version',
    );
  }
  return {
    version,
    registrationId,
    preKeyId,
    signedPreKeyId,
    kem,
    baseKey,
    identityKey: toPublicKey(copyBytes(identityKeyBytes)),
    message: decodeSignalMessage(inner),
  };
}

/** A PreKeySignalMessage as it travels. Source: 11 §4. */
export function encodePreKeySignalMessage(message: PreKeySignalMessage): Bytes {
  const inner = encodeSignalMessage(message.message);
  const writer = new ProtoWriter(inner.length + 1800).raw(versionByte(message.version));
  if (message.preKeyId !== undefined) writer.uint32(1, message.preKeyId);
  writer
    .bytes(2, message.baseKey)
    .bytes(3, message.identityKey)
    .bytes(4, inner)
    .uint32(5, message.registrationId)
    .uint32(6, message.signedPreKeyId);
  if (message.kem !== undefined) {
    writer.uint32(7, message.kem.preKeyId).bytes(8, message.kem.ciphertext);
  }
  return writer.finish();
}
