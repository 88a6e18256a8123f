// Our ML-KEM core against an independent implementation, and its integer tricks exhaustively.
import { sha3_256, shake128 } from '@noble/hashes/sha3.js';
import { ml_kem1024, ml_kem768 } from '@noble/post-quantum/ml-kem.js';
import t from 'tap';
import { concatBytes, copyBytes, toHex } from '#src/bytes.js';
import {
  borrow,
  centred,
  centredBinomial,
  compressCoefficient,
  decompress,
  inverseNtt,
  isReducedVector,
  multiplyAccumulate,
  N,
  ntt,
  pack,
  parseUniform,
  Q,
  release,
  toCanonical,
  unpack,
  zeroPoly,
} from '#src/crypto/mlkem-poly.js';
import { nobleProvider } from '#src/crypto/noble.js';
import { nodeProvider } from '#src/crypto/node.js';
import { toKemCiphertext, toKemPublicKey, toKemSecretKey } from '#src/types.js';
import { flipBit } from '../support/hex.js';
import { Random } from '../support/random.js';

const random = new Random(768);
const providers = [nobleProvider, nodeProvider];
const TYPE = new Uint8Array([8]);

t.test('the centred representative of every int16', async (t) => {
  for (let a = -32768; a < 32768; a++) {
    const c = centred(a);
    if (c < -1664 || c > 1664 || (a - c) % Q !== 0) t.fail(`${a} became ${c}`);
  }
  t.pass();
});

t.test(
  'ATK-A06 compression without division rounds every coefficient as FIPS 203 says',
  async (t) => {
    for (const bits of [1, 4, 5, 10, 11]) {
      for (let x = 0; x < Q; x++) {
        // round(2^d x / q) with halves up; q is odd, so there are no halves.
        const expected = Math.floor((2 * x * 2 ** bits + Q) / (2 * Q)) % 2 ** bits;
        if (compressCoefficient(x, bits) !== expected) t.fail(`${x} at ${bits} bits`);
      }
      const poly = zeroPoly();
      for (let y = 0; y < 2 ** bits; y++) {
        poly[0] = y;
        decompress(poly, bits);
        const back = compressCoefficient(poly[0] as number, bits);
        if (back !== y || poly[0] !== Math.floor((2 * y * Q + 2 ** bits) / 2 ** (bits + 1))) {
          t.fail(`decompress ${y} at ${bits} bits gave ${poly[0]}`);
        }
      }
    }
    t.pass();
  },
);

t.test('the NTT multiplies in the ring', async (t) => {
  for (let round = 0; round < 4; round++) {
    const a = zeroPoly();
    const b = zeroPoly();
    for (let i = 0; i < N; i++) {
      a[i] = round === 0 ? 0 : random.below(Q);
      b[i] = random.below(Q);
    }
    if (round === 0) a[255] = 1;
    const expected = new Array<number>(N).fill(0);
    for (let i = 0; i < N; i++) {
      for (let j = 0; j < N; j++) {
        const product = (a[i] as number) * (b[j] as number);
        const at = (i + j) % N;
        expected[at] = ((expected[at] as number) + (i + j < N ? product : Q * Q - product)) % Q;
      }
    }
    ntt(a);
    ntt(b);
    const product = multiplyAccumulate([a], [b]);
    inverseNtt(product);
    toCanonical(product);
    t.strictSame([...product], expected);
  }
});

t.test('bits in, bits out, and the binomial sampler', async (t) => {
  for (const bits of [1, 4, 5, 10, 11, 12]) {
    const poly = zeroPoly();
    for (let i = 0; i < N; i++) poly[i] = random.below(2 ** bits);
    const bytes = new Uint8Array(32 * bits + 2).fill(0xaa);
    pack(poly, bits, bytes, 1);
    t.strictSame(unpack(bytes, bits, 1), poly, `${bits} bits`);
    t.equal(bytes[0], 0xaa);
    t.equal(bytes[32 * bits + 1], 0xaa, 'nothing written beyond');
  }
  const bytes = random.bytes(128);
  const bit = (i: number) => ((bytes[i >> 3] as number) >> (i & 7)) & 1;
  const expected = Array.from({ length: N }, (_, i) => {
    const at = 4 * i;
    return bit(at) + bit(at + 1) - bit(at + 2) - bit(at + 3);
  });
  t.strictSame([...centredBinomial(bytes)], expected);
});

