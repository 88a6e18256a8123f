/**
 * 13 Relay §3.2. Group commit: everything that arrives while one commit runs goes into the next.
 *
 * No fixed window: at low load a change waits for one turn of the event loop, under load batches grow by
 * themselves. Only after a large batch is it worth gathering for up to 2 ms.
 */
import { StoreError } from '@qasid/protocol/envelope';
import type { Cancel, Clock } from '../clock.js';
import type { Placed, RelayStore, ResultOf, Write, WriteResults } from './port.js';

/** What the queue tells its owner. */
export interface GroupCommitHooks {
  /**
   * What changes will have done once they are durable, which they are not yet and may never be: for pushing
   * early. Absent: nobody wants to know.
   */
  placed?(writes: readonly Write[], results: readonly WriteResults[Write['kind']][]): void;
  /** A change is durable. Called in the order of commits, before anybody else hears of it. */
  durable?(write: Write, result: WriteResults[Write['kind']]): void;
  /** `durable` threw. */
  fault?(error: unknown): void;
  /** A batch is done: in `ms`, and `oldestMs` after the first of its changes came. */
  batch?(count: number, ms: number, oldestMs: number): void;
  /** A batch failed and was tried again in parts, or given up. */
  failed?(error: StoreError): void;
}

interface Pending {
  readonly write: Write;
  readonly parts: number;
  readonly bytes: number;
  readonly done: (result: WriteResults[Write['kind']]) => void;
  readonly failed: (error: StoreError) => void;
}

/** The queue in front of a store. */
export class GroupCommit {
  readonly #store: RelayStore;
  readonly #clock: Clock;
  readonly #hooks: GroupCommitHooks;
  #queue: Pending[] = [];
  #start = 0;
  #queuedParts = 0;
  #queuedBytes = 0;
  /** Queued changes that are no acknowledgements. */
  #queuedOthers = 0;
  /** When the oldest change in the queue came. */
  #waitingSinceMs = 0;
  #isRunning = false;
  /** When the commit that runs, or the last one, began. */
  #startedMs = 0;
  #isScheduled = false;
  #lastAppends = 0;
  #ackTimer: Cancel | undefined;
  #failure: StoreError | undefined;
  #idle: (() => void)[] = [];

  constructor(store: RelayStore, clock: Clock, hooks: GroupCommitHooks = {}) {
    this.#store = store;
    this.#clock = clock;
    this.#hooks = hooks;
  }

