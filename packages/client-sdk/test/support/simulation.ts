// A whole system under one clock and one seed: people, some with two devices, whose programs die at any
// moment, on a network that breaks, at a relay that is killed, or evil. The same plan gives the same run.
import { createHash } from 'node:crypto';

import { toHex } from '@qasid/protocol';
import type { Conversation, ConversationInfo, Gap, Message, QasidClient } from '@qasid/client-sdk';
import { TestWorld, type SeededRandom } from '@qasid/client-sdk/testing';

// Internals: reached by path, not by the public names.
import { isGroupId } from '../../dist/groups/store.js';
import { Book, type Tally } from './simulation-book.js';
import { SimulatedGroups } from './simulation-groups.js';
import { EvilRelay } from './simulation-relay.js';
import { Actor, type Outcome, type Plan } from './simulation-types.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Run a plan to its end. */
export async function simulate(plan: Plan): Promise<Outcome> {
  const simulation = await Simulation.create(plan);
  const rejected = (reason: unknown): void => simulation.problem('unhandled', reason);
  process.on('unhandledRejection', rejected);
  try {
    return await simulation.run();
  } finally {
    process.off('unhandledRejection', rejected);
  }
}

class Simulation {
  readonly #plan: Plan;
  readonly #world: TestWorld;
  readonly #random: SeededRandom;
  readonly #relay: EvilRelay;
  readonly #book = new Book();
  readonly #actors: Actor[] = [];
  readonly #groups: SimulatedGroups;
  readonly #trace = createHash('sha256');
  #texts = 0;
  #deaths = 0;
  #relayDeaths = 0;
  #relayIsUp = true;
  /** Programs may die, from now on. */
  #mortality = false;

