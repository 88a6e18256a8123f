// Groups in a simulation: what people do in them, and that all devices come to the same group in the end.
import { NetworkError, type Group, type Message, type QasidClient } from '@qasid/client-sdk';
import type { SeededRandom } from '@qasid/client-sdk/testing';

import type { Book, Reader } from './simulation-book.js';

/** Somebody's device, as groups see it. */
export interface Member extends Reader {
  readonly username: string;
  readonly client: QasidClient | undefined;
}

/** What groups need of a simulation. */
export interface GroupsDeps {
  readonly random: SeededRandom;
  readonly book: Book;
  readonly actors: readonly Member[];
  problem(what: string, reason: unknown): void;
  inTime<Result>(task: () => Promise<Result>): Promise<Result>;
  /** Until nothing is on its way any more. */
  quiet(): Promise<void>;
  /** Let so many minutes pass. */
  pass(minutes: number): Promise<void>;
  /** A text that nobody wrote before. */
  text(by: string): string;
}

/** Groups of one run. Higher: fewer things happen in each. */
const GROUPS_MAX = 3;

/** Times that everybody writes to everybody before they must agree. */
const ROUNDS_MAX = 6;

/** Longer than the hour after which what is missing is asked for again. */
const ROUND_MINUTES = 70;

/** All groups of one simulation. */
export class SimulatedGroups {
  readonly #deps: GroupsDeps;
  /** Links that somebody handed around. */
  readonly #links: string[] = [];
  forks = 0;
  changes = 0;

  constructor(deps: GroupsDeps) {
    this.#deps = deps;
  }

  /** Somebody does something in some group. Throws whatever the client throws. */
  async deed(actor: Member, client: QasidClient): Promise<void> {
    const { random, book } = this.#deps;
    // Drawn before anything is awaited, so that a run repeats.
    const dice = random.next();
    const number = random.below(2 ** 30);
    const names = [...new Set(this.#deps.actors.map(({ username }) => username))];
    const who = names[random.below(names.length)] ?? actor.username;
    const known = [...book.groups.groups];
    const id = known[number % Math.max(1, known.length)];
    if (id === undefined || (known.length < GROUPS_MAX && dice < 0.03)) {
      const members = names.filter((name) => name !== who && name !== actor.username);
      const group = await client.createGroup({ title: `first of ${actor.name}`, members });
      if (number % 2 === 0) await group.setPolicy({ edit: 'members' });
      return;
    }
    if (dice < 0.66) await this.#write(actor, client, id, dice, number);
    else await this.#change(await client.group(id), client, who, dice, number);
  }

  async #write(
    actor: Member,
    client: QasidClient,
    id: string,
    dice: number,
    number: number,
  ): Promise<void> {
    const group = await client.group(id);
    if (dice < 0.48) {
      await group.send(this.#deps.text(actor.name));
      return;
    }
    const recent = await group.messages({ limit: 12 });
    const isMine = ({ sender }: Message): boolean => sender.account === actor.account;
    const pool =
      dice < 0.58 ? recent : recent.filter((message) => isMine(message) && !message.deleted);
    const target = pool[number % Math.max(1, pool.length)];
    if (target === undefined) return;
    if (dice < 0.56) await group.react(target, number % 2 === 0 ? '👍' : '🎉');
    else if (dice < 0.58) await group.react(target, undefined);
    else if (dice < 0.64) await group.edit(target, `${target.id} edited ${number}`);
    else await group.delete(target);
  }

  async #change(
    group: Group,
    client: QasidClient,
    who: string,
    dice: number,
    number: number,
  ): Promise<void> {
    this.changes++;
    if (dice < 0.74) await group.setTitle(`title ${number}`);
    else if (dice < 0.76) await group.setDescription(`about ${number}`);
    else if (dice < 0.84) await group.add(who);
    else if (dice < 0.9) await group.remove(who);
    else if (dice < 0.93) await group.leave();
    else if (dice < 0.97) await group.setRole(who, number % 3 === 0 ? 'member' : 'admin');
    else if (dice < 0.985) this.#links.push(await group.createLink());
    else {
      const link = this.#links[number % Math.max(1, this.#links.length)];
      if (link !== undefined) await client.joinGroup(link);
    }
  }

  /** Everybody is honest again: forks are decided, all hear of all, everybody is brought in, and all agree. */
  async settle(): Promise<void> {
    const { book, quiet } = this.#deps;
    if (book.groups.groups.size === 0) return;
    await this.#agree('after the storm');
    for (const id of book.groups.groups) await this.#gather(id);
    await quiet();
    await this.#agree('with everybody in it');
    for (const id of book.groups.groups) {
      if (this.#members(id).length === 0) book.groups.left.add(id);
    }
  }

  /** Groups that somebody is in. */
  #living(): readonly string[] {
    return [...this.#deps.book.groups.groups].filter((id) => this.#members(id).length > 0);
  }

  /** Everybody writes into every group they are in; all who are in it see it. */
  async probe(round: string): Promise<void> {
    const { actors, problem, quiet } = this.#deps;
    const texts: { readonly text: string; readonly id: string }[] = [];
    for (const id of this.#living()) {
      for (const actor of this.#members(id)) {
        const text = `probe ${round} by ${actor.name} in ${id}`;
        const sent = actor.client?.group(id).then((group) => group.send(text));
        sent?.catch((error: unknown) => problem(`${text} is not sent`, error));
        texts.push({ text, id });
      }
    }
    await quiet();
    for (const actor of actors) {
      const rows = (await actor.client?.history({ limit: 1_000_000 })) ?? [];
      const seen = new Set(rows.map(({ text }) => text));
      for (const { text, id } of texts) {
        const isIn = this.#members(id).includes(actor);
        if (isIn !== seen.has(text)) problem(actor.name, `${isIn ? 'lacks' : 'sees'} ${text}`);
      }
    }
  }

  /** Devices that think they are in a group. */
  #members(id: string): readonly Member[] {
    const { actors, book } = this.#deps;
    return actors.filter((actor) => {
      return book.groups.headOf(actor, id)?.state.members.has(actor.account) === true;
    });
  }

  /** What keeps the devices of a group from being of one mind; `undefined`: nothing does. */
  #quarrel(id: string): string | undefined {
    const { actors, book } = this.#deps;
    const views = actors.map((actor) => ({ actor, head: book.groups.headOf(actor, id) }));
    const inIt = this.#members(id);
    const heads = new Set(inIt.map((actor) => book.groups.headOf(actor, id)?.hash));
    if (heads.size === 0) return undefined;
    const [hash] = heads;
    const all = views.every(({ actor, head }) => {
      const state = book.groups.headOf(inIt[0] ?? actor, id)?.state;
      return state?.members.has(actor.account) !== true || head?.hash === hash;
    });
    if (heads.size === 1 && all) return undefined;
    const words = views.map(({ actor, head }) => {
      if (head === undefined) return `${actor.name} knows nothing`;
      const { version, title, epoch, members } = head.state;
      const names = actors.filter(({ account }) => members.has(account)).map(({ name }) => name);
      const by = actors.find(({ account }) => account === head.entry.author)?.name;
      const what = head.entry.changes.map(({ kind }) => kind).join('+');
      return `${actor.name}: ${version} ${head.hash.slice(0, 8)} ${what} by ${by}, ${title}, epoch ${epoch}, ${names.join(' ')}`;
    });
    return words.join('; ');
  }

