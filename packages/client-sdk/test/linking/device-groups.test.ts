// Chapters 19 and 20: a device that was taken out of its account reads no group any more, and what its thief knew of
// keys is worth nothing for what comes later.
import { decodeSenderKeyRecord } from '@qasid/protocol';
import t from 'tap';

// Internals: reached by path, not by the public names.
import { decodeOutgoingKey, GROUP_SPACE } from '../../dist/groups/stored.js';
import { opens, Tap } from '../support/group-attack.js';
import { linked, settled } from '../support/linking.js';
import { Person, soon, team } from '../support/team.js';

t.setTimeout(240_000);

const LONG = 30 * 60_000;

t.test('ATK-E04 ATK-E16 a removed device opens nothing a group writes later', async (t) => {
  const tap = new Tap();
  const { world, people } = await team(t, ['alice', 'bob'], {
    clients: { bob: { lies: tap.lies, sealed: 'never' } },
  });
  const { alice, bob } = people;
  const hers = await soon(world, alice.client.createGroup({ title: 'Group', members: ['bob'] }));
  t.ok(await world.clock.until(() => bob.has(hers.id)));
  const { client, store } = await linked(world, alice.client, { choices: { history: true } });
  const tablet = new Person(client, store);
  const his = await bob.group(hers.id);
  const knows = async (): Promise<boolean> => tablet.has(hers.id);
  t.ok(await world.clock.until(knows, LONG), 'the new device has the group');
  const contact = async () => (await bob.store.loadContact(alice.account))?.devices.length;
  await his.send('to both');
  t.ok(await world.clock.until(() => tablet.texts.includes('to both'), LONG));
  t.equal(await contact(), 2);
  /** The key bob signs with in this group. */
  const signingKey = async (): Promise<string | undefined> => {
    const row = await bob.store.loadRecord(GROUP_SPACE.outgoing, hers.id);
    const { states } = decodeSenderKeyRecord(decodeOutgoingKey(row!.value).record);
    return states.at(-1)?.signing?.public.join();
  };
  const before = await signingKey();

  // It is cut off, so that its store keeps every key it ever had, as a thief would.
  world.network.partition('tablet');
  tap.messages.length = 0;
  await his.send('while it is away');
  t.ok(await world.clock.until(() => alice.texts.includes('while it is away')));
  t.ok(tap.messages.length > 0);
  t.equal(
    await opens(tablet, tap.messages),
    tap.messages.length,
    'the control: it has what opens this',
  );
  await settled(world, alice.client.devices.remove(2));
  // The relay takes nothing for a device that is gone: so whoever writes hears of it.
  await his.send('who is there?');
  t.ok(await world.clock.until(async () => (await contact()) === 1, LONG), 'bob has heard of it');
  t.ok(await world.clock.until(() => alice.texts.includes('who is there?')));
  tap.messages.length = 0;
  for (const text of ['one', 'two', 'three']) await his.send(text);
  t.ok(await world.clock.until(() => alice.texts.includes('three')));
  t.equal(tap.messages.length >= 3, true);
  t.equal(await opens(tablet, tap.messages), 0, 'nothing of it opens');
  t.not(await signingKey(), before, 'and a signature key that it may know signs no more');
  world.network.heal('tablet');
  await world.clock.advance(10 * 60_000);
  t.not(tablet.client.status, 'open', 'the relay does not know it any more');
  t.strictSame(tablet.texts.slice(-1), ['to both']);
  await tablet.client.close();
});

t.test('a new device has the groups of its account, before anybody writes there', async (t) => {
  const { world, people } = await team(t, ['alice', 'bob']);
  const { alice, bob } = people;
  const hers = await soon(world, alice.client.createGroup({ title: 'First', members: ['bob'] }));
  await soon(world, hers.setTitle('Second'));
  t.ok(await world.clock.until(() => bob.has(hers.id)));
  const his = await bob.group(hers.id);
  t.ok(await world.clock.until(async () => (await his.details()).title === 'Second'));
  const { client, store } = await linked(world, alice.client, {});
  const tablet = new Person(client, store);
  t.ok(await world.clock.until(() => tablet.has(hers.id), LONG));
  const there = await tablet.group(hers.id);
  t.strictSame(await there.details(), await hers.details());
  const named = async (): Promise<boolean> =>
    (await there.members()).some(({ username }) => username === 'bob');
  t.ok(await world.clock.until(named, LONG));
  t.strictSame(
    (await there.members()).map(({ account, username, role }) => `${account} ${username} ${role}`),
    (await hers.members()).map(({ account, username, role }) => `${account} ${username} ${role}`),
  );
  t.strictSame(
    await tablet.store.loadIdentity(bob.account),
    await alice.store.loadIdentity(bob.account),
    'with the keys that were trusted',
  );
  // The first words are its own.
  await there.send('from the tablet');
  t.ok(await world.clock.until(() => bob.texts.includes('from the tablet'), LONG));
  await his.send('heard you');
  const both = () => [alice, tablet].every(({ texts }) => texts.includes('heard you'));
  t.ok(await world.clock.until(both, LONG));
  await soon(world, there.setTitle('Third'));
  const agree = async (): Promise<boolean> => {
    const titles = await Promise.all([hers, his, there].map((group) => group.details()));
    return titles.every(({ title }) => title === 'Third');
  };
  t.ok(await world.clock.until(agree, LONG));
  t.strictSame([alice.lost, bob.lost, tablet.lost], [[], [], []]);
  await client.close();
});
