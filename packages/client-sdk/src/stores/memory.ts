/**
 * The store that forgets: everything in maps, gone with the process. For tests and for throw-away clients.
 *
 * One instance may be given to several clients; they then behave like several processes on one file.
 */
import {
  StateError,
  StoreError,
  addressText,
  copyBytes,
  toHex,
  type Address,
  type Bytes,
  type KeyPair,
  type PublicKey,
  type StoreChanges,
  type StoredKemPreKey,
  type Versioned,
  samePublicBytes,
} from '@qasid/protocol';

import type {
  ClientExtra,
  ClientStore,
  ConnectionLease,
  Contact,
  ConversationQuery,
  HeldEnvelope,
  MessageQuery,
  MessageRow,
  OutboxRow,
  Profile,
  RecordRow,
  SearchQuery,
} from './port.js';
import { MemoryHistory } from './memory-history.js';

interface SessionRow {
  readonly record: Bytes | undefined;
  readonly version: number;
}

function tripleKey(kemPreKeyId: number, signedPreKeyId: number, baseKey: PublicKey): string {
  return `${kemPreKeyId}/${signedPreKeyId}/${toHex(baseKey)}`;
}

/** A store in memory. */
export class MemoryStore implements ClientStore {
  #profile: Profile | undefined;
  readonly #sessions = new Map<string, SessionRow>();
  readonly #identities = new Map<string, PublicKey>();
  readonly #preKeys = new Map<number, Bytes>();
  readonly #signedPreKeys = new Map<number, Bytes>();
  readonly #kemPreKeys = new Map<number, StoredKemPreKey>();
  readonly #usedKem = new Set<string>();
  readonly #contacts = new Map<string, Contact>();
  readonly #outbox = new Map<number, OutboxRow>();
  readonly #history = new MemoryHistory();
  readonly #seen = new Map<string, number>();
  readonly #held = new Map<number, HeldEnvelope>();
  readonly #cursors = new Map<string, number>();
  readonly #listeners = new Set<() => void>();
  #nextId = 1;
  #lease: ConnectionLease | undefined;

  async loadIdentityKeyPair(): Promise<KeyPair> {
    return this.#requireProfile().identity;
  }

  async loadLocalRegistrationId(): Promise<number> {
    return this.#requireProfile().registrationId;
  }

  async loadSession(address: Address): Promise<Versioned | undefined> {
    const row = this.#sessions.get(addressText(address));
    if (row?.record === undefined) return undefined;
    return { record: copyBytes(row.record), version: row.version };
  }

  async loadIdentity(name: string): Promise<PublicKey | undefined> {
    return this.#identities.get(name);
  }

