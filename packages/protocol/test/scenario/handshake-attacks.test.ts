// What a relay, a network or a peer may do to a handshake. Every refusal leaves the store as it was.
import t from 'tap';
import {
  defaultCrypto as crypto,
  encodeKemPreKeyRecord,
  encodeSignedPreKeyRecord,
  generateKemPreKey,
  generateSignedPreKey,
  toPublicKey,
  utf8,
  type EncryptedMessage,
  type PreKeyBundle,
} from '@qasid/protocol';
import { concatBytes, copyBytes, type Bytes } from '#src/bytes.js';
import { encryptMessage, initiateSession, EMPTY_RECORD, StoredSpqr } from '#src/session.js';
import { EMPTY_SPQR_STATE } from '#src/spqr/index.js';
import type { Address } from '#src/types.js';
import {
  decodePreKeySignalMessage,
  encodePreKeySignalMessage,
  encodeSignalMessage,
  type PreKeySignalMessage,
} from '#src/wire/messages.js';
import {
  expectUnchanged,
  introduce,
  open,
  outcome,
  rewriteRecord,
  send,
  storedHex,
  storedRecord,
} from '../support/conversation.js';
import { makeParty, NOW_MS, serviceId, type Party } from '../support/party.js';

const pair = (): [Party, Party] => [makeParty(crypto), makeParty(crypto)];

const flipped = (bytes: Uint8Array, at: number): Bytes => {
  const out = copyBytes(bytes);
  out[at] = (out[at] ?? 0) ^ 1;
  return out;
};

/** `message` with some fields of its handshake replaced. */
function altered(
  message: EncryptedMessage,
  change: (fields: PreKeySignalMessage) => Partial<PreKeySignalMessage>,
): EncryptedMessage {
  const fields = decodePreKeySignalMessage(message.bytes);
  return { ...message, bytes: encodePreKeySignalMessage({ ...fields, ...change(fields) }) };
}

/** A first message that binds other addresses than the ones it travels between. */
async function boundTo(
  from: Party,
  to: Party,
  local: Address,
  remote: Address,
): Promise<EncryptedMessage> {
  const bundle = await to.bundle();
  const ends = { local, remote };
  const started = initiateSession(crypto, EMPTY_RECORD, {
    ...ends,
    identity: from.identity,
    localRegistrationId: from.registrationId,
    bundle,
    nowMs: NOW_MS,
  });
  const input = { ...ends, plaintext: utf8('bound'), nowMs: NOW_MS };
  const { output } = encryptMessage(crypto, started.state, input);
  return { ...output, remote: to.address, remoteRegistrationId: to.registrationId };
}

t.test('ATK-B01 a bundle with a missing, wrong or foreign signature starts nothing', async (t) => {
  const [a, b] = pair();
  const stranger = makeParty(crypto);
  const good = await b.bundle();
  const foreign = await stranger.bundle();
  const { signedPreKey, kemPreKey } = good;
  const bundles: Readonly<Record<string, PreKeyBundle>> = {
    'signed prekey: flipped': {
      ...good,
      signedPreKey: { ...signedPreKey, signature: flipped(signedPreKey.signature, 5) },
    },
    'signed prekey: empty': {
      ...good,
      signedPreKey: { ...signedPreKey, signature: new Uint8Array(0) },
    },
    'signed prekey: the KEM prekey signature': {
      ...good,
      signedPreKey: { ...signedPreKey, signature: kemPreKey.signature },
    },
    'signed prekey: of another identity': { ...good, signedPreKey: foreign.signedPreKey },
    'KEM prekey: flipped': {
      ...good,
      kemPreKey: { ...kemPreKey, signature: flipped(kemPreKey.signature, 40) },
    },
    'KEM prekey: empty': { ...good, kemPreKey: { ...kemPreKey, signature: new Uint8Array(0) } },
    'KEM prekey: the signed prekey signature': {
      ...good,
      kemPreKey: { ...kemPreKey, signature: signedPreKey.signature },
    },
    'KEM prekey: of another identity': { ...good, kemPreKey: foreign.kemPreKey },
    'KEM prekey: another key': {
      ...good,
      kemPreKey: { ...kemPreKey, public: foreign.kemPreKey.public },
    },
    'identity: of someone else': { ...good, identityKey: foreign.identityKey },
  };
  for (const [name, bundle] of Object.entries(bundles)) {
    const encrypting = a.operations.encrypt(
      [{ remote: b.address, plaintext: utf8('secret'), bundle }],
      NOW_MS,
      () => 'outbox',
    );
    await t.rejects(encrypting, { code: 'VERIFY_SIGNATURE' }, name);
  }
  t.equal(await storedHex(a, b), '', 'no session');
  t.equal(await a.store.loadIdentity(b.address.name), undefined, 'no identity');
  t.strictSame(a.extras, [], 'no outbox row');
});

