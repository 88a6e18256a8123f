// The commit queue: what waits together is written together, in order, and no more than fits.
import { StoreError } from '@qasid/protocol/envelope';
import t from 'tap';
import { GroupCommit } from '#src/store/group-commit.js';
import { createMemoryStore } from '#src/store/memory.js';
import type { Write, WriteResults } from '#src/store/port.js';
import { HandClock, settle } from '../support/bench-relay.js';
import { newPerson } from '../support/client.js';
import { FaultyStore } from '../support/faulty.js';
import { appendWrite, enrol } from '../support/store-contract.js';

async function queue() {
  const store = new FaultyStore(
    createMemoryStore({ quota: { envelopesMax: 100_000, bytesMax: 1e12 } }),
  );
  const bob = newPerson();
  const mailbox = await enrol(store, bob);
  const clock = new HandClock();
  const batches: (readonly Write[])[] = [];
  const order: number[] = [];
  const failures: string[] = [];
  const writer = new GroupCommit(store, clock, {
    durable: (_: Write, result: WriteResults[Write['kind']]) => {
      if (result.kind === 'stored') order.push(result.placements[0]!.seq);
    },
    failed: (error) => failures.push(error.code),
  });
  store.before = (writes) => void batches.push(writes);
  const letter = (size = 10): Write & { kind: 'append' } => appendWrite(bob, 7, ['x'.repeat(size)]);
  return { store, bob, mailbox, clock, batches, order, failures, writer, letter };
}

/** Hold the store until `go` is called. */
function hold(store: FaultyStore): () => void {
  let go: () => void = () => undefined;
  store.before = () => new Promise((resolve) => (go = resolve));
  return () => {
    store.before = () => undefined;
    go();
  };
}

t.test('one turn of the event loop is one commit', async (t) => {
  const { writer, letter, batches, order } = await queue();
  await Promise.all([letter(), letter(), letter()].map((write) => writer.submit(write)));
  t.strictSame(
    batches.map((batch) => batch.length),
    [3],
  );
  t.strictSame(order, [1, 2, 3]);
});

t.test('while one commit runs the next one fills', async (t) => {
  const { store, writer, letter, batches } = await queue();
  const first = writer.submit(letter());
  let go: () => void = () => undefined;
  store.before = (writes) => {
    batches.push(writes);
    return batches.length === 1 ? new Promise((resolve) => (go = resolve)) : undefined;
  };
  await settle();
  const more = Array.from({ length: 40 }, () => writer.submit(letter()));
  await settle();
  t.equal(batches.length, 1);
  go();
  await Promise.all([first, ...more]);
  t.strictSame(
    batches.map((batch) => batch.length),
    [1, 40],
  );
});

t.test('a batch has at most 512 parts or 1 MiB, and at least one change', async (t) => {
  const { writer, letter, batches, clock } = await queue();
  const sends = [
    ...Array.from({ length: 600 }, () => writer.submit(letter())),
    ...Array.from({ length: 40 }, () => writer.submit(letter(60_000))),
  ];
  const done = Promise.all(sends);
  for (let turn = 0; turn < 6; turn++) await clock.pass(2);
  await done;
  t.equal(batches[0]?.length, 512);
  for (const batch of batches) {
    const bytes = batch.reduce(
      (sum, write) => sum + (write.kind === 'append' ? write.parts[0]!.body.length : 0),
      0,
    );
    t.ok(batch.length <= 512 && bytes <= 1_048_576, `${batch.length} changes, ${bytes} bytes`);
  }
});

t.test(
  'after a large batch the next gathers for 2 ms, after a small one it does not',
  async (t) => {
    const { writer, letter, batches, clock } = await queue();
    await Promise.all(Array.from({ length: 65 }, () => writer.submit(letter())));
    const late = writer.submit(letter());
    await settle();
    t.equal(batches.length, 1, 'waits for company');
    await clock.pass(2);
    await late;
    t.equal(batches.length, 2);
    await writer.submit(letter());
    t.equal(batches.length, 3, 'no waiting after a batch of one');
  },
);

