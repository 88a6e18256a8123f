/**
 * From a text to a durable outbox row, and from the row's fate to whoever waits for it.
 *
 * A message to somebody we have sessions with is encrypted here and now, in any process of the profile.
 * Where a session must first be made, the content is queued and the connection's owner encrypts it.
 */
import { toHex, type Bytes } from '@qasid/protocol';

import type { SentMessage } from './api.js';
import { sleep } from './clock.js';
import { CONTENT_ID_BYTES, encodeContent, padContent, type ContentBody } from './content/index.js';
import { identityChanged, isAccountText } from './directory.js';
import type { Engine, Platform } from './engine.js';
import { AccountError, NetworkError } from './errors.js';
import type { History } from './history.js';
import { errorOfCode, laneOf } from './outbox.js';
import {
  copyContent,
  devicesOf,
  devicesWithoutSession,
  sealFor,
  type Recipient,
} from './sealing.js';
import type { Contact, NewMessage, OutboxPart, OutboxRow, Profile } from './stores/port.js';

/** How long `send` waits to learn whether a name exists, when the relay is at hand. */
const NAME_TIMEOUT_MS = 5_000;

/** Messages without a fate after which looking further is not worth it. */
const CHECK_AHEAD = 32;

/** How long to wait before looking again when the store could not be read. */
const FOLLOW_RETRY_MS = 1_000;

/** What the fates of messages are told to. */
export interface SendingEvents {
  confirmed(id: string): void;
  failed(id: string, error: Error): void;
}

interface Waiting {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: Error): void;
}

/** A message before it has a row. */
interface Draft {
  readonly id: string;
  readonly content: Bytes;
  readonly body: ContentBody;
  readonly at: number;
}

/** Sends messages of one client. */
export class Sending {
  readonly #platform: Platform;
  readonly #history: History;
  readonly #events: SendingEvents;
  #engine: Engine | undefined;
  #self: Profile | undefined;
  readonly #waiting = new Map<string, Waiting>();
  #following = false;
  #closed = false;
  /** Calls queue up here, so that messages are stored in the order of the calls. */
  #order: Promise<unknown> = Promise.resolve();

  constructor(platform: Platform, history: History, events: SendingEvents) {
    this.#platform = platform;
    this.#history = history;
    this.#events = events;
  }

  /** Work with this engine from now on. */
  use(engine: Engine, self: Profile): void {
    this.#engine = engine;
    this.#self = self;
  }

  /** Let go of everybody who waits. */
  close(): void {
    this.#closed = true;
    const closed = new NetworkError('NET_CLOSED', 'this client was closed');
    for (const waiting of this.#waiting.values()) waiting.reject(closed);
    this.#waiting.clear();
  }

  /** Store a message for sending. Throws as `QasidClient.send`. */
  async send(to: string, body: ContentBody): Promise<SentMessage> {
    const engine = this.#requireEngine();
    const at = this.#platform.clock.now();
    const id = this.#platform.crypto.randomBytes(CONTENT_ID_BYTES);
    const content = encodeContent({ id, sentAtMs: at, body });
    // Refuses what fits no envelope before anything is stored.
    padContent(content);
    const draft: Draft = { id: toHex(id), content, body, at };
    const stored = this.#order.then(() => this.#store(engine, to, draft));
    this.#order = stored.catch(() => undefined);
    const { confirmed, known } = await stored;
    engine.pump();
    if (!known) await this.#awaitName(engine, draft.id);
    return { id: draft.id, to, at, confirmed };
  }

  /** Let the connection's owner find out who somebody is. `undefined` when that takes too long. */
  async resolve(who: string, timeoutMs: number): Promise<Contact | undefined> {
    const engine = this.#requireEngine();
    const row = {
      kind: 'resolve' as const,
      messageId: '',
      ...addressee(who, undefined),
      content: new Uint8Array(0),
      parts: undefined,
      held: false,
      copied: true,
    };
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

  /** This process sent a row, or gave it up. */
  settled(row: OutboxRow, error: Error | undefined): void {
    if (row.kind === 'message') this.#settle(row.messageId, error);
  }

  /** A row waits for a person: whoever waits for the row must not wait with it. */
  held(row: OutboxRow): void {
    if (row.kind !== 'message') return;
    this.#waiting.get(row.messageId)?.reject(errorOfCode('TRUST_IDENTITY_CHANGED'));
    this.#waiting.delete(row.messageId);
  }

  /** Look up all fates: this process has just become the owner, or another one is. */
  async check(): Promise<void> {
    let pending = 0;
    for (const id of [...this.#waiting.keys()]) {
      // Messages settle roughly in order: far behind many that wait, nothing has happened yet.
      if (pending > CHECK_AHEAD) return;
      const row = await this.#platform.store.loadSentMessage(id);
      if (row?.status === 'confirmed') this.#settle(id, undefined);
      else if (row?.status === 'failed') this.#settle(id, errorOfCode(row.cause));
      else if (row?.cause !== undefined) {
        this.#waiting.get(id)?.reject(errorOfCode(row.cause));
        this.#waiting.delete(id);
      } else pending++;
    }
  }

  #settle(id: string, error: Error | undefined): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) {
      waiting?.resolve();
      this.#events.confirmed(id);
    } else {
      waiting?.reject(error);
      this.#events.failed(id, error);
    }
  }

  /** One commit: history, outbox and, where possible, the advanced sessions. */
  async #store(
    engine: Engine,
    to: string,
    draft: Draft,
  ): Promise<{ readonly confirmed: Promise<void>; readonly known: boolean }> {
    const contact = await engine.directory.known(to);
    if (contact?.offeredIdentity !== undefined) throw identityChanged(contact.offeredIdentity);
    const confirmed = this.#await(draft.id);
    try {
      const recipients = await this.#recipients(engine, contact, draft);
      if (recipients !== undefined && contact !== undefined) {
        await this.#storeSealed(engine, contact, recipients, draft);
      } else {
        await this.#storeQueued(to, contact, draft);
      }
    } catch (error) {
      this.#waiting.delete(draft.id);
      throw error;
    }
    void this.#follow();
    return { confirmed, known: contact !== undefined };
  }

