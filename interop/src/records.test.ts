/**
 * Everything two implementations exchange besides messages: identity pairs, prekey records, bundles,
 * signatures, agreements, KEM secrets through sessions, safety numbers, usability of stored sessions.
 */
import * as lib from '@signalapp/libsignal-client';
import {
  compareScannable,
  copyBytes,
  createFingerprint,
  decodeIdentityKeyPair,
  signAlternateIdentity,
  toPublicKey,
  utf8,
  verifyAlternateIdentity,
} from '@qasid/protocol';
import { nobleProvider } from '@qasid/protocol/crypto/noble';
import { nodeProvider } from '@qasid/protocol/crypto/node';
import t from 'tap';
import { checkRecords } from './conversation.js';
import { libsignalEngine, own } from './libsignal-engine.js';
import { qasidNoble, qasidNode } from './qasid-engine.js';
import { Random } from './random.js';
import { type Address, hex, type Vault } from './vault.js';

const NOW_MS = 1_700_000_000_000;
const DAY_MS = 86_400_000;
const ALICE: Address = { name: '9d0652a3-dcc3-4d11-975f-74d61598733f', deviceId: 1 };
const BOB: Address = { name: '796abedb-ca4e-4f18-8803-1fde5b921f9f', deviceId: 2 };
const engines = [qasidNode, qasidNoble, libsignalEngine] as const;