t.test('ATK-B02 no handshake without post-quantum parts', async (t) => {
  const [a, b] = pair();
  const message = await send(a, b, 'hello', {});
  const fields = decodePreKeySignalMessage(message.bytes);
  const cases: Readonly<Record<string, readonly [EncryptedMessage, string]>> = {
    'version 3 with KEM fields': [altered(message, () => ({ version: 3 })), 'VERIFY_DOWNGRADE'],
    'version 3 without': [
      altered(message, () => ({ version: 3, kem: undefined })),
      'VERIFY_DOWNGRADE',
    ],
    'version 4 without': [altered(message, () => ({ kem: undefined })), 'DECODE_PREKEY_MESSAGE'],
    'inner version 3': [
      altered(message, () => ({
        message: {
          ...fields.message,
          authenticated: flipped(fields.message.authenticated, 0).fill(0x34, 0, 1),
        },
      })),
      'VERIFY_DECRYPTION',
    ],
  };
  for (const [name, [forged, code]] of Object.entries(cases)) {
    await expectUnchanged(t, b, a, name, async () =>
      t.equal(await outcome(b, a, forged), code, name),
    );
  }
  t.equal(await open(b, a, message), 'hello');
});

t.test('ATK-B02 a peer that drops SPQR is refused on new and on known sessions', async (t) => {
  const [a, b] = pair();
  const withoutSpqr = (from: Party, to: Party): Promise<void> =>
    rewriteRecord(from, to, (record) => {
      const { current } = record;
      if (current === undefined) throw new Error('no session');
      return { ...record, current: { ...current, spqr: StoredSpqr.fromState(EMPTY_SPQR_STATE) } };
    });
  await send(a, b, 'never delivered', {});
  await withoutSpqr(a, b);
  const message = await send(a, b, 'no SPQR');
  t.equal(decodePreKeySignalMessage(message.bytes).message.spqr.length, 0);
  await expectUnchanged(t, b, a, 'new session', async () => {
    t.equal(await outcome(b, a, message), 'VERIFY_DECRYPTION');
  });
  const [c, d] = pair();
  await introduce(c, d);
  await withoutSpqr(c, d);
  const later = await send(c, d, 'dropped it');
  await expectUnchanged(t, d, c, 'known session', async () => {
    t.equal(await outcome(d, c, later), 'VERIFY_DECRYPTION');
  });
  t.equal(await c.operations.hasUsableSession(d.address, NOW_MS), false, 'we do not go on either');
});

t.test('ATK-B04 a KEM ciphertext for one key, delivered with the id of another', async (t) => {
  const [a, b] = pair();
  const message = await send(a, b, 'hello', {});
  await b.bundle();
  const moved = altered(message, ({ kem }) => ({ kem: kem && { ...kem, preKeyId: 2 } }));
  await expectUnchanged(t, b, a, 'other key', async () => {
    t.equal(await outcome(b, a, moved), 'VERIFY_DECRYPTION');
  });
  for (const type of [0x07, 0x0a]) {
    const odd = altered(message, ({ kem }) => {
      const ciphertext = copyBytes(kem?.ciphertext ?? new Uint8Array(1));
      ciphertext[0] = type;
      return { kem: kem && { ...kem, ciphertext } };
    });
    await expectUnchanged(t, b, a, `KEM type ${type}`, async () => {
      t.equal(await outcome(b, a, odd), 'DECODE_KEY_TYPE');
    });
  }
  t.ok(await b.store.loadKemPreKey(1), 'both KEM prekeys are still there');
  t.ok(await b.store.loadKemPreKey(2));
  t.equal(await open(b, a, message), 'hello');
});

