// All adapters against one contract, and what only the file store does.
import { readdirSync, readFileSync, statSync, writeFileSync, chmodSync } from 'node:fs';
import { join } from 'node:path';

import { toHex } from '@qasid/protocol';
import { MemoryStore, type ClientStore } from '@qasid/client-sdk';
import { SqliteStore } from '@qasid/client-sdk/node';
import t from 'tap';

import { createVault, unlockVault } from '../../dist/stores/vault.js';
import { decodeHeader, encodeHeader, encodeParameters } from '../../dist/stores/vault-header.js';
import { createWebVault } from '../../dist/stores/web-vault.js';
import { bytes, CONTACT, messageRow, outboxRow, PROFILE, session } from '../support/rows.js';
import { runContract } from '../support/store-contract.js';
import { tempDirectory } from '../support/temp.js';

const FAST = { scryptLog2N: 4 };

/** Header of a browser's vault. */
async function webHeader(passphrase: string): Promise<Uint8Array | undefined> {
  const { row } = await createWebVault(passphrase);
  return row.kind === 'passphrase' ? row.header : undefined;
}

await runContract(t, {
  name: 'memory',
  open: async () => new MemoryStore(),
  reopen: async (store) => store,
});

for (const passphrase of [undefined, 'correct horse']) {
  const directories = new WeakMap<ClientStore, string>();
  await runContract(t, {
    name: passphrase === undefined ? 'sqlite' : 'sqlite with passphrase',
    async open(t) {
      const directory = join(tempDirectory(t), 'profile');
      const store = await SqliteStore.open({ directory, passphrase, ...FAST });
      directories.set(store, directory);
      return store;
    },
    reopen: (store) => SqliteStore.open({ directory: directories.get(store)!, passphrase }),
  });
}

function filesIn(directory: string): string[] {
  return readdirSync(directory).map((name) => join(directory, name));
}

t.test('files are for their owner only', async (t) => {
  const directory = join(tempDirectory(t), 'a', 'profile');
  const store = await SqliteStore.open({ directory });
  await store.commit({ extra: { profile: PROFILE } });
  const lease = await store.ownConnection();
  t.equal(statSync(directory).mode & 0o777, 0o700);
  t.ok(filesIn(directory).length >= 3);
  for (const file of filesIn(directory)) t.equal(statSync(file).mode & 0o777, 0o600, file);
  await lease?.release();
  await store.close();
  chmodSync(join(directory, 'store.sqlite'), 0o644);
  const again = await SqliteStore.open({ directory });
  t.equal(statSync(join(directory, 'store.sqlite')).mode & 0o777, 0o600);
  await again.close();
});

t.test('ATK-J11 with a passphrase the files hold no marker', async (t) => {
  const MARKER = 'zaffre-marker-7f3a';
  const fill = async (store: ClientStore): Promise<void> => {
    await store.commit({
      sessions: [session(0, 0xa5)],
      identities: [{ name: CONTACT.account, identityKey: PROFILE.identity.public }],
      preKeys: [{ id: 1, record: bytes(70, 0xa6) }],
      extra: {
        profile: { ...PROFILE, username: MARKER },
        contacts: [{ ...CONTACT, username: MARKER }],
        outboxAdded: [{ ...outboxRow('aa'), content: new TextEncoder().encode(MARKER) }],
        messagesAdded: [
          { ...messageRow('deadbeefcafef00d', false), text: MARKER },
          { ...messageRow('bb', true), text: MARKER },
        ],
        heldAdded: [{ account: CONTACT.account, clientId: bytes(16, 1), body: bytes(99, 0xa7) }],
      },
    });
    await store.close();
  };
  const markers = [
    MARKER,
    CONTACT.account,
    PROFILE.account,
    'deadbeefcafef00d',
    'correct horse',
    ...[0xa5, 0xa6, 0xa7].map((fill) => Buffer.alloc(24, fill).toString('latin1')),
    Buffer.from(PROFILE.identity.secret).toString('latin1'),
  ];
  const found = (directory: string): string[] => {
    const all = filesIn(directory).map((file) => readFileSync(file, 'latin1'));
    return markers.filter((marker) => all.some((text) => text.includes(marker)));
  };
  const plain = tempDirectory(t);
  await fill(await SqliteStore.open({ directory: plain }));
  t.ok(found(plain).length >= 7, 'the scan finds them when there is no passphrase');
  const sealed = tempDirectory(t);
  const store = await SqliteStore.open({ directory: sealed, passphrase: 'correct horse', ...FAST });
  await fill(store);
  t.strictSame(found(sealed), []);
});

