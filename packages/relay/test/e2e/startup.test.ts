// What an operator meets when something is wrong: one code, one line, a next step, nothing lost.
import { spawn } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NO_QUOTAS, type RelayError, type RelayOptions, startRelay } from '@qasid/relay';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { openSqliteStore } from '#src/store/sqlite.js';
import { newPerson, TestClient } from '../support/client.js';
import { appendWrite, enrol } from '../support/store-contract.js';

function fresh(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-start-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

async function refused(t: Test, options: RelayOptions, code: string): Promise<RelayError> {
  const error = await startRelay({ port: 0, logLevel: 'silent', ...options }).then(
    async (relay) => {
      await relay.close();
      return undefined;
    },
    (reason: RelayError) => reason,
  );
  t.equal(error?.code, code);
  t.ok(error?.hint, 'with a next step');
  t.notMatch(`${error?.message} ${error?.hint}`, /\n|\/tmp/);
  return error!;
}

const quota = { envelopesMax: 10_000, bytesMax: 1e9 };

t.test('the port is taken', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as { port: number };
  for (const transport of ['uws', 'ws'] as const) {
    const directory = fresh(t);
    await refused(t, { directory, port, transport }, 'RELAY_ADDRESS_IN_USE');
    // The store was let go: the same directory starts elsewhere.
    await (await startRelay({ directory, port: 0, transport, logLevel: 'silent' })).close();
  }
});

t.test('two relays do not share a port', async (t) => {
  for (const transport of ['uws', 'ws'] as const) {
    const first = await startRelay({ store: 'memory', port: 0, transport, logLevel: 'silent' });
    t.teardown(() => first.close());
    await refused(t, { store: 'memory', port: first.port, transport }, 'RELAY_ADDRESS_IN_USE');
  }
});

t.test('the address is not of this machine', async (t) => {
  for (const transport of ['uws', 'ws'] as const) {
    const iKnow = ['memory-store', 'plain-ws'] as const;
    const options = { store: 'memory', host: '203.0.113.9', port: 9, transport, iKnow } as const;
    await refused(t, options, 'RELAY_ADDRESS');
  }
});

t.test('the directory is a file, or below one', async (t) => {
  const file = join(fresh(t), 'file');
  writeFileSync(file, 'not a directory');
  await refused(t, { directory: file }, 'RELAY_DATA_UNWRITABLE');
  await refused(t, { directory: join(file, 'below') }, 'RELAY_DATA_UNWRITABLE');
});

t.test('another relay uses the directory', async (t) => {
  const directory = fresh(t);
  const first = await startRelay({ directory, port: 0, logLevel: 'silent' });
  for (const storeThread of ['main', 'worker'] as const) {
    await refused(t, { directory, storeThread }, 'RELAY_DATA_LOCKED');
  }
  await first.close();
  await (await startRelay({ directory, port: 0, logLevel: 'silent' })).close();
});

t.test('a damaged database is named, and left as it is', async (t) => {
  const directory = fresh(t);
  await (await startRelay({ directory, port: 0, logLevel: 'silent' })).close();
  const file = join(directory, 'relay.db');
  const good = readFileSync(file);
  const damages: Record<string, Buffer> = {
    'not a database': Buffer.from('this is not a database, it is a text of some length'.repeat(40)),
    'cut short': good.subarray(0, 6_000),
    'a page overwritten': Buffer.concat([
      good.subarray(0, 4_096),
      Buffer.alloc(4_096, 0xa5),
      good.subarray(8_192),
    ]),
  };
  for (const [name, bytes] of Object.entries(damages)) {
    for (const storeThread of ['main', 'worker'] as const) {
      writeFileSync(file, bytes);
      const error = await refused(t, { directory, storeThread }, 'RELAY_DATA_CORRUPT');
      t.match(error.hint, /backup/, name);
      t.ok(readFileSync(file).equals(bytes), `${name}: untouched`);
    }
  }
  writeFileSync(file, good);
  writeFileSync(join(directory, 'relay.key'), 'short');
  await refused(t, { directory }, 'RELAY_DATA_CORRUPT');
});

t.test('data of a newer relay is refused, and not changed', async (t) => {
  const directory = fresh(t);
  await (await startRelay({ directory, port: 0, logLevel: 'silent' })).close();
  const db = new Database(join(directory, 'relay.db'));
  db.pragma('user_version = 99');
  db.close();
  const error = await refused(t, { directory }, 'RELAY_DATA_NEWER');
  t.match(error.message, /99/);
});

