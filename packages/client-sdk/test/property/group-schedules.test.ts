// Random schedules of changes and messages over five people whose connections break and whose programs stop and
// start again. At the end everybody has the same group, and every message came to all who could read it, once and in
// order. A seed replays.
import { MemoryStore, type Message, type QasidClient } from '@qasid/client-sdk';
import { SeededRandom, TestWorld } from '@qasid/client-sdk/testing';
import t from 'tap';

import { soon } from '../support/team.js';

t.setTimeout(0);

const SEEDS = Number(process.env.QASID_GROUP_SEEDS ?? 3);
const FIRST = Number(process.env.QASID_GROUP_FIRST ?? 1);
const STEPS = Number(process.env.QASID_GROUP_STEPS ?? 40);
const NAMES = ['alice', 'bob', 'carol', 'dave', 'erin'] as const;

class Actor {
  readonly store = new MemoryStore();
  readonly shown: Message[] = [];
  readonly lost: string[] = [];
  /** Accounts that were in the group and went, as this device heard of it. */
  readonly gone = new Set<string>();
  readonly gaps = new Map<string, string>();
  client: QasidClient | undefined;
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  async start(world: TestWorld): Promise<QasidClient> {
    const client = await world.client(this.name, { store: this.store });
    client.on('message', (message) => this.shown.push(message));
    client.on('undecryptable', ({ cause, claimedAccount }) => {
      // Whom the group removed has nothing to say (19 §6.4), also in what was on its way by then: told, not shown.
      const isLate = cause === 'VERIFY_GROUP' && this.gone.has(claimedAccount ?? '');
      if (!isLate) this.lost.push(`${cause} ${claimedAccount}`);
    });
    client.on('group-changed', ({ applied, undone }) => {
      for (const { author, changes } of [...applied, ...undone]) {
        for (const change of changes) {
          if (change.kind === 'remove') this.gone.add(change.account);
          if (change.kind === 'leave') this.gone.add(author);
        }
      }
    });
    client.on('gap', ({ account, device, from, to, cause }) => {
      for (let at = from; at <= to; at++) this.gaps.set(`${account}/${device}/${at}`, cause);
    });
    this.client = client;
    return client;
  }
}

for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
  t.test(`ATK-E10 ATK-E04 seed ${seed}: one group for all, whatever happens`, async (t) => {
    const world = await TestWorld.create({ seed });
    const random = new SeededRandom(seed * 7_919);
    const actors = NAMES.map((name) => new Actor(name));
    const [alice] = actors;
    for (const actor of actors) {
      await soon(world, (await actor.start(world)).register({ username: actor.name }));
    }
    const account = new Map(actors.map(({ name, client }) => [name, client!.me.account!]));
    const members = NAMES.slice(1);
    const { id } = await soon(world, alice!.client!.createGroup({ title: 'first', members }));
    const inIt = async ({ client }: Actor): Promise<boolean> => {
      const group = await client!.group(id).catch(() => undefined);
      return group !== undefined && (await group.details()).role !== undefined;
    };
    for (const actor of actors) await world.clock.until(() => inIt(actor));
    world.network.conditions.breakChance = 0.01;
    const sent: { readonly by: string; readonly text: string; readonly id: string }[] = [];
    const pending: Promise<unknown>[] = [];
    const change = (promise: Promise<unknown>): void => {
      // Refused, contested or cut off: all of that is fine, as long as all agree at the end.
      pending.push(promise.catch(() => undefined));
    };
    for (let step = 0; step < STEPS; step++) {
      const actor = random.pick(actors as [Actor, ...Actor[]]);
      const other = random.pick(NAMES as unknown as [string, ...string[]]);
      const group = await actor.client!.group(id);
      const what = random.below(12);
      if (what < 5) {
        const text = `${actor.name} ${step}`;
        const message = await group.send(text).catch(() => undefined);
        if (message !== undefined) sent.push({ by: actor.name, text, id: message.id });
      } else if (what === 5) change(group.setTitle(`title ${step}`));
      else if (what === 6) change(group.add(other));
      else if (what === 7 && other !== 'alice') change(group.remove(other));
      else if (what === 8) change(group.setRole(other, random.chance(0.7) ? 'admin' : 'member'));
      else if (what === 9) {
        world.network.partition(actor.name);
        await world.clock.advance(random.below(20_000));
        world.network.heal(actor.name);
      } else if (what === 10) {
        const closing = actor.client!.close();
        await soon(world, closing);
        await actor.start(world);
      } else change(group.setDescription(`by ${actor.name}`));
      await world.clock.advance(random.below(3_000));
    }
    world.network.conditions.breakChance = 0;
    await soon(world, Promise.all(pending));
    // Whoever is out is brought in again, so that all can be compared.
    const hers = await alice!.client!.group(id);
    const all = async (): Promise<boolean> =>
      (await Promise.all(actors.map(inIt))).every((is) => is) &&
      new Set(
        await Promise.all(
          actors.map(async ({ client }) => {
            const { version, title, epoch, description } = await (
              await client!.group(id)
            ).details();
            return `${version} ${title} ${epoch} ${description}`;
          }),
        ),
      ).size === 1;
    for (let round = 0; round < 5 && !(await all()); round++) {
      await soon(world, hers.add(...members)).catch(() => undefined);
      await world.clock.until(all, 10 * 60_000);
    }
    t.ok(await all(), 'one state');
    for (const { name, client } of actors) {
      await (await client!.group(id)).send(`last of ${name}`);
    }
    const heard = (actor: Actor): boolean =>
      NAMES.every(
        (name) => name === actor.name || actor.shown.some(({ text }) => text === `last of ${name}`),
      );
    t.ok(await world.clock.until(() => actors.every(heard)), 'everybody hears everybody');
    for (const actor of actors) {
      t.strictSame(actor.lost, [], `${actor.name} lost nothing`);
      const ids = actor.shown.map((message) => message.id);
      t.equal(new Set(ids).size, ids.length, `${actor.name} saw nothing twice`);
      for (const name of NAMES) {
        const own = sent.filter(({ by }) => by === name).map((message) => message.id);
        const order = ids.filter((one) => own.includes(one));
        t.strictSame(
          order,
          own.filter((one) => order.includes(one)),
          `${name} in order at ${actor.name}`,
        );
      }
      for (const { sender, text, peer } of actor.shown) {
        const by = text.startsWith('last of ') ? text.slice(8) : text.split(' ')[0]!;
        t.equal(sender.account, account.get(by), 'by whom it says');
        t.equal(peer, id);
      }
      const missing = [...actor.gaps.values()].filter((cause) => cause === 'forked');
      t.strictSame(missing, []);
    }
    for (const { client } of actors) await soon(world, client!.close());
  });
}
