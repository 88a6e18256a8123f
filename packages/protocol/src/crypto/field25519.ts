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

/** 2^e(i), the unit of limb i, and its inverse. */
const UNITS: readonly number[] = EXPONENTS.map((exponent) => 2 ** exponent);
const UNIT_INVERSES: readonly number[] = EXPONENTS.map((exponent) => 2 ** -exponent);

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

/**
 * `out = a * b`, reduced. Each operand is reduced or the sum or difference of two reduced elements: then
 * a column is below 12 * 19 * 2^44.5, less than 2^53 units. `out` may be an operand.
 *
 * Written out, a line or two a column: with the limbs in registers it takes half the time of a loop. Limb i
 * times limb j stands in column i + j; beyond column 11 the second factor is folded (f). The carries run
 * as four chains side by side, and once more over their seams: a single chain of twelve would wait for
 * itself.
 */
// biome-ignore format: a table reads as a table
export function multiply(out: Element, a: Element, b: Element): void {
  const a0 = a[0] as number, a1 = a[1] as number, a2 = a[2] as number;
  const a3 = a[3] as number, a4 = a[4] as number, a5 = a[5] as number;
  const a6 = a[6] as number, a7 = a[7] as number, a8 = a[8] as number;
  const a9 = a[9] as number, a10 = a[10] as number, a11 = a[11] as number;
  const b0 = b[0] as number, b1 = b[1] as number, b2 = b[2] as number;
  const b3 = b[3] as number, b4 = b[4] as number, b5 = b[5] as number;
  const b6 = b[6] as number, b7 = b[7] as number, b8 = b[8] as number;
  const b9 = b[9] as number, b10 = b[10] as number, b11 = b[11] as number;
  const f1 = b1 * FOLD, f2 = b2 * FOLD, f3 = b3 * FOLD, f4 = b4 * FOLD;
  const f5 = b5 * FOLD, f6 = b6 * FOLD, f7 = b7 * FOLD, f8 = b8 * FOLD;
  const f9 = b9 * FOLD, f10 = b10 * FOLD, f11 = b11 * FOLD;
  let h0 = a0 * b0 + a1 * f11 + a2 * f10 + a3 * f9 + a4 * f8 + a5 * f7
    + a6 * f6 + a7 * f5 + a8 * f4 + a9 * f3 + a10 * f2 + a11 * f1;
  let h1 = a0 * b1 + a1 * b0 + a2 * f11 + a3 * f10 + a4 * f9 + a5 * f8
    + a6 * f7 + a7 * f6 + a8 * f5 + a9 * f4 + a10 * f3 + a11 * f2;
  let h2 = a0 * b2 + a1 * b1 + a2 * b0 + a3 * f11 + a4 * f10 + a5 * f9
    + a6 * f8 + a7 * f7 + a8 * f6 + a9 * f5 + a10 * f4 + a11 * f3;
  let h3 = a0 * b3 + a1 * b2 + a2 * b1 + a3 * b0 + a4 * f11 + a5 * f10
    + a6 * f9 + a7 * f8 + a8 * f7 + a9 * f6 + a10 * f5 + a11 * f4;
  let h4 = a0 * b4 + a1 * b3 + a2 * b2 + a3 * b1 + a4 * b0 + a5 * f11
    + a6 * f10 + a7 * f9 + a8 * f8 + a9 * f7 + a10 * f6 + a11 * f5;
  let h5 = a0 * b5 + a1 * b4 + a2 * b3 + a3 * b2 + a4 * b1 + a5 * b0
    + a6 * f11 + a7 * f10 + a8 * f9 + a9 * f8 + a10 * f7 + a11 * f6;
  let h6 = a0 * b6 + a1 * b5 + a2 * b4 + a3 * b3 + a4 * b2 + a5 * b1
    + a6 * b0 + a7 * f11 + a8 * f10 + a9 * f9 + a10 * f8 + a11 * f7;
  let h7 = a0 * b7 + a1 * b6 + a2 * b5 + a3 * b4 + a4 * b3 + a5 * b2
    + a6 * b1 + a7 * b0 + a8 * f11 + a9 * f10 + a10 * f9 + a11 * f8;
  let h8 = a0 * b8 + a1 * b7 + a2 * b6 + a3 * b5 + a4 * b4 + a5 * b3
    + a6 * b2 + a7 * b1 + a8 * b0 + a9 * f11 + a10 * f10 + a11 * f9;
  let h9 = a0 * b9 + a1 * b8 + a2 * b7 + a3 * b6 + a4 * b5 + a5 * b4
    + a6 * b3 + a7 * b2 + a8 * b1 + a9 * b0 + a10 * f11 + a11 * f10;
  let h10 = a0 * b10 + a1 * b9 + a2 * b8 + a3 * b7 + a4 * b6 + a5 * b5
    + a6 * b4 + a7 * b3 + a8 * b2 + a9 * b1 + a10 * b0 + a11 * f11;
  let h11 = a0 * b11 + a1 * b10 + a2 * b9 + a3 * b8 + a4 * b7 + a5 * b6
    + a6 * b5 + a7 * b4 + a8 * b3 + a9 * b2 + a10 * b1 + a11 * b0;
  let p = h0 + R0 - R0, q = h3 + R3 - R3, r = h6 + R6 - R6, s = h9 + R9 - R9;
  h0 -= p; h1 += p; h3 -= q; h4 += q; h6 -= r; h7 += r; h9 -= s; h10 += s;
  p = h1 + R1 - R1; q = h4 + R4 - R4; r = h7 + R7 - R7; s = h10 + R10 - R10;
  h1 -= p; h2 += p; h4 -= q; h5 += q; h7 -= r; h8 += r; h10 -= s; h11 += s;
  p = h2 + R2 - R2; q = h5 + R5 - R5; r = h8 + R8 - R8; s = h11 + R11 - R11;
  out[2] = h2 - p; h3 += p; out[5] = h5 - q; h6 += q;
  out[8] = h8 - r; h9 += r; out[11] = h11 - s; h0 += s * FOLD;
  p = h0 + R0 - R0; q = h3 + R3 - R3; r = h6 + R6 - R6; s = h9 + R9 - R9;
  out[0] = h0 - p; out[1] = h1 + p; out[3] = h3 - q; out[4] = h4 + q;
  out[6] = h6 - r; out[7] = h7 + r; out[9] = h9 - s; out[10] = h10 + s;
}

