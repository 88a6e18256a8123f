// 02 Identity and 03 Prekeys: parsing, records, signatures, bundles, and what is refused.
import { inspect } from 'node:util';
import t from 'tap';
import { concatBytes, copyBytes, toHex, utf8 } from '#src/bytes.js';
import { nobleProvider } from '#src/crypto/noble.js';
import { nodeProvider } from '#src/crypto/node.js';
import { createFingerprint } from '#src/fingerprint.js';
import {
  decodeIdentityKeyPair,
  encodeIdentityKeyPair,
  generateIdentityKeyPair,
  generateRegistrationId,
  isLowOrder,
  signAlternateIdentity,
  verifyAlternateIdentity,
} from '#src/identity.js';
import {
  decodeKemPreKeyRecord,
  decodePreKeyRecord,
  decodeSignedPreKeyRecord,
  encodeKemPreKeyRecord,
  encodePreKeyRecord,
  encodeSignedPreKeyRecord,
  generateKemPreKey,
  generatePreKey,
  generateSignedPreKey,
  type PreKeyBundle,
  verifyBundle,
} from '#src/prekeys.js';
import {
  type PublicKey,
  toKemCiphertext,
  toKemPublicKey,
  toKemSecretKey,
  toPrivateKey,
  toPublicKey,
} from '#src/types.js';
import { ProtoWriter } from '#src/wire/protobuf.js';
import { flipBit, hex } from '../support/hex.js';

const crypto = nodeProvider;
const identity = generateIdentityKeyPair(crypto);
const NOW = 1_700_000_000_000;

const LOW_ORDER_U = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
];

/** Every encoding of a point of low order: the seven above, each with bit 255 clear and set. */
const lowOrderKeys = LOW_ORDER_U.flatMap((u) => {
  const key = concatBytes(new Uint8Array([5]), hex(u));
  const high = copyBytes(key);
  flipBit(high, 32, 7);
  return [toPublicKey(key), toPublicKey(high)];
});

function bundleOf(owner = identity): PreKeyBundle {
  const preKey = generatePreKey(crypto, 1);
  const signedPreKey = generateSignedPreKey(crypto, owner, 2, NOW);
  const kemPreKey = generateKemPreKey(crypto, owner, 3, NOW);
  return {
    registrationId: 7,
    deviceId: 1,
    preKey: { id: 1, public: preKey.keyPair.public },
    signedPreKey: { id: 2, public: signedPreKey.keyPair.public, signature: signedPreKey.signature },
    kemPreKey: { id: 3, public: kemPreKey.keyPair.public, signature: kemPreKey.signature },
    identityKey: owner.public,
  };
}

t.test('ATK-B03 every type byte at every length: only the right pair parses', async (t) => {
  const lengths = [0, 1, 16, 31, 32, 33, 34, 64, 1568, 1569, 1570, 3168, 3169, 3170];
  const parsers = [
    { name: 'public', parse: toPublicKey, type: 5, accepts: (n: number) => n >= 33 },
    { name: 'KEM public', parse: toKemPublicKey, type: 8, accepts: (n: number) => n === 1569 },
    { name: 'KEM secret', parse: toKemSecretKey, type: 8, accepts: (n: number) => n === 3169 },
    { name: 'KEM ciphertext', parse: toKemCiphertext, type: 8, accepts: (n: number) => n === 1569 },
  ];
  let parsed = 0;
  for (const { name, parse, type, accepts } of parsers) {
    for (const length of lengths) {
      for (let first = 0; first < 256; first++) {
        const bytes = new Uint8Array(length);
        if (length > 0) bytes[0] = first;
        const typed = length > 0 && first === type;
        const expected = !typed ? 'DECODE_KEY_TYPE' : accepts(length) ? 'ok' : 'DECODE_KEY_LENGTH';
        let got = 'ok';
        try {
          parse(bytes);
          parsed++;
        } catch (error) {
          got = (error as { code: string }).code;
        }
        if (got !== expected) t.fail(`${name}, type ${first}, ${length} bytes: ${got}`);
      }
    }
  }
  // Curve keys of 33, 34 and more bytes (the rest is dropped), and one length for each KEM form.
  t.equal(parsed, 9 + 1 + 1 + 1);
  t.equal(toPublicKey(concatBytes(identity.public, new Uint8Array(9))).length, 33);
  for (const length of [0, 31, 33]) {
    t.throws(() => toPrivateKey(new Uint8Array(length)), { code: 'DECODE_KEY_LENGTH' });
  }
});

