/// <reference lib="dom" />
// The browser's store under the contract of all stores, over an IndexedDB in memory, and what only it does.
// test/browser/ runs it in Chromium.
import 'fake-indexeddb/auto';
import { QasidError } from '@qasid/protocol';
import type { ClientStore } from '@qasid/client-sdk';
import { IndexedDbStore } from '@qasid/client-sdk/browser';
import { openDB } from 'idb';
import t from 'tap';

import { bytes, messageRow, outboxRow, PROFILE, session } from '../support/rows.js';
import { runContract } from '../support/store-contract.js';
import { TestLocks } from '../support/web-locks.js';

const locks = new TestLocks() as unknown as Pick<LockManager, 'request'>;
const FAST = { scryptLog2N: 4, locks };
let names = 0;

for (const passphrase of [undefined, 'correct horse']) {
  const profiles = new WeakMap<ClientStore, string>();
  await runContract(t, {
    name: passphrase === undefined ? 'indexeddb' : 'indexeddb with passphrase',
    async open(t) {
      const profile = `contract-${names++}`;
      const store = await IndexedDbStore.open({ profile, passphrase, ...FAST });
      profiles.set(store, profile);
      t.teardown(() => store.close());
      return store;
    },
    async reopen(store) {
      const profile = profiles.get(store) ?? '';
      const again = await IndexedDbStore.open({ profile, passphrase, ...FAST });
      t.teardown(() => again.close());
      return again;
    },
  });
}

async function code(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return error instanceof QasidError ? error.code : String(error);
}

t.test('passphrases', async (t) => {
  const open = (profile: string, passphrase?: string) =>
    IndexedDbStore.open({ profile, passphrase, ...FAST });
  const locked = await open('locked', 'correct horse');
  await locked.commit({ extra: { profile: PROFILE } });
  await locked.close();
  t.equal(await code(open('locked', 'wrong')), 'STORE_PASSPHRASE');
  t.equal(await code(open('locked')), 'STORE_PASSPHRASE', 'none where one is needed');
  const again = await open('locked', 'correct horse');
  t.strictSame(await again.loadProfile(), PROFILE);
  await again.close();
  const free = await open('free');
  await free.close();
  t.equal(await code(open('free', 'x')), 'STORE_PASSPHRASE', 'one where none was');
});

t.test('ATK-J11 ATK-J01 the tables hold no marker, and the keys cannot be exported', async (t) => {
  const MARKER = 'zaffre-marker-7f3a';
  const store = await IndexedDbStore.open({ profile: 'marked', ...FAST });
  await store.commit({
    sessions: [session(0, 0xa5)],
    preKeys: [{ id: 1, record: bytes(70, 0xa6) }],
    extra: {
      profile: { ...PROFILE, username: MARKER },
      outboxAdded: [{ ...outboxRow('aa'), content: new TextEncoder().encode(MARKER) }],
      messagesAdded: [{ ...messageRow('deadbeefcafef00d', false), text: MARKER, terms: [MARKER] }],
      records: [{ space: 's', key: MARKER, value: bytes(3, 1), expectedVersion: 0 }],
    },
  });
  await store.close();
  const database = await openDB('qasid/marked');
  let seen = 0;
  for (const name of database.objectStoreNames) {
    for (const value of [...(await database.getAll(name)), ...(await database.getAllKeys(name))]) {
      const text = textOf(value);
      if (name !== 'meta') seen++;
      for (const secret of [MARKER, PROFILE.account, 'deadbeefcafef00d']) {
        if (text.includes(secret)) t.fail(`${name} holds ${secret}`);
      }
    }
  }
  t.ok(seen > 10, `${seen} values looked at`);
  const vault = (await database.get('meta', 'vault')) as Record<'valueKey' | 'indexKey', CryptoKey>;
  for (const key of [vault.valueKey, vault.indexKey]) {
    t.equal(key.extractable, false);
    await t.rejects(crypto.subtle.exportKey('raw', key));
  }
  database.close();
});

