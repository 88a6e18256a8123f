// What a limit refuses for now is kept, and opened when the limit lets it.
import { MemoryStore, type Undecryptable } from '@qasid/client-sdk';
import { deliveryOf, redelivered, TestWorld, type Lies } from '@qasid/client-sdk/testing';
import { decodeEnvelope, encodeEnvelope } from '@qasid/protocol/envelope';
import t from 'tap';

t.setTimeout(120_000);

/** Failed handshakes of one account before the next one is refused: 08 §8. */
const BUDGET = 10;

/** Damages as many first messages as it is told to; they must be named, for a sealed one hides its type. */
function damagingHandshakes(left: () => boolean): Lies {
  return {
    toClient: (item) => {
      const event = deliveryOf(item);
      if (event === undefined || event.body[0] === 0x22) return [item];
      const envelope = decodeEnvelope(event.body);
      if (envelope.type !== 3 || !left()) return [item];
      const message = Uint8Array.from(envelope.message);
      message[message.length - 1]! ^= 1;
      const body = encodeEnvelope({ ...envelope, message }, [512, 1_024, 2_048, 4_096]);
      return [redelivered(event, { body })];
    },
  };
}

async function strangers(damaged: number) {
  const world = await TestWorld.create();
  const store = new MemoryStore();
  let left = damaged;
  const lies = damagingHandshakes(() => left-- > 0);
  const alice = await world.client('alice', { sealed: 'never' });
  const bob = await world.client('bob', { lies, store });
  const registered = Promise.all([
    alice.register({ username: 'alice' }),
    bob.register({ username: 'bob' }),
  ]);
  await world.clock.advance(5_000);
  await registered;
  const seen: string[] = [];
  const failures: Undecryptable[] = [];
  const hear = (client: typeof bob): void => {
    client.on('message', ({ text }) => seen.push(text));
    client.on('undecryptable', (failure) => failures.push(failure));
  };
  hear(bob);
  return { world, alice, bob, store, seen, failures, hear };
}

t.test('ATK-B15 a first message over the limit of handshakes is opened later', async (t) => {
  const { world, alice, bob, store, seen, failures } = await strangers(BUDGET);
  for (let at = 0; at < BUDGET; at++) void alice.send('bob', `damaged ${at}`);
  t.ok(await world.clock.until(() => failures.length === BUDGET, 60_000), 'the budget is spent');
  void alice.send('bob', 'whole');
  t.ok(await world.clock.until(() => seen.includes('whole'), 180_000), `${seen}`);
  t.notOk(
    failures.some(({ cause }) => cause === 'LIMIT_HANDSHAKES'),
    'nobody is told of what is not lost',
  );
  t.strictSame(await store.loadRecords('put-off'), [], 'and nothing of it is kept');
  t.ok(await world.clock.until(() => seen.length === BUDGET + 1, 600_000), 'all others came again');
  t.equal(new Set(seen).size, BUDGET + 1);
  await Promise.all([alice.close(), bob.close()]);
});

t.test('what is put off survives a restart, and is acknowledged', async (t) => {
  const { world, alice, bob, store, seen, failures, hear } = await strangers(BUDGET);
  for (let at = 0; at < BUDGET; at++) void alice.send('bob', `damaged ${at}`);
  await world.clock.until(() => failures.length === BUDGET, 60_000);
  void alice.send('bob', 'whole');
  let kept = 0;
  const look = async (): Promise<void> => {
    kept = (await store.loadRecords('put-off')).length;
  };
  t.ok(
    await world.clock.until(() => {
      void look();
      return kept > 0;
    }, 10_000),
  );
  await world.clock.advance(500);
  await bob.close();
  t.notOk(seen.includes('whole'));
  const redeliveries: number[] = [];
  const again = await world.client('bob', {
    store,
    lies: {
      toClient: (item) => {
        const event = deliveryOf(item);
        if (event !== undefined) redeliveries.push(event.seq);
        return [item];
      },
    },
  });
  hear(again);
  await world.clock.until(() => again.status === 'open', 10_000);
  await alice.close();
  t.ok(await world.clock.until(() => seen.includes('whole'), 60_000), 'nobody sent it again');
  t.strictSame(redeliveries, [], 'the relay no longer has it');
  await again.close();
});