t.test('ATK-A01 every low-order key is refused in an agreement, by both providers', async (t) => {
  t.equal(new Set(lowOrderKeys.map(toHex)).size, 14);
  for (const provider of [nobleProvider, nodeProvider]) {
    for (const key of lowOrderKeys) {
      t.throws(() => provider.x25519(identity.secret, key), { code: 'VERIFY_KEY_AGREEMENT' });
      t.notOk(provider.isCanonicalPublicKey(key));
    }
  }
  for (const key of lowOrderKeys) t.ok(isLowOrder(key), toHex(key));
  for (const u of ['02', '09', 'ef']) {
    const key = toPublicKey(hex(`05${u}${u === 'ef' ? `${'ff'.repeat(30)}7f` : '00'.repeat(31)}`));
    t.notOk(isLowOrder(key));
    t.equal(crypto.x25519(identity.secret, key).length, 32, 'and others are not');
  }
});

t.test(
  'ATK-A01 a bundle whose identity key has low order is refused though its signatures verify',
  async (t) => {
    // Under u = 0, the point of order 2, s*B verifies for whoever finds an even hash.
    const zero = lowOrderKeys[0] as PublicKey;
    const forge = (key: Uint8Array): Uint8Array => {
      for (;;) {
        // A signature by a known scalar under the identity point: R = s*B, which holds when h*A = 0.
        const signature = crypto.xeddsaSign(identity.secret, crypto.randomBytes(64), key);
        const pair = crypto.ed25519KeyPair();
        const scalar = crypto.sha512(pair.secret).slice(0, 32);
        scalar[0] = (scalar[0] as number) & 0xf8;
        scalar[31] = ((scalar[31] as number) & 0x7f) | 0x40;
        const reduced = le(scalar) % ORDER;
        signature.set(pair.public, 0);
        for (let i = 0; i < 32; i++) signature[32 + i] = Number((reduced >> BigInt(8 * i)) & 0xffn);
        if (crypto.xeddsaVerify(zero, signature, key)) return signature;
      }
    };
    const honest = bundleOf();
    const forged: PreKeyBundle = {
      ...honest,
      identityKey: zero,
      signedPreKey: { ...honest.signedPreKey, signature: forge(honest.signedPreKey.public) },
      kemPreKey: { ...honest.kemPreKey, signature: forge(honest.kemPreKey.public) },
    };
    t.throws(() => verifyBundle(crypto, forged), { code: 'VERIFY_KEY_AGREEMENT' });
  },
);

t.test('ATK-A02 another encoding of a key is another key', async (t) => {
  const high = copyBytes(identity.public) as PublicKey;
  flipBit(high, 32, 7);
  const peer = crypto.x25519KeyPair();
  t.same(crypto.x25519(peer.secret, high), crypto.x25519(peer.secret, identity.public));
  t.notSame(high, identity.public, 'compared as bytes they differ');
  t.ok(crypto.isCanonicalPublicKey(identity.public));
  t.notOk(crypto.isCanonicalPublicKey(high));
  const us = { identifier: utf8('a'), identityKey: peer.public };
  const digits = (identityKey: PublicKey) =>
    createFingerprint(crypto, us, { identifier: utf8('b'), identityKey }, 2, 2).digits;
  t.not(digits(high), digits(identity.public), 'the fingerprint changes');
  // u and u + p, for one of the 19 keys that have both.
  const two = toPublicKey(hex(`0502${'00'.repeat(31)}`));
  const twoPlusP = toPublicKey(hex(`05ef${'ff'.repeat(30)}7f`));
  t.same(crypto.x25519(peer.secret, two), crypto.x25519(peer.secret, twoPlusP));
  t.not(digits(two), digits(twoPlusP));
});

t.test('identity key pair record', async (t) => {
  const record = encodeIdentityKeyPair(identity);
  t.equal(record.length, 69);
  const { public: publicKey, secret } = decodeIdentityKeyPair(record);
  t.same(publicKey, identity.public);
  t.same(secret, identity.secret);
  t.not(secret.buffer, record.buffer, 'keys are copied out of the record');
  t.throws(() => decodeIdentityKeyPair(new Uint8Array(0)), { code: 'DECODE_KEY_TYPE' });
  for (let length = 1; length < record.length; length++) {
    t.throws(() => decodeIdentityKeyPair(record.subarray(0, length)), { name: 'DecodeError' });
  }
  const extended = concatBytes(record, new ProtoWriter().uint32(9, 1).finish());
  t.same(decodeIdentityKeyPair(extended).public, identity.public, 'unknown fields are skipped');
});

