/**
 * 15 Content §9. Delivery tokens: the one this device gives out, and those of others.
 *
 * One token for all contacts, not one for each: a relay that saw a token of its own for each contact, made just
 * before a message to that contact, would know who sends with it. Blocking somebody therefore replaces the
 * token, and everybody else gets the new one. ATK-D12.
 */
import { samePublicBytes, toHex, type Bytes, type CryptoProvider } from '@qasid/protocol';
import {
  TOKEN_BYTES,
  TOKEN_ID_BYTES,
  tokenVerifier,
  type RequestOp,
  type ResponseItem,
} from '@qasid/protocol/envelope';

import type { Clock, Timer } from '../clock.js';
import type { DeliveryToken } from '../content/index.js';
import { decodeConversation } from '../content/conversation-state.js';
import { NetworkError } from '../errors.js';
import { receiptRow } from '../receipt-row.js';
import type { ClientExtra, ClientStore, RecordChange } from '../stores/port.js';
import { SPACE, type Batch } from '../timeline/batch.js';
import {
  decodeGivenToken,
  decodeOwnToken,
  decodeTheirToken,
  encodeGivenToken,
  encodeOwnToken,
  encodeTheirToken,
  type OwnToken,
  type TheirToken,
} from './records.js';

/** A contact that writes with its name so long after it got our token has not received it: once more. */
const GIVE_AGAIN_MS = 60 * 60_000;

/** Between two contacts that are told of a new token, at least, and what is added at random. */
const TELL_MIN_MS = 500;
const TELL_JITTER_MS = 2_500;

/** Key of the only record of its space. */
const OWN = 'own';

/** What tokens need. */
export interface TokensOptions {
  readonly store: ClientStore;
  readonly crypto: CryptoProvider;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly dice: () => number;
  /** On the authorised socket, asking again while the relay is busy. */
  ask(op: RequestOp): Promise<ResponseItem>;
  onTrouble(error: unknown): void;
}

/** A token to put into a content, and what is committed with it. */
export interface Giving {
  readonly delivery: DeliveryToken;
  readonly record: RecordChange;
}

/** The token of `account`, if we were given one. */
export async function theirToken(
  store: ClientStore,
  account: string,
): Promise<TheirToken | undefined> {
  const row = await store.loadRecord(SPACE.token, account);
  return row && decodeTheirToken(row.value);
}

/** What is stored when a content of `account` brought its token. */
export async function tookToken(
  store: ClientStore,
  account: string,
  delivery: DeliveryToken,
): Promise<ClientExtra> {
  const row = await store.loadRecord(SPACE.token, account);
  const known = row && decodeTheirToken(row.value);
  if (known !== undefined && samePublicBytes(known.id, delivery.id) && !known.refused) return {};
  const value = encodeTheirToken({ ...delivery, refused: false });
  const expectedVersion = row?.version ?? 0;
  return { records: [{ space: SPACE.token, key: account, value, expectedVersion }] };
}

/** The relay refused this token of `account`. */
export async function refusedToken(
  store: ClientStore,
  account: string,
  token: DeliveryToken,
): Promise<void> {
  const row = await store.loadRecord(SPACE.token, account);
  const known = row && decodeTheirToken(row.value);
  // Replaced meanwhile: the refusal was about an older one.
  if (row === undefined || known === undefined || !samePublicBytes(known.id, token.id)) return;
  const value = encodeTheirToken({ ...known, refused: true });
  const change = { space: SPACE.token, key: account, value, expectedVersion: row.version };
  await store.commit({ extra: { records: [change] } });
}

/** Our token, if `account` is to get it with the next content. */
export async function givingTo(
  store: ClientStore,
  account: string,
  nowMs: number,
): Promise<Giving | undefined> {
  const own = await loadOwn(store);
  if (own === undefined || own.value.publishedFor === 0) return undefined;
  const { id, token } = own.value;
  const row = await store.loadRecord(SPACE.given, account);
  const given = row && decodeGivenToken(row.value);
  if (given !== undefined && samePublicBytes(given.id, id)) return undefined;
  return {
    delivery: { id, token },
    record: {
      space: SPACE.given,
      key: account,
      value: encodeGivenToken({ id, atMs: nowMs }),
      expectedVersion: row?.version ?? 0,
    },
  };
}

/**
 * Somebody is blocked, in this batch: our token is replaced, and at the relay every other one of the account goes
 * with it. `OwnTokens.tend` carries it out.
 */
export async function replaceToken(batch: Batch, crypto: CryptoProvider): Promise<void> {
  const row = await batch.record(SPACE.ownToken, OWN);
  if (row === undefined) return;
  const { id, removed } = decodeOwnToken(row);
  const next = { ...newToken(crypto), othersMustGo: true, removed: [...removed, id] };
  await batch.setRecord(SPACE.ownToken, OWN, encodeOwnToken(next));
}

/** `account` wrote with its name: does it lack our token, which we gave it a while ago? */
export async function lacksToken(
  store: ClientStore,
  account: string,
  nowMs: number,
): Promise<ClientExtra> {
  const row = await store.loadRecord(SPACE.given, account);
  if (row === undefined) return {};
  const age = nowMs - decodeGivenToken(row.value).atMs;
  if (age >= 0 && age < GIVE_AGAIN_MS) return {};
  const change = { space: SPACE.given, key: account, value: undefined };
  return { records: [{ ...change, expectedVersion: row.version }] };
}

