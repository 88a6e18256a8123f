/**
 * 01 Primitives. The Edwards form of Curve25519, -x^2 + y^2 = 1 + d x^2 y^2, on the doubles of field25519.ts.
 *
 * A point is (X : Y : Z) with T = XY/Z (Hisil, Wong, Carter, Dawson 2008). What is added comes prepared as
 * ((y + x)/2, (y - x)/2, d x y): with the halves every operand is a sum of at most two reduced elements, as
 * `multiply` wants it. The addition is complete: no case apart, so no branch.
 *
 * Multiples of the base point are 64 additions out of a table of j * 256^i * B, j from 1 to 8, made at first
 * use (75 kB). *Secret scalars*: every entry of a row is read, the wanted one kept by factors 0 and 1; no branch or
 * index depends on the scalar. `multipleDifference` is for public values. Spec: spec/01-primitives.md §3.6.
 */
import { type Bytes, fromHex } from '../bytes.js';
import { equalBytes } from './constant-time.js';
import {
  add,
  decodeElement,
  type Element,
  encodeElement,
  invert,
  LIMBS,
  multiply,
  raiseForRoot,
  scale,
  square,
  subtract,
  swap,
  wipeScratch,
  zeroElement,
} from './field25519.js';

/** A point of the curve. */
export interface Point {
  readonly x: Element;
  readonly y: Element;
  readonly z: Element;
  readonly t: Element;
}

/** A point prepared for adding; `z` undefined means 1. */
interface Addend {
  readonly sum: Element;
  readonly difference: Element;
  readonly product: Element;
  readonly z: Element | undefined;
}

/**
 * enc(scalar * B). Time does not depend on `scalar`.
 *
 * @param scalar - 32 bytes little-endian, below 2^255, reduced or not. @returns 32 bytes, owned by the caller.
 */
export function encodeBaseMultiple(scalar: Uint8Array): Bytes {
  multiplyBase(scalar);
  const out = encodePoint(total);
  wipePoints();
  return out;
}

/** u of scalar * B, the X25519 public key of a clamped `scalar`; 0 for the neutral point. As above. */
export function montgomeryBaseMultiple(scalar: Uint8Array): Bytes {
  multiplyBase(scalar);
  // u = (1 + y) / (1 - y).
  subtract(a, total.z, total.y);
  invert(b, a);
  add(a, total.z, total.y);
  multiply(a, a, b);
  const out = encodeElement(a);
  wipePoints();
  return out;
}

/**
 * enc(s * B - h * P), for checking signatures: time depends on P.
 *
 * @param s - 32 bytes, below 2^255. @param h - The same.
 */
export function encodeMultipleDifference(s: Uint8Array, h: Uint8Array, point: Point): Bytes {
  const table = makeTable(point, 1);
  const digits = signedDigits(h);
  setNeutral(total);
  for (let i = DIGITS - 1; i >= 0; i--) {
    for (let k = 0; k < 4; k++) doublePoint(total);
    addPicked(table, 0, -(digits[i] as number));
  }
  const ours = prepare(copyPoint(total));
  multiplyBase(s);
  addPoint(total, ours);
  return encodePoint(total);
}

/**
 * The point of an encoding (RFC 8032 §5.1.3), or `undefined`: y not below p, no x for it, or the sign of an
 * x that is zero. For public values.
 */
export function decodePoint(encoded: Uint8Array): Point | undefined {
  const sign = (encoded[31] as number) >> 7;
  const y = zeroElement();
  decodeElement(y, encoded);
  scale(y, y, 1); // carried: what is decoded has limbs of twice the reduced size
  const canonical = encodeElement(y);
  canonical[31] = (canonical[31] as number) | (sign << 7);
  if (!equalBytes(canonical, encoded)) return undefined;
  // x^2 = u / v with u = y^2 - 1, v = d y^2 + 1. A root is u v^3 (u v^7)^((p - 5) / 8), or that times i.
  const [u, v, x, w] = [zeroElement(), zeroElement(), zeroElement(), zeroElement()];
  square(w, y);
  multiply(v, w, D);
  subtract(u, w, ONE);
  scale(u, u, 1);
  add(v, v, ONE);
  scale(v, v, 1);
  square(w, v);
  multiply(w, w, v); // v^3
  multiply(x, w, u); // u v^3
  square(w, w);
  multiply(w, w, v); // v^7
  multiply(w, w, u);
  const power = zeroElement();
  raiseForRoot(power, w);
  multiply(x, x, power);
  square(w, x);
  multiply(w, w, v);
  subtract(power, w, u);
  if (!isZero(power)) {
    add(power, w, u);
    if (!isZero(power)) return undefined;
    multiply(x, x, ROOT);
  }
  if (isZero(x) && sign === 1) return undefined;
  if (((encodeElement(x)[0] as number) & 1) !== sign) subtract(x, ZERO, x);
  const t = zeroElement();
  multiply(t, x, y);
  return { x, y, z: ONE.slice(), t };
}

/** Whether `element` is 0 modulo p. Public values only. */
export function isZero(element: Element): boolean {
  return encodeElement(element).every((byte) => byte === 0);
}

