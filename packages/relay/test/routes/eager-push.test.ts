// Eager push: an envelope leaves while it is being written; it is confirmed only once it is written.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StoreError } from '@qasid/protocol/envelope';
import t, { type Test } from 'tap';
import type { Placed, RelayStore, Write, WriteResults } from '#src/store/port.js';
import { openSqliteStore } from '#src/store/sqlite.js';
import { openWorkerStore } from '#src/store/worker-store.js';
import { benchRelay, settle } from '../support/bench-relay.js';
import { newDevice, newPerson, part, sendOp } from '../support/client.js';
import { appendWrite, enrol, putDevices, registerWrite } from '../support/store-contract.js';

type Results = readonly WriteResults[Write['kind']][];

/** A store that says what a commit will do, and waits to be told how it ends. */
function slowDisk() {
  const disk = {
    isHeld: false,
    finish: (_error?: Error): void => undefined,
    early: 0,
  };
  const wrapStore = (inner: RelayStore): RelayStore => ({
    ...inner,
    commit: async (writes, placed) => {
      if (!disk.isHeld) return inner.commit(writes);
      const results = await inner.commit(writes);
      if (placed) disk.early++;
      placed?.(results);
      await new Promise<void>((resolve, reject) => {
        disk.finish = (error) => (error ? reject(error) : resolve());
      });
      return results;
    },
  });
  return { disk, wrapStore };
}

async function start(options: Parameters<typeof benchRelay>[0]) {
  const { disk, wrapStore } = slowDisk();
  const bench = await benchRelay({ requirePadding: false, ...options }, { wrapStore });
  const [alice, bob] = [newPerson(), newPerson()];
  const a = await bench.register(alice);
  const b = await bench.register(bob);
  await settle();
  const letter = (text: string, id?: Uint8Array<ArrayBuffer>) =>
    sendOp(bob, part(bob, new TextEncoder().encode(text), id));
  return { bench, disk, alice, bob, a, b, letter };
}

t.test(
  'the device has it before the sender is confirmed, once, and only with the flag',
  async (t) => {
    for (const eagerPush of [true, false]) {
      const { bench, disk, a, b, letter } = await start({ eagerPush });
      disk.isHeld = true;
      const [first, second] = a.post(letter('one'), letter('two'));
      await settle();
      t.strictSame(b.bodies(), eagerPush ? ['one', 'two'] : [], `flag ${eagerPush}`);
      t.equal(a.code(first), undefined, 'nothing is confirmed');
      disk.finish();
      await settle();
      t.strictSame([a.code(first), a.code(second)], ['CONFIRMED', 'CONFIRMED']);
      t.strictSame(b.bodies(), ['one', 'two'], 'no second copy');
      await bench.relay.close();
    }
  },
);

t.test('a commit that fails confirms nothing; the repeat has the same client id', async (t) => {
  const { bench, disk, a, b, letter } = await start({ eagerPush: true });
  const id = new Uint8Array(16).fill(7);
  disk.isHeld = true;
  const [sent] = a.post(letter('once', id));
  await settle();
  t.strictSame(b.bodies(), ['once']);
  disk.finish(new StoreError('STORE_FAILED', 'the disk is gone'));
  await settle();
  t.equal(a.code(sent), 'UNAVAILABLE');
  disk.isHeld = false;
  t.equal((await a.ask(letter('once', id))).code, 'CONFIRMED');
  const ids = new Set(b.delivered.map(({ clientId }) => clientId.join()));
  t.equal(ids.size, 1, 'whoever drops repeats shows it once');
  await bench.relay.close();
});

t.test('early pushes stay inside the window and behind the backlog', async (t) => {
  const { bench, disk, a, b, letter } = await start({ eagerPush: true, windowEnvelopes: 2 });
  disk.isHeld = true;
  a.post(letter('1'), letter('2'), letter('3'));
  await settle();
  t.strictSame(b.bodies(), ['1', '2'], 'no more than the window');
  disk.finish();
  await settle();
  disk.isHeld = false;
  b.post({ kind: 'ack', through: b.delivered.at(-1)!.seq, also: [] });
  await bench.clock.pass(60);
  t.strictSame(b.bodies(), ['1', '2', '3'], 'the rest follows, in order');
  // A socket whose buffer is full gets nothing early, and nothing out of order later.
  b.bufferedBytes = 1e9;
  disk.isHeld = true;
  a.post(letter('4'));
  await settle();
  t.equal(b.bodies().length, 3);
  disk.finish();
  await settle();
  disk.isHeld = false;
  b.bufferedBytes = 0;
  b.handler?.drained();
  await settle();
  t.strictSame(b.bodies(), ['1', '2', '3', '4']);
  await bench.relay.close();
});

