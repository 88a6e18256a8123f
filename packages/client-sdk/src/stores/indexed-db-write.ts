/// <reference lib="dom" />
/**
 * 18 Stored rows §7. The one write of the store in a browser: everything a commit carries, in one transaction.
 *
 * WebCrypto answers later, and an IndexedDB transaction ends as soon as it waits for anything but itself. So
 * a commit has two parts: first everything is read and sealed, then one transaction checks that nothing
 * read has changed and writes. If it has (a tab without our lock), the commit starts again.
 */
import {
  StateError,
  StoreError,
  addressText,
  samePublicBytes,
  toHex,
  utf8,
  type Bytes,
  type StoreChanges,
  type UsedKemPreKey,
} from '@qasid/protocol';

import { messageName, recordName, termKey, type IndexedDbHistory } from './indexed-db-history.js';
import {
  TABLES,
  type StoredMessage,
  type Tables,
  type WriteTransaction,
} from './indexed-db-schema.js';
import {
  PLACE_STEP,
  type ClientExtra,
  type MessageChange,
  type MessageReplacement,
  type MessageRow,
  type NewMessage,
  type OutboxRow,
  type RecordChange,
} from './port.js';
import {
  encodeContact,
  encodeHeld,
  encodeMessageRow,
  encodeOutboxRow,
  encodeProfile,
  encodeRecord,
} from './rows.js';
import { EPOCH_COUNTER } from './restored.js';
import type { WebVault } from './web-vault.js';

/** Kinds of prekeys. */
export const KIND = { oneTime: 1, signed: 2, kemOneTime: 3, kemLastResort: 4 } as const;

/** Counters that number rows. */
const COUNTERS = ['outbox', 'message', 'revision', 'held'] as const;
type Counter = (typeof COUNTERS)[number];

/** What was read while sealing is not what is there: begin again. */
class Outrun extends Error {}

/** One write inside the transaction; throws to undo all of it. */
type Step = (transaction: WriteTransaction) => Promise<unknown>;

/** Writes commits into one database. */
export class IndexedDbWriter {
  readonly #tables: Tables;
  readonly #vault: WebVault;
  readonly #history: IndexedDbHistory;
  readonly #noteEpoch: (epoch: number) => void;

  /** @param noteEpoch - Called after a commit that moved sessions. */
  constructor(
    tables: Tables,
    vault: WebVault,
    history: IndexedDbHistory,
    noteEpoch: (epoch: number) => void,
  ) {
    this.#tables = tables;
    this.#vault = vault;
    this.#history = history;
    this.#noteEpoch = noteEpoch;
  }

  /** All of it or none of it; on disk when it resolves, unless `relaxed`. */
  async commit(changes: StoreChanges<ClientExtra>): Promise<void> {
    for (;;) {
      const plan = new Plan(this.#tables, this.#vault, this.#history);
      await plan.prepare(changes);
      try {
        await this.#run(plan.steps, changes.extra?.relaxed === true ? 'relaxed' : 'strict');
        if (plan.epoch !== undefined) this.#noteEpoch(plan.epoch);
        return;
      } catch (error) {
        if (!(error instanceof Outrun)) throw error;
      }
    }
  }

  async #run(steps: readonly Step[], durability: 'relaxed' | 'strict'): Promise<void> {
    const transaction = this.#tables.transaction(TABLES, 'readwrite', { durability });
    try {
      for (const step of steps) await step(transaction);
      await transaction.done;
    } catch (error) {
      // Its own rejection says no more than the error that caused it.
      transaction.done.catch(() => undefined);
      try {
        transaction.abort();
      } catch {
        // It has ended already.
      }
      throw error;
    }
  }
}

