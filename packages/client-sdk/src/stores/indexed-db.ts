/// <reference lib="dom" />
/**
 * The store of a browser: IndexedDB, encrypted at rest with WebCrypto. Spec: spec/18-stored-rows.md §7.
 *
 * Any number of tabs may have one profile open: Web Locks decide which of them talks to the relay and put
 * commits in a row, a BroadcastChannel tells the others. A crashed tab loses its locks with it.
 */
import {
  StoreError,
  addressText,
  toHex,
  type Address,
  type Bytes,
  type KeyPair,
  type PublicKey,
  type StoreChanges,
  type StoredKemPreKey,
  type Versioned,
} from '@qasid/protocol';
import { deleteDB } from 'idb';

import { checkEpoch, markKey, marks, takeRestored } from './indexed-db-epoch.js';
import { IndexedDbHistory } from './indexed-db-history.js';
import { databaseName, openTables, storeCall, type Tables } from './indexed-db-schema.js';
import { IndexedDbWriter, KIND } from './indexed-db-write.js';
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
import { decodeContact, decodeHeld, decodeOutboxRow, decodeProfile } from './rows.js';
import { createWebVault, unlockWebVault, type WebVault } from './web-vault.js';

/** Which store to open. */
export interface IndexedDbStoreOptions {
  /** Name of the profile; one database of this origin. */
  readonly profile: string;
  /** Encrypts every private value. A store made with one is never opened without it, nor the reverse. */
  readonly passphrase?: string | undefined;
  /** Ask the browser not to delete the store when space runs short; default true. */
  readonly persist?: boolean;
  /** Cost of the passphrase as a power of two, for new stores. Tests lower it; nobody else should. */
  readonly scryptLog2N?: number | undefined;
  /** In place of `navigator.locks`, for tests outside a browser. */
  readonly locks?: Pick<LockManager, 'request'>;
}

const decoder = new TextDecoder();

/** A store in one IndexedDB database. */
export class IndexedDbStore implements ClientStore {
  readonly #name: string;
  readonly #tables: Tables;
  readonly #vault: WebVault;
  readonly #writer: IndexedDbWriter;
  readonly #history: IndexedDbHistory;
  readonly #locks: Pick<LockManager, 'request'>;
  readonly #channel: BroadcastChannel;
  readonly #listeners = new Set<() => void>();
  readonly #leases = new Set<ConnectionLease>();
  readonly #end: { reason: StoreError | undefined };

  private constructor(
    name: string,
    tables: Tables,
    vault: WebVault,
    locks: Pick<LockManager, 'request'>,
    end: { reason: StoreError | undefined },
    noteEpoch: (epoch: number) => void,
  ) {
    this.#name = name;
    this.#tables = tables;
    this.#vault = vault;
    this.#locks = locks;
    this.#end = end;
    this.#history = new IndexedDbHistory(tables, vault);
    this.#writer = new IndexedDbWriter(tables, vault, this.#history, noteEpoch);
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = () => this.#notify();
  }

  /**
   * Open or create the store of a profile.
   *
   * @throws StoreError `STORE_PASSPHRASE`; `STORE_LOST` when the browser deleted what this profile kept, and
   *   `forget` must be called before a new one is made; `STORE_CORRUPT` also for a store of a newer version;
   *   `STORE_FULL`; `STORE_FAILED` also where the browser has no Web Locks.
   */
  static async open(options: IndexedDbStoreOptions): Promise<IndexedDbStore> {
    const { profile, passphrase, scryptLog2N } = options;
    const locks = options.locks ?? platformLocks();
    const name = databaseName(profile);
    if (options.persist !== false) await askToPersist();
    const end: { reason: StoreError | undefined } = { reason: undefined };
    return storeCall('open', async () => {
      const { tables, isNew } = await openTables(profile, (reason) => {
        end.reason = reason;
      });
      try {
        if (isNew && wasHere(name)) {
          // ATK-J02: a new identity in place of a lost one is a person's decision.
          tables.close();
          await deleteDB(name);
          throw new StoreError('STORE_LOST', 'the browser deleted what this profile kept');
        }
        const vault = await locks.request(`${name}/open`, () =>
          openVault(tables, passphrase, scryptLog2N),
        );
        remember(name);
        const note = await locks.request(`${name}/commit`, () => checkEpoch(name, tables, vault));
        return new IndexedDbStore(name, tables, vault, locks, end, note);
      } catch (error) {
        tables.close();
        throw error;
      }
    });
  }

  /** Delete everything a profile kept here, and the memory that it was here. */
  static async forget(profile: string): Promise<void> {
    const name = databaseName(profile);
    await storeCall('be deleted', () => deleteDB(name));
    marks()?.removeItem(name);
    marks()?.removeItem(markKey(name));
  }

