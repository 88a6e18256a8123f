/**
 * 01 Primitives. Arithmetic modulo p = 2^255 - 19 in doubles, for the portable X25519.
 *
 * An element is the sum of 12 limbs. Limb i is a multiple of 2^e(i), e(i) = ceil(21.25 * i), so a product of
 * limbs i and j belongs to limb i + j as it stands, and 2^255 folds back as 19. Every value is an integer
 * multiple of its limb's unit with fewer than 53 bits: doubles hold it exactly, nothing is ever rounded
 * except on purpose, in `carry`. Only adding and multiplying: no branch, index or bigint depends on a value.
 * The method is D. J. Bernstein's (Curve25519, 2006, §4).
 *
 * *Reduced*: |limb i| at most 2^(e(i+1) - 1) and a little. The functions say how many sums of reduced
 * elements they take. Spec: spec/01-primitives.md §2.2. Test: test/unit/x25519.test.ts, at the bounds.
 */

/** 12 limbs. */
export type Element = Float64Array<ArrayBuffer>;

/** Limbs of an element. */
export const LIMBS = 12;

/** e(i), and e(12) = 255. */
const EXPONENTS: readonly number[] = Array.from({ length: LIMBS + 1 }, (_, i) =>
  Math.ceil(21.25 * i),
);

/** Adding and taking away R(i) = 1.5 * 2^(52 + e(i + 1)) rounds to a multiple of 2^e(i + 1). */
const R0 = 1.5 * 2 ** (52 + 22);
const R1 = 1.5 * 2 ** (52 + 43);
const R2 = 1.5 * 2 ** (52 + 64);
const R3 = 1.5 * 2 ** (52 + 85);
const R4 = 1.5 * 2 ** (52 + 107);
const R5 = 1.5 * 2 ** (52 + 128);
const R6 = 1.5 * 2 ** (52 + 149);
const R7 = 1.5 * 2 ** (52 + 170);
const R8 = 1.5 * 2 ** (52 + 192);
const R9 = 1.5 * 2 ** (52 + 213);
const R10 = 1.5 * 2 ** (52 + 234);
const R11 = 1.5 * 2 ** (52 + 255);
const ROUNDERS: readonly number[] = [R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11];

/** What 2^255 is worth: the factor that moves limb 12 to limb 0. */
const FOLD = 19 * 2 ** -255;

/** Zero. */
export function zeroElement(): Element {
  return new Float64Array(LIMBS);
}

/** `out = a + b`, not carried. */
export function add(out: Element, a: Element, b: Element): void {
  for (let i = 0; i < LIMBS; i++) out[i] = (a[i] as number) + (b[i] as number);
}

/** `out = a - b`, not carried. */
export function subtract(out: Element, a: Element, b: Element): void {
  for (let i = 0; i < LIMBS; i++) out[i] = (a[i] as number) - (b[i] as number);
}

/** Exchange `a` and `b` when `bit` is 1, leave them when it is 0, with the same operations. */
export function swap(a: Element, b: Element, bit: number): void {
  for (let i = 0; i < LIMBS; i++) {
    const difference = bit * ((a[i] as number) - (b[i] as number));
    a[i] = (a[i] as number) - difference;
    b[i] = (b[i] as number) + difference;
  }
}

/** The second operand twice: folded, then as it is. Held here so that no product allocates. */
const window: Float64Array<ArrayBuffer> = new Float64Array(2 * LIMBS);
const scaled: Element = zeroElement();

/**
 * `out = a * b`, reduced. Each operand is reduced or the sum or difference of two reduced elements: then
 * a column is below 12 * 19 * 2^44.5, less than 2^53 units. `out` may be an operand.
 */
export function multiply(out: Element, a: Element, b: Element): void {
  for (let i = 0; i < LIMBS; i++) {
    const limb = b[i] as number;
    window[i] = limb * FOLD;
    window[LIMBS + i] = limb;
  }
  let h0 = 0;
  let h1 = 0;
  let h2 = 0;
  let h3 = 0;
  let h4 = 0;
  let h5 = 0;
  let h6 = 0;
  let h7 = 0;
  let h8 = 0;
  let h9 = 0;
  let h10 = 0;
  let h11 = 0;
  for (let i = 0; i < LIMBS; i++) {
    const x = a[i] as number;
    const at = LIMBS - i;
    h0 += x * (window[at] as number);
    h1 += x * (window[at + 1] as number);
    h2 += x * (window[at + 2] as number);
    h3 += x * (window[at + 3] as number);
    h4 += x * (window[at + 4] as number);
    h5 += x * (window[at + 5] as number);
    h6 += x * (window[at + 6] as number);
    h7 += x * (window[at + 7] as number);
    h8 += x * (window[at + 8] as number);
    h9 += x * (window[at + 9] as number);
    h10 += x * (window[at + 10] as number);
    h11 += x * (window[at + 11] as number);
  }
  // `carry`, written out: it is a third of the work.
  let moving = h0 + R0 - R0;
  h0 -= moving;
  h1 += moving;
  moving = h1 + R1 - R1;
  h1 -= moving;
  h2 += moving;
  moving = h2 + R2 - R2;
  out[2] = h2 - moving;
  h3 += moving;
  moving = h3 + R3 - R3;
  out[3] = h3 - moving;
  h4 += moving;
  moving = h4 + R4 - R4;
  out[4] = h4 - moving;
  h5 += moving;
  moving = h5 + R5 - R5;
  out[5] = h5 - moving;
  h6 += moving;
  moving = h6 + R6 - R6;
  out[6] = h6 - moving;
  h7 += moving;
  moving = h7 + R7 - R7;
  out[7] = h7 - moving;
  h8 += moving;
  moving = h8 + R8 - R8;
  out[8] = h8 - moving;
  h9 += moving;
  moving = h9 + R9 - R9;
  out[9] = h9 - moving;
  h10 += moving;
  moving = h10 + R10 - R10;
  out[10] = h10 - moving;
  h11 += moving;
  moving = h11 + R11 - R11;
  out[11] = h11 - moving;
  h0 += moving * FOLD;
  moving = h0 + R0 - R0;
  out[0] = h0 - moving;
  out[1] = h1 + moving;
}