t.test('ATK-J12 without WebCrypto there is no store, rather than one that is open', async (t) => {
  // An insecure page (http) has no `crypto.subtle`.
  const whole = globalThis.crypto;
  const getRandomValues = whole.getRandomValues.bind(whole);
  const stripped = { value: { getRandomValues }, configurable: true, writable: true };
  const before = Object.getOwnPropertyDescriptor(globalThis, 'crypto')!;
  for (const passphrase of [undefined, 'correct horse']) {
    const profile = `stripped-${passphrase !== undefined}`;
    Object.defineProperty(globalThis, 'crypto', stripped);
    try {
      t.equal(
        await code(IndexedDbStore.open({ profile, passphrase, ...FAST })),
        'STORE_FAILED',
        profile,
      );
    } finally {
      Object.defineProperty(globalThis, 'crypto', before);
    }
    const database = await openDB(`qasid/${profile}`);
    for (const name of database.objectStoreNames) {
      t.strictSame(await database.getAll(name), [], `${name}: nothing was written`);
    }
    database.close();
    const store = await IndexedDbStore.open({ profile, passphrase, ...FAST });
    await store.commit({ extra: { profile: PROFILE } });
    t.strictSame(await store.loadProfile(), PROFILE, 'and with it, all is as usual');
    await store.close();
  }
});

/** Everything readable in a stored value. */
function textOf(value: unknown): string {
  if (value instanceof Uint8Array) return new TextDecoder('latin1').decode(value);
  if (typeof value !== 'object' || value === null) return String(value);
  return Object.values(value).map(textOf).join('\n');
}

t.test('ATK-C12 an altered or exchanged value is refused', async (t) => {
  const store = await IndexedDbStore.open({ profile: 'altered', ...FAST });
  await store.commit({
    preKeys: [
      { id: 1, record: bytes(70, 1) },
      { id: 2, record: bytes(70, 2) },
    ],
  });
  const database = await openDB('qasid/altered');
  const one = await database.get('prekey', [1, 1]);
  await database.put('prekey', one, [1, 2]);
  one.value[20] ^= 1;
  await database.put('prekey', one, [1, 1]);
  t.equal(await code(store.loadPreKey(1)), 'STORE_CORRUPT', 'altered');
  t.equal(await code(store.loadPreKey(2)), 'STORE_CORRUPT', 'exchanged');
  database.close();
  await store.close();
});

t.test('ATK-J03 two tabs: one connection, commits in a row, each hears of the other', async (t) => {
  const one = await IndexedDbStore.open({ profile: 'tabs', ...FAST });
  const two = await IndexedDbStore.open({ profile: 'tabs', ...FAST });
  const lease = await one.ownConnection();
  t.ok(lease);
  t.equal(await two.ownConnection(), undefined);
  let heard = 0;
  two.watch(() => heard++);
  await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      (index % 2 === 0 ? one : two).commit({
        extra: { messagesAdded: [messageRow(`id${index}`, false)] },
      }),
    ),
  );
  const rows = await one.loadMessages({});
  t.strictSame(
    rows.map(({ seq }) => seq),
    Array.from({ length: 20 }, (_, index) => index + 1),
    'no number is given twice',
  );
  for (let wait = 0; wait < 200 && heard < 20; wait++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  t.ok(heard >= 20, `${heard} times told`);
  await one.close();
  t.ok(await two.ownConnection(), 'the other takes over');
  await two.close();
});

t.test('ATK-C09 a commit that another tab outran starts again or is refused', async (t) => {
  // Locks that lock nothing: what a browser without them would do.
  const open = () =>
    IndexedDbStore.open({
      profile: 'racing',
      locks: {
        request: async (...all: readonly unknown[]) =>
          (all.at(-1) as (lock: object) => unknown)({}),
      } as unknown as Pick<LockManager, 'request'>,
    });
  const [one, two] = [await open(), await open()];
  await Promise.all(
    Array.from({ length: 30 }, (_, index) =>
      (index % 2 === 0 ? one : two).commit({
        extra: { messagesAdded: [messageRow(`id${index}`, true)] },
      }),
    ),
  );
  const rows = await one.loadMessages({});
  t.equal(new Set(rows.map(({ id }) => id)).size, 30, 'all of them, each once');
  t.strictSame(
    rows.map(({ seq }) => seq),
    Array.from({ length: 30 }, (_, index) => index + 1),
  );
  const results = await Promise.allSettled([
    one.commit({ sessions: [session(0, 1)] }),
    two.commit({ sessions: [session(0, 2)] }),
  ]);
  const lost = results.filter(({ status }) => status === 'rejected');
  t.equal(lost.length, 1, 'one session write wins');
  t.match(lost[0], { reason: { code: 'STORE_CONFLICT' } });
  await one.close();
  await two.close();
});