t.test('ATK-H05 a guess at the passphrase of a copy costs what scrypt costs', async (t) => {
  // 2^17 · 8 · 128 bytes: 128 MiB for each guess. For new stores, whatever a caller leaves out.
  for (const header of [createVault('x').header, (await webHeader('x'))!]) {
    t.equal(decodeHeader(header).parameters.log2N, 17);
  }
  // A copy cannot make whoever opens it take all memory, nor be made cheap: the cost is what its key was made with.
  const salt = bytes(16, 1);
  const bomb = encodeHeader(encodeParameters({ log2N: 30, salt }), bytes(60, 2));
  t.throws(() => unlockVault('x', bomb), { code: 'STORE_CORRUPT' });
  const { header } = createVault('right', 6);
  const { wrapped, parameters } = decodeHeader(header);
  const cheap = encodeHeader(encodeParameters({ ...parameters, log2N: 1 }), wrapped);
  t.throws(() => unlockVault('right', cheap), { code: 'STORE_PASSPHRASE' });
  t.ok(unlockVault('right', header));
});

t.test('a wrong, missing or superfluous passphrase', async (t) => {
  const directory = tempDirectory(t);
  const store = await SqliteStore.open({ directory, passphrase: 'right', ...FAST });
  await store.commit({ extra: { profile: PROFILE } });
  await store.close();
  const code = { code: 'STORE_PASSPHRASE' };
  await t.rejects(SqliteStore.open({ directory, passphrase: 'wrong' }), code);
  await t.rejects(SqliteStore.open({ directory }), code);
  const again = await SqliteStore.open({ directory, passphrase: 'right' });
  t.strictSame(await again.loadProfile(), PROFILE, 'nothing was lost');
  await again.close();
  const plain = tempDirectory(t);
  await (await SqliteStore.open({ directory: plain })).close();
  await t.rejects(SqliteStore.open({ directory: plain, passphrase: 'x' }), code);
});

t.test('ATK-H05 the passphrase parameters are authenticated', async (t) => {
  const directory = tempDirectory(t);
  await (await SqliteStore.open({ directory, passphrase: 'right', ...FAST })).close();
  const Database = (await import('better-sqlite3')).default;
  const read = (): Buffer => {
    const db = new Database(join(directory, 'store.sqlite'));
    const value = db.prepare("SELECT value FROM meta WHERE name = 'vault'").pluck().get() as Buffer;
    db.close();
    return Buffer.from(value);
  };
  const write = (value: Buffer): void => {
    const db = new Database(join(directory, 'store.sqlite'));
    db.prepare("UPDATE meta SET value = ? WHERE name = 'vault'").run(value);
    db.close();
  };
  const header = read();
  for (let at = 0; at < header.length; at++) {
    const bad = Buffer.from(header);
    bad[at]! ^= 1;
    write(bad);
    await t.rejects(
      SqliteStore.open({ directory, passphrase: 'right' }),
      { code: /^STORE_(PASSPHRASE|CORRUPT)$/ },
      `byte ${at} of ${toHex(header).length / 2}`,
    );
  }
  write(header);
  await (await SqliteStore.open({ directory, passphrase: 'right' })).close();
});

