/**
 * From a text to a durable outbox row, and from the row's fate to whoever waits for it.
 *
 * A message to somebody we have sessions with is encrypted here and now, in any process of the profile.
 * Where a session must first be made, the content is queued and the connection's owner encrypts it.
 */
import { toHex, UsageError, type Bytes } from '@qasid/protocol';

import type { PendingMessage, SentMessage } from './api.js';
import { untilCommitted } from './committed.js';
import {
  CONTENT_ID_BYTES,
  decodeContent,
  encodeContent,
  padContent,
  type ContentBody,
  type SyncBody,
  type Timer,
} from './content/index.js';
import { saysTheSame } from './content/same-shape.js';
import { isAccountText } from './directory.js';
import type { Engine, Platform } from './engine.js';
import { AccountError } from './errors.js';
import { Fates, type SendingEvents } from './fates.js';
import { encodePacket } from './groups/packet.js';
import { isGroupId } from './groups/store.js';
import type { History } from './history.js';
import { laneOf } from './outbox.js';
import { makeLink, pendingOf } from './outgoing.js';
import { errorOfCode } from './refusals.js';
import {
  copyContent,
  devicesOf,
  devicesWithoutSession,
  sealFor,
  type Recipient,
} from './sealing.js';
import type { ClientExtra, Contact, OutboxRow } from './stores/port.js';
import { apply, isShown, showUnresolved } from './timeline/apply.js';
import { Batch, joinExtras } from './timeline/batch.js';
import type { Deciding, Entry } from './timeline/types.js';

/** How long `send` waits to learn whether a name exists, when the relay is at hand. */
const NAME_TIMEOUT_MS = 5_000;

/** Bytes that a link, a timer and a delivery token add to a content, at most. */
const AROUND_BYTES = 512;

/** A message before it has a row. */
interface Draft {
  readonly id: Bytes;
  readonly body: ContentBody;
  readonly at: number;
  /** A new one; the conversation's otherwise. */
  readonly timer: Timer | undefined;
  /** Committed with the message. */
  readonly extra: ClientExtra;
}

/** How a content is sent. */
export interface SendOptions {
  readonly timer?: Timer;
  readonly afterMs?: number | undefined;
  readonly id?: Bytes;
  readonly extra?: ClientExtra;
}

/** Sends messages of one client. */
export class Sending {
  readonly #platform: Platform;
  readonly #history: History;
  /** What became of what was sent. */
  readonly fates: Fates;
  #engine: Engine | undefined;
  #lastAtMs = 0;
  /** Calls queue up here, so that messages are stored in the order of the calls. */
  #order: Promise<unknown> = Promise.resolve();

  constructor(platform: Platform, history: History, events: SendingEvents) {
    this.#platform = platform;
    this.#history = history;
    const { store, clock } = platform;
    const isOwner = (): boolean => this.#engine?.isOwner === true;
    this.fates = new Fates({ store, clock, history, events, isOwner });
  }

  /** Work with this engine from now on. */
  use(engine: Engine): void {
    this.#engine = engine;
  }

