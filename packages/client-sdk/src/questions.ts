/**
 * Questions to the relay, matched with its answers.
 */
import type { ResponseItem } from '@qasid/protocol/envelope';

import type { Clock, Timer } from './clock.js';
import { NetworkError } from './errors.js';

/** How long one question may go unanswered. Lower: slow disks look like lost sockets. Higher: people wait. */
const ANSWER_TIMEOUT_MS = 20_000;

interface Waiting {
  readonly timer: Timer;
  answered(item: ResponseItem): void;
  failed(error: NetworkError): void;
}

/** What was asked on one link and has no answer yet. */
export class Questions {
  readonly #clock: Clock;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** An id for something whose answer nobody waits for. */
  nextId(): number {
    return this.#nextId++;
  }

  /**
   * Ask.
   *
   * @param send - Sends the question under this id.
   * @throws NetworkError `NET_TIMEOUT`, or what `fail` was called with.
   */
  ask(send: (id: number) => void): Promise<ResponseItem> {
    const id = this.nextId();
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(ANSWER_TIMEOUT_MS, () => {
        this.#waiting.delete(id);
        reject(new NetworkError('NET_TIMEOUT', 'relay did not answer in time'));
      });
      this.#waiting.set(id, { timer, answered: resolve, failed: reject });
      send(id);
    });
  }

  /** The relay answers. Nobody may wait for it: acknowledgements, and questions given up. */
  answered(item: ResponseItem): void {
    const waiting = this.#waiting.get(item.id);
    if (waiting === undefined) return;
    this.#waiting.delete(item.id);
    waiting.timer.cancel();
    waiting.answered(item);
  }

  /** The connection is gone: no answer comes any more. */
  fail(problem: NetworkError): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { timer, failed } of waiting) {
      timer.cancel();
      failed(problem);
    }
  }
}