function withStores(
  name: string,
  run: (t: Test, store: RelayStore, reopen: () => Promise<RelayStore>) => Promise<void>,
): void {
  for (const thread of ['main', 'worker'] as const) {
    t.test(`${name} (${thread})`, async (t) => {
      const directory = mkdtempSync(join(tmpdir(), 'qasid-eager-'));
      t.teardown(() => rmSync(directory, { recursive: true, force: true }));
      const quota = { envelopesMax: 10_000, bytesMax: 1e9 };
      const options = { directory, quota, synchronous: 'NORMAL', pagesMax: 100 } as const;
      const open = async (): Promise<RelayStore> =>
        (thread === 'main' ? openSqliteStore(options) : await openWorkerStore(options)).store;
      let store = await open();
      t.teardown(() => store.close());
      await run(t, store, async () => {
        await store.close();
        store = await open();
        return store;
      });
    });
  }
}

/** Commit, and what was said before. */
async function eager(store: RelayStore, writes: readonly Write[]) {
  let early: Results | undefined;
  const placed: Placed = (results) => {
    early = results;
  };
  const results = await store.commit(writes, placed).catch((error: StoreError) => error.code);
  return { early, results };
}

withStores('what is said early is what comes true', async (t, store) => {
  const bob = newPerson();
  await enrol(store, bob);
  const first = await eager(store, [appendWrite(bob, 7, ['a'])]);
  t.equal(first.early, undefined, 'the block of numbers is being reserved by this very commit');
  const second = await eager(store, [appendWrite(bob, 7, ['b']), appendWrite(bob, 7, ['c'])]);
  t.strictSame(second.early, second.results);
  const other = await eager(store, [registerWrite(newPerson()), appendWrite(bob, 7, ['d'])]);
  t.equal(other.early, undefined, 'accounts are changing');
  const devices = putDevices(bob, 2, [newDevice(bob, 1)]);
  t.equal((await eager(store, [devices, appendWrite(bob, 7, ['e'])])).early, undefined);
});

withStores(
  'ATK-I13 a number that was shown is spent, whatever becomes of it',
  async (t, store, reopen) => {
    const bob = newPerson();
    await enrol(store, bob);
    await store.commit([appendWrite(bob, 7, ['a'])]);
    const seqs = (results: Results | undefined): number[] =>
      (results ?? []).flatMap((result) =>
        result.kind === 'stored' ? result.placements.map(({ seq }) => seq) : [],
      );
    const { early } = await eager(store, [appendWrite(bob, 7, ['b'])]);
    const again = await reopen();
    const after = seqs(await again.commit([appendWrite(bob, 7, ['c'])]));
    t.ok(Math.min(...after) > Math.max(...seqs(early)), 'after a start');
  },
);

t.test('ATK-I13 a number that was shown is spent when its commit fails', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-eager-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const quota = { envelopesMax: 10_000, bytesMax: 1e9 };
  const { store } = openSqliteStore({ directory, quota, synchronous: 'NORMAL' });
  t.teardown(() => store.close());
  const bob = newPerson();
  await enrol(store, bob);
  await store.commit([appendWrite(bob, 7, ['a'])]);
  let shown = 0;
  const failing = store.commit([appendWrite(bob, 7, ['b'])], ([result]) => {
    if (result?.kind === 'stored') shown = result.placements[0]?.seq ?? 0;
    throw new Error('between the push and the commit');
  });
  await t.rejects(failing, { code: 'STORE_FAILED' });
  const [next] = await store.commit([appendWrite(bob, 7, ['c'])]);
  t.match(next, { kind: 'stored', placements: [{ seq: shown + 1 }] });
});

t.test('a batch leaves in one frame', async (t) => {
  const { bench, disk, a, b, letter } = await start({ eagerPush: true });
  disk.isHeld = true;
  const before = b.frames;
  a.post(letter('x'), letter('y'));
  await settle();
  t.equal(b.frames - before, 1, 'one frame for all of a batch');
  t.equal(disk.early, 1);
  disk.finish();
  await settle();
  await bench.relay.close();
});
