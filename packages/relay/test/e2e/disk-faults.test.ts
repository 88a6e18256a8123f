// A disk that loses what was not synced, fills up, or takes a second for each sync: a whole relay on it.
// Built with gcc, preloaded: test/support/disk.c. QASID_POWER_CUTS sets the number of power cuts.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { provider } from '@qasid/protocol/crypto/node';
import { toHex } from '@qasid/protocol/envelope';
import t, { type Test } from 'tap';
import { Checker, inWords } from '../support/checker.js';
import { newPerson, type Person, TestClient } from '../support/client.js';
import { type RelayProcess, startProcess } from '../support/relay-process.js';

const CUTS = Number(process.env.QASID_POWER_CUTS ?? 4);

t.setTimeout(Math.max(300_000, CUTS * 30_000));

/** 13 §16: a slow disk does not hold up the event loop. Lower: the promise of the failure matrix is 50 ms. */
const LAG_MS_MAX = 50;

function hasCompiler(): boolean {
  try {
    execFileSync('gcc', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const skip = hasCompiler() ? false : 'gcc is not installed';

function fresh(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-disk-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function shim(directory: string): string {
  const file = join(directory, 'disk.so');
  const source = fileURLToPath(new URL('../../test/support/disk.c', import.meta.url));
  execFileSync('gcc', ['-shared', '-fPIC', '-O2', '-o', file, source, '-ldl']);
  return file;
}

/** Everything that waits for a person, into the book. */
async function drain(relay: RelayProcess, person: Person, book: Checker): Promise<void> {
  const client = await TestClient.login(relay.url, person);
  // Acknowledged as it comes, or the window would close before the end.
  client.autoAck = true;
  const first = client.delivered.at(-1)?.seq;
  if (first !== undefined) client.ack(first);
  await client.until(() => client.events.some(({ kind }) => kind === 'queueEmpty'));
  for (const { clientId, seq } of client.delivered) book.delivered('bob', toHex(clientId), seq);
  await client.close();
}

t.test(`ATK-I13 ${CUTS} power cuts: what was confirmed was on the disk`, { skip }, async (t) => {
  const root = fresh(t);
  const preload = shim(root);
  const [alice, bob] = [newPerson(), newPerson()];
  const book = new Checker();
  let data = join(root, 'data');
  mkdirSync(data);
  for (let round = 0; round <= CUTS; round++) {
    const synced = join(root, `synced-${round}`);
    mkdirSync(synced);
    const relay = await startProcess(data, {
      storeThread: round % 2 === 0 ? 'main' : 'worker',
      env: { LD_PRELOAD: preload, QASID_SYNCED_DIR: synced },
    });
    t.teardown(() => relay.kill());
    if (round === 0) {
      for (const person of [alice, bob])
        await (await TestClient.register(relay.url, person)).close();
    }
    await drain(relay, bob, book);
    const a = await TestClient.login(relay.url, alice);
    const until = performance.now() + 300 + Math.random() * 300;
    const sendMany = async (): Promise<void> => {
      while (performance.now() < until && round < CUTS) {
        const id = provider.randomBytes(16);
        book.attempted(toHex(id));
        if ((await a.send(bob, `${round}`, id)).code === 'CONFIRMED') book.confirmed(toHex(id));
      }
    };
    const sending = Promise.all([sendMany(), sendMany(), sendMany()]).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 200 + Math.random() * 300));
    // Gone, and with it all that was not synced: the disk has the files as of their last sync.
    await relay.kill();
    await sending;
    const next = join(root, `after-${round}`);
    mkdirSync(next);
    for (const name of readdirSync(data).filter((name) => name.endsWith('.key'))) {
      copyFileSync(join(data, name), join(next, name));
    }
    for (const name of readdirSync(data).filter((name) => /^relay\.db(-wal)?$/.test(name))) {
      if (readdirSync(synced).includes(name)) copyFileSync(join(synced, name), join(next, name));
      // Never synced by this process: as it was when the process started.
      else if (name === 'relay.db') copyFileSync(join(data, name), join(next, name));
    }
    data = next;
  }
  const verdict = book.verdict();
  t.strictSame(verdict.problems, []);
  t.ok(verdict.confirmed > CUTS * 5, `${verdict.confirmed}`);
  t.comment(`numbers: ${CUTS} power cuts, ${inWords(verdict)}`);
});

t.test(
  'ATK-I10 a full disk: refused, delivered on, and well again by itself',
  { skip },
  async (t) => {
    for (const storeThread of ['main', 'worker'] as const) {
      const root = fresh(t);
      const flag = join(root, 'full-now');
      const relay = await startProcess(join(root, 'data'), {
        storeThread,
        env: { LD_PRELOAD: shim(root), QASID_FULL_FILE: flag },
      });
      const [alice, bob, carol] = [newPerson(), newPerson(), newPerson()];
      const a = await TestClient.register(relay.url, alice);
      const b = await TestClient.register(relay.url, bob);
      await (await TestClient.register(relay.url, carol)).close();
      t.equal((await a.send(carol, 'before')).code, 'CONFIRMED');
      writeFileSync(flag, '');
      let refused = 0;
      for (let n = 0; n < 20; n++)
        if ((await a.send(bob, 'during')).code === 'UNAVAILABLE') refused++;
      t.equal(refused, 20);
      const c = await TestClient.login(relay.url, carol);
      await c.until(() => c.delivered.length === 1, 30_000);
      c.ack(c.delivered[0]!.seq);
      t.equal((await c.ask({ kind: 'ping' })).code, 'CONFIRMED', 'sockets live');
      rmSync(flag);
      let code: string | undefined;
      for (let n = 0; n < 300 && code !== 'CONFIRMED'; n++) {
        code = (await a.send(bob, 'after')).code;
      }
      t.equal(code, 'CONFIRMED', 'recovers by itself');
      await b.until(() => b.bodies().includes('after'), 30_000);
      t.notOk(b.bodies().includes('during'), 'what was refused is not there');
      for (const client of [a, b, c]) await client.close();
      t.equal(await relay.stop(), 0);
      t.comment(`numbers: store on ${storeThread}: ${refused} of 20 refused while full`);
    }
  },
);

t.test('ATK-I10 a disk that takes a second per sync: late, bounded, alive', { skip }, async (t) => {
  const root = fresh(t);
  const flag = join(root, 'slow-now');
  const relay = await startProcess(join(root, 'data'), {
    storeThread: 'worker',
    env: { LD_PRELOAD: shim(root), QASID_SLOW_FILE: flag },
  });
  t.teardown(() => relay.kill());
  const bob = newPerson();
  await (await TestClient.register(relay.url, bob)).close();
  const senders = await Promise.all(
    Array.from({ length: 8 }, () => TestClient.register(relay.url, newPerson())),
  );
  const before = await relay.stats();
  writeFileSync(flag, '');
  const counts: Record<string, number> = {};
  let isOver = false;
  t.teardown(() => {
    isOver = true;
  });
  const flood = Promise.all(
    senders.map(async (client) => {
      while (!isOver) {
        const answers = await Promise.all(
          Array.from({ length: 80 }, () => client.send(bob, 'x'.repeat(4_000))),
        );
        for (const { code } of answers) counts[code] = (counts[code] ?? 0) + 1;
      }
    }),
  );
  const idle = await TestClient.connect(relay.url);
  let slowest = 0;
  // Others use this machine too, and what they do to the loop passes; what the disk does is in every second.
  const lags: number[] = [];
  while (lags.length < 5 || (lags.length < 30 && Math.min(...lags) >= LAG_MS_MAX)) {
    await relay.stats();
    const end = performance.now() + 1_000;
    while (performance.now() < end) {
      const asked = performance.now();
      await idle.ask({ kind: 'ping' });
      slowest = Math.max(slowest, performance.now() - asked);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    lags.push((await relay.stats()).lagP99Ms);
  }
  isOver = true;
  const after = await relay.stats();
  rmSync(flag);
  await flood;
  t.ok((counts.CONFIRMED ?? 0) > 0, JSON.stringify(counts));
  t.ok((counts.BUSY ?? 0) > 0, 'above the limit senders are told to wait');
  const grown = (after.rssBytes - before.rssBytes) / 2 ** 20;
  t.ok(grown < 200, `memory grew by ${grown.toFixed(0)} MiB`);
  const lag = Math.min(...lags);
  t.ok(lag < LAG_MS_MAX, `event loop late by ${lag.toFixed(1)} ms at the 99th percentile`);
  t.ok(slowest < 5_000, `pings answered within ${slowest.toFixed(0)} ms`);
  for (const client of [...senders, idle]) await client.close();
  t.equal(await relay.stop(), 0);
  t.comment(
    `numbers: ${JSON.stringify(counts)}, loop lag p99 of a second ${lag.toFixed(1)} to ${Math.max(...lags).toFixed(1)} ms, ` +
      `slowest ping ${slowest.toFixed(0)} ms, memory +${grown.toFixed(0)} MiB`,
  );
});
