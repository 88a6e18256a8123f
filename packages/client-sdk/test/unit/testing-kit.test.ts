// The testing kit: what a program's own tests rest on.
import { TestWorld, deliveryOf, type Lies } from '@qasid/client-sdk/testing';
import type { QasidClient } from '@qasid/client-sdk';
import t from 'tap';

t.setTimeout(400_000);

/** Texts a client was shown, as they come. */
function shownTo(client: QasidClient): string[] {
  const texts: string[] = [];
  client.on('message', ({ text }) => texts.push(text));
  return texts;
}

t.test('two people write, hours pass, the relay is killed, nothing is lost', async (t) => {
  const world = await TestWorld.create({ seed: 7 });
  const alice = await world.client('alice');
  const bob = await world.client('bob');
  await world.finish(alice.register({ username: 'alice' }));
  await world.finish(bob.register({ username: 'bob' }));
  const shown = shownTo(bob);
  void alice.send('bob', 'salaam');
  t.ok(await world.clock.until(() => shown.length === 1));
  await world.clock.advance(5_000);
  world.network.partition('bob');
  void alice.send('bob', 'while you were away');
  await world.clock.advance(2 * 60 * 60_000);
  t.equal(await world.queued(), 1);
  world.killRelay();
  void alice.send('bob', 'while the relay was away');
  await world.clock.advance(60 * 60_000);
  await world.startRelay();
  world.network.heal('bob');
  t.ok(await world.clock.until(() => shown.length === 3));
  t.strictSame(shown, ['salaam', 'while you were away', 'while the relay was away']);
  await world.finish(alice.close());
  await world.finish(bob.close());
});

/** What happened in a run, in order, with the times at which it did. */
async function runOnce(seed: number): Promise<readonly string[]> {
  const trace: string[] = [];
  const world = await TestWorld.create({ seed });
  world.network.conditions.breakChance = 0.02;
  const clients = await Promise.all([world.client('alice'), world.client('bob')]);
  const names = ['alice', 'bob'];
  for (const [index, client] of clients.entries()) {
    await world.finish(client.register({ username: names[index] ?? '' }));
    for (const event of ['message', 'confirmed', 'status', 'first-use'] as const) {
      client.on(event, (value: unknown) => {
        const what = typeof value === 'string' ? value : JSON.stringify(value);
        trace.push(`${world.clock.elapsedMs()} ${names[index]} ${event} ${what}`);
      });
    }
  }
  for (let round = 0; round < 20; round++) {
    const from = world.random.below(2);
    void clients[from]?.send(names[1 - from] ?? '', `message ${round}`);
    await world.clock.advance(world.random.below(2_000));
  }
  await world.clock.advance(10 * 60_000);
  for (const client of clients) await world.finish(client.close());
  return trace;
}

t.test('the same seed gives the same run, another seed another', async (t) => {
  const first = await runOnce(11);
  t.ok(first.length > 40, `${first.length} events`);
  t.strictSame(await runOnce(11), first);
  t.notSame(await runOnce(12), first);
});

t.test('a program dies at every moment, once, and goes on where it stopped', async (t) => {
  const world = await TestWorld.create({ seed: 3 });
  const alice = await world.client('alice');
  await world.finish(alice.register({ username: 'alice' }));
  const first = await world.life('bob');
  await world.finish(first.client.register({ username: 'bob' }));
  const { store } = first;
  first.mortal.die();
  let deaths = 0;
  for (let diesAt = 1; ; diesAt++) {
    void alice.send('bob', `number ${diesAt}`);
    const life = await Promise.race([
      world.life('bob', { store, diesAt }),
      world.clock.settle().then(() => undefined),
    ]);
    await world.clock.advance(5_000);
    if (life !== undefined && !life.mortal.isDead) {
      await world.clock.advance(60_000);
      if (!life.mortal.isDead) {
        t.ok(deaths > 20, `${deaths} deaths`);
        // Not through the client, which may be about to die of this very call.
        const rows = await store.loadMessages({ limit: 10_000 });
        t.strictSame(
          rows.filter(({ direction }) => direction === 'received').map(({ text }) => text),
          Array.from({ length: diesAt }, (_, index) => `number ${index + 1}`),
        );
        life.mortal.die();
        break;
      }
    }
    deaths++;
    life?.mortal.die();
  }
  await world.finish(alice.close());
});

t.test('lies pass through, the wall clock may jump', async (t) => {
  const world = await TestWorld.create({ seed: 5 });
  const alice = await world.client('alice');
  const lies: Lies = {
    toClient: (item) => (deliveryOf(item) ? [item, item, item] : [item]),
  };
  const bob = await world.client('bob', { lies });
  await world.finish(alice.register({ username: 'alice' }));
  await world.finish(bob.register({ username: 'bob' }));
  const shown = shownTo(bob);
  world.clock.jump(-86_400_000);
  void alice.send('bob', 'once');
  await world.clock.advance(60_000);
  world.clock.jump(2 * 86_400_000);
  void alice.send('bob', 'twice');
  await world.clock.advance(60_000);
  t.strictSame(shown, ['once', 'twice']);
  await world.finish(alice.close());
  await world.finish(bob.close());
});
