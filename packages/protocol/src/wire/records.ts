/**
 * 11 Wire. Stored session records: one structure per session, one record per address.
 *
 * Byte for byte what compatible implementations store, so records can be imported and exported. A part
 * whose length is wrong is kept as `Damaged` and only matters when it is needed: a session with a broken
 * root key can still send.
 */
import { copyBytes, type Bytes } from '../bytes.js';
import type {
  MessageKeySource,
  ReceiverChain,
  SenderChain,
  SkippedKey,
  SkippedKeys,
} from '../double-ratchet.js';
import { DecodeError, QasidError, StateError } from '../errors.js';
import {
  toChainKey,
  toMessageKeySeed,
  toPrivateKey,
  toPublicKey,
  toRootKey,
  type PublicKey,
  type RootKey,
} from '../types.js';
import { BackwardWriter } from './protobuf-backward.js';
import { ProtoReader, ProtoWriter } from './protobuf.js';

/** Part of a stored session that does not have its form. Kept, so that storing again loses nothing. */
export class Damaged {
  readonly raw: Bytes;
  constructor(raw: Bytes) {
    this.raw = raw;
  }
}

/** A part as found in storage. */
export type Stored<Part> = Part | Damaged;

/**
 * The sound form of a stored part.
 *
 * @throws StateError `STATE_INVALID_SESSION` when it is missing or damaged.
 */
export function sound<Part>(part: Stored<Part> | undefined, what: string): Part {
  if (part === undefined) throw new StateError('STATE_INVALID_SESSION', `missing ${what}`);
  if (part instanceof Damaged) throw new StateError('STATE_INVALID_SESSION', `invalid ${what}`);
  return part;
}

/** What the initiator repeats in every message until the first answer. */
export interface PendingPreKey {
  readonly preKeyId: number | undefined;
  readonly signedPreKeyId: number;
  readonly baseKey: Stored<PublicKey>;
  /** When the session was made, whole seconds since 1970, rounded down. */
  readonly createdAtSeconds: number;
}

/** The KEM part of `PendingPreKey`. */
export interface PendingKemPreKey {
  readonly kemPreKeyId: number;
  readonly ciphertext: Bytes;
}

/** One session. `Spqr` is bytes on disk and a lazily decoded state in memory. */
export interface SessionStructure<Spqr = Bytes> {
  /** 4; older sessions may be imported. */
  readonly version: number;
  readonly localIdentity: Stored<PublicKey>;
  readonly remoteIdentity: Stored<PublicKey>;
  readonly rootKey: Stored<RootKey>;
  readonly previousCounter: number;
  readonly sender: Stored<SenderChain> | undefined;
  /** Oldest first. */
  readonly receivers: readonly Stored<ReceiverChain>[];
  readonly pendingPreKey: PendingPreKey | undefined;
  readonly pendingKemPreKey: PendingKemPreKey | undefined;
  readonly remoteRegistrationId: number;
  readonly localRegistrationId: number;
  /** Initiator's base key, 33 bytes, the same on both sides. Names the session. */
  readonly baseKey: Bytes;
  readonly spqr: Spqr;
}

/** Everything kept for one address: at most one current session, and older ones as bytes, newest first. */
export interface RecordStructure<Spqr = Bytes> {
  readonly current: SessionStructure<Spqr> | undefined;
  readonly archived: readonly Bytes[];
}

const EMPTY: Bytes = new Uint8Array(0);

/** `make` of a copy of `bytes`, or the damaged bytes. */
function stored<Part>(bytes: Uint8Array, make: (bytes: Bytes) => Part): Stored<Part> {
  const copy = copyBytes(bytes);
  try {
    return make(copy);
  } catch (error) {
    if (error instanceof QasidError) return new Damaged(copy);
    throw error;
  }
}

/**
 * Parse one encoded session.
 *
 * @throws DecodeError `DECODE_PROTOBUF`. Wrong lengths are not errors here: see `Damaged`.
 *
 * Source: 11 §6.
 */
