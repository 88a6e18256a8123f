// The long haul: people in real processes write while a seeded driver kills, freezes and cuts off whatever it finds.
import { join } from 'node:path';

import {
  startProcess,
  type RelayProcess,
} from '../../../../relay/dist-test/support/relay-process.js';
import { dice } from '../dice.js';
import { Book, type Device, type Sum } from './book.js';
import { Gone, type Host, NodeHost, Refused } from './hosts.js';
import type { News, Place, Row, Settled, Task } from './orders.js';

/** What a run is made of. */
export interface HaulOptions {
  readonly seed: number;
  readonly messages: number;
  /** Members of the group without the three who always are: alice, bob and, with a browser, dave. */
  readonly crowd: number;
  readonly faults: number;
  /** How often one member goes and another comes: each writer then makes a new key for all. */
  readonly churns: number;
  /** How many of all messages go to the group. */
  readonly groupShare: number;
  readonly root: string;
  readonly comment: (words: string) => void;
}

/** A place where hosts are started again and again. */
export interface Seat {
  readonly name: string;
  readonly devices: readonly Device[];
  /** Streams written here; more than one seat may open one device. */
  readonly streams: readonly { readonly stream: string; readonly device: Device }[];
  start(hear: (news: News) => void): Promise<Host>;
  host: Host | undefined;
  /** Something is being done to it. */
  isBusy: boolean;
  /** Ends the whole program this is a part of, without warning. */
  killProgram?(): Promise<void>;
}

const CROWD_IN_ONE_PROCESS = 8;

export const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, ms));

export class Haul {
  readonly book = new Book();
  readonly kills = new Map<string, number>();
  readonly seats: Seat[] = [];
  readonly options: HaulOptions;
  readonly #random: () => number;
  #relay: RelayProcess | undefined;
  #group = '';
  #isOver = false;
  readonly #numbers = new Map<string, number>();
  #bag: string[] = [];
  #isRelayBusy = false;
  #isChurning = false;

  constructor(options: HaulOptions) {
    this.options = options;
    this.#random = dice(options.seed);
  }

  get relayUrl(): string {
    return this.#relay?.url ?? '';
  }

  /** Kill everything that still runs. */
  async end(): Promise<void> {
    this.#isOver = true;
    await Promise.all(
      this.seats.map(({ host, killProgram }) => (killProgram ?? host?.kill)?.call(host)),
    );
    await this.#relay?.kill();
  }