  /**
   * Store a message, or a change of one, for sending. Throws as `QasidClient.send`.
   *
   * @param options.timer - A new timer for the conversation.
   * @param options.afterMs - Time of the change that this one replaces: it must be later to count.
   * @param options.id - Content id, where it was chosen before.
   * @param options.extra - Committed with the message, or not at all.
   */
  async send(to: string, body: ContentBody, options: SendOptions = {}): Promise<SentMessage> {
    const engine = this.#requireEngine();
    const { timer, afterMs = 0, extra = {} } = options;
    // Rises also within a millisecond, and when the clock was set back: two edits have an order.
    const next = Math.max(this.#platform.clock.now(), this.#lastAtMs + 1);
    this.#lastAtMs = next;
    // A change that was far ahead moves its own successors, not every message.
    const at = Math.max(next, afterMs + 1);
    const draft: Draft = {
      id: options.id ?? this.#platform.crypto.randomBytes(CONTENT_ID_BYTES),
      body,
      at,
      timer,
      extra,
    };
    // Refuses what nobody could read or no envelope holds, before anything is stored.
    checkContent(draft);
    const id = toHex(draft.id);
    const stored = this.#inOrder(() => this.#store(engine, to, draft));
    const { confirmed, known } = await stored;
    engine.pump();
    if (!known) await this.#awaitName(engine, id);
    return { id, to, at, confirmed };
  }

  /** Refuse what `send` would refuse of a content. @throws UsageError, LimitError */
  checkBody(body: ContentBody): void {
    const id = new Uint8Array(CONTENT_ID_BYTES);
    checkContent({ id, body, at: this.#platform.clock.now(), timer: undefined, extra: {} });
  }

  /**
   * Do something that a person decided, in one commit with what our other devices hear of it.
   *
   * @param local - What it does here. Called again when the commit is redone.
   * @param tell - What the other devices are told; `undefined`: nothing.
   */
  async act<Result>(
    local: (batch: Batch, around: Deciding) => Promise<Result>,
    tell: (result: Result) => SyncBody | undefined,
  ): Promise<Result> {
    const engine = this.#requireEngine();
    const { store, crypto, clock } = this.#platform;
    const { self } = engine.sealing;
    const result = await this.#inOrder(() =>
      untilCommitted(async () => {
        const nowMs = clock.now();
        const batch = new Batch(store);
        const id = crypto.randomBytes(CONTENT_ID_BYTES);
        const around: Deciding = { crypto, self, nowMs, id: toHex(id), atMs: nowMs };
        const result = await local(batch, around);
        const body = tell(result);
        const own = body && (await store.loadContact(self.account));
        const others = own === undefined ? [] : devicesOf(engine.sealing, own);
        const outboxAdded: Omit<OutboxRow, 'id'>[] = [];
        if (body !== undefined && own !== undefined && others.length > 0) {
          const content = encodeContent({ id, sentAtMs: around.atMs, body });
          outboxAdded.push(queued('sync', around.id, own, content));
        }
        await store.commit({ extra: { ...batch.toExtra(), outboxAdded } });
        return result;
      }),
    );
    engine.pump();
    return result;
  }

  /** Messages the relay has not confirmed yet. */
  async pending(): Promise<readonly PendingMessage[]> {
    return pendingOf(this.#platform.store);
  }

  /** Let the connection's owner find out who somebody is. `undefined` when that takes too long. */
  async resolve(who: string, timeoutMs: number): Promise<Contact | undefined> {
    const engine = this.#requireEngine();
    const row = queued('resolve', '', addressee(who), new Uint8Array(0));
    await this.#platform.store.commit({ extra: { outboxAdded: [row] } });
    engine.pump();
    return this.#history.until(async () => {
      const contact = await engine.directory.known(who);
      if (contact !== undefined) return contact;
      const rows = await this.#platform.store.loadOutbox({ limit: 10_000 });
      if (rows.some((other) => other.kind === 'resolve' && laneOf(other) === who)) return undefined;
      throw new AccountError('ACCOUNT_UNKNOWN', 'the relay knows nobody by that name');
    }, timeoutMs);
  }

  #inOrder<Result>(task: () => Promise<Result>): Promise<Result> {
    const done = this.#order.then(task);
    this.#order = done.catch(() => undefined);
    return done;
  }

