/**
 * The client: the verbs of the person who writes messages. Everything else hides behind it.
 */
import { StoreError } from '@qasid/protocol';

import { adoptHistory } from './adopt.js';
import type {
  ClientEvents,
  ClientOptions,
  ConversationInfo,
  LogLine,
  Me,
  Message,
  PendingMessage,
  SafetyNumber,
  SentMessage,
} from './api.js';

import type { ConnectionStatus } from './connection.js';
import { Conversation } from './conversation.js';
import { Devices } from './devices.js';
import { Engine, type Platform } from './engine.js';
import { AccountError, NetworkError } from './errors.js';
import { Emitter } from './events.js';
import { Expiry } from './expiry.js';
import { Feed } from './feed.js';
import { History } from './history.js';
import { errorOfCode } from './outbox.js';
import { findContact, safetyNumberOf, trustContact, type PeopleDeps } from './people.js';
import { type RegisterOptions, Registrar } from './registrar.js';
import { Sending } from './sending.js';
import {
  makeSignals,
  turnServersOf,
  type IceServer,
  type Signal,
  type Signals,
} from './signals.js';
import type { Profile } from './stores/port.js';
import { openPlatform, platformOf, type OpenedOptions } from './platform/open.js';
import { telling } from './telling.js';

/** A device of an account, with its messages. Make one with `QasidClient.open`. */
export class QasidClient implements AsyncDisposable {
  readonly #platform: Platform;
  readonly #log: ((line: LogLine) => void) | undefined;
  readonly #autoConnect: boolean;
  readonly #emitter = new Emitter<ClientEvents>();
  /** Messages that are not history: chapter 14. Calls are built on it. */
  readonly signals: Signals;
  readonly #history: History;
  readonly #sending: Sending;
  readonly #registrar: Registrar;
  readonly #devices: Devices;
  readonly #feed: Feed;
  readonly #expiry: Expiry;
  readonly #people: PeopleDeps;
  #profile: Profile | undefined;
  #engine: Engine | undefined;
  #closing: Promise<void> | undefined;
  #registering = false;
  #storeRestored = false;
  #clockOffsetMs: number | undefined;

