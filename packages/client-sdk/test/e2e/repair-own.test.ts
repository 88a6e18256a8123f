// What this account sends from one device comes to its other devices, also when they could not open it at first.
import { MemoryStore, type Recovered } from '@qasid/client-sdk';
import { TestWorld } from '@qasid/client-sdk/testing';
import { toAddress } from '@qasid/protocol';
import t from 'tap';

import { linked } from '../support/linking.js';

t.setTimeout(120_000);

const MINUTE_MS = 60_000;

async function family() {
  const world = await TestWorld.create();
  const phoneStore = new MemoryStore();
  const phone = await world.client('phone', { store: phoneStore });
  const bob = await world.client('bob');
  await world.finish(phone.register({ username: 'alice' }), MINUTE_MS);
  await world.finish(bob.register({ username: 'bob' }), MINUTE_MS);
  const { client: tablet, store } = await linked(world, phone, { name: 'tablet' });
  for (const text of ['hello', 'and again']) {
    void phone.send('bob', text);
    await world.clock.until(async () => (await tablet.history()).some((m) => m.text === text));
  }
  await world.clock.advance(MINUTE_MS);
  await tablet.close();
  // Its session with the phone is gone: a store that was put back has none either.
  const remote = toAddress(phone.me.account!, phone.me.device!);
  const { version } = (await store.loadSession(remote))!;
  await store.commit({
    sessions: [{ address: remote, record: undefined, expectedVersion: version }],
  });
  return { world, phone, phoneStore, bob, tabletStore: store };
}

t.test('a copy that another device of the account could not open comes again', async (t) => {
  const { world, phone, bob, tabletStore } = await family();
  const sent = await phone.send('bob', 'from the phone');
  await phone.send('bob', 'and one that goes');
  await world.clock.advance(1_000);
  const again = await world.client('tablet', { store: tabletStore });
  const recovered: Recovered[] = [];
  again.on('recovered', (one) => recovered.push(one));
  t.ok(await world.clock.until(() => recovered.length === 2, 5 * MINUTE_MS), 'by itself');
  const chat = await world.finish(again.conversation('bob'));
  t.match(await chat.messages({ limit: 2 }), [
    { id: sent.id, text: 'from the phone', direction: 'sent' },
    { text: 'and one that goes', direction: 'sent' },
  ]);
  t.strictSame(await chat.gaps(), []);
  await world.clock.advance(MINUTE_MS);
  t.equal((await bob.history()).length, 4, 'bob has each once');
  await Promise.all([phone.close(), bob.close(), again.close()]);
});

t.test('but not what was deleted meanwhile', async (t) => {
  const { world, phone, bob, tabletStore } = await family();
  const sent = await phone.send('bob', 'regretted');
  await world.clock.advance(1_000);
  const chat = await world.finish(phone.conversation('bob'));
  await chat.remove({ id: sent.id, sender: { account: phone.me.account! } });
  await world.clock.advance(1_000);
  const again = await world.client('tablet', { store: tabletStore });
  await world.clock.advance(5 * MINUTE_MS);
  t.notOk((await again.history()).some(({ text }) => text === 'regretted'));
  void phone.send('bob', 'life goes on');
  t.ok(
    await world.clock.until(
      async () => (await again.history()).some(({ text }) => text === 'life goes on'),
      5 * MINUTE_MS,
    ),
  );
  await Promise.all([phone.close(), bob.close(), again.close()]);
});