  async #agree(when: string): Promise<void> {
    const { book, problem, quiet, pass } = this.#deps;
    for (let round = 0; round < ROUNDS_MAX; round++) {
      for (const id of book.groups.groups) await this.#decide(id);
      await quiet();
      for (const id of this.#living()) {
        for (const actor of this.#members(id)) {
          const text = `is anybody there? ${round} ${when} ${actor.name}`;
          const sent = actor.client?.group(id).then((group) => group.send(text));
          sent?.catch((error: unknown) => problem(`${text}`, error));
        }
      }
      await pass(ROUND_MINUTES);
      await this.#decideAll();
      await quiet();
      if ([...book.groups.groups].every((id) => this.#quarrel(id) === undefined)) return;
    }
    for (const id of book.groups.groups) {
      const quarrel = this.#quarrel(id);
      if (quarrel !== undefined) problem(`group ${id.slice(0, 8)} ${when}`, quarrel);
    }
  }

  async #decideAll(): Promise<void> {
    for (const id of this.#deps.book.groups.groups) await this.#decide(id);
  }

  /** Where members are told to decide, all decide alike: they talked about it. */
  async #decide(id: string): Promise<void> {
    const { actors, inTime } = this.#deps;
    for (const { client } of actors) {
      const group = await client?.group(id).catch(() => undefined);
      for (let tries = 0; group !== undefined && tries < 8; tries++) {
        const { fork } = await group.details();
        if (fork === undefined) break;
        this.forks++;
        const [first = fork.ours] = [fork.ours, fork.theirs].sort();
        await inTime(() => group.decideFork(first));
      }
    }
  }

  /** Whoever is out is brought in. */
  async #gather(id: string): Promise<void> {
    const { actors, book, problem, inTime, pass } = this.#deps;
    const admin = actors.find((actor) => {
      return book.groups.headOf(actor, id)?.state.members.get(actor.account) === 'admin';
    });
    if (admin === undefined) {
      if (this.#members(id).length > 0) problem(`group ${id}`, 'nobody is its admin');
      return;
    }
    const bringIn = async (): Promise<void> => {
      const group = await admin.client?.group(id);
      await group?.add(...new Set(actors.map(({ username }) => username)));
    };
    try {
      for (let round = 0; ; round++) {
        try {
          await inTime(bringIn);
          return;
        } catch (error) {
          // The secret of the epoch did not arrive yet: it is asked for every hour, and the person tries again.
          const isSoon = error instanceof NetworkError && error.code === 'NET_BUSY';
          if (!isSoon || round >= ROUNDS_MAX) throw error;
          await pass(ROUND_MINUTES);
        }
      }
    } catch (error) {
      problem(`${admin.name} brings everybody into ${id}`, error);
    }
  }
}
