// Points, scalars and powers of the doubles field against noble-curves, which computes with bigints.
import { ed25519 } from '@noble/curves/ed25519.js';
import t from 'tap';
import { toHex } from '#src/bytes.js';
import {
  decodePoint,
  encodeBaseMultiple,
  encodeMultipleDifference,
  montgomeryBaseMultiple,
} from '#src/crypto/edwards25519.js';
import { multiplyAddScalars, reduceScalar } from '#src/crypto/scalar25519.js';
import { scalarMultiply } from '#src/crypto/x25519.js';
import { Random } from '../support/random.js';

const { Point } = ed25519;
const random = new Random(8032);
const P = Point.Fp.ORDER;
const L = Point.Fn.ORDER;

const le = (bytes: Uint8Array): bigint =>
  bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
const bytesOf = (value: bigint, length = 32): Uint8Array<ArrayBuffer> =>
  Uint8Array.from({ length }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));

/** Scalars below 2^255 where digits, carries or the order of the group turn over. */
const EDGES: readonly bigint[] = [
  ...[0n, 1n, 2n, 7n, 8n, 9n, 15n, 16n, 17n, 127n, 128n, 136n, 255n, 256n],
  ...[L - 2n, L - 1n, L, L + 1n, 2n * L - 1n, 2n * L, 7n * L + 5n],
  ...[(1n << 252n) - 1n, 1n << 252n, (1n << 254n) - 1n, 1n << 254n, (1n << 255n) - 1n],
  // Every digit at its bound, as the recoding sees it.
  BigInt(`0x7${'8'.repeat(63)}`),
  BigInt(`0x7${'7'.repeat(63)}`),
  BigInt(`0x7${'f8'.repeat(31)}f`),
];

t.test('scalars: reduced and multiplied modulo l as bigints are', async (t) => {
  const wide = [
    ...EDGES,
    ...[L * L - 1n, L * L, L * L + 1n, (1n << 512n) - 1n, 1n << 511n, (1n << 504n) - 1n],
    ...Array.from({ length: 13 }, (_, i) => ((1n << 259n) - 1n) * L - BigInt(i) + 6n),
    ...Array.from({ length: 400 }, () => le(random.bytes(1 + random.below(64)))),
  ];
  for (const value of wide) {
    if (le(reduceScalar(bytesOf(value, 64))) !== value % L) t.fail(`${value} modulo l`);
    if (value < 1n << 256n && le(reduceScalar(bytesOf(value))) !== value % L) t.fail(`${value}`);
  }
  const pool = [...EDGES, (1n << 256n) - 1n, ...EDGES.map(() => le(random.bytes(32)))];
  for (let i = 0; i < 1000; i++) {
    const [a, b, c] = [random.pick(pool), random.pick(pool), random.pick(pool)];
    const got = le(multiplyAddScalars(bytesOf(a), bytesOf(b), bytesOf(c)));
    if (got !== (a * b + c) % L) t.fail(`${a} * ${b} + ${c}`);
  }
  t.equal(reduceScalar(new Uint8Array(0)).length, 32);
});

t.test('multiples of the base point, reduced or not, in both forms', async (t) => {
  const scalars = [...EDGES, ...Array.from({ length: 150 }, () => le(random.bytes(32)) >> 1n)];
  const nine = bytesOf(9n);
  for (const scalar of scalars) {
    const expected = Point.BASE.multiplyUnsafe(scalar % L);
    const given = bytesOf(scalar);
    if (toHex(encodeBaseMultiple(given)) !== toHex(expected.toBytes())) t.fail(`${scalar} * B`);
    t.strictSame(given, bytesOf(scalar), 'the scalar is left alone');
    const u = toHex(montgomeryBaseMultiple(given));
    // The ladder, which knows no table, must agree.
    if (u !== toHex(scalarMultiply(given, nine))) t.fail(`u of ${scalar} * B`);
  }
});

/** The eight points of low order. */
const torsion = Array.from({ length: 8 }, (_, i) =>
  Point.fromBytes(
    bytesOf(2707385501144840649318225287225658788936804267575313519463743609750303402022n),
  ).multiplyUnsafe(BigInt(i)),
);

t.test('s*B - h*A, also for keys with a torsion part', async (t) => {
  for (let i = 0; i < 80; i++) {
    const base = Point.BASE.multiplyUnsafe(i < 8 ? 0n : le(random.bytes(32)) % L);
    const key = base.add(torsion[i % 8] as InstanceType<typeof Point>);
    const [s, h] = [le(random.bytes(32)) >> 3n, i % 16 === 9 ? 0n : le(random.bytes(32)) % L];
    const expected = Point.BASE.multiplyUnsafe(s % L).subtract(key.multiplyUnsafe(h));
    const point = decodePoint(key.toBytes());
    if (point === undefined) return t.fail('a point of the curve is refused');
    const got = encodeMultipleDifference(bytesOf(s), bytesOf(h), point);
    if (toHex(got) !== toHex(expected.toBytes())) t.fail(`case ${i}`);
  }
  t.pass();
});

t.test(
  'ATK-A03 encodings: what noble refuses is refused, what it takes is the same point',
  async (t) => {
    const verdicts = new Map<boolean, number>();
    const one = bytesOf(1n);
    const zero = new Uint8Array(32);
    const judge = (encoded: Uint8Array): void => {
      let known: Uint8Array | undefined;
      try {
        known = Point.fromBytes(encoded).toBytes();
      } catch {
        known = undefined;
      }
      const point = decodePoint(encoded);
      verdicts.set(point !== undefined, (verdicts.get(point !== undefined) ?? 0) + 1);
      if ((point === undefined) !== (known === undefined)) t.fail(toHex(encoded));
      if (point === undefined || known === undefined) return;
      // 0*B - 1*A is the point with x negated.
      const negated = encodeMultipleDifference(zero, one, point);
      if (toHex(negated) !== toHex(Point.fromBytes(known).negate().toBytes())) t.fail('sign of x');
    };
    for (let i = 0; i < 150; i++) judge(random.bytes(32));
    for (const top of [0n, 1n << 255n]) {
      for (let d = 0n; d < 25n; d++) {
        // y from 0 up, from -6 up to values not below p, which are refused even where the point exists.
        judge(bytesOf(d | top));
        judge(bytesOf((P - 6n + d) | top));
      }
      for (const point of torsion)
        judge(bytesOf((le(point.toBytes()) & ((1n << 255n) - 1n)) | top));
    }
    // x = 0 has no sign: (0, 1) and (0, -1) with bit 255 set are no encodings.
    t.equal(decodePoint(bytesOf(1n | (1n << 255n))), undefined);
    t.equal(decodePoint(bytesOf((P - 1n) | (1n << 255n))), undefined);
    t.equal(verdicts.size, 2);
  },
);
