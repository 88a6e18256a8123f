/**
 * 13 Relay §8. Whether the process lives, and whether sends are taken.
 *
 * Alive: the event loop turned within the last 5 s. Ready: not draining, the store up, room in the commit queue, a commit
 * lately took less than 2 s (on an idle relay one is made to see), and the disk has more free than its floor.
 */
import { statfs } from 'node:fs/promises';
import type { Cancel, Clock } from '../clock.js';
import type { GroupCommit } from '../store/group-commit.js';
import type { RelayStore } from '../store/port.js';

/** What health is about. */
export interface HealthSources {
  readonly clock: Clock;
  readonly writer: GroupCommit;
  readonly store: RelayStore;
  /** Where the data are; undefined when they are in memory. */
  readonly directory: string | undefined;
  readonly diskFloorBytes: number;
}

/** The health of one relay. */
export class Health {
  readonly #sources: HealthSources;
  isDraining = false;
  /** Free bytes where the data are, as of the last look. */
  diskFreeBytes: number | undefined;
  #turnedMs: number;
  #commitMs: number;
  #isCommitGood = true;
  #probeStartedMs: number | undefined;
  #probes = 0;
  #timer: Cancel | undefined;

  constructor(sources: HealthSources) {
    this.#sources = sources;
    this.#turnedMs = sources.clock.monotonicMs();
    this.#commitMs = this.#turnedMs;
  }

  /** Begin to look. Resolves after the first look at the disk. */
  async start(): Promise<void> {
    await this.#lookAtDisk();
    this.#turn();
  }

  /** Look no more. */
  stop(): void {
    this.#timer?.();
    this.#timer = undefined;
  }

  /** A commit ended after `ms`. */
  committed(ms: number): void {
    this.#commitMs = this.#sources.clock.monotonicMs();
    this.#isCommitGood = ms < COMMIT_MAX_MS;
  }

  /** Whether the event loop turns. */
  get isAlive(): boolean {
    return this.#sources.clock.monotonicMs() - this.#turnedMs < TURN_MAX_MS;
  }

  /** Whether sends are taken. */
  get isReady(): boolean {
    const { writer, store, diskFloorBytes } = this.#sources;
    if (this.isDraining || !store.isUp || writer.isFull || writer.isFailed) return false;
    if (!this.#isCommitGood || this.#isProbeLate) return false;
    return this.diskFreeBytes === undefined || this.diskFreeBytes >= diskFloorBytes;
  }

  get #isProbeLate(): boolean {
    const startedMs = this.#probeStartedMs;
    return (
      startedMs !== undefined && this.#sources.clock.monotonicMs() - startedMs >= COMMIT_MAX_MS
    );
  }

  #turn(): void {
    const { clock } = this.#sources;
    this.#turnedMs = clock.monotonicMs();
    const sinceMs = this.#turnedMs - this.#commitMs;
    const isDue = sinceMs >= PROBE_EVERY_MS || !this.#isCommitGood;
    if (isDue && this.#probeStartedMs === undefined) void this.#probe();
    void this.#lookAtDisk();
    this.#timer = clock.after(TURN_EVERY_MS, () => this.#turn());
  }

  async #probe(): Promise<void> {
    const { clock, writer } = this.#sources;
    const startedMs = clock.monotonicMs();
    this.#probeStartedMs = startedMs;
    try {
      await writer.submit({ kind: 'probe', value: ++this.#probes });
      // The time in the queue counts: what we want to know is how long a send would wait.
      this.committed(clock.monotonicMs() - startedMs);
    } catch {
      this.#isCommitGood = false;
    } finally {
      this.#probeStartedMs = undefined;
    }
  }

  async #lookAtDisk(): Promise<void> {
    const { directory } = this.#sources;
    if (directory === undefined) return;
    try {
      const { bavail, bsize } = await statfs(directory);
      this.diskFreeBytes = bavail * bsize;
    } catch {
      // The store meets the same fault, and says so.
    }
  }
}

const TURN_EVERY_MS = 1_000;

/** Lower: a long collection of garbage restarts the relay. Higher: a loop that hangs is found later. */
const TURN_MAX_MS = 5_000;

/** A send that waits longer than this is better sent elsewhere. */
const COMMIT_MAX_MS = 2_000;

/** How long an idle relay believes its last commit: one fsync in this time. */
const PROBE_EVERY_MS = 10_000;
