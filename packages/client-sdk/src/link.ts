/**
 * The link to the relay: carries out what connection.ts decides, and matches answers to questions.
 */
import { DecodeError } from '@qasid/protocol';
import {
  decodeFrame,
  encodeFrame,
  type event as eventItem,
  isRetryable,
  request as requestItem,
  type ChallengeEvent,
  type Item,
  type RelayEvent,
  type RequestOp,
  type ResponseItem,
} from '@qasid/protocol/envelope';

import type { Clock, Timer } from './clock.js';
import {
  stepConnection,
  type Connection,
  type ConnectionEffect,
  type ConnectionEvent,
  type ConnectionStatus,
} from './connection.js';
import { NetworkError } from './errors.js';
import { Questions } from './questions.js';
import { backoffMs, REQUEST_BACKOFF } from './retry.js';
import type { Dial, Socket } from './transport/port.js';

/** How long from dialling to the relay's yes. */
const HANDSHAKE_TIMEOUT_MS = 15_000;

/** How long from the relay's demand for work to its yes: as long as a relay waits. */
const WORK_TIMEOUT_MS = 180_000;

/** A quiet connection is pinged after this long: middleboxes forget sooner than people do. */
const PING_INTERVAL_MS = 25_000;

/** An open connection counts as settled after this long. */
const SETTLED_MS = 10_000;

/** Tries of one request the relay puts off, before the caller is told. */
const BUSY_TRIES = 8;

/** Close code of a relay that no longer lists this device; spec 12. */
const CLOSE_REMOVED = 4410;
/** Close code after a proof that was not good enough. */
const CLOSE_UNAUTHORISED = 4401;
/** Close code of a connection that a newer one of the same device replaced. */
const CLOSE_REPLACED = 4409;

const REFUSED: ResponseItem = {
  kind: 'response',
  id: 0,
  code: 'REFUSED',
  retryAfterMs: 0,
  body: { kind: 'none' },
};

/**
 * What follows from the relay's answer to our proof: go on, answer the challenge that comes next on this
 * socket, dial again at once, or stay away for a while.
 */
export type Verdict = 'ready' | 'next-challenge' | 'again' | 'refused' | 'removed';

/** What the link needs from its user. */
export interface LinkOptions {
  readonly url: string;
  readonly dial: Dial;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly dice: () => number;
  /** The answer to the relay's challenge, for each new socket. */
  prove(challenge: ChallengeEvent): Promise<RequestOp>;
  /** What the relay said to it, before anything else happens on this connection. */
  proved(answer: ResponseItem): Promise<Verdict>;
  /** Everything the relay tells but the challenge. */
  onEvent(event: RelayEvent): void;
  onStatus(status: ConnectionStatus, problem: NetworkError | undefined): void;
}

