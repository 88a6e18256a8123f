/**
 * 20 Linking §3. One meeting of two devices, from the code to keys and the digits that people compare.
 */
import type { Bytes, CryptoProvider, KeyPair } from '@qasid/protocol';

import type { Clock, Timer } from '../clock.js';
import { LinkError } from '../errors.js';
import type { Dial } from '../transport/port.js';
import {
  linkBase,
  openStep,
  ScanningSide,
  sealStep,
  ShowingSide,
  STEP,
  type LinkBase,
  type LinkKeys,
} from './handshake.js';
import { EXCHANGE_MAX_MS, LINK_MAX_MS } from './limits.js';
import type { LinkCode } from './link-text.js';
import { Rendezvous } from './rendezvous.js';

/** What a meeting runs on. */
export interface MeetingOptions {
  readonly crypto: CryptoProvider;
  readonly clock: Clock;
  readonly dice: () => number;
  readonly dial: Dial;
}

/** One meeting. Used once. */
export class Meeting {
  readonly rendezvous: Rendezvous;
  readonly #options: MeetingOptions;
  readonly #code: LinkCode;
  readonly #base: LinkBase;
  readonly #timers: Timer[] = [];

  /** @param url - Where to meet, when not where the code says. */
  constructor(options: MeetingOptions, code: LinkCode, url: string = code.relay) {
    const { crypto, clock, dice, dial } = options;
    this.#options = options;
    this.#code = code;
    this.#base = linkBase(crypto, code);
    this.rendezvous = new Rendezvous({ url, dial, clock, dice });
    this.#limit(LINK_MAX_MS, 'nobody finished this in time: show a new code');
  }

  /**
   * As the side that shows the code: wait for the other one.
   *
   * @returns the keys, and what the other side told of itself.
   * @throws LinkError `LINK_EXPIRED`, `LINK_USED`, `LINK_ALTERED`, `LINK_CANCELLED`; NetworkError.
   */
  async show(
    keyPair: KeyPair,
    payload: Uint8Array,
  ): Promise<{ readonly keys: LinkKeys; readonly payload: Bytes }> {
    const side = new ShowingSide(this.#options.crypto, this.#code, this.#base, keyPair, payload);
    const commit = await this.#take(STEP.commit);
    const timer = this.#limit(EXCHANGE_MAX_MS, 'the other device did not go on');
    await this.#put(STEP.answer, side.answer(commit));
    const finished = side.finish(await this.#take(STEP.reveal));
    timer.cancel();
    return finished;
  }

  /** As the side that scanned it. Throws as `show`. */
  async scan(payload: Uint8Array): Promise<{ readonly keys: LinkKeys; readonly payload: Bytes }> {
    const side = new ScanningSide(this.#options.crypto, this.#code, this.#base, payload);
    const timer = this.#limit(EXCHANGE_MAX_MS, 'the other device did not answer');
    await this.#put(STEP.commit, side.commit());
    const { message, ...found } = side.reveal(await this.#take(STEP.answer));
    await this.#put(STEP.reveal, message);
    timer.cancel();
    return found;
  }

  /** Say the fourth or fifth message. */
  async tell(keys: LinkKeys, step: 4 | 5, message: Uint8Array): Promise<void> {
    await this.#put(step, sealStep(this.#options.crypto, keys, step, message));
  }

  /** Hear the fourth or fifth message. */
  async hear(keys: LinkKeys, step: 4 | 5): Promise<Bytes> {
    return openStep(this.#options.crypto, keys, step, await this.#take(step));
  }

  /** End it. `error` is what everything that waits rejects with. */
  end(error: Error): void {
    for (const timer of this.#timers) timer.cancel();
    this.rendezvous.close(error);
  }

  #limit(ms: number, what: string): Timer {
    const timer = this.#options.clock.after(ms, () =>
      this.end(new LinkError('LINK_EXPIRED', what)),
    );
    this.#timers.push(timer);
    return timer;
  }

  #take(step: number): Promise<Uint8Array> {
    return this.rendezvous.take(this.#slot(step));
  }

  #put(step: number, message: Uint8Array): Promise<void> {
    return this.rendezvous.put(this.#slot(step), message);
  }

  #slot(step: number): Bytes {
    return this.#base.slots[step - 1] ?? new Uint8Array(16);
  }
}

/** The error of a person who gives up here. */
export function cancelled(): LinkError {
  return new LinkError('LINK_CANCELLED', 'linking was cancelled on this device');
}
