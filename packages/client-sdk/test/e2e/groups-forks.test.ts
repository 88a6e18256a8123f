// A relay that forks a group: two records for two people, old ones, swaps it forgets, swaps it never takes. What it can
// reach is a fork that heals by the rule of chapter 19 §4 or is told; it decides nothing and leads nobody back.
import type { GroupChanged } from '@qasid/client-sdk';
import type { Item, RequestOp } from '@qasid/protocol/envelope';
import t from 'tap';

import { groupOf } from '../support/group-attack.js';
import { SplitView } from '../support/split-view.js';
import { soon, team, type Person } from '../support/team.js';

t.setTimeout(240_000);

type World = Awaited<ReturnType<typeof team>>['world'];

/** Alice and bob, both admins, and carol; bob behind a relay that can keep him apart. */
async function halves(t: Parameters<typeof team>[0]) {
  const view = new SplitView();
  const { world, people } = await team(t, ['alice', 'bob', 'carol'], {
    clients: {
      alice: { sealed: 'never' },
      bob: { lies: view.lies, sealed: 'never' },
      carol: { sealed: 'never' },
    },
  });
  const { alice, bob, carol } = people;
  const members = ['bob', 'carol'];
  const hers = await soon(world, alice.client.createGroup({ title: 'Group', members }));
  await soon(world, hers.setRole('bob', 'admin'));
  const all = [alice, bob, carol];
  if (!(await world.clock.until(() => agree(all, hers.id)))) throw new Error('no group');
  const his = await bob.group(hers.id);
  const undone: { readonly by: Person; readonly change: GroupChanged }[] = [];
  for (const by of all) {
    by.client.on('group-changed', (change) => {
      if (change.undone.length > 0) undone.push({ by, change });
    });
  }
  const split = async (is: boolean): Promise<void> => {
    view.isSplit = is;
    // What was withheld comes again with the next connection.
    world.network.breakConnections('bob');
    await world.clock.advance(60_000);
  };
  return { world, alice, bob, carol, all, hers, his, undone, split, view };
}

/** Whether they have the same head, and one that is not contested. */
async function agree(all: readonly Person[], id: string): Promise<boolean> {
  const heads = await Promise.all(
    all.map(async (person) => {
      try {
        const { head, chain } = await groupOf(person, id);
        return chain.fork === undefined ? head.hash : undefined;
      } catch {
        return undefined;
      }
    }),
  );
  return heads[0] !== undefined && new Set(heads).size === 1;
}

async function everybodyHears(world: World, all: readonly Person[], id: string): Promise<boolean> {
  for (const person of all) {
    await (await person.group(id)).send(`after, by ${person.client.me.username}`);
  }
  const heard = (person: Person): boolean =>
    all.every(
      (one) => one === person || person.texts.includes(`after, by ${one.client.me.username}`),
    );
  return world.clock.until(() => all.every(heard));
}

t.test('ATK-E10 two records for two admins: one head for all when they meet', async (t) => {
  const { world, alice, bob, carol, all, hers, his, undone, split, view } = await halves(t);
  await split(true);
  await soon(world, hers.setTitle('As she says'));
  await soon(world, his.setDescription('As he says'));
  t.ok(view.swallowed > 0, 'his relay took it in');
  t.equal((await hers.details()).version, (await his.details()).version, 'a fork');
  t.notOk(await agree(all, hers.id));
  t.equal((await his.details()).title, 'Group', 'and he knows nothing of hers');
  await split(false);
  t.ok(await world.clock.until(() => agree(all, hers.id), 30 * 60_000), 'one head');
  // The rule undid one of the two, told it where it had counted, and its author made it again.
  t.ok(undone.length > 0);
  const wanted = async (): Promise<boolean> =>
    (
      await Promise.all(
        all.map(async (one) => {
          const { title, description } = await (await one.group(hers.id)).details();
          return title === 'As she says' && description === 'As he says';
        }),
      )
    ).every((is) => is);
  t.ok(await world.clock.until(wanted, 30 * 60_000), 'and nothing that was wanted is lost');
  t.ok(await agree(all, hers.id));
  t.ok(await everybodyHears(world, all, hers.id));
  for (const { forks, lost } of [alice, bob, carol]) t.strictSame([forks, lost], [[], []]);
});

t.test('ATK-E10 ATK-E04 a removal in one half: the removed one stays out', async (t) => {
  const { world, alice, bob, carol, hers, his, split } = await halves(t);
  await split(true);
  await soon(world, his.remove('carol'));
  await soon(world, hers.setTitle('Meanwhile'));
  await hers.send('to all three');
  t.ok(await world.clock.until(() => carol.texts.includes('to all three')));
  await split(false);
  const settled = async (): Promise<boolean> =>
    (await agree([alice, bob], hers.id)) &&
    (await hers.details()).size === 2 &&
    (await hers.details()).title === 'Meanwhile';
  t.ok(await world.clock.until(settled, 30 * 60_000), 'both changes, whichever was undone');
  t.ok(await everybodyHears(world, [alice, bob], hers.id));
  await world.clock.advance(60_000);
  t.notOk(carol.texts.some((text) => text.startsWith('after')));
  t.equal((await (await carol.group(hers.id)).details()).role, undefined, 'and was told');
});

