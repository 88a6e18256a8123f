// XEdDSA and the canonical test against their definitions, written here a second time with plain points.
import { ed25519 } from '@noble/curves/ed25519.js';
import t from 'tap';
import { concatBytes, copyBytes, toHex } from '#src/bytes.js';
import { nobleProvider } from '#src/crypto/noble.js';
import { nodeProvider } from '#src/crypto/node.js';
import { type PublicKey, toPrivateKey, toPublicKey } from '#src/types.js';
import { flipBit } from '../support/hex.js';
import { Random } from '../support/random.js';

const { Point } = ed25519;
const { Fp, Fn } = Point;
type Point = InstanceType<typeof Point>;

const random = new Random(20261123);
const providers = [nobleProvider, nodeProvider];
const P = Fp.ORDER;
const L = Fn.ORDER;

const le = (bytes: Uint8Array): bigint =>
  bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
function bytes32(value: bigint): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}
const montgomery = (u: bigint): PublicKey =>
  toPublicKey(concatBytes(new Uint8Array([5]), bytes32(u)));
const uOf = (point: Point): bigint => {
  const { y } = point.toAffine();
  return Fp.is0(Fp.sub(1n, y)) ? 0n : Fp.div(Fp.add(1n, y), Fp.sub(1n, y));
};

/** The eight points of low order: multiples of one of order 8. */
const torsion: Point[] = (() => {
  const eight = Point.fromBytes(
    bytes32(2707385501144840649318225287225658788936804267575313519463743609750303402022n),
  );
  return Array.from({ length: 8 }, (_, i) => eight.multiplyUnsafe(BigInt(i)));
})();

/** 01 §3.3, step by step. */
function reference(key: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== 64) return false;
  const sign = (signature[63] as number) >> 7;
  const u = (le(key.subarray(1)) & ((1n << 255n) - 1n)) % P;
  if (u === P - 1n) return false;
  const y = Fp.div(Fp.sub(u, 1n), Fp.add(u, 1n));
  let A: Point;
  try {
    A = Point.fromBytes(bytes32(y | (u === 0n ? 0n : BigInt(sign) << 255n)), true);
  } catch {
    return false;
  }
  const s = le(signature.subarray(32)) & ((1n << 255n) - 1n);
  if (s >= 1n << 253n) return false;
  const R = signature.subarray(0, 32);
  const h = le(nobleProvider.sha512(R, A.toBytes(), message)) % L;
  const expected = Point.BASE.multiplyUnsafe(s % L).add(A.multiplyUnsafe(h).negate());
  return toHex(expected.toBytes()) === toHex(R);
}

function agree(name: string, key: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  const expected = reference(key, message, signature);
  for (const crypto of providers) {
    const got = crypto.xeddsaVerify(copyBytes(key) as PublicKey, signature, message);
    if (got !== expected) t.fail(`${name}: ${crypto.name} says ${got}, the definition ${expected}`);
  }
  return expected;
}

function signed() {
  const secret = toPrivateKey(random.bytes(32));
  const message = random.bytes(random.below(80));
  const signature = nobleProvider.xeddsaSign(secret, random.bytes(64), message);
  return { secret, key: nobleProvider.x25519PublicKey(secret), message, signature };
}

t.test(
  'honest signatures of both signs verify; every single mutation is judged alike',
  async (t) => {
    const signs = new Set<number>();
    for (let i = 0; i < 12; i++) {
      const { key, message, signature } = signed();
      signs.add((signature[63] as number) >> 7);
      t.ok(agree('honest', key, message, signature));
      // Bit 255 of u is ignored.
      const high = copyBytes(key) as PublicKey;
      flipBit(high, 32, 7);
      t.ok(agree('bit 255', high, message, signature));
      for (let j = 0; j < 6; j++) {
        const mutated = copyBytes(signature);
        flipBit(mutated, random.below(64), random.below(8));
        t.notOk(agree('signature bit', key, message, mutated));
      }
      const otherKey = copyBytes(key) as PublicKey;
      flipBit(otherKey, 1 + random.below(31), random.below(8));
      t.notOk(agree('key bit', otherKey, message, signature));
      t.notOk(agree('message', key, concatBytes(message, new Uint8Array(1)), signature));
      for (const length of [0, 1, 63])
        t.notOk(agree('short', key, message, signature.subarray(0, length)));
      t.notOk(agree('long', key, message, concatBytes(signature, new Uint8Array(1))));
    }
    t.equal(signs.size, 2, 'both signs occurred');
  },
);

