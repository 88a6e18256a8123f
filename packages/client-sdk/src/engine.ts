/**
 * The running parts of one account: the right to connect, the link, directory, outbox, inbox, upkeep.
 *
 * Several processes may run an engine on one store. Whoever holds the store's connection lease connects,
 * sends and receives for all of them; the others write to the outbox and read the history, and take over
 * when the owner is gone.
 */
import {
  Operations,
  toAddress,
  type CryptoProvider,
  type PublicKey,
  type TrustErrorCode,
} from '@qasid/protocol';
import type { ChallengeEvent, RelayEvent, RequestOp, ResponseItem } from '@qasid/protocol/envelope';

import type { Stalled } from './api.js';
import type { Clock, Timer } from './clock.js';
import type { ConnectionStatus } from './connection.js';
import { Directory } from './directory.js';
import type { NetworkError } from './errors.js';
import type { GroupEvent } from './groups/events.js';
import { Groups } from './groups/groups.js';
import { GroupStore } from './groups/store.js';
import { releaseTrusted } from './held.js';
import { Inbox } from './inbox.js';
import { RelayLink, type Verdict } from './link.js';
import { Outbox } from './outbox.js';
import { tendPrekeys } from './prekey-upkeep.js';
import { Receipts, type ReceiptsOptions } from './receipts.js';
import type { SealingDeps } from './sealing.js';
import { Repairs, type Recovered, type RepairStuck } from './repair/repairs.js';
import { AnonymousLink } from './sealed/anonymous.js';
import { SealedPost, type SealedPolicy, type VisibleCause } from './sealed/post.js';
import { givingTo, OwnTokens, type Giving } from './sealed/tokens.js';
import { StallWatch } from './stalls.js';
import type {
  ClientExtra,
  ClientStore,
  ConnectionLease,
  Contact,
  OutboxRow,
  Profile,
} from './stores/port.js';
import type { Happening } from './timeline/types.js';
import type { Dial } from './transport/port.js';
import { checkMayWrite, type TrustPolicy } from './trust.js';

/** How often to ask for the connection while another process has it. Lower: quicker takeover. */
const LEASE_RETRY_MS = 150;

/** How often prekeys are looked after while connected. */
const UPKEEP_INTERVAL_MS = 60 * 60 * 1000;

/** How long to stay away when the store refused a message: its disk may be full. */
const TROUBLE_WAIT_MS = 5_000;

/** What the whole SDK runs on. */
export interface Platform {
  readonly url: string;
  readonly store: ClientStore;
  readonly crypto: CryptoProvider;
  readonly clock: Clock;
  /** Uniform in [0, 1): spreads retries. Not for keys. */
  readonly dice: () => number;
  readonly dial: Dial;
  readonly receipts: ReceiptsOptions['policy'];
  readonly sealed: SealedPolicy;
  readonly trust: TrustPolicy;
}

/** What the engine tells its client. */
export interface EngineEvents {
  status(status: ConnectionStatus, problem: NetworkError | undefined): void;
  /** This process connects for the profile from now on. */
  owned(): void;
  settled(row: OutboxRow, error: Error | undefined): void;
  held(row: OutboxRow, code: TrustErrorCode): void;
  heldMessage(account: string, username: string | undefined): void;
  identityChanged(contact: Contact, trusted: PublicKey, offered: PublicKey): void;
  firstUse(contact: Contact, identityKey: PublicKey): void;
  devicesChanged(contact: Contact, before: Contact): void;
  stalled(stalled: Stalled): void;
  senderVisible(account: string, cause: VisibleCause): void;
  repairStuck(stuck: RepairStuck): void;
  recovered(recovered: Recovered): void;
  happened(happenings: readonly Happening[]): void;
  group(event: GroupEvent): void;
  trouble(error: unknown): void;
  /** The answer to the relay's challenge. */
  prove(challenge: ChallengeEvent): Promise<RequestOp>;
  /** What the relay said to it. */
  proved(answer: ResponseItem): Promise<Verdict>;
}

