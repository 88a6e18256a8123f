// Upkeep of prekeys: what is published is stored first, never twice, and deleted when nobody can need it.
import { defaultCrypto, type PreKeyBundle, verifyBundle } from '@qasid/protocol';
import {
  parseAccountText,
  type PrekeyUpload,
  type RequestOp,
  type ResponseItem,
} from '@qasid/protocol/envelope';
import { MemoryStore } from '@qasid/client-sdk';
import { nodeDial } from '@qasid/client-sdk/node';
import t from 'tap';

import { authRequest, createAccount, storedPrekeys } from '../../dist/account.js';
import { systemClock } from '../../dist/clock.js';
import { RelayLink } from '../../dist/link.js';
import { expiredPrekeys, tendPrekeys } from '../../dist/prekey-upkeep.js';
import { bytes } from '../support/rows.js';
import { person, testRelay, until } from '../support/world.js';

const DAY = 86_400_000;
const START = 1_700_000_000_000;

/** A relay that only counts prekeys, and loses answers on demand. */
class Shelf {
  oneTime: number[] = [];
  kem: number[] = [];
  everPublished: string[] = [];
  signedId = 0;
  lastResortKemId = 0;
  loseNextAnswer = false;

  take(upload: PrekeyUpload): void {
    for (const { id } of upload.oneTime) this.everPublished.push(`curve ${id}`);
    for (const { id } of upload.kem) this.everPublished.push(`kem ${id}`);
    this.oneTime.push(...upload.oneTime.map(({ id }) => id));
    this.kem.push(...upload.kem.map(({ id }) => id));
    this.signedId = upload.signed?.id ?? this.signedId;
    this.lastResortKemId = upload.lastResortKem?.id ?? this.lastResortKemId;
  }

  async ask(op: RequestOp): Promise<ResponseItem> {
    const answer = { kind: 'response', id: 1, code: 'CONFIRMED', retryAfterMs: 0 } as const;
    if (op.kind === 'prekeyCount') {
      const { signedId, lastResortKemId } = this;
      return {
        ...answer,
        body: {
          kind: 'prekeyCounts',
          oneTime: this.oneTime.length,
          kem: this.kem.length,
          signedId,
          lastResortKemId,
        },
      };
    }
    if (op.kind === 'putPrekeys') {
      this.take(op.prekeys);
      if (this.loseNextAnswer) {
        this.loseNextAnswer = false;
        throw new Error('the answer got lost');
      }
    }
    return { ...answer, body: { kind: 'none' } };
  }
}

async function workshop() {
  const store = new MemoryStore();
  const profile = await createAccount(defaultCrypto, store, START);
  const shelf = new Shelf();
  shelf.take(await storedPrekeys(store, profile));
  const clock = { now: START };
  const relay = { epoch: 0 };
  const tend = (): Promise<void> =>
    tendPrekeys({
      crypto: defaultCrypto,
      store,
      epoch: relay.epoch,
      now: () => clock.now,
      ask: (op) => shelf.ask(op),
    });
  return { store, shelf, clock, relay, tend };
}

t.test('a new account publishes 100 curve and 20 KEM keys that verify', async (t) => {
  const store = new MemoryStore();
  const profile = await createAccount(defaultCrypto, store, START);
  const upload = await storedPrekeys(store, profile);
  t.equal(upload.oneTime.length, 100);
  t.equal(upload.kem.length, 20);
  t.notOk(upload.kem.some(({ id }) => id === upload.lastResortKem?.id));
  for (const kem of [...upload.kem, upload.lastResortKem!]) {
    verifyBundle(defaultCrypto, {
      registrationId: 1,
      deviceId: 1,
      identityKey: profile.identity.public,
      signedPreKey: upload.signed!,
      kemPreKey: kem,
    } as unknown as PreKeyBundle);
  }
  t.ok((await store.loadKemPreKey(upload.lastResortKem!.id))?.kind === 'last-resort');
});

t.test('nothing to do is nothing done', async (t) => {
  const { shelf, tend } = await workshop();
  const before = shelf.everPublished.length;
  await tend();
  t.equal(shelf.everPublished.length, before);
});

t.test(
  'refilled when half is gone; every id is published once, also after a lost answer',
  async (t) => {
    const { store, shelf, tend } = await workshop();
    shelf.oneTime.splice(0, 51);
    shelf.kem.splice(0, 11);
    shelf.loseNextAnswer = true;
    await t.rejects(tend(), { message: 'the answer got lost' });
    await tend();
    t.equal(shelf.oneTime.length, 100);
    t.equal(shelf.kem.length, 20);
    t.equal(new Set(shelf.everPublished).size, shelf.everPublished.length);
    for (const id of shelf.oneTime) t.ok(await store.loadPreKey(id), `key ${id} can be used`);
    for (const id of shelf.kem) t.equal((await store.loadKemPreKey(id))?.kind, 'one-time');
  },
);

