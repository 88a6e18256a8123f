/**
 * 12 Envelope §8.4. The second socket: one that never says whose it is.
 *
 * A connection object of its own, opened when something is to be sent and closed when nothing was for a while.
 * It shares no frame, no id and no handshake with the authorised one. A relay still sees that both come from
 * one network address, and what is sent just after something arrived; see spec/90-threat-model.md.
 */
import {
  RELAY_PROTOCOL_VERSION,
  type RequestOp,
  type ResponseItem,
} from '@qasid/protocol/envelope';

import type { Clock, Timer } from '../clock.js';
import { NetworkError } from '../errors.js';
import { RelayLink } from '../link.js';
import type { Dial } from '../transport/port.js';

/** Hang up after so long without a request: below the relay's 120 s. */
const IDLE_MS = 60_000;

/** How long to wait for the socket, before whoever wants it is told. */
const OPEN_TIMEOUT_MS = 10_000;

/** After a failure, nobody waits for another try of the socket for so long. */
const DOWN_MS = 60_000;

/** Least time between the opening of the authorised socket and of this one, and what is added at random. */
const APART_MS = 300;
const APART_JITTER_MS = 1_700;

/** What the anonymous link needs. */
export interface AnonymousOptions {
  readonly url: string;
  readonly dial: Dial;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly dice: () => number;
}

/** A socket without an account, when it is needed. */
export class AnonymousLink {
  readonly #options: AnonymousOptions;
  readonly #link: RelayLink;
  #users = 0;
  #idle: Timer | undefined;
  #notBeforeMs = 0;
  #downUntilMs = 0;
  #closed = false;
  readonly #pausing = new Set<() => void>();

  constructor(options: AnonymousOptions) {
    this.#options = options;
    this.#link = new RelayLink({
      ...options,
      prove: async () => ({ kind: 'anonymous', version: RELAY_PROTOCOL_VERSION }),
      proved: async (answer) => (answer.code === 'CONFIRMED' ? 'ready' : 'refused'),
      onEvent: () => undefined,
      onStatus: (status) => {
        // Nobody waits for it: not worth coming back for.
        if (status === 'backing-off' && this.#users === 0) this.#link.disconnect();
      },
    });
  }

  /** The authorised socket has just opened, or is about to: this one keeps its distance. */
  keepApart(): void {
    const { clock, dice } = this.#options;
    this.#notBeforeMs = clock.now() + APART_MS + Math.floor(dice() * APART_JITTER_MS);
  }

  /**
   * Ask once.
   *
   * @throws NetworkError `NET_UNREACHABLE` when there is no such socket to be had; otherwise as
   * `RelayLink.request`.
   */
  request(op: RequestOp): Promise<ResponseItem> {
    return this.#use(() => this.#link.request(op));
  }

  /** Ask again while the relay is busy. */
  requestPatiently(op: RequestOp): Promise<ResponseItem> {
    return this.#use(() => this.#link.requestPatiently(op));
  }

  /** Hang up for good. */
  close(): void {
    this.#closed = true;
    this.#idle?.cancel();
    this.#link.close();
    for (const wake of [...this.#pausing]) wake();
  }

  async #use(ask: () => Promise<ResponseItem>): Promise<ResponseItem> {
    this.#users++;
    this.#idle?.cancel();
    try {
      await this.#open();
      return await ask();
    } finally {
      this.#users--;
      if (this.#users === 0 && !this.#closed) {
        this.#idle = this.#options.clock.after(IDLE_MS, () => this.#link.disconnect());
      }
    }
  }

  async #open(): Promise<void> {
    const { clock } = this.#options;
    if (this.#link.status === 'open') return;
    if (clock.now() < this.#downUntilMs && this.#downUntilMs - clock.now() <= DOWN_MS) {
      throw new NetworkError('NET_UNREACHABLE', 'no anonymous socket a moment ago');
    }
    const wait = Math.min(this.#notBeforeMs - clock.now(), APART_MS + APART_JITTER_MS);
    if (wait > 0) await this.#pause(wait);
    try {
      if (this.#link.status === 'offline') this.#link.connect();
      await this.#link.whenOpen(OPEN_TIMEOUT_MS);
    } catch (cause) {
      if (this.#closed) throw cause;
      this.#downUntilMs = clock.now() + DOWN_MS;
      this.#link.disconnect();
      throw new NetworkError('NET_UNREACHABLE', 'no anonymous socket', { cause });
    }
  }

  /** Wait, but not beyond the end of this link. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(ms, () => wake());
      const wake = (): void => {
        timer.cancel();
        this.#pausing.delete(wake);
        resolve();
      };
      this.#pausing.add(wake);
    });
  }
}
