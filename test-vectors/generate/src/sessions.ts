/** Chapters 04 to 08 and 11. */
import {
  encodeKemPreKeyRecord,
  encodePreKeyRecord,
  encodeSignedPreKeyRecord,
  generateKemPreKey,
  generatePreKey,
  generateSignedPreKey,
  toAddress,
  type Address,
} from '../../../packages/protocol/dist/index.js';
import {
  EMPTY_RECORD,
  encodeSessionRecord,
  type SessionRecord,
} from '../../../packages/protocol/dist/session-record.js';
import {
  decryptMessage,
  decryptPreKeyMessage,
  encryptMessage,
  initiateSession,
} from '../../../packages/protocol/dist/session.js';
import {
  decodePreKeySignalMessage,
  decodeSignalMessage,
} from '../../../packages/protocol/dist/wire/messages.js';
import {
  encodeSpqrState,
  initialSpqrState,
  spqrReceive,
  spqrSend,
} from '../../../packages/protocol/dist/spqr/index.js';
import {
  bytesField,
  Cases,
  concatBytes,
  flip,
  intField,
  seeded,
  toHex as hex,
  utf8,
  type Bytes,
} from './kit.js';

const NOW = 1_760_000_000_000;
const ALICE = toAddress('9d0652a3-dcc3-4d11-975f-74d61598733f', 1);
const BOB = toAddress('796abedb-ca4e-4f18-8803-1fde5b921f9f', 3);

function ends(local: Address, remote: Address) {
  return {
    localName: local.name,
    localDevice: local.deviceId,
    remoteName: remote.name,
    remoteDevice: remote.deviceId,
  };
}

export async function sessions(): Promise<Cases> {
  const cases = new Cases('sessions');
  await pqxdh(cases);
  await ratchet(cases);
  await spqr(cases);
  await conversation(cases);
  return cases;
}

async function pqxdh(cases: Cases): Promise<void> {
  const random = seeded('qasid vectors 1: pqxdh');
  const [alice, base, bob, signed, once] = Array.from({ length: 5 }, () => random.x25519KeyPair());
  const kem = random.kyber1024KeyPair();
  for (const withOneTime of [true, false]) {
    const name = withOneTime ? 'with-one-time-prekey' : 'without-one-time-prekey';
    const comment = withOneTime ? 'four agreements' : 'three agreements';
    const out = await cases.add('pqxdh-initiate', name, comment, {
      identity: hex(alice!.secret),
      baseKey: hex(base!.secret),
      theirIdentity: hex(bob!.public),
      theirSignedPreKey: hex(signed!.public),
      theirPreKey: withOneTime ? hex(once!.public) : null,
      theirKemPreKey: hex(kem.public),
      coin: hex(random.randomBytes(32)),
    });
    const accept = {
      identity: hex(bob!.secret),
      signedPreKey: hex(signed!.secret),
      preKey: withOneTime ? hex(once!.secret) : null,
      kemSecret: hex(kem.secret),
      kemPublic: hex(kem.public),
      theirIdentity: hex(alice!.public),
      theirBaseKey: hex(base!.public),
      kemCiphertext: out.kemCiphertext!,
    };
    await cases.add('pqxdh-accept', name, `${comment}: the same keys`, accept);
    if (withOneTime) continue;
    const ciphertext = Uint8Array.from(Buffer.from(out.kemCiphertext as string, 'hex'));
    await cases.add('pqxdh-accept', 'flipped-ciphertext', 'other keys, no error (ATK-A05)', {
      ...accept,
      kemCiphertext: hex(flip(ciphertext, 100)),
    });
    const refusals: [string, string, string][] = [
      ['base-key-bit-255', 'VERIFY_BASE_KEY', hex(flip(base!.public, 32, 0x80))],
      ['base-key-zero', 'VERIFY_BASE_KEY', `05${'00'.repeat(32)}`],
      ['base-key-twist', 'VERIFY_BASE_KEY', `0502${'00'.repeat(31)}`],
      ['base-key-p', 'VERIFY_BASE_KEY', `05ed${'ff'.repeat(30)}7f`],
      [
        'base-key-order-8',
        'VERIFY_BASE_KEY',
        '05e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
      ],
    ];
    for (const [fault, code, key] of refusals) {
      await cases.refuse('pqxdh-accept', fault, 'not canonical', code, {
        ...accept,
        theirBaseKey: key,
      });
    }
    await cases.refuse('pqxdh-accept', 'identity-zero', 'ATK-A01', 'VERIFY_KEY_AGREEMENT', {
      ...accept,
      theirIdentity: `05${'00'.repeat(32)}`,
    });
    for (const [fault, code, value] of [
      ['ciphertext-type', 'DECODE_KEY_TYPE', `0a${(accept.kemCiphertext as string).slice(2)}`],
      ['ciphertext-short', 'DECODE_KEY_LENGTH', (accept.kemCiphertext as string).slice(0, -2)],
      ['ciphertext-empty', 'DECODE_KEY_TYPE', ''],
    ] as const) {
      await cases.refuse('pqxdh-accept', fault, 'no KEM ciphertext', code, {
        ...accept,
        kemCiphertext: value,
      });
    }
  }
  const low = `05${'00'.repeat(32)}`;
  const initiate = {
    identity: hex(alice!.secret),
    baseKey: hex(base!.secret),
    theirIdentity: hex(bob!.public),
    theirSignedPreKey: hex(signed!.public),
    theirPreKey: hex(once!.public),
    theirKemPreKey: hex(kem.public),
    coin: hex(random.randomBytes(32)),
  };
  for (const position of ['theirIdentity', 'theirSignedPreKey', 'theirPreKey']) {
    const name = `low-order-${position.toLowerCase()}`;
    await cases.refuse('pqxdh-initiate', name, 'ATK-A01', 'VERIFY_KEY_AGREEMENT', {
      ...initiate,
      [position]: low,
    });
  }
}

