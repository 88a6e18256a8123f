/**
 * From the relay into the history, exactly once: decrypt, commit, and only then acknowledge.
 *
 * One commit carries {session, spent prekeys, history row, client id}. A crash before it: the relay sends
 * again. A crash after it: the client id is known and the repeat is acknowledged unseen. What can never be
 * opened is recorded and acknowledged as well, so that one bad envelope does not block the mailbox.
 */
import {
  QasidError,
  StateError,
  StoreError,
  TrustError,
  VerificationError,
  copyBytes,
  samePublicBytes,
  toAddress,
  type Address,
  type Bytes,
  type CryptoProvider,
  type Operations,
} from '@qasid/protocol';
import type { DeliverEvent, RequestOp } from '@qasid/protocol/envelope';

import type { Clock, Timer } from './clock.js';
import type { Directory } from './directory.js';
import { NetworkError } from './errors.js';
import { undecryptableRow } from './inbox-rows.js';
import { entryOf, namedOutside, sealedOutside, type Claimed } from './incoming.js';
import type { Groups } from './groups/groups.js';
import { isPutOff, PutOff } from './put-off.js';
import type { Repairs } from './repair/repairs.js';
import { checkSealer, isSealed } from './sealed/certificate.js';
import { lacksToken, tookToken } from './sealed/tokens.js';
import type { ClientExtra, ClientStore, Contact } from './stores/port.js';
import { apply } from './timeline/apply.js';
import { Batch, joinExtras } from './timeline/batch.js';
import { noteSeen } from './timeline/device-facts.js';
import type { Entry, Happening } from './timeline/types.js';

/** Acknowledge at latest after so many envelopes or so long. Higher: more repeats after a crash. */
const ACK_EVERY = 64;
const ACK_AFTER_MS = 50;

/** Envelopes waiting to be opened. A relay stays below its own window; another one must not fill our memory. */
const QUEUED_MAX = 4_096;

const MINUTE_MS = 60_000;

/** Milliseconds of a day, the grain in which seen client ids are dated. */
export const DAY_MS = 86_400_000;

/** What the inbox needs. */
export interface InboxOptions {
  readonly store: ClientStore;
  readonly clock: Clock;
  readonly crypto: CryptoProvider;
  readonly operations: Operations<ClientExtra>;
  readonly directory: Directory;
  readonly repairs: Repairs;
  readonly self: { readonly account: string; readonly device: number };
  /** Say without waiting for an answer. */
  tell(op: RequestOp): boolean;
  /** An envelope of this account waits for a person to trust its new identity key. */
  onHeld(account: string, username: string | undefined): void;
  /** A message of `remote` was opened and is stored; what it did that the store does not show. */
  onOpened(remote: Address, happenings: readonly Happening[]): void;
  /** Cannot go on: the store or the network failed. What was not acknowledged comes again. */
  onTrouble(error: unknown): void;
  /** What belongs to groups. */
  readonly groups: Pick<Groups, 'keepSignal' | 'open'>;
}

interface Delivery {
  readonly seq: number;
  readonly clientId: Bytes;
  readonly body: Bytes;
  /** Minute of the relay's clock at which it came there; 0: not known. */
  readonly minute: number;
}

/** Why an envelope is opened later than it came. */
interface Waited {
  /** For a person, or for what a group's message needs; or put off by a limit since then. */
  readonly for: { readonly key: string } | { readonly sinceMs: number };
  /** Forgets it. */
  readonly done: ClientExtra;
}

/** Opens what is delivered. Only the owner of the connection runs one. */
export class Inbox {
  readonly #options: InboxOptions;
  readonly #putOff: PutOff;
  readonly #queue: Delivery[] = [];
  #running = false;
  #loop: Promise<void> = Promise.resolve();
  #stopped = false;
  /** Drops what an older connection delivered: the next one delivers it again. */
  #generation = 0;
  #through = 0;
  #unacknowledged = 0;
  #ackTimer: Timer | undefined;

