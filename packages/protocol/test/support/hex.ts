/** Hex for vectors, and comparing with it. No `node:` here: the vector families also run in browsers. */
import { type Bytes, fromHex, toHex } from '#src/bytes.js';

/** One checked case of a vector family. */
export interface Result {
  readonly name: string;
  readonly ok: boolean;
  readonly detail?: string | undefined;
}

/** Bytes of `text`; throws for anything that is not hex. */
export function hex(text: string): Bytes {
  const bytes = fromHex(text);
  if (bytes === undefined) throw new Error('not hex');
  return bytes;
}

/** Bytes of a base64 text. */
export function base64(text: string): Bytes {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** A case that wants `actual` to be the hex `expected`. */
export function check(name: string, actual: Uint8Array | undefined, expected: string): Result {
  const got = actual === undefined ? 'undefined' : toHex(actual);
  return got === expected
    ? { name, ok: true }
    : { name, ok: false, detail: `${got} != ${expected}` };
}

/** Change one bit of `bytes` in place. */
export function flipBit(bytes: Uint8Array, at: number, bit: number): void {
  bytes[at] = (bytes[at] as number) ^ (1 << bit);
}