t.test('signed keys rotate every two days and are kept for 46', async (t) => {
  const { store, shelf, clock, tend } = await workshop();
  const first = { signed: shelf.signedId, kem: shelf.lastResortKemId };
  clock.now = START + 2 * DAY - 1;
  await tend();
  t.equal(shelf.signedId, first.signed);
  clock.now = START + 2 * DAY + 1;
  await tend();
  t.not(shelf.signedId, first.signed);
  t.not(shelf.lastResortKemId, first.kem);
  t.ok(await store.loadSignedPreKey(first.signed), 'messages under way can still be opened');
  const replacedAt = clock.now;
  clock.now = replacedAt + 46 * DAY;
  await tend();
  t.ok(await store.loadSignedPreKey(first.signed));
  t.ok(await store.loadKemPreKey(first.kem));
  clock.now = replacedAt + 46 * DAY + 1;
  await tend();
  t.equal(await store.loadSignedPreKey(first.signed), undefined);
  t.equal(await store.loadKemPreKey(first.kem), undefined);
  t.ok(await store.loadSignedPreKey(shelf.signedId), 'the newest always stays');
});

t.test('a clock set back or years ahead deletes nothing that is in use', async (t) => {
  const { store, shelf, clock, tend } = await workshop();
  clock.now = START - 400 * DAY;
  await tend();
  t.ok(await store.loadSignedPreKey(shelf.signedId));
  clock.now = START + 4_000 * DAY;
  await tend();
  t.ok(await store.loadSignedPreKey(shelf.signedId));
  t.equal((await store.loadProfile())?.prekeys.signed.at(-1)?.id, shelf.signedId);
  const { ledger, signed } = expiredPrekeys(
    {
      nextPreKeyId: 1,
      nextSignedPreKeyId: 2,
      nextKemPreKeyId: 1,
      signed: [{ id: 1, createdAtMs: 0 }],
      lastResort: [],
    },
    10 ** 15,
  );
  t.strictSame([ledger.signed.length, signed], [1, []]);
});

t.test(
  'a key that was made while the clock was years ahead is replaced like every other',
  async (t) => {
    const { shelf, store, clock, tend } = await workshop();
    clock.now = START + 4_000 * DAY;
    await tend();
    const ahead = { signed: shelf.signedId, kem: shelf.lastResortKemId };
    clock.now = START + 3 * DAY;
    await tend();
    t.not(shelf.signedId, ahead.signed);
    t.not(shelf.lastResortKemId, ahead.kem);
    t.ok(await store.loadSignedPreKey(ahead.signed), 'messages under way can still be opened');
    const { signedId } = shelf;
    clock.now = START + 4 * DAY;
    await tend();
    t.equal(shelf.signedId, signedId, 'once');
  },
);

t.test('client ids are forgotten after 46 days, not before', async (t) => {
  const { store, clock, tend } = await workshop();
  const day = Math.floor(START / DAY);
  await store.commit({ extra: { seen: [{ clientId: bytes(16, 1), day }] } });
  clock.now = START + 45 * DAY;
  await tend();
  t.ok(await store.hasSeen(bytes(16, 1)));
  clock.now = START + 47 * DAY;
  await tend();
  t.notOk(await store.hasSeen(bytes(16, 1)));
});

t.test('a relay that runs low says so, and gets more', async (t) => {
  const relay = await testRelay(t);
  const bob = await person(t, relay, 'bob');
  const store = new MemoryStore();
  const alice = await person(t, relay, 'alice', { store });
  await alice.close();
  const profile = (await store.loadProfile())!;
  const link = new RelayLink({
    url: relay.url,
    dial: nodeDial,
    clock: systemClock,
    dice: () => 0,
    prove: async (challenge) => authRequest(defaultCrypto, profile, challenge),
    proved: async () => 'ready',
    onEvent: () => undefined,
    onStatus: () => undefined,
  });
  t.teardown(() => link.close());
  link.connect();
  await link.whenOpen(5_000);
  const account = parseAccountText(bob.me.account!);
  let withoutOneTime = 0;
  let sawLow = false;
  for (let taken = 0; taken < 130; taken++) {
    const answer = await link.request({ kind: 'takePrekeys', account, devices: [] });
    if (answer.body.kind !== 'bundles') throw new Error(answer.code);
    const [bundle] = answer.body.bundles;
    if (bundle?.oneTime === undefined) withoutOneTime++;
    if (bundle?.kemLastResort === true) sawLow = true;
    // Gives bob time to hear of it.
    if (taken % 8 === 7) await new Promise((resolve) => setTimeout(resolve, 120));
  }
  t.equal(withoutOneTime, 0, '130 handshakes, each with a key of its own');
  t.comment(`the last-resort KEM key was ${sawLow ? '' : 'not '}needed`);
  await until(() => bob.status === 'open');
});

t.test('a relay of another epoch gets everything anew, once', async (t) => {
  const { store, shelf, relay, tend } = await workshop();
  await tend();
  const before = await store.loadProfile();
  const published = shelf.everPublished.length;
  relay.epoch = 1_800_000_000;
  shelf.oneTime = [];
  shelf.kem = [];
  await tend();
  const after = await store.loadProfile();
  t.equal(after?.relayEpoch, 1_800_000_000);
  t.not(after?.prekeys.signed.at(-1)?.id, before?.prekeys.signed.at(-1)?.id, 'rotated');
  t.not(after?.prekeys.lastResort.at(-1)?.id, before?.prekeys.lastResort.at(-1)?.id);
  const grown = shelf.everPublished.length;
  t.ok(grown > published);
  t.equal(new Set(shelf.everPublished).size, grown, 'no id twice');
  await tend();
  t.equal(shelf.everPublished.length, grown, 'and then there is nothing to do');
});
