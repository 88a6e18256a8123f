/**
 * 13 Relay §8. Expiry in slices: between two of them everything else has its turn.
 */
import type { Cancel, Clock } from '../clock.js';
import type { Log } from '../observe/log.js';

/** What one slice did. */
export interface SweepSlice {
  readonly deleted: number;
  /** Whether there may be more to delete right now. */
  readonly isFull: boolean;
}

/** How a sweeper runs. */
export interface SweeperOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Between two rounds, in milliseconds. */
  readonly everyMs: number;
  /** Before the first round; `everyMs` if not given. */
  readonly firstMs?: number;
  /** One slice. A rejection ends the round; whoever failed has reported it. */
  readonly slice: () => Promise<SweepSlice>;
}

/**
 * Runs slices until nothing is left, and again later. When the wall clock moves against the monotonic one,
 * nothing expires on its word until it has kept its new time for a day, or the relay is started again, which
 * is how an operator says that the clock is right.
 */
export class Sweeper {
  readonly #options: SweeperOptions;
  /** Wall minus monotonic time that is believed: a jump shows as a difference. */
  #offsetMs: number;
  /** What it is after a jump, and since when. */
  #jump: { readonly offsetMs: number; readonly sinceMs: number } | undefined;
  #timer: Cancel | undefined;
  #isRunning = false;

  constructor(options: SweeperOptions) {
    this.#options = options;
    this.#offsetMs = this.#offset();
  }

  start(): void {
    this.#isRunning = true;
    this.#schedule(this.#options.firstMs ?? this.#options.everyMs);
  }

  stop(): void {
    this.#isRunning = false;
    this.#timer?.();
    this.#timer = undefined;
  }

  #schedule(delayMs: number): void {
    if (!this.#isRunning) return;
    this.#timer = this.#options.clock.after(delayMs, () => void this.#sweep());
  }

  async #sweep(): Promise<void> {
    const { log, everyMs, slice } = this.#options;
    let delayMs = everyMs;
    if (!this.#isClockTrusted()) {
      log.write('error', 'SWEEP_PAUSED');
    } else {
      try {
        const { deleted, isFull } = await slice();
        if (isFull) delayMs = SLICE_MS;
        if (deleted > 0) log.write('info', 'SWEPT', { count: deleted });
      } catch {
        // Expiry can wait.
      }
    }
    this.#schedule(delayMs);
  }

  #isClockTrusted(): boolean {
    const offsetMs = this.#offset();
    if (isNear(offsetMs, this.#offsetMs)) {
      this.#jump = undefined;
      return true;
    }
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#jump === undefined || !isNear(offsetMs, this.#jump.offsetMs)) {
      this.#jump = { offsetMs, sinceMs: nowMs };
    }
    if (nowMs - this.#jump.sinceMs < CLOCK_STABLE_MS) return false;
    this.#offsetMs = offsetMs;
    this.#jump = undefined;
    return true;
  }

  #offset(): number {
    const { clock } = this.#options;
    return clock.nowMs() - clock.monotonicMs();
  }
}

function isNear(a: number, b: number): boolean {
  return Math.abs(a - b) <= CLOCK_JUMP_MAX_MS;
}

/** Rows in one slice. Higher: sends wait behind it. */
export const SWEEP_ROWS = 500;

const SLICE_MS = 50;
const CLOCK_JUMP_MAX_MS = 60 * 60 * 1000;

/** Lower: a wrong clock expires mail sooner. Higher: mail is kept longer after one was set right. */
const CLOCK_STABLE_MS = 24 * 60 * 60 * 1000;
