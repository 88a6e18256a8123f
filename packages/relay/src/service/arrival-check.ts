/**
 * 13 Relay §5. Finds envelopes whose hint was lost, so that delivery never depends on the bus.
 *
 * Every few seconds it asks the store for what arrived before the last look and still waits. A mailbox
 * that is live here and has not sent it yet was not told: it reads. Cost goes with what arrives and stays,
 * not with the number of sockets.
 */
import type { Cancel } from '../clock.js';
import type { Context } from './context.js';
import type { Presence } from './presence.js';

/** The check of one relay. */
export class ArrivalCheck {
  readonly #context: Context;
  readonly #presence: Presence;
  #timer: Cancel | undefined;
  #isStopped = true;
  /** Looked at up to here; `undefined` while nobody is online: who comes reads everything anyway. */
  #checkedSeq: number | undefined;
  /** What the next check looks at: everything up to here was there at the last one. */
  #knownSeq = 0;

  constructor(context: Context, presence: Presence) {
    this.#context = context;
    this.#presence = presence;
  }

  /** Look from time to time. */
  start(): void {
    this.#isStopped = false;
    this.#timer ??= this.#context.clock.after(CHECK_EVERY_MS, () => void this.#check());
  }

  /** Look no more. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.();
    this.#timer = undefined;
  }

  async #check(): Promise<void> {
    this.#timer = undefined;
    try {
      if (this.#presence.count === 0) this.#checkedSeq = undefined;
      else await this.#look();
    } catch {
      // The store says so wherever it matters; the next check begins where this one did.
    }
    if (!this.#isStopped) this.start();
  }

  async #look(): Promise<void> {
    const { store, log, metrics } = this.#context;
    let found = 0;
    let from = this.#checkedSeq;
    while (from !== undefined && from < this.#knownSeq && !this.#isStopped) {
      const through = Math.min(from + SLICE_NUMBERS, this.#knownSeq);
      const { latest } = await store.arrivals(from, through);
      for (const { mailbox, seq } of latest) {
        if (this.#presence.get(mailbox)?.missed(seq)) found++;
      }
      from = through;
      this.#checkedSeq = through;
      // Sockets come first.
      await new Promise((resolve) => setImmediate(resolve));
    }
    metrics.hintsLost += found;
    if (found > 0) log.write('warn', 'HINTS_LOST', { count: found });
    const { nextSeq } = await store.arrivals(0, 0);
    this.#knownSeq = nextSeq - 1;
    this.#checkedSeq ??= this.#knownSeq;
  }
}

/** Lower: lost hints are found earlier. Higher: fewer reads. An envelope is late by twice this at most. */
const CHECK_EVERY_MS = 5_000;

/** Numbers looked at in one read. Higher: commits wait behind it. */
const SLICE_NUMBERS = 2_000;