/** `out = a * a`, reduced: as `multiply(out, a, a)`, each pair of limbs once and doubled (d). */
// biome-ignore format: a table reads as a table
export function square(out: Element, a: Element): void {
  const a0 = a[0] as number, a1 = a[1] as number, a2 = a[2] as number;
  const a3 = a[3] as number, a4 = a[4] as number, a5 = a[5] as number;
  const a6 = a[6] as number, a7 = a[7] as number, a8 = a[8] as number;
  const a9 = a[9] as number, a10 = a[10] as number, a11 = a[11] as number;
  const d0 = a0 + a0, d1 = a1 + a1, d2 = a2 + a2, d3 = a3 + a3;
  const d4 = a4 + a4, d5 = a5 + a5, d6 = a6 + a6, d7 = a7 + a7;
  const d8 = a8 + a8, d9 = a9 + a9, d10 = a10 + a10;
  const f6 = a6 * FOLD, f7 = a7 * FOLD, f8 = a8 * FOLD, f9 = a9 * FOLD;
  const f10 = a10 * FOLD, f11 = a11 * FOLD;
  let h0 = a0 * a0 + d1 * f11 + d2 * f10 + d3 * f9 + d4 * f8 + d5 * f7 + a6 * f6;
  let h1 = d0 * a1 + d2 * f11 + d3 * f10 + d4 * f9 + d5 * f8 + d6 * f7;
  let h2 = d0 * a2 + a1 * a1 + d3 * f11 + d4 * f10 + d5 * f9 + d6 * f8 + a7 * f7;
  let h3 = d0 * a3 + d1 * a2 + d4 * f11 + d5 * f10 + d6 * f9 + d7 * f8;
  let h4 = d0 * a4 + d1 * a3 + a2 * a2 + d5 * f11 + d6 * f10 + d7 * f9 + a8 * f8;
  let h5 = d0 * a5 + d1 * a4 + d2 * a3 + d6 * f11 + d7 * f10 + d8 * f9;
  let h6 = d0 * a6 + d1 * a5 + d2 * a4 + a3 * a3 + d7 * f11 + d8 * f10 + a9 * f9;
  let h7 = d0 * a7 + d1 * a6 + d2 * a5 + d3 * a4 + d8 * f11 + d9 * f10;
  let h8 = d0 * a8 + d1 * a7 + d2 * a6 + d3 * a5 + a4 * a4 + d9 * f11 + a10 * f10;
  let h9 = d0 * a9 + d1 * a8 + d2 * a7 + d3 * a6 + d4 * a5 + d10 * f11;
  let h10 = d0 * a10 + d1 * a9 + d2 * a8 + d3 * a7 + d4 * a6 + a5 * a5 + a11 * f11;
  let h11 = d0 * a11 + d1 * a10 + d2 * a9 + d3 * a8 + d4 * a7 + d5 * a6;
  let p = h0 + R0 - R0, q = h3 + R3 - R3, r = h6 + R6 - R6, s = h9 + R9 - R9;
  h0 -= p; h1 += p; h3 -= q; h4 += q; h6 -= r; h7 += r; h9 -= s; h10 += s;
  p = h1 + R1 - R1; q = h4 + R4 - R4; r = h7 + R7 - R7; s = h10 + R10 - R10;
  h1 -= p; h2 += p; h4 -= q; h5 += q; h7 -= r; h8 += r; h10 -= s; h11 += s;
  p = h2 + R2 - R2; q = h5 + R5 - R5; r = h8 + R8 - R8; s = h11 + R11 - R11;
  out[2] = h2 - p; h3 += p; out[5] = h5 - q; h6 += q;
  out[8] = h8 - r; h9 += r; out[11] = h11 - s; h0 += s * FOLD;
  p = h0 + R0 - R0; q = h3 + R3 - R3; r = h6 + R6 - R6; s = h9 + R9 - R9;
  out[0] = h0 - p; out[1] = h1 + p; out[3] = h3 - q; out[4] = h4 + q;
  out[6] = h6 - r; out[7] = h7 + r; out[9] = h9 - s; out[10] = h10 + s;
}

