/**
 * 00 Conventions. Bytes: joining, comparing for public data, big-endian integers, text forms.
 *
 * Comparing secrets is crypto/constant-time.ts. No DataView elsewhere in the package.
 */

/** What every function of this package returns: bytes with a buffer of their own. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** Whether a value is a byte array, also one of another realm: callers without a compiler pass texts. */
export function isBytes(value: unknown): value is Uint8Array {
  return Object.prototype.toString.call(value) === '[object Uint8Array]';
}

/** Join `parts` into one fresh array. */
export function concatBytes(...parts: readonly Uint8Array[]): Bytes {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

/** A copy that shares no memory with `value`; also turns a Node `Buffer` into a plain array. */
export function copyBytes(value: Uint8Array): Bytes {
  const out = new Uint8Array(value.length);
  out.set(value);
  return out;
}

/** Whether two public values are equal. Not constant time: never for keys, MACs or secrets. */
export function samePublicBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** `value` as 4 bytes, big-endian; `value` is taken modulo 2^32. */
export function u32be(value: number): Bytes {
  return new Uint8Array([value >>> 24, value >>> 16, value >>> 8, value]);
}

/** `value` as 8 bytes, big-endian. `value` is a safe non-negative integer. */
export function u64be(value: number): Bytes {
  const high = Math.floor(value / 0x1_0000_0000);
  return new Uint8Array([
    high >>> 24,
    high >>> 16,
    high >>> 8,
    high,
    value >>> 24,
    value >>> 16,
    value >>> 8,
    value,
  ]);
}

/** The unsigned 32-bit big-endian integer at `offset`. */
export function readU32be(bytes: Uint8Array, offset: number): number {
  return (
    (((bytes[offset] ?? 0) << 24) |
      ((bytes[offset + 1] ?? 0) << 16) |
      ((bytes[offset + 2] ?? 0) << 8) |
      (bytes[offset + 3] ?? 0)) >>>
    0
  );
}

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'));

/** Lower-case hex. For public values and vectors; not constant time. */
export function toHex(bytes: Uint8Array): string {
  let out = '';
  for (const byte of bytes) out += HEX[byte];
  return out;
}

/** Bytes of a hex string, either case, no separators; `undefined` when it is not hex. */
export function fromHex(text: string): Bytes | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return undefined;
  const out = new Uint8Array(text.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return out;
}

const encoder = new TextEncoder();

/** UTF-8 bytes of `text`. */
export function utf8(text: string): Bytes {
  return copyBytes(encoder.encode(text));
}
