// A relay that drops, holds back and shuffles: every loss is told, nothing is shown out of order for good.
import type { Gap } from '@qasid/client-sdk';
import type { Item } from '@qasid/protocol/envelope';
import t from 'tap';

import { delivery, evilDial, type Lies } from '../support/evil.js';
import { Inbox, person, testRelay, until } from '../support/world.js';

const LONG = 45_000;

/** What is missing after all gaps and healings told so far. */
function missing(gaps: readonly Gap[]): number[] {
  const open = new Set<number>();
  for (const { from, to, cause } of gaps) {
    for (let counter = from; counter <= to; counter++) {
      if (cause === 'missing') open.add(counter);
      else if (cause !== 'forked') open.delete(counter);
    }
  }
  return [...open].sort((a, b) => a - b);
}

t.test(
  'ATK-I01 a relay drops every third message: each loss is told, none is silent',
  async (t) => {
    const relay = await testRelay(t);
    let count = 0;
    const lies: Lies = {
      // Swallowed, and acknowledged in the client's name by what comes after it.
      toClient: (item) => (delivery(item) !== undefined && ++count % 3 === 0 ? [] : [item]),
    };
    const alice = await person(t, relay, 'alice');
    const bob = await person(t, relay, 'bob', { socket: evilDial(lies) });
    const gaps: Gap[] = [];
    bob.on('gap', (gap) => gaps.push(gap));
    const sees = new Inbox(bob);
    for (let at = 1; at <= 31; at++) await (await alice.send('bob', `${at}`)).confirmed;
    await until(() => sees.texts.includes('31'), LONG);
    const got = sees.texts.map(Number);
    const lost = Array.from({ length: 31 }, (_, at) => at + 1).filter((at) => !got.includes(at));
    t.ok(lost.length >= 9, `${lost.length} lost`);
    t.strictSame(missing(gaps), lost);
    t.ok(gaps.every(({ account, device }) => account === alice.me.account && device === 1));
  },
);

t.test('ATK-I01 the very first message, and a reaction', async (t) => {
  const relay = await testRelay(t);
  let drop = 1;
  const lies: Lies = {
    toClient: (item) => (delivery(item) !== undefined && drop-- > 0 ? [] : [item]),
  };
  const alice = await person(t, relay, 'alice');
  const bob = await person(t, relay, 'bob', { socket: evilDial(lies) });
  const gaps: Gap[] = [];
  bob.on('gap', (gap) => gaps.push(gap));
  const sees = new Inbox(bob);
  await (await alice.send('bob', 'first')).confirmed;
  await (await alice.send('bob', 'second')).confirmed;
  await sees.reach(1, LONG);
  t.strictSame(missing(gaps), [1]);
  drop = 1;
  const chat = await alice.conversation('bob');
  const [second] = await chat.messages({ limit: 1 });
  await (await chat.react(second!, '👍')).confirmed;
  await (await chat.send('third')).confirmed;
  await sees.reach(2, LONG);
  t.strictSame(missing(gaps), [1, 3], 'a change that is missing is a loss too');
});

t.test('ATK-I02 a relay shuffles: shown in the order they were written', async (t) => {
  const relay = await testRelay(t);
  let held: Item[] = [];
  const lies: Lies = {
    // Gathers eight and gives them back to front.
    toClient(item) {
      if (delivery(item) === undefined) return [item];
      held.push(item);
      if (held.length < 8) return [];
      const turned = held.reverse();
      held = [];
      return turned;
    },
  };
  const alice = await person(t, relay, 'alice');
  const bob = await person(t, relay, 'bob', { socket: evilDial(lies) });
  const gaps: Gap[] = [];
  bob.on('gap', (gap) => gaps.push(gap));
  const sees = new Inbox(bob);
  const texts = Array.from({ length: 24 }, (_, at) => `${at}`);
  for (const text of texts) await (await alice.send('bob', text)).confirmed;
  await sees.reach(24, LONG);
  t.notSame(sees.texts, texts, 'they came in another order');
  const chat = await bob.conversation('alice');
  t.strictSame(
    (await chat.messages({ limit: 100 })).map(({ text }) => text),
    texts,
  );
  await until(() => missing(gaps).length === 0, LONG);
  t.ok(
    gaps.some(({ cause }) => cause === 'missing'),
    'and it was told',
  );
});

