// Ports that fail: a store that fails, hangs or loses its answer, a bus that drops, repeats and delays.
import { type AccountId, StoreError } from '@qasid/protocol/envelope';
import type { Bus, Hint, NodeId } from '#src/bus.js';
import type { MailboxNo, RelayStore, Write } from '#src/store/port.js';

/** How often a commit goes wrong, each from 0 to 1. */
export interface StoreFaults {
  /** Refused before anything is written. */
  readonly failBefore: number;
  /** Written, and the caller is told that it failed: the outcome is unknown to it. */
  readonly failAfter: number;
  /** Late by a turn of the event loop or a few. */
  readonly delay: number;
}

/** A store that fails when told to. */
export class FaultyStore implements RelayStore {
  readonly inner: RelayStore;
  /** Called before each commit; may throw, wait, or never return. */
  before: (writes: readonly Write[]) => Promise<void> | void = () => undefined;
  /** Called after each commit that worked; may throw: the outcome is then unknown to the caller. */
  after: (writes: readonly Write[]) => Promise<void> | void = () => undefined;
  commits = 0;
  /** Faults that were done, by kind. */
  readonly done = { before: 0, after: 0, delayed: 0 };

  constructor(inner: RelayStore) {
    this.inner = inner;
  }

  /** Fail at random, the same way for the same seed. */
  failAtRandom(random: () => number, faults: StoreFaults): void {
    this.before = async () => {
      if (random() < faults.delay) {
        this.done.delayed++;
        for (let turns = 1 + random() * 4; turns > 0; turns--) {
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
      if (random() >= faults.failBefore) return;
      this.done.before++;
      throw new StoreError('STORE_FAILED', 'refused on purpose');
    };
    this.after = () => {
      if (random() >= faults.failAfter) return;
      this.done.after++;
      throw new StoreError('STORE_FAILED', 'answer lost on purpose');
    };
  }

  /** No more faults. */
  heal(): void {
    this.before = () => undefined;
    this.after = () => undefined;
  }

  get isUp(): boolean {
    return this.inner.isUp;
  }

  async commit(writes: readonly Write[]): ReturnType<RelayStore['commit']> {
    this.commits++;
    await this.before(writes);
    const results = await this.inner.commit(writes);
    await this.after(writes);
    return results;
  }

  account(account: AccountId): ReturnType<RelayStore['account']> {
    return this.inner.account(account);
  }

  lookup(username: string): ReturnType<RelayStore['lookup']> {
    return this.inner.lookup(username);
  }

  read(...args: Parameters<RelayStore['read']>): ReturnType<RelayStore['read']> {
    return this.inner.read(...args);
  }

  token(id: Uint8Array): ReturnType<RelayStore['token']> {
    return this.inner.token(id);
  }

  tokens(account: AccountId): ReturnType<RelayStore['tokens']> {
    return this.inner.tokens(account);
  }

  arrivals(...args: Parameters<RelayStore['arrivals']>): ReturnType<RelayStore['arrivals']> {
    return this.inner.arrivals(...args);
  }

  prekeyCounts(mailbox: MailboxNo): ReturnType<RelayStore['prekeyCounts']> {
    return this.inner.prekeyCounts(mailbox);
  }

  pushTarget(mailbox: number): ReturnType<RelayStore['pushTarget']> {
    return this.inner.pushTarget(mailbox);
  }

  blob(key: Uint8Array): ReturnType<RelayStore['blob']> {
    return this.inner.blob(key);
  }

  record(key: Uint8Array): ReturnType<RelayStore['record']> {
    return this.inner.record(key);
  }

  invites(): ReturnType<RelayStore['invites']> {
    return this.inner.invites();
  }

  totals(): ReturnType<RelayStore['totals']> {
    return this.inner.totals();
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}

/** A faulty store whose caller repeats what was refused: it must look like one that never fails. */
export class PatientStore extends FaultyStore {
  override async commit(writes: readonly Write[]): ReturnType<RelayStore['commit']> {
    for (;;) {
      try {
        return await super.commit(writes);
      } catch (error) {
        if ((error as Error).message !== 'refused on purpose') throw error;
      }
    }
  }
}

/** The error of a disk that is full. */
export function diskFull(): StoreError {
  return new StoreError('STORE_FULL', 'disk full');
}

/** How often a hint goes wrong, each from 0 to 1. */
export interface BusFaults {
  readonly drop: number;
  readonly repeat: number;
  /** Late, and so out of order. */
  readonly delay: number;
}

/** A bus nobody should trust. */
export class FaultyBus implements Bus {
  faults: BusFaults;
  readonly done = { dropped: 0, repeated: 0, delayed: 0, passed: 0 };
  readonly #inner: Bus;
  readonly #random: () => number;

  constructor(inner: Bus, random: () => number, faults: BusFaults) {
    this.#inner = inner;
    this.#random = random;
    this.faults = faults;
  }

  publish(node: NodeId, hint: Hint): void {
    const random = this.#random;
    if (random() < this.faults.drop) {
      this.done.dropped++;
      return;
    }
    const times = random() < this.faults.repeat ? 2 : 1;
    this.done.repeated += times - 1;
    for (let time = 0; time < times; time++) {
      if (random() < this.faults.delay) {
        this.done.delayed++;
        let turns = 1 + Math.floor(random() * 6);
        const later = (): void => {
          if (turns-- > 0) setImmediate(later);
          else this.#inner.publish(node, hint);
        };
        later();
      } else {
        this.done.passed++;
        this.#inner.publish(node, hint);
      }
    }
  }

  subscribe(...args: Parameters<Bus['subscribe']>): ReturnType<Bus['subscribe']> {
    return this.#inner.subscribe(...args);
  }
}
