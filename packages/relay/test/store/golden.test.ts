// Data of every schema version there ever was opens in this relay, with everything in it. The files in
// test/fixtures/schema are written by this test: QASID_WRITE_GOLDEN=1 makes those that are missing, and
// never touches one that exists.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toAccountId, toHex } from '@qasid/protocol/envelope';
import { NO_QUOTAS, startRelay, verifyRelay } from '@qasid/relay';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { fakePrekeys, newPerson, type Person, TestClient } from '../support/client.js';

const fixtures = fileURLToPath(new URL('../../test/fixtures/schema/', import.meta.url));
const sources = fileURLToPath(new URL('../../src/store/migrations/sqlite/', import.meta.url));
const steps = readdirSync(sources)
  .filter((name) => /^\d{4}-.*\.sql$/.test(name))
  .sort()
  .map((name) => readFileSync(join(sources, name), 'utf8'));

const fileOf = (version: number): string =>
  join(fixtures, `${String(version).padStart(4, '0')}.sql`);

function fresh(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-golden-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const start = (directory: string) =>
  startRelay({ directory, port: 0, quotas: NO_QUOTAS, requirePadding: false, logLevel: 'silent' });

/** What a test needs to log in as somebody; written into the first line of a file. */
interface Login {
  readonly account: string;
  readonly registrationId: number;
  readonly authSecret: string;
}

const loginOf = ({ account, registrationId, auth }: Person): Login => ({
  account: toHex(account),
  registrationId,
  authSecret: toHex(auth.secret),
});

function personOf({ account, registrationId, authSecret }: Login): Person {
  const secret = Uint8Array.from(Buffer.from(authSecret, 'hex'));
  const id = toAccountId(Uint8Array.from(Buffer.from(account, 'hex')));
  return {
    ...newPerson(),
    account: id,
    registrationId,
    auth: { secret, public: new Uint8Array(32) },
  };
}

function literal(value: unknown): string {
  if (value === null) return 'NULL';
  if (value instanceof Uint8Array) return `X'${toHex(value)}'`;
  if (typeof value === 'string') return `'${value.replaceAll("'", "''")}'`;
  return String(value);
}

/** A database as it was at `version`, with the rows of one of today, as SQL. */
function asOf(version: number, today: Database.Database): string {
  const db = new Database(':memory:');
  for (const sql of steps.slice(0, version)) db.exec(sql);
  const schema = db
    .prepare(
      "SELECT name, sql, type FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%'",
    )
    .all() as { name: string; sql: string; type: string }[];
  const lines = schema.map(({ sql }) => `${sql};`);
  const columnsOf = (from: Database.Database, table: string): string[] =>
    (from.pragma(`table_info(${table})`) as { name: string }[]).map(({ name }) => name);
  const known = db.prepare('SELECT k FROM meta').pluck().all() as string[];
  for (const { name, type } of schema) {
    if (type !== 'table') continue;
    const now = columnsOf(today, name);
    const columns = columnsOf(db, name).filter((column) => now.includes(column));
    if (columns.length === 0) continue;
    for (const row of today
      .prepare(`SELECT ${columns.join(', ')} FROM ${name}`)
      .raw()
      .all()) {
      const values = row as unknown[];
      if (name === 'meta' && !known.includes(String(values[0]))) continue;
      lines.push(
        `INSERT INTO ${name} (${columns.join(', ')}) VALUES (${values.map(literal).join(', ')});`,
      );
    }
  }
  db.close();
  return `${lines.join('\n')}\nPRAGMA user_version = ${version};\n`;
}

t.test('QASID_WRITE_GOLDEN: files that are missing', async (t) => {
  if (process.env.QASID_WRITE_GOLDEN !== undefined) {
    const directory = fresh(t);
    const relay = await start(directory);
    const [alice, bob] = [newPerson(), newPerson()];
    const a = await TestClient.register(relay.url, alice, {
      username: 'alice',
      prekeys: fakePrekeys(1),
    });
    await (
      await TestClient.register(relay.url, bob, { username: 'bob', prekeys: fakePrekeys(1) })
    ).close();
    for (const text of ['first', 'second']) await a.send(bob, text);
    await relay.close();
    const today = new Database(join(directory, 'relay.db'));
    mkdirSync(fixtures, { recursive: true });
    const logins = JSON.stringify({ alice: loginOf(alice), bob: loginOf(bob) });
    for (const index of steps.keys()) {
      const file = fileOf(index + 1);
      if (!existsSync(file)) writeFileSync(file, `-- ${logins}\n${asOf(index + 1, today)}`);
    }
    today.close();
  }
  for (const index of steps.keys())
    t.ok(existsSync(fileOf(index + 1)), `schema ${index + 1}; if not: QASID_WRITE_GOLDEN=1`);
});

for (const index of steps.keys()) {
  const version = index + 1;
  t.test(`data of schema ${version} are migrated, and nothing is missing`, async (t) => {
    const directory = fresh(t);
    const sql = readFileSync(fileOf(version), 'utf8');
    const logins = JSON.parse(sql.slice(3, sql.indexOf('\n'))) as { alice: Login; bob: Login };
    const db = new Database(join(directory, 'relay.db'));
    db.exec(sql);
    t.equal(db.pragma('user_version', { simple: true }), version);
    db.close();
    const relay = await start(directory);
    const b = await TestClient.login(relay.url, personOf(logins.bob));
    await b.until(() => b.events.some(({ kind }) => kind === 'queueEmpty'), 30_000);
    t.strictSame(b.bodies(), ['first', 'second'], 'what waited is delivered');
    const a = await TestClient.login(relay.url, personOf(logins.alice));
    const account = toAccountId(Uint8Array.from(Buffer.from(logins.bob.account, 'hex')));
    t.match((await a.ask({ kind: 'lookup', username: 'bob' })).body, { account });
    const taken = await a.ask({ kind: 'takePrekeys', account, devices: [] });
    t.match(taken.body, {
      bundles: [{ oneTime: { id: 1 }, kem: { id: 1 }, kemLastResort: false }],
    });
    t.equal((await a.send(personOf(logins.bob), 'third')).code, 'CONFIRMED');
    await b.until(() => b.delivered.length === 3, 30_000);
    b.ack(b.delivered[2]!.seq);
    await b.ask({ kind: 'ping' });
    await a.close();
    await b.close();
    await relay.close();
    const report = verifyRelay(directory);
    t.match(report, { schema: steps.length, accounts: 2, envelopes: 0 });
    t.strictSame(report.problems, []);
  });
}