t.test(
  'ATK-B06 a replayed handshake on a last-resort prekey makes no second session',
  async (t) => {
    const [a, b] = pair();
    const message = await send(a, b, 'hello', { preKey: false, kind: 'last-resort' });
    t.equal(await open(b, a, message), 'hello');
    t.equal(await outcome(b, a, message), 'STATE_DUPLICATE_MESSAGE', 'twice');
    await b.operations.archiveSession(a.address);
    t.equal(await outcome(b, a, message), 'STATE_DUPLICATE_MESSAGE', 'after archiving');
    await b.operations.deleteSession(a.address);
    await expectUnchanged(t, b, a, 'replay', async () => {
      t.equal(
        await outcome(b, a, message),
        'STATE_PREKEY_REPLAYED',
        'after the session was forgotten',
      );
    });
    const other = makeParty(crypto);
    t.equal(await outcome(b, other, message), 'VERIFY_DECRYPTION', 'under another name');
  },
);

t.test('ATK-B06 two handshakes on one one-time prekey: the second finds it gone', async (t) => {
  const [a, b] = pair();
  const c = makeParty(crypto);
  const bundle = await b.bundle();
  const from = async (party: Party): Promise<EncryptedMessage> => {
    const target = { remote: b.address, plaintext: utf8('hello'), bundle };
    const [message] = await party.operations.encrypt([target], NOW_MS);
    return message!;
  };
  const [first, second] = [await from(a), await from(c)];
  const results = await Promise.all([outcome(b, a, first), outcome(b, c, second)]);
  t.strictSame([...results].sort(), ['STATE_NO_PREKEY', 'hello'], 'side by side');
});

t.test('ATK-B07 a corrupted first message costs no prekey; the real one opens', async (t) => {
  const [a, b] = pair();
  const message = await send(a, b, 'hello', {});
  const { length } = message.bytes;
  for (const at of [length - 1, length - 60, 60, 120]) {
    const corrupted = { ...message, bytes: flipped(message.bytes, at) };
    await expectUnchanged(t, b, a, `byte ${at}`, async () => {
      t.match(await outcome(b, a, corrupted), /^(VERIFY|DECODE|STATE)_/);
    });
  }
  t.ok(await b.store.loadPreKey(1));
  t.ok(await b.store.loadKemPreKey(1));
  t.equal(await open(b, a, message), 'hello');
  t.equal(await b.store.loadPreKey(1), undefined, 'gone with the message that used it');
});

t.test('ATK-B09 a message opens only between the addresses it was made for', async (t) => {
  const [a, b] = pair();
  const elsewhere = { name: serviceId(), deviceId: 1 };
  const cases: Readonly<Record<string, readonly [Address, Address]>> = {
    swapped: [b.address, a.address],
    'another sender': [elsewhere, b.address],
    'another recipient': [a.address, elsewhere],
    'another device of the sender': [{ ...a.address, deviceId: 2 }, b.address],
    'another device of the recipient': [a.address, { ...b.address, deviceId: 2 }],
  };
  for (const [name, [local, remote]] of Object.entries(cases)) {
    const message = await boundTo(a, b, local, remote);
    await expectUnchanged(t, b, a, name, async () => {
      t.equal(await outcome(b, a, message), 'VERIFY_DECRYPTION', name);
    });
  }
  const right = await boundTo(a, b, a.address, b.address);
  const impostor = makeParty(crypto);
  await expectUnchanged(t, b, impostor, 'delivered as from someone else', async () => {
    t.equal(await outcome(b, impostor, right), 'VERIFY_DECRYPTION');
  });
  const carol = makeParty(crypto, { identity: b.identity });
  await carol.store.commit(await keysOf(b, right));
  await expectUnchanged(t, carol, a, 'same keys under another address', async () => {
    t.equal(await outcome(carol, a, right), 'VERIFY_DECRYPTION');
  });
  t.equal(await open(b, a, right), 'bound', 'and the right one opens');
  const absent = await boundTo(a, b, { name: 'not a service id', deviceId: 1 }, b.address);
  t.equal(await open(b, a, absent), 'bound', 'parity: an absent field is accepted');
});

