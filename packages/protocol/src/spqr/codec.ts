/**
 * 06 SPQR §10. The stored form of the state: canonical protobuf, byte-identical with compatible peers.
 *
 * This file has the outer message, the negotiation data and the chain; codec-braid.ts the eleven states.
 * Everything is checked here, once: what decodes is a state that some run of the protocol could be in.
 */
import { copyBytes, type Bytes } from '../bytes.js';
import { DecodeError } from '../errors.js';
import { SPQR_MAX_JUMP, SPQR_MAX_OUT_OF_ORDER_KEYS } from '../limits.js';
import { ProtoReader } from '../wire/protobuf.js';
import { BackwardWriter } from '../wire/protobuf-backward.js';
import {
  SKIPPED_RECORD_BYTES,
  type ChainHalf,
  type ChainLink,
  type ChainParameters,
  type Direction,
  type SpqrChain,
} from './chain.js';
import { decodeBraid, writeBraid } from './codec-braid.js';
import { stateDecodeError, SpqrDecodeError } from './errors.js';
import {
  EMPTY_SPQR_STATE,
  toSpqrState,
  type Braid,
  type Negotiation,
  type SpqrState,
} from './states.js';

/**
 * The state in `bytes`; nothing of `bytes` is kept. The empty string is version 0.
 *
 * @throws DecodeError `DECODE_SPQR_STATE` for everything that no run of the protocol writes.
 * Source: 06 §10. Vectors: spqr/conversation-*.json.
 */
export function decodeSpqrState(bytes: Uint8Array): SpqrState {
  if (bytes.length === 0) return EMPTY_SPQR_STATE;
  return asStateError(() => {
    let negotiation: Negotiation | undefined;
    let chain: SpqrChain | undefined;
    let braid: Braid | undefined;
    const reader = new ProtoReader(bytes);
    while (reader.next()) {
      if (reader.field === 1) negotiation = decodeNegotiation(reader.bytes());
      else if (reader.field === 2) chain = decodeFields(reader.bytes());
      else if (reader.field === 3) braid = decodeBraid(reader.bytes());
      else reader.skip();
    }
    if (braid !== undefined && chain !== undefined) checkEpochs(braid, chain);
    return toSpqrState({ negotiation, chain, braid });
  });
}

/** The stored form of `state`, a fresh array that holds secrets. Source: 06 §10. */
export function encodeSpqrState(state: SpqrState): Bytes {
  return encoded((writer) => writeSpqrState(writer, state));
}

/** The chain alone. @throws DecodeError `DECODE_SPQR_STATE`. Source: 06 §10.2. */
export function decodeChain(bytes: Uint8Array): SpqrChain {
  return asStateError(() => decodeFields(bytes));
}

/** The chain alone. Source: 06 §10.2. */
export function encodeChain(chain: SpqrChain): Bytes {
  return encoded((writer) => writeChain(writer, chain));
}

/** `encodeSpqrState` straight into the record around it. Writes nothing for version 0. */
export function writeSpqrState(writer: BackwardWriter, state: SpqrState): void {
  const { negotiation, chain, braid } = state;
  if (braid !== undefined) {
    const end = writer.length;
    writeBraid(writer, braid);
    writer.message(3, end);
  }
  if (chain !== undefined) {
    const end = writer.length;
    writeChain(writer, chain);
    writer.message(2, end);
  }
  if (negotiation !== undefined) {
    const end = writer.length;
    writeParameters(writer, 4, negotiation.parameters);
    writer.uint(3, negotiation.minVersion);
    writer.uint(2, negotiation.direction === 'a2b' ? 0 : 1);
    writer.bytesUnlessEmpty(1, negotiation.authKey);
    writer.message(1, end);
  }
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

function decodeNegotiation(bytes: Uint8Array): Negotiation {
  let authKey: Bytes = EMPTY;
  let direction = 0;
  let minVersion = 0;
  let parameters: ChainParameters | undefined;
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) authKey = copyBytes(reader.bytes());
    else if (reader.field === 2) direction = reader.uint32();
    else if (reader.field === 3) minVersion = reader.uint32();
    else if (reader.field === 4) parameters = decodeParameters(reader.bytes());
    else reader.skip();
  }
  if (authKey.length !== 32) throw stateDecodeError('length of the authentication key');
  if (parameters === undefined) throw stateDecodeError('negotiation without chain parameters');
  return { authKey, direction: toDirection(direction), minVersion, parameters };
}

function decodeFields(bytes: Uint8Array): SpqrChain {
  let direction = 0;
  let currentEpoch = 0;
  let sendEpoch = 0;
  let nextRoot: Bytes = EMPTY;
  let parameters: ChainParameters | undefined;
  const links: ChainLink[] = [];
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) direction = reader.uint32();
    else if (reader.field === 2) currentEpoch = reader.uint64();
    else if (reader.field === 3) links.push(decodeLink(reader.bytes()));
    else if (reader.field === 4) nextRoot = copyBytes(reader.bytes());
    else if (reader.field === 5) sendEpoch = reader.uint64();
    else if (reader.field === 6) parameters = decodeParameters(reader.bytes());
    else reader.skip();
  }
  if (nextRoot.length !== 32) throw stateDecodeError('length of the next root');
  if (parameters === undefined) throw stateDecodeError('chain without parameters');
  if (links.length > currentEpoch + 1) throw stateDecodeError('more links than epochs');
  return {
    direction: toDirection(direction),
    currentEpoch,
    sendEpoch,
    nextRoot,
    links,
    ...parameters,
  };
}

