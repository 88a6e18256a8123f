/**
 * 20 Linking §3. Slots at the relay, over a socket that proves nothing: the relay sees random names and ciphertext.
 */
import type { Bytes } from '@qasid/protocol';
import {
  decodeFrame,
  encodeFrame,
  isRetryable,
  request as requestItem,
  type Item,
  type RequestOp,
  type ResponseItem,
} from '@qasid/protocol/envelope';

import { sleep, type Clock, type Timer } from '../clock.js';
import { LinkError, NetworkError } from '../errors.js';
import { backoffMs, REQUEST_BACKOFF } from '../retry.js';
import type { Dial, Socket } from '../transport/port.js';

/** What a rendezvous needs. */
export interface RendezvousOptions {
  readonly url: string;
  readonly dial: Dial;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly dice: () => number;
}

interface Waiting {
  readonly op: RequestOp;
  /** The socket it was first sent on. */
  sentOn: number | undefined;
  answered(answer: ResponseItem): void;
}

/** One side of a meeting. Ends with `close`; a lost socket is replaced, and what was asked is asked again. */
export class Rendezvous {
  readonly #options: RendezvousOptions;
  readonly #waiting = new Map<number, Waiting>();
  #socket: Socket | undefined;
  /** The relay has greeted: it listens. */
  #isOpen = false;
  #nextId = 1;
  #generation = 0;
  #failures = 0;
  #timer: Timer | undefined;
  #relayAheadMs = 0;
  #ended: Error | undefined;
  #end: (error: Error) => void = () => undefined;
  readonly #over: Promise<never>;

  constructor(options: RendezvousOptions) {
    this.#options = options;
    this.#over = new Promise((_, reject) => {
      this.#end = reject;
    });
    this.#over.catch(() => undefined);
  }

  /** The relay's clock, as far as it is known. Milliseconds since 1970. */
  get relayTimeMs(): number {
    return this.#options.clock.now() + this.#relayAheadMs;
  }

  /** Rejects with whatever ended this meeting. */
  get over(): Promise<never> {
    return this.#over;
  }

  /**
   * Leave a message.
   *
   * @throws LinkError `LINK_USED` when somebody else left one; NetworkError.
   */
  async put(slot: Bytes, message: Uint8Array): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      const { answer, again } = await this.#ask({ kind: 'rendezvousPut', slot, message });
      if (answer.code === 'CONFIRMED') return;
      // Asked twice because the first answer was lost: it is there.
      if (answer.code === 'REFUSED' && again) return;
      await this.#refused(answer, attempt);
    }
  }

  /**
   * Wait for a message.
   *
   * @throws LinkError `LINK_USED` when somebody else took it, `LINK_EXPIRED`; NetworkError.
   */
  async take(slot: Bytes): Promise<Uint8Array> {
    for (let attempt = 0; ; attempt++) {
      const { answer } = await this.#ask({ kind: 'rendezvousTake', slot });
      if (answer.code === 'CONFIRMED' && answer.body.kind === 'rendezvous') {
        return answer.body.message;
      }
      await this.#refused(answer, attempt);
    }
  }

  /** End it, and whatever waits for something here. */
  close(error: Error): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#timer?.cancel();
    this.#generation++;
    this.#socket?.close();
    this.#waiting.clear();
    this.#end(error);
  }

  async #refused(answer: ResponseItem, attempt: number): Promise<void> {
    if (isRetryable(answer.code)) {
      const { dice, clock } = this.#options;
      const waitMs = backoffMs(REQUEST_BACKOFF, attempt, dice, answer.retryAfterMs);
      await Promise.race([sleep(clock, waitMs), this.#over]);
      return;
    }
    if (answer.code === 'NOT_FOUND') throw new LinkError('LINK_EXPIRED', 'nobody came in time');
    if (answer.code === 'REFUSED') {
      throw new LinkError('LINK_USED', 'this code was answered already: show a new one');
    }
    throw new NetworkError('NET_REFUSED', `relay answers ${answer.code} to a meeting`);
  }

  #ask(op: RequestOp): Promise<{ readonly answer: ResponseItem; readonly again: boolean }> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const id = this.#nextId++;
    const { promise, resolve } = deferred<ResponseItem>();
    const waiting: Waiting = { op, sentOn: undefined, answered: resolve };
    this.#waiting.set(id, waiting);
    if (this.#socket === undefined && this.#timer === undefined) this.#dial();
    else if (this.#isOpen) this.#send(id, waiting);
    const asked = promise.then((answer) => {
      return { answer, again: waiting.sentOn !== this.#generation };
    });
    return Promise.race([asked, this.#over]);
  }

  #dial(): void {
    const { url, dial, clock, dice } = this.#options;
    const generation = ++this.#generation;
    const mine = (): boolean => generation === this.#generation;
    this.#isOpen = false;
    this.#timer = undefined;
    this.#socket = dial(url, {
      opened: () => undefined,
      received: (frame) => {
        if (mine()) this.#received(frame);
      },
      closed: ({ cause }) => {
        if (!mine()) return;
        this.#socket = undefined;
        this.#isOpen = false;
        if (this.#waiting.size === 0) return;
        if (++this.#failures > FAILURES_MAX) {
          this.close(new NetworkError('NET_UNREACHABLE', 'relay cannot be reached', { cause }));
          return;
        }
        const waitMs = backoffMs(REQUEST_BACKOFF, this.#failures, dice, 0);
        this.#timer = clock.after(waitMs, () => this.#dial());
      },
    });
  }

  #received(frame: Uint8Array<ArrayBuffer>): void {
    let items: readonly Item[];
    try {
      items = decodeFrame(frame);
    } catch (cause) {
      this.close(new NetworkError('NET_NOT_A_RELAY', 'relay sent what is no frame', { cause }));
      return;
    }
    for (const item of items) {
      if (item.kind === 'event' && item.event.kind === 'challenge') {
        this.#relayAheadMs = item.event.serverTimeMs - this.#options.clock.now();
        this.#isOpen = true;
        for (const [id, waiting] of this.#waiting) this.#send(id, waiting);
      } else if (item.kind === 'response') {
        const waiting = this.#waiting.get(item.id);
        this.#waiting.delete(item.id);
        waiting?.answered(item);
      }
    }
  }

  #send(id: number, waiting: Waiting): void {
    waiting.sentOn ??= this.#generation;
    this.#socket?.send(encodeFrame([requestItem(id, waiting.op)]));
  }
}

function deferred<Value>(): {
  readonly promise: Promise<Value>;
  readonly resolve: (value: Value) => void;
} {
  let resolve: (value: Value) => void = () => undefined;
  const promise = new Promise<Value>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** Sockets lost before this side gives up. */
const FAILURES_MAX = 5;
