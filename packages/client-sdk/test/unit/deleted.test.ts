// What a person deleted does not come back when its sender sends it again: repair sends to all devices of an account.
import { MemoryStore } from '@qasid/client-sdk';
import { VirtualClock } from '@qasid/client-sdk/testing';
import t from 'tap';

import { newConversation } from '../../dist/content/conversation-state.js';
import { Expiry } from '../../dist/expiry.js';
import { Batch } from '../../dist/timeline/batch.js';
import { forgetGone, noteGone } from '../../dist/timeline/gone.js';
import { idBytes } from '../../dist/timeline/ids.js';
import { clearConversation } from '../../dist/timeline/sync.js';
import { ALICE, BOB, Reader, ref, Writer, type Sent } from '../support/timeline.js';

const HOUR_MS = 60 * 60_000;

async function clear(reader: Reader): Promise<void> {
  const batch = new Batch(reader.store);
  await clearConversation(batch, ALICE);
  await reader.store.commit({ extra: batch.toExtra() });
}

async function texts(reader: Reader): Promise<string[]> {
  return (await reader.rows(ALICE)).map(({ text }) => text);
}

async function takeAll(reader: Reader, sent: readonly Sent[]): Promise<void> {
  for (const one of sent) await reader.take(one, ALICE);
}

function write(alice: Writer, count: number): Sent[] {
  return Array.from({ length: count }, (_, at) => alice.text(`${at + 1}`));
}

t.test('a cleared conversation: what came is not shown again, what never came is', async (t) => {
  const bob = new Reader(BOB);
  const alice = new Writer(ALICE);
  const sent = write(alice, 100);
  const lost = sent.splice(10, 1);
  await takeAll(bob, sent);
  await clear(bob);
  await takeAll(bob, sent);
  t.strictSame(await texts(bob), [], 'the last ones, and those of long before');
  await takeAll(bob, lost);
  t.strictSame(await texts(bob), ['11'], 'nobody ever saw this one');
  await takeAll(bob, write(alice, 40));
  await takeAll(bob, sent);
  t.equal((await texts(bob)).length, 41, 'and life goes on');
});

t.test('a device that joined later and cleared what it was given', async (t) => {
  const bob = new Reader(BOB, 2);
  const alice = new Writer(ALICE);
  const [one, two, three, four, five] = write(alice, 5);
  await bob.take(three!, ALICE);
  await bob.take(five!, ALICE);
  await clear(bob);
  await takeAll(bob, [one!, two!, three!]);
  t.strictSame(await texts(bob), []);
  await bob.take(four!, ALICE);
  t.strictSame(await texts(bob), ['4'], 'a loss is a loss');
});

t.test('what another device of the account removed', async (t) => {
  const bob = new Reader(BOB, 2);
  const alice = new Writer(ALICE);
  const sent = write(alice, 40);
  await takeAll(bob, sent);
  const action = { kind: 'removed', messages: [ref(sent[0]!)] } as const;
  const removal = new Writer(BOB).write({ kind: 'sync', conversation: idBytes(ALICE), action });
  await bob.take(removal, BOB);
  t.equal((await texts(bob)).length, 39);
  await bob.take(sent[0]!, ALICE);
  t.equal((await texts(bob)).length, 39);
});

t.test('a message that was removed, or that the conversation no longer keeps', async (t) => {
  const clock = new VirtualClock();
  const bob = new Reader(BOB);
  const alice = new Writer(ALICE);
  bob.nowMs = clock.now();
  const sent = write(alice, 50);
  await takeAll(bob, sent);
  const [first] = await bob.rows(ALICE);
  const batch = new Batch(bob.store);
  await noteGone(batch, [first!], bob.nowMs);
  batch.remove(first!.seq);
  await bob.store.commit({ extra: batch.toExtra() });
  await bob.take(sent[0]!, ALICE);
  t.equal((await texts(bob)).length, 49, 'removed');
  const keeping = new Batch(bob.store);
  const state = newConversation('accepted');
  const settings = { ...state.settings, retentionSeconds: 60 };
  await keeping.setConversation(ALICE, { ...state, settings });
  await bob.store.commit({ extra: keeping.toExtra() });
  await clock.advance(2 * HOUR_MS);
  bob.nowMs = clock.now();
  const expiry = new Expiry({
    store: bob.store,
    clock,
    onRemoved: () => undefined,
    onTrouble: (error) => {
      throw error;
    },
  });
  expiry.start();
  await clock.until(async () => (await texts(bob)).length === 0, HOUR_MS);
  await expiry.stop();
  t.strictSame(await texts(bob), []);
  await takeAll(bob, sent.slice(0, 18));
  t.strictSame(await texts(bob), [], 'no longer kept');
});

t.test('what is remembered of deleted messages is forgotten after two days', async (t) => {
  const store = new MemoryStore();
  const bob = new Reader(BOB);
  const alice = new Writer(ALICE);
  await takeAll(bob, write(alice, 3));
  const rows = await bob.rows(ALICE);
  const note = async (nowMs: number): Promise<number> => {
    const batch = new Batch(store);
    await noteGone(batch, rows, nowMs);
    await store.commit({ extra: batch.toExtra() });
    return (await store.loadRecords('gone')).length;
  };
  t.equal(await note(bob.nowMs + 49 * HOUR_MS), 0, 'too old to be sent again');
  t.equal(await note(bob.nowMs), 3);
  await forgetGone(store, bob.nowMs + 47 * HOUR_MS);
  t.equal((await store.loadRecords('gone')).length, 3);
  await forgetGone(store, bob.nowMs + 49 * HOUR_MS);
  t.equal((await store.loadRecords('gone')).length, 0);
});
