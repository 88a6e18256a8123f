/**
 * 01 Primitives. X25519 (RFC 7748) for the portable provider, without bigints.
 *
 * The Montgomery ladder over field25519.ts: 255 steps of the same operations, whatever the key; for public keys
 * the faster table of edwards25519.ts. Used where node:crypto is not. Spec: spec/01-primitives.md §2. Vectors: sessions/curve.json.
 */
import type { Bytes } from '../bytes.js';
import { montgomeryBaseMultiple } from './edwards25519.js';
import {
  add,
  decodeElement,
  type Element,
  encodeElement,
  invert,
  multiply,
  scale,
  square,
  subtract,
  swap,
  wipeScratch,
  zeroElement,
} from './field25519.js';

/** (486662 - 2) / 4, RFC 7748 §5. */
const A24 = 121_665;

/**
 * RFC 7748 §5, without a test for the all-zero result.
 *
 * @param scalar - 32 bytes, clamped. @param u - 32 bytes; bit 255 is ignored, an unreduced value reduced.
 * @returns 32 bytes, secret, owned by the caller.
 */
export function scalarMultiply(scalar: Uint8Array, u: Uint8Array): Bytes {
  decodeElement(x1, u);
  x2.fill(0);
  x2[0] = 1;
  z2.fill(0);
  x3.set(x1);
  z3.fill(0);
  z3[0] = 1;
  let last = 0;
  for (let t = 254; t >= 0; t--) {
    const bit = ((scalar[t >> 3] as number) >> (t & 7)) & 1;
    swap(x2, x3, last ^ bit);
    swap(z2, z3, last ^ bit);
    last = bit;
    step();
  }
  swap(x2, x3, last);
  swap(z2, z3, last);
  invert(a, z2);
  multiply(x2, x2, a);
  const out = encodeElement(x2);
  for (const element of scratch) element.fill(0);
  wipeScratch();
  return out;
}

/** The public u of a clamped private key. */
export function scalarMultiplyBase(scalar: Uint8Array): Bytes {
  return montgomeryBaseMultiple(scalar);
}

/** One step of the ladder; names as in RFC 7748 §5. Every operand is at most one sum of reduced elements. */
function step(): void {
  add(a, x2, z2);
  subtract(b, x2, z2);
  add(c, x3, z3);
  subtract(d, x3, z3);
  multiply(d, d, a); // DA
  multiply(c, c, b); // CB
  square(a, a); // AA
  square(b, b); // BB
  add(x3, d, c);
  square(x3, x3);
  subtract(z3, d, c);
  square(z3, z3);
  multiply(z3, z3, x1);
  multiply(x2, a, b);
  subtract(c, a, b); // E
  scale(d, c, A24);
  add(d, d, a);
  multiply(z2, c, d);
}

const x1: Element = zeroElement();
const x2: Element = zeroElement();
const z2: Element = zeroElement();
const x3: Element = zeroElement();
const z3: Element = zeroElement();
const a: Element = zeroElement();
const b: Element = zeroElement();
const c: Element = zeroElement();
const d: Element = zeroElement();
const scratch: readonly Element[] = [x1, x2, z2, x3, z3, a, b, c, d];