  /** Who gets ciphertext right now; `undefined` when a session is missing or earlier rows lack theirs. */
  async #recipients(
    engine: Engine,
    contact: Contact | undefined,
    draft: Draft,
  ): Promise<readonly Recipient[] | undefined> {
    if (contact === undefined || contact.devices.length === 0) return undefined;
    const { sealing } = engine;
    const now = this.#platform.clock.now();
    if ((await devicesWithoutSession(sealing, contact, now)).length > 0) return undefined;
    if (await this.#platform.store.hasUnsealed()) return undefined;
    const recipients: Recipient[] = [{ contact, content: draft.content }];
    const self = await this.#platform.store.loadContact(sealing.self.account);
    if (self !== undefined && self.account !== contact.account) {
      if ((await devicesWithoutSession(sealing, self, now)).length > 0) return undefined;
      if (devicesOf(sealing, self).length > 0) {
        recipients.push({ contact: self, content: this.#copyFor(contact.account, draft) });
      }
    }
    return recipients;
  }

  #copyFor(account: string, draft: Draft): Bytes {
    return copyContent(this.#platform.crypto, account, draft.content, draft.at);
  }

  async #storeSealed(
    engine: Engine,
    contact: Contact,
    recipients: readonly Recipient[],
    draft: Draft,
  ): Promise<void> {
    const row = (
      recipient: Recipient,
      kind: 'message' | 'sync',
      parts: readonly OutboxPart[],
    ): Omit<OutboxRow, 'id'> => ({
      kind,
      messageId: draft.id,
      account: recipient.contact.account,
      username: recipient.contact.username,
      content: recipient.content,
      parts,
      held: false,
      copied: true,
    });
    await sealFor(engine.sealing, recipients, this.#platform.clock.now(), (parts) => ({
      outboxAdded: recipients.map((recipient, index) =>
        row(recipient, index === 0 ? 'message' : 'sync', parts[index] ?? []),
      ),
      messagesAdded: [this.#historyRow(contact.account, contact.username, draft)],
    }));
  }

  async #storeQueued(to: string, contact: Contact | undefined, draft: Draft): Promise<void> {
    await this.#platform.store.commit({
      extra: {
        outboxAdded: [
          {
            kind: 'message',
            messageId: draft.id,
            ...addressee(to, contact),
            content: draft.content,
            parts: undefined,
            held: false,
            copied: false,
          },
        ],
        messagesAdded: [this.#historyRow(contact?.account ?? '', contact?.username ?? to, draft)],
      },
    });
  }

  #historyRow(peer: string, peerName: string | undefined, draft: Draft): NewMessage {
    return {
      id: draft.id,
      kind: draft.body.kind === 'text' ? 'text' : 'unknown',
      direction: 'sent',
      arrived: false,
      peer,
      author: this.#self?.account ?? '',
      peerName,
      device: this.#self?.device ?? 0,
      text: draft.body.kind === 'text' ? draft.body.text : '',
      raw: draft.content,
      state: undefined,
      expiresAtMs: undefined,
      sentAtMs: draft.at,
      receivedAtMs: draft.at,
      status: 'pending',
      cause: undefined,
    };
  }

  #await(id: string): Promise<void> {
    let resolve = (): void => undefined;
    let reject = (_: Error): void => undefined;
    const promise = new Promise<void>((yes, no) => {
      resolve = yes;
      reject = no;
    });
    // The fate is also an event and a history row: nobody has to wait for it here.
    promise.catch(() => undefined);
    this.#waiting.set(id, { promise, resolve, reject });
    return promise;
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

  /** While another process is the owner, fates show in the store only. */
  async #follow(): Promise<void> {
    if (this.#following) return;
    this.#following = true;
    while (this.#waiting.size > 0 && !this.#closed) {
      try {
        await this.#history.until(async () => {
          if (this.#engine?.isOwner !== true) await this.check();
          return this.#waiting.size === 0 ? true : undefined;
        }, undefined);
      } catch {
        // The store could not be read. Whoever waits goes on waiting.
        await sleep(this.#platform.clock, FOLLOW_RETRY_MS);
      }
    }
    this.#following = false;
  }

  #requireEngine(): Engine {
    if (this.#engine === undefined) {
      throw new AccountError('ACCOUNT_NOT_REGISTERED', 'this profile has no account yet');
    }
    return this.#engine;
  }
}

/** Who a row is for, as far as it is known. */
function addressee(
  to: string,
  contact: Contact | undefined,
): { readonly account: string | undefined; readonly username: string | undefined } {
  if (contact !== undefined) return { account: contact.account, username: contact.username };
  return isAccountText(to)
    ? { account: to, username: undefined }
    : { account: undefined, username: to };
}