  async startRelay(): Promise<void> {
    const directory = join(this.options.root, 'relay');
    const port = this.#relay === undefined ? 0 : Number(new URL(this.#relay.url).port);
    this.#relay = await startProcess(directory, {
      port,
      storeThread: this.#pick(['main', 'worker']),
      more: { requirePadding: true },
    });
  }

  /** A device of its own process, or of the process `seat` names. */
  async addPerson(username: string, name: string, seat = name): Promise<Device> {
    const device: Device = { name, username, streams: [name], account: '' };
    this.book.devices.push(device);
    const found = this.seats.find((one) => one.name === seat);
    if (found !== undefined) {
      (found.devices as Device[]).push(device);
      (found.streams as { stream: string; device: Device }[]).push({ stream: name, device });
      return device;
    }
    const fresh: Seat = {
      name: seat,
      devices: [device],
      streams: [{ stream: name, device }],
      start: async (hear) => new NodeHost(hear),
      host: undefined,
      isBusy: false,
    };
    this.seats.push(fresh);
    fresh.host = await fresh.start((news) => this.book.hear(seat, news));
    return device;
  }

  /** Accounts, devices, contacts and the group; `browser` are the seats of a person in a page. */
  async begin(browser: readonly Seat[] = []): Promise<void> {
    const [alice, bob] = [await this.addPerson('alice', 'a1'), await this.addPerson('bob', 'b1')];
    const [desk, tablet] = [
      await this.addPerson('alice', 'a2'),
      await this.addPerson('alice', 'a3'),
    ];
    const crowd: Device[] = [];
    for (let index = 0; index < this.options.crowd + 1; index++) {
      const seat = `crowd${Math.floor(index / CROWD_IN_ONE_PROCESS)}`;
      crowd.push(await this.addPerson(`member.${index}`, `m${index}`, seat));
    }
    for (const device of [alice, bob, ...crowd]) await this.#register(device);
    for (const seat of browser) {
      this.seats.push(seat);
      seat.host = await seat.start((news) => this.book.hear(seat.name, news));
      for (const device of seat.devices) {
        if (!this.book.devices.includes(device)) this.book.devices.push(device);
        await this.#register(device, seat);
      }
    }
    for (const device of [desk, tablet]) {
      const link = String(await this.ask(alice, { do: 'offer' }));
      device.account = String(await this.ask(device, { do: 'link', link, ...this.#place(device) }));
    }
    const [, ...members] = this.core();
    const inside = [...members, ...crowd.slice(0, -1).map(({ username }) => username)];
    this.#group = String(await this.ask(alice, { do: 'found', members: inside }));
    await this.#until('the group is known', async () => {
      for (const device of this.book.devices) {
        if (device === crowd.at(-1)) continue;
        if (!((await this.ask(device, { do: 'knows', group: this.#group })) as number))
          return false;
      }
      return true;
    });
    const version = (await this.ask(alice, { do: 'knows', group: this.#group })) as number;
    for (const device of this.book.devices) {
      this.book.belongs(device.account, device !== crowd.at(-1), version);
      const people = this.core().filter((username) => username !== device.username);
      await this.ask(device, { do: 'befriend', people });
    }
  }

  /** Everybody writes, everything fails now and then, until so many messages were accepted. */
  async run(): Promise<void> {
    const writers = this.seats.map((seat) => this.#write(seat));
    await this.#faults();
    await Promise.all(writers);
  }

  /** All is well again: wait until everything arrived, or until nothing did for so long. */
  async finish(patienceMs: number): Promise<Sum & { said: string[] }> {
    let started = Date.now();
    let left = Infinity;
    for (;;) {
      for (const device of this.book.devices) {
        const settled = (await this.ask(device, { do: 'settle', timeoutMs: 20_000 })) as Settled;
        if (settled.problem !== '') {
          this.options.comment(`${device.name}: ${JSON.stringify(settled)}`);
        }
      }
      const histories = new Map<Device, readonly Row[]>();
      for (const device of this.book.devices) histories.set(device, await this.#history(device));
      const sum = this.book.check(histories, this.#group);
      const now = sum.lost + sum.sent - sum.confirmed - sum.refused;
      if (now < left) started = Date.now();
      left = now;
      if (left === 0 || Date.now() - started > patienceMs) return sum;
      await pause(500);
    }
  }

  /** What histories miss or could not open, by their own account, of people the group never took out. */
  async missing(): Promise<readonly string[]> {
    const { devices, refused } = this.book;
    const all = refused.filter(({ cause }) => cause.startsWith('undecryptable'));
    for (const device of devices) {
      const people = this.core().filter((other) => other !== device.username);
      const task = { do: 'gaps', people, group: this.#group } as const;
      for (const account of (await this.ask(device, task)) as readonly string[]) {
        all.push({ who: device.name, account, cause: 'gap' });
      }
    }
    const accountOf = (name: string) => devices.find((one) => one.name === name)?.account ?? '';
    return all
      .filter(({ who, account }) => {
        return [accountOf(who), account].every((one) => one === '' || this.book.isSteady(one));
      })
      .map(({ who, account, cause }) => {
        return `${who}: ${cause} of ${devices.find((one) => one.account === account)?.name}`;
      });
  }

  /** Who always is in the group, with alice first. */
  core(): readonly string[] {
    const names = new Set(this.book.devices.map(({ username }) => username));
    return [...names].filter((name) => !name.startsWith('member.'));
  }

  async ask(device: Device, task: Task): Promise<unknown> {
    const seats = this.seats.filter(({ devices }) => devices.includes(device));
    const host = seats.find(({ host }) => host !== undefined)?.host;
    if (host === undefined) throw new Gone(device.name);
    return host.ask(device.name, task);
  }

  /** Start what was stopped, and open everybody who lives there. */
  async revive(seat: Seat): Promise<void> {
    const host = await seat.start((news) => this.book.hear(seat.name, news));
    for (const device of seat.devices) {
      await host.ask(device.name, { do: 'open', ...this.#place(device) });
    }
    seat.host = host;
  }

  count(kind: string): void {
    this.kills.set(kind, (this.kills.get(kind) ?? 0) + 1);
  }

  async #register(device: Device, seat?: Seat): Promise<void> {
    const ask = (task: Task) =>
      seat?.host === undefined ? this.ask(device, task) : seat.host.ask(device.name, task);
    await ask({ do: 'open', ...this.#place(device) });
    // The second tab of somebody.
    if (device.account !== '') return;
    device.account = String(await ask({ do: 'register', username: device.username }));
  }

  #place(device: Device): Place {
    const directory = join(this.options.root, device.name);
    // One of them encrypts what it keeps.
    return { relay: this.relayUrl, directory, ...(device.name === 'b1' && { passphrase: 'haul' }) };
  }

  async #write(seat: Seat): Promise<void> {
    while (!this.#isDone()) {
      const { host } = seat;
      if (host === undefined) {
        await pause(50);
        continue;
      }
      // In a crowd it is always somebody else.
      const { stream, device } = this.#pick(seat.streams);
      const others = this.core().filter((username) => username !== device.username);
      const to = this.#random() < this.options.groupShare ? 'group' : this.#pick(others);
      const count = 1 + Math.floor(this.#random() * 8);
      const key = `${stream} ${to}`;
      const first = this.#numbers.get(key) ?? 0;
      this.#numbers.set(key, first + count);
      try {
        if (to === 'group' && !(await host.ask(device.name, { do: 'knows', group: this.#group }))) {
          continue;
        }
        await host.ask(device.name, { do: 'send', stream, to, group: this.#group, first, count });
        // People do not write for ever into a full outbox.
        await host.ask(device.name, { do: 'settle', timeoutMs: 2_000 });
      } catch (error) {
        if (error instanceof Gone) continue;
        // Taken out of the group while writing.
        if (error instanceof Refused && error.code === 'GROUP_NOT_MEMBER') continue;
        this.book.hear('driver', { who: device.name, wrong: String(error) });
        await pause(100);
      }
    }
  }

  #isDone(): boolean {
    return this.#isOver || this.book.accepted >= this.options.messages;
  }

  /** Faults at even distances in messages; they overlap when they take long. */
  async #faults(): Promise<void> {
    const { faults, messages, churns } = this.options;
    const running: Promise<void>[] = [];
    for (let number = 0; number < faults; number++) {
      const due = (messages * (number + 0.5)) / faults;
      while (this.book.accepted < due) await pause(10);
      running.push(this.#fault(this.#draw()));
      if (number % Math.ceil(faults / churns) === 0) running.push(this.#churn());
      if (number % 20 === 19) {
        this.options.comment(`${this.book.accepted} messages, ${number + 1} faults`);
      }
    }
    await Promise.all(running);
  }

  /** Every kind once before any comes again. */
  #draw(): string {
    if (this.#bag.length === 0) {
      const kinds = ['relay', 'client', 'relay', 'cable', 'client', 'freeze', 'away'];
      if (this.seats.some(({ name }) => name.startsWith('tab'))) kinds.push('tab', 'browser');
      this.#bag = kinds
        .map((kind) => [this.#random(), kind] as const)
        .sort(([a], [b]) => a - b)
        .map(([, kind]) => kind);
    }
    return this.#bag.pop() ?? 'relay';
  }

  async #fault(kind: string): Promise<void> {
    if (kind === 'relay') return this.#killRelay();
    const mayBe = (host: Host): boolean => {
      if (kind === 'cable' || kind === 'away') return true;
      return (kind === 'client' || kind === 'freeze') === host instanceof NodeHost;
    };
    const fit = this.seats.filter(
      ({ host, isBusy }) => !isBusy && host !== undefined && mayBe(host),
    );
    const [seat] = fit.length === 0 ? [] : [this.#pick(fit)];
    // All of them have a problem already.
    if (seat?.host === undefined) return;
    const hit = kind === 'browser' ? this.seats.filter((one) => one.killProgram) : [seat];
    if (hit.some(({ isBusy }) => isBusy)) return;
    for (const one of hit) one.isBusy = true;
    this.count(kind);
    const { host } = seat;
    switch (kind) {
      case 'cable': {
        const told = this.#random() < 0.5;
        for (const { name } of seat.devices) await host.ask(name, { do: 'cable', out: true, told });
        await pause(this.#random() * 3_000);
        for (const { name } of seat.devices) {
          await host.ask(name, { do: 'cable', out: false, told });
        }
        break;
      }
      case 'freeze':
        if (host instanceof NodeHost) {
          host.freeze();
          await pause(this.#random() * 3_000);
          host.thaw();
        }
        break;
      default:
        for (const one of hit) one.host = undefined;
        if (kind === 'away') {
          for (const { name } of seat.devices) await host.ask(name, { do: 'close' });
        }
        await (kind === 'browser' ? seat.killProgram?.() : host.kill());
        await pause(this.#random() * (kind === 'away' ? 3_000 : 1_000));
        for (const one of hit) await this.revive(one);
    }
    for (const one of hit) one.isBusy = false;
  }

  async #killRelay(): Promise<void> {
    if (this.#isRelayBusy) return;
    this.#isRelayBusy = true;
    this.count('relay');
    await this.#relay?.kill();
    await pause(this.#random() * 800);
    await this.startRelay();
    this.#isRelayBusy = false;
  }

  /** One goes, one comes; alice decides. What the relay being away prevents happens another time. */
  async #churn(): Promise<void> {
    const [alice] = this.book.devices;
    if (this.#isChurning || alice === undefined) return;
    this.#isChurning = true;
    try {
      const task = { do: 'members', group: this.#group } as const;
      const inside = new Set((await this.ask(alice, task)) as readonly string[]);
      const crowd = this.book.devices.filter(({ username }) => username.startsWith('member.'));
      const goes = this.#pick(crowd.filter(({ account }) => inside.has(account)));
      const comes = this.#pick(crowd.filter(({ account }) => !inside.has(account)));
      for (const { account } of [goes, comes]) this.book.belongs(account, false, Infinity);
      await this.#change({ remove: goes.username }, goes, false);
      await this.#change({ add: comes.username }, comes, true);
      this.count('churn');
    } catch (error) {
      if (!(error instanceof Gone || error instanceof Refused)) throw error;
      this.count('churn put off');
    }
    this.#isChurning = false;
  }

  async #change(
    change: { readonly add?: string; readonly remove?: string },
    { account }: Device,
    isIn: boolean,
  ): Promise<void> {
    const [alice] = this.book.devices as [Device];
    await this.ask(alice, { do: 'change', group: this.#group, ...change });
    const version = (await this.ask(alice, { do: 'knows', group: this.#group })) as number;
    this.book.belongs(account, isIn, version);
  }

  async #history(device: Device): Promise<readonly Row[]> {
    const all: Row[] = [];
    for (let after = 0; ; ) {
      const page = (await this.ask(device, { do: 'rows', after })) as readonly Row[];
      all.push(...page);
      const last = page.at(-1);
      if (last === undefined) return all;
      after = last.seq;
    }
  }

  async #until(what: string, is: () => Promise<boolean>): Promise<void> {
    const started = Date.now();
    while (!(await is())) {
      if (Date.now() - started > 300_000) throw new Error(`waited in vain: ${what}`);
      await pause(20);
    }
  }

  #pick<Value>(from: readonly Value[]): Value {
    const value = from[Math.floor(this.#random() * from.length)];
    if (value === undefined) throw new Error('nothing to pick from');
    return value;
  }
}
