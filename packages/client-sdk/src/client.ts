/**
 * The client: the verbs of the person who writes messages. Everything else hides behind it.
 */

import { changeUsername, deleteAccountAt } from './account-changes.js';
import { adoptInBackground } from './adopt.js';
import type {
  ClientEvents,
  ClientOptions,
  ConversationInfo,
  Me,
  Message,
  PendingMessage,
  SafetyNumber,
  SentMessage,
} from './api.js';
import { Becoming } from './becoming.js';
import type { ConnectionStatus } from './connection.js';
import { Conversation } from './conversation.js';
import { Devices } from './devices.js';
import type { Documents } from './documents/documents.js';
import { documentsOf } from './documents/wiring.js';
import { Engine, type Platform } from './engine.js';
import { AccountError, NetworkError } from './errors.js';
import { Emitter } from './events.js';
import { Expiry } from './expiry.js';
import { Feed } from './feed.js';
import type { Group } from './groups/group.js';
import * as groups from './groups/open-group.js';
import { isGroupId } from './groups/store.js';
import { History } from './history.js';
import { closedError } from './link.js';
import { relayOf, type LinkOptions } from './linking/join-account.js';
import type { ViewDeps } from './message-view.js';
import { errorOfCode } from './refusals.js';
import { chatsOf, findContact, safetyNumberOf, trustContact, type PeopleDeps } from './people.js';
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
import { engineEvents, Notices } from './telling.js';

/** A device of an account, with its messages. Make one with `QasidClient.open`. */
export class QasidClient implements AsyncDisposable {
  readonly #platform: Platform;
  readonly #notices: Notices;
  readonly #autoConnect: boolean;
  readonly #emitter = new Emitter<ClientEvents>();
  /** Messages that are not history: chapter 14. Calls are built on it. */
  readonly signals: Signals;
  /** Documents on their way up, and documents to open. */
  readonly documents: Documents;
  readonly #history: History;
  readonly #sending: Sending;
  readonly #registrar: Registrar;
  readonly #becoming: Becoming;
  readonly #devices: Devices;
  readonly #feed: Feed;
  readonly #expiry: Expiry;
  readonly #people: PeopleDeps;
  #profile: Profile | undefined;
  #engine: Engine | undefined;
  #closing: Promise<void> | undefined;
  #storeRestored = false;
  #clockOffsetMs: number | undefined;

