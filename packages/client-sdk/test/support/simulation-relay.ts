// The relay of a simulation, when it is evil: it drops, holds back for hours, replays, doubles, reorders,
// corrupts, delivers to the wrong person, substitutes keys and device lists, and lies about everything it is asked.
import type { Lies, SeededRandom, VirtualClock } from '@qasid/client-sdk/testing';
import {
  accountText,
  type DeliverEvent,
  type Item,
  type RequestItem,
  type RequestOp,
  type ResponseBody,
} from '@qasid/protocol/envelope';

import { delivery, Impostor, redeliver } from './evil.js';
import { EvilRecords } from './simulation-records.js';

/** How often of a thousand each lie is told. */
export interface Malice {
  readonly drop: number;
  readonly hold: number;
  readonly reorder: number;
  readonly repeat: number;
  readonly replay: number;
  readonly corrupt: number;
  readonly misdeliver: number;
  /** Sends that are confirmed and thrown away. */
  readonly swallow: number;
  /** Sends that are refused though they were taken. */
  readonly refuse: number;
  /** Answers about keys and devices that are somebody else's, old, or an error. */
  readonly substitute: number;
  /** Lies about the records of groups. */
  readonly records: number;
}

/** An ordinary evil day. */
export const EVIL: Malice = {
  drop: 40,
  hold: 40,
  reorder: 60,
  repeat: 60,
  replay: 40,
  corrupt: 30,
  misdeliver: 20,
  swallow: 15,
  refuse: 50,
  substitute: 60,
  records: 60,
};

/** Longest time that something is held back. */
const HOLD_MAX_MS = 6 * 60 * 60_000;

/** Deliveries kept of each client, to be replayed. */
const KEPT_MAX = 200;

/** What one client is told falsely. */
interface Held {
  readonly fromMs: number;
  readonly item: Item;
}

/** One relay, evil while `isEvil`. Give each client its own `lies`. */
export class EvilRelay {
  #isEvil = false;
  /** Lies told, by kind. */
  readonly told = new Map<string, number>();
  readonly #clock: VirtualClock;
  readonly #random: SeededRandom;
  readonly #malice: Malice;
  readonly #impostor = new Impostor();
  readonly #delivered = new Map<string, DeliverEvent[]>();
  /** Answers about accounts, so that old ones can be given again. */
  readonly #answers = new Map<string, ResponseBody>();
  readonly #swallowed = new WeakSet<RequestOp>();
  readonly #records: EvilRecords;

  constructor(clock: VirtualClock, random: SeededRandom, malice: Malice = EVIL) {
    this.#clock = clock;
    this.#random = random;
    this.#malice = malice;
    this.#records = new EvilRecords(random, (what) => this.#says(`record ${what}`, malice.records));
  }

  get isEvil(): boolean {
    return this.#isEvil;
  }