t.test('ATK-J02 what the browser deleted is told, not silently made anew', async (t) => {
  const kept = new Map<string, string>();
  Object.assign(globalThis, {
    localStorage: {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => kept.set(key, value),
      removeItem: (key: string) => kept.delete(key),
    },
  });
  t.teardown(() => Reflect.deleteProperty(globalThis, 'localStorage'));
  const open = () => IndexedDbStore.open({ profile: 'evicted', ...FAST });
  const store = await open();
  await store.commit({ extra: { profile: PROFILE } });
  await store.close();
  indexedDB.deleteDatabase('qasid/evicted');
  t.equal(await code(open()), 'STORE_LOST');
  t.equal(await code(open()), 'STORE_LOST', 'also when asked again');
  await IndexedDbStore.forget('evicted');
  const fresh = await open();
  t.equal(await fresh.loadProfile(), undefined);
  await fresh.close();
});

t.test('a newer database is refused, and a tab gives way to one that needs it', async (t) => {
  const store = await IndexedDbStore.open({ profile: 'newer', ...FAST });
  const newer = await openDB('qasid/newer', 2);
  t.equal(await code(store.loadProfile()), 'STORE_LOCKED');
  t.equal(await code(store.commit({})), 'STORE_LOCKED');
  newer.close();
  t.equal(await code(IndexedDbStore.open({ profile: 'newer', ...FAST })), 'STORE_CORRUPT');
  await store.close();
});

t.test('ATK-C08 a browser that puts an older database back: its sessions are gone', async (t) => {
  const kept = new Map<string, string>();
  const fake = {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
  };
  const before = Object.getOwnPropertyDescriptor(globalThis, 'localStorage');
  Object.defineProperty(globalThis, 'localStorage', { value: fake, configurable: true });
  t.teardown(() => {
    if (before === undefined) Reflect.deleteProperty(globalThis, 'localStorage');
    else Object.defineProperty(globalThis, 'localStorage', before);
  });
  const address = { name: 'bob', deviceId: 1 };
  const open = () => IndexedDbStore.open({ profile: 'put-back', ...FAST });
  let store = await open();
  await store.commit({
    sessions: [{ address, record: bytes(2, 8), expectedVersion: 0 }],
    extra: {
      profile: PROFILE,
      records: [{ space: 'chain-out', key: 'bob', value: bytes(1, 8), expectedVersion: 0 }],
    },
  });
  await store.close();
  store = await open();
  t.equal(await store.takeRestored(), false);
  t.ok(await store.loadSession(address));
  await store.close();
  // What the browser remembers is ahead of what the database holds.
  const key = 'qasid/put-back/epoch';
  const [id, epoch] = kept.get(key)!.trim().split(' ');
  kept.set(key, `${id} ${String(Number(epoch) + 1).padStart(16, '0')}\n`);
  store = await open();
  t.equal(await store.loadSession(address), undefined);
  t.equal(await store.loadRecord('chain-out', 'bob'), undefined);
  const profile = await store.loadProfile();
  t.ok(profile!.prekeys.nextPreKeyId > PROFILE.prekeys.nextPreKeyId, 'no prekey id again');
  t.not(profile!.relayEpoch, PROFILE.relayEpoch);
  t.equal(await store.takeRestored(), true);
  t.equal(await store.takeRestored(), false);
  await store.close();
  await IndexedDbStore.forget('put-back');
  t.equal(kept.size, 0);
});
