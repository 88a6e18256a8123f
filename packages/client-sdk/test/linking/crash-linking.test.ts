// 20 Linking §4: either program dies at any moment of a linking; afterwards the account is whole.
import tap from 'tap';
import { MemoryStore } from '@qasid/client-sdk';
import { TestWorld } from '@qasid/client-sdk/testing';

import { linked, newDevice, settled } from '../support/linking.js';

const LONG = 30 * 60_000;

tap.setTimeout(120_000);

/** What a promise comes to within `ms`; a dead program's promises come to nothing. */
async function outcome<Value>(
  world: TestWorld,
  promise: Promise<Value>,
  ms: number,
): Promise<Value | undefined> {
  let value: Value | undefined;
  let over = false;
  const end = (): void => {
    over = true;
  };
  promise
    .then((got) => {
      value = got;
    })
    .then(end, end);
  await world.clock.until(() => over, ms);
  return value;
}

async function run(
  t: { equal: typeof tap.equal; ok: typeof tap.ok; same: typeof tap.same },
  seed: number,
  dies: { account?: number; newDevice?: number },
) {
  const world = await TestWorld.create({ seed });
  const store = new MemoryStore();
  const first = await world.client('alice', { store });
  await settled(world, first.register({ username: 'alice' }));
  await settled(world, first.close());
  const bob = await world.client('bob');
  await settled(world, bob.register({ username: 'bob' }));

  const what = `${Object.keys(dies)} at ${Object.values(dies)}`;
  const life = await world.life('alice', {
    store,
    ...(dies.account !== undefined && { diesAt: dies.account + 40 }),
  });
  await world.clock.until(() => life.client.status === 'open', 60_000);
  const linking = await outcome(world, life.client.devices.startLinking(), 60_000);
  const link = linking?.qr?.text ?? '';
  const started = newDevice(world, {
    link,
    ...(dies.newDevice !== undefined && { diesAt: dies.newDevice }),
  });
  void linking?.request.then(() => linking.confirm()).catch(() => undefined);
  let tablet = await outcome(world, started.client, 10 * 60_000);
  const died = life.mortal.isDead || started.mortal.isDead;

  // The next lives of both.
  life.mortal.die();
  const alice = await world.client('alice', { store });
  await world.clock.until(() => alice.status === 'open', LONG);
  if (tablet === undefined || started.mortal.isDead) {
    started.mortal.die();
    tablet = await world.client('tablet', { store: started.store });
    await world.clock.until(() => tablet?.me.registered === true, 10 * 60_000);
    if (!tablet.me.registered) {
      await settled(world, tablet.close());
      tablet = (await linked(world, alice, { store: started.store })).client;
    }
  }
  t.equal(tablet.me.account, alice.me.account, `${what}: one account`);
  t.ok(await world.clock.until(() => tablet.status === 'open', LONG), `${what}: connected`);
  await settled(
    world,
    bob.send('alice', 'after it').then(({ confirmed }) => confirmed),
  );
  for (const client of [alice, tablet]) {
    const has = async () => (await client.history()).some(({ text }) => text === 'after it');
    t.ok(await world.clock.until(has, LONG), `${what}: device ${client.me.device} gets messages`);
  }
  const lists = await Promise.all([alice, tablet].map((client) => client.devices.list()));
  t.same(
    lists[0]?.map(({ device }) => device),
    lists[1]?.map(({ device }) => device),
  );
  for (const client of [alice, tablet, bob]) await settled(world, client.close());
  return { died };
}

for (const side of ['newDevice', 'account'] as const) {
  tap.test(`the ${side} dies at any moment of a linking`, async (t) => {
    let deaths = 0;
    for (let moment = 1, at = 0; moment < 200; at++, moment += 17) {
      const { died } = await run(t, 500 + at, { [side]: moment });
      if (!died) break;
      deaths++;
    }
    t.ok(deaths > 3, `${deaths} deaths`);
  });
}
