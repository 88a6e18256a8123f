// Two people and a real relay.
import t from 'tap';

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