t.test('records of each are re-encoded byte for byte by the others', async (t) => {
  for (const maker of engines) {
    const vault = maker.createVault(ALICE, 7);
    for (const id of [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
      maker.publish(vault, id, { oneTime: true, lastResort: id === 1 }, id === 0 ? 0 : NOW_MS);
    }
    for (const reader of engines) {
      t.equal(checkRecords(reader, vault), 16, `${maker.kind} to ${reader.kind}`);
    }
  }
});

t.test('a bundle of one device is the same whoever reads its records', async (t) => {
  for (const maker of engines) {
    const vault = maker.createVault(BOB, 7);
    const bundle = maker.publish(vault, 5, { oneTime: true, lastResort: false }, NOW_MS);
    for (const reader of engines) {
      const again = reader.bundleOf(vault, 5, true);
      const text = (value: unknown): string =>
        JSON.stringify(value, (_, v: unknown) => (v instanceof Uint8Array ? hex(v) : v));
      t.equal(text(again), text(bundle), `${maker.kind} to ${reader.kind}`);
    }
  }
});

t.test('XEdDSA signatures verify on both sides, and forged ones on neither', async (t) => {
  const random = new Random(5);
  for (let i = 0; i < 60; i++) {
    const theirs = lib.PrivateKey.generate();
    const secret = theirs.serialize();
    const key = theirs.getPublicKey();
    const message = own(random.bytes(random.below(300)));
    for (const provider of [nodeProvider, nobleProvider]) {
      const ourKey = toPublicKey(copyBytes(key.serialize()));
      const ourSecret = decodeIdentityKeyPair(
        new lib.IdentityKeyPair(key, theirs).serialize(),
      ).secret;
      t.equal(hex(provider.x25519PublicKey(ourSecret)), hex(key.serialize()));
      t.equal(hex(ourSecret), hex(secret));
      const ours = provider.xeddsaSign(ourSecret, provider.randomBytes(64), message);
      t.ok(key.verify(message, own(ours)));
      const signature = theirs.sign(message);
      t.ok(provider.xeddsaVerify(ourKey, signature, message));
      const at = random.below(64);
      signature[at] = (signature[at] ?? 0) ^ (1 << random.below(8));
      t.equal(provider.xeddsaVerify(ourKey, signature, message), key.verify(message, signature));
    }
  }
});

t.test('X25519 agrees, also on keys that are not canonical', async (t) => {
  const random = new Random(6);
  for (let i = 0; i < 60; i++) {
    const pair = nodeProvider.x25519KeyPair();
    const key = random.bytes(33);
    key[0] = 5;
    // Every second key is a small u written as p + u: 0xed is p itself.
    if (i % 2 === 0) key.fill(0xff, 2).fill(0xed + ((i / 2) % 19), 1, 2);
    const theirs = lib.PrivateKey.deserialize(own(pair.secret));
    const agreed = (run: () => Uint8Array): string => {
      try {
        return hex(run());
      } catch {
        return 'refused'; // u = p and u = p + 1 are of low order
      }
    };
    const expected = agreed(() => theirs.agree(lib.PublicKey.deserialize(own(key))));
    for (const provider of [nodeProvider, nobleProvider]) {
      const ours = agreed(() => provider.x25519(pair.secret, toPublicKey(copyBytes(key))));
      t.equal(ours, expected);
    }
  }
});

t.test('alternate identity signatures', async (t) => {
  const one = lib.IdentityKeyPair.generate();
  const other = lib.IdentityKeyPair.generate();
  const ours = decodeIdentityKeyPair(one.serialize());
  const otherKey = toPublicKey(copyBytes(other.publicKey.serialize()));
  const signature = signAlternateIdentity(nodeProvider, ours, otherKey);
  t.ok(one.publicKey.verifyAlternateIdentity(other.publicKey, own(signature)));
  const theirs = one.signAlternateIdentity(other.publicKey);
  t.ok(verifyAlternateIdentity(nodeProvider, ours.public, otherKey, theirs));
  t.notOk(verifyAlternateIdentity(nodeProvider, otherKey, ours.public, theirs));
});

t.test('safety numbers', async (t) => {
  const make = (iterations: number, version: number, ids: readonly [string, string]) => {
    const keys = [lib.IdentityKeyPair.generate(), lib.IdentityKeyPair.generate()] as const;
    const [a, b] = ids.map(utf8) as [Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>];
    const theirs = lib.Fingerprint.new(
      iterations,
      version,
      a,
      keys[0].publicKey,
      b,
      keys[1].publicKey,
    );
    const party = (identifier: Uint8Array, i: 0 | 1) => ({
      identifier,
      identityKey: toPublicKey(copyBytes(keys[i].publicKey.serialize())),
    });
    const local = createFingerprint(nodeProvider, party(a, 0), party(b, 1), version, iterations);
    const remote = createFingerprint(nodeProvider, party(b, 1), party(a, 0), version, iterations);
    const scanned = theirs.scannableFingerprint();
    t.equal(local.digits, theirs.displayableFingerprint().toString());
    t.equal(remote.digits, local.digits);
    t.equal(hex(local.scannable), hex(scanned.toBuffer()));
    t.ok(compareScannable(remote.scannable, own(scanned.toBuffer())));
    t.ok(scanned.compare(lib.ScannableFingerprint._fromBuffer(own(remote.scannable))));
    t.notOk(compareScannable(local.scannable, own(scanned.toBuffer())));
  };
  make(5200, 2, [ALICE.name, BOB.name]);
  make(2, 1, ['+14155550101', '+14155550102']);
  make(1024, 0, ['', 'x'.repeat(200)]);
});

t.test(
  '30 days without an answer: both call a session usable until the same millisecond',
  async (t) => {
    for (const maker of [qasidNode, libsignalEngine]) {
      const bob = maker.createVault(BOB, 2);
      const bundle = maker.publish(bob, 1, { oneTime: true, lastResort: false }, NOW_MS);
      const alice: Vault = maker.createVault(ALICE, 1);
      await maker.encrypt(alice, BOB, new Uint8Array(1), NOW_MS + 999, bundle);
      for (const later of [0, 1, 30 * DAY_MS, 30 * DAY_MS + 1, 31 * DAY_MS, -DAY_MS]) {
        const at = NOW_MS + later;
        const theirs = await libsignalEngine.hasUsableSession(alice, BOB, at);
        t.equal(await qasidNode.hasUsableSession(alice, BOB, at), theirs, `${later} ms: ${theirs}`);
        t.equal(theirs, later <= 30 * DAY_MS);
      }
    }
  },
);

t.test('archiving gives the same record', async (t) => {
  const bob = libsignalEngine.createVault(BOB, 2);
  const bundle = libsignalEngine.publish(bob, 1, { oneTime: true, lastResort: false }, NOW_MS);
  const alice = libsignalEngine.createVault(ALICE, 1);
  await libsignalEngine.encrypt(alice, BOB, new Uint8Array(1), NOW_MS, bundle);
  const copy = alice.clone();
  await libsignalEngine.archive(alice, BOB);
  await qasidNode.archive(copy, BOB);
  const [theirs] = alice.sessionRecords();
  const [ours] = copy.sessionRecords();
  t.equal(hex(ours ?? new Uint8Array()), hex(theirs ?? new Uint8Array()));
  t.notOk(await libsignalEngine.hasUsableSession(copy, BOB, NOW_MS));
});

t.test('41 sessions: the oldest archive falls out on both sides alike', async (t) => {
  const publisher = libsignalEngine.createVault(BOB, 2);
  const alice = qasidNode.createVault(ALICE, 1);
  for (let id = 1; id <= 45; id++) {
    const plan = { oneTime: false, lastResort: true };
    const engine = id % 2 === 0 ? qasidNode : libsignalEngine;
    const bundle = libsignalEngine.publish(publisher, id, plan, NOW_MS);
    await engine.encrypt(alice, BOB, new Uint8Array(1), NOW_MS, bundle);
    if (id % 9 === 0) {
      for (const reader of [qasidNode, libsignalEngine]) checkRecords(reader, alice);
    }
  }
  const [record] = alice.sessionRecords();
  t.ok((record?.length ?? 0) > 0);
  t.equal(hex(qasidNode.reencodeSession(record as Uint8Array)), hex(record as Uint8Array));
});
