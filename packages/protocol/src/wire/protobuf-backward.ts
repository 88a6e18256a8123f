/**
 * 11 Wire. Writing deep protobuf messages quickly: from the last field to the first.
 *
 * A sub-message's length stands before it and is known after it. Written backwards both are at hand when
 * they are needed, so nested messages cost no copies. For stored states, which are rewritten with every
 * message; ProtoWriter reads better everywhere else. The result is the same canonical form: fields in
 * ascending order when called in descending order, scalar zeros left out.
 */
import type { Bytes } from '../bytes.js';
import { WIRE_BYTES, WIRE_VARINT } from './protobuf.js';

/** Call in descending field number; `finish()` gives the message and wipes what the writer held. */
export class BackwardWriter {
  #buffer: Bytes;
  #start: number;

  /** `sizeHint` bytes are reserved at once; the buffer grows when needed. */
  constructor(sizeHint = 1024) {
    this.#buffer = new Uint8Array(sizeHint);
    this.#start = sizeHint;
  }

  /** Bytes written so far: hand it to `message()` to say where a sub-message ends. */
  get length(): number {
    return this.#buffer.length - this.#start;
  }

  /** A uint32 or uint64 from a safe integer; left out when 0. */
  uint(field: number, value: number): this {
    if (value === 0) return this;
    this.#varint(value);
    this.#varint(field * 8 + WIRE_VARINT);
    return this;
  }

  /** A byte string, written also when empty. */
  bytes(field: number, value: Uint8Array): this {
    this.raw(value);
    this.#varint(value.length);
    this.#varint(field * 8 + WIRE_BYTES);
    return this;
  }

  /** A byte string; left out when empty. */
  bytesUnlessEmpty(field: number, value: Uint8Array): this {
    return value.length === 0 ? this : this.bytes(field, value);
  }

  /** Everything written since `length` was `since`, as one sub-message; written also when empty. */
  message(field: number, since: number): this {
    this.#varint(this.length - since);
    this.#varint(field * 8 + WIRE_BYTES);
    return this;
  }

  /** Already encoded fields, put before what was written. */
  raw(encoded: Uint8Array): this {
    const start = this.#reserve(encoded.length);
    this.#buffer.set(encoded, start);
    return this;
  }

  /** The message, a fresh array. The writer is empty afterwards and may be used again. */
  finish(): Bytes {
    const out = this.#buffer.slice(this.#start);
    this.#buffer.fill(0, this.#start);
    this.#start = this.#buffer.length;
    return out;
  }

  #varint(value: number): void {
    if (value < 0x80) {
      const at = this.#reserve(1);
      this.#buffer[at] = value;
      return;
    }
    let size = 1;
    for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) size++;
    let at = this.#reserve(size);
    let rest = value;
    for (; rest > 0x7f; rest = Math.floor(rest / 128)) this.#buffer[at++] = (rest % 128) | 0x80;
    this.#buffer[at] = rest;
  }

  /** Makes room for `size` bytes before what was written, and returns where they begin. */
  #reserve(size: number): number {
    if (size > this.#start) {
      const used = this.length;
      const grown = new Uint8Array(Math.max(used + size, this.#buffer.length * 2));
      grown.set(this.#buffer.subarray(this.#start), grown.length - used);
      this.#buffer.fill(0);
      this.#buffer = grown;
      this.#start = grown.length - used;
    }
    this.#start -= size;
    return this.#start;
  }
}
