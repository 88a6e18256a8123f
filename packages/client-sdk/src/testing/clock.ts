/**
 * Testing kit. Time that passes only when it is told to.
 *
 * Everything in between runs to its end first, so what happens depends on nothing but the order in which
 * timers were set: a day passes in milliseconds, and a run repeats exactly.
 */
import type { Clock, Timer } from '../clock.js';

interface Pending {
  readonly atMs: number;
  readonly order: number;
  readonly action: () => void;
}

/** A clock for clients and, with `relayClock`, for a relay. */
export class VirtualClock implements Clock {
  #elapsedMs = 0;
  #wallOffsetMs: number;
  #order = 0;
  #activity = 0;
  readonly #pending = new Set<Pending>();

  /** @param startMs - Wall time at the start, milliseconds since 1970. */
  constructor(startMs: number = Date.UTC(2026, 0, 1)) {
    this.#wallOffsetMs = startMs;
  }

  now(): number {
    return this.#wallOffsetMs + this.#elapsedMs;
  }

  /** Milliseconds since the start; never jumps. */
  elapsedMs(): number {
    return this.#elapsedMs;
  }

  after(delayMs: number, action: () => void): Timer {
    this.#activity++;
    const atMs = this.#elapsedMs + Math.max(0, delayMs);
    const pending: Pending = { atMs, order: this.#order++, action };
    this.#pending.add(pending);
    return { cancel: () => this.#pending.delete(pending) };
  }

  /** Put the wall clock forward or back; timers do not notice. */
  jump(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  /** Let everything run that needs no time to pass. */
  async settle(): Promise<void> {
    // A turn of the event loop ends when all microtasks have run. Twice without a new timer: nothing goes on.
    for (let quiet = 0; quiet < QUIET_TURNS; ) {
      const before = this.#activity;
      await new Promise<void>((resolve) => setImmediate(resolve));
      quiet = before === this.#activity ? quiet + 1 : 0;
    }
  }

  /** Let `ms` pass, timer by timer. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#elapsedMs + ms;
    for (;;) {
      await this.settle();
      const next = this.#earliest(untilMs);
      if (next === undefined) break;
      this.#run(next);
    }
    this.#elapsedMs = untilMs;
  }

  /**
   * Let time pass until `condition` holds.
   *
   * @returns false when it still does not after `limitMs`.
   */
  async until(
    condition: () => boolean | Promise<boolean>,
    limitMs: number = 60 * 60_000,
  ): Promise<boolean> {
    const untilMs = this.#elapsedMs + limitMs;
    for (;;) {
      await this.settle();
      if (await condition()) return true;
      const next = this.#earliest(untilMs);
      if (next === undefined) return false;
      this.#run(next);
    }
  }

  #earliest(untilMs: number): Pending | undefined {
    let first: Pending | undefined;
    for (const pending of this.#pending) {
      if (pending.atMs > untilMs) continue;
      if (first === undefined || isBefore(pending, first)) first = pending;
    }
    return first;
  }

  #run(pending: Pending): void {
    this.#pending.delete(pending);
    this.#elapsedMs = Math.max(this.#elapsedMs, pending.atMs);
    this.#activity++;
    pending.action();
  }
}

function isBefore(a: Pending, b: Pending): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/** Turns of the event loop without a new timer after which nothing is under way. A commit takes two. */
const QUIET_TURNS = 4;

/** A clock as a relay wants it: the `Clock` of `@qasid/relay`. */
export interface RelayClock {
  /** Milliseconds since 1970; may jump. */
  nowMs(): number;
  /** Milliseconds since some point; never jumps. */
  monotonicMs(): number;
  /** Run `task` once, `delayMs` from now; gives back what cancels it. */
  after(delayMs: number, task: () => void): () => void;
}

/** `clock` as a relay wants it. */
export function relayClock(clock: VirtualClock): RelayClock {
  return {
    nowMs: () => clock.now(),
    monotonicMs: () => clock.elapsedMs(),
    after: (delayMs, task) => {
      const timer = clock.after(delayMs, task);
      return () => timer.cancel();
    },
  };
}