/** A commit, sealed and ready to be written. Used once. */
class Plan {
  readonly steps: Step[] = [];
  /** What the commit brought the store's epoch to, once it has run; `undefined`: it moves no session. */
  epoch: number | undefined;
  readonly #tables: Tables;
  readonly #vault: WebVault;
  readonly #history: IndexedDbHistory;
  readonly #counters = new Map<Counter, number>();
  /** Messages this commit has written so far, by number; `undefined` for deleted ones. */
  readonly #written = new Map<number, { row: MessageRow; stored: StoredMessage } | undefined>();
  /** Numbers of messages this commit added, by the key of what this device sent. */
  readonly #sent = new Map<string, number>();

  constructor(tables: Tables, vault: WebVault, history: IndexedDbHistory) {
    this.#tables = tables;
    this.#vault = vault;
    this.#history = history;
  }

  async prepare(changes: StoreChanges<ClientExtra>): Promise<void> {
    await this.#readCounters();
    await this.#keys(changes);
    if (changes.extra !== undefined) await this.#extra(changes.extra);
    this.#writeCounters();
  }

  async #readCounters(): Promise<void> {
    for (const name of COUNTERS) {
      const value = (await this.#tables.get('counter', name)) ?? 0;
      this.#counters.set(name, value);
      this.steps.push(async (transaction) => {
        const now = (await transaction.objectStore('counter').get(name)) ?? 0;
        if (now !== value) throw new Outrun();
      });
    }
  }

