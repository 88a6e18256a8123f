// A damaged page: the mailbox on it errors, everything else goes on, and `verify` says so.
import { mkdtempSync, openSync, closeSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NO_QUOTAS, startRelay, verifyRelay } from '@qasid/relay';
import Database from 'better-sqlite3';
import t from 'tap';
import { FatalStoreError } from '#src/store/port.js';
import { openSqliteStore } from '#src/store/sqlite.js';
import { newPerson, TestClient } from '../support/client.js';
import { appendWrite, enrol } from '../support/store-contract.js';

t.setTimeout(120_000);

const PAGE = 4_096;

/** Break the chain of pages that hold a long text. */
function breakChain(file: string, marker: string): void {
  const bytes = readFileSync(file);
  const hit: number[] = [];
  for (let at = 0; at < bytes.length; at += PAGE) {
    if (bytes.subarray(at + 4, at + PAGE).includes(marker)) hit.push(at);
  }
  if (hit.length < 5) throw new Error(`${hit.length} pages`);
  const disk = openSync(file, 'r+');
  writeSync(disk, Buffer.from([0x00, 0xff, 0xff, 0xf0]), 0, 4, hit[Math.floor(hit.length / 2)]!);
  closeSync(disk);
  // A write by somebody else makes the store forget the pages it read when it checked them at start.
  const other = new Database(file);
  other.exec("UPDATE meta SET v = v + 1 WHERE k = 'seq_reserved'");
  other.close();
}

t.test(
  'a commit that meets damage fails alone: it is undone, and the next one works',
  async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'qasid-damage-'));
    t.teardown(() => rmSync(directory, { recursive: true, force: true }));
    const quota = { envelopesMax: 100, bytesMax: 1e9 };
    const first = openSqliteStore({ directory, quota }).store;
    const [bob, carol] = [newPerson(), newPerson()];
    const toBob = await enrol(first, bob);
    await enrol(first, carol);
    const marker = 'BOB-OVERFLOW-';
    await first.commit([appendWrite(bob, 7, [marker.repeat(2_000)])]);
    await first.close();
    const { store } = openSqliteStore({ directory, quota });
    t.teardown(() => store.close());
    breakChain(join(directory, 'relay.db'), marker);
    const ack = { kind: 'ack', mailbox: toBob, through: 1e9, also: [] } as const;
    const error = await store.commit([ack]).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    t.match(error, { code: 'STORE_CORRUPT' });
    t.notOk(error instanceof FatalStoreError, 'no reason to stop everything');
    t.match(await store.commit([appendWrite(carol, 7, ['goes on'])]), [{ kind: 'stored' }]);
  },
);

for (const storeThread of ['main', 'worker'] as const) {
  t.test(`a damaged page spoils its mailbox and no other, store on ${storeThread}`, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'qasid-damage-'));
    t.teardown(() => rmSync(directory, { recursive: true, force: true }));
    const options = {
      directory,
      storeThread,
      quotas: NO_QUOTAS,
      requirePadding: false,
      port: 0,
      logLevel: 'silent',
    } as const;
    let relay = await startRelay(options);
    const [alice, bob, carol] = [newPerson(), newPerson(), newPerson()];
    const a = await TestClient.register(relay.url, alice);
    for (const person of [bob, carol]) await (await TestClient.register(relay.url, person)).close();
    // Long ones: each has pages of its own, of which the damaged one is in the middle.
    const marker = 'BOB-OVERFLOW-';
    t.equal((await a.send(bob, marker.repeat(2_000))).code, 'CONFIRMED');
    t.equal((await a.send(carol, 'for carol '.repeat(2_000))).code, 'CONFIRMED');
    await a.close();
    await relay.close();
    relay = await startRelay(options);
    t.teardown(() => relay.close());
    // The relay has checked the file at start; the disk fails afterwards.
    breakChain(join(directory, 'relay.db'), marker);

    const b = await TestClient.login(relay.url, bob).catch((error: Error) => error);
    if (b instanceof TestClient) {
      await b.until(() => b.closeCode !== undefined, 30_000);
      t.equal(b.closeCode, 4500, 'the damaged mailbox errors');
      t.strictSame(b.delivered.length, 0);
    } else t.match(b.message, /closed/);
    const c = await TestClient.login(relay.url, carol);
    await c.until(() => c.delivered.length === 1, 30_000);
    c.ack(c.delivered[0]!.seq);
    const a2 = await TestClient.login(relay.url, alice);
    for (let n = 0; n < 10; n++) t.equal((await a2.send(carol, `go on ${n}`)).code, 'CONFIRMED');
    await c.until(() => c.delivered.length === 11, 30_000);
    await c.close();
    await a2.close();
    const state = await Promise.race([relay.failed.then(() => 'failed'), Promise.resolve('up')]);
    t.equal(state, 'up');
    const { problems } = verifyRelay(directory);
    t.ok(problems.length > 0, 'verify reports it');
    t.notOk(problems.some((line) => line.includes(marker)));
    t.comment(
      `numbers: 1 of 2 mailboxes damaged, 11 letters delivered in the other; ${problems[0]}`,
    );
  });
}