/** `out = a * factor`, reduced; `factor` below 2^17, `a` reduced or a sum of two. */
export function scale(out: Element, a: Element, factor: number): void {
  for (let i = 0; i < LIMBS; i++) scaled[i] = (a[i] as number) * factor;
  carry(out, scaled);
}

/** Move what is beyond each limb to the next one: `out` is reduced. Limbs of `a` have less than 2^53 units. */
function carry(out: Element, a: Element): void {
  let moving = 0;
  for (let i = 0; i < LIMBS; i++) {
    const limb = (a[i] as number) + moving;
    const rounder = ROUNDERS[i] as number;
    moving = limb + rounder - rounder;
    out[i] = limb - moving;
  }
  const first = (out[0] as number) + moving * FOLD;
  const rounder = ROUNDERS[0] as number;
  const rest = first + rounder - rounder;
  out[0] = first - rest;
  out[1] = (out[1] as number) + rest;
}

/** `out = a^(p - 2)`, the inverse of `a`, or 0 for 0. `out` is not `a`. Fixed exponent: Fermat. */
export function invert(out: Element, a: Element): void {
  // p - 2 = 2^255 - 21: ones in every bit but bits 2 and 4.
  out.set(a);
  for (let bit = 253; bit >= 0; bit--) {
    multiply(out, out, out);
    if (bit !== 2 && bit !== 4) multiply(out, out, a);
  }
}

/** Read 32 bytes little-endian; bit 255 is ignored, the value need not be below p. Limbs are not negative. */
export function decodeElement(out: Element, bytes: Uint8Array): void {
  for (let i = 0; i < LIMBS; i++) {
    const at = exponent(i) >> 3;
    const word =
      (byteAt(bytes, at) |
        (byteAt(bytes, at + 1) << 8) |
        (byteAt(bytes, at + 2) << 16) |
        (byteAt(bytes, at + 3) << 24)) >>>
      (exponent(i) & 7);
    const width = exponent(i + 1) - exponent(i);
    out[i] = (word & ((1 << width) - 1)) * 2 ** exponent(i);
  }
}

/** Write a reduced element (or a sum of two) as 32 bytes little-endian, fully reduced modulo p. */
export function encodeElement(a: Element): Uint8Array<ArrayBuffer> {
  const digits = Int32Array.from({ length: LIMBS }, (_, i) => (a[i] as number) * 2 ** -exponent(i));
  // Make every digit non-negative and in its width; what leaves at the top returns as 19.
  for (let pass = 0; pass < 4; pass++) {
    const beyond = carryDigits(digits);
    digits[0] = (digits[0] as number) + 19 * beyond;
  }
  // The value is below 2^255 now. It is p or more exactly when adding 19 reaches bit 255; then the 19 stays
  // and bit 255 is dropped.
  digits[0] = (digits[0] as number) + 19;
  const reached = carryDigits(digits);
  digits[0] = (digits[0] as number) - 19 * (1 - reached);
  carryDigits(digits);
  const out = new Uint8Array(32);
  for (let i = 0; i < LIMBS; i++) {
    const at = exponent(i) >> 3;
    const value = (digits[i] as number) << (exponent(i) & 7);
    for (let k = 0; k < 4 && at + k < 32; k++) {
      out[at + k] = (out[at + k] as number) | (value >>> (8 * k));
    }
  }
  digits.fill(0);
  return out;
}

/** One pass from the lowest digit up; returns what goes beyond bit 255. */
function carryDigits(digits: Int32Array): number {
  let moving = 0;
  for (let i = 0; i < LIMBS; i++) {
    const width = exponent(i + 1) - exponent(i);
    const value = (digits[i] as number) + moving;
    moving = value >> width;
    digits[i] = value & ((1 << width) - 1);
  }
  return moving;
}

/** Wipe what the last products left behind. */
export function wipeScratch(): void {
  window.fill(0);
  scaled.fill(0);
}

function byteAt(bytes: Uint8Array, at: number): number {
  return at < 32 ? (bytes[at] as number) : 0;
}

function exponent(i: number): number {
  return EXPONENTS[i] as number;
}