t.test('registration ids cover 1 to 16380', async (t) => {
  const draws = [
    [0, 0],
    [0x3f, 0xfd],
    [0x3f, 0xff],
    [0xff, 0xfc],
  ];
  const fixed = { ...crypto, randomBytes: () => Uint8Array.from(draws.shift() as number[]) };
  t.equal(generateRegistrationId(fixed), 16_380, '0 and beyond 16380 are drawn again');
  t.equal(draws.length, 0);
  for (let i = 0; i < 100; i++) {
    const id = generateRegistrationId(crypto);
    if (!(id >= 1 && id <= 16_380)) t.fail(`${id}`);
  }
});

t.test('alternate identity: signed one way', async (t) => {
  const other = generateIdentityKeyPair(crypto);
  const signature = signAlternateIdentity(crypto, identity, other.public);
  t.ok(verifyAlternateIdentity(crypto, identity.public, other.public, signature));
  t.notOk(verifyAlternateIdentity(crypto, other.public, identity.public, signature));
  t.notOk(crypto.xeddsaVerify(identity.public, signature, other.public), 'not a prekey signature');
});

t.test('ATK-A12 prekey records round-trip at the edges of their integers', async (t) => {
  for (const id of [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
    for (const nowMs of [0, NOW, Number.MAX_SAFE_INTEGER]) {
      const signed = generateSignedPreKey(crypto, identity, id, nowMs);
      const bytes = encodeSignedPreKeyRecord(signed);
      const back = decodeSignedPreKeyRecord(bytes);
      t.equal(back.id, id);
      t.equal(back.timestampMs, nowMs);
      t.same(back.signature, signed.signature);
      t.same(encodeSignedPreKeyRecord(back), bytes);
    }
    const plain = generatePreKey(crypto, id);
    t.equal(decodePreKeyRecord(encodePreKeyRecord(plain)).id, id);
    t.same(decodePreKeyRecord(encodePreKeyRecord(plain)).keyPair.secret, plain.keyPair.secret);
  }
  const kem = generateKemPreKey(crypto, identity, 0xffff_ffff, NOW);
  const back = decodeKemPreKeyRecord(encodeKemPreKeyRecord(kem));
  t.same(back.keyPair.secret, kem.keyPair.secret);
  t.same(back.keyPair.public, kem.keyPair.public);
  t.equal(back.id, 0xffff_ffff);
  const { public: publicKey, secret } = identity;
  const keys = new ProtoWriter().bytes(2, publicKey).bytes(3, secret).finish();
  // A varint of more than 32 bits loses the rest, as with peers; a time beyond 2^53 is refused.
  const wide = concatBytes(keys, hex('08ffffffff7f'));
  t.equal(decodePreKeyRecord(wide).id, 0xffff_ffff);
  t.throws(() => decodePreKeyRecord(concatBytes(keys, hex(`08${'ff'.repeat(10)}01`))), {
    code: 'DECODE_PROTOBUF',
  });
  t.throws(() => decodeSignedPreKeyRecord(concatBytes(keys, hex('290000000000002000'))), {
    code: 'DECODE_PROTOBUF',
  });
  for (const bad of [-1, 1.5, 2 ** 32, Number.NaN]) {
    const range = { code: 'USAGE_RANGE' };
    t.throws(() => generatePreKey(crypto, bad), range);
    t.throws(() => generateSignedPreKey(crypto, identity, bad, NOW), range);
    t.throws(() => generateKemPreKey(crypto, identity, bad, NOW), range);
  }
  t.throws(() => decodePreKeyRecord(new Uint8Array(0)), { code: 'DECODE_KEY_TYPE' });
});

t.test(
  'ATK-B03 keys of one kind do not decode as the other, nor do their signatures carry over',
  async (t) => {
    const signed = generateSignedPreKey(crypto, identity, 1, NOW);
    const kem = generateKemPreKey(crypto, identity, 1, NOW);
    t.throws(() => decodeKemPreKeyRecord(encodeSignedPreKeyRecord(signed)), {
      code: 'DECODE_KEY_TYPE',
    });
    t.throws(() => decodeSignedPreKeyRecord(encodeKemPreKeyRecord(kem)), {
      code: 'DECODE_KEY_TYPE',
    });
    const bare = kem.keyPair.public.subarray(1);
    t.notOk(crypto.xeddsaVerify(identity.public, kem.signature, bare), 'the type byte is signed');
    t.ok(crypto.xeddsaVerify(identity.public, kem.signature, kem.keyPair.public));
  },
);

t.test('a bundle verifies, and any changed part does not', async (t) => {
  for (const provider of [nobleProvider, nodeProvider]) {
    const bundle = bundleOf();
    verifyBundle(provider, bundle);
    const { preKey: _, ...without } = bundle;
    verifyBundle(provider, without);
    const other = bundleOf(generateIdentityKeyPair(crypto));
    const { signedPreKey, kemPreKey } = bundle;
    const flipped = (bytes: Uint8Array, at: number): Uint8Array => {
      const out = copyBytes(bytes);
      flipBit(out, at, 0);
      return out;
    };
    const forged: PreKeyBundle[] = [
      { ...bundle, identityKey: other.identityKey },
      { ...bundle, signedPreKey: other.signedPreKey },
      { ...bundle, kemPreKey: other.kemPreKey },
      { ...bundle, signedPreKey: { ...signedPreKey, signature: kemPreKey.signature } },
      { ...bundle, kemPreKey: { ...kemPreKey, signature: signedPreKey.signature } },
      {
        ...bundle,
        signedPreKey: { ...signedPreKey, signature: flipped(signedPreKey.signature, 9) },
      },
      { ...bundle, kemPreKey: { ...kemPreKey, signature: flipped(kemPreKey.signature, 40) } },
      { ...bundle, signedPreKey: { ...signedPreKey, signature: new Uint8Array(0) } },
      { ...bundle, kemPreKey: { ...kemPreKey, signature: kemPreKey.signature.subarray(0, 63) } },
      {
        ...bundle,
        signedPreKey: { ...signedPreKey, public: toPublicKey(flipped(signedPreKey.public, 7)) },
      },
      {
        ...bundle,
        kemPreKey: { ...kemPreKey, public: toKemPublicKey(flipped(kemPreKey.public, 1500)) },
      },
    ];
    for (const [i, wrong] of forged.entries()) {
      t.throws(() => verifyBundle(provider, wrong), { code: 'VERIFY_SIGNATURE' }, `forged ${i}`);
    }
    for (const deviceId of [0, 128, 1.5]) {
      t.throws(() => verifyBundle(provider, { ...bundle, deviceId }), { code: 'USAGE_RANGE' });
    }
    for (const registrationId of [-1, 2 ** 32]) {
      t.throws(() => verifyBundle(provider, { ...bundle, registrationId }), {
        code: 'USAGE_RANGE',
      });
    }
  }
});

t.test('ATK-A11 key pairs and records show nothing of themselves', async (t) => {
  const kem = crypto.mlkem768KeyPair(crypto.randomBytes(64));
  const holders: [string, object, Uint8Array][] = [];
  for (const provider of [nobleProvider, nodeProvider]) {
    const curve = provider.x25519KeyPair();
    const kyber = provider.kyber1024KeyPair();
    const signing = provider.ed25519KeyPair();
    const half = provider.mlkem768Encapsulate1(kem.header, crypto.randomBytes(32));
    holders.push(
      [`${provider.name} curve pair`, curve, curve.secret],
      [`${provider.name} KEM pair`, kyber, kyber.secret],
      [`${provider.name} Ed25519 pair`, signing, signing.secret],
      [`${provider.name} SPQR key`, kem, kem.dk],
      [`${provider.name} SPQR encapsulation`, half, half.sharedSecret],
    );
  }
  const decoded = decodeIdentityKeyPair(encodeIdentityKeyPair(identity));
  const preKey = generatePreKey(crypto, 1);
  const signed = generateSignedPreKey(crypto, identity, 1, NOW);
  const kemPreKey = generateKemPreKey(crypto, identity, 1, NOW);
  const stored = decodeSignedPreKeyRecord(encodeSignedPreKeyRecord(signed));
  const storedKem = decodeKemPreKeyRecord(encodeKemPreKeyRecord(kemPreKey));
  holders.push(
    ['decoded identity', decoded, decoded.secret],
    ['prekey', preKey, preKey.keyPair.secret],
    ['signed prekey', signed, signed.keyPair.secret],
    ['KEM prekey', kemPreKey, kemPreKey.keyPair.secret],
    ['stored signed prekey', stored, stored.keyPair.secret],
    ['its pair', stored.keyPair, stored.keyPair.secret],
    ['stored KEM prekey', storedKem, storedKem.keyPair.secret],
    ['its pair', storedKem.keyPair, storedKem.keyPair.secret],
    ['a list of them', [stored, storedKem], stored.keyPair.secret],
  );
  for (const [name, holder, secret] of holders) {
    const shown = [
      JSON.stringify(holder),
      JSON.stringify({ nested: { holder } }),
      inspect(holder, { depth: 9, maxArrayLength: null }),
      `${String(holder)}`,
    ].join('\n');
    const run = [...secret.subarray(1, 9)];
    for (const trace of [run.join(','), run.join(', '), toHex(secret).slice(2, 18)]) {
      t.notOk(shown.includes(trace), name);
    }
    t.match(shown, /redacted/, name);
  }
});

const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

function le(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
