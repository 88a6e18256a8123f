/**
 * What the loads ask of a system: queues by number, a producer that hears confirmations, a consumer that
 * acknowledges by itself.
 */
import type { Managed } from './processes.js';

/**
 * What a confirmation survives. A: power loss, it was forced to disk before. B: the end of the process; it
 * was handed to the operating system. C: nothing.
 */
export type Durability = 'A' | 'B' | 'C';

/** Sends to any queue. */
export interface Producer {
  /** The confirmation comes back with `sentMs`. */
  send(mailbox: number, body: Uint8Array, sentMs: number): void;
  close(): Promise<void>;
}

/** Reads one queue, acknowledging what it was given. */
export interface Consumer {
  close(): Promise<void>;
}

/** One running system. */
export interface Server {
  readonly managed: Managed;
  /** Create queues 0 to `count` - 1, where a system needs that. */
  prepare(count: number): Promise<void>;
  /** `index` tells producers apart. */
  producer(index: number, onConfirm: (sentMs: number) => void): Promise<Producer>;
  consumer(mailbox: number, onMessage: (body: Uint8Array) => void): Promise<Consumer>;
  stop(): Promise<void>;
}

/** A system that can be started. */
export interface System {
  readonly key: string;
  readonly title: string;
  readonly durability: Durability;
  /** More queues than this are impractical there. */
  readonly mailboxesMax: number;
  /** Why it cannot run here; undefined when it can. */
  missing(): string | undefined;
  start(): Promise<Server>;
}

/** Connections that are opened at a time: a listening socket has a short queue. */
const OPEN_AT_ONCE = 32;

/** Run `task` for 0 to `count` - 1, a few at a time, results in order. */
export async function inParallel<Result>(
  count: number,
  task: (index: number) => Promise<Result>,
  atOnce: number = OPEN_AT_ONCE,
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const index = next++;
      results[index] = await task(index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker));
  return results;
}