  set isEvil(isEvil: boolean) {
    if (this.#isEvil && !isEvil) this.#records.end();
    this.#isEvil = isEvil;
  }

  /**
   * What `name` is told.
   *
   * @param pinned - Whether it has met an account: whoever it meets first under a false key is false for good.
   */
  lies(name: string, pinned: (account: string) => boolean): Lies {
    const held: Held[] = [];
    return {
      toClient: (item, asked) => {
        const event = delivery(item);
        if (event !== undefined) this.#keep(name, event);
        if (!this.isEvil) {
          return item.kind === 'response' && asked !== undefined
            ? this.#honest(item, asked)
            : [item];
        }
        const out =
          event === undefined
            ? this.#answer(name, item, asked, pinned)
            : this.#deliver(name, item, event, held);
        return [...out, ...this.#due(held)];
      },
      toRelay: (item) => this.#asks(name, item),
    };
  }

  #keep(name: string, event: DeliverEvent): void {
    const list = this.#delivered.get(name) ?? [];
    this.#delivered.set(name, list);
    if (list.length < KEPT_MAX) list.push(event);
    else list[this.#random.below(KEPT_MAX)] = event;
  }

  /** What was held back long enough. */
  #due(held: Held[]): Item[] {
    const now = this.#clock.elapsedMs();
    const out: Item[] = [];
    for (let at = 0; at < held.length; ) {
      const one = held[at];
      if (one === undefined || one.fromMs > now) at++;
      else {
        out.push(one.item);
        held.splice(at, 1);
      }
    }
    return out;
  }

  #deliver(name: string, item: Item, event: DeliverEvent, held: Held[]): readonly Item[] {
    const { drop, hold, reorder, repeat, replay, corrupt, misdeliver } = this.#malice;
    const now = this.#clock.elapsedMs();
    if (this.#says('drop', drop)) return [];
    if (this.#says('hold', hold)) {
      held.push({ fromMs: now + this.#random.below(HOLD_MAX_MS), item });
      return [];
    }
    if (this.#says('reorder', reorder)) {
      held.push({ fromMs: now + 1, item });
      return [];
    }
    const out: Item[] = [item];
    if (this.#says('repeat', repeat)) out.push(this.#again(event));
    if (this.#says('replay', replay)) out.unshift(this.#again(this.#some(name) ?? event));
    if (this.#says('corrupt', corrupt)) {
      const body = Uint8Array.from(event.body);
      const at = this.#random.below(body.length);
      body[at] = (body[at] ?? 0) ^ (1 << this.#random.below(8));
      // In place of the right one, or before it.
      if (this.#random.chance(0.5)) out.shift();
      out.unshift(redeliver(event, { body }));
    }
    if (this.#says('misdeliver', misdeliver)) {
      const others = [...this.#delivered.keys()].filter((other) => other !== name);
      const stray = this.#some(others[this.#random.below(others.length)] ?? name);
      if (stray !== undefined) out.push(redeliver(stray, { seq: event.seq }));
    }
    return out;
  }

  /** The same once more, every other time under an id of its own. */
  #again(event: DeliverEvent): Item {
    const isNew = this.#random.chance(0.5);
    return redeliver(event, { attempt: 2, ...(isNew && { clientId: this.#random.bytes(16) }) });
  }

  #some(name: string): DeliverEvent | undefined {
    const list = this.#delivered.get(name) ?? [];
    return list[this.#random.below(list.length)];
  }

  /** A send that was thrown away is confirmed all the same, also when the relay is honest by then. */
  #honest(item: Item & { kind: 'response' }, asked: RequestOp): readonly Item[] {
    if ('account' in asked)
      this.#answers.set(`${asked.kind} ${accountText(asked.account)}`, item.body);
    const madeUp = this.#records.madeUp(item, asked);
    if (madeUp !== undefined) return madeUp;
    if (!this.#swallowed.delete(asked)) return [item];
    return [{ ...item, code: 'CONFIRMED', body: { kind: 'none' } }];
  }

  #answer(
    name: string,
    item: Item,
    asked: RequestOp | undefined,
    pinned: (account: string) => boolean,
  ): readonly Item[] {
    if (item.kind !== 'response' || asked === undefined) return [item];
    if (this.#swallowed.has(asked)) return this.#honest(item, asked);
    const madeUp = this.#records.madeUp(item, asked);
    if (madeUp !== undefined) return madeUp;
    const { refuse, substitute } = this.#malice;
    switch (asked.kind) {
      case 'send': {
        if (!this.#says('refuse', refuse)) return [item];
        const refused = { ...item, body: { kind: 'none' } as const, retryAfterMs: 1_000 };
        const stale = { kind: 'stale', devices: [1] } as const;
        const mismatch = { kind: 'mismatch', missing: [9], extra: [1] } as const;
        return this.#random.pick<readonly Item[]>([
          [{ ...refused, code: 'BUSY' }],
          [{ ...refused, code: 'RATE_LIMITED' }],
          [{ ...refused, code: 'MAILBOX_FULL' }],
          // Of a token: the sender shows its name from then on. Of a send with a name: given up.
          [{ ...refused, code: 'REFUSED' }],
          [{ ...item, code: 'DEVICES_STALE', body: stale }],
          [{ ...item, code: 'DEVICES_MISMATCH', body: mismatch }],
          // No answer at all.
          [],
        ]);
      }
      case 'takePrekeys':
      case 'devices': {
        const account = accountText(asked.account);
        const key = `${asked.kind} ${account}`;
        const old = this.#answers.get(key);
        if (old === undefined) this.#answers.set(key, item.body);
        if (!pinned(account) || !this.#says('substitute', substitute)) return [item];
        return this.#random.pick<readonly Item[]>([
          [{ ...item, body: this.#impostor.forge(asked.account, item.body) }],
          [{ ...item, body: old ?? item.body }],
          [{ ...item, code: 'UNAVAILABLE', body: { kind: 'none' } }],
          [{ ...item, code: 'CONFIRMED', body: { kind: 'none' } }],
        ]);
      }
      case 'prekeyCount': {
        if (item.body.kind !== 'prekeyCounts' || !this.#says('count', substitute)) return [item];
        const many = this.#random.pick([0, 1_000_000]);
        return [{ ...item, body: { ...item.body, oneTime: many, kem: many } }];
      }
      default:
        return this.#records.answers(name, item, asked);
    }
  }

  #asks(name: string, item: RequestItem): readonly Item[] {
    if (!this.isEvil) return [item];
    if (item.op.kind !== 'send') return this.#records.asks(name, item);
    if (!this.#says('swallow', this.#malice.swallow)) return [item];
    this.#swallowed.add(item.op);
    return [{ ...item, op: { kind: 'ping' } }];
  }

  #says(what: string, perThousand: number): boolean {
    if (!this.#random.chance(perThousand / 1_000)) return false;
    this.told.set(what, (this.told.get(what) ?? 0) + 1);
    return true;
  }
}