t.test('ATK-A03 sign bit, s + l, top bits, swapped and unreduced R', async (t) => {
  let above = 0;
  for (let i = 0; i < 10; i++) {
    const { key, message, signature } = signed();
    const sign = (signature[63] as number) & 0x80;
    const s = le(signature.subarray(32)) & ((1n << 255n) - 1n);
    const withS = (value: bigint) => {
      const out = concatBytes(signature.subarray(0, 32), bytes32(value));
      out[63] = (out[63] as number) | sign;
      return out;
    };
    const flipped = copyBytes(signature);
    flipBit(flipped, 63, 7);
    t.notOk(agree('sign bit', key, message, flipped), 'a flipped sign bit is another key');
    // Peers accept s + l below 2^253. Both signatures are then valid: nothing may rest on uniqueness.
    const fits = s + L < 1n << 253n;
    if (fits) above++;
    t.equal(agree('s + l', key, message, withS(s + L)), fits);
    t.notOk(agree('s + 2l', key, message, withS(s + 2n * L)));
    for (const bit of [5, 6]) {
      const top = copyBytes(signature);
      flipBit(top, 63, bit);
      t.notOk(agree('top bit', key, message, top));
    }
    const swapped = concatBytes(signature.subarray(32), signature.subarray(0, 32));
    t.notOk(agree('swapped', key, message, swapped));
    const other = nobleProvider.xeddsaSign(signed().secret, random.bytes(64), message);
    const mixed = concatBytes(other.subarray(0, 32), signature.subarray(32));
    t.notOk(agree('foreign R', key, message, mixed));
  }
  t.ok(above > 0, 's + l was tried below 2^253');
});

t.test('ATK-A03 keys without an Edwards form, and special u', async (t) => {
  const { message, signature } = signed();
  let twist = 0;
  for (let i = 0; i < 20; i++) {
    const u = le(random.bytes(32)) % P;
    const rhs = Fp.mul(u, Fp.add(Fp.mul(u, Fp.add(u, 486662n)), 1n));
    const onCurve = Fp.pow(rhs, (P - 1n) / 2n) === 1n;
    if (!onCurve) twist++;
    t.notOk(agree('random u', montgomery(u), message, signature));
  }
  t.ok(twist > 0, 'the twist was tried');
  for (const u of [0n, 1n, P - 1n, P, P + 1n, (1n << 255n) - 1n, (1n << 256n) - 1n]) {
    for (const sign of [0, 0x80]) {
      const claimed = copyBytes(signature);
      claimed[63] = ((claimed[63] as number) & 0x7f) | sign;
      agree(`u = ${u}`, montgomery(u), message, claimed);
    }
  }
  t.pass();
});

t.test('ATK-A03 torsion: keys and commitments with a low-order part', async (t) => {
  const seen = { valid: 0, invalid: 0 };
  for (let i = 0; i < 60; i++) {
    const a = (le(random.bytes(32)) % (L - 1n)) + 1n;
    const T = torsion[1 + random.below(7)] as Point;
    const A = Point.BASE.multiplyUnsafe(a).add(T);
    const encoded = A.toBytes();
    const message = random.bytes(8);
    const r = le(random.bytes(32)) % L;
    const part = torsion[random.below(8)] as Point;
    const R = Point.BASE.multiplyUnsafe(r).add(part).toBytes();
    const h = le(nobleProvider.sha512(R, encoded, message)) % L;
    const signature = concatBytes(R, bytes32((r + h * a) % L));
    signature[63] = (signature[63] as number) | ((encoded[31] as number) & 0x80);
    const key = montgomery(uOf(A));
    if (agree('torsion', key, message, signature)) seen.valid++;
    else seen.invalid++;
  }
  t.ok(seen.valid > 0 && seen.invalid > 0, `${seen.valid} valid, ${seen.invalid} not`);
});