t.test('durability is set and not assumed', async (t) => {
  const directory = fresh(t);
  const { store, report } = openSqliteStore({ directory, quota });
  const folder = new URL('../../src/store/migrations/sqlite/', import.meta.url);
  const steps = readdirSync(folder).length;
  t.match(report, { schema: steps, migrated: steps, checkSkipped: false });
  const db = new Database(join(directory, 'relay.db'));
  t.equal(db.pragma('journal_mode', { simple: true }), 'wal');
  db.close();
  await store.close();
  // A driver built otherwise would not go unnoticed: the level is read back after it is set.
  const source = readFileSync(new URL('../../dist/store/sqlite-open.js', import.meta.url), 'utf8');
  t.match(source, /synchronous = \$\{synchronous\}/);
});

t.test('a confirmed envelope is in the files at that moment', async (t) => {
  const directory = fresh(t);
  const { store } = openSqliteStore({ directory, quota });
  t.teardown(() => store.close());
  const bob = newPerson();
  const mailbox = await enrol(store, bob);
  for (let round = 0; round < 20; round++) {
    const text = `letter ${round}`;
    await store.commit([appendWrite(bob, 7, [text])]);
    // What a power cut would leave, as far as the file system goes: database and log as they are now.
    const copy = join(directory, `copy-${round}`);
    mkdirSync(copy);
    for (const name of ['relay.db', 'relay.db-wal']) {
      copyFileSync(join(directory, name), join(copy, name));
    }
    const { store: left } = openSqliteStore({ directory: copy, quota });
    const page = await left.read(mailbox, 0, 100, 1e6);
    t.equal(new TextDecoder().decode(page.rows.at(-1)?.body), text);
    t.equal(page.rows.length, round + 1);
    await left.close();
  }
});

t.test('a log cut anywhere opens to a prefix', async (t) => {
  const directory = fresh(t);
  const { store } = openSqliteStore({ directory, quota });
  const bob = newPerson();
  const mailbox = await enrol(store, bob);
  for (let n = 0; n < 30; n++) await store.commit([appendWrite(bob, 7, [`letter ${n}`])]);
  const log = readFileSync(join(directory, 'relay.db-wal'));
  let longest = -1;
  for (let cut = 0; cut <= log.length; cut += 4_096) {
    const copy = join(directory, `cut-${cut}`);
    mkdirSync(copy);
    copyFileSync(join(directory, 'relay.db'), join(copy, 'relay.db'));
    writeFileSync(join(copy, 'relay.db-wal'), log.subarray(0, cut));
    const { store: left } = openSqliteStore({ directory: copy, quota });
    const texts = (await left.read(mailbox, 0, 100, 1e6)).rows.map(({ body }) =>
      new TextDecoder().decode(body),
    );
    t.strictSame(
      texts,
      texts.map((_, n) => `letter ${n}`),
    );
    if (texts.length < longest) t.fail('a longer log has less');
    longest = texts.length;
    await left.close();
  }
  t.ok(longest > 20, `${longest}`);
  await store.close();
});

t.test('ATK-I10 a disk that is full: sends are refused, deletions make room again', async (t) => {
  const directory = fresh(t);
  const { store } = openSqliteStore({ directory, quota, pagesMax: 120 });
  t.teardown(() => store.close());
  const bob = newPerson();
  const mailbox = await enrol(store, bob);
  const body = 'x'.repeat(8_000);
  let stored = 0;
  await t.rejects(
    (async () => {
      for (; stored < 1_000; stored++) await store.commit([appendWrite(bob, 7, [body])]);
    })(),
    { code: 'STORE_FULL' },
  );
  t.ok(stored > 10, `${stored} fitted`);
  t.equal((await store.totals()).envelopes, stored, 'what did not fit is not counted');
  t.equal((await store.read(mailbox, 0, 1_000, 1e9)).rows.length, stored);
  const [acked] = await store.commit([{ kind: 'ack', mailbox, through: 10, also: [] }]);
  t.match(acked, { kind: 'acked', count: 10 });
  t.match(await store.commit([appendWrite(bob, 7, [body])]), [{ kind: 'stored' }]);
  t.equal((await store.totals()).envelopes, stored - 9);
});

