// What every store must do while commits fail, hang and lose their answers: one run with a book, behind the
// commit queue, as the relay uses it. QASID_FAULT_RUNS raises the number of messages.
import { provider } from '@qasid/protocol/crypto/node';
import { toHex } from '@qasid/protocol/envelope';
import type { Test } from 'tap';
import { systemClock } from '#src/clock.js';
import { GroupCommit } from '#src/store/group-commit.js';
import type { ResultOf, Write } from '#src/store/port.js';
import { Checker, inWords } from './checker.js';
import { fakePrekeys, newPerson } from './client.js';
import { FaultyStore, type StoreFaults } from './faulty.js';
import { seededRandom } from './random.js';
import { type Adapter, appendWrite, enrol } from './store-contract.js';

const SENDERS = 4;
const READERS = 3;
const MESSAGES = Number(process.env.QASID_FAULT_RUNS ?? 60);

/** Run senders, readers and takers over a faulty store; judge the book. */
export async function storeUnderFaults(
  t: Test,
  adapter: Adapter,
  faults: StoreFaults,
  seed: number,
): Promise<void> {
  const random = seededRandom(seed);
  const store = new FaultyStore(await adapter.open({}));
  t.teardown(() => store.close());
  // The relay's timers do not keep a process alive; its sockets do.
  const alive = setInterval(() => undefined, 1_000);
  t.teardown(() => clearInterval(alive));
  const writer = new GroupCommit(store, systemClock);
  const book = new Checker();
  const readers = await Promise.all(
    Array.from({ length: READERS }, async () => {
      const person = newPerson();
      return { person, mailbox: await enrol(store, person) };
    }),
  );
  const target = newPerson();
  await enrol(store, target, { prekeys: fakePrekeys(40) });
  store.failAtRandom(random, faults);

  /** Once more until it is certain. Only what may be repeated goes through here. */
  const surely = async <W extends Write>(write: W): Promise<ResultOf<W>> => {
    for (;;) {
      try {
        return await writer.submit(write);
      } catch {
        // Refused, or nobody knows: again.
      }
    }
  };
  const send = async (sender: number): Promise<void> => {
    for (let n = 0; n < MESSAGES; n++) {
      const { person } = readers[Math.floor(random() * READERS)]!;
      const clientId = provider.randomBytes(16);
      book.attempted(toHex(clientId));
      const result = await surely(
        appendWrite(person, 1_000 + sender, [`${sender} ${n}`], clientId),
      );
      if (result.kind === 'stored') book.confirmed(toHex(clientId));
      else t.fail(result.kind);
    }
  };
  const take = async (): Promise<void> => {
    for (let n = 0; n < 30; n++) {
      const { account } = target;
      const write = { kind: 'takePrekeys', account, devices: [], lastResortOnly: false } as const;
      // A take whose answer got lost is not repeated by anybody: its key is gone, and that is all.
      const result = await writer.submit(write).catch(() => undefined);
      if (result?.kind !== 'taken') continue;
      for (const { oneTime, kem, kemLastResort } of result.bundles) {
        if (oneTime) book.prekey('target', 'curve', oneTime.id);
        if (!kemLastResort) book.prekey('target', 'kem', kem.id);
      }
    }
  };
  let isOver = false;
  const read = async ({ mailbox }: (typeof readers)[number]): Promise<void> => {
    let after = 0;
    for (let isDone = false; !isDone; ) {
      const isComplete = isOver;
      const page = await store.read(mailbox, after, 5, 1e6);
      isDone = isComplete && page.isLast;
      for (const { seq, clientId } of page.rows) {
        book.delivered(String(mailbox), toHex(clientId), seq);
        after = seq;
      }
      // Now and then only, and from the start again: what was not acknowledged comes again.
      if (random() < 0.3) {
        await writer
          .submit({ kind: 'ack', mailbox, through: after, also: [] })
          .catch(() => undefined);
        if (random() < 0.3) after = 0;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const reading = Promise.all(readers.map(read));
  await Promise.all([...Array.from({ length: SENDERS }, (_, sender) => send(sender)), take()]);
  isOver = true;
  await reading;
  store.heal();
  for (const { mailbox } of readers) {
    await writer.submit({ kind: 'ack', mailbox, through: Number.MAX_SAFE_INTEGER, also: [] });
  }
  const verdict = book.verdict();
  t.strictSame(verdict.problems, []);
  t.match(verdict, { confirmed: SENDERS * MESSAGES, shown: SENDERS * MESSAGES });
  t.equal((await store.totals()).envelopes, 0, 'nothing is left');
  const { before, after, delayed } = store.done;
  t.ok(before + after + delayed > 20, 'faults happened');
  t.comment(`${inWords(verdict)}; ${before} refused, ${after} answers lost, ${delayed} late`);
}