  /** Whether new sends should be turned away for now. Acknowledgements are still taken. */
  get isFull(): boolean {
    if (this.#queuedParts >= QUEUE_PARTS_MAX || this.#queuedBytes >= QUEUE_BYTES_MAX) return true;
    // A disk that hangs: who waits behind it would wait for nothing but a late answer.
    return this.#isRunning && this.#clock.monotonicMs() - this.#startedMs >= COMMIT_HANGS_MS;
  }

  /** Whether nothing will be written any more. */
  get isFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** Resolves when `write` is durable. @throws StoreError when it is certain that it never will be. */
  submit<W extends Write>(write: W): Promise<ResultOf<W>> {
    return new Promise<ResultOf<W>>((resolve, reject) => this.enqueue(write, resolve, reject));
  }

  /**
   * The same without a promise, for what there is one of for every message.
   *
   * @param done - Called when `write` is durable, after the hook.
   * @param failed - Called when it is certain that it never will be, perhaps at once.
   */
  enqueue<W extends Write>(
    write: W,
    done: (result: ResultOf<W>) => void,
    failed: (error: StoreError) => void,
  ): void {
    if (this.#failure !== undefined) {
      failed(this.#failure);
      return;
    }
    const { parts, bytes } = sizeOf(write);
    if (this.#start === this.#queue.length) this.#waitingSinceMs = this.#clock.monotonicMs();
    const isAck = write.kind === 'ack';
    if (!isAck) this.#queuedOthers++;
    // The store answers a write with the result of its kind.
    this.#queue.push({ write, parts, bytes, done: done as Pending['done'], failed });
    this.#queuedParts += parts;
    this.#queuedBytes += bytes;
    this.#schedule(isAck);
  }

  /** Resolves when nothing is queued or running. */
  flushed(): Promise<void> {
    if (!this.#isRunning && this.#start === this.#queue.length) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      this.#schedule(false);
    });
  }

  /** Nothing more is written: the state of the store is unknown. */
  poison(error: StoreError): void {
    this.#failure = error;
    for (const pending of this.#takeAll()) this.#fail(pending, error);
  }

  #schedule(isAck: boolean): void {
    if (this.#isRunning || this.#isScheduled) return;
    if (isAck) {
      // A late delete is at worst a repeat: acknowledgements ride along with the next send.
      this.#ackTimer ??= this.#clock.after(ACK_DELAY_MS, () => {
        this.#ackTimer = undefined;
        this.#schedule(false);
      });
      return;
    }
    this.#isScheduled = true;
    if (this.#lastAppends > GATHER_ABOVE && !this.isFull) {
      this.#clock.after(GATHER_MS, () => this.#run());
    } else {
      setImmediate(() => this.#run());
    }
  }

  #run(): void {
    this.#isScheduled = false;
    if (this.#isRunning) return;
    const sinceMs = this.#waitingSinceMs;
    const batch = this.#takeBatch();
    if (batch.length === 0) {
      this.#settleIdle();
      return;
    }
    this.#ackTimer?.();
    this.#ackTimer = undefined;
    this.#isRunning = true;
    const startedMs = this.#clock.monotonicMs();
    this.#startedMs = startedMs;
    // What stays behind is counted from here: it came in the same burst.
    this.#waitingSinceMs = startedMs;
    void this.#commit(batch).then(() => {
      this.#isRunning = false;
      const doneMs = this.#clock.monotonicMs();
      this.#hooks.batch?.(batch.length, doneMs - startedMs, doneMs - sinceMs);
      if (this.#start < this.#queue.length) {
        this.#schedule(this.#queuedOthers === 0 && this.#idle.length === 0);
      } else this.#settleIdle();
    });
  }