  #writeCounters(): void {
    for (const [name, value] of this.#counters) {
      this.steps.push((transaction) => transaction.objectStore('counter').put(value, name));
    }
  }

  /** The next number of `name`, from 1; never given twice, also when rows are deleted. */
  #next(name: Counter): number {
    const value = (this.#counters.get(name) ?? 0) + 1;
    this.#counters.set(name, value);
    return value;
  }

  async #keys(changes: StoreChanges<ClientExtra>): Promise<void> {
    if (changes.sessions !== undefined && changes.sessions.length > 0) {
      this.steps.push(async (transaction) => {
        const counters = transaction.objectStore('counter');
        this.epoch = ((await counters.get(EPOCH_COUNTER)) ?? 0) + 1;
        await counters.put(this.epoch, EPOCH_COUNTER);
      });
    }
    for (const { address, record, expectedVersion } of changes.sessions ?? []) {
      await this.#session(addressText(address), record, expectedVersion);
    }
    for (const { name, identityKey, firstUse } of changes.identities ?? []) {
      await this.#identity(name, identityKey, firstUse === true);
    }
    for (const { id, record } of changes.preKeys ?? []) {
      await this.#putPrekey(KIND.oneTime, id, record);
    }
    for (const { id, record } of changes.signedPreKeys ?? []) {
      await this.#putPrekey(KIND.signed, id, record);
    }
    for (const { id, record, kind } of changes.kemPreKeys ?? []) {
      this.#removePrekeys(id, KIND.kemOneTime, KIND.kemLastResort);
      await this.#putPrekey(kind === 'one-time' ? KIND.kemOneTime : KIND.kemLastResort, id, record);
    }
    for (const id of changes.removedPreKeys ?? []) this.#takeOneTime(id);
    for (const used of changes.usedKemPreKeys ?? []) await this.#useKem(used);
    for (const id of changes.removedSignedPreKeys ?? []) {
      this.#removePrekeys(id, KIND.signed);
      this.#forgetUsed('signed', id);
    }
    for (const id of changes.removedKemPreKeys ?? []) {
      this.#removePrekeys(id, KIND.kemOneTime, KIND.kemLastResort);
      this.#forgetUsed('kem', id);
    }
  }

  async #session(name: string, record: Bytes | undefined, expectedVersion: number): Promise<void> {
    const key = await this.#vault.rowKey('session', name);
    const value = record && (await this.#vault.seal(`session/${name}`, record));
    this.steps.push(async (transaction) => {
      const table = transaction.objectStore('session');
      const row = await table.get(key);
      const version = row?.version ?? 0;
      // A deleted session leaves its version behind, so that a stale writer never finds its number again.
      const isFresh = row !== undefined && row.value === undefined && expectedVersion === 0;
      if (version !== expectedVersion && !isFresh) {
        throw new StoreError('STORE_CONFLICT', `session is at version ${version}`);
      }
      return table.put({ version: version + 1, value }, key);
    });
  }

  async #identity(name: string, identityKey: Bytes, isFirstUse: boolean): Promise<void> {
    const key = await this.#vault.rowKey('identity', name);
    const value = await this.#vault.seal(`identity/${name}`, identityKey);
    const seen = isFirstUse ? await this.#tables.get('identity', key) : undefined;
    if (seen !== undefined) {
      const known = await this.#vault.open(`identity/${name}`, seen.value);
      if (!samePublicBytes(known, identityKey)) {
        throw new StoreError('STORE_CONFLICT', 'another identity key is remembered by now');
      }
    }
    this.steps.push(async (transaction) => {
      const table = transaction.objectStore('identity');
      if (isFirstUse && !isSame(seen, await table.get(key))) throw new Outrun();
      return table.put({ value }, key);
    });
  }

  async #putPrekey(kind: number, id: number, record: Bytes): Promise<void> {
    const value = await this.#vault.seal(`prekey/${kind}/${id}`, record);
    this.steps.push((transaction) => transaction.objectStore('prekey').put({ value }, [kind, id]));
  }

  #removePrekeys(id: number, ...kinds: readonly number[]): void {
    for (const kind of kinds) {
      this.steps.push((transaction) => transaction.objectStore('prekey').delete([kind, id]));
    }
  }

  /** Two messages may race for one prekey, also in two tabs: the second must find it gone. */
  #takeOneTime(id: number): void {
    this.steps.push(async (transaction) => {
      const table = transaction.objectStore('prekey');
      const key: [number, number] = [KIND.oneTime, id];
      if ((await table.getKey(key)) === undefined) throw noPreKey('one-time prekey', id);
      return table.delete(key);
    });
  }

  async #useKem(used: UsedKemPreKey): Promise<void> {
    const { kemPreKeyId: kem, signedPreKeyId: signed } = used;
    const base = await this.#vault.rowKey('used-kem', toHex(used.baseKey));
    this.steps.push(async (transaction) => {
      const prekeys = transaction.objectStore('prekey');
      if ((await prekeys.getKey([KIND.kemOneTime, kem])) !== undefined) {
        return prekeys.delete([KIND.kemOneTime, kem]);
      }
      if ((await prekeys.getKey([KIND.kemLastResort, kem])) === undefined) {
        throw noPreKey('KEM prekey', kem);
      }
      const table = transaction.objectStore('usedKem');
      const key: [number, number, string] = [kem, signed, base];
      if ((await table.getKey(key)) !== undefined) {
        throw new StateError(
          'STATE_PREKEY_REPLAYED',
          'last-resort prekey met this base key before',
        );
      }
      return table.put({ kem, signed }, key);
    });
  }

  #forgetUsed(index: 'kem' | 'signed', id: number): void {
    this.steps.push(async (transaction) => {
      const table = transaction.objectStore('usedKem');
      for (const key of await table.index(index).getAllKeys(id)) await table.delete(key);
    });
  }

  async #extra(extra: ClientExtra): Promise<void> {
    this.#seen(extra);
    if (extra.profile !== undefined) {
      const value = await this.#vault.seal('profile/1', encodeProfile(extra.profile));
      this.steps.push((transaction) => transaction.objectStore('profile').put({ value }, 1));
    }
    await this.#contacts(extra);
    await this.#outbox(extra);
    for (const row of extra.messagesAdded ?? []) await this.#addMessage(row);
    for (const change of extra.messagesChanged ?? []) await this.#changeMessage(change);
    for (const replacement of extra.messagesReplaced ?? []) await this.#replaceMessage(replacement);
    for (const seq of extra.messagesRemoved ?? []) this.#removeMessage(seq);
    for (const peer of extra.conversationsRemoved ?? []) await this.#removeConversation(peer);
    for (const change of extra.records ?? []) await this.#record(change);
    for (const held of extra.heldAdded ?? []) {
      const id = this.#next('held');
      const account = await this.#vault.rowKey('held', held.account);
      const value = await this.#vault.seal(`held/${id}`, encodeHeld(held));
      this.steps.push((transaction) => transaction.objectStore('held').put({ id, account, value }));
    }
    for (const id of extra.heldRemoved ?? []) {
      this.steps.push((transaction) => transaction.objectStore('held').delete(id));
    }
    for (const { name, seq } of extra.cursors ?? []) {
      this.steps.push(async (transaction) => {
        const table = transaction.objectStore('cursor');
        return table.put(Math.max(seq, (await table.get(name)) ?? 0), name);
      });
    }
  }

  #seen(extra: ClientExtra): void {
    for (const { clientId, day } of extra.seen ?? []) {
      const key = toHex(clientId);
      this.steps.push(async (transaction) => {
        const table = transaction.objectStore('seen');
        if ((await table.getKey(key)) !== undefined) {
          throw new StateError('STATE_DUPLICATE_MESSAGE', 'client id was processed before');
        }
        return table.put(day, key);
      });
    }
    const { seenBeforeDay } = extra;
    if (seenBeforeDay === undefined) return;
    this.steps.push(async (transaction) => {
      const table = transaction.objectStore('seen');
      let cursor = await table.openCursor();
      while (cursor !== null) {
        if (cursor.value < seenBeforeDay) await cursor.delete();
        cursor = await cursor.continue();
      }
    });
  }

  async #contacts(extra: ClientExtra): Promise<void> {
    for (const contact of extra.contacts ?? []) {
      const { account, username } = contact;
      const key = await this.#vault.rowKey('contact', account);
      const value = await this.#vault.seal(`contact/${account}`, encodeContact(contact));
      this.steps.push((transaction) => transaction.objectStore('contact').put({ value }, key));
      if (username === undefined) continue;
      const name = await this.#vault.rowKey('contactName', username);
      const owner = await this.#vault.seal(`contactName/${username}`, utf8(account));
      this.steps.push((transaction) =>
        transaction.objectStore('contactName').put({ value: owner }, name),
      );
    }
  }

  async #outbox(extra: ClientExtra): Promise<void> {
    for (const row of extra.outboxAdded ?? []) await this.#putOutbox(this.#next('outbox'), row);
    for (const row of extra.outboxChanged ?? []) await this.#putOutbox(row.id, row, true);
    for (const id of extra.outboxRemoved ?? []) {
      this.steps.push((transaction) => transaction.objectStore('outbox').delete(id));
    }
  }

  async #putOutbox(id: number, row: Omit<OutboxRow, 'id'>, onlyIfThere = false): Promise<void> {
    const value = await this.#vault.seal(`outbox/${id}`, encodeOutboxRow(row));
    this.steps.push(async (transaction) => {
      const table = transaction.objectStore('outbox');
      if (onlyIfThere && (await table.getKey(id)) === undefined) return undefined;
      return table.put({ id, state: stateOf(row), value });
    });
  }

  async #addMessage({ terms, place, ...added }: NewMessage): Promise<void> {
    const seq = this.#next('message');
    const revision = this.#next('revision');
    const row: MessageRow = { ...added, seq, place: place ?? seq * PLACE_STEP, revision };
    const sent = added.arrived ? undefined : await this.#vault.rowKey('message', added.id);
    if (sent !== undefined) this.#sent.set(sent, seq);
    await this.#putMessage(row, sent, await this.#termKeys(terms));
  }

  async #changeMessage({ id, ...change }: MessageChange): Promise<void> {
    const key = await this.#vault.rowKey('message', id);
    const seq = this.#sent.get(key) ?? (await this.#sentSeq(key));
    const found = seq === undefined ? undefined : await this.#message(seq);
    if (found === undefined) return;
    const { row, stored } = found;
    const revision = this.#next('revision');
    await this.#putMessage({ ...row, ...change, revision }, stored.sent, stored.terms);
  }

  async #sentSeq(key: string): Promise<number | undefined> {
    return this.#tables.getKeyFromIndex('message', 'sent', key);
  }

  async #replaceMessage({ row, terms }: MessageReplacement): Promise<void> {
    const found = await this.#message(row.seq);
    if (found?.row.revision !== row.revision) {
      throw new StoreError('STORE_CONFLICT', 'message was written since it was read');
    }
    const keys = terms === undefined ? found.stored.terms : await this.#termKeys(terms);
    const revision = this.#next('revision');
    await this.#putMessage({ ...row, revision }, found.stored.sent, keys);
  }

  /** A message as this commit finds it. Whatever is read must still be so when it is written. */
  async #message(seq: number): Promise<{ row: MessageRow; stored: StoredMessage } | undefined> {
    if (this.#written.has(seq)) return this.#written.get(seq);
    const stored = await this.#tables.get('message', seq);
    this.steps.push(async (transaction) => {
      const now = await transaction.objectStore('message').get(seq);
      if (now?.revision !== stored?.revision) throw new Outrun();
    });
    return stored && { row: await this.#history.open(stored), stored };
  }

  async #putMessage(
    row: MessageRow,
    sent: string | undefined,
    terms: readonly string[],
  ): Promise<void> {
    const { seq, place, revision, expiresAtMs } = row;
    const stored: StoredMessage = {
      ...{ seq, place, revision, arrived: row.arrived ? 1 : 0 },
      peer: await this.#vault.rowKey('peer', row.peer),
      name: await messageName(this.#vault, row),
      ...(sent !== undefined && { sent }),
      ...(expiresAtMs !== undefined && { expires: expiresAtMs }),
      terms,
      value: await this.#vault.seal(`message/${seq}`, encodeMessageRow(row)),
    };
    this.#written.set(seq, { row, stored });
    this.steps.push((transaction) => transaction.objectStore('message').put(stored));
  }

  async #termKeys(terms: readonly string[] = []): Promise<readonly string[]> {
    return Promise.all([...new Set(terms)].map((term) => termKey(this.#vault, term)));
  }

  #removeMessage(seq: number): void {
    this.#written.set(seq, undefined);
    this.steps.push((transaction) => transaction.objectStore('message').delete(seq));
  }

  async #removeConversation(peer: string): Promise<void> {
    const key = await this.#vault.rowKey('peer', peer);
    const end = Number.MAX_SAFE_INTEGER;
    this.steps.push(async (transaction) => {
      const table = transaction.objectStore('message');
      const range = IDBKeyRange.bound([key, -end, 0], [key, end, end]);
      for (const seq of await table.index('peer').getAllKeys(range)) await table.delete(seq);
    });
  }

  async #record({ space, key, value, expectedVersion }: RecordChange): Promise<void> {
    const name = await recordName(this.#vault, space, key);
    const revision = this.#next('revision');
    const sealed = value && (await this.#vault.seal(`record/${name}`, encodeRecord(key, value)));
    this.steps.push(async (transaction) => {
      const table = transaction.objectStore('record');
      const version = (await table.get(name))?.revision ?? 0;
      if (version !== expectedVersion) {
        throw new StoreError('STORE_CONFLICT', 'record was written since it was read');
      }
      if (sealed === undefined) return table.delete(name);
      return table.put({ key: name, space, revision, value: sealed });
    });
  }
}

/** `outbox.state`: 0 without ciphertext, 1 ready to go, 2 waiting for a person. */
function stateOf(row: Omit<OutboxRow, 'id'>): number {
  if (row.held) return 2;
  return row.parts === undefined ? 0 : 1;
}

function isSame(
  a: { readonly value: Bytes } | undefined,
  b: { readonly value: Bytes } | undefined,
): boolean {
  if (a === undefined || b === undefined) return a === b;
  return samePublicBytes(a.value, b.value);
}

function noPreKey(kind: string, id: number): StateError {
  return new StateError('STATE_NO_PREKEY', `no ${kind} ${id}`);
}