async function ratchet(cases: Cases): Promise<void> {
  const random = seeded('qasid vectors 1: ratchet');
  for (let i = 0; i < 4; i++) {
    await cases.add('root-step', `random-${i}`, 'one step', {
      rootKey: hex(random.randomBytes(32)),
      dh: hex(random.randomBytes(32)),
    });
  }
  let chainKey = hex(random.randomBytes(32));
  for (let index = 0; index < 5; index++) {
    const out = await cases.add('chain-step', `step-${index}`, 'each from the one before', {
      chainKey,
      index,
    });
    chainKey = out.nextChainKey as string;
  }
  await cases.add('chain-step', 'last-but-one', 'index 2^32 - 2 can be used', {
    chainKey,
    index: 0xffff_fffe,
  });
  await cases.refuse('chain-step', 'last', 'nothing can follow 2^32 - 1', 'LIMIT_CHAIN_INDEX', {
    chainKey,
    index: 0xffff_ffff,
  });
  for (let i = 0; i < 3; i++) {
    const seed = hex(random.randomBytes(32));
    const spqrKey = hex(random.randomBytes(32));
    await cases.add('message-keys', `with-spqr-${i}`, 'the SPQR key is the salt', {
      seed,
      spqrKey,
    });
    await cases.add('message-keys', `without-spqr-${i}`, 'no salt', { seed, spqrKey: null });
    await cases.add('message-keys', `zero-spqr-${i}`, '32 zero bytes are the same as no salt', {
      seed,
      spqrKey: '00'.repeat(32),
    });
    await cases.add('message-mac', `random-${i}`, 'the first 8 bytes', {
      macKey: hex(random.randomBytes(32)),
      sender: hex(random.x25519KeyPair().public),
      recipient: hex(random.x25519KeyPair().public),
      bytes: hex(random.randomBytes(60 + i)),
    });
  }
}

