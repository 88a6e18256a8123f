/** Chapters 01 to 03. */
import {
  encodeIdentityKeyPair,
  encodeKemPreKeyRecord,
  encodePreKeyRecord,
  encodeSignedPreKeyRecord,
  generateKemPreKey,
  generatePreKey,
  generateSignedPreKey,
  signAlternateIdentity,
} from '../../../packages/protocol/dist/index.js';
import {
  bytesField,
  Cases,
  concatBytes,
  flip,
  intField,
  seeded,
  toHex as hex,
  utf8,
} from './kit.js';

const LOW_ORDER: Record<string, string> = {
  zero: '00'.repeat(32),
  one: `01${'00'.repeat(31)}`,
  'order-8-first': 'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  'order-8-second': '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'minus-one': `ec${'ff'.repeat(30)}7f`,
  'p-unreduced-zero': `ed${'ff'.repeat(30)}7f`,
  'p-plus-one-unreduced': `ee${'ff'.repeat(30)}7f`,
};

export async function primitives(): Promise<Cases> {
  const cases = new Cases('primitives');
  const random = seeded('qasid vectors 1: primitives');
  const pair = () => random.x25519KeyPair();

  for (let i = 0; i < 4; i++) {
    const [ours, theirs] = [pair(), pair()];
    await cases.add('x25519', `random-${i}`, 'two random pairs', {
      secret: hex(ours.secret),
      public: hex(theirs.public),
    });
  }
  const fixed = pair();
  await cases.add('x25519', 'bit-255-set', 'bit 255 of the peer is ignored', {
    secret: hex(fixed.secret),
    public: hex(flip(pair().public, 32, 0x80)),
  });
  await cases.add('x25519', 'unreduced', 'u = p + 9 is the base point', {
    secret: hex(fixed.secret),
    public: `05f6${'ff'.repeat(30)}7f`,
  });
  await cases.add('x25519', 'twist', 'u = 2 is on the twist and agrees normally', {
    secret: hex(fixed.secret),
    public: `0502${'00'.repeat(31)}`,
  });
  for (const [name, u] of Object.entries(LOW_ORDER)) {
    await cases.refuse(
      'x25519',
      `low-order-${name}`,
      'a point of low order gives an all-zero result',
      'VERIFY_KEY_AGREEMENT',
      { secret: hex(fixed.secret), public: `05${u}` },
    );
    await cases.add('is-canonical', `low-order-${name}`, 'not in the prime-order subgroup', {
      public: `05${u}`,
    });
  }
  for (const [name, secret] of Object.entries({
    'all-ones': 'ff'.repeat(32),
    'all-zeros': '00'.repeat(32),
    clamped: hex(fixed.secret),
    'one-bit': `01${'00'.repeat(31)}`,
  })) {
    await cases.add('x25519-public', name, 'clamped before use', { secret });
  }
  for (const length of [0, 31, 33]) {
    await cases.refuse(
      'x25519-public',
      `length-${length}`,
      'a private key has 32 bytes',
      'DECODE_KEY_LENGTH',
      { secret: '40'.repeat(length) },
    );
  }
  const key = pair().public;
  await cases.add('parse-public-key', 'exact', '33 bytes', { bytes: hex(key) });
  await cases.add('parse-public-key', 'trailing', 'what follows is dropped', {
    bytes: `${hex(key)}ffff`,
  });
  await cases.refuse('parse-public-key', 'empty', 'no type byte', 'DECODE_KEY_TYPE', { bytes: '' });
  for (const type of ['00', '04', '06', '08', 'ff']) {
    await cases.refuse('parse-public-key', `type-${type}`, 'unknown type', 'DECODE_KEY_TYPE', {
      bytes: type + hex(key).slice(2),
    });
  }
  for (const length of [1, 2, 32]) {
    await cases.refuse('parse-public-key', `length-${length}`, 'too short', 'DECODE_KEY_LENGTH', {
      bytes: hex(key.slice(0, length)),
    });
  }
  await cases.add('is-canonical', 'random', 'an honest key', { public: hex(key) });
  await cases.add('is-canonical', 'bit-255', 'bit 255 set', { public: hex(flip(key, 32, 0x80)) });
  await cases.add('is-canonical', 'twist', 'u = 2 has no point on the curve', {
    public: `0502${'00'.repeat(31)}`,
  });
  await cases.add('is-canonical', 'base-point', 'u = 9', { public: `0509${'00'.repeat(31)}` });

  const signatures: { public: string; message: string; signature: string }[] = [];
  for (const [i, length] of [0, 1, 33, 64, 200, 1569].entries()) {
    const message = hex(random.randomBytes(length));
    const out = await cases.add('xeddsa-sign', `length-${length}`, `${length} bytes signed`, {
      secret: hex(pair().secret),
      random: hex(random.randomBytes(64)),
      message,
    });
    const signed = {
      public: out.public as string,
      message,
      signature: out.signature as string,
    };
    signatures.push(signed);
    await cases.add('xeddsa-verify', `genuine-${i}`, 'a genuine signature', signed);
  }
  const sample = signatures[3]!;
  const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'));
  for (const at of [0, 31, 32, 62]) {
    await cases.add('xeddsa-verify', `flipped-${at}`, `bit 0 of signature byte ${at} flipped`, {
      ...sample,
      signature: hex(flip(bytes(sample.signature), at)),
    });
  }
  await cases.add('xeddsa-verify', 'sign-bit', 'the sign bit of the point flipped', {
    ...sample,
    signature: hex(flip(bytes(sample.signature), 63, 0x80)),
  });
  for (const mask of [0x20, 0x40]) {
    await cases.add('xeddsa-verify', `range-bit-${mask.toString(16)}`, 's of 2^253 and more', {
      ...sample,
      signature: hex(flip(bytes(sample.signature), 63, mask)),
    });
  }
  // s + l stays below 2^253 about half of the time: take the first signature for which it does.
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  for (const signed of signatures) {
    const raw = bytes(signed.signature);
    const sign = raw[63]! & 0x80;
    const s = BigInt(
      `0x${hex(
        raw
          .slice(32)
          .map((b, i) => (i === 31 ? b & 0x7f : b))
          .reverse(),
      )}`,
    );
    if (s + order >= 2n ** 253n) continue;
    const more = (s + order).toString(16).padStart(64, '0');
    const tail = bytes(more).reverse();
    tail[31]! |= sign;
    await cases.add('xeddsa-verify', 's-plus-order', 's + l below 2^253 is accepted', {
      ...signed,
      signature: hex(concatBytes(raw.slice(0, 32), tail)),
    });
    break;
  }
  {
    // The same s plus as many orders as it takes to pass 2^253: the equation holds, the range does not.
    const raw = bytes(sample.signature);
    const sign = raw[63]! & 0x80;
    let s = BigInt(
      `0x${hex(
        raw
          .slice(32)
          .map((b, i) => (i === 31 ? b & 0x7f : b))
          .reverse(),
      )}`,
    );
    while (s < 2n ** 253n) s += order;
    const tail = bytes(s.toString(16).padStart(64, '0')).reverse();
    tail[31]! |= sign;
    await cases.add('xeddsa-verify', 's-beyond-range', 's + k*l of 2^253 and more is refused', {
      ...sample,
      signature: hex(concatBytes(raw.slice(0, 32), tail)),
    });
  }
  await cases.add('xeddsa-verify', 'other-message', 'another message', {
    ...sample,
    message: `${sample.message.slice(2)}00`,
  });
  await cases.add('xeddsa-verify', 'other-key', 'another key', {
    ...sample,
    public: hex(pair().public),
  });
  for (const length of [0, 63, 65]) {
    await cases.add('xeddsa-verify', `length-${length}`, 'a signature has 64 bytes', {
      ...sample,
      signature: `${sample.signature}00`.slice(0, 2 * length).padEnd(2 * length, '0'),
    });
  }
  await cases.add('xeddsa-verify', 'twist-key', 'a key without a point is no', {
    ...sample,
    public: `0502${'00'.repeat(31)}`,
  });

  for (const [name, length] of Object.entries({ empty: 0, short: 5, block: 64, long: 65 })) {
    await cases.add('hmac-sha256', `key-${name}`, `key of ${length} bytes`, {
      key: hex(random.randomBytes(length)),
      data: hex(utf8('Hi There')),
    });
  }
  for (const length of [1, 32, 48, 80, 96, 255]) {
    await cases.add('hkdf-sha256', `length-${length}`, `${length} bytes of output`, {
      salt: length % 2 ? null : hex(random.randomBytes(32)),
      ikm: hex(random.randomBytes(32)),
      info: hex(utf8('info')),
      length,
    });
  }
  await cases.add('hkdf-sha256', 'zero-salt', 'no salt and 32 zero bytes are the same', {
    salt: '00'.repeat(32),
    ikm: '0b'.repeat(22),
    info: '',
    length: 42,
  });
  const aes = { key: hex(random.randomBytes(32)), iv: hex(random.randomBytes(16)) };
  for (const length of [0, 1, 15, 16, 17, 100]) {
    const plaintext = hex(random.randomBytes(length));
    const out = await cases.add('aes-cbc-encrypt', `length-${length}`, `${length} bytes`, {
      ...aes,
      plaintext,
    });
    await cases.add('aes-cbc-decrypt', `length-${length}`, `${length} bytes`, {
      ...aes,
      ciphertext: out.ciphertext!,
    });
  }
  const cipher = random.aesCbcEncrypt(bytes(aes.key), bytes(aes.iv), utf8('sixteen bytes ok'));
  for (const [name, broken] of Object.entries({
    empty: new Uint8Array(0),
    'not-a-block': cipher.slice(0, 31),
    'padding-flipped': flip(cipher, 15, 1),
    'padding-cut-off': cipher.slice(0, 16),
  })) {
    await cases.add('aes-cbc-decrypt', name, 'null, never an error', {
      ...aes,
      ciphertext: hex(broken),
    });
  }

  const kem = random.kyber1024KeyPair();
  for (let i = 0; i < 2; i++) {
    const out = await cases.add('kyber1024-encapsulate', `random-${i}`, 'a given coin', {
      public: hex(kem.public),
      coin: hex(random.randomBytes(32)),
    });
    const ciphertext = bytes(out.ciphertext as string);
    await cases.add('kyber1024-decapsulate', `random-${i}`, 'the same secret', {
      secret: hex(kem.secret),
      ciphertext: hex(ciphertext),
    });
    await cases.add(
      'kyber1024-decapsulate',
      `flipped-${i}`,
      'a bit flipped: another secret, and no error',
      { secret: hex(kem.secret), ciphertext: hex(flip(ciphertext, 700 + i)) },
    );
  }
  const coin = hex(random.randomBytes(32));
  for (const [name, code, key] of [
    ['empty', 'DECODE_KEY_TYPE', ''],
    ['type-07', 'DECODE_KEY_TYPE', `07${hex(kem.public).slice(2)}`],
    ['type-0a', 'DECODE_KEY_TYPE', `0a${hex(kem.public).slice(2)}`],
    ['type-05', 'DECODE_KEY_TYPE', `05${hex(kem.public).slice(2)}`],
    ['short', 'DECODE_KEY_LENGTH', hex(kem.public).slice(0, -2)],
    ['long', 'DECODE_KEY_LENGTH', `${hex(kem.public)}00`],
    ['modulus', 'VERIFY_KEY_AGREEMENT', `08ffffff${hex(kem.public).slice(8)}`],
  ] as const) {
    await cases.refuse('kyber1024-encapsulate', name, 'key refused', code, { public: key, coin });
  }
  for (let i = 0; i < 3; i++) {
    await cases.add('mlkem768-incremental', `random-${i}`, 'seed is d and z', {
      seed: hex(random.randomBytes(64)),
      m: hex(random.randomBytes(32)),
    });
  }

  await identity(cases);
  await prekeys(cases);
  return cases;
}

