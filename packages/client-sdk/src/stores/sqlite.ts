/**
 * The store on disk: SQLite with WAL and `synchronous=FULL`, so a commit survives kill -9 and power loss.
 *
 * Any number of processes may open one directory. Node only. Spec: spec/18-stored-rows.md.
 */
import {
  StoreError,
  addressText,
  type Address,
  type Bytes,
  type KeyPair,
  type PublicKey,
  type StoreChanges,
  type StoredKemPreKey,
  type Versioned,
} from '@qasid/protocol';
import type Database from 'better-sqlite3';

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
import {
  lockConnection,
  openStoreFile,
  storeCall,
  type SqliteStoreOptions,
} from './sqlite-file.js';
import { SqliteEpoch, takeRestored } from './sqlite-epoch.js';
import { SqliteHistory } from './sqlite-history.js';
import { Statements } from './sqlite-statements.js';
import { KIND, SqliteWriter } from './sqlite-write.js';
import type { Vault } from './vault.js';

/**
 * How often to look whether another process committed: one read of a shared-memory counter. Lower: a
 * message typed in one terminal leaves sooner through the other. Higher: less idle work.
 */
const WATCH_INTERVAL_MS = 50;

interface IdRow {
  readonly id: number;
  readonly value: Bytes;
}

const decoder = new TextDecoder();

/** A store in one directory. */
export class SqliteStore implements ClientStore {
  readonly #directory: string;
  readonly #database: Database.Database;
  readonly #vault: Vault;
  readonly #epoch: SqliteEpoch;
  readonly #writer: SqliteWriter;
  readonly #sql: Statements;
  readonly #history: SqliteHistory;
  readonly #listeners = new Set<() => void>();
  readonly #leases = new Set<ConnectionLease>();
  #poll: ReturnType<typeof setInterval> | undefined;
  #dataVersion = 0;

  private constructor(options: SqliteStoreOptions) {
    const { database, vault, storeId } = openStoreFile(options);
    this.#epoch = new SqliteEpoch(options.directory, storeId);
    this.#directory = options.directory;
    this.#database = database;
    this.#vault = vault;
    this.#writer = new SqliteWriter(database, vault, this.#epoch);
    this.#sql = new Statements(database);
    this.#history = new SqliteHistory(this.#sql, vault);
  }

  /** @throws StoreError `STORE_PASSPHRASE`, `STORE_CORRUPT`, `STORE_FULL`, `STORE_LOCKED`, `STORE_FAILED` */
  static async open(options: SqliteStoreOptions): Promise<SqliteStore> {
    return new SqliteStore(options);
  }