  /** One commit: history, outbox and, where possible, the advanced sessions. */
  async #store(
    engine: Engine,
    to: string,
    draft: Draft,
  ): Promise<{ readonly confirmed: Promise<void>; readonly known: boolean }> {
    const isGroup = isGroupId(to);
    let contact = isGroup ? undefined : await engine.directory.known(to);
    if (contact?.offeredIdentity !== undefined) {
      contact = await engine.directory.recheck(contact.account, contact.offeredIdentity);
      void engine.recheckHeld();
    }
    const id = toHex(draft.id);
    const confirmed = this.fates.promise(id);
    try {
      await untilCommitted(() => this.#storeOnce(engine, to, contact, draft));
    } catch (error) {
      this.fates.forget(id);
      throw error;
    }
    void this.fates.follow();
    return { confirmed, known: isGroup || contact !== undefined };
  }

  async #storeOnce(
    engine: Engine,
    to: string,
    contact: Contact | undefined,
    draft: Draft,
  ): Promise<void> {
    const { store } = this.#platform;
    if (isGroupId(to)) {
      await this.#storeForGroup(engine, to, draft);
      return;
    }
    const timer = draft.timer ?? (await this.#timerOf(contact));
    const giving = contact && (await engine.giving(contact.account));
    const core = encodeContent({
      id: draft.id,
      sentAtMs: draft.at,
      body: draft.body,
      ...(timer && { timer }),
      ...(giving && { delivery: giving.delivery }),
    });
    const extra = joinExtras(draft.extra, giving ? { records: [giving.record] } : {});
    const kind = isShown(decodeContent(core)) ? ('message' as const) : ('change' as const);
    if (contact !== undefined && (await this.#canSeal(engine, contact))) {
      await this.#storeSealed(engine, contact, kind, core, extra);
      return;
    }
    const history = await this.#applied(engine, contact, to, core);
    const row = queued(kind, toHex(draft.id), contact ?? addressee(to), core);
    await store.commit({ extra: joinExtras(history, extra, { outboxAdded: [row] }) });
  }

  /** A message of a group waits for the connection's owner, who knows then who is in the group. */
  async #storeForGroup(engine: Engine, to: string, draft: Draft): Promise<void> {
    const { id, at: sentAtMs, body } = draft;
    const context = await engine.groups.contextToSend(to);
    const core = encodeContent({ id, sentAtMs, body, ...context });
    const { account, device } = engine.sealing.self;
    const history = await this.#appliedIn(engine, {
      peer: to,
      author: account,
      device,
      content: decodeContent(core),
      bytes: core,
      arrived: false,
    });
    const row: Omit<OutboxRow, 'id'> = {
      ...queued('group', toHex(id), { account: undefined, username: to }, encodePacket(core)),
      // Not in the way of what goes to single accounts.
      parts: [],
    };
    const extra = joinExtras(history, draft.extra, { outboxAdded: [row] });
    await this.#platform.store.commit({ extra });
  }

  /** The timer that a message of this conversation carries. */
  async #timerOf(contact: Contact | undefined): Promise<Timer | undefined> {
    if (contact === undefined) return undefined;
    const state = await new Batch(this.#platform.store).conversation(contact.account);
    if (state?.settings.status === 'blocked') {
      throw new AccountError('ACCOUNT_BLOCKED', 'this account is blocked: unblock it to write');
    }
    return state === undefined || state.timer.version === 0 ? undefined : state.timer;
  }

  /** Whether there is a session with every device that gets it, and no earlier row lacks its ciphertext. */
  async #canSeal(engine: Engine, contact: Contact): Promise<boolean> {
    if (contact.devices.length === 0) return false;
    const { sealing } = engine;
    const { store, clock } = this.#platform;
    const now = clock.now();
    if ((await devicesWithoutSession(sealing, contact, now)).length > 0) return false;
    if (await store.hasUnsealed()) return false;
    const self = await store.loadContact(sealing.self.account);
    if (self === undefined || self.account === contact.account) return true;
    return (await devicesWithoutSession(sealing, self, now)).length === 0;
  }

  async #storeSealed(
    engine: Engine,
    contact: Contact,
    kind: 'message' | 'change',
    core: Bytes,
    extra: ClientExtra,
  ): Promise<void> {
    const { store, crypto, clock } = this.#platform;
    const { sealing } = engine;
    const made = decodeContent(core);
    const id = toHex(made.id);
    const link = await makeLink(sealing, contact.account, core);
    const recipients: Recipient[] = [{ contact, content: link.content }];
    const self = await store.loadContact(sealing.self.account);
    if (
      self !== undefined &&
      self.account !== contact.account &&
      devicesOf(sealing, self).length > 0
    ) {
      const content = copyContent(crypto, contact.account, link.content, made.sentAtMs);
      recipients.push({ contact: self, content });
    }
    await sealFor(sealing, recipients, clock.now(), async (parts) => {
      await link.check();
      const outboxAdded = recipients.map((recipient, index) => ({
        ...queued(index === 0 ? kind : 'sync', id, recipient.contact, recipient.content),
        parts: parts[index] ?? [],
        copied: true,
      }));
      const history = await this.#applied(engine, contact, '', core);
      return joinExtras(history, extra, link.extra, { outboxAdded });
    });
  }

  /** What a content of ours does to the history. */
  async #applied(
    engine: Engine,
    contact: Contact | undefined,
    to: string,
    core: Bytes,
  ): Promise<ClientExtra> {
    const { account, device } = engine.sealing.self;
    return this.#appliedIn(engine, {
      peer: contact?.account ?? '',
      author: account,
      device,
      content: decodeContent(core),
      bytes: core,
      arrived: false,
      peerName: contact?.username ?? (to === '' ? undefined : to),
    });
  }

  async #appliedIn(engine: Engine, entry: Entry): Promise<ClientExtra> {
    const { store, crypto, clock } = this.#platform;
    const { self } = engine.sealing;
    const batch = new Batch(store);
    const around = { crypto, self, nowMs: clock.now() };
    if (entry.peer === '') showUnresolved(batch, entry, around);
    else await apply(batch, entry, around);
    return batch.toExtra();
  }

  /** A misspelt name is an error of `send` itself, while there is a relay to ask. */
  async #awaitName(engine: Engine, id: string): Promise<void> {
    await this.#history.until(async () => {
      const row = await this.#platform.store.loadSentMessage(id);
      if (row?.status === 'failed') throw errorOfCode(row.cause);
      const unreachable =
        engine.isOwner && engine.link.status !== 'open' && engine.link.status !== 'connecting';
      return row?.peer !== '' || unreachable ? true : undefined;
    }, NAME_TIMEOUT_MS);
  }

  #requireEngine(): Engine {
    if (this.#engine === undefined) {
      throw new AccountError('ACCOUNT_NOT_REGISTERED', 'this profile has no account yet');
    }
    return this.#engine;
  }
}