async function identity(cases: Cases): Promise<void> {
  const random = seeded('qasid vectors 1: identity');
  const [alice, bob] = [random.x25519KeyPair(), random.x25519KeyPair()];
  const base = {
    version: 2,
    iterations: 5200,
    localIdentifier: hex(random.randomBytes(16)),
    localKey: hex(alice.public),
    remoteIdentifier: hex(random.randomBytes(16)),
    remoteKey: hex(bob.public),
  };
  const swapped = {
    ...base,
    localIdentifier: base.remoteIdentifier,
    localKey: base.remoteKey,
    remoteIdentifier: base.localIdentifier,
    remoteKey: base.localKey,
  };
  const ours = await cases.add('fingerprint', 'alice', 'one side', base);
  const theirs = await cases.add('fingerprint', 'bob', 'the other side: the same digits', swapped);
  await cases.add('fingerprint', 'version-1', 'the version is not hashed', { ...base, version: 1 });
  await cases.add('fingerprint', 'two-iterations', 'the fewest', { ...base, iterations: 2 });
  await cases.add('fingerprint', 'phone-numbers', 'identifiers are bytes', {
    ...base,
    localIdentifier: hex(utf8('+14152222222')),
    remoteIdentifier: hex(utf8('+14153333333')),
  });
  for (const iterations of [0, 1, 1_000_001]) {
    await cases.refuse('fingerprint', `iterations-${iterations}`, 'out of range', 'USAGE_RANGE', {
      ...base,
      iterations,
    });
  }
  const scans = { ours: ours.scannable as string, theirs: theirs.scannable as string };
  const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'));
  await cases.add('compare-scannable', 'match', 'each has the other', scans);
  await cases.add('compare-scannable', 'with-itself', 'our own code is no match', {
    ...scans,
    theirs: scans.ours,
  });
  await cases.add('compare-scannable', 'one-bit', 'another key', {
    ...scans,
    theirs: hex(flip(bytes(scans.theirs), -1)),
  });
  await cases.refuse(
    'compare-scannable',
    'version',
    'other identifiers',
    'DECODE_FINGERPRINT_VERSION',
    {
      ...scans,
      theirs: `0801${scans.theirs.slice(4)}`,
    },
  );
  for (const [name, theirs] of Object.entries({
    garbage: 'ffff',
    truncated: scans.theirs.slice(0, -2),
    'no-contents': '0802',
  })) {
    await cases.refuse('compare-scannable', name, 'does not parse', 'DECODE_FINGERPRINT', {
      ...scans,
      theirs,
    });
  }
  const uuid = '9d0652a3-dcc3-4d11-975f-74d61598733f';
  await cases.add('parse-service-id', 'account', 'a UUID', { text: uuid });
  await cases.add('parse-service-id', 'upper-case', 'either case, written lower', {
    text: uuid.toUpperCase(),
  });
  await cases.add('parse-service-id', 'alternate', 'with the prefix', { text: `PNI:${uuid}` });
  for (const [name, text] of Object.entries({
    empty: '',
    'no-hyphens': uuid.replaceAll('-', ''),
    braces: `{${uuid}}`,
    'prefix-lower-case': `pni:${uuid}`,
    'prefix-aci': `ACI:${uuid}`,
    'not-hex': `g${uuid.slice(1)}`,
    space: ` ${uuid}`,
    short: uuid.slice(0, -1),
  })) {
    await cases.refuse('parse-service-id', name, 'no service id', 'DECODE_SERVICE_ID', { text });
  }
  const id = uuid.replaceAll('-', '');
  await cases.add('decode-service-id', 'account', '16 bytes', { bytes: id });
  await cases.add('decode-service-id', 'alternate', '17 bytes', { bytes: `01${id}` });
  await cases.add('decode-fixed-service-id', 'account', '17 bytes', { bytes: `00${id}` });
  await cases.add('decode-fixed-service-id', 'alternate', '17 bytes', { bytes: `01${id}` });
  for (const [name, value] of Object.entries({
    empty: '',
    short: id.slice(2),
    long: `${id}0000`,
  })) {
    for (const operation of ['decode-service-id', 'decode-fixed-service-id']) {
      await cases.refuse(operation, name, 'wrong length', 'DECODE_SERVICE_ID', { bytes: value });
    }
  }
  await cases.refuse('decode-service-id', 'kind-0', '17 bytes of kind 0', 'DECODE_SERVICE_ID', {
    bytes: `00${id}`,
  });
  await cases.refuse('decode-fixed-service-id', 'kind-2', 'unknown kind', 'DECODE_SERVICE_ID', {
    bytes: `02${id}`,
  });
  const signature = signAlternateIdentity(random, alice, bob.public);
  const claim = { identity: hex(alice.public), other: hex(bob.public), signature: hex(signature) };
  await cases.add('verify-alternate-identity', 'genuine', 'signed', claim);
  await cases.add('verify-alternate-identity', 'reversed', 'not symmetric', {
    ...claim,
    identity: claim.other,
    other: claim.identity,
  });
  await cases.add('verify-alternate-identity', 'flipped', 'one bit', {
    ...claim,
    signature: hex(flip(signature, 10)),
  });
  await cases.add('verify-alternate-identity', 'prekey-context', 'ATK-A10: a prekey signature', {
    ...claim,
    signature: hex(random.xeddsaSign(alice.secret, random.randomBytes(64), bob.public)),
  });
  const record = encodeIdentityKeyPair(alice);
  await cases.add('decode-identity-key-pair', 'genuine', '69 bytes', { record: hex(record) });
  await cases.refuse('decode-identity-key-pair', 'empty', 'no key', 'DECODE_KEY_TYPE', {
    record: '',
  });
  await cases.refuse('decode-identity-key-pair', 'garbage', 'no protobuf', 'DECODE_PROTOBUF', {
    record: 'ffff',
  });
  await cases.refuse('decode-identity-key-pair', 'truncated', 'cut', 'DECODE_PROTOBUF', {
    record: hex(record.slice(0, -1)),
  });
}

