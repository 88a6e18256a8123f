/**
 * 13 Relay §14. Is there room for blobs? Messages need the rest: below the floor uploads are refused while
 * envelopes go on.
 */
import type { Clock } from '../clock.js';
import type { DiskSpace } from '../blobs/port.js';

/** Watches the disk; asks it at most every few seconds. */
export class FreeDisk {
  readonly #clock: Clock;
  readonly #floorBytes: number;
  readonly #space: () => Promise<DiskSpace | undefined>;
  #low = false;
  #askedMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, floorBytes: number, space: () => Promise<DiskSpace | undefined>) {
    this.#clock = clock;
    this.#floorBytes = floorBytes;
    this.#space = space;
  }

  /** Whether there is too little room now. A disk that cannot be asked counts as full. */
  async isLow(): Promise<boolean> {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#askedMs < ASK_EVERY_MS) return this.#low;
    this.#askedMs = nowMs;
    try {
      const space = await this.#space();
      // A tenth of a small disk; the configured bytes on a large one.
      this.#low =
        space !== undefined && space.free < Math.min(this.#floorBytes, space.total * FLOOR_SHARE);
    } catch {
      this.#low = true;
    }
    return this.#low;
  }
}

const ASK_EVERY_MS = 2_000;
const FLOOR_SHARE = 0.1;