t.test('what the sender gave up is no loss', async (t) => {
  const relay = await testRelay(t);
  let refuse = false;
  const lies: Lies = {
    toClient(item, asked) {
      if (!refuse || item.kind !== 'response' || asked?.kind !== 'send') return [item];
      return [{ ...item, code: 'MAILBOX_FULL' }];
    },
    // Refused by the relay means that it never got there.
    toRelay(item) {
      return [item];
    },
  };
  const swallow: Lies = {
    toClient: (item) => (refuse && delivery(item) !== undefined ? [] : [item]),
  };
  const alice = await person(t, relay, 'alice', { socket: evilDial(lies) });
  const bob = await person(t, relay, 'bob', { socket: evilDial(swallow) });
  const gaps: Gap[] = [];
  bob.on('gap', (gap) => gaps.push(gap));
  const sees = new Inbox(bob);
  await (await alice.send('bob', 'one')).confirmed;
  await sees.reach(1, LONG);
  refuse = true;
  await t.rejects((await alice.send('bob', 'two')).confirmed, { code: 'LIMIT_MAILBOX_FULL' });
  await t.rejects((await alice.send('bob', 'three')).confirmed, { code: 'LIMIT_MAILBOX_FULL' });
  refuse = false;
  await (await alice.send('bob', 'four')).confirmed;
  await until(() => sees.texts.includes('four'), LONG);
  t.strictSame(missing(gaps), [], 'the next message says that they will not come');
});

t.test('ATK-D06 receipts, typing, reactions and short texts are of one size', async (t) => {
  const relay = await testRelay(t);
  const sizes = new Map<string, Set<number>>();
  let now = 'text';
  const clock = {
    now: () => Date.now(),
    after(ms: number, action: () => void) {
      const handle = setTimeout(action, ms / 50);
      return { cancel: () => clearTimeout(handle) };
    },
  };
  const lies: Lies = {
    toRelay(item) {
      if (item.op.kind !== 'send') return [item];
      const what = item.op.ephemeral ? 'typing' : now;
      const set = sizes.get(what) ?? new Set();
      sizes.set(what, set);
      for (const { body } of item.op.parts) set.add(body.length);
      return [item];
    },
  };
  const alice = await person(t, relay, 'alice');
  // With his name on them; sealed ones are measured in sealed.test.ts.
  const bob = await person(t, relay, 'bob', { socket: evilDial(lies), clock, sealed: 'never' });
  const aliceSees = new Inbox(alice);
  const sees = new Inbox(bob);
  now = 'first';
  await (await bob.send('alice', 'hello')).confirmed;
  await aliceSees.reach(1, LONG);
  await (await alice.send('bob', 'hello')).confirmed;
  await sees.reach(1, LONG);
  now = 'text';
  const chat = await bob.conversation('alice');
  await (await chat.send('short')).confirmed;
  await chat.typing();
  now = 'reaction';
  await (await chat.react(sees.messages[0]!, '👍')).confirmed;
  now = 'receipt';
  await chat.markRead();
  await until(() => sizes.has('receipt') && sizes.has('typing'), LONG);
  for (const what of ['text', 'typing', 'reaction', 'receipt']) {
    t.strictSame([...(sizes.get(what) ?? [])], [512], what);
  }
});

t.test(
  'ATK-I01 a first message that is addressed again keeps its place in the chain',
  async (t) => {
    const relay = await testRelay(t);
    let stale = 1;
    const lies: Lies = {
      // It has the message, and says that it was for an older device.
      toClient: (item, asked) =>
        item.kind === 'response' && asked?.kind === 'send' && stale-- > 0
          ? [{ ...item, code: 'DEVICES_STALE', body: { kind: 'stale', devices: [1] } }]
          : [item],
    };
    const alice = await person(t, relay, 'alice', { socket: evilDial(lies) });
    const bob = await person(t, relay, 'bob');
    const gaps: Gap[] = [];
    bob.on('gap', (gap) => gaps.push(gap));
    const sees = new Inbox(bob);
    await (await alice.send('bob', 'one')).confirmed;
    await (await alice.send('bob', 'two')).confirmed;
    await until(() => sees.texts.includes('two'), LONG);
    t.strictSame(sees.texts, ['one', 'two'], 'shown once');
    t.strictSame(missing(gaps), []);
  },
);
