// A damaged page: the mailbox on it errors, everything else goes on, and `verify` says so.
import { mkdtempSync, openSync, closeSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { provider } from '@qasid/protocol/crypto/node';
import { NO_QUOTAS, startRelay, verifyRelay } from '@qasid/relay';
import t from 'tap';
import { newPerson, TestClient } from '../support/client.js';

t.setTimeout(120_000);

const PAGE = 4_096;

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
    const letter = marker.repeat(2_000);
    const id = provider.randomBytes(16);
    t.equal((await a.send(bob, letter, id)).code, 'CONFIRMED');
    t.equal((await a.send(carol, 'for carol '.repeat(2_000))).code, 'CONFIRMED');
    await a.close();
    await relay.close();
    relay = await startRelay(options);
    t.teardown(() => relay.close());
    // The relay has checked the file at start; the disk fails afterwards. Break the chain of Bob's pages.
    const file = join(directory, 'relay.db');
    const bytes = readFileSync(file);
    const hit: number[] = [];
    for (let at = 0; at < bytes.length; at += PAGE) {
      if (bytes.subarray(at + 4, at + PAGE).indexOf(marker) !== -1) hit.push(at);
    }
    t.ok(hit.length > 4, `${hit.length} pages`);
    const disk = openSync(file, 'r+');
    writeSync(disk, Buffer.from([0x00, 0xff, 0xff, 0xf0]), 0, 4, hit[Math.floor(hit.length / 2)]!);
    closeSync(disk);

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
    // A repeat has to be compared with what is damaged: that commit cannot be done, the next ones can.
    t.equal((await a2.send(bob, letter, id)).code, 'UNAVAILABLE');
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
