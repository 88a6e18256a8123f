/**
 * 01 Primitives. Scalars modulo l = 2^252 + c, the order of the base point, for signatures; no bigints.
 *
 * A number is a row of digits of 12 bits in doubles: 252 is 21 digits, so 2^252 = -c folds digit 21 + j onto
 * digit j as it stands. Products and their sums stay below 2^53, so every value is exact. No branch or index
 * depends on a digit. Spec: spec/01-primitives.md §3.6. Test: test/unit/edwards25519.test.ts.
 */
import type { Bytes } from '../bytes.js';

const DIGIT = 4096;
/** Digits of 252 bits. */
const FOLD_AT = 21;
/** Digits of a number below l. */
const REDUCED = 22;
/** Digits of 512 bits and of a product of two scalars plus a third. */
const WIDE = 44;

/** c = 27742317777372353535851937790883648493 in digits, lowest first. */
const C: readonly number[] = [
  0x3ed, 0xf5d, 0xa5c, 0x631, 0x812, 0xd65, 0x79c, 0xa2f, 0x9de, 0xdef, 0x014,
];
/** l in digits. */
const ORDER: readonly number[] = Array.from(
  { length: REDUCED },
  (_, i) => (C[i] ?? 0) + (i === FOLD_AT ? 1 : 0),
);

/** Held here, wiped after each use: an array of this size is allocated outside the heap, which costs more
 *  than what is done with it. */
const x = new Float64Array(REDUCED);
const y = new Float64Array(REDUCED);
const wide = new Float64Array(WIDE);

/** A little-endian number of at most 64 bytes modulo l; 32 bytes, owned by the caller. */
export function reduceScalar(bytes: Uint8Array): Bytes {
  readDigits(wide, bytes);
  const out = reduceDigits(wide);
  wide.fill(0);
  return out;
}

/** `a * b + c` modulo l; each 32 bytes little-endian, `a` and `b` below 2^256. */
export function multiplyAddScalars(a: Uint8Array, b: Uint8Array, c: Uint8Array): Bytes {
  readDigits(x, a);
  readDigits(y, b);
  readDigits(wide, c);
  for (let k = 0; k < WIDE - 1; k++) {
    let column = wide[k] as number;
    const last = Math.min(k, REDUCED - 1);
    for (let i = Math.max(0, k - REDUCED + 1); i <= last; i++) {
      column += (x[i] as number) * (y[k - i] as number);
    }
    wide[k] = column;
  }
  carry(wide, WIDE);
  const out = reduceDigits(wide);
  x.fill(0);
  y.fill(0);
  wide.fill(0);
  return out;
}

/** Reduce digits from 0 to 4095 that are below 2^528. Overwrites them. */
function reduceDigits(d: Float64Array): Bytes {
  // Digits 21 to 31 receive from above before they are folded themselves: 11 products, then 2^28 times 2^12.
  for (let i = WIDE - 1; i >= FOLD_AT; i--) fold(d, i);
  // |value| is below 2^285: what is beyond bit 252 is below 2^33, and times c below 2^158. After the second time
  // it is -1, 0 or 1.
  for (let pass = 0; pass < 2; pass++) {
    carry(d, FOLD_AT + 1);
    fold(d, FOLD_AT);
  }
  carry(d, FOLD_AT + 1);
  // From -l..2l to 0..2l, then to 0..l.
  addOrder(d, (d[FOLD_AT] as number) >>> 31);
  addOrder(d, -1);
  addOrder(d, (d[FOLD_AT] as number) >>> 31);
  return writeDigits(d);
}

/** Take digit `i`, which is worth 2^(12 (i - 21)) * 2^252, as -c times that. */
function fold(d: Float64Array, i: number): void {
  const beyond = d[i] as number;
  d[i] = 0;
  for (let j = 0; j < C.length; j++) {
    const at = i - FOLD_AT + j;
    d[at] = (d[at] as number) - beyond * (C[j] as number);
  }
}

/** Add `times` l, and carry. */
function addOrder(d: Float64Array, times: number): void {
  for (let i = 0; i < REDUCED; i++) d[i] = (d[i] as number) + times * (ORDER[i] as number);
  carry(d, REDUCED);
}

/** The first `to` digits from 0 to 4095; the last of them keeps what is beyond, and the sign. */
function carry(d: Float64Array, to: number): void {
  for (let i = 0; i < to - 1; i++) {
    const moving = Math.floor((d[i] as number) * (1 / DIGIT));
    d[i] = (d[i] as number) - moving * DIGIT;
    d[i + 1] = (d[i + 1] as number) + moving;
  }
}

function readDigits(d: Float64Array, bytes: Uint8Array): void {
  const length = bytes.length;
  for (let i = 0, at = 0; at < length; i += 2, at += 3) {
    // Three bytes are two digits.
    const middle = at + 1 < length ? (bytes[at + 1] as number) : 0;
    const high = at + 2 < length ? (bytes[at + 2] as number) : 0;
    d[i] = (bytes[at] as number) | ((middle & 15) << 8);
    d[i + 1] = (middle >> 4) | (high << 4);
  }
}

function writeDigits(d: Float64Array): Bytes {
  const out = new Uint8Array(32);
  for (let i = 0; i < REDUCED; i++) {
    const at = (12 * i) >> 3;
    const word = (d[i] as number) << ((i & 1) * 4);
    out[at] = (out[at] as number) | word;
    if (at < 31) out[at + 1] = word >> 8;
  }
  return out;
}
