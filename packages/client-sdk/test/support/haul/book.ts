// The book of the long haul: what was accepted, what was shown, and at the end what every history must hold.
import type { News, Row } from './orders.js';

/** A device: one store, wherever it is opened. */
export interface Device {
  readonly name: string;
  readonly username: string;
  /** Who writes here: the device itself, or each of its tabs. */
  readonly streams: readonly string[];
  account: string;
}

/** Numbers of a run. */
export interface Sum {
  /** Messages that stand in the history of the device that wrote them. */
  sent: number;
  /** Of those, how many the relay confirmed. */
  confirmed: number;
  /** Failed with `GROUP_NOT_MEMBER`: their writer was taken out of the group before they left. */
  refused: number;
  /** Rows that had to be in the history of another device, and are. */
  delivered: number;
  lost: number;
  twice: number;
  outOfOrder: number;
  /** Anything else that may not be: a wrong author, a message to somebody else. */
  wrong: number;
  /** Messages to a group whose readers are not certain, because it changed while they were written. */
  uncertain: number;
}

const TEXT = /^(\S+) (\d+) (\S+)$/;

function parse(text: string) {
  const [, stream = '', number = '', to = ''] = TEXT.exec(text) ?? [];
  return { stream, number: Number(number), to };
}

/** What is known of a run. */
export class Book {
  readonly devices: Device[] = [];
  /** Things that went wrong while it ran, by name; some are mended later. */
  readonly troubles = new Map<string, number>();
  /** What events showed, against the rule of once and in order. */
  readonly problems: string[] = [];
  /** What could not be opened or is missing, and whose it was. */
  readonly refused: { readonly who: string; readonly account: string; readonly cause: string }[] =
    [];
  /** Who is in the group, by account, and since which version that is certain. */
  readonly #belongs = new Map<string, { readonly isIn: boolean; readonly since: number }>();
  readonly #accepted = new Map<string, number | undefined>();
  readonly #shown = new Map<string, Set<string>>();
  readonly #last = new Map<string, number>();

  /** How many messages were accepted so far. */
  get accepted(): number {
    return this.#accepted.size;
  }

  /** `window`: the process or tab that tells it; each shows everything of its store. */
  hear(window: string, news: News): void {
    const { who, shown, stored, version, wrong, healed, from } = news;
    if (stored !== undefined) this.#accepted.set(stored, version);
    if (from !== undefined) this.refused.push({ who, account: from, cause: `${wrong}` });
    if (shown !== undefined) this.#show(`${window}/${who}`, shown);
    for (const one of [wrong, healed]) {
      if (one !== undefined) this.troubles.set(one, (this.troubles.get(one) ?? 0) + 1);
    }
  }

  #show(eyes: string, text: string): void {
    const seen = this.#shown.get(eyes) ?? new Set();
    this.#shown.set(eyes, seen);
    if (seen.has(text)) this.problems.push(`${eyes} was shown twice: ${text}`);
    seen.add(text);
    const { stream, number, to } = parse(text);
    const key = `${eyes} ${stream} ${to}`;
    if ((this.#last.get(key) ?? -1) > number) {
      this.problems.push(`${eyes} was shown out of order: ${text} after ${this.#last.get(key)}`);
    }
    this.#last.set(key, number);
  }

