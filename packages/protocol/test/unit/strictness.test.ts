/** The two profiles: what parity accepts and counts, strict refuses; nothing else differs. */
import t from 'tap';
import { concatBytes, type Bytes, utf8 } from '#src/bytes.js';
import { nodeProvider as crypto } from '#src/crypto/node.js';
import { stepChain } from '#src/double-ratchet.js';
import { generateIdentityKeyPair } from '#src/identity.js';
import { MemoryStore } from '#src/memory-store.js';
import { Operations } from '#src/operations.js';
import {
  encodeKemPreKeyRecord,
  encodePreKeyRecord,
  encodeSignedPreKeyRecord,
  generateKemPreKey,
  generatePreKey,
  generateSignedPreKey,
  type PreKeyBundle,
} from '#src/prekeys.js';
import { decodeSessionRecord } from '#src/session-record.js';
import { spqrSend } from '#src/spqr/index.js';
import { messageLeniencies, type Leniency, type Profile } from '#src/strictness.js';
import { deriveMessageKeys, messageMac } from '#src/triple-ratchet.js';
import { toAddress, type Address, type KeyPair, type PublicKey } from '#src/types.js';
import { ProtoWriter } from '#src/wire/protobuf.js';
import { decodeSignalMessage, encodeSignalMessageBody } from '#src/wire/messages.js';
import { sound } from '#src/wire/records.js';

const ALICE = toAddress('9d0652a3-dcc3-4d11-975f-74d61598733f', 1);
const BOB = toAddress('796abedb-ca4e-4f18-8803-1fde5b921f9f', 1);
const NOW = 1_700_000_000_000;

interface Device {
  readonly identity: KeyPair;
  readonly store: MemoryStore;
  readonly operations: Operations;
  readonly tolerated: Leniency[];
}

function device(local: Address, profile: Profile): Device {
  const identity = generateIdentityKeyPair(crypto);
  const store = new MemoryStore({ identity, registrationId: 7 });
  const tolerated: Leniency[] = [];
  const operations = new Operations({
    crypto,
    store,
    local,
    profile,
    onTolerated: (leniency) => tolerated.push(leniency),
  });
  return { identity, store, operations, tolerated };
}

async function publish({ identity, store }: Device): Promise<PreKeyBundle> {
  const signed = generateSignedPreKey(crypto, identity, 1, NOW);
  const kem = generateKemPreKey(crypto, identity, 1, NOW);
  const once = generatePreKey(crypto, 1);
  await store.commit({
    signedPreKeys: [{ id: 1, record: encodeSignedPreKeyRecord(signed) }],
    kemPreKeys: [{ id: 1, record: encodeKemPreKeyRecord(kem), kind: 'one-time' }],
    preKeys: [{ id: 1, record: encodePreKeyRecord(once) }],
  });
  return {
    registrationId: 7,
    deviceId: 1,
    identityKey: identity.public,
    preKey: { id: 1, public: once.keyPair.public },
    signedPreKey: { id: 1, public: signed.keyPair.public, signature: signed.signature },
    kemPreKey: { id: 1, public: kem.keyPair.public, signature: kem.signature },
  };
}

/** A message of `from` with `change` made to what its MAC covers, and the right MAC over it. */
async function tampered(
  from: Device,
  remote: Address,
  change: (body: Bytes) => Bytes,
): Promise<Bytes> {
  const stored = await from.store.loadSession(remote);
  const session = decodeSessionRecord(stored!.record).current!;
  const sender = sound(session.sender!, 'sender chain');
  const spqr = spqrSend(crypto, session.spqr.state);
  const seed = stepChain(crypto, sender.chain).output;
  const keys = deriveMessageKeys(crypto, seed, spqr.output.key);
  const body = change(
    encodeSignalMessageBody({
      version: 4,
      ratchetKey: sender.ratchetKey.public,
      counter: sender.chain.index,
      previousCounter: session.previousCounter,
      ciphertext: crypto.aesCbcEncrypt(keys.cipherKey, keys.iv, utf8('odd')),
      spqr: spqr.output.message,
      addresses: undefined,
    }),
  );
  const { localIdentity, remoteIdentity } = session;
  const mac = messageMac(
    crypto,
    keys.macKey,
    sound(localIdentity, 'local'),
    sound(remoteIdentity, 'remote') as PublicKey,
    body,
  );
  return concatBytes(body, mac);
}

const ODD: Record<string, (body: Bytes) => Bytes> = {
  'an unknown field': (body) => concatBytes(body, new ProtoWriter().bytes(99, utf8('x')).finish()),
  'another low nibble': (body) => concatBytes(new Uint8Array([0x4f]), body.subarray(1)),
  'an over-long varint in a field of its own': (body) =>
    concatBytes(body, new Uint8Array([0x98, 0x06, 0x81, 0x00])),
};