async function spqr(cases: Cases): Promise<void> {
  const random = seeded('qasid vectors 1: spqr');
  const authKey = random.randomBytes(32);
  for (const direction of ['a2b', 'b2a'] as const) {
    await cases.add('spqr-initial', direction, 'start of a session', {
      authKey: hex(authKey),
      direction,
    });
  }
  for (const [length, count] of [
    [96, 8],
    [160, 10],
    [960, 40],
    [1152, 50],
  ] as const) {
    await cases.add('erasure-chunks', `length-${length}`, 'beyond the piece as well', {
      piece: hex(random.randomBytes(length)),
      count,
    });
  }
  // One whole epoch; every fourth step of each side is kept as a case, and each that draws.
  const start = { authKey, version: 1, minVersion: 1, maxJump: 25_000, maxOutOfOrderKeys: 2_000 };
  let states = {
    a: initialSpqrState(random, { ...start, direction: 'a2b' }),
    b: initialSpqrState(random, { ...start, direction: 'b2a' }),
  };
  let kept: { state: Bytes; message: Bytes } | undefined;
  for (let step = 0; step < 180; step++) {
    const [from, to] = step % 2 ? (['b', 'a'] as const) : (['a', 'b'] as const);
    const draws: Bytes[] = [];
    const noting = {
      ...random,
      randomBytes: (length: number) => {
        const drawn = random.randomBytes(length);
        draws.push(drawn.slice());
        return drawn;
      },
    };
    const before = encodeSpqrState(states[from]);
    const sent = spqrSend(noting, states[from]);
    const message = sent.output.message;
    if (draws.length > 0 || step % 12 === 0) {
      const drawn = draws.length > 0 ? 'draws randomness' : 'draws nothing';
      await cases.add('spqr-send', `step-${step}`, `${from}: ${drawn}`, {
        state: hex(before),
        draws: draws.map((bytes) => ({ bytes: hex(bytes) })),
      });
    }
    const target = encodeSpqrState(states[to]);
    if (step % 11 === 0) {
      await cases.add('spqr-receive', `step-${step}`, `${to} receives`, {
        state: hex(target),
        message: hex(message),
      });
    }
    const received = spqrReceive(random, states[to], message);
    states = { ...states, [from]: sent.state, [to]: received.state };
    if (step === 30) kept = { state: target, message };
  }
  const { state, message } = kept!;
  await cases.add('spqr-recode-state', 'mid-epoch', 'canonical', { state: hex(state) });
  await cases.add('spqr-recode-state', 'empty', 'version 0', { state: '' });
  await cases.add('spqr-recode-state', 'unknown-field', 'dropped', {
    state: hex(concatBytes(state, bytesField(99, utf8('x')))),
  });
  await cases.refuse('spqr-recode-state', 'truncated', 'cut', 'DECODE_SPQR_STATE', {
    state: hex(state.slice(0, -3)),
  });
  await cases.refuse(
    'spqr-recode-state',
    'no-inner-state',
    'empty protocol state',
    'DECODE_SPQR_STATE',
    {
      state: hex(bytesField(3, new Uint8Array(0))),
    },
  );
  const receive = async (name: string, comment: string, code: string, bytes: Uint8Array) =>
    cases.refuse('spqr-receive', name, comment, code, { state: hex(state), message: hex(bytes) });
  await receive('truncated', 'a chunk of 31 bytes', 'DECODE_SPQR_MESSAGE', message.slice(0, -1));
  await receive('no-type', 'nothing behind the index', 'DECODE_SPQR_MESSAGE', message.slice(0, 3));
  await receive(
    'epoch-zero',
    'epochs begin at 1',
    'DECODE_SPQR_MESSAGE',
    Uint8Array.of(1, 0, 1, 0),
  );
  await receive('type-7', 'unknown type', 'DECODE_SPQR_MESSAGE', Uint8Array.of(1, 1, 9, 7));
  await receive(
    'absent',
    'ATK-B02: dropped by a downgrader',
    'VERIFY_DOWNGRADE',
    new Uint8Array(0),
  );
  await receive(
    'version-0',
    'ATK-B02: first byte 0',
    'VERIFY_DOWNGRADE',
    concatBytes(Uint8Array.of(0), message.slice(1)),
  );
  await receive('epoch-ahead', 'ATK-C11', 'STATE_SPQR_KEY_GONE', Uint8Array.of(1, 9, 1, 0));
}