/** The token of this device, kept at the relay, and brought to those who may use it. */
export class OwnTokens {
  readonly #options: TokensOptions;
  #running: Promise<void> = Promise.resolve();
  #timer: Timer | undefined;
  #telling = false;
  #stopped = false;

  constructor(options: TokensOptions) {
    this.#options = options;
  }

  /** Our token is at the relay, and what must not be there is not. Call when the connection opens. */
  tend(relayEpoch: number): void {
    this.#inTurn(async () => {
      await this.#publish(relayEpoch);
      this.#tell();
    });
  }

  /** Begin nothing more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#running;
  }

  #inTurn(task: () => Promise<void>): void {
    this.#running = this.#running.then(async () => {
      if (this.#stopped) return;
      try {
        await task();
      } catch (error) {
        if (!this.#stopped) this.#options.onTrouble(error);
      }
    });
  }

  async #publish(relayEpoch: number): Promise<void> {
    const { store, crypto } = this.#options;
    const row = await loadOwn(store);
    let own = row?.value ?? newToken(crypto);
    let version = row?.version ?? 0;
    if (row === undefined) version = await this.#save(own, 0);
    const listed = await this.#list();
    const isListed = (id: Bytes): boolean => listed.some((one) => samePublicBytes(one, id));
    if (own.publishedFor !== 0 && !isListed(own.id)) {
      if (own.publishedFor === relayEpoch + 1) {
        // Another device of ours removed it, for whoever was blocked there.
        own = { ...newToken(crypto), removed: [...own.removed, own.id] };
      } else own = { ...own, publishedFor: 0 };
      version = await this.#save(own, version);
    }
    const removed = new Set(own.removed.map(toHex));
    for (const id of listed) {
      const mustGo = own.othersMustGo && !samePublicBytes(id, own.id);
      if (mustGo || removed.has(toHex(id))) await this.#ask({ kind: 'removeToken', id });
    }
    if (own.publishedFor === relayEpoch + 1 && !own.othersMustGo) return;
    const { id, token } = own;
    await this.#ask({
      kind: 'putToken',
      id,
      verifier: tokenVerifier(crypto, id, token),
      isInlet: false,
      mayFetchKeys: true,
      expiresMinute: 0,
      rate: 0,
    });
    await this.#save({ ...own, publishedFor: relayEpoch + 1, othersMustGo: false }, version);
  }

  async #list(): Promise<readonly Bytes[]> {
    const answer = await this.#ask({ kind: 'listTokens' });
    return answer.body.kind === 'tokens' ? answer.body.tokens.map(({ id }) => id) : [];
  }

  async #ask(op: RequestOp): Promise<ResponseItem> {
    const answer = await this.#options.ask(op);
    if (answer.code === 'CONFIRMED') return answer;
    throw new NetworkError('NET_REFUSED', `relay answers ${answer.code} about tokens`);
  }

  /** The version it has now. */
  async #save(own: OwnToken, expectedVersion: number): Promise<number> {
    const { store } = this.#options;
    const change = { space: SPACE.ownToken, key: OWN, value: encodeOwnToken(own), expectedVersion };
    await store.commit({ extra: { records: [change] } });
    return (await loadOwn(store))?.version ?? 0;
  }

  /** Those who have an older token get the new one, one after the other. */
  #tell(): void {
    if (this.#telling || this.#stopped) return;
    this.#telling = true;
    const { clock, dice } = this.#options;
    const next = (): void => {
      this.#timer = clock.after(TELL_MIN_MS + Math.floor(dice() * TELL_JITTER_MS), () => {
        this.#inTurn(async () => {
          if (await this.#tellOne()) next();
          else this.#telling = false;
        });
      });
    };
    next();
  }

  /** Whether somebody was told. */
  async #tellOne(): Promise<boolean> {
    const { store, clock } = this.#options;
    for (const row of await store.loadRecords(SPACE.given)) {
      const account = row.key;
      const giving = await givingTo(store, account, clock.now());
      const conversation = await store.loadRecord(SPACE.conversation, account);
      const status = conversation && decodeConversation(conversation.value).settings.status;
      const contact = await store.loadContact(account);
      if (giving === undefined || status !== 'accepted' || contact === undefined) continue;
      // A receipt of nothing: nobody can tell it from the others.
      const body = { kind: 'receipt', delivered: [], read: [], viewed: [] } as const;
      const told = receiptRow(this.#options, contact, body, giving.delivery);
      await store.commit({ extra: { records: [giving.record], outboxAdded: [told] } });
      return true;
    }
    return false;
  }
}

function newToken(crypto: CryptoProvider): OwnToken {
  return {
    id: crypto.randomBytes(TOKEN_ID_BYTES),
    token: crypto.randomBytes(TOKEN_BYTES),
    publishedFor: 0,
    othersMustGo: false,
    removed: [],
  };
}

async function loadOwn(
  store: ClientStore,
): Promise<{ readonly value: OwnToken; readonly version: number } | undefined> {
  const row = await store.loadRecord(SPACE.ownToken, OWN);
  return row && { value: decodeOwnToken(row.value), version: row.version };
}