/** One connection that comes back by itself. */
export class RelayLink {
  readonly #options: LinkOptions;
  #state: Connection = { kind: 'offline' };
  #socket: Socket | undefined;
  /** Told apart from an older socket whose events are still under way. */
  #generation = 0;
  readonly #questions: Questions;
  readonly #openers = new Set<() => void>();
  readonly #pausing = new Set<() => void>();
  #wait: Timer | undefined;
  #handshake: Timer | undefined;
  #settle: Timer | undefined;
  #ping: Timer | undefined;
  #problem: NetworkError | undefined;
  /** A proof is on its way and has no answer yet. */
  #proving = false;
  #greeted = false;
  /** A challenge that came before the last one was dealt with. */
  #nextChallenge: ChallengeEvent | undefined;
  /** Events of a connection that is not open yet. */
  readonly #early: RelayEvent[] = [];
  #limits: ChallengeEvent['limits'] | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#questions = new Questions(options.clock);
  }

  get status(): ConnectionStatus {
    return this.#state.kind;
  }

  /** Why the last attempt failed; `undefined` while all is well. */
  get problem(): NetworkError | undefined {
    return this.#problem;
  }

  /** Limits of the relay we are connected to. */
  get limits(): ChallengeEvent['limits'] | undefined {
    return this.#limits;
  }

  /** Connect now and stay connected. */
  connect(): void {
    this.#step({ kind: 'connect' });
  }

  /** Hang up and stay away until `connect`. */
  disconnect(): void {
    this.#step({ kind: 'disconnect' });
  }

  /** Hang up and come back after `waitMs`. */
  restart(waitMs: number): void {
    this.disconnect();
    this.#wait?.cancel();
    this.#wait = this.#options.clock.after(waitMs, () => this.connect());
  }

  /** Hang up for good. */
  close(): void {
    this.#wait?.cancel();
    this.#step({ kind: 'close' });
    for (const wake of [...this.#pausing]) wake();
  }

  /**
   * Resolve when open.
   *
   * @throws NetworkError the last problem, or `NET_TIMEOUT`, after `timeoutMs`; `NET_CLOSED`.
   */
  async whenOpen(timeoutMs: number): Promise<void> {
    if (this.#state.kind === 'open') return;
    if (this.#state.kind === 'closed') throw closedError();
    await new Promise<void>((resolve, reject) => {
      const timer = this.#options.clock.after(timeoutMs, () => {
        this.#openers.delete(look);
        reject(this.#problem ?? new NetworkError('NET_TIMEOUT', 'no connection in time'));
      });
      const look = (): void => {
        if (this.#state.kind !== 'open' && this.#state.kind !== 'closed') return;
        timer.cancel();
        this.#openers.delete(look);
        if (this.#state.kind === 'open') resolve();
        else reject(closedError());
      };
      this.#openers.add(look);
    });
  }

  /**
   * Ask, and get whatever the relay answers.
   *
   * @throws NetworkError `NET_UNREACHABLE` when not connected, `NET_LOST`, `NET_TIMEOUT`, `NET_CLOSED`.
   */
  async request(op: RequestOp): Promise<ResponseItem> {
    if (this.#state.kind === 'closed') throw closedError();
    if (this.#state.kind !== 'open') {
      throw this.#problem ?? new NetworkError('NET_UNREACHABLE', 'not connected');
    }
    return this.#ask(op);
  }

  /**
   * Ask, and ask again while the relay is busy. What it refuses for good comes back as an answer.
   *
   * @throws NetworkError as `request`; `NET_BUSY` when it stays busy.
   */
  async requestPatiently(op: RequestOp): Promise<ResponseItem> {
    for (let attempt = 0; ; attempt++) {
      const answer = await this.request(op);
      if (!isRetryable(answer.code)) return answer;
      if (attempt >= BUSY_TRIES) {
        throw new NetworkError('NET_BUSY', `relay answers ${answer.code}`, {
          retryAfterMs: answer.retryAfterMs,
        });
      }
      await this.#pause(
        backoffMs(REQUEST_BACKOFF, attempt, this.#options.dice, answer.retryAfterMs),
      );
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

  /** Say without waiting for the answer; whether it could be sent. For acknowledgements. */
  tell(op: RequestOp): boolean {
    if (this.#state.kind !== 'open') return false;
    this.#send([requestItem(this.#questions.nextId(), op)]);
    return true;
  }

  #step(event: ConnectionEvent): void {
    const before = this.#state.kind;
    const { state, effects } = stepConnection(this.#state, event, this.#options.dice);
    this.#state = state;
    for (const effect of effects) this.#carryOut(effect);
    if (state.kind === before) return;
    if (state.kind !== 'connecting') this.#cancel('handshake');
    if (state.kind === 'open') this.#opened();
    else this.#cancel('settle', 'ping');
    if (state.kind !== 'open' && state.kind !== 'connecting') this.#failWaiting();
    for (const look of [...this.#openers]) look();
    this.#options.onStatus(state.kind, this.#problem);
  }

  #carryOut(effect: ConnectionEffect): void {
    switch (effect.kind) {
      case 'dial':
        this.#dial();
        return;
      case 'hang-up':
        this.#generation++;
        this.#socket?.close();
        this.#socket = undefined;
        return;
      case 'wait':
        this.#wait = this.#options.clock.after(effect.ms, () => this.#step({ kind: 'waited' }));
        return;
      case 'stop-waiting':
        this.#wait?.cancel();
        return;
    }
  }

  #dial(): void {
    const generation = ++this.#generation;
    this.#proving = false;
    this.#greeted = false;
    this.#nextChallenge = undefined;
    this.#early.length = 0;
    const mine = (): boolean => generation === this.#generation;
    this.#awaitHandshake(HANDSHAKE_TIMEOUT_MS);
    this.#socket = this.#options.dial(this.#options.url, {
      opened: () => undefined,
      received: (message) => {
        if (mine()) this.#received(message);
      },
      closed: ({ code, cause, notARelay }) => {
        if (!mine()) return;
        this.#socket = undefined;
        if (code === CLOSE_UNAUTHORISED && this.#proving)
          void this.#judge(REFUSED).catch(() => this.#lost(code, cause, false));
        else if (code === CLOSE_REPLACED) this.#step({ kind: 'replaced' });
        else if (code === CLOSE_REMOVED) this.#removed();
        else this.#lost(code, cause, notARelay === true);
      },
    });
  }

  #lost(code: number, cause: unknown, notARelay: boolean): void {
    const options = { cause };
    this.#problem =
      this.#state.kind === 'open'
        ? new NetworkError('NET_LOST', `connection lost (${code})`, options)
        : notARelay
          ? new NetworkError('NET_NOT_A_RELAY', 'no relay answers at this address', options)
          : new NetworkError('NET_UNREACHABLE', 'relay cannot be reached', options);
    this.#step({ kind: 'lost' });
  }

  /** Give up on this socket. */
  #drop(problem: NetworkError): void {
    this.#generation++;
    this.#socket?.close();
    this.#socket = undefined;
    this.#problem = problem;
    this.#step({ kind: 'lost' });
  }

  #refused(message: string): void {
    this.#problem = new NetworkError('NET_REFUSED', message);
    this.#step({ kind: 'refused' });
  }

  #removed(): void {
    this.#problem = new NetworkError('NET_REFUSED', 'this device is not on its account’s list');
    this.#step({ kind: 'removed' });
  }

  #opened(): void {
    const { clock } = this.#options;
    this.#problem = undefined;
    this.#settle = clock.after(SETTLED_MS, () => this.#step({ kind: 'settled' }));
    this.#schedulePing();
  }

  #schedulePing(): void {
    this.#ping?.cancel();
    const generation = this.#generation;
    this.#ping = this.#options.clock.after(PING_INTERVAL_MS, () => {
      if (generation !== this.#generation || this.#state.kind !== 'open') return;
      this.#ask({ kind: 'ping' }).then(
        () => this.#schedulePing(),
        (problem: NetworkError) => {
          // No answer on a socket that looks open: half dead. A closed one has been dealt with.
          if (generation === this.#generation && problem.code === 'NET_TIMEOUT')
            this.#drop(problem);
        },
      );
    });
  }

  #received(message: Uint8Array<ArrayBuffer>): void {
    let items: readonly Item[];
    try {
      items = decodeFrame(message);
    } catch (cause) {
      if (!(cause instanceof DecodeError)) throw cause;
      this.#drop(new NetworkError('NET_NOT_A_RELAY', 'relay sent what is no frame', { cause }));
      return;
    }
    for (const item of items) {
      if (item.kind === 'response') this.#questions.answered(item);
      else if (item.kind === 'event') this.#told(item);
    }
  }

  #told(item: ReturnType<typeof eventItem>): void {
    const { event } = item;
    switch (event.kind) {
      case 'challenge':
        // A second challenge follows a refusal, which #judge deals with.
        if (this.#state.kind !== 'connecting') return;
        if (this.#greeted) this.#nextChallenge = event;
        else void this.#greet(event);
        return;
      case 'draining':
        this.#step(event);
        break;
      case 'replaced':
        this.#problem = new NetworkError('NET_LOST', 'another connection of this device took over');
        this.#step({ kind: 'replaced' });
        break;
    }
    // The relay may deliver in the very frame that says yes, while we are still storing that it did.
    if (this.#state.kind === 'connecting') this.#early.push(event);
    else this.#options.onEvent(event);
  }

  #awaitHandshake(timeoutMs: number): void {
    const generation = this.#generation;
    this.#handshake?.cancel();
    this.#handshake = this.#options.clock.after(timeoutMs, () => {
      if (generation !== this.#generation) return;
      this.#drop(new NetworkError('NET_TIMEOUT', 'relay did not answer in time'));
    });
  }

  async #greet(challenge: ChallengeEvent): Promise<void> {
    const generation = this.#generation;
    const mine = (): boolean => generation === this.#generation;
    this.#greeted = true;
    try {
      this.#limits = challenge.limits;
      const proof = await this.#options.prove(challenge);
      if (!mine()) return;
      this.#proving = true;
      const answer = await this.#ask(proof);
      if (!mine()) return;
      await this.#judge(answer);
    } catch (cause) {
      if (!mine()) return;
      const known = cause instanceof NetworkError;
      this.#drop(known ? cause : new NetworkError('NET_LOST', 'no proof for the relay', { cause }));
    }
  }

  /** What follows from the relay's answer to our proof. */
  async #judge(answer: ResponseItem): Promise<void> {
    this.#proving = false;
    const generation = this.#generation;
    if (isRetryable(answer.code)) {
      this.#drop(new NetworkError('NET_BUSY', `relay answers ${answer.code}`));
      return;
    }
    const verdict = await this.#options.proved(answer);
    if (generation !== this.#generation) return;
    if (verdict === 'ready') {
      this.#step({ kind: 'ready' });
      for (const event of this.#early.splice(0)) this.#options.onEvent(event);
    }
    if (verdict === 'next-challenge') {
      // What it asks for may take a while: the relay waits as long.
      this.#awaitHandshake(WORK_TIMEOUT_MS);
      const next = this.#nextChallenge;
      this.#nextChallenge = undefined;
      this.#greeted = false;
      if (next !== undefined) void this.#greet(next);
    }
    if (verdict === 'removed') this.#removed();
    if (verdict === 'refused') this.#refused(`relay refused this device: ${answer.code}`);
    if (verdict === 'again') {
      this.#drop(new NetworkError('NET_LOST', 'dialling again'));
      this.connect();
    }
  }

  #ask(op: RequestOp): Promise<ResponseItem> {
    return this.#questions.ask((id) => this.#send([requestItem(id, op)]));
  }

  #send(items: readonly Item[]): void {
    this.#socket?.send(encodeFrame(items));
  }

  #failWaiting(): void {
    const lost = (): NetworkError =>
      this.#problem ?? new NetworkError('NET_LOST', 'connection lost');
    this.#questions.fail(this.#state.kind === 'closed' ? closedError() : lost());
  }

  #cancel(...timers: readonly ('handshake' | 'settle' | 'ping')[]): void {
    for (const name of timers) {
      if (name === 'handshake') this.#handshake?.cancel();
      else if (name === 'settle') this.#settle?.cancel();
      else this.#ping?.cancel();
    }
  }
}

/** A client that was closed. */
export function closedError(): NetworkError {
  return new NetworkError('NET_CLOSED', 'this client was closed');
}