t.test('ATK-H06 rows moved or altered are refused', async (t) => {
  const directory = tempDirectory(t);
  const options = { directory, passphrase: 'right', ...FAST };
  const store = await SqliteStore.open(options);
  await store.commit({
    extra: { messagesAdded: [messageRow('aa', true), messageRow('bb', true)] },
  });
  await store.close();
  const Database = (await import('better-sqlite3')).default;
  const db = new Database(join(directory, 'store.sqlite'));
  db.exec(
    'UPDATE message SET value = (SELECT value FROM message WHERE seq = 1) WHERE seq = 2; PRAGMA wal_checkpoint(TRUNCATE)',
  );
  db.close();
  const again = await SqliteStore.open(options);
  t.equal((await again.loadMessages({ limit: 1 })).length, 1);
  await t.rejects(again.loadMessages({ after: 1 }), { code: 'STORE_CORRUPT' });
  await again.close();
});

t.test('a damaged file says so', async (t) => {
  for (const [what, damage] of [
    ['not a database', () => Buffer.from('this was once a database, honestly'.repeat(40))],
    ['overwritten pages', (old: Buffer) => Buffer.from(old).fill(0x5a, 4_096, 12_288)],
  ] as const) {
    const directory = tempDirectory(t);
    const store = await SqliteStore.open({ directory });
    await store.commit({ extra: { profile: PROFILE } });
    await store.close();
    const path = join(directory, 'store.sqlite');
    writeFileSync(path, damage(readFileSync(path)));
    await t.rejects(SqliteStore.open({ directory }), { code: 'STORE_CORRUPT' }, what);
  }
});

t.test('a relaxed commit is a commit, and the next one is strict again', async (t) => {
  const directory = tempDirectory(t);
  const store = await SqliteStore.open({ directory });
  await store.commit({ extra: { relaxed: true, messagesAdded: [messageRow('a', true)] } });
  await t.rejects(
    store.commit({ sessions: [session(9, 1)], extra: { relaxed: true, messagesAdded: [] } }),
    { code: 'STORE_CONFLICT' },
  );
  await store.commit({ extra: { messagesAdded: [messageRow('b', true)] } });
  await store.close();
  const again = await SqliteStore.open({ directory });
  t.equal((await again.loadMessages({})).length, 2);
  await again.close();
});

t.test('a full disk: typed error, nothing lost, goes on when there is room', async (t) => {
  const directory = tempDirectory(t);
  const small = await SqliteStore.open({ directory, pagesMax: 60 });
  await small.commit({ extra: { profile: PROFILE } });
  let written = 0;
  const fill = async (): Promise<void> => {
    for (; written < 1_000; written++) {
      const row = { ...messageRow(`m${written}`, true), text: 'x'.repeat(2_000) };
      await small.commit({ extra: { messagesAdded: [row] } });
    }
  };
  await t.rejects(fill(), { code: 'STORE_FULL' });
  t.ok(written > 10);
  t.equal((await small.loadMessages({})).length, written, 'what was committed is readable');
  await small.close();
  const store = await SqliteStore.open({ directory });
  t.equal((await store.loadMessages({})).length, written);
  await store.commit({ extra: { messagesAdded: [messageRow('more', true)] } });
  t.equal(await store.lastSeq(), written + 1, 'the refused commit used no number');
  await store.close();
});

t.test('a store that was closed: a typed error for every call, and no lock is left', async (t) => {
  const directory = tempDirectory(t);
  const store = await SqliteStore.open({ directory });
  await store.commit({ extra: { profile: PROFILE } });
  await store.close();
  const closed = { name: 'StoreError', code: 'STORE_FAILED' };
  const calls: Record<string, () => Promise<unknown>> = {
    commit: () => store.commit({ extra: { messagesAdded: [messageRow('late', true)] } }),
    loadProfile: () => store.loadProfile(),
    loadSession: () => store.loadSession({ name: 'bob', deviceId: 1 }),
    loadMessages: () => store.loadMessages({}),
    lastSeq: () => store.lastSeq(),
    outboxState: () => store.outboxState(),
    loadRecords: () => store.loadRecords('space'),
    ownConnection: () => store.ownConnection(),
    watch: async () => store.watch(() => undefined),
  };
  for (const [name, call] of Object.entries(calls)) await t.rejects(call(), closed, name);
  await store.close();
  const again = await SqliteStore.open({ directory });
  t.equal(await again.lastSeq(), 0);
  const lease = await again.ownConnection();
  t.ok(lease, 'the right to connect is free');
  await again.close();
});
