// The store thread dies at every step of its work: replaced once, nothing confirmed lost, nothing twice.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toHex } from '@qasid/protocol/envelope';
import { provider } from '@qasid/protocol/crypto/node';
import t from 'tap';
import { openWorkerStore } from '#src/store/worker-store.js';
import { benchRelay, settle } from '../support/bench-relay.js';
import { Checker, inWords } from '../support/checker.js';
import { newPerson, part, sendOp } from '../support/client.js';

t.setTimeout(240_000);

const STEPS = ['before', 'inside', 'after', 'reading', 'idle'] as const;
const entry = new URL('../support/dying-worker.js', import.meta.url);
const quota = { envelopesMax: 10_000, bytesMax: 1e9 };

async function relayOnThread(t: typeof import('tap').default | import('tap').Test) {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-thread-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const heard: string[] = [];
  let ready: (() => number) | undefined;
  const duringRestart: number[] = [];
  const { store } = await openWorkerStore(
    { directory, synchronous: 'NORMAL', quota },
    {
      restarting: () => {
        heard.push('restarting');
        duringRestart.push(ready?.() ?? 0);
      },
      ended: () => heard.push('ended'),
    },
    entry,
  );
  const bench = await benchRelay({}, { wrapStore: () => store });
  t.teardown(() => bench.relay.close());
  ready = () => bench.get('/readyz');
  return { ...bench, store, heard, duringRestart, die: join(directory, 'die') };
}

/** Until it holds, in real time: threads have a time of their own. */
async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 60_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error('waited in vain');
    await settle(1);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

for (const step of STEPS) {
  t.test(`ATK-I13 the store thread ends: ${step}`, async (t) => {
    const { connect, store, heard, duringRestart, die, get, clock } = await relayOnThread(t);
    const book = new Checker();
    const [alice, bob] = [newPerson(), newPerson()];
    const enter = async (person: typeof alice, isNew: boolean) => {
      const socket = await connect();
      await until(() => socket.events.length > 0);
      const [id] = socket.post(isNew ? socket.registration(person) : socket.proof(person));
      await until(() => socket.code(id) !== undefined);
      t.equal(socket.code(id), 'CONFIRMED');
      return socket;
    };
    const a = await enter(alice, true);
    let b = await enter(bob, true);
    for (let n = 0; n < 60; n++) {
      const piece = part(bob, new TextEncoder().encode(`${n}`), provider.randomBytes(16));
      book.attempted(toHex(piece.clientId));
      if (n === 30) {
        writeFileSync(die, step);
        // A reader that comes now makes the thread read.
        if (step === 'reading') {
          b = await connect();
          await until(() => b.events.length > 0);
          b.post(b.proof(bob));
        }
      }
      for (let attempt = 0; ; attempt++) {
        const [id] = a.post(sendOp(bob, piece));
        await until(() => a.code(id) !== undefined);
        const code = a.code(id);
        if (code === 'CONFIRMED') break;
        t.equal(code, 'UNAVAILABLE', `letter ${n}`);
        if (attempt > 20) throw new Error('never confirmed');
      }
      book.confirmed(toHex(piece.clientId));
    }
    if (step === 'idle') await until(() => heard.length > 0);
    await until(() => store.isUp);
    t.strictSame(heard, ['restarting']);
    t.strictSame(duringRestart, [503], 'not ready while it was away');
    t.equal(get('/readyz'), 200);
    b = await enter(bob, false);
    await until(() => b.delivered.length >= 60);
    for (const { clientId, seq } of b.delivered) book.delivered('bob', toHex(clientId), seq);
    t.strictSame(book.verdict().problems, []);
    b.post({ kind: 'ack', through: b.delivered.at(-1)!.seq, also: [] });
    await clock.pass(60);
    await until(() => b.responses.size > 0);
    t.equal((await store.totals()).envelopes, 0, 'nothing is left');
    t.comment(`numbers: ${inWords(book.verdict())}; thread replaced once`);
  });
}

t.test('a thread that dies again ends the relay, and nothing is confirmed', async (t) => {
  const { connect, store, heard, die, get, relay } = await relayOnThread(t);
  const [alice, bob] = [newPerson(), newPerson()];
  for (const person of [alice, bob]) {
    const socket = await connect();
    const [id] = socket.post(socket.registration(person));
    await until(() => socket.code(id) === 'CONFIRMED');
  }
  const a = await connect();
  const [proof] = a.post(a.proof(alice));
  await until(() => a.code(proof) === 'CONFIRMED');
  writeFileSync(die, 'before always');
  const [id] = a.post(sendOp(bob, part(bob, new TextEncoder().encode('x'))));
  await until(() => a.code(id) !== undefined);
  t.equal(a.code(id), 'UNAVAILABLE');
  const [again] = a.post(sendOp(bob, part(bob, new TextEncoder().encode('y'))));
  await until(() => a.code(again) !== undefined);
  t.equal(a.code(again), 'UNAVAILABLE');
  await until(() => heard.includes('ended'));
  t.strictSame(heard, ['restarting', 'ended']);
  t.equal(store.isUp, false);
  t.equal(get('/readyz'), 503);
  const [third] = a.post(sendOp(bob, part(bob, new TextEncoder().encode('z'))));
  await until(() => a.code(third) !== undefined);
  t.equal(a.code(third), 'UNAVAILABLE');
  t.match(await relay.failed, { code: 'RELAY_STORE_FAILED' });
});
