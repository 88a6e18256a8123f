// Receipts against a clock that a test moves: how many leave, and when.
import { defaultCrypto, fromHex, ProtoWriter, toHex } from '@qasid/protocol';
import { MemoryStore, type Clock } from '@qasid/client-sdk';
import t from 'tap';

import { decodeContent } from '../../dist/content/index.js';
import { newConversation } from '../../dist/content/conversation-state.js';
import { Receipts } from '../../dist/receipts.js';
import { Batch } from '../../dist/timeline/batch.js';
import { DUE_MAX, owe as oweIn, oweNothing } from '../../dist/timeline/receipts-due.js';
import { ACCOUNT, CONTACT, OTHER } from '../support/rows.js';

/** Time that stands still until it is moved. */
class ManualClock implements Clock {
  #nowMs = 1_700_000_000_000;
  readonly #timers = new Set<{ readonly at: number; readonly action: () => void }>();

  now(): number {
    return this.#nowMs;
  }

  after(delayMs: number, action: () => void): { cancel(): void } {
    const timer = { at: this.#nowMs + delayMs, action };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  async move(ms: number): Promise<void> {
    const end = this.#nowMs + ms;
    for (;;) {
      const next = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.at);
      next.action();
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#nowMs = end;
  }
}

async function workshop(policy = { delivered: true, read: true }) {
  const store = new MemoryStore();
  const clock = new ManualClock();
  const receipts = new Receipts({
    store,
    clock,
    crypto: defaultCrypto,
    dice: () => 0,
    policy,
    onTrouble: (error) => {
      throw error;
    },
  });
  const batch = new Batch(store);
  await batch.setConversation(OTHER, newConversation('accepted'));
  await store.commit({ extra: { ...batch.toExtra(), contacts: [CONTACT] } });
  const owe = async (kind: 'delivered' | 'read', ...ids: string[]): Promise<void> => {
    const batch = new Batch(store);
    await oweIn(batch, OTHER, kind, ids);
    await store.commit({ extra: batch.toExtra() });
    receipts.poke();
  };
  const sent = async () =>
    (await store.loadOutbox({ limit: 10_000 })).map(({ kind, content }) => {
      const { body } = decodeContent(content);
      if (kind !== 'receipt' || body.kind !== 'receipt') throw new Error('not a receipt');
      return { delivered: body.delivered.map(toHex), read: body.read.map(toHex) };
    });
  return { store, clock, receipts, owe, sent };
}

function id(at: number): string {
  return at.toString(16).padStart(32, '0');
}

t.test('ATK-D05 1 000 probes, one a second: at most one receipt an interval', async (t) => {
  const { clock, owe, sent } = await workshop();
  for (let at = 0; at < 1_000; at++) {
    await owe('delivered', id(at));
    await clock.move(1_000);
  }
  await clock.move(120_000);
  const all = await sent();
  t.ok(all.length <= 1 + 1_120 / 60, `${all.length} receipts in 1 120 seconds`);
  t.equal(
    new Set(all.flatMap(({ delivered }) => delivered)).size,
    1_000,
    'and nothing is forgotten',
  );
});

t.test('ATK-D05 a burst of 1 000: one receipt a minute, whatever came', async (t) => {
  const { clock, owe, sent } = await workshop();
  for (let at = 0; at < 1_000; at++) await owe('delivered', id(at));
  await clock.move(20_000);
  t.equal((await sent()).length, 1);
  t.equal((await sent())[0]?.delivered.length, 256);
  await clock.move(59_000);
  t.ok((await sent()).length <= 2);
  await clock.move(600_000);
  t.equal((await sent()).flatMap(({ delivered }) => delivered).length, 1_000);
});

t.test('read takes the place of delivered, and each is told once', async (t) => {
  const { clock, owe, sent } = await workshop();
  await owe('delivered', id(1), id(2));
  await owe('read', id(2));
  await owe('delivered', id(2));
  await clock.move(20_000);
  t.strictSame(await sent(), [{ delivered: [id(1)], read: [id(2)] }]);
});

t.test('a person may turn them off, and block', async (t) => {
  const silent = await workshop({ delivered: true, read: false });
  await silent.owe('read', id(1));
  await silent.clock.move(20_000);
  t.strictSame(await silent.sent(), [{ delivered: [id(1)], read: [] }]);
  const none = await workshop({ delivered: false, read: false });
  await none.owe('read', id(1));
  await none.clock.move(20_000);
  t.strictSame(await none.sent(), []);
  t.strictSame(await none.store.loadRecords('receipts'), []);
  const blocked = await workshop();
  await blocked.owe('delivered', id(1));
  const batch = new Batch(blocked.store);
  await batch.setConversation(OTHER, newConversation('blocked'));
  await blocked.store.commit({ extra: batch.toExtra() });
  await blocked.clock.move(20_000);
  t.strictSame(await blocked.sent(), []);
  t.strictSame(await blocked.store.loadRecords('receipts'), []);
});

t.test('a message costs as much when thousands are due as when none is', async (t) => {
  const { store } = await workshop();
  const bytes: number[] = [];
  for (let at = 0; at < 5_000; at++) {
    const batch = new Batch(store);
    await oweIn(batch, OTHER, 'delivered', [id(at)]);
    const extra = batch.toExtra();
    bytes.push((extra.records ?? []).reduce((sum, { value }) => sum + (value?.length ?? 0), 0));
    await store.commit({ extra });
  }
  t.equal(Math.max(...bytes), bytes[0]);
});

t.test('no more than a bound is kept, and the newest of it', async (t) => {
  const { clock, owe, sent, store } = await workshop();
  const all = Array.from({ length: DUE_MAX + 10 }, (_, at) => id(at));
  await owe('read', ...all);
  t.equal((await store.loadRecords('receipts')).length, DUE_MAX);
  await owe('delivered', ...all.slice(0, 10));
  await clock.move(60_000 * 40);
  const told = await sent();
  t.strictSame(new Set(told.flatMap(({ read }) => read)), new Set(all.slice(20)));
  t.equal(told.flatMap(({ delivered }) => delivered).length, 10);
  t.strictSame(await store.loadRecords('receipts'), []);
});

t.test(
  'clearing forgets what is due to one account alone, also what the batch just owed',
  async (t) => {
    const { store, owe } = await workshop();
    await owe('delivered', id(1), id(2));
    const batch = new Batch(store);
    await oweIn(batch, ACCOUNT, 'read', [id(3)]);
    await store.commit({ extra: batch.toExtra() });
    const clearing = new Batch(store);
    await oweIn(clearing, OTHER, 'read', [id(2), id(4)]);
    await oweNothing(clearing, OTHER);
    await store.commit({ extra: clearing.toExtra() });
    t.strictSame(
      (await store.loadRecords('receipts')).map(({ key }) => key),
      [`${ACCOUNT}/${id(3)}`],
    );
  },
);

t.test('what the first version owed is told, though it kept one record an account', async (t) => {
  const { store, clock, owe, sent } = await workshop();
  const writer = new ProtoWriter();
  for (let at = 0; at < 300; at++) writer.bytes(1, fromHex(id(at))!);
  for (let at = 300; at < 310; at++) writer.bytes(2, fromHex(id(at))!);
  const value = writer.finish();
  await store.commit({
    extra: { records: [{ space: 'receipts', key: OTHER, value, expectedVersion: 0 }] },
  });
  await owe('read', id(999));
  await clock.move(200_000);
  const told = await sent();
  t.equal(told[0]?.delivered.length, 256);
  t.strictSame(
    told.flatMap(({ delivered }) => delivered),
    Array.from({ length: 300 }, (_, at) => id(at)),
  );
  t.strictSame(
    told.flatMap(({ read }) => read),
    [...Array.from({ length: 10 }, (_, at) => id(300 + at)), id(999)],
  );
  t.strictSame(await store.loadRecords('receipts'), []);
});