async function conversation(cases: Cases): Promise<void> {
  const random = seeded('qasid vectors 1: session');
  const identities = { alice: random.x25519KeyPair(), bob: random.x25519KeyPair() };
  const once = generatePreKey(random, 11);
  const signed = generateSignedPreKey(random, identities.bob, 22, NOW);
  const kem = generateKemPreKey(random, identities.bob, 33, NOW);
  const bundle = {
    registrationId: 2222,
    deviceId: BOB.deviceId,
    identityKey: identities.bob.public,
    preKey: { id: 11, public: once.keyPair.public },
    signedPreKey: { id: 22, public: signed.keyPair.public, signature: signed.signature },
    kemPreKey: { id: 33, public: kem.keyPair.public, signature: kem.signature },
  };
  let alice: SessionRecord = initiateSession(random, EMPTY_RECORD, {
    local: ALICE,
    remote: BOB,
    identity: identities.alice,
    localRegistrationId: 1111,
    bundle,
    nowMs: NOW,
  }).state;
  await cases.add('recode-session-record', 'initiator', 'before the answer', {
    record: hex(encodeSessionRecord(alice)),
  });
  const send = (record: SessionRecord, local: Address, remote: Address, text: string) =>
    encryptMessage(random, record, { local, remote, plaintext: utf8(text), nowMs: NOW });
  const flight: Bytes[] = [];
  for (const text of ['first', 'second']) {
    const sent = send(alice, ALICE, BOB, text);
    alice = sent.state;
    flight.push(sent.output.bytes);
  }
  for (const [i, message] of flight.entries()) {
    await cases.add('parse-prekey-message', `flight-${i}`, 'of the first flight', {
      message: hex(message),
    });
  }
  const accept = {
    ...ends(BOB, ALICE),
    identity: hex(identities.bob.secret),
    registrationId: 2222,
    signedPreKey: hex(encodeSignedPreKeyRecord(signed)),
    kemPreKey: hex(encodeKemPreKeyRecord(kem)),
    preKey: hex(encodePreKeyRecord(once)),
  };
  const draw = () => [{ bytes: hex(random.x25519KeyPair().secret) }];
  const first = { ...accept, record: '', message: hex(flight[0]!), draws: draw() };
  const opened = await cases.add('decrypt-prekey-message', 'first', 'starts a session', first);
  const late = { ...accept, record: opened.record!, message: hex(flight[1]!), draws: [] };
  await cases.add('decrypt-prekey-message', 'late', 'needs no prekeys', late);
  await cases.refuse(
    'decrypt-prekey-message',
    'replayed',
    'ATK-B06: found by its base key',
    'STATE_DUPLICATE_MESSAGE',
    { ...late, message: hex(flight[0]!) },
  );
  await cases.refuse('decrypt-prekey-message', 'flipped-mac', 'ATK-C04', 'VERIFY_DECRYPTION', {
    ...first,
    message: hex(flipInner(flight[0]!)),
  });
  await cases.refuse(
    'decrypt-prekey-message',
    'another-device',
    'ATK-B09: the addresses do not fit',
    'VERIFY_DECRYPTION',
    { ...first, localDevice: 4 },
  );
  await cases.refuse(
    'decrypt-prekey-message',
    'another-sender',
    'ATK-B09: the addresses do not fit',
    'VERIFY_DECRYPTION',
    { ...first, remoteName: '00000000-dcc3-4d11-975f-74d61598733f' },
  );
  const stranger = generateKemPreKey(random, identities.bob, 34, NOW);
  await cases.refuse(
    'decrypt-prekey-message',
    'another-kem-key',
    'ATK-B04: a ciphertext for another key',
    'VERIFY_DECRYPTION',
    { ...first, kemPreKey: hex(encodeKemPreKeyRecord(stranger)) },
  );
  const parsed = decodePreKeySignalMessage(flight[0]!);
  const old = concatBytes(Uint8Array.of(0x34), flight[0]!.slice(1));
  await cases.refuse('decrypt-prekey-message', 'version-3', 'ATK-B02', 'VERIFY_DOWNGRADE', {
    ...first,
    message: hex(old),
  });
  const otherIdentity = random.x25519KeyPair().public;
  await cases.refuse(
    'decrypt-prekey-message',
    'late-other-identity',
    'ATK-B12: a foreign identity on a known base key',
    'VERIFY_IDENTITY_MISMATCH',
    { ...late, message: hex(replaceBytes(flight[1]!, parsed.identityKey, otherIdentity)) },
  );

  // Plain messages, both ways, with one late and one skipped.
  const bobOpened = decryptPreKeyMessage(random, EMPTY_RECORD, {
    local: BOB,
    remote: ALICE,
    message: parsed,
    accept: {
      identity: identities.bob,
      localRegistrationId: 2222,
      signedPreKey: signed.keyPair,
      kemPreKey: kem.keyPair,
      preKey: once.keyPair,
    },
  });
  let bob = bobOpened.state;
  const answers: Bytes[] = [];
  for (const text of ['answer one', 'answer two', 'answer three']) {
    const sent = send(bob, BOB, ALICE, text);
    bob = sent.state;
    answers.push(sent.output.bytes);
  }
  await cases.add('parse-message', 'answer', 'a plain message', { message: hex(answers[0]!) });
  const atAlice = { ...ends(ALICE, BOB), record: hex(encodeSessionRecord(alice)) };
  const third = await cases.add('decrypt-message', 'out-of-order', 'the third arrives first', {
    ...atAlice,
    message: hex(answers[2]!),
    draws: draw(),
  });
  const after = { ...atAlice, record: third.record!, draws: [] };
  await cases.add('decrypt-message', 'skipped', 'the first arrives late', {
    ...after,
    message: hex(answers[0]!),
  });
  await cases.refuse('decrypt-message', 'twice', 'ATK-C01', 'STATE_DUPLICATE_MESSAGE', {
    ...after,
    message: hex(answers[2]!),
  });
  for (const [name, bytes] of Object.entries({
    'mac-flipped': flip(answers[1]!, -1),
    'mac-first-byte': flip(answers[1]!, -8),
    'ciphertext-flipped': flip(answers[1]!, 60),
    'low-nibble': concatBytes(Uint8Array.of(0x40), answers[1]!.slice(1)),
    'version-3': concatBytes(Uint8Array.of(0x34), answers[1]!.slice(1)),
  })) {
    await cases.refuse(
      'decrypt-message',
      name,
      'ATK-C04, ATK-A08: one answer',
      'VERIFY_DECRYPTION',
      {
        ...after,
        message: hex(bytes),
      },
    );
  }
  await cases.refuse('decrypt-message', 'no-session', 'an empty record', 'STATE_NO_SESSION', {
    ...after,
    record: '',
    message: hex(answers[1]!),
  });
  await cases.add('recode-session-record', 'with-skipped-key', 'newest first', {
    record: third.record!,
  });
  await cases.add('recode-session-record', 'empty', 'no session yet', { record: '' });
  await cases.refuse('recode-session-record', 'garbage', 'no protobuf', 'DECODE_SESSION_RECORD', {
    record: 'ffffff',
  });
  await cases.refuse('recode-session-record', 'truncated', 'cut', 'DECODE_SESSION_RECORD', {
    record: (third.record as string).slice(0, 200),
  });
  decryptMessage(random, alice, {
    local: ALICE,
    remote: BOB,
    message: decodeSignalMessage(answers[0]!),
  });
  await malformedMessages(cases, answers[0]!, flight[0]!);
}