  /** Compare all histories with what was written. */
  check(histories: ReadonlyMap<Device, readonly Row[]>, group: string): Sum & { said: string[] } {
    const sum = {
      sent: 0,
      confirmed: 0,
      refused: 0,
      delivered: 0,
      lost: 0,
      twice: 0,
      outOfOrder: 0,
    };
    const rest = { wrong: 0, uncertain: 0, said: [] as string[] };
    const say = (kind: 'lost' | 'twice' | 'outOfOrder', words: string): void => {
      sum[kind]++;
      rest.said.push(`${kind}: ${words}`);
    };
    const wrong = (words: string): void => {
      rest.wrong++;
      rest.said.push(`wrong: ${words}`);
    };
    const held = new Map<Device, Map<string, Row>>();
    const writers = new Map(
      this.devices.flatMap((device) => device.streams.map((stream) => [stream, device] as const)),
    );
    for (const [device, rows] of histories) {
      const own = new Map<string, Row>();
      held.set(device, own);
      for (const row of rows) {
        if (own.has(row.text)) say('twice', `${device.name}: ${row.text}`);
        own.set(row.text, row);
      }
      inOrder(rows, (words) => say('outOfOrder', `${device.name} by arrival: ${words}`));
      const shown = [...rows].sort((a, b) => a.place - b.place || a.seq - b.seq);
      inOrder(shown, (words) => say('outOfOrder', `${device.name} as shown: ${words}`));
      for (const row of rows) {
        const { stream, to } = parse(row.text);
        const writer = writers.get(stream);
        const isOwn = writer?.account === device.account;
        if (writer === undefined || row.author !== writer.account) {
          wrong(`${device.name}: ${row.text} by ${row.author}`);
        } else if (isOwn !== (row.direction === 'sent')) {
          wrong(`${device.name}: ${row.text} was ${row.direction}`);
        } else if (to === 'group' ? row.peer !== group : !isOwn && to !== device.username) {
          wrong(`${device.name}: ${row.text} in ${row.peer}`);
        }
      }
    }
    // What was accepted and is not in the history of its own device is lost, too.
    for (const text of this.#accepted.keys()) {
      const writer = writers.get(parse(text).stream);
      if (writer !== undefined && held.get(writer)?.has(text) !== true) say('lost', `own: ${text}`);
    }
    for (const [stream, writer] of writers) {
      for (const row of histories.get(writer) ?? []) {
        const { stream: its, to } = parse(row.text);
        if (its !== stream) continue;
        sum.sent++;
        const isOut = to === 'group' && !this.isSteady(writer.account);
        if (row.status === 'confirmed') sum.confirmed++;
        else if (isOut && row.cause === 'GROUP_NOT_MEMBER') sum.refused++;
        else rest.said.push(`${row.status}: ${row.text}`);
        const version = this.#accepted.get(row.text);
        if (to === 'group' && version === undefined) rest.uncertain++;
        for (const reader of this.devices) {
          if (reader === writer) continue;
          const has = held.get(reader)?.has(row.text) === true;
          const must = this.#must(writer, reader, to, version);
          if (must === 'have' && !has) say('lost', `${reader.name}: ${row.text}`);
          if (must === 'have' && has) sum.delivered++;
          if (must === 'not have' && has) wrong(`${reader.name} may not read ${row.text}`);
        }
      }
    }
    return { ...sum, ...rest };
  }

  /** `isIn`, as every device of the group knows it from `since` on; nobody knows while a change is under way. */
  belongs(account: string, isIn: boolean, since: number): void {
    this.#belongs.set(account, { isIn, since });
  }

  /** In the group from its beginning, and never to be taken out. */
  isSteady(account: string): boolean {
    const { isIn, since } = this.#belongs.get(account) ?? { isIn: false, since: 0 };
    return isIn && since <= 1;
  }

  /** `version`: the group as the writer knew it. */
  #must(
    writer: Device,
    reader: Device,
    to: string,
    version: number | undefined,
  ): 'have' | 'not have' | 'may have' {
    if (reader.account === writer.account) return 'have';
    if (to !== 'group') return reader.username === to ? 'have' : 'not have';
    // A message is encrypted when it leaves, for whoever is a member then; and whom a group took out is not heard any
    // more, whatever they wrote before (chapter 19 §6). So nothing is certain over a change.
    const [wrote, reads] = [writer, reader].map(({ account }) => this.#belongs.get(account));
    if (wrote === undefined || reads === undefined) return 'may have';
    const at = version ?? 1;
    if (at < reads.since) return 'may have';
    if (!reads.isIn) return 'not have';
    return wrote.isIn && at >= wrote.since ? 'have' : 'may have';
  }
}

/** Numbers of each stream and conversation must rise. */
function inOrder(rows: readonly Row[], complain: (words: string) => void): void {
  const last = new Map<string, number>();
  for (const { text } of rows) {
    const { stream, number, to } = parse(text);
    const key = `${stream} ${to}`;
    const before = last.get(key) ?? -1;
    if (number < before) complain(`${text} after ${before}`);
    last.set(key, number);
  }
}