/** Who a name means, as far as it is known. */
function addressee(to: string): Pick<OutboxRow, 'account' | 'username'> {
  return isAccountText(to)
    ? { account: to, username: undefined }
    : { account: undefined, username: to };
}

/** A row that the owner of the connection encrypts. */
function queued(
  kind: OutboxRow['kind'],
  messageId: string,
  to: Pick<OutboxRow, 'account' | 'username'>,
  content: Bytes,
): Omit<OutboxRow, 'id'> {
  const { account, username } = to;
  return {
    kind,
    messageId,
    account,
    username,
    content,
    parts: undefined,
    held: false,
    copied: kind !== 'message' && kind !== 'change',
  };
}

/** @throws UsageError `USAGE_ARGUMENT` for what no reader takes; LimitError `LIMIT_ENVELOPE_SIZE` */
function checkContent({ id, at, body, timer }: Draft): void {
  const encoded = encodeContent({ id, sentAtMs: at, body, ...(timer && { timer }) });
  // Room for the link, and for a timer and a token that it may carry.
  padContent(new Uint8Array(encoded.length + AROUND_BYTES));
  let decoded: ContentBody;
  try {
    decoded = decodeContent(encoded).body;
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : 'content is not valid';
    throw new UsageError('USAGE_ARGUMENT', what, { cause });
  }
  if (!saysTheSame(body, decoded)) {
    throw new UsageError('USAGE_ARGUMENT', 'a member of the content has a wrong type');
  }
}