async function malformedMessages(cases: Cases, plain: Bytes, prekey: Bytes): Promise<void> {
  const parse = (operation: string) => async (name: string, code: string, bytes: Uint8Array) =>
    cases.refuse(operation, name, 'form', code, { message: hex(bytes) });
  const message = parse('parse-message');
  await message('empty', 'DECODE_MESSAGE_TOO_SHORT', new Uint8Array(0));
  await message('eight-bytes', 'DECODE_MESSAGE_TOO_SHORT', plain.slice(0, 8));
  await message(
    'version-2',
    'DECODE_VERSION_TOO_OLD',
    concatBytes(Uint8Array.of(0x24), plain.slice(1)),
  );
  await message(
    'version-5',
    'DECODE_VERSION_UNKNOWN',
    concatBytes(Uint8Array.of(0x54), plain.slice(1)),
  );
  await message('cut-in-field', 'DECODE_PROTOBUF', plain.slice(0, 40));
  const key = plain.slice(3, 36);
  const body = (...fields: Uint8Array[]) =>
    concatBytes(Uint8Array.of(0x44), ...fields, new Uint8Array(8));
  const [ratchet, counter, text] = [bytesField(1, key), intField(2, 5), bytesField(4, utf8('c'))];
  await message('no-ratchet-key', 'DECODE_PROTOBUF', body(counter, text));
  await message('no-counter', 'DECODE_PROTOBUF', body(ratchet, text));
  await message('no-ciphertext', 'DECODE_PROTOBUF', body(ratchet, counter));
  await message('counter-as-bytes', 'DECODE_PROTOBUF', body(ratchet, bytesField(2, key), text));
  await message(
    'ratchet-key-type',
    'DECODE_KEY_TYPE',
    body(bytesField(1, flip(key, 0)), counter, text),
  );
  await message(
    'ratchet-key-short',
    'DECODE_KEY_LENGTH',
    body(bytesField(1, key.slice(0, 32)), counter, text),
  );
  await message('field-0', 'DECODE_PROTOBUF', body(Uint8Array.of(0, 0), ratchet, counter, text));
  await message(
    'wire-type-7',
    'DECODE_PROTOBUF',
    body(ratchet, counter, text, Uint8Array.of(0x4f)),
  );
  await message(
    'varint-11-bytes',
    'DECODE_PROTOBUF',
    body(ratchet, counter, text, Uint8Array.of(0x48, ...new Array(10).fill(0x80), 1)),
  );
  await message(
    'length-4-gib',
    'DECODE_PROTOBUF',
    body(ratchet, counter, Uint8Array.of(0x22, 0xff, 0xff, 0xff, 0xff, 0x0f)),
  );
  const add = (name: string, comment: string, bytes: Uint8Array) =>
    cases.add('parse-message', name, comment, { message: hex(bytes) });
  await add('smallest', 'no previous counter, no SPQR', body(ratchet, counter, text));
  await add('unknown-field', 'skipped', body(ratchet, counter, text, bytesField(50, utf8('x'))));
  await add('repeated', 'the last counter counts', body(ratchet, counter, intField(2, 7), text));
  await add('reversed', 'order does not matter', body(text, counter, ratchet));
  await add(
    'wide-counter',
    'ATK-A12: high bits are dropped',
    body(ratchet, Uint8Array.of(0x10, 0x85, 0x80, 0x80, 0x80, 0x50), text),
  );
  await add('counter-max', 'ATK-A12: 2^32 - 1', body(ratchet, intField(2, 0xffff_ffff), text));
  await add(
    'empty-addresses',
    'present and empty is not absent',
    body(ratchet, counter, text, bytesField(6, new Uint8Array(0))),
  );
  await add(
    'low-nibble',
    'not looked at',
    concatBytes(Uint8Array.of(0x4f), body(ratchet, counter, text).slice(1)),
  );

  const pre = parse('parse-prekey-message');
  await pre('empty', 'DECODE_MESSAGE_TOO_SHORT', new Uint8Array(0));
  await pre(
    'version-2',
    'DECODE_VERSION_TOO_OLD',
    concatBytes(Uint8Array.of(0x24), prekey.slice(1)),
  );
  await pre(
    'version-5',
    'DECODE_VERSION_UNKNOWN',
    concatBytes(Uint8Array.of(0x54), prekey.slice(1)),
  );
  await pre('cut', 'DECODE_PROTOBUF', prekey.slice(0, 100));
  const head = (...fields: Uint8Array[]) => concatBytes(Uint8Array.of(0x44), ...fields);
  const [base, identity, inner] = [bytesField(2, key), bytesField(3, key), bytesField(4, plain)];
  const [id, kemId, kem] = [intField(6, 22), intField(7, 33), bytesField(8, utf8('ct'))];
  await pre('no-base-key', 'DECODE_PROTOBUF', head(identity, inner, id, kemId, kem));
  await pre('no-identity', 'DECODE_PROTOBUF', head(base, inner, id, kemId, kem));
  await pre('no-message', 'DECODE_PROTOBUF', head(base, identity, id, kemId, kem));
  await pre('no-signed-prekey-id', 'DECODE_PROTOBUF', head(base, identity, inner, kemId, kem));
  await pre('kem-id-only', 'DECODE_PREKEY_MESSAGE', head(base, identity, inner, id, kemId));
  await pre('kem-ciphertext-only', 'DECODE_PREKEY_MESSAGE', head(base, identity, inner, id, kem));
  await pre('no-kem', 'DECODE_PREKEY_MESSAGE', head(base, identity, inner, id));
  await pre(
    'base-key-type',
    'DECODE_KEY_TYPE',
    head(bytesField(2, flip(key, 0)), identity, inner, id, kemId, kem),
  );
  await pre(
    'identity-type',
    'DECODE_KEY_TYPE',
    head(base, bytesField(3, flip(key, 0)), inner, id, kemId, kem),
  );
  await pre(
    'inner-short',
    'DECODE_MESSAGE_TOO_SHORT',
    head(base, identity, bytesField(4, plain.slice(0, 5)), id, kemId, kem),
  );
  await cases.add('parse-prekey-message', 'smallest', 'no one-time prekey, registration id 0', {
    message: hex(head(base, identity, inner, id, kemId, kem)),
  });
  await cases.add('parse-prekey-message', 'id-zero', 'id 0 is an id', {
    message: hex(head(intField(1, 0), base, identity, inner, id, kemId, kem)),
  });
}

/** The last bit of the inner message's MAC: it ends where the fields behind it begin. */
function flipInner(message: Bytes): Bytes {
  const { message: inner } = decodePreKeySignalMessage(message);
  const at = Buffer.from(message).indexOf(Buffer.from(inner.mac));
  return flip(message, at + 7);
}

function replaceBytes(message: Bytes, from: Uint8Array, to: Uint8Array): Bytes {
  const out = Uint8Array.from(message);
  out.set(to, Buffer.from(message).indexOf(Buffer.from(from)));
  return out;
}