/** The prekeys of `party` that `message` names, for a second store. */
async function keysOf(party: Party, message: EncryptedMessage) {
  const { preKeyId, signedPreKeyId, kem } = decodePreKeySignalMessage(message.bytes);
  const kemRecord = await party.store.loadKemPreKey(kem?.preKeyId ?? 0);
  return {
    preKeys: [{ id: preKeyId ?? 0, record: (await party.store.loadPreKey(preKeyId ?? 0))! }],
    signedPreKeys: [
      { id: signedPreKeyId, record: (await party.store.loadSignedPreKey(signedPreKeyId))! },
    ],
    kemPreKeys: [{ id: kem?.preKeyId ?? 0, record: kemRecord!.record, kind: kemRecord!.kind }],
  };
}

t.test('ATK-B12 a message that does not authenticate pins no identity', async (t) => {
  const [a, b] = pair();
  const mallory = makeParty(crypto);
  const message = await send(a, b, 'hello', {});
  const poisoned = altered(message, () => ({ identityKey: mallory.identity.public }));
  t.equal(await outcome(b, a, poisoned), 'VERIFY_DECRYPTION', 'fresh identity, foreign message');
  t.equal(await b.store.loadIdentity(a.address.name), undefined, 'nothing pinned');
  t.equal(await open(b, a, message), 'hello');
  t.strictSame(await b.store.loadIdentity(a.address.name), a.identity.public);
});

t.test('ATK-B12 a late prekey message cannot bring another identity', async (t) => {
  const [a, b] = pair();
  const mallory = makeParty(crypto);
  await open(b, a, await send(a, b, 'one', {}));
  const late = altered(await send(a, b, 'two'), () => ({ identityKey: mallory.identity.public }));
  t.equal(await outcome(b, a, late), 'TRUST_IDENTITY_CHANGED', 'the pinned key is asked first');
  // A person trusts the new key: the session still belongs to the old one.
  await b.operations.trustIdentity(a.address.name, mallory.identity.public);
  await expectUnchanged(t, b, a, 'known session', async () => {
    t.equal(await outcome(b, a, late), 'VERIFY_IDENTITY_MISMATCH');
  });
  await b.operations.archiveSession(a.address);
  await expectUnchanged(t, b, a, 'archived session', async () => {
    t.equal(await outcome(b, a, late), 'VERIFY_IDENTITY_MISMATCH');
  });
});

t.test(
  'ATK-B13 a bundle mixed from two accounts is refused, from two devices opens nowhere',
  async (t) => {
    const a = makeParty(crypto);
    const identity = crypto.x25519KeyPair();
    const name = serviceId();
    const one = makeParty(crypto, { name, identity, deviceId: 1 });
    const two = makeParty(crypto, { name, identity, deviceId: 2 });
    const other = makeParty(crypto);
    // Ids that differ, as those of honest devices do.
    await two.bundle();
    const [mine, theirs, foreign] = [await one.bundle(), await two.bundle(), await other.bundle()];
    const parts = ['identityKey', 'signedPreKey', 'kemPreKey'] as const;
    for (const part of parts) {
      const bundle = { ...mine, [part]: foreign[part] };
      await t.rejects(
        a.operations.encrypt([{ remote: one.address, plaintext: utf8('x'), bundle }], NOW_MS),
        { code: 'VERIFY_SIGNATURE' },
        `${part} of another account`,
      );
    }
    await t.rejects(
      a.operations.encrypt([{ remote: two.address, plaintext: utf8('x'), bundle: mine }], NOW_MS),
      { code: 'USAGE_ARGUMENT' },
      'bundle of one device for the address of another',
    );
    for (const part of ['signedPreKey', 'kemPreKey', 'preKey'] as const) {
      const bundle = { ...mine, [part]: theirs[part] };
      const target = { remote: one.address, plaintext: utf8('x'), bundle };
      const [message] = await a.operations.encrypt([target], NOW_MS);
      for (const device of [one, two]) {
        await expectUnchanged(t, device, a, `${part} of the other device`, async () => {
          t.match(await outcome(device, a, message!), /^(STATE_NO_PREKEY|VERIFY_DECRYPTION)$/);
        });
      }
    }
  },
);