/** 32 bytes: y, and the lowest bit of x on top. */
function encodePoint(point: Point): Bytes {
  invert(b, point.z);
  multiply(a, point.x, b);
  multiply(b, point.y, b);
  const x = encodeElement(a);
  const out = encodeElement(b);
  out[31] = (out[31] as number) | (((x[0] as number) & 1) << 7);
  x.fill(0);
  return out;
}

/** `total = scalar * B`: the odd digits, times 16, and the even ones, so that half a table does. */
function multiplyBase(scalar: Uint8Array): void {
  baseTable ??= makeTable(basePoint(), DIGITS / 2);
  const digits = signedDigits(scalar);
  setNeutral(total);
  for (let i = 1; i < DIGITS; i += 2) addPicked(baseTable, i >> 1, digits[i] as number);
  for (let k = 0; k < 4; k++) doublePoint(total);
  for (let i = 0; i < DIGITS; i += 2) addPicked(baseTable, i >> 1, digits[i] as number);
  digits.fill(0);
}

/** `total += digit * P(row)`. */
function addPicked(table: Float64Array, row: number, digit: number): void {
  pick(table, row, digit);
  addPoint(total, picked);
}

/** 64 digits from -8 to 8 with sum d(i) * 16^i = scalar. */
function signedDigits(scalar: Uint8Array): Int8Array {
  const digits = new Int8Array(DIGITS);
  let moving = 0;
  for (let i = 0; i < DIGITS; i++) {
    const digit = (((scalar[i >> 1] as number) >> ((i & 1) * 4)) & 15) + moving;
    // The last one keeps what it has: below 2^255 it is at most 8.
    moving = i === DIGITS - 1 ? 0 : (digit + 8) >> 4;
    digits[i] = digit - (moving << 4);
  }
  return digits;
}

/**
 * `picked = digit * P(row)` out of a table. Reads the whole row; the digit becomes factors that
 * are 0 or 1, and one sign.
 */
function pick(table: Float64Array, row: number, digit: number): void {
  const negative = digit >>> 31;
  const size = (digit ^ -negative) + negative;
  const m1 = isEqual(size, 1);
  const m2 = isEqual(size, 2);
  const m3 = isEqual(size, 3);
  const m4 = isEqual(size, 4);
  const m5 = isEqual(size, 5);
  const m6 = isEqual(size, 6);
  const m7 = isEqual(size, 7);
  const m8 = isEqual(size, 8);
  for (let i = 0, at = row * ROW; i < ENTRY; i++, at += MULTIPLES) {
    pickedLimbs[i] =
      m1 * (table[at] as number) +
      m2 * (table[at + 1] as number) +
      m3 * (table[at + 2] as number) +
      m4 * (table[at + 3] as number) +
      m5 * (table[at + 4] as number) +
      m6 * (table[at + 5] as number) +
      m7 * (table[at + 6] as number) +
      m8 * (table[at + 7] as number);
  }
  // Nothing picked: the neutral point, (1/2, 1/2, 0).
  const none = isEqual(size, 0);
  const { sum, difference, product } = picked;
  for (let i = 0; i < LIMBS; i++) {
    sum[i] = (sum[i] as number) + none * (HALF[i] as number);
    difference[i] = (difference[i] as number) + none * (HALF[i] as number);
    product[i] = (product[i] as number) * (1 - 2 * negative);
  }
  swap(sum, difference, negative);
}

/** 1 when small non-negative numbers are equal, else 0. */
function isEqual(one: number, other: number): number {
  return ((one ^ other) - 1) >>> 31;
}

/** j * 256^i * P for j from 1 to 8 and i below `rows`; limb by limb, the eight multiples side by side. */
function makeTable(point: Point, rows: number): Float64Array {
  const points: Point[] = [];
  let first = copyPoint(point);
  for (let row = 0; row < rows; row++) {
    const step = prepare(first);
    const multiples = [first];
    for (let j = 2; j <= MULTIPLES; j++) {
      // 2P, 4P, 6P and 8P are twice something; the others one more.
      const next = copyPoint(multiples[(j & 1) === 0 ? j / 2 - 1 : j - 2] as Point);
      if ((j & 1) === 0) doublePoint(next);
      else addPoint(next, step);
      multiples.push(next);
    }
    points.push(...multiples);
    first = copyPoint(multiples[MULTIPLES - 1] as Point);
    for (let k = 0; k < 5; k++) doublePoint(first); // 8 * 2^5 = 256
  }
  const table = new Float64Array(rows * ROW);
  for (const [n, inverse] of invertAll(points.map(({ z }) => z)).entries()) {
    const { x, y } = points[n] as Point;
    const affine = { x: zeroElement(), y: zeroElement(), z: ONE, t: zeroElement() };
    multiply(affine.x, x, inverse);
    multiply(affine.y, y, inverse);
    multiply(affine.t, affine.x, affine.y);
    const { sum, difference, product } = prepare(affine);
    const at = Math.floor(n / MULTIPLES) * ROW + (n % MULTIPLES);
    for (const [part, element] of [sum, difference, product].entries()) {
      for (let i = 0; i < LIMBS; i++) {
        table[at + (part * LIMBS + i) * MULTIPLES] = element[i] as number;
      }
    }
  }
  return table;
}