/** `table.column` of every row of the ledger: the first name of a row, and of a table, carries the table. */
function ledger(): string[] {
  const chapter = readFileSync(new URL('../../../../spec/13-relay.md', import.meta.url), 'utf8');
  const [, section = ''] = /\n## 7[^\n]*\n([\s\S]*?)\n## /.exec(chapter) ?? [];
  const columns: string[] = [];
  for (const [, names = ''] of section.matchAll(/^\| (`[^|]*) \|/gm)) {
    let table = '';
    for (const [, name = ''] of names.matchAll(/`([^`]+)`/g)) {
      const [first = '', second] = name.split('.');
      if (second !== undefined) table = first;
      columns.push(`${table}.${second ?? first}`);
    }
  }
  return columns.sort();
}

t.test('ATK-I17 the columns on disk are those of the ledger in chapter 13', async (t) => {
  const directory = fresh(t);
  await (await startRelay({ directory, port: 0, logLevel: 'silent' })).close();
  const db = new Database(join(directory, 'relay.db'), { readonly: true });
  const tables = db
    .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    .pluck()
    .all() as string[];
  const columns = tables.flatMap((table) =>
    (db.pragma(`table_info(${table})`) as { name: string }[]).map(({ name }) => `${table}.${name}`),
  );
  db.close();
  t.ok(columns.includes('q.body') && columns.length > 25, `${columns.length} columns`);
  t.strictSame(columns.sort(), ledger());
});

t.test('ATK-I17 an acknowledged envelope is not left in the files', async (t) => {
  const directory = fresh(t);
  const relay = await startRelay({
    directory,
    port: 0,
    logLevel: 'silent',
    quotas: NO_QUOTAS,
    requirePadding: false,
  });
  const [alice, bob] = [newPerson(), newPerson()];
  const a = await TestClient.register(relay.url, alice);
  const b = await TestClient.register(relay.url, bob);
  const marker = 'a marker that is in no other place 5b1f';
  // One that fits into its row, and one that spills over into pages of its own.
  for (const times of [3, 600]) {
    t.equal((await a.send(bob, marker.repeat(times))).code, 'CONFIRMED');
  }
  await b.until(() => b.delivered.length === 2);
  b.ack(b.delivered[1]!.seq);
  await b.ask({ kind: 'ping' });
  await new Promise((resolve) => setTimeout(resolve, 150));
  t.equal((await relay.totals()).envelopes, 0);
  await relay.close();
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const bytes = readFileSync(join(directory, entry.name));
    t.equal(bytes.includes(marker), false, entry.name);
  }
});

t.test('the command: address on stdout, errors in two lines, signals', async (t) => {
  const directory = fresh(t);
  const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
  const run = (...args: readonly string[]) => {
    const child = spawn(process.execPath, [main, ...args]);
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk) => {
      out += chunk;
    });
    child.stderr.on('data', (chunk) => {
      err += chunk;
    });
    const done = new Promise<{ code: number | null; out: string; err: string }>((resolve) =>
      child.once('close', (code) => resolve({ code, out, err })),
    );
    const line = new Promise<string>((resolve) => child.stdout.once('data', () => resolve(out)));
    return { child, done, line };
  };
  const up = run('--listen', '127.0.0.1:0', '--data', join(directory, 'data'));
  const url = (await up.line).trim();
  t.match(url, /^ws:\/\/127\.0\.0\.1:\d+$/);
  await (await TestClient.connect(url)).close();
  t.equal(statSync(join(directory, 'data')).mode & 0o777, 0o700);
  t.ok(existsSync(join(directory, 'data', 'relay.key')));
  const second = await run('--listen', '127.0.0.1:0', '--data', join(directory, 'data')).done;
  t.equal(second.code, 1);
  t.equal(second.out, '');
  t.match(second.err, /^qasid-relay: error: .*RELAY_DATA_LOCKED.*\nqasid-relay: hint: .*\n$/);
  const wrong = await run('--colour', 'red').done;
  t.equal(wrong.code, 2);
  t.match(wrong.err, /RELAY_CONFIG/);
  up.child.kill('SIGTERM');
  t.equal((await up.done).code, 0);
  t.equal((await up.done).err, '');
});