  /** Never rejects. */
  async #commit(batch: readonly Pending[]): Promise<void> {
    let results: Awaited<ReturnType<RelayStore['commit']>>;
    try {
      const writes = batch.map(({ write }) => write);
      results = await this.#store.commit(writes, this.#placedHook(writes));
    } catch (error) {
      const failure =
        error instanceof StoreError
          ? error
          : new StoreError('STORE_FAILED', 'commit failed', { cause: error });
      this.#hooks.failed?.(failure);
      await this.#retryInParts(batch, failure);
      return;
    }
    for (const [index, pending] of batch.entries()) {
      const result = results[index];
      if (result === undefined) this.#fail(pending, new StoreError('STORE_FAILED', 'no result'));
      else this.#announce(pending, result);
    }
  }

  #placedHook(writes: readonly Write[]): Placed | undefined {
    const hooks = this.#hooks;
    if (hooks.placed === undefined) return undefined;
    return (results) => {
      try {
        hooks.placed?.(writes, results);
      } catch (error) {
        hooks.fault?.(error);
      }
    };
  }

  #announce(pending: Pending, result: WriteResults[Write['kind']]): void {
    this.#guard(() => this.#hooks.durable?.(pending.write, result));
    this.#guard(() => pending.done(result));
  }

  #fail(pending: Pending, error: StoreError): void {
    this.#guard(() => pending.failed(error));
  }

  /** What listeners do wrong is not a failed commit: it must neither repeat the batch nor stop the queue. */
  #guard(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.#hooks.fault?.(error);
    }
  }

  /**
   * One bad change must not take its neighbours down, and a full disk must not stop deletions: try what
   * frees space first, then one at a time.
   */
  async #retryInParts(batch: readonly Pending[], failure: StoreError): Promise<void> {
    if (this.#failure !== undefined || batch.length === 1) {
      for (const pending of batch) this.#fail(pending, this.#failure ?? failure);
      return;
    }
    const isFreeing = ({ write }: Pending): boolean => FREEING.has(write.kind);
    const freeing = batch.filter(isFreeing);
    const others = batch.filter((pending) => !isFreeing(pending));
    if (freeing.length > 0 && others.length > 0) {
      await this.#commit(freeing);
      await this.#commit(others);
      return;
    }
    if (failure.code === 'STORE_FULL') {
      for (const pending of batch) this.#fail(pending, failure);
      return;
    }
    for (const pending of batch) await this.#commit([pending]);
  }

  #takeBatch(): readonly Pending[] {
    let parts = 0;
    let bytes = 0;
    let end = this.#start;
    while (end < this.#queue.length) {
      const pending = this.#queue[end];
      if (pending === undefined) break;
      const isOver =
        parts + pending.parts > BATCH_PARTS_MAX || bytes + pending.bytes > BATCH_BYTES_MAX;
      if (end > this.#start && isOver) break;
      parts += pending.parts;
      bytes += pending.bytes;
      if (pending.write.kind !== 'ack') this.#queuedOthers--;
      end++;
    }
    const batch = this.#queue.slice(this.#start, end);
    this.#start = end;
    // What was taken is let go now and then: the queue may not be empty for a long time.
    if (this.#start === this.#queue.length || this.#start >= BATCH_PARTS_MAX) {
      this.#queue = this.#queue.slice(this.#start);
      this.#start = 0;
    }
    this.#queuedParts -= parts;
    this.#queuedBytes -= bytes;
    this.#lastAppends = parts;
    return batch;
  }

  #takeAll(): readonly Pending[] {
    const all = this.#queue.slice(this.#start);
    this.#queue = [];
    this.#start = 0;
    this.#queuedParts = 0;
    this.#queuedBytes = 0;
    this.#queuedOthers = 0;
    return all;
  }

  #settleIdle(): void {
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}

/** What a change weighs. Deletions are free: they make room. */
function sizeOf(write: Write): { readonly parts: number; readonly bytes: number } {
  if (write.kind === 'append' || write.kind === 'appendMany') {
    let parts = 0;
    let bytes = 0;
    for (const append of write.kind === 'append' ? [write] : write.appends) {
      parts += append.parts.length;
      for (const part of append.parts) bytes += part.body.length;
    }
    return { parts, bytes };
  }
  if (FREEING.has(write.kind)) return { parts: 0, bytes: 0 };
  if (write.kind === 'advanceBlob') return { parts: 1, bytes: write.state.length + 256 };
  if (write.kind === 'putRecord') return { parts: 1, bytes: write.value.length + 256 };
  return { parts: 1, bytes: 4_096 };
}

/** Changes that only delete: they make room. */
const FREEING: ReadonlySet<Write['kind']> = new Set<Write['kind']>([
  'ack',
  'sweep',
  'deleteRecord',
  'sweepRecords',
  'removeBlob',
  'sweepBlobs',
]);

/** One commit. Lower: more fsyncs. Higher: those who came first wait for those who came last. */
const BATCH_PARTS_MAX = 512;
const BATCH_BYTES_MAX = 1_048_576;

/** Waiting for a commit. Lower: `BUSY` in short bursts. Higher: memory, and answers that come too late. */
const QUEUE_PARTS_MAX = 20_000;
const QUEUE_BYTES_MAX = 33_554_432;

/** A commit that takes longer hangs. Lower: a busy disk turns sends away. Higher: they pile up behind it. */
const COMMIT_HANGS_MS = 2_000;

/** After a batch of more than this many envelopes, wait this long for more, in milliseconds. */
const GATHER_ABOVE = 64;
const GATHER_MS = 2;

/** How long an acknowledgement may wait for company, in milliseconds. */
const ACK_DELAY_MS = 50;