  async loadIdentityKeyPair(): Promise<KeyPair> {
    return (await this.#requireProfile()).identity;
  }

  async loadLocalRegistrationId(): Promise<number> {
    return (await this.#requireProfile()).registrationId;
  }

  async loadSession(address: Address): Promise<Versioned | undefined> {
    const name = addressText(address);
    const row = this.#get('SELECT version, value FROM session WHERE key = ?', [
      this.#vault.rowKey('session', name),
    ]) as { readonly version: number; readonly value: Bytes | null } | undefined;
    if (row === undefined || row.value === null) return undefined;
    return { record: this.#vault.open(`session/${name}`, row.value), version: row.version };
  }

  async loadIdentity(name: string): Promise<PublicKey | undefined> {
    const value = this.#value(
      'SELECT value FROM identity WHERE key = ?',
      [this.#vault.rowKey('identity', name)],
      `identity/${name}`,
    );
    return value as PublicKey | undefined;
  }

  async loadPreKey(id: number): Promise<Bytes | undefined> {
    return this.#prekey(KIND.oneTime, id);
  }

  async loadSignedPreKey(id: number): Promise<Bytes | undefined> {
    return this.#prekey(KIND.signed, id);
  }

  async loadKemPreKey(id: number): Promise<StoredKemPreKey | undefined> {
    const oneTime = this.#prekey(KIND.kemOneTime, id);
    if (oneTime !== undefined) return { record: oneTime, kind: 'one-time' };
    const lastResort = this.#prekey(KIND.kemLastResort, id);
    return lastResort === undefined ? undefined : { record: lastResort, kind: 'last-resort' };
  }

  async loadProfile(): Promise<Profile | undefined> {
    const value = this.#value('SELECT value FROM profile WHERE id = 1', [], 'profile/1');
    return value === undefined ? undefined : decodeProfile(value);
  }

  async loadContact(account: string): Promise<Contact | undefined> {
    const value = this.#value(
      'SELECT value FROM contact WHERE key = ?',
      [this.#vault.rowKey('contact', account)],
      `contact/${account}`,
    );
    return value === undefined ? undefined : decodeContact(value);
  }

  async loadContactByUsername(username: string): Promise<Contact | undefined> {
    const row = this.#get('SELECT account FROM contact_name WHERE name = ?', [
      this.#vault.rowKey('username', username),
    ]) as { readonly account: Bytes } | undefined;
    if (row === undefined) return undefined;
    const account = this.#vault.open(`username/${username}`, row.account);
    return this.loadContact(decoder.decode(account));
  }

  async loadOutbox(query: {
    readonly after?: number;
    readonly limit: number;
  }): Promise<readonly OutboxRow[]> {
    const sql = 'SELECT id, value FROM outbox WHERE id > ? ORDER BY id LIMIT ?';
    const rows = this.#all(sql, [query.after ?? 0, query.limit]) as IdRow[];
    return rows.map(({ id, value }) =>
      decodeOutboxRow(id, this.#vault.open(`outbox/${id}`, value)),
    );
  }

  async hasUnsealed(): Promise<boolean> {
    return this.#get('SELECT 1 FROM outbox WHERE state <> 1 LIMIT 1', []) !== undefined;
  }

  async outboxState(): Promise<'empty' | 'held' | 'waiting'> {
    if (this.#get('SELECT 1 FROM outbox WHERE state <> 2 LIMIT 1', []) !== undefined) {
      return 'waiting';
    }
    return this.#get('SELECT 1 FROM outbox LIMIT 1', []) === undefined ? 'empty' : 'held';
  }

  async loadMessages(query: MessageQuery): Promise<readonly MessageRow[]> {
    return this.#call('read', () => this.#history.messages(query));
  }

  async loadSentMessage(id: string): Promise<MessageRow | undefined> {
    return this.#call('read', () => this.#history.sentMessage(id));
  }

  async loadMessage(peer: string, author: string, id: string): Promise<MessageRow | undefined> {
    return this.#call('read', () => this.#history.message(peer, author, id));
  }

  async loadConversation(query: ConversationQuery): Promise<readonly MessageRow[]> {
    return this.#call('read', () => this.#history.conversation(query));
  }

  async loadChanges(query: {
    readonly after: number;
    readonly limit: number;
  }): Promise<readonly MessageRow[]> {
    return this.#call('read', () => this.#history.changes(query));
  }

  async loadExpiring(query: {
    readonly throughMs: number;
    readonly limit: number;
  }): Promise<readonly MessageRow[]> {
    return this.#call('read', () => this.#history.expiring(query));
  }

  async searchMessages(query: SearchQuery): Promise<readonly MessageRow[]> {
    return this.#call('read', () => this.#history.search(query));
  }

  async loadRecord(space: string, key: string): Promise<RecordRow | undefined> {
    return this.#call('read', () => this.#history.record(space, key));
  }

  async loadRecords(space: string, after = 0): Promise<readonly RecordRow[]> {
    return this.#call('read', () => this.#history.records(space, after));
  }

  async lastSeq(): Promise<number> {
    return this.#call('read', () => this.#sql.last('message'));
  }

  async lastRevision(): Promise<number> {
    return this.#call('read', () => this.#sql.last('revision'));
  }

  async hasSeen(clientId: Uint8Array): Promise<boolean> {
    return this.#get('SELECT 1 FROM seen WHERE client_id = ?', [clientId]) !== undefined;
  }

  async loadHeld(account: string): Promise<readonly HeldEnvelope[]> {
    const rows = this.#all('SELECT id, value FROM held WHERE key = ? ORDER BY id', [
      this.#vault.rowKey('held', account),
    ]) as IdRow[];
    return rows.map(({ id, value }) => decodeHeld(id, this.#vault.open(`held/${id}`, value)));
  }

  async loadCursor(name: string): Promise<number> {
    const row = this.#get('SELECT seq FROM cursor WHERE name = ?', [name]);
    return (row as { readonly seq: number } | undefined)?.seq ?? 0;
  }

  async commit(changes: StoreChanges<ClientExtra>): Promise<void> {
    this.#call('commit', () => this.#writer.commit(changes));
    this.#notify();
  }

  async takeRestored(): Promise<boolean> {
    return this.#call('read', () => takeRestored(this.#database));
  }

  async ownConnection(): Promise<ConnectionLease | undefined> {
    // A lock taken now would stay until the process ends.
    this.#requireOpen();
    const unlock = lockConnection(this.#directory);
    if (unlock === undefined) return undefined;
    const lease: ConnectionLease = {
      release: async () => {
        if (this.#leases.delete(lease)) unlock();
      },
    };
    this.#leases.add(lease);
    return lease;
  }

  watch(listener: () => void): () => void {
    this.#requireOpen();
    this.#listeners.add(listener);
    if (this.#poll === undefined) {
      this.#dataVersion = this.#readDataVersion();
      this.#poll = setInterval(() => this.#lookForOthers(), WATCH_INTERVAL_MS);
    }
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#stopPolling();
    };
  }

  async close(): Promise<void> {
    this.#listeners.clear();
    this.#stopPolling();
    for (const lease of [...this.#leases]) await lease.release();
    this.#epoch.close();
    storeCall('close', () => this.#database.close());
  }

  /** Changes only when another connection committed: our own commits are told by `commit`. */
  #readDataVersion(): number {
    return this.#database.pragma('data_version', { simple: true }) as number;
  }

  #lookForOthers(): void {
    let version: number;
    try {
      version = this.#readDataVersion();
    } catch {
      // Busy or failing storage: whoever reads next gets the typed error; the next look may succeed.
      return;
    }
    if (version === this.#dataVersion) return;
    this.#dataVersion = version;
    this.#notify();
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) queueMicrotask(listener);
  }

  #stopPolling(): void {
    if (this.#poll !== undefined) clearInterval(this.#poll);
    this.#poll = undefined;
  }

  #prekey(kind: number, id: number): Bytes | undefined {
    const place = `prekey/${kind}/${id}`;
    return this.#value('SELECT value FROM prekey WHERE kind = ? AND id = ?', [kind, id], place);
  }

  #value(sql: string, parameters: readonly unknown[], place: string): Bytes | undefined {
    const row = this.#get(sql, parameters) as { readonly value: Bytes } | undefined;
    return row === undefined ? undefined : this.#vault.open(place, row.value);
  }

  #get(sql: string, parameters: readonly unknown[]): unknown {
    return this.#call('read', () => this.#sql.get(sql, ...parameters));
  }

  #all(sql: string, parameters: readonly unknown[]): unknown[] {
    return this.#call('read', () => this.#sql.all(sql, ...parameters));
  }

  #call<Result>(what: string, action: () => Result): Result {
    this.#requireOpen();
    return storeCall(what, action);
  }

  /** better-sqlite3 throws a TypeError of its own, without a code. */
  #requireOpen(): void {
    if (!this.#database.open) throw new StoreError('STORE_FAILED', 'the store was closed');
  }

  async #requireProfile(): Promise<Profile> {
    const profile = await this.loadProfile();
    if (profile === undefined) throw new StoreError('STORE_FAILED', 'no account here yet');
    return profile;
  }
}