t.test('ML-KEM-768 in pieces is ML-KEM-768', async (t) => {
  for (let i = 0; i < 12; i++) {
    const seed = random.bytes(64);
    const m = random.bytes(32);
    const whole = ml_kem768.keygen(seed);
    const { cipherText, sharedSecret } = ml_kem768.encapsulate(whole.publicKey, m);
    for (const crypto of providers) {
      const pair = crypto.mlkem768KeyPair(seed);
      t.same(concatBytes(pair.ekVector, pair.header.subarray(0, 32)), whole.publicKey);
      t.same(pair.dk, whole.secretKey);
      t.ok(crypto.mlkem768CheckEkVector(pair.header, pair.ekVector));
      const first = crypto.mlkem768Encapsulate1(pair.header, m);
      const stateBefore = toHex(first.encapsState);
      const ct2 = crypto.mlkem768Encapsulate2(pair.ekVector, first.encapsState);
      t.equal(toHex(first.encapsState), stateBefore, 'the state is not changed');
      t.same(concatBytes(first.ct1, ct2), cipherText);
      t.same(first.sharedSecret, sharedSecret);
      t.same(crypto.mlkem768Decapsulate(pair.dk, first.ct1, ct2), sharedSecret);
    }
  }
});

t.test(
  'ATK-A05 ML-KEM-768: a wrong ciphertext gives the rejection secret of FIPS 203',
  async (t) => {
    const { publicKey, secretKey } = ml_kem768.keygen(random.bytes(64));
    for (let i = 0; i < 12; i++) {
      const { cipherText, sharedSecret } = ml_kem768.encapsulate(publicKey, random.bytes(32));
      const wrong = copyBytes(cipherText);
      if (i < 10) flipBit(wrong, random.below(1088), random.below(8));
      else wrong.fill(i === 10 ? 0 : 0xff);
      const expected = ml_kem768.decapsulate(wrong, secretKey);
      for (const crypto of providers) {
        const got = crypto.mlkem768Decapsulate(secretKey, wrong.slice(0, 960), wrong.slice(960));
        t.same(got, expected);
        t.notSame(got, sharedSecret);
      }
    }
  },
);

t.test('a matrix entry that needs a fourth block of SHAKE-128', async (t) => {
  const needsMore = (rho: Uint8Array): boolean => {
    for (let i = 0; i < 9; i++) {
      const seed = concatBytes(rho, Uint8Array.of(Math.floor(i / 3), i % 3));
      const stream = shake128(seed, { dkLen: 504 });
      if (parseUniform(zeroPoly(), 0, stream) < N) return true;
    }
    return false;
  };
  let found = 0;
  for (let tries = 0; found < 3 && tries < 1000; tries++) {
    const rho = random.bytes(32);
    if (!needsMore(rho)) continue;
    found++;
    const { ekVector } = nobleProvider.mlkem768KeyPair(random.bytes(64));
    const ek = concatBytes(ekVector, rho);
    const m = random.bytes(32);
    const { cipherText } = ml_kem768.encapsulate(ek, m);
    for (const crypto of providers) {
      const { ct1 } = crypto.mlkem768Encapsulate1(concatBytes(rho, sha3_256(ek)), m);
      t.same(ct1, cipherText.subarray(0, 960), crypto.name);
    }
  }
  t.equal(found, 3);
});