/** Inverses of elements that are not 0, with one inversion (Montgomery). */
function invertAll(elements: readonly Element[]): Element[] {
  const before: Element[] = [];
  const product = ONE.slice();
  for (const element of elements) {
    before.push(product.slice());
    multiply(product, product, element);
  }
  const rest = zeroElement();
  invert(rest, product);
  for (let i = elements.length - 1; i >= 0; i--) {
    const out = before[i] as Element;
    multiply(out, out, rest);
    multiply(rest, rest, elements[i] as Element);
  }
  return before;
}

function prepare({ x, y, z, t }: Point): Addend {
  const [sum, difference, product] = [zeroElement(), zeroElement(), zeroElement()];
  add(sum, y, x);
  multiply(sum, sum, HALF);
  subtract(difference, y, x);
  multiply(difference, difference, HALF);
  multiply(product, t, D);
  return { sum, difference, product, z };
}

/** `point += addend`: 7 products, 8 when `addend` has a z. */
function addPoint({ x, y, z, t }: Point, addend: Addend): void {
  subtract(a, y, x);
  multiply(a, a, addend.difference);
  add(b, y, x);
  multiply(b, b, addend.sum);
  multiply(c, t, addend.product);
  let last = z;
  if (addend.z !== undefined) {
    multiply(d, z, addend.z);
    last = d;
  }
  subtract(e, b, a);
  add(h, b, a);
  subtract(f, last, c);
  add(g, last, c);
  multiply(x, e, f);
  multiply(y, g, h);
  multiply(z, f, g);
  multiply(t, e, h);
}

/** `point = 2 * point`. */
function doublePoint({ x, y, z, t }: Point): void {
  multiply(e, x, y);
  add(e, e, e); // 2XY
  square(a, x);
  square(b, y);
  subtract(g, b, a); // Y^2 - X^2
  add(h, b, a); // X^2 + Y^2, the sign goes into f
  square(c, z);
  add(c, c, c);
  subtract(f, c, g);
  scale(f, f, 1); // 2Z^2 - G, four reduced elements, carried
  multiply(x, e, f);
  multiply(y, g, h);
  multiply(z, f, g);
  multiply(t, e, h);
}

function copyPoint({ x, y, z, t }: Point): Point {
  return { x: x.slice(), y: y.slice(), z: z.slice(), t: t.slice() };
}

function setNeutral({ x, y, z, t }: Point): void {
  x.fill(0);
  y.set(ONE);
  z.set(ONE);
  t.fill(0);
}

function basePoint(): Point {
  const t = zeroElement();
  multiply(t, BASE_X, BASE_Y);
  return { x: BASE_X, y: BASE_Y, z: ONE, t };
}

function known(hex: string): Bytes {
  return fromHex(hex) ?? new Uint8Array(0);
}

function elementOf(hex: string): Element {
  const out = zeroElement();
  decodeElement(out, known(hex));
  scale(out, out, 1);
  return out;
}

/** Wipe what the last secret multiple left behind. */
function wipePoints(): void {
  for (const element of [a, b, c, d, e, f, g, h]) element.fill(0);
  for (const element of [total.x, total.y, total.z, total.t, pickedLimbs]) element.fill(0);
  wipeScratch();
}

const DIGITS = 64;
const MULTIPLES = 8;
/** Limbs of a prepared point. */
const ENTRY: number = 3 * LIMBS;
const ROW: number = ENTRY * MULTIPLES;

const ZERO = zeroElement();
const ONE = elementOf('01');
/** The base point, RFC 8032 §5.1: y = 4/5, x even. */
const BASE_X = elementOf('1ad5258f602d56c9b2a7259560c72c695cdcd6fd31e2a4c0fe536ecdd3366921');
const BASE_Y = elementOf('5866666666666666666666666666666666666666666666666666666666666666');
/** 1/2 = (p + 1)/2. */
const HALF = elementOf('f7ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff3f');
/** d = -121665/121666, RFC 8032 §5.1. */
const D = elementOf('a3785913ca4deb75abd841414d0a700098e879777940c78c73fe6f2bee6c0352');
/** A root of -1: 2^((p - 1)/4). */
const ROOT = elementOf('b0a00e4a271beec478e42fad0618432fa7d7fb3d99004d2b0bdfc14f8024832b');

let baseTable: Float64Array | undefined;

const total: Point = { x: zeroElement(), y: zeroElement(), z: zeroElement(), t: zeroElement() };
const pickedLimbs = new Float64Array(ENTRY);
const picked: Addend = {
  sum: pickedLimbs.subarray(0, LIMBS),
  difference: pickedLimbs.subarray(LIMBS, 2 * LIMBS),
  product: pickedLimbs.subarray(2 * LIMBS),
  z: undefined,
};
const a = zeroElement();
const b = zeroElement();
const c = zeroElement();
const d = zeroElement();
const e = zeroElement();
const f = zeroElement();
const g = zeroElement();
const h = zeroElement();