async function prekeys(cases: Cases): Promise<void> {
  const random = seeded('qasid vectors 1: prekeys');
  const identity = random.x25519KeyPair();
  const once = generatePreKey(random, 31337);
  const signed = generateSignedPreKey(random, identity, 22, 1_700_000_000_123);
  const kem = generateKemPreKey(random, identity, 0xffff_ffff, 1_700_000_000_456);
  const records = {
    'decode-prekey-record': encodePreKeyRecord(once),
    'decode-signed-prekey-record': encodeSignedPreKeyRecord(signed),
    'decode-kem-prekey-record': encodeKemPreKeyRecord(kem),
  };
  for (const [operation, record] of Object.entries(records)) {
    await cases.add(operation, 'genuine', 'as stored', { record: hex(record) });
    await cases.add(operation, 'unknown-field', 'skipped', {
      record: hex(concatBytes(record, bytesField(99, utf8('x')))),
    });
    await cases.refuse(operation, 'truncated', 'cut in the middle', 'DECODE_PROTOBUF', {
      record: hex(record.slice(0, record.length >> 1)),
    });
    await cases.refuse(
      operation,
      'wire-type',
      'a known field with another type',
      'DECODE_PROTOBUF',
      {
        record: hex(concatBytes(bytesField(1, utf8('x')), record)),
      },
    );
    await cases.refuse(operation, 'no-keys', 'only an id', 'DECODE_KEY_TYPE', {
      record: hex(intField(1, 7)),
    });
  }
  await cases.add('decode-prekey-record', 'id-absent', 'reads as 0', {
    record: hex(
      concatBytes(bytesField(2, once.keyPair.public), bytesField(3, once.keyPair.secret)),
    ),
  });
  const bundle = {
    identityKey: hex(identity.public),
    signedPreKey: hex(signed.keyPair.public),
    signedPreKeySignature: hex(signed.signature),
    kemPreKey: hex(kem.keyPair.public),
    kemPreKeySignature: hex(kem.signature),
  };
  await cases.add('verify-bundle', 'genuine', 'both signatures', bundle);
  const other = generateSignedPreKey(random, random.x25519KeyPair(), 1, 0);
  const faults: Record<string, Partial<typeof bundle>> = {
    'signed-flipped': { signedPreKeySignature: hex(flip(signed.signature, 5)) },
    'kem-flipped': { kemPreKeySignature: hex(flip(kem.signature, 5)) },
    swapped: {
      signedPreKeySignature: bundle.kemPreKeySignature,
      kemPreKeySignature: bundle.signedPreKeySignature,
    },
    'signed-empty': { signedPreKeySignature: '' },
    'kem-empty': { kemPreKeySignature: '' },
    'another-identity': { identityKey: hex(random.x25519KeyPair().public) },
    'another-devices-prekey': {
      signedPreKey: hex(other.keyPair.public),
      signedPreKeySignature: hex(other.signature),
    },
    'without-type-byte': {
      signedPreKeySignature: hex(
        random.xeddsaSign(identity.secret, random.randomBytes(64), signed.keyPair.public.slice(1)),
      ),
    },
  };
  for (const [name, fault] of Object.entries(faults)) {
    await cases.refuse('verify-bundle', name, 'ATK-B01, ATK-B13', 'VERIFY_SIGNATURE', {
      ...bundle,
      ...fault,
    });
  }
  await cases.refuse('verify-bundle', 'kem-as-curve', 'ATK-B03: a curve key', 'DECODE_KEY_TYPE', {
    ...bundle,
    kemPreKey: bundle.signedPreKey,
  });
  await cases.refuse('verify-bundle', 'curve-as-kem', 'ATK-B03: a KEM key', 'DECODE_KEY_TYPE', {
    ...bundle,
    signedPreKey: bundle.kemPreKey,
  });
}
