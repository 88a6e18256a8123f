// Two people and a real relay.
import t from 'tap';

import { evilDial } from '../support/evil.js';
import { Inbox, person, testRelay, until } from '../support/world.js';

t.test('a message each way', async (t) => {
  const relay = await testRelay(t);
  const alice = await person(t, relay, 'alice');
  const bob = await person(t, relay, 'bob');
  const aliceSees = new Inbox(alice);
  const bobSees = new Inbox(bob);
  const sent = await alice.send('bob', 'salaam');
  await sent.confirmed;
  await bobSees.reach(1);
  const [first] = bobSees.messages;
  t.equal(first?.text, 'salaam');
  t.equal(first?.id, sent.id);
  t.strictSame(first?.sender, { account: alice.me.account, username: 'alice', device: 1 });
  const back = await bob.send('alice', 'wa alaikum salaam');
  await back.confirmed;
  await aliceSees.reach(1);
  t.equal(aliceSees.messages[0]?.text, 'wa alaikum salaam');
  t.equal(aliceSees.messages[0]?.sender.username, 'bob');
  await alice.flush({ timeoutMs: 1_000 });
  t.strictSame(await alice.pending(), []);
  const history = await alice.history();
  t.strictSame(
    history.map(({ direction, text, status }) => [direction, text, status]),
    [
      ['sent', 'salaam', 'confirmed'],
      ['received', 'wa alaikum salaam', 'received'],
    ],
  );
});

t.test('two hundred messages each way, in order', async (t) => {
  const relay = await testRelay(t);
  const alice = await person(t, relay, 'alice');
  const bob = await person(t, relay, 'bob');
  const aliceSees = new Inbox(alice);
  const bobSees = new Inbox(bob);
  const numbers = Array.from({ length: 200 }, (_, index) => `${index}`);
  await Promise.all([
    (async () => {
      for (const text of numbers) await alice.send('bob', text);
    })(),
    (async () => {
      for (const text of numbers) await bob.send('alice', text);
    })(),
  ]);
  await Promise.all([bobSees.reach(200, 60_000), aliceSees.reach(200, 60_000)]);
  t.strictSame(bobSees.texts, numbers);
  t.strictSame(aliceSees.texts, numbers);
  await until(async () => (await relay.totals()).envelopes === 0);
});

t.test('the relay sees sizes in steps: all short messages look alike', async (t) => {
  const relay = await testRelay(t);
  const sizes: number[] = [];
  const watching = evilDial({
    toRelay(item) {
      if (item.op.kind === 'send') for (const { body } of item.op.parts) sizes.push(body.length);
      return [item];
    },
  });
  // With their names on them; sealed ones are measured in sealed.test.ts.
  const named = { socket: watching, sealed: 'never' } as const;
  const alice = await person(t, relay, 'alice', named);
  const bob = await person(t, relay, 'bob', named);
  const aliceSees = new Inbox(alice);
  const bobSees = new Inbox(bob);
  // Enough turns for every kind of post-quantum chunk to travel both ways.
  for (let turn = 0; turn < 80; turn++) {
    await alice.send('bob', 'x'.repeat(turn * 2));
    await bobSees.reach(turn + 1);
    await bob.send('alice', '');
    await aliceSees.reach(turn + 1);
  }
  const first = sizes.slice(0, 2);
  t.ok(
    first.some((size) => size === 4_096 || size === 2_048),
    `a first message: ${first}`,
  );
  t.strictSame([...new Set(sizes.slice(2))], [512]);
  await alice.send('bob', 'x'.repeat(300));
  await alice.flush();
  t.equal(sizes.at(-1), 1_024);
  await alice.send('bob', 'x'.repeat(40_000));
  await alice.flush();
  t.equal(sizes.at(-1), 65_536);
});
