// Devices whose clocks are wrong by months: a battery that died, a year that was mistyped. Nothing gets lost.
import { MemoryStore, QasidClient, type Clock, type Undecryptable } from '@qasid/client-sdk';
import { TestWorld } from '@qasid/client-sdk/testing';
import t from 'tap';

t.setTimeout(120_000);

const DAY_MS = 86_400_000;

/** A clock that is wrong by so much. */
function wrong(clock: Clock, byMs: number): Clock {
  return {
    now: () => Math.max(0, clock.now() + byMs),
    after: (ms, action) => clock.after(ms, action),
  };
}

for (const [what, alices, bobs] of [
  ['the receiver is a season ahead', 0, 100 * DAY_MS],
  ['the sender is a season behind', -100 * DAY_MS, 0],
  ['the sender’s battery died', Number.NEGATIVE_INFINITY, 0],
  ['both are wrong', -100 * DAY_MS, 100 * DAY_MS],
] as const) {
  t.test(what, async (t) => {
    const world = await TestWorld.create();
    const open = (name: string, byMs: number): Promise<QasidClient> =>
      QasidClient.open({
        relay: 'ws://relay.test',
        store: new MemoryStore(),
        socket: world.network.dialOf(name),
        clock: wrong(world.clock, byMs),
      });
    const [alice, bob] = [await open('alice', alices), await open('bob', bobs)];
    await world.finish(alice.register({ username: 'alice' }), 60_000);
    await world.finish(bob.register({ username: 'bob' }), 60_000);
    const seen: string[] = [];
    const failures: Undecryptable[] = [];
    for (const client of [alice, bob]) {
      client.on('message', ({ text }) => seen.push(text));
      client.on('undecryptable', (failure) => failures.push(failure));
    }
    for (let round = 0; round < 4; round++) {
      const before = seen.length;
      void alice.send('bob', `a${round}`);
      void bob.send('alice', `b${round}`);
      t.ok(await world.clock.until(() => seen.length === before + 2, 120_000), `round ${round}`);
    }
    t.strictSame(failures, []);
    await Promise.all([alice.close(), bob.close()]);
  });
}