  private constructor(options: OpenedOptions) {
    this.#platform = platformOf(options);
    const { store, crypto, clock } = this.#platform;
    this.#log = options.log;
    this.#autoConnect = options.connect ?? true;
    this.#history = new History({ store, crypto }, clock, () => this.#profile);
    this.#registrar = new Registrar(this.#platform);
    this.#sending = new Sending(this.#platform, this.#history, {
      confirmed: (id) => this.#emitter.emit('confirmed', { id }),
      failed: (id, error) => this.#emitter.emit('failed', { id, error }),
    });
    const trouble = (error: unknown): void => this.#trouble(error);
    const signals = new Emitter<{ readonly signal: Signal }>();
    this.signals = makeSignals(this.#platform, () => this.#requireEngine(), signals);
    this.#feed = new Feed({
      store,
      clock,
      history: this.#history,
      emitter: this.#emitter,
      signals,
      note: (event, code) => this.#note(event, code),
      trouble,
    });
    this.#expiry = new Expiry({
      store,
      clock,
      onRemoved: (peer, ids) => this.#emitter.emit('message-removed', { peer, ids }),
      onTrouble: trouble,
    });
    this.#people = {
      store,
      crypto,
      sending: this.#sending,
      engine: () => this.#requireEngine(),
      notInTime: (what) => this.#notInTime(what),
    };
    this.#devices = new Devices(this.#platform, {
      engine: () => this.#requireEngine(),
      profile: () => this.#profile,
      adopted: (profile) => this.#run(profile),
    });
  }

  /**
   * Open a profile of this machine, or a store. Connects in the background when there is an account.
   *
   * @throws UsageError `USAGE_ARGUMENT`; StoreError, for a profile `STORE_PASSPHRASE`, `STORE_LOST`, `STORE_CORRUPT`.
   */
  static async open(options: ClientOptions): Promise<QasidClient> {
    const opened = await openPlatform(options);
    const client = new QasidClient(opened);
    try {
      await client.#start();
    } catch (error) {
      if (options.store === undefined) await opened.store.close();
      throw error;
    }
    return client;
  }

  /** Who this device is. */
  get me(): Me {
    const profile = this.#profile;
    return {
      account: profile?.account,
      username: profile?.username,
      device: profile?.device,
      registered: profile?.registration === 'registered',
    };
  }

  /** `open` means the relay has accepted this device. Another process may hold the connection instead. */
  get status(): ConnectionStatus {
    if (this.#closing !== undefined) return 'closed';
    return this.#engine?.link.status ?? 'offline';
  }

  /**
   * By how many milliseconds the relay's clock was ahead of this device's at the last connection. Either may
   * be wrong; nothing depends on it but what people read as times of messages.
   */
  get clockOffsetMs(): number | undefined {
    return this.#clockOffsetMs;
  }

  /** Devices of this account. */
  get devices(): Devices {
    return this.#devices;
  }

  /** Call `listener` for each event; returns what ends it. */
  on<Name extends keyof ClientEvents>(
    name: Name,
    listener: (value: ClientEvents[Name]) => void,
  ): () => void {
    return this.#emitter.on(name, listener);
  }

  /**
   * Make an account and register it at the relay. May be repeated: after a crash, or with another name, invite
   * or ticket when one was refused. The identity is made once and kept. An open relay may ask for work.
   *
   * @throws AccountError `ACCOUNT_…`, all but `UNKNOWN` and `NOT_REGISTERED`; NetworkError; StoreError, `STORE_LOCKED` while another process of this profile is connected.
   */
  async register(options: RegisterOptions): Promise<Me> {
    this.#requireOpen();
    const { username } = options;
    const present = this.#profile;
    if (present?.registration === 'registered') {
      if (username === undefined || present.username === username) return this.me;
      throw new AccountError('ACCOUNT_EXISTS', 'this profile has an account under another name');
    }
    // Until the new engine is in its place, #awaitAccount must not put another one there.
    this.#registering = true;
    try {
      return await this.#register(options);
    } finally {
      this.#registering = false;
      if (this.#engine === undefined) void this.#awaitAccount();
    }
  }

  async #register(options: RegisterOptions): Promise<Me> {
    const registered = await this.#registrar.register(options, (profile) => {
      this.#profile = profile;
      return this.#makeEngine(profile);
    });
    if (this.#closing !== undefined) {
      // Closed meanwhile: nobody else knows of this engine.
      await registered.engine.stop();
      this.#requireOpen();
    }
    this.#profile = registered.profile;
    this.#engine = registered.engine;
    this.#sending.use(registered.engine);
    const { username = registered.profile.username } = options;
    if (registered.profile.username !== username) {
      throw new AccountError('ACCOUNT_EXISTS', 'this profile has an account under another name');
    }
    return this.me;
  }

  /**
   * Send text to all devices of somebody, by user name or account id. Resolves when the message is durable
   * here: encrypted when the recipient is known, else queued until the relay can be asked.
   *
   * A name that the relay does not know is an error here when the relay can be asked at once; offline, it
   * fails later (`failed` event, `confirmed`).
   *
   * @throws AccountError `ACCOUNT_UNKNOWN`, `ACCOUNT_NAME_INVALID`, `ACCOUNT_NOT_REGISTERED`; TrustError
   * `TRUST_IDENTITY_CHANGED`; LimitError `LIMIT_ENVELOPE_SIZE`; StoreError.
   */
  async send(to: string, text: string): Promise<SentMessage> {
    this.#requireEngine();
    return this.#sending.send(to, { kind: 'text', text });
  }

  /**
   * The conversation with somebody, by user name or account id. Asks the relay when the name is not known.
   *
   * @throws AccountError `ACCOUNT_UNKNOWN`, `ACCOUNT_NAME_INVALID`, `ACCOUNT_NOT_REGISTERED`; NetworkError.
   */
  async conversation(who: string): Promise<Conversation> {
    const contact = await findContact(this.#people, who);
    const { sending, engine } = this.#people;
    return new Conversation(
      {
        platform: this.#platform,
        history: this.#history,
        sending,
        engine,
        receiptsDue: () => this.#engine?.receiptsDue(),
      },
      contact,
    );
  }

  /** All conversations, message requests and archived ones included, the one with the last message first. */
  async conversations(): Promise<readonly ConversationInfo[]> {
    return this.#history.conversations();
  }

  /** Messages of all conversations with all words of `query`; as `Conversation.search`. */
  async search(
    query: string,
    options: { readonly before?: number; readonly limit?: number } = {},
  ): Promise<readonly Message[]> {
    return this.#history.search(query, { ...options, limit: options.limit ?? 50 });
  }

  /**
   * Messages that arrived, now and from now on, each once and in order. Ends when the client closes.
   *
   * @param options.after - Begin after this `seq`; default: only what arrives from now on.
   */
  async *messages(
    options: { readonly after?: number } = {},
  ): AsyncGenerator<Message, void, undefined> {
    const after = options.after ?? (await this.#platform.store.lastSeq());
    for await (const row of this.#history.arrivals(after)) {
      if (row.kind !== 'undecryptable') yield await this.#history.message(row);
    }
  }

  /** Messages of all conversations, received and sent, oldest first. */
  async history(
    options: { readonly after?: number; readonly limit?: number } = {},
  ): Promise<readonly Message[]> {
    return this.#history.page(options.after ?? 0, options.limit ?? 1_000);
  }

  /** Messages the relay has not confirmed yet. */
  async pending(): Promise<readonly PendingMessage[]> {
    const rows = await this.#platform.store.loadOutbox({ limit: 10_000 });
    return rows
      .filter(({ kind }) => kind === 'message')
      .map(({ messageId, username, account, held }) => ({
        id: messageId,
        to: username ?? account ?? '',
        held,
      }));
  }

  /**
   * Resolve when the outbox is empty.
   *
   * @throws TrustError when only messages are left that wait for a person; NetworkError: the last problem,
   * or `NET_TIMEOUT`, after `timeoutMs`. The messages stay in the outbox and go later.
   */
  async flush(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#requireEngine();
    const done = await this.#history.until(async () => {
      const state = await this.#platform.store.outboxState();
      return state === 'waiting' ? undefined : state;
    }, options.timeoutMs);
    if (done === 'held') throw errorOfCode('TRUST_IDENTITY_CHANGED');
    if (done === undefined) throw this.#notInTime('the outbox is not empty yet');
  }

  /**
   * Resolve when everything the relay had for this device at the time of connecting is stored here. While
   * another process of this profile is connected that process receives, and this resolves at once.
   *
   * @throws NetworkError the last problem, or `NET_TIMEOUT`, after `timeoutMs`.
   */
  async caughtUp(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    const engine = this.#requireEngine();
    if (await engine.whenCaughtUp(options.timeoutMs)) return;
    throw this.#notInTime('the relay has not delivered everything yet');
  }

  /**
   * The number that two people compare to know that nobody stands between them. Asks the relay for the
   * other's key when it is not known.
   *
   * @throws AccountError `ACCOUNT_UNKNOWN`, `ACCOUNT_NOT_REGISTERED`; NetworkError.
   */
  async safetyNumber(who: string): Promise<SafetyNumber> {
    return safetyNumberOf(this.#people, this.#requireProfile(), who);
  }

  /**
   * Accept the new identity key of somebody: a person has compared the changed safety number. Messages
   * that waited for it are sent and opened. Does nothing when nothing waits for that decision.
   *
   * @throws AccountError
   */
  async trust(who: string): Promise<void> {
    return trustContact(this.#people, who);
  }

  /** Fresh credentials for the relay's TURN servers; none where it has none. @throws NetworkError */
  async turnServers(): Promise<readonly IceServer[]> {
    return turnServersOf(this.#requireEngine());
  }

  /** Where a reader of the history stands, kept in the store under `name`; 0 at first. */
  async cursor(name: string): Promise<number> {
    return this.#platform.store.loadCursor(name);
  }

  /** Move the reader `name` forward to `seq`. It never moves back. */
  async moveCursor(name: string, seq: number): Promise<void> {
    await this.#platform.store.commit({ extra: { cursors: [{ name, seq }] } });
  }

  /** Hang up, finish what is being written, close the store. May be called more than once. */
  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  /** `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #start(): Promise<void> {
    this.#profile = await this.#platform.store.loadProfile();
    await this.#feed.start();
    void this.#adopt();
    this.#expiry.start();
    this.#storeRestored = (await this.#platform.store.takeRestored?.()) ?? false;
    if (this.#storeRestored) {
      this.#note('store-restored', 'store-restored');
      // Whoever opens this client listens only after it is open.
      this.#platform.clock.after(0, () => this.#emitter.emit('store-restored', undefined));
    }
    if (this.#profile?.registration === 'registered') this.#run(this.#profile);
    else void this.#awaitAccount();
  }

  /** Another process may register this profile while this one is open. */
  async #awaitAccount(): Promise<void> {
    const profile = await this.#history
      .until(async () => {
        if (this.#engine !== undefined) return null;
        const found = await this.#platform.store.loadProfile();
        return found?.registration === 'registered' ? found : undefined;
      }, undefined)
      .catch(() => null);
    if (profile === undefined || profile === null || this.#engine !== undefined) return;
    if (!this.#registering) this.#run(profile);
  }

  #run(profile: Profile): void {
    if (this.#closing !== undefined || this.#engine !== undefined) return;
    this.#profile = profile;
    const engine = this.#makeEngine(profile);
    this.#engine = engine;
    this.#sending.use(engine);
    if (this.#autoConnect) engine.start();
  }

  #makeEngine(profile: Profile): Engine {
    return new Engine(this.#platform, profile, {
      ...telling(this.#emitter, (event, code) => this.#note(event, code)),
      status: (status, problem) => {
        if (this.#closing !== undefined) return;
        this.#registrar.status(status, problem);
        this.#history.poke();
        this.#note('status', problem === undefined ? status : `${status} ${problem.code}`);
        this.#emitter.emit('status', status);
      },
      owned: () => void this.#sending.check().catch((error: unknown) => this.#trouble(error)),
      settled: (row, error) => this.#sending.settled(row, error),
      held: (row) => this.#sending.held(row),
      happened: (happenings) => this.#feed.happened(happenings),
      trouble: (error) => this.#trouble(error),
      prove: (challenge) => {
        this.#clockOffsetMs = challenge.serverTimeMs - this.#platform.clock.now();
        return this.#registrar.prove(challenge);
      },
      proved: (answer) => this.#registrar.proved(answer),
    });
  }

  async #adopt(): Promise<void> {
    try {
      await adoptHistory(this.#platform.store, this.#platform.clock);
    } catch (error) {
      // Another process does the same, or the next opening will.
      if (!isConflict(error)) this.#trouble(error);
    }
  }

  #trouble(error: unknown): void {
    if (this.#closing !== undefined) return;
    const known = error instanceof Error ? error : new Error('unknown trouble');
    this.#note('trouble', 'code' in known ? `${known.code as string}` : known.name);
    this.#emitter.emit('trouble', known);
  }

  async #shutDown(): Promise<void> {
    await this.#registrar.close();
    try {
      await this.#engine?.stop();
    } finally {
      this.#feed.close();
      await this.#expiry.stop();
      this.#history.close();
      this.#sending.close();
      this.#emitter.emit('status', 'closed');
      await this.#platform.store.close();
    }
  }

  #note(event: LogLine['event'], code: string): void {
    this.#log?.({ event, code });
  }

  #notInTime(what: string): NetworkError {
    if (this.#closing !== undefined) return closedError();
    return this.#engine?.link.problem ?? new NetworkError('NET_TIMEOUT', what);
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw closedError();
  }

  #requireProfile(): Profile {
    this.#requireOpen();
    if (this.#profile?.registration !== 'registered') {
      throw new AccountError('ACCOUNT_NOT_REGISTERED', 'this profile has no account yet');
    }
    return this.#profile;
  }

  #requireEngine(): Engine {
    this.#requireProfile();
    if (this.#engine === undefined) {
      throw new AccountError('ACCOUNT_NOT_REGISTERED', 'this profile has no account yet');
    }
    return this.#engine;
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof StoreError && error.code === 'STORE_CONFLICT';
}

function closedError(): NetworkError {
  return new NetworkError('NET_CLOSED', 'this client was closed');
}