  async loadPreKey(id: number): Promise<Bytes | undefined> {
    return copyOf(this.#preKeys.get(id));
  }

  async loadSignedPreKey(id: number): Promise<Bytes | undefined> {
    return copyOf(this.#signedPreKeys.get(id));
  }

  async loadKemPreKey(id: number): Promise<StoredKemPreKey | undefined> {
    const stored = this.#kemPreKeys.get(id);
    return stored && { record: copyBytes(stored.record), kind: stored.kind };
  }

  async loadProfile(): Promise<Profile | undefined> {
    return this.#profile;
  }

  async loadContact(account: string): Promise<Contact | undefined> {
    return this.#contacts.get(account);
  }

  async loadContactByUsername(username: string): Promise<Contact | undefined> {
    for (const contact of this.#contacts.values()) {
      if (contact.username === username) return contact;
    }
    return undefined;
  }

  async loadOutbox(query: {
    readonly after?: number;
    readonly limit: number;
  }): Promise<readonly OutboxRow[]> {
    const { after = 0, limit } = query;
    const rows: OutboxRow[] = [];
    // A map keeps the order of insertion, which is that of the ids.
    for (const row of this.#outbox.values()) {
      if (rows.length === limit) break;
      if (row.id > after) rows.push(row);
    }
    return rows;
  }

  async hasUnsealed(): Promise<boolean> {
    for (const row of this.#outbox.values()) if (row.held || row.parts === undefined) return true;
    return false;
  }

  async outboxState(): Promise<'empty' | 'held' | 'waiting'> {
    if (this.#outbox.size === 0) return 'empty';
    for (const row of this.#outbox.values()) if (!row.held) return 'waiting';
    return 'held';
  }

  async loadMessages(query: MessageQuery): Promise<readonly MessageRow[]> {
    return this.#history.messages(query);
  }

  async loadSentMessage(id: string): Promise<MessageRow | undefined> {
    return this.#history.sentMessage(id);
  }

  async loadMessage(peer: string, author: string, id: string): Promise<MessageRow | undefined> {
    return this.#history.message(peer, author, id);
  }

  async loadConversation(query: ConversationQuery): Promise<readonly MessageRow[]> {
    return this.#history.conversation(query);
  }

  async loadChanges(query: {
    readonly after: number;
    readonly limit: number;
  }): Promise<readonly MessageRow[]> {
    return this.#history.changes(query);
  }

  async loadExpiring(query: {
    readonly throughMs: number;
    readonly limit: number;
  }): Promise<readonly MessageRow[]> {
    return this.#history.expiring(query);
  }

  async searchMessages(query: SearchQuery): Promise<readonly MessageRow[]> {
    return this.#history.search(query);
  }

  async loadRecord(space: string, key: string): Promise<RecordRow | undefined> {
    return this.#history.record(space, key);
  }

  async loadRecords(space: string, after = 0): Promise<readonly RecordRow[]> {
    return this.#history.records(space, after);
  }

  async lastSeq(): Promise<number> {
    return this.#history.lastSeq;
  }

  async lastRevision(): Promise<number> {
    return this.#history.lastRevision;
  }

  async hasSeen(clientId: Uint8Array): Promise<boolean> {
    return this.#seen.has(toHex(clientId));
  }

  async loadHeld(account: string): Promise<readonly HeldEnvelope[]> {
    return [...this.#held.values()].filter((held) => held.account === account);
  }

  async loadCursor(name: string): Promise<number> {
    return this.#cursors.get(name) ?? 0;
  }

  async ownConnection(): Promise<ConnectionLease | undefined> {
    if (this.#lease !== undefined) return undefined;
    const lease: ConnectionLease = {
      release: async () => {
        if (this.#lease === lease) this.#lease = undefined;
      },
    };
    this.#lease = lease;
    return lease;
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    // Another client may still hold this instance, and a reopened one finds its data: nothing to do.
  }

  async commit(changes: StoreChanges<ClientExtra>): Promise<void> {
    // Every reason to refuse comes before the first write; from there on nothing can fail.
    this.#check(changes);
    this.#writeKeys(changes);
    if (changes.extra !== undefined) this.#writeExtra(changes.extra);
    for (const listener of [...this.#listeners]) queueMicrotask(listener);
  }

  #check(changes: StoreChanges<ClientExtra>): void {
    for (const { address, expectedVersion } of changes.sessions ?? []) {
      const row = this.#sessions.get(addressText(address));
      const version = row?.version ?? 0;
      if (version !== expectedVersion && !(row?.record === undefined && expectedVersion === 0)) {
        throw new StoreError('STORE_CONFLICT', `session is at version ${version}`);
      }
    }
    for (const id of changes.removedPreKeys ?? []) {
      if (!this.#preKeys.has(id)) throw noPreKey('one-time prekey', id);
    }
    for (const used of changes.usedKemPreKeys ?? []) {
      const kind = this.#kemPreKeys.get(used.kemPreKeyId)?.kind;
      if (kind === undefined) throw noPreKey('KEM prekey', used.kemPreKeyId);
      if (kind === 'one-time') continue;
      if (this.#usedKem.has(tripleKey(used.kemPreKeyId, used.signedPreKeyId, used.baseKey))) {
        throw new StateError(
          'STATE_PREKEY_REPLAYED',
          'last-resort prekey met this base key before',
        );
      }
    }
    for (const { name, identityKey, firstUse } of changes.identities ?? []) {
      const known = this.#identities.get(name);
      if (firstUse === true && known !== undefined && !samePublicBytes(known, identityKey)) {
        throw new StoreError('STORE_CONFLICT', 'another identity key is remembered by now');
      }
    }
    for (const { clientId } of changes.extra?.seen ?? []) {
      if (this.#seen.has(toHex(clientId))) {
        throw new StateError('STATE_DUPLICATE_MESSAGE', 'client id was processed before');
      }
    }
    if (changes.extra !== undefined) this.#history.check(changes.extra);
  }

  #writeKeys(changes: StoreChanges<ClientExtra>): void {
    for (const { address, record } of changes.sessions ?? []) {
      const key = addressText(address);
      const version = (this.#sessions.get(key)?.version ?? 0) + 1;
      this.#sessions.set(key, { record: copyOf(record), version });
    }
    for (const { name, identityKey } of changes.identities ?? []) {
      this.#identities.set(name, identityKey);
    }
    for (const { id, record } of changes.preKeys ?? []) {
      this.#preKeys.set(id, copyBytes(record));
    }
    for (const { id, record } of changes.signedPreKeys ?? []) {
      this.#signedPreKeys.set(id, copyBytes(record));
    }
    for (const { id, record, kind } of changes.kemPreKeys ?? []) {
      this.#kemPreKeys.set(id, { record: copyBytes(record), kind });
    }
    for (const id of changes.removedPreKeys ?? []) this.#preKeys.delete(id);
    for (const used of changes.usedKemPreKeys ?? []) {
      if (this.#kemPreKeys.get(used.kemPreKeyId)?.kind === 'one-time') {
        this.#kemPreKeys.delete(used.kemPreKeyId);
      } else {
        this.#usedKem.add(tripleKey(used.kemPreKeyId, used.signedPreKeyId, used.baseKey));
      }
    }
    for (const id of changes.removedSignedPreKeys ?? []) {
      this.#signedPreKeys.delete(id);
      for (const key of this.#usedKem) if (key.split('/')[1] === `${id}`) this.#usedKem.delete(key);
    }
    for (const id of changes.removedKemPreKeys ?? []) {
      this.#kemPreKeys.delete(id);
      for (const key of this.#usedKem) if (key.startsWith(`${id}/`)) this.#usedKem.delete(key);
    }
  }

  #writeExtra(extra: ClientExtra): void {
    if (extra.profile !== undefined) this.#profile = extra.profile;
    for (const contact of extra.contacts ?? []) this.#contacts.set(contact.account, contact);
    for (const row of extra.outboxAdded ?? []) {
      const id = this.#nextId++;
      this.#outbox.set(id, { ...row, id });
    }
    for (const row of extra.outboxChanged ?? []) {
      if (this.#outbox.has(row.id)) this.#outbox.set(row.id, row);
    }
    for (const id of extra.outboxRemoved ?? []) this.#outbox.delete(id);
    this.#history.write(extra);
    for (const { clientId, day } of extra.seen ?? []) this.#seen.set(toHex(clientId), day);
    if (extra.seenBeforeDay !== undefined) {
      for (const [id, day] of this.#seen) if (day < extra.seenBeforeDay) this.#seen.delete(id);
    }
    for (const held of extra.heldAdded ?? []) {
      const id = this.#nextId++;
      this.#held.set(id, { ...held, id });
    }
    for (const id of extra.heldRemoved ?? []) this.#held.delete(id);
    for (const { name, seq } of extra.cursors ?? []) {
      this.#cursors.set(name, Math.max(seq, this.#cursors.get(name) ?? 0));
    }
  }

  #requireProfile(): Profile {
    if (this.#profile === undefined) throw new StoreError('STORE_FAILED', 'no account here yet');
    return this.#profile;
  }
}

function copyOf(bytes: Bytes | undefined): Bytes | undefined {
  return bytes && copyBytes(bytes);
}

function noPreKey(kind: string, id: number): StateError {
  return new StateError('STATE_NO_PREKEY', `no ${kind} ${id}`);
}