  async loadIdentityKeyPair(): Promise<KeyPair> {
    return (await this.#requireProfile()).identity;
  }

  async loadLocalRegistrationId(): Promise<number> {
    return (await this.#requireProfile()).registrationId;
  }

  async loadSession(address: Address): Promise<Versioned | undefined> {
    const name = addressText(address);
    return this.#read(async () => {
      const row = await this.#tables.get('session', await this.#vault.rowKey('session', name));
      if (row?.value === undefined) return undefined;
      const record = await this.#vault.open(`session/${name}`, row.value);
      return { record, version: row.version };
    });
  }

  async loadIdentity(name: string): Promise<PublicKey | undefined> {
    return (await this.#named('identity', name)) as PublicKey | undefined;
  }

  async loadPreKey(id: number): Promise<Bytes | undefined> {
    return this.#prekey(KIND.oneTime, id);
  }

  async loadSignedPreKey(id: number): Promise<Bytes | undefined> {
    return this.#prekey(KIND.signed, id);
  }

  async loadKemPreKey(id: number): Promise<StoredKemPreKey | undefined> {
    const oneTime = await this.#prekey(KIND.kemOneTime, id);
    if (oneTime !== undefined) return { record: oneTime, kind: 'one-time' };
    const lastResort = await this.#prekey(KIND.kemLastResort, id);
    return lastResort === undefined ? undefined : { record: lastResort, kind: 'last-resort' };
  }

  async loadProfile(): Promise<Profile | undefined> {
    return this.#read(async () => {
      const row = await this.#tables.get('profile', 1);
      return row && decodeProfile(await this.#vault.open('profile/1', row.value));
    });
  }

  async loadContact(account: string): Promise<Contact | undefined> {
    const value = await this.#named('contact', account);
    return value && decodeContact(value);
  }

  async loadContactByUsername(username: string): Promise<Contact | undefined> {
    const account = await this.#named('contactName', username);
    return account && this.loadContact(decoder.decode(account));
  }

