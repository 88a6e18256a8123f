// One contract for every provider: known answers, equal results, sizes and errors.
import t from 'tap';
import { concatBytes, copyBytes, toHex } from '#src/bytes.js';
import { equalBytes, isAllZero } from '#src/crypto/constant-time.js';
import { nobleProvider } from '#src/crypto/noble.js';
import { nativeCurves, nodeProvider } from '#src/crypto/node.js';
import type { CryptoProvider } from '#src/crypto/provider.js';
import { webRandomBytes } from '#src/crypto/random.js';
import { wipe } from '#src/secret.js';
import { toPrivateKey, toPublicKey } from '#src/types.js';
import { provider as chosen } from '#provider';
import { flipBit, hex } from '../support/hex.js';
import { Random } from '../support/random.js';

const providers: readonly CryptoProvider[] = [nobleProvider, nodeProvider];
const publicKey = (u: string) => toPublicKey(concatBytes(new Uint8Array([5]), hex(u)));

t.test('Node gets the Node provider', async (t) => {
  t.equal(chosen, nodeProvider);
  t.ok(nativeCurves(), 'and OpenSSL behaves as that provider needs');
  t.strictSame(
    providers.map((crypto) => crypto.name),
    ['noble', 'node'],
  );
});

for (const crypto of providers) {
  t.test(`known answers: ${crypto.name}`, async (t) => {
    const abc = hex('616263');
    t.equal(
      toHex(crypto.sha256(abc)),
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
    t.equal(
      toHex(crypto.sha512(hex('61'), hex(''), hex('6263'))),
      'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
    );
    // RFC 4231, case 2.
    const text = new TextEncoder().encode('what do ya want for nothing?');
    t.equal(
      toHex(crypto.hmacSha256(hex('4a656665'), text.subarray(0, 5), text.subarray(5))),
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    );
    // RFC 5869, cases 1 and 3.
    const ikm = new Uint8Array(22).fill(0x0b);
    t.equal(
      toHex(
        crypto.hkdfSha256(hex('000102030405060708090a0b0c'), ikm, hex('f0f1f2f3f4f5f6f7f8f9'), 42),
      ),
      '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
    );
    const noSalt =
      '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8';
    t.equal(toHex(crypto.hkdfSha256(undefined, ikm, hex(''), 42)), noSalt);
    t.equal(toHex(crypto.hkdfSha256(hex(''), ikm, hex(''), 42)), noSalt, 'no salt = empty salt');
    t.equal(toHex(crypto.hkdfSha256(new Uint8Array(32), ikm, hex(''), 42)), noSalt, '= 32 zeros');
    // RFC 7748 §5.2, first vector; its scalar is clamped on the way in.
    t.equal(
      toHex(
        crypto.x25519(
          toPrivateKey(hex('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4')),
          publicKey('e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c'),
        ),
      ),
      'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552',
    );
    // RFC 8032 §7.1, test 1.
    const seed = hex('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60');
    const signature = crypto.ed25519Sign(seed, hex(''));
    t.equal(
      toHex(signature),
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
    );
    const edKey = hex('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
    t.ok(crypto.ed25519Verify(edKey, hex(''), signature));
    // NIST SP 800-38A, F.2.5, first block.
    const key = hex('603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4');
    const iv = hex('000102030405060708090a0b0c0d0e0f');
    const ciphertext = crypto.aesCbcEncrypt(key, iv, hex('6bc1bee22e409f96e93d7e117393172a'));
    t.equal(toHex(ciphertext.subarray(0, 16)), 'f58c4c04d6e5f1ba779eabfb5f7bfbd6');
    t.equal(ciphertext.length, 32);
  });

  t.test(`sizes and ownership: ${crypto.name}`, async (t) => {
    const pair = crypto.x25519KeyPair();
    const other = crypto.x25519KeyPair();
    const kem = crypto.kyber1024KeyPair();
    const { ciphertext, sharedSecret } = crypto.kyber1024Encapsulate(
      kem.public,
      new Uint8Array(32),
    );
    const half = crypto.mlkem768KeyPair(crypto.randomBytes(64));
    const first = crypto.mlkem768Encapsulate1(half.header, crypto.randomBytes(32));
    const signing = crypto.ed25519KeyPair();
    const made: [string, Uint8Array, number][] = [
      ['random', crypto.randomBytes(7), 7],
      ['long random', crypto.randomBytes(70_000), 70_000],
      ['no random', crypto.randomBytes(0), 0],
      ['hash', crypto.sha256(), 32],
      ['mac', crypto.hmacSha256(hex('00')), 32],
      ['kdf', crypto.hkdfSha256(undefined, hex(''), hex(''), 0), 0],
      ['kdf', crypto.hkdfSha256(undefined, hex(''), hex(''), 8160), 8160],
      ['public', pair.public, 33],
      ['secret', pair.secret, 32],
      ['shared', crypto.x25519(pair.secret, other.public), 32],
      ['xeddsa', crypto.xeddsaSign(pair.secret, new Uint8Array(64)), 64],
      ['ed25519', crypto.ed25519Sign(signing.secret, hex('')), 64],
      ['ed25519 public', signing.public, 32],
      ['ed25519 secret', signing.secret, 32],
      ['kem public', kem.public, 1569],
      ['kem secret', kem.secret, 3169],
      ['kem ciphertext', ciphertext, 1569],
      ['kem shared', sharedSecret, 32],
      ['kem opened', crypto.kyber1024Decapsulate(kem.secret, ciphertext), 32],
      ['header', half.header, 64],
      ['vector', half.ekVector, 1152],
      ['dk', half.dk, 2400],
      ['ct1', first.ct1, 960],
      ['state', first.encapsState, 2080],
      ['ct2', crypto.mlkem768Encapsulate2(half.ekVector, first.encapsState), 128],
      ['aes', crypto.aesCbcEncrypt(new Uint8Array(32), new Uint8Array(16), hex('')), 16],
    ];
    for (const [name, bytes, length] of made) {
      t.equal(bytes.length, length, name);
      t.equal(Object.getPrototypeOf(bytes), Uint8Array.prototype, `${name} is no Buffer`);
      t.equal(bytes.buffer.byteLength, length, `${name} has a buffer of its own`);
    }
    t.equal(pair.public[0], 5);
    t.equal((pair.secret[0] as number) & 7, 0, 'clamped');
    t.equal((pair.secret[31] as number) & 0xc0, 0x40, 'clamped');
    t.notSame(crypto.randomBytes(32), crypto.randomBytes(32));
    t.same(crypto.x25519PublicKey(pair.secret), pair.public);
  });

  t.test(`caller errors: ${crypto.name}`, async (t) => {
    const length = { code: 'USAGE_LENGTH' };
    const pair = crypto.x25519KeyPair();
    const kem = crypto.mlkem768KeyPair(new Uint8Array(64));
    const zero = (n: number) => new Uint8Array(n);
    t.throws(() => crypto.xeddsaSign(pair.secret, zero(63)), length);
    t.throws(() => crypto.ed25519Sign(zero(31), zero(0)), length);
    for (const [key, iv] of [
      [31, 16],
      [32, 15],
      [16, 16],
    ] as const) {
      t.throws(() => crypto.aesCbcEncrypt(zero(key), zero(iv), zero(1)), length);
      t.throws(() => crypto.aesCbcDecrypt(zero(key), zero(iv), zero(16)), length);
    }
    t.throws(() => crypto.hkdfSha256(undefined, zero(1), zero(1), 8161), { code: 'USAGE_RANGE' });
    t.throws(() => crypto.hkdfSha256(undefined, zero(1), zero(1), -1), { code: 'USAGE_RANGE' });
    t.throws(() => crypto.hkdfSha256(undefined, zero(1), zero(1), 1.5), { code: 'USAGE_RANGE' });
    t.throws(() => crypto.mlkem768KeyPair(zero(63)), length);
    t.throws(() => crypto.mlkem768Encapsulate1(zero(63), zero(32)), length);
    t.throws(() => crypto.mlkem768Encapsulate1(kem.header, zero(31)), length);
    t.throws(() => crypto.mlkem768Encapsulate2(zero(1151), zero(2080)), length);
    t.throws(() => crypto.mlkem768Encapsulate2(kem.ekVector, zero(2079)), length);
    t.throws(() => crypto.mlkem768Decapsulate(zero(2399), zero(960), zero(128)), length);
    t.throws(() => crypto.mlkem768Decapsulate(kem.dk, zero(961), zero(127)), length);
    t.throws(() => crypto.kyber1024Encapsulate(crypto.kyber1024KeyPair().public, zero(31)), length);
  });
}

t.test('both providers give the same bytes', async (t) => {
  const random = new Random(1);
  const same = (name: string, run: (crypto: CryptoProvider) => unknown) => {
    const [one, other] = providers.map((crypto) => {
      try {
        return run(crypto);
      } catch (error) {
        return (error as { code: string }).code;
      }
    });
    t.strictSame(one, other, name);
  };
  for (let length = 0; length < 70; length += 3) {
    const a = random.bytes(length);
    const b = random.bytes(random.below(100));
    const key = random.bytes(32);
    const iv = random.bytes(16);
    same(`sha256 ${length}`, (crypto) => crypto.sha256(a, b));
    same(`sha512 ${length}`, (crypto) => crypto.sha512(a, b));
    same(`hmac ${length}`, (crypto) => crypto.hmacSha256(a, b, a));
    same(`hkdf ${length}`, (crypto) => crypto.hkdfSha256(b, a, key, length * 5));
    same(`aes ${length}`, (crypto) => crypto.aesCbcEncrypt(key, iv, a));
    const ciphertext = nobleProvider.aesCbcEncrypt(key, iv, a);
    t.strictSame(nodeProvider.aesCbcDecrypt(key, iv, ciphertext), copyBytes(a));
    t.strictSame(nobleProvider.aesCbcDecrypt(key, iv, ciphertext), copyBytes(a));
  }
  for (let i = 0; i < 8; i++) {
    const secret = toPrivateKey(random.bytes(32));
    const peer = publicKey(toHex(random.bytes(32)));
    same('public key', (crypto) => crypto.x25519PublicKey(secret));
    same('agreement with any u, bit 255 included', (crypto) => crypto.x25519(secret, peer));
    same('canonical', (crypto) => crypto.isCanonicalPublicKey(peer));
    const z = random.bytes(64);
    const message = random.bytes(i * 9);
    same('xeddsa', (crypto) => crypto.xeddsaSign(secret, z, message, z));
    same('ed25519', (crypto) => crypto.ed25519Sign(secret, message));
    const seed = random.bytes(64);
    same('ml-kem pair', (crypto) => ({ ...crypto.mlkem768KeyPair(seed) }));
    const { header, ekVector, dk } = nobleProvider.mlkem768KeyPair(seed);
    same('ml-kem 1', (crypto) => ({
      ...crypto.mlkem768Encapsulate1(header, message.length ? secret : z.subarray(0, 32)),
    }));
    const { encapsState, ct1 } = nobleProvider.mlkem768Encapsulate1(header, secret);
    same('ml-kem 2', (crypto) => crypto.mlkem768Encapsulate2(ekVector, encapsState));
    const ct2 = random.bytes(128);
    same('ml-kem rejection', (crypto) => crypto.mlkem768Decapsulate(dk, ct1, ct2));
    const kem = nobleProvider.kyber1024KeyPair();
    same('kyber', (crypto) => crypto.kyber1024Encapsulate(kem.public, secret));
    const { ciphertext } = nobleProvider.kyber1024Encapsulate(kem.public, secret);
    same('kyber opened', (crypto) => crypto.kyber1024Decapsulate(kem.secret, ciphertext));
    flipBit(ciphertext, 1 + random.below(1568), random.below(8));
    same('kyber rejection', (crypto) => crypto.kyber1024Decapsulate(kem.secret, ciphertext));
  }
});

t.test('ATK-A08 bad padding is undefined, the same in both, for every last byte', async (t) => {
  const random = new Random(2);
  const key = random.bytes(32);
  const iv = random.bytes(16);
  let opened = 0;
  for (let last = 0; last < 256; last++) {
    // A block under another IV: xor turns the padding of 0x10 x 16 into any last byte.
    const ciphertext = nobleProvider.aesCbcEncrypt(key, iv, new Uint8Array(16)).slice(0, 32);
    const forged = copyBytes(ciphertext);
    forged[15] = (ciphertext[15] as number) ^ 0x10 ^ last;
    const one = nobleProvider.aesCbcDecrypt(key, iv, forged);
    const other = nodeProvider.aesCbcDecrypt(key, iv, forged);
    t.strictSame(one, other, `last byte ${last}`);
    if (one !== undefined) opened++;
  }
  t.equal(opened, 2, 'only 0x01 and the true 0x10');
  for (const crypto of providers) {
    for (const length of [0, 1, 15, 17, 31]) {
      t.equal(crypto.aesCbcDecrypt(key, iv, new Uint8Array(length)), undefined, `${length} bytes`);
    }
  }
});

t.test('ATK-A04 a platform without a generator is an error, not weak keys', async (t) => {
  const original = Object.getOwnPropertyDescriptor(globalThis, 'crypto');
  t.teardown(() => {
    if (original) Object.defineProperty(globalThis, 'crypto', original);
  });
  for (const value of [undefined, {}, { getRandomValues: 1 }]) {
    Object.defineProperty(globalThis, 'crypto', { value, configurable: true });
    const refused = { code: 'USAGE_NO_RANDOMNESS' };
    t.throws(() => webRandomBytes(32), refused);
    t.throws(() => nobleProvider.randomBytes(1), refused);
    t.throws(() => nobleProvider.x25519KeyPair(), refused);
    t.throws(() => nobleProvider.kyber1024KeyPair(), refused);
    t.throws(() => nobleProvider.ed25519KeyPair(), refused);
  }
  Object.defineProperty(globalThis, 'crypto', original as PropertyDescriptor);
  t.equal(isAllZero(webRandomBytes(200_000).subarray(131_072)), false, 'the last chunk is filled');
});

t.test('ATK-A04 two signatures on one message never share a nonce', async (t) => {
  for (const crypto of providers) {
    const { secret } = crypto.x25519KeyPair();
    const message = hex('00');
    const sign = () => crypto.xeddsaSign(secret, crypto.randomBytes(64), message);
    t.notSame(sign().subarray(0, 32), sign().subarray(0, 32));
    const z = crypto.randomBytes(64);
    const other = crypto.xeddsaSign(secret, z, hex('01'));
    // Even with the same randomness another message has another nonce.
    t.notSame(crypto.xeddsaSign(secret, z, message).subarray(0, 32), other.subarray(0, 32));
  }
});

t.test('ATK-A07 comparing looks at the length first and at every byte', async (t) => {
  const random = new Random(3);
  for (let length = 0; length <= 40; length++) {
    const tag = random.bytes(length);
    t.ok(equalBytes(tag, copyBytes(tag)));
    for (let at = 0; at < length; at++) {
      const other = copyBytes(tag);
      flipBit(other, at, random.below(8));
      if (equalBytes(tag, other)) t.fail(`byte ${at} of ${length}`);
      const lone = new Uint8Array(length);
      lone[at] = 1 << random.below(8);
      if (isAllZero(lone)) t.fail(`zero test, byte ${at} of ${length}`);
      if (equalBytes(tag, tag.subarray(0, at))) t.fail(`a prefix of ${at} bytes`);
      if (equalBytes(tag.subarray(0, at), tag)) t.fail(`a prefix of ${at} bytes`);
    }
    t.notOk(equalBytes(tag, concatBytes(tag, new Uint8Array(1))), 'one byte more');
    t.ok(isAllZero(new Uint8Array(length)));
  }
});

t.test('a cached key follows its array', async (t) => {
  const pair = nodeProvider.x25519KeyPair();
  const peer = toPublicKey(copyBytes(nodeProvider.x25519KeyPair().public));
  const before = nodeProvider.x25519(pair.secret, peer);
  flipBit(peer, 5, 0);
  t.notSame(nodeProvider.x25519(pair.secret, peer), before, 'a rewritten peer key is a new key');
  t.same(nodeProvider.x25519(pair.secret, peer), nobleProvider.x25519(pair.secret, peer));
  const signers = [nodeProvider.x25519KeyPair(), nodeProvider.x25519KeyPair()] as const;
  const message = hex('00');
  const signatures = signers.map(({ secret }) =>
    nodeProvider.xeddsaSign(secret, nodeProvider.randomBytes(64), message),
  );
  const reused = toPublicKey(copyBytes(signers[0].public));
  t.ok(nodeProvider.xeddsaVerify(reused, signatures[0] as Uint8Array, message));
  reused.set(signers[1].public);
  t.notOk(
    nodeProvider.xeddsaVerify(reused, signatures[0] as Uint8Array, message),
    'a rewritten identity key no longer verifies what the old one signed',
  );
});

t.test('a wiped key is refused, never used as the scalar that it is now', async (t) => {
  for (const crypto of providers) {
    const pair = crypto.x25519KeyPair();
    const peer = crypto.x25519KeyPair().public;
    crypto.x25519(pair.secret, peer);
    wipe(pair.secret);
    const refused = { code: 'USAGE_ARGUMENT' };
    t.throws(() => crypto.x25519(pair.secret, peer), refused);
    t.throws(() => crypto.x25519PublicKey(pair.secret), refused);
    t.throws(() => crypto.xeddsaSign(pair.secret, new Uint8Array(64)), refused);
  }
});