t.test('ATK-E10 each half throws the other out: told to all, decided by people', async (t) => {
  const { world, alice, bob, carol, all, hers, his, split } = await halves(t);
  await split(true);
  await soon(world, hers.remove('bob'));
  await soon(world, his.remove('alice'));
  await split(false);
  const told = (): boolean => all.every(({ forks }) => forks.length === 1);
  t.ok(await world.clock.until(told, 30 * 60_000), 'everybody is told once');
  const names = new Set(all.flatMap(({ forks }) => forks.flatMap((one) => [one.ours, one.theirs])));
  t.equal(names.size, 2, 'of the same two branches');
  // Nothing leaves while it is open, and nothing more is decided.
  const said = await hers.send('before anybody decided');
  let confirmed = false;
  said.confirmed.then(
    () => {
      confirmed = true;
    },
    () => undefined,
  );
  await world.clock.advance(10 * 60_000);
  t.equal(confirmed, false);
  t.notOk(carol.texts.includes('before anybody decided'));
  await t.rejects(soon(world, hers.setTitle('quickly')), { code: 'GROUP_FORKED' });
  // All three follow her branch.
  const [fork] = alice.forks;
  for (const person of all) await (await person.group(hers.id)).decideFork(fork!.ours);
  t.ok(await world.clock.until(() => agree(all, hers.id), 30 * 60_000));
  t.equal((await his.details()).role, undefined, 'he is out');
  t.ok(await world.clock.until(() => carol.texts.includes('before anybody decided'), 30 * 60_000));
  t.notOk(bob.texts.includes('before anybody decided'));
  t.ok(await everybodyHears(world, [alice, carol], hers.id));
});

t.test('ATK-E10 a relay that forgets swaps and records decides nothing', async (t) => {
  let forgets = false;
  let forgotten = 0;
  const { world, people } = await team(t, ['alice', 'bob', 'carol'], {
    clients: {
      alice: {
        lies: {
          // Says yes, and keeps what it had.
          toRelay: (item) => {
            if (!forgets || item.op.kind !== 'recordPut') return [item];
            forgotten++;
            return [{ ...item, op: { kind: 'recordGet', id: item.op.id } }];
          },
          toClient: (item, asked) =>
            forgets && item.kind === 'response' && asked?.kind === 'recordPut'
              ? [{ ...item, code: 'CONFIRMED', body: { kind: 'none' } }]
              : [item],
        },
      },
      carol: {
        lies: {
          // Knows of no record.
          toClient: (item, asked) =>
            forgets && item.kind === 'response' && asked?.kind === 'recordGet'
              ? [{ ...item, code: 'NOT_FOUND', body: { kind: 'none' } }]
              : [item],
        },
      },
    },
  });
  const { alice, bob, carol } = people;
  const all = [alice, bob, carol];
  const members = ['bob', 'carol'];
  const hers = await soon(world, alice.client.createGroup({ title: 'Group', members }));
  t.ok(await world.clock.until(() => agree(all, hers.id)));
  forgets = true;
  await soon(world, hers.setTitle('Forgotten by the relay'));
  t.ok(forgotten > 0);
  t.ok(await world.clock.until(() => agree(all, hers.id)), 'members tell each other');
  world.network.breakConnections('carol');
  await world.clock.advance(60_000);
  for (const person of all) {
    const { title } = await (await person.group(hers.id)).details();
    t.equal(title, 'Forgotten by the relay', person.client.me.username!);
  }
  forgets = false;
  await soon(world, hers.setRole('bob', 'admin'));
  t.ok(await world.clock.until(() => agree(all, hers.id)));
  await soon(world, (await bob.group(hers.id)).setDescription('by him'));
  t.ok(await world.clock.until(() => agree(all, hers.id)));
  t.ok(await everybodyHears(world, all, hers.id));
});

t.test('ATK-E10 a swap that never succeeds ends; four at once all count', async (t) => {
  let stubborn = false;
  let refused = 0;
  const never = (item: Item, asked: RequestOp | undefined): readonly Item[] => {
    if (!stubborn || item.kind !== 'response' || asked?.kind !== 'recordPut') return [item];
    refused++;
    const body = { kind: 'record', version: 1, value: new Uint8Array(0) } as const;
    return [{ ...item, code: 'VERSION_CONFLICT', body }];
  };
  const names = ['alice', 'bob', 'carol', 'dave'] as const;
  const { world, people } = await team(t, names, {
    clients: {
      alice: {
        lies: {
          toClient: never,
          toRelay: (item) =>
            stubborn && item.op.kind === 'recordPut'
              ? [{ ...item, op: { kind: 'recordGet', id: item.op.id } }]
              : [item],
        },
      },
    },
  });
  const all = names.map((name) => people[name]);
  const { alice } = people;
  const members = names.slice(1);
  const hers = await soon(world, alice.client.createGroup({ title: 'Group', members }));
  for (const name of members) await soon(world, hers.setRole(name, 'admin'));
  t.ok(await world.clock.until(() => agree(all, hers.id)));
  const { version } = await hers.details();
  stubborn = true;
  await t.rejects(soon(world, hers.setTitle('never')), { code: 'GROUP_CONTESTED' });
  t.ok(refused > 1 && refused < 100, `tried ${refused} times`);
  t.equal((await groupOf(alice, hers.id)).pending, undefined, 'nothing is left over');
  t.equal((await hers.details()).version, version, 'and nothing happened');
  stubborn = false;
  // Everybody at the same moment: the swap lets them through one after the other.
  const groups = await Promise.all(all.map((person) => person.group(hers.id)));
  await soon(
    world,
    Promise.all([
      groups[0]!.setTitle('hers'),
      groups[1]!.setDescription('his'),
      groups[2]!.setTimer(3_600),
      groups[3]!.setPolicy({ add: 'admins' }),
    ]),
  );
  t.ok(await world.clock.until(() => agree(all, hers.id)));
  const { head } = await groupOf(alice, hers.id);
  t.match(head.state, { title: 'hers', description: 'his', timerSeconds: 3_600 });
  t.equal(head.state.policy.add, 'admins');
  t.equal(head.state.version, version + 4, 'one entry each');
  t.ok(await everybodyHears(world, all, hers.id));
});