  private constructor(plan: Plan, world: TestWorld) {
    this.#plan = plan;
    this.#world = world;
    this.#random = world.random.fork();
    this.#relay = new EvilRelay(world.clock, world.random.fork(), plan.malice);
    this.#groups = new SimulatedGroups({
      random: this.#random,
      book: this.#book,
      actors: this.#actors,
      problem: (what, reason) => this.problem(what, reason),
      inTime: (task) => this.#inTime(task),
      quiet: () => this.#quiet(),
      pass: (minutes) => world.clock.advance(minutes * MINUTE_MS),
      text: (by) => `${by} says ${this.#texts++}`,
    });
  }

  static async create(plan: Plan): Promise<Simulation> {
    return new Simulation(plan, await TestWorld.create({ seed: plan.seed }));
  }

  problem(what: string, reason: unknown): void {
    const said = reason instanceof Error ? (reason.stack ?? reason.message) : String(reason);
    this.#book.problems.push(`${what}: ${said}`);
  }

  async run(): Promise<Outcome> {
    const { clock } = this.#world;
    await this.#gather();
    const { conditions } = this.#world.network;
    this.#mortality = this.#plan.deaths;
    if (this.#plan.outages) conditions.breakChance = 0.003;
    while (this.#book.written.size < this.#plan.messages && this.#book.problems.length === 0) {
      await this.#step();
    }
    await this.#calm();
    await this.#groups.settle();
    for (let round = 0; round < 2; round++) {
      await this.#groups.probe(`${round}`);
      await this.#probe(round);
    }
    this.#book.problems.push(...this.#book.groups.leaks());
    await this.#readAll();
    const tally = await this.#judge();
    for (const { client } of this.#actors) await client?.close();
    const written = [...this.#book.written.values()];
    return {
      problems: this.#book.problems,
      messages: written.filter(({ body }) => body.kind === 'text').length,
      changes: written.filter(({ body }) => body.kind !== 'text').length,
      deaths: this.#deaths,
      relayDeaths: this.#relayDeaths,
      undecryptable: this.#book.undecryptable,
      tally,
      groups: {
        sealed: this.#book.groups.sealed,
        changes: this.#groups.changes,
        forks: this.#groups.forks,
      },
      lies: this.#relay.told,
      virtualMs: clock.elapsedMs(),
      trace: this.#trace.digest('hex'),
    };
  }

  #say(actor: Actor, what: string, value: unknown): void {
    const at = this.#world.clock.elapsedMs();
    this.#trace.update(`${at} ${actor.name} ${what} ${JSON.stringify(value)}\n`);
  }

  /** Everybody registers; the first person links a second device. */
  async #gather(): Promise<void> {
    this.#mortality = this.#plan.deaths;
    for (let index = 0; index < this.#plan.people; index++) {
      const actor = new Actor(`person${index}`, `person${index}`, this.#relay);
      this.#actors.push(actor);
      for (let tries = 0; actor.client?.me.registered !== true; tries++) {
        if (tries === 6) this.#mortality = false;
        if (tries > 20) throw new Error(`${actor.name} is not registered`);
        if (actor.isDead) await this.#start(actor);
        const { client } = actor;
        void client?.register({ username: actor.username }).catch(() => undefined);
        await this.#world.clock.until(
          () => actor.isDead || client?.me.registered === true,
          5 * MINUTE_MS,
        );
      }
      this.#meet(actor);
    }
    this.#mortality = false;
    const [phone] = this.#actors;
    if (phone === undefined) throw new Error('nobody is here');
    phone.mortal?.die();
    await this.#start(phone);
    const tablet = new Actor('person0-tablet', phone.username, this.#relay);
    await this.#start(tablet);
    await this.#world.clock.until(() => phone.client?.status === 'open');
    await this.#inTime(async () => {
      const request = await tablet.client?.devices.request();
      const grant = await phone.client?.devices.authorise(request ?? never());
      await tablet.client?.devices.accept(grant ?? never());
    });
    this.#actors.push(tablet);
    this.#meet(tablet);
    await this.#world.clock.advance(MINUTE_MS);
  }

  #meet(actor: Actor): void {
    const { account, device } = actor.client?.me ?? {};
    actor.account = account ?? never();
    actor.device = device ?? never();
    this.#book.name(actor.username, actor.account);
    this.#book.follow(actor);
  }

  async #inTime<Result>(task: () => Promise<Result>): Promise<Result> {
    let isDone = false;
    const running = task().finally(() => {
      isDone = true;
    });
    running.catch(() => undefined);
    if (!(await this.#world.clock.until(() => isDone, 6 * HOUR_MS))) throw new Error('too late');
    return running;
  }

  /** A new life of a program; it may die while it opens. */
  async #start(actor: Actor): Promise<void> {
    const life = ++actor.life;
    actor.client = undefined;
    actor.mortal = undefined;
    const dies = this.#mortality && this.#random.chance(0.8);
    const diesAt = dies ? 1 + this.#random.below(this.#random.pick([12, 60, 400])) : undefined;
    const { store, lies } = actor;
    const sealed = this.#plan.sealed ? 'prefer' : 'never';
    void this.#world
      .life(actor.name, { store, lies, sealed, ...(diesAt !== undefined && { diesAt }) })
      .then(({ client, mortal }) => {
        if (life !== actor.life) {
          mortal.die();
          return;
        }
        actor.client = client;
        actor.mortal = mortal;
        this.#listen(actor, client);
      })
      .catch((error: unknown) => this.problem(`${actor.name} does not open`, error));
    await this.#world.clock.settle();
  }

  #listen(actor: Actor, client: QasidClient): void {
    client.on('message', (message) => {
      this.#say(actor, 'message', [message.id, message.text]);
      this.#book.told(actor, message);
    });
    client.on('confirmed', ({ id }) => {
      this.#say(actor, 'confirmed', id);
      this.#book.confirmed.add(id);
    });
    client.on('failed', ({ id, error }) => {
      this.#say(actor, 'failed', [id, error.message]);
      this.#book.failed.add(id);
    });
    client.on('gap', (gap) => {
      this.#say(actor, 'gap', gap);
      this.#book.gap(actor, gap);
    });
    client.on('group-changed', (change) => this.#say(actor, 'group-changed', change));
    client.on('group-fork', (fork) => this.#say(actor, 'group-fork', fork));
    client.on('undecryptable', ({ cause }) => this.#say(actor, 'undecryptable', cause));
    client.on('first-use', ({ account }) => actor.pinned.add(account));
    client.on('trouble', (error) => {
      this.#say(actor, 'trouble', error.message);
      if (!('code' in error)) this.problem(`${actor.name} in trouble`, error);
    });
  }

  async #step(): Promise<void> {
    const random = this.#random;
    const { clock } = this.#world;
    const now = clock.elapsedMs();
    for (const actor of this.#actors) {
      if (!actor.isDead) continue;
      if (actor.startsAtMs === 0) {
        this.#deaths++;
        actor.startsAtMs = now + random.below(random.pick([1, 5_000, 5_000, 10 * MINUTE_MS]));
      }
      if (actor.startsAtMs > now) continue;
      actor.startsAtMs = 0;
      await this.#start(actor);
    }
    // An hour of honesty now and then, or nothing would ever heal.
    if (this.#plan.evil) this.#relay.isEvil = this.#book.written.size % 100 >= 20;
    if (this.#plan.outages) await this.#outage();
    const deeds = 1 + random.below(8);
    for (let count = 0; count < deeds; count++) {
      const actor = this.#actors[random.below(this.#actors.length)];
      if (actor !== undefined && !actor.isDead) this.#deed(actor);
    }
    await clock.advance(random.below(random.pick([20, 500, 3_000, 3_000])));
    if (random.chance(0.01)) await clock.advance(random.below(4 * HOUR_MS));
  }

  async #outage(): Promise<void> {
    const random = this.#random;
    const { clock, network } = this.#world;
    if (random.chance(0.02)) {
      const name = this.#actors[random.below(this.#actors.length)]?.name ?? '';
      network.partition(name);
      clock.after(random.below(random.pick([5_000, 2 * HOUR_MS])), () => network.heal(name));
    }
    if (random.chance(0.02)) network.breakConnections();
    if (random.chance(0.02)) clock.jump(random.below(2 * 24 * HOUR_MS) - 24 * HOUR_MS);
    if (!this.#relayIsUp && random.chance(0.2)) await this.#startRelay();
    else if (this.#relayIsUp && random.chance(0.01)) {
      this.#world.killRelay();
      this.#relayIsUp = false;
      this.#relayDeaths++;
    }
  }

  async #startRelay(): Promise<void> {
    await this.#world.startRelay();
    this.#relayIsUp = true;
  }

  /** Somebody does something. Not awaited: their program may die meanwhile. */
  #deed(actor: Actor): void {
    const random = this.#random;
    const { client } = actor;
    const others = this.#actors.filter(({ account }) => account !== actor.account);
    const other = others[random.below(others.length)];
    if (client === undefined || other === undefined) return;
    const dice = random.next();
    const number = random.below(2 ** 30);
    const inGroup = this.#plan.groups && random.chance(0.4);
    const done = inGroup
      ? this.#groups.deed(actor, client)
      : dice < 0.6
        ? this.#write(client, other.username, `${actor.name} says ${this.#texts++}`)
        : dice < 0.62
          ? this.#restart(actor)
          : this.#change(actor, client, other, dice, number);
    done.catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error)) this.problem(`${actor.name} failed`, error);
    });
  }

  async #write(client: QasidClient, to: string, text: string): Promise<void> {
    await client.send(to, text);
  }

  async #restart(actor: Actor): Promise<void> {
    const { client, mortal } = actor;
    await client?.close();
    mortal?.die();
  }

  async #change(
    actor: Actor,
    client: QasidClient,
    other: Actor,
    dice: number,
    number: number,
  ): Promise<void> {
    const chat = await client.conversation(other.username);
    if (dice < 0.7) {
      await chat.markRead();
      return;
    }
    if (dice < 0.705) {
      // What came before cannot be compared afterwards: not in every run.
      if (this.#plan.seed % 3 !== 0) return;
      this.#book.clears(actor.account, other.account);
      await chat.clear();
      return;
    }
    const recent = await chat.messages({ limit: 12 });
    const mine = recent.filter(({ sender }) => sender.account === actor.account);
    const pool = dice < 0.88 ? recent : mine.filter(({ deleted }) => !deleted);
    const target = pool[number % Math.max(1, pool.length)];
    if (target === undefined) return;
    if (dice < 0.85) await chat.react(target, number % 2 === 0 ? '👍' : '🎉');
    else if (dice < 0.88) await chat.react(target, undefined);
    else if (dice < 0.97) await chat.edit(target, `${target.id} edited ${number}`);
    else await chat.delete(target);
  }

  /** Everything is well again, for as long as it takes. */
  async #calm(): Promise<void> {
    const { network } = this.#world;
    this.#mortality = false;
    this.#relay.isEvil = false;
    network.conditions.breakChance = 0;
    for (const { name } of this.#actors) network.heal(name);
    if (!this.#relayIsUp) await this.#startRelay();
    for (const actor of this.#actors) {
      actor.mortal?.die();
      await this.#start(actor);
      if (actor.isDead) this.problem(actor.name, 'does not start again');
    }
    await this.#quiet();
  }

  /** Until nothing is on its way any more. */
  async #quiet(): Promise<void> {
    const { clock } = this.#world;
    const isQuiet = async (): Promise<boolean> => {
      for (const { store } of this.#actors) {
        if ((await store.outboxState()) !== 'empty') return false;
      }
      return (await this.#world.queued()) === 0;
    };
    for (let minutes = 0; minutes < 240; minutes += 5) {
      await clock.advance(5 * MINUTE_MS);
      if (await isQuiet()) return;
    }
    for (const { name, store } of this.#actors) {
      const state = await store.outboxState();
      if (state !== 'empty') this.problem(name, `outbox is ${state} after four hours of calm`);
    }
    this.problem('relay', `${await this.#world.queued()} envelopes wait after four hours of calm`);
  }

  /** Everybody writes to everybody: losses before it show, and sessions prove to work. */
  async #probe(round: number): Promise<void> {
    const probes: { readonly text: string; readonly from: Actor; readonly to: Actor }[] = [];
    for (const from of this.#actors) {
      for (const to of this.#actors) {
        if (from.account === to.account || to.device !== 1) continue;
        const text = `probe ${round} ${from.name} to ${to.name}`;
        probes.push({ text, from, to });
        const sent = from.client?.send(to.username, text);
        sent?.catch((error: unknown) => this.problem(`${text} is not sent`, error));
      }
    }
    await this.#quiet();
    for (const actor of this.#actors) {
      const { client } = actor;
      const rows = (await client?.history({ limit: 1_000_000 })) ?? [];
      const texts = new Set(rows.map(({ text }) => text));
      for (const { text, from, to } of probes) {
        const due = actor.account === from.account || actor.account === to.account;
        if (due && !texts.has(text)) this.problem(actor.name, `does not see ${text}`);
        if (!due && texts.has(text)) this.problem(actor.name, `sees ${text}`);
      }
    }
  }

  /** Everybody reads everything: the devices of one person must agree on that. */
  async #readAll(): Promise<void> {
    for (const actor of this.#actors) {
      if (actor.device !== 1) continue;
      await this.#inTime(async () => {
        for (const { id } of (await actor.client?.conversations()) ?? []) {
          await (await chatOf(actor, id))?.markRead();
        }
      });
    }
    await this.#quiet();
    for (const actor of this.#actors) {
      const all: readonly ConversationInfo[] = (await actor.client?.conversations()) ?? [];
      for (const { id, username = id, unread } of all) {
        if (unread !== 0 && !this.#book.groups.left.has(id))
          this.problem(actor.name, `${unread} of ${username} are unread`);
      }
    }
  }

  /** Whatever keys the relay showed: everybody is still who they were at first. */
  async #checkKeys(actor: Actor): Promise<void> {
    for (const other of this.#actors) {
      const trusted = await actor.store.loadIdentity(other.account);
      const own = await other.store.loadIdentityKeyPair();
      if (trusted !== undefined && toHex(trusted) !== toHex(own.public)) {
        this.problem(actor.name, `takes another key for that of ${other.name}`);
      }
    }
  }

  async #judge(): Promise<Tally> {
    const sum = { due: 0, shown: 0, missing: 0, unexcused: 0, compared: 0 };
    for (const actor of this.#actors) {
      const shown = new Map<string, readonly Message[]>();
      const gaps: Gap[] = [];
      for (const { id } of (await actor.client?.conversations()) ?? []) {
        const chat = await this.#inTime(() => chatOf(actor, id));
        shown.set(id, (await chat?.messages({ limit: 1_000_000 })) ?? []);
        gaps.push(...((await chat?.gaps()) ?? []));
      }
      const tally = await this.#book.check(actor, shown, gaps);
      await this.#checkKeys(actor);
      sum.due += tally.due;
      sum.shown += tally.shown;
      sum.missing += tally.missing;
      sum.unexcused += tally.unexcused;
      sum.compared += tally.compared;
    }
    if (!this.#plan.evil) {
      if (this.#book.undecryptable > 0) {
        this.problem('honest relay', `${this.#book.undecryptable} undecryptable`);
      }
      if (sum.unexcused > 0) this.problem('honest relay', `${sum.unexcused} missing`);
    }
    return sum;
  }
}

async function chatOf({ client }: Actor, id: string): Promise<Conversation | undefined> {
  return isGroupId(id) ? client?.group(id) : client?.conversation(id);
}

function never(): never {
  throw new Error('this cannot be');
}