t.test('ATK-A01 low-order keys verify what anyone can make, as with peers', async (t) => {
  let forged = 0;
  let signless = 0;
  for (const T of torsion.slice(1)) {
    const key = montgomery(uOf(T));
    for (let i = 0; i < 12; i++) {
      const s = le(random.bytes(32)) % L;
      const message = random.bytes(4);
      const R = Point.BASE.multiplyUnsafe(s)
        .add(torsion[i % 8] as Point)
        .toBytes();
      const signature = concatBytes(R, bytes32(s));
      signature[63] = (signature[63] as number) | ((T.toBytes()[31] as number) & 0x80);
      const valid = agree('low order', key, message, signature);
      if (valid) forged++;
      // u = 0 has x = 0: asking for the other sign changes nothing.
      if (Fp.is0(T.toAffine().x)) {
        flipBit(signature, 63, 7);
        if (agree('sign of x = 0', key, message, signature)) signless++;
      }
    }
  }
  t.ok(signless > 0, `${signless} with the sign that x = 0 does not have`);
  t.ok(forged > 0, `${forged} forgeries: such keys must be refused elsewhere`);
});

t.test('the canonical test is its definition', async (t) => {
  const definition = (key: PublicKey): boolean => {
    const u = le(key.subarray(1));
    if (u >= P || u === P - 1n) return false;
    try {
      const y = Fp.div(Fp.sub(u, 1n), Fp.add(u, 1n));
      return Point.fromBytes(bytes32(y), true).isTorsionFree();
    } catch {
      return false;
    }
  };
  const verdicts = new Map<boolean, number>();
  const judge = (name: string, key: PublicKey) => {
    const expected = definition(key);
    verdicts.set(expected, (verdicts.get(expected) ?? 0) + 1);
    for (const crypto of providers) {
      if (crypto.isCanonicalPublicKey(key) !== expected) t.fail(`${name}: ${crypto.name}`);
    }
    return expected;
  };
  for (let i = 0; i < 8; i++) {
    const honest = nodeProvider.x25519KeyPair().public;
    t.ok(judge('honest', honest));
    const high = copyBytes(honest) as PublicKey;
    flipBit(high, 32, 7);
    t.notOk(judge('bit 255', high));
    const point = Point.BASE.multiplyUnsafe(le(random.bytes(32)) % L);
    for (const T of torsion.slice(1)) t.notOk(judge('torsion', montgomery(uOf(point.add(T)))));
    judge('random u', montgomery(le(random.bytes(32)) % P));
  }
  for (const T of torsion) t.notOk(judge('low order', montgomery(uOf(T))));
  for (let d = 0n; d < 19n; d++) t.notOk(judge('unreduced', montgomery(P + d)));
  for (const u of [0n, 1n, 2n, 9n, P - 1n, P - 2n]) judge(`u = ${u}`, montgomery(u));
  t.ok(judge('the base point', montgomery(9n)));
  // The orders that the proof in 01 §2.4 rests on: curve 8l, twist 4l', and l' divides neither 5l nor 5l - 2.
  const twistOrder = (2n * P + 2n - 8n * L) / 4n;
  t.ok((5n * L) % twistOrder !== 0n && (5n * L - 2n) % twistOrder !== 0n);
  t.equal(verdicts.size, 2);
});

t.test('Ed25519: strict in the same way in both providers', async (t) => {
  const judge = (key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean => {
    const [one, other] = providers.map((crypto) => crypto.ed25519Verify(key, message, signature));
    t.equal(one, other);
    return one === true;
  };
  for (let i = 0; i < 6; i++) {
    const { public: key, secret } = nodeProvider.ed25519KeyPair();
    const message = random.bytes(i * 7);
    const signature = nobleProvider.ed25519Sign(secret, message);
    t.ok(judge(key, message, signature));
    const mutated = copyBytes(signature);
    flipBit(mutated, random.below(64), random.below(8));
    t.notOk(judge(key, message, mutated));
    const s = le(signature.subarray(32));
    t.notOk(judge(key, message, concatBytes(signature.subarray(0, 32), bytes32(s + L))), 's + l');
    t.notOk(judge(key, message, signature.subarray(0, 63)));
    t.notOk(judge(key.subarray(0, 31), message, signature));
    t.notOk(judge(concatBytes(key, key), message, signature));
    const flipped = copyBytes(key);
    flipBit(flipped, 31, 7);
    t.notOk(judge(flipped, message, signature), 'the other sign of x');
  }
  for (const T of torsion) {
    for (const R of torsion) {
      const signature = concatBytes(R.toBytes(), new Uint8Array(32));
      t.notOk(judge(T.toBytes(), random.bytes(3), signature), 'a low-order key signs nothing');
    }
  }
  for (let d = 0n; d < 19n; d++) {
    t.notOk(judge(bytes32(P + d), random.bytes(3), new Uint8Array(64)), 'unreduced y');
  }
});
