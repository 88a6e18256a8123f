/**
 * 15 Content §8. Messages whose time is over go, and those older than their conversation keeps. ATK-H11.
 */
import type { Clock, Timer } from './clock.js';
import { untilCommitted } from './committed.js';
import { decodeConversation } from './content/conversation-state.js';
import type { ClientExtra, ClientStore, MessageRow } from './stores/port.js';
import { Batch, SPACE } from './timeline/batch.js';
import { forgetGone, noteGone } from './timeline/gone.js';

/** Rows removed in one commit. */
const PAGE = 200;

/** How often at most to look after commits, and how often to look at all. */
const LOOK_AFTER_MS = 200;
const LOOK_EVERY_MS = 60 * 60_000;

/** What the removal needs. */
export interface ExpiryOptions {
  readonly store: ClientStore;
  readonly clock: Clock;
  onRemoved(peer: string, ids: readonly string[]): void;
  onTrouble(error: unknown): void;
}

/** Removes what is to disappear, for as long as the client is open. Any process may. */
export class Expiry {
  readonly #options: ExpiryOptions;
  #timer: Timer | undefined;
  #unwatch: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = false;
  #retainedAtMs = 0;

  constructor(options: ExpiryOptions) {
    this.#options = options;
  }

  /** Begin. */
  start(): void {
    this.#unwatch = this.#options.store.watch(() => this.#schedule(LOOK_AFTER_MS, false));
    this.#look();
  }

  /** Resolves when nothing is being removed any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unwatch?.();
    this.#timer?.cancel();
    await this.#running;
  }

  #dueAtMs = Number.POSITIVE_INFINITY;

  #schedule(waitMs: number, exact: boolean): void {
    if (this.#stopped) return;
    if (this.#running !== undefined) {
      this.#again ||= !exact;
      return;
    }
    const at = this.#options.clock.now() + waitMs;
    if (this.#timer !== undefined && this.#dueAtMs <= at) return;
    this.#timer?.cancel();
    this.#dueAtMs = at;
    this.#timer = this.#options.clock.after(waitMs, () => this.#look());
  }

  #look(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#stopped || this.#running !== undefined) return;
    let nextMs = LOOK_EVERY_MS;
    this.#running = this.#sweep()
      .then((next) => {
        nextMs = next;
      })
      .catch((error: unknown) => {
        if (!this.#stopped) this.#options.onTrouble(error);
      })
      .finally(() => {
        this.#running = undefined;
        const again = this.#again;
        this.#again = false;
        this.#schedule(again ? Math.min(nextMs, LOOK_AFTER_MS) : nextMs, true);
      });
  }

  /** Remove what is over; milliseconds until there is more. */
  async #sweep(): Promise<number> {
    const { store, clock } = this.#options;
    for (;;) {
      const rows = await store.loadExpiring({ throughMs: clock.now(), limit: PAGE });
      await this.#remove(rows, {});
      if (rows.length < PAGE) break;
    }
    if (clock.now() - this.#retainedAtMs >= LOOK_EVERY_MS || clock.now() < this.#retainedAtMs) {
      this.#retainedAtMs = clock.now();
      await this.#retain();
      await forgetGone(store, clock.now());
    }
    const throughMs = Number.MAX_SAFE_INTEGER;
    const [next] = await store.loadExpiring({ throughMs, limit: 1 });
    const inMs = (next?.expiresAtMs ?? Number.POSITIVE_INFINITY) - clock.now();
    return Math.min(Math.max(inMs, 0), LOOK_EVERY_MS);
  }

  async #retain(): Promise<void> {
    const { store, clock } = this.#options;
    for (const { key: peer, value } of await store.loadRecords(SPACE.conversation)) {
      const { retentionSeconds } = decodeConversation(value).settings;
      if (retentionSeconds === 0) continue;
      const before = clock.now() - retentionSeconds * 1_000;
      let after = { place: 0, seq: 0 };
      for (;;) {
        const rows = await store.loadConversation({ peer, after, limit: PAGE });
        await this.#forget(rows.filter((row) => row.receivedAtMs < before));
        after = rows.at(-1) ?? after;
        if (rows.length < PAGE) break;
      }
    }
  }

  /** What is no longer kept here may be kept by its sender. */
  async #forget(rows: readonly MessageRow[]): Promise<void> {
    const { store, clock } = this.#options;
    await untilCommitted(async () => {
      const batch = new Batch(store);
      await noteGone(batch, rows, clock.now());
      await this.#remove(rows, batch.toExtra());
    });
  }

  async #remove(rows: readonly MessageRow[], extra: ClientExtra): Promise<void> {
    if (rows.length === 0) return;
    const messagesRemoved = rows.map(({ seq }) => seq);
    await this.#options.store.commit({ extra: { ...extra, messagesRemoved } });
    for (const peer of new Set(rows.map((row) => row.peer))) {
      const ids = rows.filter((row) => row.peer === peer).map(({ id }) => id);
      this.#options.onRemoved(peer, ids);
    }
  }
}
