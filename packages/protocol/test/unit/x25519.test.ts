// The portable X25519 and its field of doubles, at the bounds where a rounding would show.
import { x25519 } from '@noble/curves/ed25519.js';
import t from 'tap';
import { toHex } from '#src/bytes.js';
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
  zeroElement,
} from '#src/crypto/field25519.js';
import { nodeProvider } from '#src/crypto/node.js';
import { scalarMultiply, scalarMultiplyBase } from '#src/crypto/x25519.js';
import { hex } from '../support/hex.js';
import { Random } from '../support/random.js';

const random = new Random(25519);
const P = 2n ** 255n - 19n;
const EXPONENTS = Array.from({ length: LIMBS + 1 }, (_, i) => Math.ceil(21.25 * i));
const modulo = (value: bigint): bigint => ((value % P) + P) % P;

function integerOf(element: Element): bigint {
  let sum = 0n;
  for (const [i, limb] of element.entries()) {
    const e = EXPONENTS[i] as number;
    sum += BigInt(limb * 2 ** -e) << BigInt(e);
  }
  return modulo(sum);
}

function bytesOf(value: bigint): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

/** Limbs as large as a sum of two reduced elements may have them: `pick` from -1 to 1 of that. */
function elementOf(pick: () => number): Element {
  return Float64Array.from({ length: LIMBS }, (_, i) => {
    const [low, high] = [EXPONENTS[i] as number, EXPONENTS[i + 1] as number];
    return Math.round(pick() * 1.03 * 2 ** (high - low)) * 2 ** low;
  });
}

t.test('products are exact, also with every limb at its bound', async (t) => {
  const picks: (() => number)[] = [
    () => 1,
    () => -1,
    () => (random.chance(0.5) ? 1 : -1),
    () => random.below(2001) / 1000 - 1,
    () => 0,
  ];
  for (let i = 0; i < 400; i++) {
    const a = elementOf(random.pick(picks));
    const b = elementOf(random.pick(picks));
    const [va, vb] = [integerOf(a), integerOf(b)];
    const out = zeroElement();
    multiply(out, a, b);
    if (integerOf(out) !== modulo(va * vb)) t.fail('product');
    for (const [k, limb] of out.entries()) {
      const bound = 2 ** ((EXPONENTS[k + 1] as number) - 1);
      if (Math.abs(limb) > 1.02 * bound) t.fail(`limb ${k} is not reduced`);
    }
    if (toHex(encodeElement(out)) !== toHex(bytesOf(integerOf(out)))) t.fail('encoding');
    square(out, a);
    if (integerOf(out) !== modulo(va * va)) t.fail('square');
    for (const [k, limb] of out.entries()) {
      const bound = 2 ** ((EXPONENTS[k + 1] as number) - 1);
      if (Math.abs(limb) > 1.02 * bound) t.fail(`limb ${k} of a square is not reduced`);
    }
    scale(out, a, 121_665);
    if (integerOf(out) !== modulo(va * 121_665n)) t.fail('scale');
    add(out, a, b);
    if (integerOf(out) !== modulo(va + vb)) t.fail('sum');
    subtract(out, a, b);
    if (integerOf(out) !== modulo(va - vb)) t.fail('difference');
    swap(a, b, 0);
    if (integerOf(a) !== va || integerOf(b) !== vb) t.fail('no swap');
    swap(a, b, 1);
    if (integerOf(a) !== vb || integerOf(b) !== va) t.fail('swap');
    multiply(a, a, a);
    if (integerOf(a) !== modulo(vb * vb)) t.fail('square in place');
  }
  const zero = zeroElement();
  const inverse = zeroElement();
  invert(inverse, zero);
  t.equal(integerOf(inverse), 0n, 'the inverse of 0 is 0');
  const some = elementOf(() => random.below(2001) / 2000);
  invert(inverse, some);
  t.equal(modulo(integerOf(inverse) * integerOf(some)), 1n);
  raiseForRoot(inverse, some);
  let power = 1n;
  const exponent = (P - 5n) / 8n;
  for (let bit = 254n; bit >= 0n; bit--) {
    power = modulo(power * power);
    if ((exponent >> bit) & 1n) power = modulo(power * integerOf(some));
  }
  t.equal(integerOf(inverse), power);
});

t.test('encodings are fully reduced', async (t) => {
  const element = zeroElement();
  for (let d = -25n; d <= 25n; d++) {
    for (const base of [0n, P, 2n ** 254n]) {
      const value = base + d;
      if (value < 0n || value >= 2n ** 255n) continue;
      decodeElement(element, bytesOf(value));
      t.equal(toHex(encodeElement(element)), toHex(bytesOf(value % P)), `${value}`);
    }
    element.fill(0);
    element[0] = Number(d);
    t.equal(toHex(encodeElement(element)), toHex(bytesOf(modulo(d))), `${d} in one limb`);
  }
  decodeElement(element, new Uint8Array(32).fill(0xff));
  t.equal(toHex(encodeElement(element)), toHex(bytesOf(18n)), 'bit 255 is ignored');
});

t.test('RFC 7748 §5.2, repeated a thousand times', async (t) => {
  let k = hex(`09${'00'.repeat(31)}`);
  let u = k;
  for (let i = 1; i <= 1000; i++) {
    const clamped = Uint8Array.from(k);
    clamped[0] = (clamped[0] as number) & 0xf8;
    clamped[31] = ((clamped[31] as number) & 0x7f) | 0x40;
    [k, u] = [scalarMultiply(clamped, u), k];
    if (i === 1) {
      t.equal(toHex(k), '422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079');
    }
  }
  t.equal(toHex(k), '684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51');
});

t.test('agrees with two other implementations for any u', async (t) => {
  const special = [2n, 9n, P - 2n, P + 2n, 2n ** 255n - 1n, 2n ** 256n - 1n, 2n ** 128n].map(
    bytesOf,
  );
  for (let i = 0; i < 60; i++) {
    const pair = nodeProvider.x25519KeyPair();
    const u = special[i] ?? random.bytes(32);
    const ours = scalarMultiply(pair.secret, u);
    t.equal(toHex(ours), toHex(x25519.scalarMult(pair.secret, u)));
    t.equal(toHex(scalarMultiplyBase(pair.secret)), toHex(pair.public.subarray(1)));
  }
  const { secret } = nodeProvider.x25519KeyPair();
  t.equal(toHex(scalarMultiply(secret, new Uint8Array(32))), '00'.repeat(32), 'zero comes out');
});
