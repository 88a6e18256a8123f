// A relay that hands out one old bundle for ever. A bundle says nothing of its age; the age is known to whoever made it,
// so the end is there: keys are replaced every two days, and destroyed when no honest relay can still deliver under them.
import { MemoryStore, type DatedKey } from '@qasid/client-sdk';
import type { Lies } from '@qasid/client-sdk/testing';
import type { Item } from '@qasid/protocol/envelope';
import t from 'tap';

import { Person, soon, team } from '../support/team.js';

t.setTimeout(240_000);

const DAY_MS = 86_400_000;

t.test('ATK-B08 an old bundle opens no session once its keys are 46 days out of use', async (t) => {
  const pinned: Lies = {};
  const store = new MemoryStore();
  const clients = { young: { lies: pinned }, alice: { store } };
  const { world, people } = await team(t, ['alice', 'young'], { clients });
  const { young } = people;
  let alice = people.alice;
  let bundle: Item | undefined;
  pinned.toClient = (item) => {
    if (item.kind !== 'response' || item.body.kind !== 'bundles') return [item];
    // Without its one-time keys, which serve once anyway.
    const bundles = item.body.bundles.map(({ oneTime: _, ...rest }) => rest);
    bundle ??= { ...item, body: { ...item.body, bundles } };
    return [{ ...bundle, id: item.id } as Item];
  };
  const signedIds = async () => (await store.loadProfile())!.prekeys.signed.map(({ id }) => id);
  const [first] = await signedIds();
  await soon(world, young.client.conversation('alice'));
  await young.client.send('alice', 'with a fresh bundle');
  t.ok(await world.clock.until(() => alice.texts.includes('with a fresh bundle')));
  t.not(bundle, undefined);
  await soon(world, young.client.close());
  /** She is away so long: her keys have an older date when she is back. */
  const pass = async (ms: number): Promise<void> => {
    await soon(world, alice.client.close());
    const profile = (await store.loadProfile())!;
    const older = ({ id, createdAtMs }: DatedKey) => ({ id, createdAtMs: createdAtMs - ms });
    const { signed, lastResort } = profile.prekeys;
    const prekeys = {
      ...profile.prekeys,
      signed: signed.map(older),
      lastResort: lastResort.map(older),
    };
    await store.commit({ extra: { profile: { ...profile, prekeys } } });
    alice = new Person(await world.client('alice', { store }), store);
  };
  // Three days later alice makes other keys; the old ones still serve: somebody may have written a moment before.
  await pass(3 * DAY_MS);
  t.ok(await world.clock.until(async () => (await signedIds()).length > 1), 'new keys');
  t.ok((await signedIds()).includes(first!), 'and the old ones are kept for a while');
  await pass(47 * DAY_MS);
  const isGone = async () => (await store.loadSignedPreKey(first!)) === undefined;
  t.ok(await world.clock.until(isGone), 'destroyed');
  const old = await world.client('old', { lies: pinned });
  t.teardown(() => old.close());
  await soon(world, old.register({ username: 'old' }));
  await soon(world, old.send('alice', 'under the old bundle'));
  t.ok(await world.clock.until(() => alice.lost.length > 0), 'told, not silent');
  t.notOk(alice.texts.includes('under the old bundle'), 'and nothing was opened under it');
  t.match(alice.lost[0], /^STATE_/);
  await soon(world, alice.client.close());
});