export function decodeSessionStructure(bytes: Uint8Array): SessionStructure {
  let version = 0;
  let localIdentity: Uint8Array = EMPTY;
  let remoteIdentity: Uint8Array = EMPTY;
  let rootKey: Uint8Array = EMPTY;
  let previousCounter = 0;
  let sender: Stored<SenderChain> | undefined;
  const receivers: Stored<ReceiverChain>[] = [];
  let pendingPreKey: PendingPreKey | undefined;
  let pendingKemPreKey: PendingKemPreKey | undefined;
  let remoteRegistrationId = 0;
  let localRegistrationId = 0;
  let baseKey: Uint8Array = EMPTY;
  let spqr: Uint8Array = EMPTY;
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) version = reader.uint32();
    else if (reader.field === 2) localIdentity = reader.bytes();
    else if (reader.field === 3) remoteIdentity = reader.bytes();
    else if (reader.field === 4) rootKey = reader.bytes();
    else if (reader.field === 5) previousCounter = reader.uint32();
    else if (reader.field === 6) sender = decodeSenderChain(reader.bytes());
    else if (reader.field === 7) receivers.push(decodeReceiverChain(reader.bytes()));
    else if (reader.field === 9) pendingPreKey = decodePendingPreKey(reader.bytes());
    else if (reader.field === 10) remoteRegistrationId = reader.uint32();
    else if (reader.field === 11) localRegistrationId = reader.uint32();
    else if (reader.field === 13) baseKey = reader.bytes();
    else if (reader.field === 14) pendingKemPreKey = decodePendingKemPreKey(reader.bytes());
    else if (reader.field === 15) spqr = reader.bytes();
    else reader.skip();
  }
  return {
    version,
    localIdentity: stored(localIdentity, toPublicKey),
    remoteIdentity: stored(remoteIdentity, toPublicKey),
    rootKey: stored(rootKey, toRootKey),
    previousCounter,
    sender,
    receivers,
    pendingPreKey,
    pendingKemPreKey,
    remoteRegistrationId,
    localRegistrationId,
    baseKey: copyBytes(baseKey),
    spqr: copyBytes(spqr),
  };
}

/** Writes the SPQR state of a session, or nothing when it is empty. */
export type WriteSpqr<Spqr> = (writer: BackwardWriter, spqr: Spqr) => void;

/** For sessions as they are on disk. */
export const writeSpqrBytes: WriteSpqr<Bytes> = (writer, spqr) => {
  writer.raw(spqr);
};

/** Canonical: ascending fields, proto3 defaults left out. Source: 11 §6. */
export function encodeSessionStructure<Spqr>(
  session: SessionStructure<Spqr>,
  writeSpqr: WriteSpqr<Spqr>,
): Bytes {
  return encoded((writer) => writeSession(writer, session, writeSpqr));
}

/** Backwards, like everything that is stored with each message: see protobuf-backward.ts. */
function writeSession<Spqr>(
  writer: BackwardWriter,
  session: SessionStructure<Spqr>,
  writeSpqr: WriteSpqr<Spqr>,
): void {
  const end = writer.length;
  writeSpqr(writer, session.spqr);
  if (writer.length > end) writer.message(15, end);
  const { pendingPreKey, pendingKemPreKey, sender, receivers } = session;
  if (pendingKemPreKey !== undefined) {
    const pendingEnd = writer.length;
    writer.bytesUnlessEmpty(2, pendingKemPreKey.ciphertext);
    writer.uint(1, pendingKemPreKey.kemPreKeyId).message(14, pendingEnd);
  }
  writer.bytesUnlessEmpty(13, session.baseKey);
  writer.uint(11, session.localRegistrationId).uint(10, session.remoteRegistrationId);
  if (pendingPreKey !== undefined) writer.bytes(9, encodePendingPreKey(pendingPreKey));
  for (let i = receivers.length - 1; i >= 0; i--) {
    const receiver = receivers[i];
    if (receiver === undefined) continue;
    const chainEnd = writer.length;
    writeReceiverChain(writer, receiver);
    writer.message(7, chainEnd);
  }
  if (sender !== undefined) {
    const chainEnd = writer.length;
    writeSenderChain(writer, sender);
    writer.message(6, chainEnd);
  }
  writer.uint(5, session.previousCounter);
  writer.bytesUnlessEmpty(4, rawOf(session.rootKey));
  writer.bytesUnlessEmpty(3, rawOf(session.remoteIdentity));
  writer.bytesUnlessEmpty(2, rawOf(session.localIdentity));
  writer.uint(1, session.version);
}

/**
 * Parse a record. Empty input is the empty record.
 *
 * @throws DecodeError `DECODE_SESSION_RECORD`.
 *
 * Source: 11 §6. Vectors: sessions/records.json.
 */