/** One account, running. */
export class Engine {
  readonly operations: Operations<ClientExtra>;
  readonly directory: Directory;
  readonly sealing: SealingDeps;
  readonly link: RelayLink;
  /** Sends, sealed where it can. */
  readonly post: SealedPost;
  readonly #anonymous: AnonymousLink;
  readonly #tokens: OwnTokens;
  readonly groups: Groups;
  readonly #repairs: Repairs;
  readonly #platform: Platform;
  readonly #events: EngineEvents;
  readonly #outbox: Outbox;
  readonly #inbox: Inbox;
  readonly #receipts: Receipts;
  readonly #self: { readonly account: string; readonly device: number };
  #lease: ConnectionLease | undefined;
  #leaseTimer: Timer | undefined;
  #upkeepTimer: Timer | undefined;
  #upkeep: Promise<void> | undefined;
  #unwatch: (() => void) | undefined;
  #stopped = false;
  /** As the relay said last. */
  #relayEpoch = 0;
  #relayAheadMs = 0;
  /** The relay has nothing more that waited. */
  #caughtUp = false;
  /** And it can be read here. */
  #allStored = false;
  #othersOwn = false;
  readonly #catchUp = new Set<() => void>();

  constructor(platform: Platform, profile: Profile, events: EngineEvents) {
    const { store, crypto, clock, dice } = platform;
    this.#platform = platform;
    this.#events = events;
    this.#self = { account: profile.account, device: profile.device };
    this.operations = new Operations<ClientExtra>({
      crypto,
      store,
      local: toAddress(profile.account, profile.device),
      // Every peer on a Qasid relay writes canonical messages: what is not is somebody's experiment.
      profile: 'strict',
    });
    this.link = new RelayLink({
      url: platform.url,
      dial: platform.dial,
      clock,
      dice,
      prove: (challenge) => {
        this.#relayEpoch = challenge.epoch;
        this.#relayAheadMs = challenge.serverTimeMs - clock.now();
        return events.prove(challenge);
      },
      proved: (answer) => events.proved(answer),
      onEvent: (event) => this.#told(event),
      onStatus: (status, problem) => this.#status(status, problem),
    });
    this.#anonymous = new AnonymousLink({ url: platform.url, dial: platform.dial, clock, dice });
    this.post = new SealedPost({
      store,
      crypto,
      clock,
      self: this.#self,
      policy: platform.sealed,
      relayAheadMs: () => this.#relayAheadMs,
      checkMayWrite: (account) => checkMayWrite(store, platform.trust, this.#self.account, account),
      anonymous: this.#anonymous,
      named: this.link,
      onSenderVisible: (account, cause) => events.senderVisible(account, cause),
    });
    this.#tokens = new OwnTokens({
      store,
      crypto,
      clock,
      dice,
      ask: (op) => this.link.requestPatiently(op),
      onTrouble: (error) => events.trouble(error),
    });
    const ask = (op: RequestOp): Promise<ResponseItem> => this.post.ask(op);
    this.directory = new Directory({
      crypto,
      store,
      self: this.#self.account,
      ask,
      onIdentityChanged: (contact, trusted, offered) =>
        events.identityChanged(contact, trusted, offered),
      onFirstUse: (contact, key) => events.firstUse(contact, key),
      onDevicesChanged: (contact, before) => events.devicesChanged(contact, before),
      nowMs: () => clock.now(),
    });
    const stalls = new StallWatch(this.operations, (stalled) => events.stalled(stalled));
    this.sealing = { crypto, store, operations: this.operations, self: this.#self, stalls };
    this.groups = new Groups(
      {
        ...{ store, crypto, clock, dice, ask, self: this.#self, directory: this.directory },
        groups: new GroupStore(store, crypto),
        post: (account, parts) => this.post.send(account, parts),
        isCaughtUp: () => this.#caughtUp,
        pump: () => this.#outbox.pump(),
        release: (key) => this.#inbox.releaseHeld(key),
        happened: (happenings) => events.happened(happenings),
        trouble: (error) => events.trouble(error),
      },
      (event) => events.group(event),
    );
    this.#outbox = new Outbox({
      store,
      clock,
      dice,
      directory: this.directory,
      sealing: this.sealing,
      post: (account, parts) => this.post.send(account, parts),
      isOpen: () => this.link.status === 'open',
      onSettled: (row, error) => {
        events.settled(row, error);
        if (row.kind === 'resolve' && error === undefined) void this.#release(row);
      },
      onHeld: (row, code) => events.held(row, code),
      onTrouble: (error) => events.trouble(error),
      deliverToGroup: (row) => this.groups.deliver(row),
    });
    this.#receipts = new Receipts({
      store,
      clock,
      crypto,
      dice,
      policy: platform.receipts,
      giving: (account) => this.giving(account),
      onTrouble: (error) => {
        if (!this.#stopped) events.trouble(error);
      },
    });
    this.#repairs = new Repairs({
      store,
      crypto,
      clock,
      dice,
      operations: this.operations,
      post: this.post,
      self: this.#self,
      onStuck: (stuck) => events.repairStuck(stuck),
      onRecovered: (recovered) => events.recovered(recovered),
      onTrouble: (error) => events.trouble(error),
    });
    this.#inbox = new Inbox({
      repairs: this.#repairs,
      store,
      clock,
      crypto,
      operations: this.operations,
      directory: this.directory,
      self: this.#self,
      tell: (op) => this.link.tell(op),
      onHeld: (account, username) => events.heldMessage(account, username),
      onOpened: (remote, happenings) => {
        void stalls.opened(remote);
        // Another device of ours may have blocked somebody, and removed every token.
        if (remote.name === this.#self.account) this.#tendTokens();
        this.#receipts.poke();
        if (happenings.some(({ kind }) => kind === 'signal')) this.groups.poke();
        events.happened(happenings);
      },
      groups: this.groups,
      onTrouble: (error) => this.#trouble(error),
    });
  }

  /** This engine holds the connection of its store. */
  get isOwner(): boolean {
    return this.#lease !== undefined;
  }

  /** Run. With `lease` when the caller holds the connection already. */
  start(lease?: ConnectionLease): void {
    this.#unwatch = this.#platform.store.watch(() => this.#outbox.pump());
    if (lease !== undefined) this.#own(lease);
    else void this.#tryOwn();
  }

  /** Our delivery token, when `account` is to get it with its next content. */
  async giving(account: string): Promise<Giving | undefined> {
    if (this.#platform.sealed === 'never' || account === this.#self.account) return undefined;
    return givingTo(this.#platform.store, account, this.#platform.clock.now());
  }

  /** Our delivery token was replaced: tell the relay, and those who may have the new one. */
  tokensChanged(): void {
    if (this.isOwner) this.#tendTokens();
  }

  /** Receipts may be due: this engine sends them when it owns the connection. */
  receiptsDue(): void {
    if (this.isOwner) this.#receipts.poke();
  }

  /** Look at the outbox now. */
  pump(): void {
    this.#outbox.pump();
  }

  /**
   * Resolve true when what the relay had at the time of connecting is stored, or another process receives;
   * false after `timeoutMs`, or when stopped.
   */
  whenCaughtUp(timeoutMs: number | undefined): Promise<boolean> {
    return new Promise((resolve) => {
      const timer =
        timeoutMs === undefined
          ? undefined
          : this.#platform.clock.after(timeoutMs, () => finish(false));
      const finish = (value: boolean): void => {
        timer?.cancel();
        this.#catchUp.delete(look);
        resolve(value);
      };
      const look = (): void => {
        if (this.#stopped) finish(false);
        else if (this.#allStored || this.#othersOwn) finish(true);
      };
      this.#catchUp.add(look);
      look();
    });
  }

  /** Hang up, give the connection back, stop everything. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#lookCaughtUp();
    this.#unwatch?.();
    this.#leaseTimer?.cancel();
    this.#upkeepTimer?.cancel();
    this.#outbox.stop();
    this.#inbox.stop();
    this.link.close();
    this.#anonymous.close();
    await this.#tokens.stop();
    await this.#repairs.stop();
    await this.#outbox.idle();
    await this.#inbox.stopped();
    await this.#receipts.stop();
    await this.groups.stop();
    await this.#upkeep?.catch(() => undefined);
    await this.#lease?.release();
    this.#lease = undefined;
  }

  async #tryOwn(): Promise<void> {
    if (this.#stopped || this.#lease !== undefined) return;
    try {
      const lease = await this.#platform.store.ownConnection();
      if (lease !== undefined) {
        if (this.#stopped) await lease.release();
        else this.#own(lease);
        return;
      }
      this.#othersOwn = true;
      this.#lookCaughtUp();
    } catch (error) {
      this.#events.trouble(error);
    }
    this.#leaseTimer = this.#platform.clock.after(LEASE_RETRY_MS, () => void this.#tryOwn());
  }

  #own(lease: ConnectionLease): void {
    this.#lease = lease;
    this.#othersOwn = false;
    this.#events.owned();
    this.#receipts.poke();
    this.#anonymous.keepApart();
    this.link.connect();
  }

  #status(status: ConnectionStatus, problem: NetworkError | undefined): void {
    if (status === 'open') {
      this.#anonymous.keepApart();
      this.#outbox.hurry();
      this.#tend();
      this.#tendTokens();
      this.#refreshOwnDevices();
      for (const resumed of [this.#repairs.resume(), this.#inbox.resume()]) {
        resumed.catch((error: unknown) => this.#events.trouble(error));
      }
      void this.recheckHeld();
    } else {
      this.#caughtUp = false;
      this.#allStored = false;
      this.#inbox.reset();
      this.#upkeepTimer?.cancel();
    }
    this.#events.status(status, problem);
  }

  #told(event: RelayEvent): void {
    switch (event.kind) {
      case 'deliver':
        this.#inbox.deliver(event);
        return;
      case 'queueEmpty':
        void this.#queueEmpty();
        return;
      case 'prekeysLow':
        this.#tend();
        return;
      case 'devicesChanged':
        this.#refreshOwnDevices();
        return;
    }
  }

  /** Everything that waited has been delivered; it still has to be stored. */
  async #queueEmpty(): Promise<void> {
    await this.#inbox.settled();
    if (this.link.status !== 'open') return;
    this.#caughtUp = true;
    this.groups.caughtUp();
    this.#outbox.hurry();
    // A message of a group may have come before the welcome or the key that opens it.
    await this.groups.settled();
    if (!this.#caughtUp) return;
    this.#allStored = true;
    this.#lookCaughtUp();
  }

  /** Rows held because the relay showed another key, while it now shows the trusted one again: let them go. */
  async recheckHeld(): Promise<void> {
    try {
      await releaseTrusted(this.#platform.store, this.directory);
    } catch (error) {
      if (!this.#stopped) this.#events.trouble(error);
    }
  }

  #lookCaughtUp(): void {
    for (const look of [...this.#catchUp]) look();
  }

  /** Somebody was looked up or trusted: open what waited for that. */
  async #release(row: OutboxRow): Promise<void> {
    try {
      if (row.account !== undefined) await this.#inbox.releaseHeld(row.account);
    } catch (error) {
      this.#events.trouble(error);
    }
  }

  /** Our own list as the relay has it, checked: copies for other devices go by it. */
  #refreshOwnDevices(): void {
    const refresh = async (): Promise<void> => {
      const profile = await this.#platform.store.loadProfile();
      const isNewEpoch = profile !== undefined && profile.relayEpoch !== this.#relayEpoch;
      if (isNewEpoch) await this.directory.restoreOwnList();
      await this.directory.refresh(this.#self.account);
    };
    refresh().catch((error: unknown) => this.#events.trouble(error));
  }

  #tendTokens(): void {
    if (this.#platform.sealed === 'never' || this.link.status !== 'open') return;
    this.#tokens.tend(this.#relayEpoch);
  }

  #tend(): void {
    if (this.#upkeep !== undefined || this.#stopped) return;
    const { crypto, store, clock } = this.#platform;
    this.#upkeep = tendPrekeys({
      crypto,
      store,
      epoch: this.#relayEpoch,
      now: () => clock.now(),
      ask: (op) => this.link.requestPatiently(op),
    })
      .catch((error: unknown) => {
        if (!this.#stopped) this.#events.trouble(error);
      })
      .finally(() => {
        this.#upkeep = undefined;
        this.#upkeepTimer?.cancel();
        if (this.#stopped) return;
        this.#upkeepTimer = clock.after(UPKEEP_INTERVAL_MS, () => {
          if (this.link.status !== 'open') return;
          this.#tend();
          this.#tendTokens();
        });
      });
  }

  /** The inbox could not go on. Come back later: the relay still has what was not acknowledged. */
  #trouble(error: unknown): void {
    if (this.#stopped) return;
    this.#events.trouble(error);
    this.link.restart(TROUBLE_WAIT_MS);
  }
}