t.test('keys of low order start nothing', async (t) => {
  const [a, b] = pair();
  const low = toPublicKey(concatBytes(new Uint8Array([5]), new Uint8Array(32)));
  const bundle = await b.bundle();
  const target = (changed: PreKeyBundle) => [
    { remote: b.address, plaintext: utf8('x'), bundle: changed },
  ];
  const lowOneTime = { ...bundle, preKey: { id: 1, public: low } };
  await t.rejects(a.operations.encrypt(target(lowOneTime), NOW_MS), {
    code: 'VERIFY_KEY_AGREEMENT',
  });
  t.equal(await storedHex(a, b), '');
  const message = await send(a, b, 'hello', {});
  const lowIdentity = altered(message, () => ({ identityKey: low }));
  t.equal(await outcome(b, a, lowIdentity), 'VERIFY_KEY_AGREEMENT');
  for (const at of [31, 0]) {
    const base = altered(message, ({ baseKey }) => {
      const changed = copyBytes(baseKey);
      if (at === 31) changed[32] = (changed[32] ?? 0) | 0x80;
      else changed.fill(0, 1);
      return { baseKey: toPublicKey(changed) };
    });
    t.equal(await outcome(b, a, base), 'VERIFY_BASE_KEY', 'ATK-A02 a second encoding, or zero');
  }
  t.equal(await storedHex(b, a), '');
});

t.test('prekeys with id 0 and ids of 2^31 and more work', async (t) => {
  const [a, b] = pair();
  const base = await b.bundle();
  const id = 0xffff_fff0;
  const signed = generateSignedPreKey(crypto, b.identity, id, NOW_MS);
  const kem = generateKemPreKey(crypto, b.identity, 0, NOW_MS);
  await b.store.commit({
    signedPreKeys: [{ id, record: encodeSignedPreKeyRecord(signed) }],
    kemPreKeys: [{ id: 0, record: encodeKemPreKeyRecord(kem), kind: 'one-time' }],
  });
  const bundle = {
    ...base,
    signedPreKey: { id, public: signed.keyPair.public, signature: signed.signature },
    kemPreKey: { id: 0, public: kem.keyPair.public, signature: kem.signature },
  };
  const target = { remote: b.address, plaintext: utf8('odd ids'), bundle };
  const [message] = await a.operations.encrypt([target], NOW_MS);
  t.equal((await storedRecord(a, b)).current?.pendingPreKey?.signedPreKeyId, id);
  const fields = decodePreKeySignalMessage(message!.bytes);
  t.strictSame([fields.signedPreKeyId, fields.kem?.preKeyId], [id, 0]);
  t.equal(await open(b, a, message!), 'odd ids');
  t.equal(await b.store.loadKemPreKey(0), undefined);
});

t.test('ATK-C16 a message of one type is never taken as another', async (t) => {
  const [a, b] = pair();
  const first = await send(a, b, 'hello', {});
  const inner = encodeSignalMessage(decodePreKeySignalMessage(first.bytes).message);
  const as = (type: number, bytes: Uint8Array): EncryptedMessage => ({
    ...first,
    type: type as 2,
    bytes: copyBytes(bytes),
  });
  const refused = async (name: string, message: EncryptedMessage): Promise<void> => {
    await expectUnchanged(t, b, a, name, async () => {
      t.match(await outcome(b, a, message), /^(DECODE|VERIFY|STATE)_/, name);
    });
  };
  await refused('prekey message as plain', as(2, first.bytes));
  await refused('inner message without its handshake', as(2, inner));
  await refused('inner message as prekey message', as(3, inner));
  await open(b, a, first);
  const plain = await send(b, a, 'answer');
  await open(a, b, plain);
  const later = await send(a, b, 'later');
  t.equal(later.type, 2);
  await refused('plain as prekey message', as(3, later.bytes));
  for (const type of [0, 1, 4, 7, 8, 0x44]) {
    await refused(`type ${type}, plain bytes`, as(type, later.bytes));
    await refused(`type ${type}, prekey bytes`, as(type, first.bytes));
    await refused(`type ${type}, unencrypted`, as(type, utf8('show me')));
  }
  for (const type of [2, 3])
    await refused(
      `unencrypted as ${type}`,
      as(type, concatBytes(new Uint8Array([0xc0]), utf8('show me'))),
    );
  t.equal(await open(b, a, later), 'later');
});
