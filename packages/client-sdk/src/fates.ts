/**
 * What became of messages, told to whoever waits for it: this process sees it, or reads it in the store.
 */
import type { TrustErrorCode } from '@qasid/protocol';

import { sleep, type Clock } from './clock.js';
import { NetworkError } from './errors.js';
import type { History } from './history.js';
import { errorOfCode } from './refusals.js';
import type { ClientStore, OutboxRow } from './stores/port.js';

/** Messages without a fate after which looking further is not worth it. */
const CHECK_AHEAD = 32;

/** How long to wait before looking again when the store could not be read. */
const FOLLOW_RETRY_MS = 1_000;

/** What the fates of messages are told to. */
export interface SendingEvents {
  confirmed(id: string): void;
  failed(id: string, error: Error): void;
}

interface Waiting {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: Error): void;
}

/** What fates are read from. */
export interface FatesOptions {
  readonly store: ClientStore;
  readonly clock: Clock;
  readonly history: History;
  readonly events: SendingEvents;
  /** This process connects for the profile, and sees fates itself. */
  isOwner(): boolean;
}

/** Fates of the messages of one process. */
export class Fates {
  readonly #options: FatesOptions;
  readonly #waiting = new Map<string, Waiting>();
  #following = false;
  #closed = false;

  constructor(options: FatesOptions) {
    this.#options = options;
  }

  /** Let go of everybody who waits. */
  close(): void {
    this.#closed = true;
    const closed = new NetworkError('NET_CLOSED', 'this client was closed');
    for (const waiting of this.#waiting.values()) waiting.reject(closed);
    this.#waiting.clear();
  }

  /** Promise the fate of a message that is about to be stored. */
  promise(id: string): Promise<void> {
    let resolve = (): void => undefined;
    let reject = (_: Error): void => undefined;
    const promise = new Promise<void>((yes, no) => {
      resolve = yes;
      reject = no;
    });
    // The fate is also an event and a history row: nobody has to wait for it here.
    promise.catch(() => undefined);
    this.#waiting.set(id, { promise, resolve, reject });
    return promise;
  }

  /** It was not stored after all. */
  forget(id: string): void {
    this.#waiting.delete(id);
  }

  /** This process sent a row, or gave it up. */
  settled(row: OutboxRow, error: Error | undefined): void {
    if (isMessage(row)) this.#settle(row.messageId, error);
  }

  /** A row waits for a person: whoever waits for the row must not wait with it. */
  held(row: OutboxRow, code: TrustErrorCode): void {
    if (!isMessage(row)) return;
    this.#waiting.get(row.messageId)?.reject(errorOfCode(code));
    this.#waiting.delete(row.messageId);
  }

  /** Look up all fates: this process has just become the owner, or another one is. */
  async check(): Promise<void> {
    let pending = 0;
    for (const id of [...this.#waiting.keys()]) {
      // Messages settle roughly in order: far behind many that wait, nothing has happened yet.
      if (pending > CHECK_AHEAD) return;
      const row = await this.#options.store.loadSentMessage(id);
      if (row?.status === 'confirmed') this.#settle(id, undefined);
      else if (row?.status === 'failed') this.#settle(id, errorOfCode(row.cause));
      else if (row?.cause !== undefined) {
        this.#waiting.get(id)?.reject(errorOfCode(row.cause));
        this.#waiting.delete(id);
      } else pending++;
    }
  }

  #settle(id: string, error: Error | undefined): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) {
      waiting?.resolve();
      this.#options.events.confirmed(id);
    } else {
      waiting?.reject(error);
      this.#options.events.failed(id, error);
    }
  }

  /** While another process is the owner, fates show in the store only. */
  async follow(): Promise<void> {
    if (this.#following) return;
    this.#following = true;
    while (this.#waiting.size > 0 && !this.#closed) {
      try {
        await this.#options.history.until(async () => {
          if (!this.#options.isOwner()) await this.check();
          return this.#waiting.size === 0 ? true : undefined;
        }, undefined);
      } catch {
        // The store could not be read. Whoever waits goes on waiting.
        await sleep(this.#options.clock, FOLLOW_RETRY_MS);
      }
    }
    this.#following = false;
  }
}

/** Whether somebody may wait for a row. */
function isMessage({ kind }: OutboxRow): boolean {
  return kind === 'message' || kind === 'change' || kind === 'group';
}