  async loadOutbox(query: {
    readonly after?: number;
    readonly limit: number;
  }): Promise<readonly OutboxRow[]> {
    return this.#read(async () => {
      const range = IDBKeyRange.lowerBound(query.after ?? 0, true);
      const rows = await this.#tables.getAll('outbox', range, query.limit);
      return Promise.all(
        rows.map(async ({ id, value }) =>
          decodeOutboxRow(id, await this.#vault.open(`outbox/${id}`, value)),
        ),
      );
    });
  }

  async hasUnsealed(): Promise<boolean> {
    const counts = await this.#outboxCounts();
    return counts.unsealed + counts.held > 0;
  }

  async outboxState(): Promise<'empty' | 'held' | 'waiting'> {
    const { unsealed, ready, held } = await this.#outboxCounts();
    if (unsealed + ready > 0) return 'waiting';
    return held > 0 ? 'held' : 'empty';
  }

  async loadMessages(query: MessageQuery): Promise<readonly MessageRow[]> {
    return this.#read(() => this.#history.messages(query));
  }

  async loadSentMessage(id: string): Promise<MessageRow | undefined> {
    return this.#read(() => this.#history.sentMessage(id));
  }

  async loadMessage(peer: string, author: string, id: string): Promise<MessageRow | undefined> {
    return this.#read(() => this.#history.message(peer, author, id));
  }

  async loadConversation(query: ConversationQuery): Promise<readonly MessageRow[]> {
    return this.#read(() => this.#history.conversation(query));
  }

  async loadChanges(query: {
    readonly after: number;
    readonly limit: number;
  }): Promise<readonly MessageRow[]> {
    return this.#read(() => this.#history.changes(query));
  }

  async loadExpiring(query: {
    readonly throughMs: number;
    readonly limit: number;
  }): Promise<readonly MessageRow[]> {
    return this.#read(() => this.#history.expiring(query));
  }

  async searchMessages(query: SearchQuery): Promise<readonly MessageRow[]> {
    return this.#read(() => this.#history.search(query));
  }

  async loadRecord(space: string, key: string): Promise<RecordRow | undefined> {
    return this.#read(() => this.#history.record(space, key));
  }

  async loadRecords(space: string, after = 0): Promise<readonly RecordRow[]> {
    return this.#read(() => this.#history.records(space, after));
  }

  async lastSeq(): Promise<number> {
    return this.#counter('message');
  }

  async lastRevision(): Promise<number> {
    return this.#counter('revision');
  }

  async hasSeen(clientId: Uint8Array): Promise<boolean> {
    return this.#read(async () => (await this.#tables.get('seen', toHex(clientId))) !== undefined);
  }

  async loadHeld(account: string): Promise<readonly HeldEnvelope[]> {
    return this.#read(async () => {
      const key = await this.#vault.rowKey('held', account);
      const range = IDBKeyRange.bound([key, 0], [key, Number.MAX_SAFE_INTEGER]);
      const rows = await this.#tables.getAllFromIndex('held', 'account', range);
      return Promise.all(
        rows.map(async ({ id, value }) =>
          decodeHeld(id, await this.#vault.open(`held/${id}`, value)),
        ),
      );
    });
  }

  async loadCursor(name: string): Promise<number> {
    return this.#read(async () => (await this.#tables.get('cursor', name)) ?? 0);
  }

  async commit(changes: StoreChanges<ClientExtra>): Promise<void> {
    this.#requireOpen();
    // One tab at a time: what a commit seals depends on numbers that the next one must not take too.
    await storeCall('commit', () =>
      this.#locks.request(`${this.#name}/commit`, () => this.#writer.commit(changes)),
    );
    this.#channel.postMessage(0);
    this.#notify();
  }

  async takeRestored(): Promise<boolean> {
    return this.#read(() => takeRestored(this.#tables));
  }

  async ownConnection(): Promise<ConnectionLease | undefined> {
    this.#requireOpen();
    return new Promise((resolve, reject) => {
      this.#locks
        .request(`${this.#name}/connection`, { ifAvailable: true }, (lock) => {
          if (lock === null) {
            resolve(undefined);
            return undefined;
          }
          // Held for as long as this promise is open; the browser ends it with the tab.
          return new Promise<void>((release) => resolve(this.#leaseOf(release)));
        })
        .catch(reject);
    });
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#listeners.clear();
    for (const lease of [...this.#leases]) await lease.release();
    this.#channel.close();
    this.#tables.close();
  }

  #leaseOf(release: () => void): ConnectionLease {
    const lease: ConnectionLease = {
      release: async () => {
        if (this.#leases.delete(lease)) release();
      },
    };
    this.#leases.add(lease);
    return lease;
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) queueMicrotask(listener);
  }

  async #outboxCounts(): Promise<{ unsealed: number; ready: number; held: number }> {
    return this.#read(async () => {
      const states = this.#tables.transaction('outbox').store.index('state');
      const [unsealed = 0, ready = 0, held = 0] = await Promise.all(
        [0, 1, 2].map((state) => states.count(state)),
      );
      return { unsealed, ready, held };
    });
  }

  async #counter(name: string): Promise<number> {
    return this.#read(async () => (await this.#tables.get('counter', name)) ?? 0);
  }

  async #prekey(kind: number, id: number): Promise<Bytes | undefined> {
    return this.#read(async () => {
      const row = await this.#tables.get('prekey', [kind, id]);
      return row && this.#vault.open(`prekey/${kind}/${id}`, row.value);
    });
  }

  /** A value whose row is named by a private name. */
  async #named(
    table: 'identity' | 'contact' | 'contactName',
    name: string,
  ): Promise<Bytes | undefined> {
    return this.#read(async () => {
      const row = await this.#tables.get(table, await this.#vault.rowKey(table, name));
      return row && this.#vault.open(`${table}/${name}`, row.value);
    });
  }

  async #read<Result>(call: () => Promise<Result>): Promise<Result> {
    this.#requireOpen();
    return storeCall('read', call);
  }

  #requireOpen(): void {
    if (this.#end.reason !== undefined) throw this.#end.reason;
  }

  async #requireProfile(): Promise<Profile> {
    const profile = await this.loadProfile();
    if (profile === undefined) throw new StoreError('STORE_FAILED', 'no account here yet');
    return profile;
  }
}

async function openVault(
  tables: Tables,
  passphrase: string | undefined,
  log2N: number | undefined,
): Promise<WebVault> {
  const row = await tables.get('meta', 'vault');
  if (row !== undefined) return unlockWebVault(passphrase, row);
  const made = await createWebVault(passphrase, log2N);
  await tables.put('meta', made.row, 'vault');
  return made.vault;
}

function platformLocks(): Pick<LockManager, 'request'> {
  const locks: LockManager | undefined = globalThis.navigator?.locks;
  if (locks === undefined) {
    throw new StoreError('STORE_FAILED', 'this browser has no Web Locks, which tabs need');
  }
  return locks;
}

/** Best effort: a browser may refuse, or ask the person. */
async function askToPersist(): Promise<void> {
  try {
    await globalThis.navigator?.storage?.persist();
  } catch {
    // Refused; `STORE_LOST` tells when it mattered.
  }
}

function wasHere(name: string): boolean {
  return marks()?.getItem(name) === '1';
}

function remember(name: string): void {
  try {
    marks()?.setItem(name, '1');
  } catch {
    // No space or not allowed: loss will look like a first visit.
  }
}