for (const profile of ['parity', 'strict'] as const) {
  t.test(`${profile}: canonical messages pass and nothing is counted`, async (t) => {
    const alice = device(ALICE, profile);
    const bob = device(BOB, profile);
    const bundle = await publish(bob);
    const target = { remote: BOB, plaintext: utf8('hello'), bundle };
    const [first] = await alice.operations.encrypt([target], NOW);
    await bob.operations.decrypt(ALICE, first!.type, first!.bytes, NOW);
    for (let i = 0; i < 4; i++) {
      const [back] = await bob.operations.encrypt([{ remote: ALICE, plaintext: utf8('b') }], NOW);
      await alice.operations.decrypt(BOB, back!.type, back!.bytes, NOW);
      const [there] = await alice.operations.encrypt([{ remote: BOB, plaintext: utf8('a') }], NOW);
      await bob.operations.decrypt(ALICE, there!.type, there!.bytes, NOW);
    }
    t.same(alice.tolerated, []);
    t.same(bob.tolerated, []);
  });

  for (const [name, change] of Object.entries(ODD)) {
    t.test(`ATK-A13 ${profile}: a message with ${name}`, async (t) => {
      const alice = device(ALICE, profile);
      const bob = device(BOB, profile);
      const bundle = await publish(bob);
      const [first] = await alice.operations.encrypt(
        [{ remote: BOB, plaintext: utf8('hello'), bundle }],
        NOW,
      );
      await bob.operations.decrypt(ALICE, first!.type, first!.bytes, NOW);
      const odd = await tampered(bob, ALICE, change);
      const before = await alice.store.loadSession(BOB);
      if (profile === 'parity') {
        const opened = await alice.operations.decrypt(BOB, 2, odd, NOW);
        t.same(opened.plaintext, utf8('odd'));
        t.same(alice.tolerated, ['message-not-canonical']);
      } else {
        await t.rejects(alice.operations.decrypt(BOB, 2, odd, NOW), {
          code: 'DECODE_NOT_CANONICAL',
        });
        t.same(await alice.store.loadSession(BOB), before, 'nothing changed');
        t.same(alice.tolerated, []);
      }
    });
  }

  t.test(`ATK-A02 ${profile}: a bundle with a non-canonical identity key`, async (t) => {
    const alice = device(ALICE, profile);
    const bob = device(BOB, profile);
    const bundle = await publish(bob);
    // The same point with bit 255 set: another key to whoever compares bytes.
    const alias = bundle.identityKey.slice() as PublicKey;
    alias[32]! |= 0x80;
    const target = { remote: BOB, plaintext: utf8('x'), bundle: { ...bundle, identityKey: alias } };
    if (profile === 'parity') {
      await alice.operations.encrypt([target], NOW);
      t.same(alice.tolerated, ['identity-not-canonical']);
    } else {
      await t.rejects(alice.operations.encrypt([target], NOW), { code: 'DECODE_NOT_CANONICAL' });
      t.equal(await alice.store.loadIdentity(BOB.name), undefined, 'nothing is remembered');
    }
  });

  t.test(`ATK-A02 ${profile}: a prekey message with a non-canonical identity key`, async (t) => {
    // Alice's own record holds the alias: the same private key, and bit 255 set in the public half.
    const identity = generateIdentityKeyPair(crypto);
    const alias = identity.public.slice() as PublicKey;
    alias[32]! |= 0x80;
    const store = new MemoryStore({
      identity: { public: alias, secret: identity.secret },
      registrationId: 7,
    });
    const alice = new Operations({ crypto, store, local: ALICE });
    const bob = device(BOB, profile);
    const target = { remote: BOB, plaintext: utf8('alias'), bundle: await publish(bob) };
    const [first] = await alice.encrypt([target], NOW);
    const opened = bob.operations.decrypt(ALICE, first!.type, first!.bytes, NOW);
    if (profile === 'parity') {
      t.same((await opened).plaintext, utf8('alias'));
      t.same(bob.tolerated, ['identity-not-canonical']);
    } else {
      await t.rejects(opened, { code: 'DECODE_NOT_CANONICAL' });
      t.equal(await bob.store.loadIdentity(ALICE.name), undefined, 'nothing is remembered');
    }
  });

  t.test(`ATK-B09 ${profile}: a handshake that binds no addresses`, async (t) => {
    // Alice believes the other end has a plain name, so her message carries no addresses field.
    const alice = device(ALICE, 'parity');
    const bob = device(BOB, profile);
    const bundle = await publish(bob);
    const plain = toAddress('bob', 1);
    const [first] = await alice.operations.encrypt(
      [{ remote: plain, plaintext: utf8('unbound'), bundle }],
      NOW,
    );
    const opened = bob.operations.decrypt(ALICE, first!.type, first!.bytes, NOW);
    if (profile === 'parity') {
      t.same((await opened).plaintext, utf8('unbound'));
      t.same(bob.tolerated, ['addresses-missing']);
    } else {
      await t.rejects(opened, { code: 'DECODE_NOT_CANONICAL' });
      t.ok(await bob.store.loadPreKey(1), 'the one-time prekey is still there');
    }
  });
}

t.test('a forged message is refused, not counted', async (t) => {
  const alice = device(ALICE, 'parity');
  const bob = device(BOB, 'parity');
  const bundle = await publish(bob);
  const [first] = await alice.operations.encrypt(
    [{ remote: BOB, plaintext: utf8('hello'), bundle }],
    NOW,
  );
  await bob.operations.decrypt(ALICE, first!.type, first!.bytes, NOW);
  const odd = await tampered(bob, ALICE, ODD['an unknown field']!);
  odd[odd.length - 1]! ^= 1;
  await t.rejects(alice.operations.decrypt(BOB, 2, odd, NOW), { code: 'VERIFY_DECRYPTION' });
  t.same(alice.tolerated, []);
  t.same(messageLeniencies(decodeSignalMessage(odd)), ['message-not-canonical']);
});