  private constructor(options: OpenedOptions) {
    this.#platform = platformOf(options);
    const { store, crypto, clock } = this.#platform;
    this.#autoConnect = options.connect ?? true;
    const view: ViewDeps = { store, crypto, open: (one) => this.documents.open(one) };
    this.#history = new History(view, clock, () => this.#profile);
    this.#registrar = new Registrar(this.#platform);
    this.#sending = new Sending(this.#platform, this.#history, {
      confirmed: (id) => this.#emitter.emit('confirmed', { id }),
      failed: (id, error) => this.#emitter.emit('failed', { id, error }),
    });
    this.#notices = new Notices(this.#emitter, options.log, () => this.#closing !== undefined);
    const { trouble, note } = this.#notices;
    this.#becoming = new Becoming({
      platform: this.#platform,
      registrar: this.#registrar,
      history: this.#history,
      profile: () => this.#profile,
      engine: () => this.#engine,
      isClosed: () => this.#closing !== undefined,
      make: (profile) => {
        this.#profile = profile;
        return this.#makeEngine(profile);
      },
      became: ({ profile, engine }) => {
        this.#profile = profile;
        this.#engine = engine;
        this.#sending.use(engine);
      },
      run: (profile) => this.#run(profile),
    });
    const signals = new Emitter<{ readonly signal: Signal }>();
    this.signals = makeSignals(this.#platform, () => this.#requireEngine(), signals);
    this.#feed = new Feed({
      store,
      clock,
      history: this.#history,
      emitter: this.#emitter,
      signals,
      note,
      trouble,
    });
    this.#expiry = new Expiry({
      store,
      clock,
      onRemoved: (peer, ids) => this.#emitter.emit('message-removed', { peer, ids }),
      onTrouble: trouble,
    });
    this.documents = documentsOf(options, {
      platform: this.#platform,
      history: this.#history,
      sending: this.#sending,
      engine: () => this.#engine,
      trouble,
    });
    this.#people = {
      platform: this.#platform,
      history: this.#history,
      receiptsDue: () => this.#engine?.receiptsDue(),
      store,
      crypto,
      sending: this.#sending,
      documents: this.documents,
      engine: () => this.#requireEngine(),
      notInTime: (what) => this.#notInTime(what),
    };
    this.#devices = new Devices(this.#platform, {
      engine: () => this.#requireEngine(),
      profile: () => this.#profile,
      adopted: (profile) => this.#run(profile),
      progress: (progress) => this.#emitter.emit('transfer', progress),
      trouble,
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
    const { connect = true } = options;
    if (connect) client.#becoming.resume().catch(client.#notices.trouble);
    return client;
  }

  /**
   * Open a client on an empty store, and make it a device of an account: scan what a device of it shows
   * (`devices.startLinking`), or show it a code (`devices.link`). People compare eight digits on both screens.
   * Contacts and settings come by themselves afterwards, messages of the past if the other side sends them.
   *
   * @throws LinkError; AccountError `ACCOUNT_EXISTS`; UsageError; NetworkError; StoreError.
   */
  static async link(options: LinkOptions): Promise<QasidClient> {
    const relay = relayOf(options);
    const client = await QasidClient.open({ ...options, relay, connect: false });
    try {
      await client.#becoming.join(options);
      return client;
    } catch (error) {
      await client.close();
      throw error;
    }
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
    await this.#becoming.register(options);
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
   * The conversation with somebody, by user name or account id; with a group by its id, so that `Message.peer` always
   * gives the conversation of a message. Asks the relay when the name is not known.
   *
   * @throws AccountError `ACCOUNT_UNKNOWN`, `ACCOUNT_NAME_INVALID`, `ACCOUNT_NOT_REGISTERED`; GroupError
   * `GROUP_UNKNOWN`; NetworkError.
   */
  async conversation(who: string): Promise<Conversation> {
    if (isGroupId(who)) return this.group(who);
    return new Conversation(chatsOf(this.#people), await findContact(this.#people, who));
  }

  /**
   * Make a group, with this account as its admin. Members hear of it when there is a connection.
   *
   * @throws as `conversation`, for each member; UsageError `USAGE_ARGUMENT`; GroupError `GROUP_NOT_ALLOWED`.
   */
  async createGroup(group: groups.NewGroup): Promise<Group> {
    return groups.createGroup(chatsOf(this.#people), group);
  }

  /** The group with this id: `Message.peer` of its messages. @throws GroupError `GROUP_UNKNOWN` */
  async group(id: string): Promise<Group> {
    return groups.findGroup(chatsOf(this.#people), id);
  }

  /** Follow a link of `Group.createLink`. @throws GroupError `GROUP_LINK_INVALID`; as `conversation`. */
  async joinGroup(link: string): Promise<groups.JoinRequest> {
    return groups.joinGroup(chatsOf(this.#people), link);
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
    yield* this.#history.messages(options.after);
  }

  /** Messages of all conversations, received and sent, oldest first. */
  async history(
    options: { readonly after?: number; readonly limit?: number } = {},
  ): Promise<readonly Message[]> {
    return this.#history.page(options.after ?? 0, options.limit ?? 1_000);
  }

  /** Messages the relay has not confirmed yet. */
  async pending(): Promise<readonly PendingMessage[]> {
    return this.#sending.pending();
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

  /**
   * Take another user name, or with `undefined` none. The old one rests for 30 days.
   *
   * @throws AccountError `ACCOUNT_NAME_TAKEN`, `ACCOUNT_NAME_INVALID`, `ACCOUNT_NOT_REGISTERED`; NetworkError.
   */
  async setUsername(username: string | undefined): Promise<Me> {
    this.#profile = await changeUsername(this.#platform, this.#requireEngine(), username);
    return this.me;
  }

  /**
   * Delete the account at the relay, with all its devices. There is no way back. What is stored here stays
   * until the application deletes it; the connection of every device ends as `removed`.
   *
   * @throws AccountError `ACCOUNT_NOT_REGISTERED`; NetworkError.
   */
  async deleteAccount(): Promise<void> {
    await deleteAccountAt(this.#platform, this.#requireProfile());
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
    void adoptInBackground(this.#platform, this.#notices.trouble);
    this.#expiry.start();
    this.#storeRestored = (await this.#platform.store.takeRestored?.()) ?? false;
    if (this.#storeRestored) {
      this.#notices.note('store-restored', 'store-restored');
      // Whoever opens this client listens only after it is open.
      this.#platform.clock.after(0, () => this.#emitter.emit('store-restored', undefined));
    }
    if (this.#profile?.registration === 'registered') this.#run(this.#profile);
    else void this.#becoming.awaitAccount();
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
    const events = engineEvents({
      platform: this.#platform,
      emitter: this.#emitter,
      notices: this.#notices,
      account: () => this.#profile?.account,
      people: this.#people,
      registrar: this.#registrar,
      devices: this.#devices,
      feed: this.#feed,
      clockOffset: (ms) => {
        this.#clockOffsetMs = ms;
      },
    });
    return new Engine(this.#platform, profile, events);
  }

  async #shutDown(): Promise<void> {
    await this.#registrar.close();
    this.documents.halt();
    await this.#devices.close();
    try {
      await this.#engine?.stop();
    } finally {
      this.#feed.close();
      await this.#expiry.stop();
      this.#history.close();
      await this.documents.stopped();
      this.#sending.fates.close();
      this.#emitter.emit('status', 'closed');
      await this.#platform.store.close();
    }
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