export function decodeRecordStructure(bytes: Uint8Array): RecordStructure {
  try {
    let current: SessionStructure | undefined;
    const archived: Bytes[] = [];
    const reader = new ProtoReader(bytes);
    while (reader.next()) {
      if (reader.field === 1) current = decodeSessionStructure(reader.bytes());
      else if (reader.field === 2) archived.push(copyBytes(reader.bytes()));
      else reader.skip();
    }
    return { current, archived };
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    throw new DecodeError('DECODE_SESSION_RECORD', 'failed to decode session record protobuf', {
      cause,
    });
  }
}

/** Canonical; the empty record has no bytes. Source: 11 §6. */
export function encodeRecordStructure<Spqr>(
  record: RecordStructure<Spqr>,
  writeSpqr: WriteSpqr<Spqr>,
): Bytes {
  const { current, archived } = record;
  return encoded((writer) => {
    for (let i = archived.length - 1; i >= 0; i--) writer.bytes(2, archived[i] ?? EMPTY);
    if (current === undefined) return;
    const end = writer.length;
    writeSession(writer, current, writeSpqr);
    writer.message(1, end);
  });
}

/** Write with the one scratch writer; `finish()` wipes it, also when writing fails. */
function encoded(write: (writer: BackwardWriter) => void): Bytes {
  try {
    write(scratch);
  } catch (error) {
    scratch.finish();
    throw error;
  }
  return scratch.finish();
}

/** One for all records: nothing here yields between the first byte and `finish()`. */
const scratch = new BackwardWriter(16_384);

interface RawChain {
  readonly ratchetKey: Uint8Array;
  readonly ratchetSecret: Uint8Array;
  readonly key: Uint8Array;
  readonly index: number;
  readonly skipped: SkippedKeys;
}

function decodeChain(bytes: Uint8Array): RawChain {
  let ratchetKey: Uint8Array = EMPTY;
  let ratchetSecret: Uint8Array = EMPTY;
  let key: Uint8Array = EMPTY;
  let index = 0;
  const skipped: SkippedKey[] = [];
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) ratchetKey = reader.bytes();
    else if (reader.field === 2) ratchetSecret = reader.bytes();
    else if (reader.field === 3) {
      key = EMPTY;
      index = 0;
      const chainKey = new ProtoReader(reader.bytes());
      while (chainKey.next()) {
        if (chainKey.field === 1) index = chainKey.uint32();
        else if (chainKey.field === 2) key = chainKey.bytes();
        else chainKey.skip();
      }
    } else if (reader.field === 4) skipped.push(decodeSkippedKey(reader.bytes()));
    else reader.skip();
  }
  return { ratchetKey, ratchetSecret, key, index, skipped };
}

function decodeSenderChain(bytes: Uint8Array): Stored<SenderChain> {
  const raw = decodeChain(bytes);
  return stored(bytes, () => ({
    ratchetKey: {
      public: toPublicKey(copyBytes(raw.ratchetKey)),
      secret: toPrivateKey(copyBytes(raw.ratchetSecret)),
    },
    chain: { key: toChainKey(copyBytes(raw.key)), index: raw.index },
  }));
}

function decodeReceiverChain(bytes: Uint8Array): Stored<ReceiverChain> {
  const raw = decodeChain(bytes);
  return stored(bytes, () => ({
    theirRatchetKey: toPublicKey(copyBytes(raw.ratchetKey)),
    chain: { key: toChainKey(copyBytes(raw.key)), index: raw.index },
    skipped: raw.skipped,
  }));
}

function writeSenderChain(writer: BackwardWriter, sender: Stored<SenderChain>): void {
  if (sender instanceof Damaged) {
    writer.raw(sender.raw);
    return;
  }
  writeChainKey(writer, sender.chain);
  writer.bytes(2, sender.ratchetKey.secret).bytes(1, sender.ratchetKey.public);
}

function writeReceiverChain(writer: BackwardWriter, receiver: Stored<ReceiverChain>): void {
  if (receiver instanceof Damaged) {
    writer.raw(receiver.raw);
    return;
  }
  writer.raw(encodeSkippedKeys(receiver.skipped));
  writeChainKey(writer, receiver.chain);
  writer.bytes(1, receiver.theirRatchetKey);
}

function writeChainKey(writer: BackwardWriter, chain: SenderChain['chain']): void {
  const end = writer.length;
  writer.bytes(2, chain.key).uint(1, chain.index).message(3, end);
}

/**
 * Encodings of skipped-key lists, which stay the same over many messages and may be 80 kB long. They are
 * secret: `forgetSkippedKeys` hands one over when its list is replaced.
 */
