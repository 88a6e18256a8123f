/**
 * 11 Wire. Reading and writing protobuf, with exactly the tolerance that compatible peers have.
 *
 * Written here rather than taken from a library because the acceptance rules are part of the protocol
 * (a wrong wire type of a known field is an error, an over-wide uint32 is truncated, the last occurrence
 * wins, presence matters), because the result must be canonical byte for byte, and because it saves the
 * browser 12 kB. test/codec compares it with protobufjs on the schemas in wire/schema.
 */
import type { Bytes } from '../bytes.js';
import { DecodeError } from '../errors.js';

/** Wire types that occur. */
export const WIRE_VARINT = 0;
/** Eight bytes, little-endian. */
export const WIRE_FIXED64 = 1;
/** Length and bytes: byte strings, texts, sub-messages. */
export const WIRE_BYTES = 2;
/** Four bytes, little-endian. */
export const WIRE_FIXED32 = 5;

function invalid(what: string): DecodeError {
  return new DecodeError('DECODE_PROTOBUF', `protobuf encoding was invalid: ${what}`);
}

/**
 * A cursor over one message. Loop while `next()` is true, look at `field`, and read it with the method of
 * its type or `skip()` it. Byte fields come as views of the input: copy what must outlive it.
 *
 * Every method throws DecodeError `DECODE_PROTOBUF`.
 */