  constructor(options: InboxOptions) {
    this.#options = options;
    const { store, clock } = options;
    this.#putOff = new PutOff({
      store,
      clock,
      open: ({ clientId, body, atMs }, done) =>
        this.#open({ seq: 0, clientId, body, minute: 0 }, { for: { sinceMs: atMs }, done }),
      onTrouble: (error) => options.onTrouble(error),
    });
  }

  /** Take one envelope. */
  deliver(event: DeliverEvent): void {
    if (this.#stopped) return;
    if (this.#queue.length >= QUEUED_MAX) {
      this.reset();
      this.#options.onTrouble(new NetworkError('NET_NOT_A_RELAY', 'relay delivers without limit'));
      return;
    }
    this.#queue.push({
      seq: event.seq,
      clientId: event.clientId,
      // The body is a view of a frame that may hold many.
      body: copyBytes(event.body),
      minute: event.minute,
    });
    if (!this.#running) this.#loop = this.#run();
  }

  /** Forget what the lost connection delivered and nobody acknowledged. */
  reset(): void {
    this.#generation++;
    this.#queue.length = 0;
    this.#unacknowledged = 0;
    this.#ackTimer?.cancel();
  }

  /** Acknowledge what is done, process no more. */
  stop(): void {
    this.#acknowledge();
    this.#stopped = true;
    this.reset();
  }

  /** Resolves when nothing is being opened any more. */
  async settled(): Promise<void> {
    await this.#loop;
  }

  /** The connection opens: what a limit put off is tried again. */
  resume(): Promise<void> {
    return this.#putOff.resume();
  }

  /** Resolves when `stop` has taken effect everywhere. */
  async stopped(): Promise<void> {
    await this.#loop;
    await this.#putOff.stop();
  }

  /** Open what waited for a person to trust `account`. */
  async releaseHeld(account: string): Promise<void> {
    for (const held of await this.#options.store.loadHeld(account)) {
      const waited = { for: { key: held.account }, done: { heldRemoved: [held.id] } };
      const { clientId, body } = held;
      await this.#open({ seq: 0, clientId, body, minute: 0 }, waited);
    }
  }

  async #run(): Promise<void> {
    this.#running = true;
    try {
      for (;;) {
        const generation = this.#generation;
        const delivery = this.#queue.shift();
        if (delivery === undefined) break;
        try {
          await this.#process(delivery);
        } catch (error) {
          if (generation === this.#generation) {
            this.reset();
            this.#options.onTrouble(error);
          }
          continue;
        }
        if (generation !== this.#generation) continue;
        this.#through = delivery.seq;
        this.#unacknowledged++;
        if (this.#unacknowledged >= ACK_EVERY) this.#acknowledge();
        else if (this.#unacknowledged === 1) {
          this.#ackTimer = this.#options.clock.after(ACK_AFTER_MS, () => this.#acknowledge());
        }
      }
    } finally {
      this.#running = false;
    }
    if (this.#queue.length === 0) this.#acknowledge();
  }

  #acknowledge(): void {
    this.#ackTimer?.cancel();
    if (this.#unacknowledged === 0 || this.#stopped) return;
    if (this.#options.tell({ kind: 'ack', through: this.#through, also: [] })) {
      this.#unacknowledged = 0;
    }
  }

  /** Resolves when the envelope may be acknowledged; rejects when it must come again. */
  async #process(delivery: Delivery): Promise<void> {
    const { store } = this.#options;
    if (await store.hasSeen(delivery.clientId)) return;
    if (await store.hasSeen(this.#failureId(delivery))) return;
    await this.#open(delivery, undefined);
  }

  async #open(delivery: Delivery, held: Waited | undefined): Promise<void> {
    const claimed = await this.#claimed(delivery, held);
    if (claimed === undefined) return;
    const { repairs } = this.#options;
    let isKnown = false;
    try {
      const { type } = claimed;
      if (type === 7) {
        await this.#openForGroup(delivery, held, claimed);
        return;
      }
      await this.#checkSender(claimed);
      if (claimed.sealedBy !== undefined) {
        checkSealer(await this.#options.store.loadIdentity(claimed.account), claimed.sealedBy);
      }
      const remote = toAddress(claimed.account, claimed.device);
      if (type === 8) {
        const answer = await repairs.requested(claimed, claimed.message);
        await this.#options.store.commit({
          extra: joinExtras(answer, this.#done(delivery, held)),
        });
        return;
      }
      isKnown = true;
      let healed: Awaited<ReturnType<Repairs['opened']>>;
      let happenings: readonly Happening[] = [];
      await this.#options.operations.decrypt(
        remote,
        type,
        claimed.message,
        this.#options.clock.now(),
        async ({ plaintext, remoteIdentity }) => {
          // ATK-D02: the session inside must be with whoever sealed it, or the name outside is a lie.
          if (claimed.sealedBy && !samePublicBytes(remoteIdentity, claimed.sealedBy)) {
            throw new VerificationError(
              'VERIFY_SEALED_SENDER',
              'sealed by another than it is from',
            );
          }
          const opened = await this.#opened(claimed, plaintext);
          happenings = opened.happenings;
          healed = await repairs.opened(claimed, delivery.clientId);
          return joinExtras(opened.extra, this.#done(delivery, held), healed?.extra ?? {});
        },
      );
      if (healed !== undefined) repairs.recovered(delivery.clientId, healed.recovered);
      this.#options.onOpened(remote, happenings);
    } catch (error) {
      await this.#failed(delivery, held, claimed, error, isKnown);
    }
  }

  /** Who sent it, as far as the outside says; `undefined`: it was dealt with. */
  async #claimed(delivery: Delivery, held: Waited | undefined): Promise<Claimed | undefined> {
    const { store, crypto, self, clock } = this.#options;
    try {
      if (!isSealed(delivery.body)) return namedOutside(delivery.body);
      const identity = await store.loadIdentityKeyPair();
      // What waited was in time when it came.
      const nowMs = held === undefined ? arrivalMs(delivery, clock.now()) : 0;
      return sealedOutside(crypto, { ...self, identity }, delivery.body, nowMs);
    } catch (error) {
      if (error instanceof StoreError) throw error;
      await this.#recordFailure(delivery, held, undefined, error);
      return undefined;
    }
  }

  /** Under a sender key: chapter 19 §6. */
  #openForGroup(
    delivery: Delivery,
    held: Waited | undefined,
    { account, device, message }: Claimed,
  ): Promise<void> {
    const { clientId, body } = delivery;
    const envelope = { account, device, message, clientId, body, waitedFor: held && keyOf(held) };
    return this.#options.groups.open(envelope, this.#done(delivery, held));
  }

  /**
   * Before a session may be made in a name: the account exists, and lists the device. Otherwise whoever
   * writes first could pin a key of their own to a stranger's account.
   */
  async #checkSender(claimed: Claimed): Promise<void> {
    const { store, directory, self } = this.#options;
    if (claimed.account === self.account && claimed.device === self.device) {
      throw new StateError('STATE_NO_SESSION', 'envelope names this very device as its sender');
    }
    const listed = (contact: Contact | undefined): boolean =>
      contact?.devices.some(({ device }) => device === claimed.device) === true;
    if (listed(await store.loadContact(claimed.account))) return;
    // A device we never saw: ask for the newest list.
    if (!listed(await directory.refresh(claimed.account))) {
      throw new StateError('STATE_NO_SESSION', 'sender is not on its account’s device list');
    }
  }

  /** What is committed with an opened message. Called again when the commit is redone. */
  async #opened(
    claimed: Claimed,
    plaintext: Bytes,
  ): Promise<{ readonly extra: ClientExtra; readonly happenings: readonly Happening[] }> {
    const { store, crypto, self, clock } = this.#options;
    const batch = new Batch(store);
    const around = { crypto, self, nowMs: clock.now() };
    const entry = entryOf(claimed, plaintext, self.account, around.nowMs);
    const happenings = await apply(batch, entry, around);
    if (claimed.account === self.account) await noteSeen(batch, claimed.device, around.nowMs);
    for (const happening of happenings) {
      if (happening.kind === 'signal')
        await this.#options.groups.keepSignal(batch, happening.entry);
    }
    const tokens = await this.#tokensOf(claimed, entry);
    return { extra: joinExtras(batch.toExtra(), tokens), happenings };
  }

  /** What the message says, or shows, about who may write to whom without a name. */
  async #tokensOf(claimed: Claimed, { author, content }: Entry): Promise<ClientExtra> {
    const { store, self, clock } = this.#options;
    if (author === self.account) return {};
    const taken = content.delivery && (await tookToken(store, author, content.delivery));
    const lacks =
      claimed.sealedBy === undefined ? await lacksToken(store, author, clock.now()) : {};
    return joinExtras(taken ?? {}, lacks);
  }

  async #failed(
    delivery: Delivery,
    held: Waited | undefined,
    claimed: Claimed,
    error: unknown,
    isKnown: boolean,
  ): Promise<void> {
    if (error instanceof StoreError || error instanceof NetworkError) throw error;
    if (isRepeat(error)) {
      // Its key is used up, so it was shown before; make sure the next repeat is recognised sooner.
      await this.#commitUnlessSeen(this.#done(delivery, held));
      return;
    }
    if (error instanceof TrustError) {
      await this.#distrusted(delivery, held, claimed, error);
      return;
    }
    if (!(error instanceof QasidError)) throw error;
    if (isPutOff(error) && (await this.#keep(delivery, held, claimed.account))) return;
    // Of a device that its account lists: it may have it still, and be asked for it.
    const repair = isKnown
      ? await this.#options.repairs.failed(
          claimed,
          delivery.clientId,
          claimed.type,
          claimed.message,
        )
      : {};
    await this.#recordFailure(delivery, held, claimed, error, repair);
  }

  /** Keep what a limit refuses for now; whether there is room for it. */
  async #keep(delivery: Delivery, held: Waited | undefined, account: string): Promise<boolean> {
    const { clientId, body } = delivery;
    const since = held !== undefined && 'sinceMs' in held.for ? held.for.sinceMs : undefined;
    if (since !== undefined) return !this.#putOff.isOver(since);
    // As with what cannot be opened: other bytes may still come under its client id. ATK-B07.
    const id = this.#failureId(delivery);
    const atMs = this.#options.clock.now();
    const extra = await this.#putOff.keep(id, { account, clientId, body, atMs });
    if (extra === undefined) return false;
    const done = this.#done({ ...delivery, clientId: id }, held);
    await this.#commitUnlessSeen(joinExtras(extra, done));
    return true;
  }

  /**
   * Another identity key than the trusted one. If the relay shows it for the account, the account changed
   * its key and a person must decide: the envelope waits. If not, somebody else wrote it.
   */
  async #distrusted(
    delivery: Delivery,
    held: Waited | undefined,
    claimed: Claimed,
    error: TrustError,
  ): Promise<void> {
    const { store, directory } = this.#options;
    let genuine = false;
    try {
      await directory.refresh(claimed.account);
    } catch (refused) {
      if (refused instanceof StoreError || refused instanceof NetworkError) throw refused;
      const shown = refused instanceof TrustError ? refused.identityKey : undefined;
      genuine =
        shown !== undefined &&
        (error.identityKey === undefined || samePublicBytes(shown, error.identityKey));
    }
    if (!genuine) {
      await this.#recordFailure(delivery, held, claimed, error);
      return;
    }
    if (held !== undefined && 'key' in held.for) return;
    const { clientId, body } = delivery;
    await store.commit({
      extra: {
        ...this.#done(delivery, held),
        heldAdded: [{ account: claimed.account, clientId, body }],
      },
    });
    const contact = await store.loadContact(claimed.account);
    this.#options.onHeld(claimed.account, contact?.username);
  }

  async #recordFailure(
    delivery: Delivery,
    held: Waited | undefined,
    claimed: Claimed | undefined,
    error: unknown,
    repair: ClientExtra = {},
  ): Promise<void> {
    const row = undecryptableRow(delivery.clientId, claimed, error, this.#options.clock.now());
    // ATK-B07: these bytes are done with, but not the client id: the right bytes may still come under it.
    const clientId = this.#failureId(delivery);
    const done = this.#done({ ...delivery, clientId }, held);
    await this.#commitUnlessSeen(joinExtras(repair, done, { messagesAdded: [row] }));
  }

  /** Names one envelope by what it holds. */
  #failureId({ clientId, body }: Delivery): Bytes {
    return this.#options.crypto.sha256(clientId, body).slice(0, 16);
  }

  async #commitUnlessSeen(extra: ClientExtra): Promise<void> {
    try {
      await this.#options.store.commit({ extra });
    } catch (error) {
      if (!isRepeat(error)) throw error;
    }
  }

  #done(delivery: Delivery, held: Waited | undefined): ClientExtra {
    if (held !== undefined) return held.done;
    const day = Math.floor(this.#options.clock.now() / DAY_MS);
    return { seen: [{ clientId: delivery.clientId, day }] };
  }
}

/**
 * When an envelope was new: by our clock, or by the relay's when ours says later. A clock that is months ahead must not
 * make every certificate look too old; and a relay that lies about it can only make one look young, which helps
 * nobody who has not the key that signs them.
 */
function arrivalMs({ minute }: Delivery, nowMs: number): number {
  return minute === 0 ? nowMs : Math.min(nowMs, (minute + 1) * MINUTE_MS - 1);
}

/** What it waited for, where not for a limit. */
function keyOf(waited: Waited): string | undefined {
  return 'key' in waited.for ? waited.for.key : undefined;
}

/** Whether an error says that the message was opened before. */
function isRepeat(error: unknown): boolean {
  const code = error instanceof QasidError ? error.code : undefined;
  return code === 'STATE_DUPLICATE_MESSAGE' || code === 'STATE_PREKEY_REPLAYED';
}