t.test('a state stored with swapped bytes works, an honest one is never swapped', async (t) => {
  for (let i = 0; i < 6; i++) {
    const pair = nobleProvider.mlkem768KeyPair(random.bytes(64));
    const { encapsState } = nobleProvider.mlkem768Encapsulate1(pair.header, random.bytes(32));
    const expected = nobleProvider.mlkem768Encapsulate2(pair.ekVector, encapsState);
    const swapped = copyBytes(encapsState);
    for (let at = 0; at < 2048; at += 2) {
      swapped[at] = encapsState[at + 1] as number;
      swapped[at + 1] = encapsState[at] as number;
    }
    t.same(nobleProvider.mlkem768Encapsulate2(pair.ekVector, swapped), expected, 'swapped');
    const nonNegative = copyBytes(encapsState);
    for (let at = 0; at < 2048; at += 2) {
      const word = ((encapsState[at + 1] as number) << 8) | (encapsState[at] as number);
      const value = word >= 0x8000 && at < 1536 ? word - 0x10000 + Q : word;
      nonNegative[at] = value & 0xff;
      nonNegative[at + 1] = (value >> 8) & 0xff;
    }
    t.same(nobleProvider.mlkem768Encapsulate2(pair.ekVector, nonNegative), expected, '0 to q - 1');
  }
});

t.test('ATK-A05 a key vector must fit its header and be reduced', async (t) => {
  for (const crypto of providers) {
    const { header, ekVector } = crypto.mlkem768KeyPair(random.bytes(64));
    t.ok(crypto.mlkem768CheckEkVector(header, ekVector));
    for (const at of [0, 1, 2, 600, 1150, 1151]) {
      const other = copyBytes(ekVector);
      flipBit(other, at, 0);
      t.notOk(crypto.mlkem768CheckEkVector(header, other), `vector byte ${at}`);
    }
    for (const at of [0, 31, 32, 63]) {
      const other = copyBytes(header);
      flipBit(other, at, 3);
      t.notOk(crypto.mlkem768CheckEkVector(other, ekVector), `header byte ${at}`);
    }
    // A vector with one coefficient of q, under a header made for it: only the modulus check is left.
    const first = ((ekVector[0] as number) | ((ekVector[1] as number) << 8)) & 0xfff;
    const unreduced = copyBytes(ekVector);
    unreduced[0] = Q & 0xff;
    unreduced[1] = ((unreduced[1] as number) & 0xf0) | (Q >> 8);
    const rho = header.subarray(0, 32);
    const forged = concatBytes(rho, sha3_256(concatBytes(unreduced, rho)));
    t.notOk(crypto.mlkem768CheckEkVector(forged, unreduced), `q instead of ${first}`);
    unreduced[0] = (Q - 1) & 0xff;
    const fitting = concatBytes(rho, sha3_256(concatBytes(unreduced, rho)));
    t.ok(crypto.mlkem768CheckEkVector(fitting, unreduced), 'q - 1 is reduced');
    for (const length of [0, 1151, 1153]) {
      t.notOk(crypto.mlkem768CheckEkVector(header, new Uint8Array(length)));
    }
    t.notOk(crypto.mlkem768CheckEkVector(header.subarray(0, 63), ekVector));
  }
  for (let at = 0; at < 4; at++) {
    for (const [value, reduced] of [
      [Q - 1, true],
      [Q, false],
      [4095, false],
    ] as const) {
      const poly = zeroPoly();
      poly[at] = value;
      const bytes = new Uint8Array(384);
      pack(poly, 12, bytes, 0);
      t.equal(isReducedVector(bytes), reduced, `${value} at ${at}`);
    }
  }
});