export class ProtoReader {
  /** Number of the field under the cursor. */
  field = 0;
  #wireType = 0;
  #offset: number;
  readonly #end: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#offset = 0;
    this.#end = bytes.length;
  }

  /** Move to the next field; false at the end of the message. */
  next(): boolean {
    if (this.#offset >= this.#end) return false;
    const key = this.#varint32();
    if (this.#high !== 0) throw invalid('tag wider than 32 bits');
    this.field = key >>> 3;
    this.#wireType = key & 7;
    if (this.field === 0) throw invalid('field number 0');
    return true;
  }

  /** A uint32, or an int32 as its unsigned form; wider values lose their high bits as peers do. */
  uint32(): number {
    this.#expect(WIRE_VARINT);
    return this.#varint32();
  }

  /** A bool. */
  bool(): boolean {
    return this.uint64() !== 0;
  }

  /** A uint64 that must be a safe integer; larger values are an error here. */
  uint64(): number {
    this.#expect(WIRE_VARINT);
    const low = this.#varintParts();
    const value = this.#high * 0x1_0000_0000 + low;
    if (!Number.isSafeInteger(value)) throw invalid('integer beyond 2^53');
    return value;
  }

  /** A fixed64 that must be a safe integer. */
  fixed64(): number {
    const value = this.fixed64Nearest();
    if (!Number.isSafeInteger(value)) throw invalid('integer beyond 2^53');
    return value;
  }

  /** A fixed64 as the nearest number: exact up to 2^53, for times that are only compared. */
  fixed64Nearest(): number {
    this.#expect(WIRE_FIXED64);
    const bytes = this.#take(8);
    let value = 0;
    for (let i = 7; i >= 0; i--) value = value * 256 + (bytes[i] as number);
    return value;
  }

  /** A byte string or sub-message, as a view of the input. */
  bytes(): Uint8Array {
    this.#expect(WIRE_BYTES);
    return this.#take(this.#byteLength());
  }

  /** A UTF-8 text. Invalid UTF-8 is an error. */
  text(): string {
    try {
      return decoder.decode(this.bytes());
    } catch (cause) {
      if (cause instanceof DecodeError) throw cause;
      throw invalid('not UTF-8');
    }
  }

  /** Pass over the field under the cursor, whatever it is. */
  skip(): void {
    switch (this.#wireType) {
      case WIRE_VARINT:
        this.#varintParts();
        return;
      case WIRE_FIXED64:
        this.#take(8);
        return;
      case WIRE_BYTES:
        this.#take(this.#byteLength());
        return;
      case WIRE_FIXED32:
        this.#take(4);
        return;
      case 3:
        this.#skipGroup(this.field, 0);
        return;
      default:
        throw invalid(`wire type ${this.#wireType}`);
    }
  }

  #expect(wireType: number): void {
    if (this.#wireType !== wireType) {
      throw invalid(`field ${this.field} has wire type ${this.#wireType}, expected ${wireType}`);
    }
  }

  /** A length. Unlike a uint32 it loses nothing: 2^32 + 5 is not 5 but longer than any message. */
  #byteLength(): number {
    const low = this.#varint32();
    if (this.#high !== 0) throw invalid('truncated');
    return low;
  }

  #take(length: number): Uint8Array {
    // Compared with what is left before anything is allocated: a length of 4 GiB costs nothing.
    if (length > this.#end - this.#offset) throw invalid('truncated');
    const start = this.#offset;
    this.#offset += length;
    return this.#bytes.subarray(start, this.#offset);
  }

  #high = 0;

  /** Low 32 bits of a varint; `#high` gets the rest. */
  #varintParts(): number {
    const bytes = this.#bytes;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.#offset >= this.#end) throw invalid('truncated');
      const byte = bytes[this.#offset++] as number;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high |= bits >>> 4;
      } else if (shift < 63) high |= bits << (shift - 32);
      // Tenth byte: one bit is left of 64; anything more is an error, not a wrap.
      else if (byte > 1) throw invalid('varint beyond 64 bits');
      else high |= bits << 31;
      if (byte < 0x80) {
        this.#high = high >>> 0;
        return low >>> 0;
      }
    }
    throw invalid('varint of more than 10 bytes');
  }

  #varint32(): number {
    const first = this.#bytes[this.#offset];
    if (first !== undefined && first < 0x80 && this.#offset < this.#end) {
      this.#offset++;
      this.#high = 0;
      return first;
    }
    return this.#varintParts();
  }

  #skipGroup(group: number, depth: number): void {
    if (depth > 32) throw invalid('groups nested too deep');
    while (this.next()) {
      if (this.#wireType === 4) {
        if (this.field !== group) throw invalid('group end does not match');
        return;
      }
      if (this.#wireType === 3) this.#skipGroup(this.field, depth + 1);
      else this.skip();
    }
    throw invalid('group without end');
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/**
 * Builds one message. Fields are written in the order of the calls: call in ascending field number.
 * `finish()` returns a fresh array; the writer's own buffer is wiped, since it may have held secrets.
 */
export class ProtoWriter {
  #buffer: Bytes;
  #length = 0;

  /** `sizeHint` bytes are reserved at once; the buffer grows when needed. */
  constructor(sizeHint = 128) {
    this.#buffer = new Uint8Array(sizeHint);
  }

  /** A uint32, written also when 0. */
  uint32(field: number, value: number): this {
    this.#reserve(10);
    this.#varint((field << 3) | WIRE_VARINT);
    this.#varint(value >>> 0);
    return this;
  }

  /** An int32 from its unsigned 32-bit form: from 2^31 on it becomes the ten-byte varint of a negative. */
  int32(field: number, value: number): this {
    const unsigned = value >>> 0;
    if (unsigned < 0x8000_0000) return this.uint32(field, unsigned);
    this.#reserve(16);
    this.#varint((field << 3) | WIRE_VARINT);
    for (let i = 0; i < 4; i++)
      this.#buffer[this.#length++] = ((unsigned >>> (7 * i)) & 0x7f) | 0x80;
    this.#buffer[this.#length++] = ((unsigned >>> 28) & 0x0f) | 0x70 | 0x80;
    for (let i = 0; i < 4; i++) this.#buffer[this.#length++] = 0xff;
    this.#buffer[this.#length++] = 0x01;
    return this;
  }

  /** A bool, written also when false. */
  bool(field: number, value: boolean): this {
    return this.uint32(field, value ? 1 : 0);
  }

  /** A uint64 from a safe integer, written also when 0. */
  uint64(field: number, value: number): this {
    this.#reserve(16);
    this.#varint((field << 3) | WIRE_VARINT);
    this.#varint(value);
    return this;
  }

  /** A fixed64 from a safe integer, written also when 0. */
  fixed64(field: number, value: number): this {
    this.#reserve(14);
    this.#varint((field << 3) | WIRE_FIXED64);
    let rest = value;
    for (let i = 0; i < 8; i++) {
      this.#buffer[this.#length++] = rest % 256;
      rest = Math.floor(rest / 256);
    }
    return this;
  }

  /** A byte string or encoded sub-message, written also when empty. */
  bytes(field: number, value: Uint8Array): this {
    this.#reserve(value.length + 10);
    this.#varint((field << 3) | WIRE_BYTES);
    this.#varint(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  /** A UTF-8 text, written also when empty. */
  text(field: number, value: string): this {
    return this.bytes(field, encoder.encode(value));
  }

  /** Already encoded fields, appended as they are. */
  raw(encoded: Uint8Array): this {
    this.#reserve(encoded.length);
    this.#buffer.set(encoded, this.#length);
    this.#length += encoded.length;
    return this;
  }

  /** The message. The writer is empty afterwards and may be used again. */
  finish(): Bytes {
    const out = this.#buffer.slice(0, this.#length);
    this.#buffer.fill(0, 0, this.#length);
    this.#length = 0;
    return out;
  }

  #varint(value: number): void {
    let rest = value;
    while (rest > 0x7f) {
      this.#buffer[this.#length++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.#buffer[this.#length++] = rest;
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#buffer.length * 2));
    grown.set(this.#buffer);
    this.#buffer.fill(0);
    this.#buffer = grown;
  }
}

/** Bytes of a field of zeros that holds none: tag, and a length of three bytes. */
export const FILLER_MIN_BYTES = 4;

/**
 * A message and a field of zeros after it, `size` bytes in all; readers skip the field.
 *
 * @param field - 1 to 15, and unknown to readers.
 * @param size - At least `FILLER_MIN_BYTES` above the length of `message`, and less than 2 MiB above it.
 */
export function withFiller(message: Uint8Array, field: number, size: number): Bytes {
  // The length takes three bytes, not minimal on purpose: then every size can be hit.
  const zeros = size - message.length - FILLER_MIN_BYTES;
  const bytes = new Uint8Array(size);
  bytes.set(message);
  bytes.set(
    [(field << 3) | 2, (zeros & 0x7f) | 0x80, ((zeros >>> 7) & 0x7f) | 0x80, zeros >>> 14],
    message.length,
  );
  return bytes;
}
