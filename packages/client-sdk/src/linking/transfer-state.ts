/**
 * 20 Linking §6. Where a transfer between two devices stands, on either side: stored, so that it goes on after
 * a crash.
 */
import { ProtoWriter, type Bytes } from '@qasid/protocol';

import { Fields } from '../content/fields.js';

/** On the device that sends. Secret. */
export interface Departure {
  readonly id: Bytes;
  readonly key: Bytes;
  /** The new device. */
  readonly device: number;
  readonly history: boolean;
  /** When messages may go, milliseconds since 1970: until then its owner may change their mind. */
  readonly messagesAtMs: number;
  /** The new device is ready. */
  readonly ready: boolean;
  /** What went: revision of the last conversation, `seq` of the last message. */
  readonly conversation: number;
  readonly message: number;
  /** Messages up to here go; newer ones reach the new device by themselves. */
  readonly through: number;
  readonly stage: 'devices' | 'conversations' | 'messages' | 'done';
  /** Number of the next part, hash of the one before it, and the last part that arrived. */
  readonly next: number;
  readonly hash: Bytes;
  readonly arrived: number;
  /** Bytes of the stream that were read and not sent. */
  readonly rest: Bytes;
  /** Messages sent. */
  readonly messages: number;
}

/** On the device that receives. Secret. */
export interface Arrival {
  readonly id: Bytes;
  readonly key: Bytes;
  /** Number of the next part, and hash of the one before it. */
  readonly next: number;
  readonly hash: Bytes;
  /** Place of the last message. */
  readonly place: number;
  /** Messages that came, and how many there will be at most. */
  readonly messages: number;
  readonly total: number;
  readonly done: boolean;
  /** Bytes of an item whose rest is in the next part. */
  readonly tail?: Bytes;
}

/** Record, among `meta`, of the transfer that comes in. */
export const ARRIVAL = 'arrival';

const STAGES = ['devices', 'conversations', 'messages', 'done'] as const;
const SAFE = Number.MAX_SAFE_INTEGER;

export function encodeDeparture(state: Departure): Bytes {
  return new ProtoWriter(256 + state.rest.length)
    .bytes(1, state.id)
    .bytes(2, state.key)
    .uint32(3, state.device)
    .bool(4, state.history)
    .uint64(5, state.messagesAtMs)
    .bool(6, state.ready)
    .uint64(7, state.conversation)
    .uint64(8, state.message)
    .uint64(9, state.through)
    .uint32(10, STAGES.indexOf(state.stage))
    .uint32(11, state.next)
    .bytes(12, state.hash)
    .uint32(13, state.arrived)
    .bytes(14, state.rest)
    .uint64(15, state.messages)
    .finish();
}

/** @throws DecodeError */
export function decodeDeparture(encoded: Uint8Array): Departure {
  const fields = new Fields(encoded, {
    1: 'bytes',
    2: 'bytes',
    3: 'number',
    4: 'number',
    5: 'number',
    6: 'number',
    7: 'number',
    8: 'number',
    9: 'number',
    10: 'number',
    11: 'number',
    12: 'bytes',
    13: 'number',
    14: 'bytes',
    15: 'number',
  });
  return {
    id: fields.bytes(1, 16),
    key: fields.bytes(2, 32),
    device: fields.number(3, 127),
    history: fields.flag(4),
    messagesAtMs: fields.number(5, SAFE),
    ready: fields.flag(6),
    conversation: fields.number(7, SAFE),
    message: fields.number(8, SAFE),
    through: fields.number(9, SAFE),
    stage: STAGES[fields.number(10, STAGES.length)] ?? 'done',
    next: fields.number(11, 0xffff_ffff),
    hash: fields.bytes(12, 32),
    arrived: fields.number(13, 0xffff_ffff),
    rest: fields.optionalBytes(14, 0, SAFE) ?? new Uint8Array(0),
    messages: fields.number(15, SAFE),
  };
}

export function encodeArrival(state: Arrival): Bytes {
  const writer = new ProtoWriter(256)
    .bytes(1, state.id)
    .bytes(2, state.key)
    .uint32(3, state.next)
    .bytes(4, state.hash)
    .uint64(5, state.place)
    .uint64(6, state.messages)
    .uint64(7, state.total)
    .bool(8, state.done);
  if (state.tail !== undefined) writer.bytes(9, state.tail);
  return writer.finish();
}

/** @throws DecodeError */
export function decodeArrival(encoded: Uint8Array): Arrival {
  const fields = new Fields(encoded, {
    1: 'bytes',
    2: 'bytes',
    3: 'number',
    4: 'bytes',
    5: 'number',
    6: 'number',
    7: 'number',
    8: 'number',
    9: 'bytes',
  });
  const tail = fields.optionalBytes(9, 0, SAFE);
  return {
    id: fields.bytes(1, 16),
    key: fields.bytes(2, 32),
    next: fields.number(3, 0xffff_ffff),
    hash: fields.bytes(4, 32),
    place: fields.number(5, SAFE),
    messages: fields.number(6, SAFE),
    total: fields.number(7, SAFE),
    done: fields.flag(8),
    ...(tail && { tail }),
  };
}