const scaled: Element = zeroElement();

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
  // p - 2 = 2^5 * (2^250 - 1) + 11.
  raise250(out, a);
  squareTimes(out, out, 5);
  multiply(out, out, eleventh);
}

/** `out = a^((p - 5) / 8)`, what square roots need. `out` is not `a`. */
export function raiseForRoot(out: Element, a: Element): void {
  // (p - 5) / 8 = 2^2 * (2^250 - 1) + 1.
  raise250(out, a);
  squareTimes(out, out, 2);
  multiply(out, out, a);
}

/** `out = a^(2^250 - 1)`, and `eleventh = a^11` on the way. Runs of ones double: 5, 10, 20, 40, … */
function raise250(out: Element, a: Element): void {
  squareTimes(eleventh, a, 1); // 2
  squareTimes(out, eleventh, 2); // 8
  multiply(out, out, a); // 9
  multiply(eleventh, out, eleventh); // 11
  square(power, eleventh); // 22
  multiply(out, power, out); // 2^5 - 1
  for (const [ones, run] of RUNS) {
    if (run === ones) kept.set(out);
    // Ones so far, times 2^run, plus a run of ones: twice as many, or the 10 and 50 set aside.
    const other = run === ones ? kept : run === 10 ? ten : fifty;
    squareTimes(power, out, run);
    multiply(out, power, other);
    if (ones + run === 10) ten.set(out);
    if (ones + run === 50) fifty.set(out);
  }
}

function squareTimes(out: Element, a: Element, times: number): void {
  square(out, a);
  for (let i = 1; i < times; i++) square(out, out);
}

/** Ones in the exponent, and the length of the run that is added. */
const RUNS: readonly (readonly [ones: number, run: number])[] = [
  [5, 5],
  [10, 10],
  [20, 20],
  [40, 10],
  [50, 50],
  [100, 100],
  [200, 50],
];
const eleventh: Element = zeroElement();
const power: Element = zeroElement();
const kept: Element = zeroElement();
const ten: Element = zeroElement();
const fifty: Element = zeroElement();

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
    out[i] = (word & ((1 << width) - 1)) * (UNITS[i] as number);
  }
}

/** Write a reduced element (or a sum of two) as 32 bytes little-endian, fully reduced modulo p. */
export function encodeElement(a: Element): Uint8Array<ArrayBuffer> {
  const digits = new Int32Array(LIMBS);
  for (let i = 0; i < LIMBS; i++) digits[i] = (a[i] as number) * (UNIT_INVERSES[i] as number);
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
  for (const element of [scaled, eleventh, power, kept, ten, fifty]) element.fill(0);
}

function byteAt(bytes: Uint8Array, at: number): number {
  return at < 32 ? (bytes[at] as number) : 0;
}

function exponent(i: number): number {
  return EXPONENTS[i] as number;
}
