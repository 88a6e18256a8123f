/**
 * Testing kit. What every ClientStore does: one suite, for each adapter and any test runner. ATK-J07.
 */
import { toAddress } from '@qasid/protocol';

import { PLACE_STEP, type ClientStore } from '../../stores/port.js';
import { contractTest, must, type Check, type ContractTest, type Teardown } from './check.js';
import { historyContract } from './history.js';
import {
  ACCOUNT,
  bytes,
  CONTACT,
  messageRow,
  OTHER,
  outboxRow,
  PROFILE,
  publicKey,
  session,
} from './rows.js';

/** Makes stores of one kind. */
export interface StoreMaker {
  /** Of the kind; the names of the tests begin with it. */
  readonly name: string;
  /** An empty store; give `t.teardown` what ends it. */
  open(t: Teardown): Promise<ClientStore>;
  /** A second handle on what `store` holds, as another process or tab would have it. */
  reopen(store: ClientStore): Promise<ClientStore>;
}

function until(condition: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const started = Date.now();
    const look = (): void => {
      if (condition()) resolve();
      else if (Date.now() - started > 30_000) reject(new Error('waited 30 s'));
      else setTimeout(look, 5);
    };
    look();
  });
}

/** The tests of a kind of store: give each `name` and `run` to your test runner. */
export function storeContract(maker: StoreMaker): readonly ContractTest[] {
  const tests: ContractTest[] = [];
  const test = (name: string, body: (t: Check) => Promise<void>): void => {
    tests.push(contractTest(name, body));
  };
  test(`${maker.name}: an empty store`, async (t) => {
    const store = await maker.open(t);
    t.equal(await store.loadProfile(), undefined);
    t.equal(await store.loadSession(toAddress(OTHER, 1)), undefined);
    t.equal(await store.loadIdentity(OTHER), undefined);
    t.equal(await store.loadPreKey(1), undefined);
    t.equal(await store.loadSignedPreKey(1), undefined);
    t.equal(await store.loadKemPreKey(1), undefined);
    t.equal(await store.loadContact(OTHER), undefined);
    t.equal(await store.loadContactByUsername('bob'), undefined);
    t.strictSame(await store.loadOutbox({ limit: 10 }), []);
    t.equal(await store.outboxState(), 'empty');
    t.strictSame(await store.loadMessages({}), []);
    t.equal(await store.lastSeq(), 0);
    t.equal(await store.hasSeen(bytes(16, 1)), false);
    t.equal(await store.loadCursor('cli'), 0);
    await t.rejects(store.loadIdentityKeyPair(), { code: 'STORE_FAILED' });
    await store.commit({});
  });

  test(`${maker.name}: everything comes back, also through another handle`, async (t) => {
    const store = await maker.open(t);
    await store.commit({
      sessions: [session(0, 1)],
      identities: [{ name: OTHER, identityKey: publicKey(12) }],
      preKeys: [{ id: 1, record: bytes(70, 13) }],
      signedPreKeys: [{ id: 1, record: bytes(130, 14) }],
      kemPreKeys: [
        { id: 1, record: bytes(4_900, 15), kind: 'last-resort' },
        { id: 2, record: bytes(4_900, 16), kind: 'one-time' },
      ],
      extra: {
        profile: PROFILE,
        contacts: [CONTACT, { ...CONTACT, account: ACCOUNT, username: undefined }],
        outboxAdded: [outboxRow('aa'), { ...outboxRow('bb'), parts: undefined, held: true }],
        messagesAdded: [messageRow('aa', false), messageRow('cc', true)],
        seen: [{ clientId: bytes(16, 17), day: 20_000 }],
        heldAdded: [{ account: OTHER, clientId: bytes(16, 18), body: bytes(100, 19) }],
        cursors: [{ name: 'cli', seq: 1 }],
      },
    });
    for (const handle of [store, await maker.reopen(store)]) {
      t.strictSame(await handle.loadProfile(), PROFILE);
      t.strictSame(await handle.loadIdentityKeyPair(), PROFILE.identity);
      t.equal(await handle.loadLocalRegistrationId(), 4711);
      t.strictSame(await handle.loadSession(toAddress(OTHER, 1)), {
        record: bytes(64, 1),
        version: 1,
      });
      t.equal(await handle.loadSession(toAddress(OTHER, 2)), undefined);
      t.strictSame(await handle.loadIdentity(OTHER), publicKey(12));
      t.strictSame(await handle.loadPreKey(1), bytes(70, 13));
      t.strictSame(await handle.loadSignedPreKey(1), bytes(130, 14));
      t.strictSame(await handle.loadKemPreKey(1), {
        record: bytes(4_900, 15),
        kind: 'last-resort',
      });
      t.strictSame(await handle.loadKemPreKey(2), { record: bytes(4_900, 16), kind: 'one-time' });
      t.strictSame(await handle.loadContact(OTHER), CONTACT);
      t.strictSame(await handle.loadContactByUsername('bob'), CONTACT);
      t.equal((await handle.loadContact(ACCOUNT))?.username, undefined);
      const outbox = await handle.loadOutbox({ limit: 10 });
      t.strictSame(
        outbox.map((row) => [row.messageId, row.held, row.parts?.length]),
        [
          ['aa', false, 1],
          ['bb', true, undefined],
        ],
      );
      t.strictSame(outbox[0], { ...outboxRow('aa'), id: must(outbox[0]).id });
      t.strictSame(await handle.loadMessages({}), [
        { ...messageRow('aa', false), seq: 1, place: PLACE_STEP, revision: 1 },
        { ...messageRow('cc', true), seq: 2, place: 2 * PLACE_STEP, revision: 2 },
      ]);
      t.equal(await handle.lastSeq(), 2);
      t.equal(await handle.hasSeen(bytes(16, 17)), true);
      t.equal((await handle.loadHeld(OTHER))[0]?.body.length, 100);
      t.equal(await handle.loadCursor('cli'), 1);
    }
  });

  test(`${maker.name}: session versions (ATK-C09)`, async (t) => {
    const store = await maker.open(t);
    await store.commit({ sessions: [session(0, 1)] });
    await t.rejects(store.commit({ sessions: [session(0, 2)] }), { code: 'STORE_CONFLICT' });
    await store.commit({ sessions: [session(1, 2)] });
    await t.rejects(store.commit({ sessions: [session(1, 3)] }), { code: 'STORE_CONFLICT' });
    await t.rejects(store.commit({ sessions: [session(3, 3)] }), { code: 'STORE_CONFLICT' });
    t.strictSame(await store.loadSession(toAddress(OTHER, 1)), {
      record: bytes(64, 2),
      version: 2,
    });
    await store.commit({ sessions: [{ ...session(2, 0), record: undefined }] });
    t.equal(await store.loadSession(toAddress(OTHER, 1)), undefined);
    await store.commit({ sessions: [session(0, 4)] });
    t.ok(
      must(await store.loadSession(toAddress(OTHER, 1))).version > 2,
      'versions never fall back',
    );
  });

  test(`${maker.name}: ATK-B12 two first uses at once: the first key stays`, async (t) => {
    const store = await maker.open(t);
    const first = { name: OTHER, identityKey: publicKey(12), firstUse: true };
    await store.commit({ identities: [first] });
    await store.commit({ identities: [first] });
    await t.rejects(store.commit({ identities: [{ ...first, identityKey: publicKey(13) }] }), {
      code: 'STORE_CONFLICT',
    });
    t.strictSame(await store.loadIdentity(OTHER), publicKey(12));
    await store.commit({ identities: [{ name: OTHER, identityKey: publicKey(13) }] });
    t.strictSame(await store.loadIdentity(OTHER), publicKey(13), 'a person may decide otherwise');
  });

  test(`${maker.name}: a refused commit writes nothing (ATK-J07)`, async (t) => {
    const store = await maker.open(t);
    await store.commit({
      sessions: [session(0, 1)],
      extra: { profile: PROFILE, seen: [{ clientId: bytes(16, 1), day: 1 }] },
    });
    const everything = {
      identities: [{ name: OTHER, identityKey: publicKey(12) }],
      preKeys: [{ id: 7, record: bytes(70, 13) }],
      removedPreKeys: [],
      extra: {
        profile: { ...PROFILE, registration: 'registered' as const },
        contacts: [CONTACT],
        outboxAdded: [outboxRow('aa')],
        messagesAdded: [messageRow('aa', false)],
        cursors: [{ name: 'cli', seq: 9 }],
        seen: [{ clientId: bytes(16, 2), day: 1 }],
      },
    };
    await t.rejects(store.commit({ ...everything, sessions: [session(5, 2)] }), {
      code: 'STORE_CONFLICT',
    });
    await t.rejects(
      store.commit({
        ...everything,
        sessions: [session(1, 2)],
        extra: {
          ...everything.extra,
          seen: [
            { clientId: bytes(16, 2), day: 1 },
            { clientId: bytes(16, 1), day: 1 },
          ],
        },
      }),
      { code: 'STATE_DUPLICATE_MESSAGE' },
    );
    t.equal((await store.loadSession(toAddress(OTHER, 1)))?.version, 1);
    t.equal(await store.loadIdentity(OTHER), undefined);
    t.equal(await store.loadPreKey(7), undefined);
    t.equal((await store.loadProfile())?.registration, 'local');
    t.equal(await store.loadContact(OTHER), undefined);
    t.strictSame(await store.loadOutbox({ limit: 10 }), []);
    t.equal(await store.lastSeq(), 0);
    t.equal(await store.hasSeen(bytes(16, 2)), false);
    t.equal(await store.loadCursor('cli'), 0);
    await store.commit(everything);
    t.equal(await store.lastSeq(), 1);
  });

  test(`${maker.name}: one-time and last-resort KEM prekeys`, async (t) => {
    const store = await maker.open(t);
    await store.commit({
      signedPreKeys: [{ id: 1, record: bytes(9, 1) }],
      preKeys: [{ id: 1, record: bytes(9, 1) }],
      kemPreKeys: [
        { id: 1, record: bytes(9, 1), kind: 'last-resort' },
        { id: 2, record: bytes(9, 2), kind: 'one-time' },
      ],
    });
    const used = (kemPreKeyId: number, fill: number) => ({
      usedKemPreKeys: [{ kemPreKeyId, signedPreKeyId: 1, baseKey: publicKey(fill) }],
    });
    await store.commit({ removedPreKeys: [1], ...used(2, 1) });
    t.equal(await store.loadKemPreKey(2), undefined, 'one-time: gone');
    t.equal(await store.loadPreKey(1), undefined);
    await store.commit(used(1, 1));
    t.ok(await store.loadKemPreKey(1), 'last resort: kept');
    await store.commit(used(1, 2));
    await t.rejects(store.commit({ preKeys: [{ id: 5, record: bytes(1, 1) }], ...used(1, 1) }), {
      code: 'STATE_PREKEY_REPLAYED',
    });
    t.equal(await store.loadPreKey(5), undefined, 'a refused commit wrote nothing');
    await store.commit({ removedSignedPreKeys: [1] });
    t.equal(await store.loadSignedPreKey(1), undefined);
    await store.commit(used(1, 1));
    await store.commit({ removedKemPreKeys: [1] });
    t.equal(await store.loadKemPreKey(1), undefined);
  });

  test(`${maker.name}: outbox, history and cursors`, async (t) => {
    const store = await maker.open(t);
    await store.commit({
      extra: {
        outboxAdded: [outboxRow('aa'), outboxRow('bb')],
        messagesAdded: [messageRow('aa', false), messageRow('bb', false)],
      },
    });
    t.equal(await store.hasUnsealed(), false);
    t.equal(await store.outboxState(), 'waiting');
    const [first, second] = await store.loadOutbox({ limit: 10 });
    t.ok(must(first).id < must(second).id);
    t.equal((await store.loadOutbox({ limit: 1 })).length, 1);
    t.strictSame(await store.loadOutbox({ after: must(first).id, limit: 5 }), [second]);
    await store.commit({
      extra: {
        outboxChanged: [{ ...must(first), parts: undefined }],
        outboxRemoved: [must(second).id],
        messagesChanged: [
          { id: 'bb', status: 'failed', cause: 'ACCOUNT_UNKNOWN' },
          { id: 'aa', peer: ACCOUNT },
        ],
      },
    });
    t.equal((await store.loadOutbox({ limit: 10 })).length, 1);
    t.equal((await store.loadOutbox({ limit: 10 }))[0]?.parts, undefined);
    t.equal(await store.hasUnsealed(), true);
    await store.commit({ extra: { outboxChanged: [{ ...must(first), held: true }] } });
    t.equal(await store.hasUnsealed(), true);
    t.equal(await store.outboxState(), 'held');
    await store.commit({ extra: { outboxChanged: [must(first)] } });
    t.equal(await store.hasUnsealed(), false);
    t.equal((await store.loadSentMessage('bb'))?.status, 'failed');
    t.equal((await store.loadSentMessage('bb'))?.cause, 'ACCOUNT_UNKNOWN');
    t.equal((await store.loadSentMessage('aa'))?.peer, ACCOUNT);
    t.equal((await store.loadSentMessage('aa'))?.status, 'pending');
    await store.commit({
      extra: {
        outboxChanged: [must(second)],
        outboxAdded: [outboxRow('cc')],
        messagesAdded: [messageRow('aa', true), messageRow('aa', true)],
      },
    });
    const outbox = await store.loadOutbox({ limit: 10 });
    t.strictSame(
      outbox.map((row) => row.messageId),
      ['aa', 'cc'],
      'a removed row stays gone',
    );
    t.ok(must(outbox[1]).id > must(second).id, 'ids are never reused');
    t.strictSame(
      (await store.loadMessages({ after: 1, arrivedOnly: true })).map((row) => row.seq),
      [3, 4],
      'strangers may repeat ids',
    );
    t.strictSame(
      (await store.loadMessages({ after: 1, limit: 2 })).map((row) => row.seq),
      [2, 3],
    );
    await store.commit({ extra: { cursors: [{ name: 'cli', seq: 4 }] } });
    await store.commit({ extra: { cursors: [{ name: 'cli', seq: 2 }] } });
    t.equal(await store.loadCursor('cli'), 4, 'cursors only move forward');
    await store.commit({
      extra: {
        seen: [
          { clientId: bytes(16, 1), day: 10 },
          { clientId: bytes(16, 2), day: 12 },
        ],
      },
    });
    await store.commit({ extra: { seenBeforeDay: 12 } });
    t.equal(await store.hasSeen(bytes(16, 1)), false);
    t.equal(await store.hasSeen(bytes(16, 2)), true);
  });

  test(`${maker.name}: two handles see each other, one owns the connection`, async (t) => {
    const store = await maker.open(t);
    const other = await maker.reopen(store);
    let calls = 0;
    const stop = other.watch(() => {
      calls++;
    });
    await store.commit({ extra: { outboxAdded: [outboxRow('aa')] } });
    await until(() => calls > 0);
    t.equal((await other.loadOutbox({ limit: 10 })).length, 1);
    stop();
    const lease = await store.ownConnection();
    t.ok(lease);
    t.equal(await other.ownConnection(), undefined);
    t.equal(await store.ownConnection(), undefined);
    await must(lease).release();
    await must(lease).release();
    const next = await other.ownConnection();
    t.ok(next, 'free again');
    t.equal(await store.ownConnection(), undefined, 'a second release took nothing');
    await must(next).release();
  });

  return [...tests, ...historyContract(maker)];
}