t.test('acknowledgements ride along, or go alone after 50 ms', async (t) => {
  const { writer, letter, batches, clock, mailbox } = await queue();
  const ack = { kind: 'ack', mailbox, through: 1, also: [] } as const;
  const alone = writer.submit(ack);
  await settle();
  t.equal(batches.length, 0);
  await clock.pass(49);
  t.equal(batches.length, 0);
  await clock.pass(1);
  await alone;
  t.equal(batches.length, 1);
  const rides = writer.submit(ack);
  await writer.submit(letter());
  await rides;
  t.strictSame(
    batches[1]?.map(({ kind }) => kind),
    ['ack', 'append'],
  );
  const flushed = writer.submit(ack);
  await writer.flushed();
  await flushed;
});

t.test('a queue that is full says so, and takes acknowledgements still', async (t) => {
  const { store, writer, letter, mailbox } = await queue();
  const go = hold(store);
  const first = writer.submit(letter());
  await settle();
  const waiting = Array.from({ length: 19_999 }, () => writer.submit(letter(1)));
  t.equal(writer.isFull, false);
  waiting.push(writer.submit(letter(1)));
  t.equal(writer.isFull, true);
  const ack = writer.submit({ kind: 'ack', mailbox, through: 0, also: [] });
  ack.catch(() => undefined);
  writer.poison(new StoreError('STORE_FAILED', 'the test is over'));
  t.equal(writer.isFull, false);
  go();
  await first;
  const outcomes = await Promise.allSettled(waiting);
  t.ok(outcomes.every(({ status }) => status === 'rejected'));
  await t.rejects(writer.submit(letter()), { code: 'STORE_FAILED' }, 'poisoned for good');
});

t.test('a listener that throws neither repeats a commit nor stops the queue', async (t) => {
  const { store, bob, clock, letter } = await queue();
  const faults: unknown[] = [];
  const before = store.commits;
  const writer = new GroupCommit(store, clock, {
    durable: () => {
      throw new TypeError('a defect of the listener');
    },
    fault: (error) => faults.push(error),
    failed: () => t.fail('the commit did not fail'),
  });
  t.match(await writer.submit(letter()), { kind: 'stored' });
  t.match(await writer.submit(appendWrite(bob, 7, ['next'])), { kind: 'stored' });
  t.equal(faults.length, 2);
  t.equal(store.commits - before, 2);
});

t.test('a failure is told, and tried again in parts, in order', async (t) => {
  const { store, writer, letter, failures, order } = await queue();
  let calls = 0;
  store.before = () => {
    if (++calls === 1) throw new StoreError('STORE_FAILED', 'hiccup');
  };
  const sends = [letter(), letter(), letter()].map((write) => writer.submit(write));
  const results = await Promise.all(sends);
  t.strictSame(failures, ['STORE_FAILED']);
  const seqs = results.map((result) => (result.kind === 'stored' ? result.placements[0]!.seq : 0));
  t.strictSame(seqs, [1, 2, 3]);
  t.strictSame(order, [1, 2, 3]);
  store.before = () => {
    throw new TypeError('a fault of the adapter');
  };
  await t.rejects(writer.submit(letter()), { code: 'STORE_FAILED' });
});

t.test('without a promise: once, in order, and nobody who throws stops the others', async (t) => {
  const { store, clock, letter } = await queue();
  const heard: string[] = [];
  const faults: unknown[] = [];
  const writer = new GroupCommit(store, clock, {
    durable: () => void heard.push('hook'),
    fault: (error) => faults.push(error),
  });
  const failed = (error: StoreError): void => void heard.push(error.code);
  const broken = new Error('a listener');
  const throws = (): void => {
    throw broken;
  };
  writer.enqueue(letter(), throws, failed);
  writer.enqueue(letter(), () => heard.push('done'), failed);
  t.strictSame(heard, [], 'nothing is said before it is durable');
  await writer.flushed();
  t.strictSame(heard.splice(0), ['hook', 'hook', 'done']);
  t.strictSame(faults, [broken]);
  const go = hold(store);
  writer.enqueue(letter(), () => heard.push('done'), failed);
  await settle();
  writer.enqueue(letter(), () => heard.push('never'), failed);
  writer.poison(new StoreError('STORE_FAILED', 'gone'));
  t.strictSame(heard.splice(0), ['STORE_FAILED'], 'what was queued');
  writer.enqueue(letter(), () => heard.push('never'), failed);
  t.strictSame(heard.splice(0), ['STORE_FAILED'], 'what comes later, at once');
  go();
  await writer.flushed();
  t.strictSame(heard, ['hook', 'done'], 'what was on its way');
});
