// Envelopes that grow old while they wait: found, ordered and deleted the same, whichever index they are in.
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import type { RelayStore } from '#src/store/port.js';
import { openSqliteStore } from '#src/store/sqlite.js';
import { newDevice, newPerson } from '../support/client.js';
import { appendWrite, enrol, putDevices } from '../support/store-contract.js';

const quota = { envelopesMax: 10_000, bytesMax: 1e9 };

function fresh(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-queue-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** How many index entries are on disk, and what they and the rows say. */
function indexed(directory: string): number {
  const db = new Database(join(directory, 'relay.db'), { readonly: true });
  const { n } = db.prepare('SELECT count(*) AS n FROM q_old').get() as { n: number };
  const lost = db
    .prepare(
      "SELECT count(*) AS n FROM q WHERE seq <= (SELECT v FROM meta WHERE k = 'indexed_through') AND seq NOT IN (SELECT seq FROM q_old)",
    )
    .get() as { n: number };
  const dangling = db
    .prepare('SELECT count(*) AS n FROM q_old WHERE seq NOT IN (SELECT seq FROM q)')
    .get() as { n: number };
  db.close();
  if (lost.n + dangling.n > 0) throw new Error(`${lost.n} rows lost, ${dangling.n} dangling`);
  return n;
}

async function bodies(store: RelayStore, mailbox: number, after = 0): Promise<string[]> {
  const { rows } = await store.read(mailbox, after, 1_000, 1e9);
  return rows.map(({ body }) => new TextDecoder().decode(body));
}

t.test('what has waited for a minute is indexed on disk, and nothing else changes', async (t) => {
  const directory = fresh(t);
  let nowMs = 0;
  const open = (): RelayStore =>
    openSqliteStore({ directory, quota, synchronous: 'NORMAL', monotonicMs: () => nowMs }).store;
  let store = open();
  const bob = newPerson();
  const mailbox = await enrol(store, bob);
  const other = newPerson();
  const elsewhere = await enrol(store, other);
  const put = (...texts: string[]) =>
    store.commit(texts.map((text) => appendWrite(bob, 7, [text])));
  await put('a', 'b', 'c', 'd');
  await store.commit([appendWrite(other, 7, ['x'])]);
  t.equal(indexed(directory), 0);
  nowMs = 60_000;
  await put('e', 'f');
  t.equal(indexed(directory), 5, 'the five that have waited');
  t.strictSame(await bodies(store, mailbox), ['a', 'b', 'c', 'd', 'e', 'f']);
  const { rows } = await store.read(mailbox, 0, 1_000, 1e9);
  t.strictSame(await bodies(store, mailbox, rows[1]!.seq), ['c', 'd', 'e', 'f'], 'across both');
  t.strictSame(await bodies(store, mailbox, rows[4]!.seq), ['f']);
  const page = await store.read(mailbox, 0, 4, 1e9);
  t.strictSame(
    [page.rows.length, page.isLast],
    [4, false],
    'a page that ends where the old ones do',
  );

  await store.close();
  store = open();
  t.strictSame(await bodies(store, mailbox), ['a', 'b', 'c', 'd', 'e', 'f'], 'after a restart');
  t.match(await store.totals(), { envelopes: 7, bytes: 7 });

  const repeat = appendWrite(bob, 9, ['a'], rows[0]!.clientId);
  const [repeated] = await store.commit([repeat]);
  t.match(repeated, { kind: 'stored', placements: [{ seq: 0 }] }, 'an old one is recognised');
  const young = appendWrite(bob, 9, ['f'], rows[5]!.clientId);
  t.match((await store.commit([young]))[0], { placements: [{ seq: 0 }] }, 'and a young one');

  const one = { kind: 'ack', mailbox, through: 0, also: [rows[1]!.seq, rows[5]!.seq] } as const;
  t.match((await store.commit([one]))[0], { count: 2 });
  t.strictSame(await bodies(store, mailbox), ['a', 'c', 'd', 'e']);
  const foreign = { kind: 'ack', mailbox: elsewhere, through: 0, also: [rows[0]!.seq] } as const;
  t.match((await store.commit([foreign]))[0], { count: 0 }, 'somebody else may not');
  const ack = { kind: 'ack', mailbox, through: rows[4]!.seq, also: [] } as const;
  t.match((await store.commit([ack]))[0], { count: 4 }, 'old and young in one');
  t.strictSame(await bodies(store, mailbox), []);
  t.equal(indexed(directory), 1);
  t.match(await store.totals(), { envelopes: 1, bytes: 1 });
  await store.close();
});

t.test('old envelopes expire, and go with their device', async (t) => {
  const directory = fresh(t);
  let nowMs = 0;
  const { store } = openSqliteStore({
    directory,
    quota,
    synchronous: 'NORMAL',
    monotonicMs: () => nowMs,
  });
  t.teardown(() => store.close());
  const bob = newPerson();
  const mailbox = await enrol(store, bob);
  await store.commit([
    { ...appendWrite(bob, 7, ['short']), expiresMinute: 50 },
    appendWrite(bob, 7, ['long']),
  ]);
  nowMs = 60_000;
  await store.commit([{ ...appendWrite(bob, 7, ['young and short']), expiresMinute: 50 }]);
  t.equal(indexed(directory), 2);
  const sweep = { kind: 'sweep', nowMinute: 60, afterSeq: 0, limit: 500 } as const;
  t.match((await store.commit([sweep]))[0], { deleted: 2 });
  t.strictSame(await bodies(store, mailbox), ['long']);
  t.equal(indexed(directory), 1);
  t.match(await store.totals(), { envelopes: 1, bytes: 4 });
  await store.commit([appendWrite(bob, 7, ['young'])]);
  const next = newDevice(bob, 2);
  t.match((await store.commit([putDevices(bob, 2, [next])]))[0], { removed: [mailbox] });
  t.equal(indexed(directory), 0);
  t.match(await store.totals(), { envelopes: 0, bytes: 0 });
});

t.test('a commit that fails leaves both indexes as they were', async (t) => {
  const directory = fresh(t);
  let nowMs = 0;
  const { store } = openSqliteStore({
    directory,
    quota,
    synchronous: 'NORMAL',
    monotonicMs: () => nowMs,
    pagesMax: 60,
  });
  t.teardown(() => store.close());
  const bob = newPerson();
  const mailbox = await enrol(store, bob);
  await store.commit([appendWrite(bob, 7, ['a']), appendWrite(bob, 7, ['b'])]);
  nowMs = 60_000;
  const ack = { kind: 'ack', mailbox, through: Number.MAX_SAFE_INTEGER, also: [] } as const;
  const large = Array.from({ length: 20 }, () => appendWrite(bob, 7, ['x'.repeat(60_000)]));
  await t.rejects(store.commit([ack, ...large]), { code: 'STORE_FULL' });
  t.strictSame(await bodies(store, mailbox), ['a', 'b']);
  t.match(await store.totals(), { envelopes: 2, bytes: 2 });
  await store.commit([appendWrite(bob, 7, ['c'])]);
  t.strictSame(await bodies(store, mailbox), ['a', 'b', 'c']);
  t.equal(indexed(directory), 2);
  t.match((await store.commit([ack]))[0], { count: 3 });
  t.equal(indexed(directory), 0);
});

t.test('data of the schema before is taken over', async (t) => {
  const directory = fresh(t);
  const open = (): RelayStore => openSqliteStore({ directory, quota }).store;
  const first = open();
  const bob = newPerson();
  const mailbox = await enrol(first, bob);
  await first.commit([appendWrite(bob, 7, ['a']), appendWrite(bob, 7, ['b'])]);
  await first.close();
  // Back to the index of before.
  const db = new Database(join(directory, 'relay.db'));
  db.exec(
    "DROP TABLE q_old; DELETE FROM meta WHERE k = 'indexed_through'; CREATE INDEX q_mb ON q (mb)",
  );
  const migrations = new URL('../../src/store/migrations/sqlite/', import.meta.url);
  const number = readdirSync(migrations).sort().indexOf('0003-young.sql');
  db.exec(readFileSync(new URL('0003-young.sql', migrations), 'utf8'));
  db.close();
  t.equal(number, 2);
  t.equal(indexed(directory), 2);
  const second = open();
  t.teardown(() => second.close());
  t.strictSame(await bodies(second, mailbox), ['a', 'b']);
  await second.commit([appendWrite(bob, 7, ['c'])]);
  t.strictSame(await bodies(second, mailbox), ['a', 'b', 'c']);
});

t.test(
  'an idle relay moves its log into the file; reading a backlog does not hold it up',
  async (t) => {
    const directory = fresh(t);
    const { store } = openSqliteStore({ directory, quota });
    const bob = newPerson();
    const mailbox = await enrol(store, bob);
    for (let n = 0; n < 30; n++) await store.commit([appendWrite(bob, 7, [`letter ${n}`])]);
    // A page that is given up half-way, as a window that is full does it.
    const page = await store.read(mailbox, 0, 10, 1e9);
    t.strictSame([page.rows.length, page.isLast], [10, false]);
    /** What the file alone holds, as after a loss of the log. */
    const inFile = (): number => {
      const alone = join(fresh(t), 'alone.db');
      copyFileSync(join(directory, 'relay.db'), alone);
      const db = new Database(alone);
      const found = db.prepare("SELECT count(*) AS n FROM sqlite_master WHERE name = 'q'").get();
      const isThere = (found as { n: number }).n > 0;
      const { n } = isThere
        ? (db.prepare('SELECT count(*) AS n FROM q').get() as { n: number })
        : { n: 0 };
      db.close();
      return n;
    };
    t.equal(inFile(), 0, 'everything is in the log');
    await store.commit([{ kind: 'probe', value: 1 }]);
    t.equal(inFile(), 30, 'everything is in the file');
    await store.commit([appendWrite(bob, 7, ['last'])]);
    await store.close();
    const log = join(directory, 'relay.db-wal');
    t.ok(!existsSync(log) || statSync(log).size === 0, 'no log after the end');
    t.equal(inFile(), 31);
  },
);
