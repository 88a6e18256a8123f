/**
 * 06 SPQR §4. The bytes in field 5 of a message: version, epoch, key index, type, perhaps a chunk.
 *
 * Reading comes in two steps because a message of a newer version is understood as far as its index.
 */
import { copyBytes, type Bytes } from '../bytes.js';
import { CHUNK_BYTES, type Chunk } from './erasure-code.js';
import { messageDecodeError } from './errors.js';

/** Types in the order of their numbers on the wire, 0 to 6. */
export const PAYLOAD_TYPES = ['None', 'Hdr', 'Ek', 'EkCt1Ack', 'Ct1Ack', 'Ct1', 'Ct2'] as const;

/** What the braid puts into one message. */
export type Payload =
  | { readonly type: 'None' | 'Ct1Ack' }
  | { readonly type: 'Hdr' | 'Ek' | 'EkCt1Ack' | 'Ct1' | 'Ct2'; readonly chunk: Chunk };

/** The part every version has in common. */
export interface Preamble {
  /** 0 to 255; an empty message has version 0. */
  readonly version: number;
  /** From 1; `Infinity` stands for everything beyond 2^53 - 1. 0 only in an empty message. */
  readonly epoch: number;
  /** 0 to 2^32 - 1: index of the message key in chain epoch `epoch - 1`; 0 means no key. */
  readonly index: number;
  /** Where the payload begins. */
  readonly end: number;
}

/** Version, epoch and index. @throws DecodeError `DECODE_SPQR_MESSAGE`. Source: 06 §3, §4. */
export function decodePreamble(message: Uint8Array): Preamble {
  if (message.length === 0) return { version: 0, epoch: 0, index: 0, end: 0 };
  const epoch = decodeVarint(message, 1);
  if (epoch.value === 0) throw messageDecodeError('epoch 0');
  const index = decodeVarint(message, epoch.end);
  if (index.value > 0xffff_ffff) throw messageDecodeError('key index beyond 32 bits');
  return {
    version: message[0] as number,
    epoch: epoch.value,
    index: index.value,
    end: index.end,
  };
}

/**
 * The payload of a version-1 message. Bytes after it are ignored: later versions may append.
 *
 * @throws DecodeError `DECODE_SPQR_MESSAGE`. Source: 06 §4.
 */
export function decodePayload(message: Uint8Array, preamble: Preamble): Payload {
  const code = message[preamble.end];
  const type = code === undefined ? undefined : PAYLOAD_TYPES[code];
  if (type === undefined) throw messageDecodeError('no or unknown type');
  if (type === 'None' || type === 'Ct1Ack') return { type };
  const index = decodeVarint(message, preamble.end + 1);
  if (index.value > 0xffff) throw messageDecodeError('chunk index beyond 16 bits');
  if (message.length - index.end < CHUNK_BYTES) throw messageDecodeError('chunk is cut short');
  const data = copyBytes(message.subarray(index.end, index.end + CHUNK_BYTES));
  return { type, chunk: { index: index.value, data } };
}

/** A version-1 message. Source: 06 §4. */
export function encodeMessage(epoch: number, index: number, payload: Payload): Bytes {
  const chunk = 'chunk' in payload ? payload.chunk : undefined;
  const out = new Uint8Array(
    2 +
      varintLength(epoch) +
      varintLength(index) +
      (chunk === undefined ? 0 : varintLength(chunk.index) + CHUNK_BYTES),
  );
  out[0] = SPQR_VERSION;
  let at = encodeVarint(out, 1, epoch);
  at = encodeVarint(out, at, index);
  out[at++] = PAYLOAD_TYPES.indexOf(payload.type);
  if (chunk !== undefined) out.set(chunk.data, encodeVarint(out, at, chunk.index));
  return out;
}

/** The version this implementation speaks. Version 0 is "no SPQR". */
export const SPQR_VERSION = 1;

/** At most 10 bytes, non-minimal forms accepted, bits above 2^64 dropped. Source: 06 §4. */
function decodeVarint(
  message: Uint8Array,
  start: number,
): { readonly value: number; readonly end: number } {
  // Two halves of 32 bits: the low five bytes give 35 bits, of which three belong to the high half.
  let low = 0;
  let high = 0;
  for (let i = 0; i < VARINT_BYTES_MAX; i++) {
    const byte = message[start + i];
    if (byte === undefined) throw messageDecodeError('varint is cut short');
    const bits = byte & 0x7f;
    if (i < 4) low |= bits << (7 * i);
    else if (i === 4) {
      low |= bits << 28;
      high |= bits >>> 4;
    } else if (i < 9) high |= bits << (7 * i - 32);
    else high |= (bits & 1) << 31;
    if (byte < 0x80) {
      const value = (high >>> 0) * 0x1_0000_0000 + (low >>> 0);
      const exact = Number.isSafeInteger(value);
      return { value: exact ? value : Number.POSITIVE_INFINITY, end: start + i + 1 };
    }
  }
  throw messageDecodeError('varint of more than 10 bytes');
}

function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) length++;
  return length;
}

/** Writes `value` at `at` and returns the offset after it. */
function encodeVarint(out: Bytes, at: number, value: number): number {
  let offset = at;
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) out[offset++] = (rest % 128) | 0x80;
  out[offset++] = rest;
  return offset;
}

const VARINT_BYTES_MAX = 10;