const skippedKeyEncodings = new WeakMap<SkippedKeys, Bytes>();

function encodeSkippedKeys(skipped: SkippedKeys): Bytes {
  if (skipped.length === 0) return EMPTY;
  const known = skippedKeyEncodings.get(skipped);
  if (known !== undefined) return known;
  const writer = new ProtoWriter(skipped.length * 48);
  const entry = new ProtoWriter(160);
  for (const { index, source } of skipped) {
    uint32Unless0(entry, 1, index);
    if (source.kind === 'seed') entry.bytes(5, source.seed);
    else entry.bytes(2, source.cipherKey).bytes(3, source.macKey).bytes(4, source.iv);
    wiping(writer, 4, entry.finish());
  }
  const encoded = writer.finish();
  skippedKeyEncodings.set(skipped, encoded);
  return encoded;
}

/** The remembered encoding of a list that is being replaced, to be wiped with its keys. */
export function forgetSkippedKeys(skipped: SkippedKeys): readonly Bytes[] {
  const encoded = skippedKeyEncodings.get(skipped);
  skippedKeyEncodings.delete(skipped);
  return encoded === undefined ? [] : [encoded];
}

function decodeSkippedKey(bytes: Uint8Array): SkippedKey {
  let index = 0;
  let cipherKey: Uint8Array = EMPTY;
  let macKey: Uint8Array = EMPTY;
  let iv: Uint8Array = EMPTY;
  let seed: Uint8Array = EMPTY;
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) index = reader.uint32();
    else if (reader.field === 2) cipherKey = reader.bytes();
    else if (reader.field === 3) macKey = reader.bytes();
    else if (reader.field === 4) iv = reader.bytes();
    else if (reader.field === 5) seed = reader.bytes();
    else reader.skip();
  }
  const source: MessageKeySource =
    seed.length === 32
      ? { kind: 'seed', seed: toMessageKeySeed(copyBytes(seed)) }
      : {
          kind: 'finished',
          cipherKey: copyBytes(cipherKey),
          macKey: copyBytes(macKey),
          iv: copyBytes(iv),
        };
  return { index, source };
}

function decodePendingPreKey(bytes: Uint8Array): PendingPreKey {
  let preKeyId: number | undefined;
  let baseKey: Uint8Array = EMPTY;
  let signedPreKeyId = 0;
  let createdAtSeconds = 0;
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) preKeyId = reader.uint32();
    else if (reader.field === 2) baseKey = reader.bytes();
    else if (reader.field === 3) signedPreKeyId = reader.uint32();
    else if (reader.field === 4) createdAtSeconds = reader.uint64();
    else reader.skip();
  }
  return { preKeyId, signedPreKeyId, baseKey: stored(baseKey, toPublicKey), createdAtSeconds };
}

function encodePendingPreKey(pending: PendingPreKey): Bytes {
  const writer = new ProtoWriter(80);
  // Explicit presence: prekey id 0 is a real id and is written.
  if (pending.preKeyId !== undefined) writer.uint32(1, pending.preKeyId);
  bytesUnlessEmpty(writer, 2, rawOf(pending.baseKey));
  if (pending.signedPreKeyId !== 0) writer.int32(3, pending.signedPreKeyId);
  if (pending.createdAtSeconds !== 0) writer.uint64(4, pending.createdAtSeconds);
  return writer.finish();
}

function decodePendingKemPreKey(bytes: Uint8Array): PendingKemPreKey {
  let kemPreKeyId = 0;
  let ciphertext: Uint8Array = EMPTY;
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) kemPreKeyId = reader.uint32();
    else if (reader.field === 2) ciphertext = reader.bytes();
    else reader.skip();
  }
  return { kemPreKeyId, ciphertext: copyBytes(ciphertext) };
}

function rawOf(part: Stored<Uint8Array>): Uint8Array {
  return part instanceof Damaged ? part.raw : part;
}

function uint32Unless0(writer: ProtoWriter, field: number, value: number): void {
  if (value !== 0) writer.uint32(field, value);
}

function bytesUnlessEmpty(writer: ProtoWriter, field: number, value: Uint8Array): void {
  if (value.length > 0) writer.bytes(field, value);
}

/** Write a sub-message that holds secrets and was made for this purpose, then wipe it. */
function wiping(writer: ProtoWriter, field: number, encoded: Bytes): ProtoWriter {
  writer.bytes(field, encoded);
  encoded.fill(0);
  return writer;
}