function decodeLink(bytes: Uint8Array): ChainLink {
  let send: ChainHalf | undefined;
  let receive: ChainHalf | undefined;
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) send = decodeHalf(reader.bytes());
    else if (reader.field === 2) receive = decodeHalf(reader.bytes());
    else reader.skip();
  }
  if (send === undefined || receive === undefined) throw stateDecodeError('link without a half');
  if (receive.next === undefined) throw stateDecodeError('receive half without a chain value');
  return { send, receive };
}

function decodeHalf(bytes: Uint8Array): ChainHalf {
  let counter = 0;
  let next: Bytes | undefined;
  let skipped: Bytes = EMPTY;
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) counter = reader.uint32();
    else if (reader.field === 2) next = copyBytes(reader.bytes());
    else if (reader.field === 3) skipped = copyBytes(reader.bytes());
    else reader.skip();
  }
  if (next?.length === 0) next = undefined;
  if (next !== undefined && next.length !== 32) throw stateDecodeError('length of a chain value');
  if (skipped.length % SKIPPED_RECORD_BYTES !== 0) throw stateDecodeError('length of skipped keys');
  return { counter, next, skipped };
}

function decodeParameters(bytes: Uint8Array): ChainParameters {
  let maxJump = 0;
  let maxOutOfOrderKeys = 0;
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) maxJump = reader.uint32();
    else if (reader.field === 2) maxOutOfOrderKeys = reader.uint32();
    else reader.skip();
  }
  return {
    maxJump: maxJump === 0 ? SPQR_MAX_JUMP : maxJump,
    maxOutOfOrderKeys: maxOutOfOrderKeys === 0 ? SPQR_MAX_OUT_OF_ORDER_KEYS : maxOutOfOrderKeys,
  };
}

function writeChain(writer: BackwardWriter, chain: SpqrChain): void {
  writeParameters(writer, 6, chain);
  writer.uint(5, chain.sendEpoch);
  writer.bytesUnlessEmpty(4, chain.nextRoot);
  for (let i = chain.links.length - 1; i >= 0; i--) {
    const { send, receive } = chain.links[i] as ChainLink;
    const end = writer.length;
    writeHalf(writer, 2, receive);
    writeHalf(writer, 1, send);
    writer.message(3, end);
  }
  writer.uint(2, chain.currentEpoch);
  writer.uint(1, chain.direction === 'a2b' ? 0 : 1);
}

function writeHalf(writer: BackwardWriter, field: number, half: ChainHalf): void {
  const end = writer.length;
  writer.bytesUnlessEmpty(3, half.skipped);
  if (half.next !== undefined) writer.bytes(2, half.next);
  writer.uint(1, half.counter);
  writer.message(field, end);
}

/** Defaults are stored as 0, that is, left out. §9.5. */
function writeParameters(writer: BackwardWriter, field: number, p: ChainParameters): void {
  const end = writer.length;
  const { maxJump, maxOutOfOrderKeys } = p;
  writer.uint(2, maxOutOfOrderKeys === SPQR_MAX_OUT_OF_ORDER_KEYS ? 0 : maxOutOfOrderKeys);
  writer.uint(1, maxJump === SPQR_MAX_JUMP ? 0 : maxJump);
  writer.message(field, end);
}

/**
 * The chain has the epoch before the braid's, or the same once this side has encapsulated. With any other
 * a later step would find no place for its secret.
 */
function checkEpochs(braid: Braid, chain: SpqrChain): void {
  const encapsulated =
    braid.kind === 'Ct1Sampled' ||
    braid.kind === 'EkReceivedCt1Sampled' ||
    braid.kind === 'Ct1Acknowledged' ||
    braid.kind === 'Ct2Sampled';
  if (chain.currentEpoch !== (encapsulated ? braid.epoch : braid.epoch - 1)) {
    throw stateDecodeError('epochs of braid and chain');
  }
}

function toDirection(value: number): Direction {
  if (value > 1) throw stateDecodeError('direction');
  return value === 0 ? 'a2b' : 'b2a';
}

/** Protobuf errors inside a state are errors of the state. */
function asStateError<Result>(decode: () => Result): Result {
  try {
    return decode();
  } catch (cause) {
    if (cause instanceof DecodeError && !(cause instanceof SpqrDecodeError)) {
      throw stateDecodeError('protobuf', { cause });
    }
    throw cause;
  }
}

const EMPTY: Bytes = new Uint8Array(0);
/** One for all states: nothing here yields between the first byte and `finish()`. */
const scratch = new BackwardWriter(8192);