t.test('Kyber1024 is ML-KEM-1024 between two hashes', async (t) => {
  for (let i = 0; i < 6; i++) {
    const { publicKey, secretKey } = ml_kem1024.keygen(random.bytes(64));
    const coin = random.bytes(32);
    const { cipherText, sharedSecret } = ml_kem1024.encapsulate(publicKey, sha3_256(coin));
    const secret = toKemSecretKey(concatBytes(TYPE, secretKey));
    for (const crypto of providers) {
      const made = crypto.kyber1024Encapsulate(toKemPublicKey(concatBytes(TYPE, publicKey)), coin);
      t.same(made.ciphertext, concatBytes(TYPE, cipherText));
      t.notSame(made.sharedSecret, sharedSecret, 'the secret is hashed once more');
      t.same(crypto.kyber1024Decapsulate(secret, made.ciphertext), made.sharedSecret);
    }
    const ours = nodeProvider.kyber1024KeyPair();
    const back = ml_kem1024.encapsulate(ours.public.subarray(1), sha3_256(coin));
    const made = nobleProvider.kyber1024Encapsulate(ours.public, coin);
    t.same(made.ciphertext.subarray(1), back.cipherText, 'our keys are theirs');
    const opened = ml_kem1024.decapsulate(back.cipherText, ours.secret.subarray(1));
    t.same(opened, back.sharedSecret);
  }
});

t.test('ATK-A05 Kyber1024: no ciphertext and no stored key makes an error', async (t) => {
  const pair = nobleProvider.kyber1024KeyPair();
  const { ciphertext, sharedSecret } = nobleProvider.kyber1024Encapsulate(
    pair.public,
    random.bytes(32),
  );
  const seen = new Set<string>([toHex(sharedSecret)]);
  for (let i = 0; i < 8; i++) {
    const wrong = copyBytes(ciphertext);
    flipBit(wrong, 1 + random.below(1568), random.below(8));
    const [one, other] = providers.map((crypto) =>
      crypto.kyber1024Decapsulate(pair.secret, toKemCiphertext(wrong)),
    );
    t.same(one, other);
    seen.add(toHex(one as Uint8Array));
  }
  t.equal(seen.size, 9, 'every wrong ciphertext has a secret of its own');
  const damaged = copyBytes(pair.secret);
  flipBit(damaged, 3169 - 40, 0); // H(ek)
  const secret = nobleProvider.kyber1024Decapsulate(toKemSecretKey(damaged), ciphertext);
  t.equal(secret.length, 32);
  t.notSame(secret, sharedSecret);
});

t.test('ATK-A05 a KEM public key with an unreduced coefficient is refused', async (t) => {
  const pair = nobleProvider.kyber1024KeyPair();
  for (const crypto of providers) {
    for (const at of [0, 511, 1023]) {
      const poly = unpack(pair.public.subarray(1), 12, 384 * (at >> 8));
      poly[at & 255] = Q;
      const key = copyBytes(pair.public);
      pack(poly, 12, key, 1 + 384 * (at >> 8));
      t.throws(() => crypto.kyber1024Encapsulate(toKemPublicKey(key), random.bytes(32)), {
        code: 'VERIFY_KEY_AGREEMENT',
      });
    }
  }
});

t.test('every polynomial goes back to the pool once, and wiped', async (t) => {
  for (const crypto of providers) {
    const pair = crypto.mlkem768KeyPair(random.bytes(64));
    const first = crypto.mlkem768Encapsulate1(pair.header, random.bytes(32));
    const ct2 = crypto.mlkem768Encapsulate2(pair.ekVector, first.encapsState);
    crypto.mlkem768Decapsulate(pair.dk, first.ct1, ct2);
    const kem = crypto.kyber1024KeyPair();
    const { ciphertext } = crypto.kyber1024Encapsulate(kem.public, random.bytes(32));
    crypto.kyber1024Decapsulate(kem.secret, ciphertext);
  }
  const borrowed = Array.from({ length: 100 }, borrow);
  t.equal(new Set(borrowed).size, 100, 'none is lent twice');
  t.ok(borrowed.every((poly) => poly.every((coefficient) => coefficient === 0)));
  release(...borrowed);
});
