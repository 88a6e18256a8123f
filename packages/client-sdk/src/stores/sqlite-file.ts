/**
 * 18 Stored rows. The SQLite file: where it lies, how it is opened, what its errors mean. Node only.
 *
 * One directory per profile, 0700, with `store.sqlite` (and its WAL) and `connection.lock`, all 0600.
 */
import { chmodSync, existsSync, mkdirSync, openSync, closeSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { QasidError, StoreError, type Bytes } from '@qasid/protocol';
import Database from 'better-sqlite3';

import type { EpochMark } from './restored.js';
import { checkEpoch, readMark } from './sqlite-epoch.js';
import { addConversations } from './sqlite-migrations.js';
import { createVault, openVault, unlockVault, type Vault } from './vault.js';

/** Where and how to open a store. */
export interface SqliteStoreOptions {
  /** Made with mode 0700 if it is not there. */
  readonly directory: string;
  /** Encrypts every private value. A store made with one is never opened without it, nor the reverse. */
  readonly passphrase?: string | undefined;
  /** Cost of the passphrase as a power of two, for new stores. Tests lower it; nobody else should. */
  readonly scryptLog2N?: number | undefined;
  /** Pages the file may grow to: a deterministic full disk, for tests. */
  readonly pagesMax?: number | undefined;
}

/** An open file with the vault of its values. */
export interface OpenStore {
  readonly database: Database.Database;
  readonly vault: Vault;
  /** Tells this store from a new one in its place. */
  readonly storeId: number;
}

/** Version of the tables. A newer file is refused, an older one is migrated forward when it is opened. */
const SCHEMA_VERSION = 2;

/**
 * How long one process waits for another's commit. Commits take milliseconds; longer means a stopped
 * process holds the file, and the caller should hear of it.
 */
const BUSY_TIMEOUT_MS = 10_000;

/** The tables of version 1; the migrations make the rest, for new stores too. */
const SCHEMA = `
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE session (key BLOB PRIMARY KEY, version INTEGER NOT NULL, value BLOB);
CREATE TABLE identity (key BLOB PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE prekey (kind INTEGER NOT NULL, id INTEGER NOT NULL, value BLOB NOT NULL,
  PRIMARY KEY (kind, id));
CREATE TABLE used_kem (kem INTEGER NOT NULL, signed INTEGER NOT NULL, base BLOB NOT NULL,
  PRIMARY KEY (kem, signed, base)) WITHOUT ROWID;
CREATE TABLE profile (id INTEGER PRIMARY KEY CHECK (id = 1), value BLOB NOT NULL);
CREATE TABLE contact (key BLOB PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE contact_name (name BLOB PRIMARY KEY, account BLOB NOT NULL);
CREATE TABLE outbox (id INTEGER PRIMARY KEY, state INTEGER NOT NULL, value BLOB NOT NULL);
CREATE INDEX outbox_unsealed ON outbox (id) WHERE state <> 1;
CREATE TABLE message (seq INTEGER PRIMARY KEY, sent_id BLOB UNIQUE, arrived INTEGER NOT NULL,
  value BLOB NOT NULL);
CREATE INDEX message_arrived ON message (seq) WHERE arrived = 1;
CREATE TABLE seen (client_id BLOB PRIMARY KEY, day INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX seen_day ON seen (day);
CREATE TABLE held (id INTEGER PRIMARY KEY, key BLOB NOT NULL, value BLOB NOT NULL);
CREATE TABLE cursor (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
`;

/**
 * Open or create the store.
 *
 * @throws StoreError `STORE_PASSPHRASE`, `STORE_CORRUPT`, `STORE_FULL`, `STORE_LOCKED`, `STORE_FAILED`
 */
export function openStoreFile(options: SqliteStoreOptions): OpenStore {
  return storeCall('open', () => {
    makePrivateDirectory(options.directory);
    const path = join(options.directory, 'store.sqlite');
    createPrivateFile(path);
    const database = new Database(path, { timeout: BUSY_TIMEOUT_MS });
    try {
      const { vault, storeId } = prepare(database, options, readMark(options.directory));
      for (const suffix of ['-wal', '-shm']) {
        if (existsSync(path + suffix)) chmodSync(path + suffix, 0o600);
      }
      return { database, vault, storeId };
    } catch (error) {
      database.close();
      throw error;
    }
  });
}

function prepare(
  database: Database.Database,
  options: SqliteStoreOptions,
  mark: EpochMark | undefined,
): Omit<OpenStore, 'database'> {
  database.pragma('journal_mode = WAL');
  // better-sqlite3 is built with NORMAL as the WAL default, which a power cut can undo.
  database.pragma('synchronous = FULL');
  // Not FAST, which leaves the pages of a record above 4 KiB, a session for one, as they are.
  database.pragma('secure_delete = ON');
  if (options.pagesMax !== undefined) database.pragma(`max_page_count = ${options.pagesMax}`);
  if (database.pragma('synchronous', { simple: true }) !== 2) {
    throw new StoreError('STORE_FAILED', 'SQLite refused synchronous=FULL');
  }
  const opened = database
    .transaction(() => {
      const vault = openOrCreate(database, options);
      return { vault, storeId: checkEpoch(database, vault, mark) };
    })
    .immediate();
  const check = database.pragma('quick_check(1)', { simple: true });
  if (check !== 'ok') throw new StoreError('STORE_CORRUPT', 'the store failed its integrity check');
  return opened;
}

function openOrCreate(database: Database.Database, options: SqliteStoreOptions): Vault {
  const version = database.pragma('user_version', { simple: true });
  const { passphrase } = options;
  if (version === 0) {
    database.exec(SCHEMA);
    const vault = newVault(database, options);
    migrate(database, vault, 1);
    return vault;
  }
  if (typeof version !== 'number' || version > SCHEMA_VERSION) {
    throw new StoreError('STORE_CORRUPT', `store of version ${version}, this is ${SCHEMA_VERSION}`);
  }
  const vault = openedVault(database, passphrase);
  if (version < SCHEMA_VERSION) migrate(database, vault, version);
  return vault;
}

/** Bring tables of `version` to this one, in the transaction that opens the store. */
function migrate(database: Database.Database, vault: Vault, version: number): void {
  if (version < 2) addConversations(database, vault);
  database.pragma(`user_version = ${SCHEMA_VERSION}`);
}

function newVault(database: Database.Database, options: SqliteStoreOptions): Vault {
  if (options.passphrase === undefined) return openVault;
  const { vault, header } = createVault(options.passphrase, options.scryptLog2N);
  database.prepare("INSERT INTO meta VALUES ('vault', ?)").run(header);
  return vault;
}

function openedVault(database: Database.Database, passphrase: string | undefined): Vault {
  const header = database.prepare("SELECT value FROM meta WHERE name = 'vault'").pluck().get() as
    | Bytes
    | undefined;
  if (header === undefined) {
    if (passphrase === undefined) return openVault;
    throw new StoreError('STORE_PASSPHRASE', 'this store has no passphrase');
  }
  if (passphrase === undefined) {
    throw new StoreError('STORE_PASSPHRASE', 'this store needs its passphrase');
  }
  return unlockVault(passphrase, header);
}

/** Whether a store lies in `directory`, and whether it asks for a passphrase. Reads nothing private. */
export function inspectStore(directory: string): 'absent' | 'plain' | 'passphrase' {
  const path = join(directory, 'store.sqlite');
  if (!existsSync(path) || statSync(path).size === 0) return 'absent';
  return storeCall('inspect', () => {
    const database = new Database(path, { timeout: BUSY_TIMEOUT_MS });
    try {
      if (database.pragma('user_version', { simple: true }) === 0) return 'absent';
      const row = database.prepare("SELECT 1 FROM meta WHERE name = 'vault'").get();
      return row === undefined ? 'plain' : 'passphrase';
    } finally {
      database.close();
    }
  });
}

/**
 * The right to connect: one lock per profile.
 *
 * @returns what ends it, or `undefined` while another process has it.
 */
export function lockConnection(directory: string): (() => void) | undefined {
  return takeLock(directory, 'connection.lock');
}

/**
 * A right that one process at a time has in `directory`: a write lock on a file of its own, held for as long
 * as the process wants it. The operating system drops it with the process, also after kill -9.
 *
 * @returns what ends it, or `undefined` while another process has it.
 */
export function takeLock(directory: string, name: string): (() => void) | undefined {
  const path = join(directory, name);
  return storeCall('lock', () => {
    createPrivateFile(path);
    const database = new Database(path, { timeout: 0 });
    try {
      // Never written: the lock itself is all there is, so there is nothing to recover after a crash.
      database.exec('BEGIN EXCLUSIVE');
    } catch (error) {
      database.close();
      if (isSqlite(error, 'SQLITE_BUSY')) return undefined;
      throw error;
    }
    return () => database.close();
  });
}

function makePrivateDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  chmodSync(directory, 0o700);
}

/**
 * SQLite gives its WAL the mode of the main file, so that one must be right before SQLite sees it. An
 * existing file is never opened here: closing any descriptor of it would drop this process's SQLite locks.
 */
function createPrivateFile(path: string): void {
  if (existsSync(path)) {
    chmodSync(path, 0o600);
    return;
  }
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'EEXIST') throw error;
  }
}

function isSqlite(error: unknown, code: string): boolean {
  return error instanceof Database.SqliteError && error.code.startsWith(code);
}

/** Run `action`; what SQLite or the file system throws becomes a StoreError. */
export function storeCall<Result>(what: string, action: () => Result): Result {
  try {
    return action();
  } catch (cause) {
    throw toStoreError(what, cause);
  }
}

function toStoreError(what: string, cause: unknown): unknown {
  if (cause instanceof QasidError) return cause;
  const { code, tries } = cause as { readonly code?: unknown; readonly tries?: unknown };
  // What `bindings` and the loader say when npm was not let run the addon's install script, or Node is another since.
  if (Array.isArray(tries) || code === 'ERR_DLOPEN_FAILED') {
    const how = 'let its install script run, and run: npm rebuild better-sqlite3';
    return new StoreError('STORE_FAILED', `SQLite is not built for this Node: ${how}`, { cause });
  }
  if (typeof code !== 'string') return cause;
  if (code === 'SQLITE_FULL' || code === 'ENOSPC' || code === 'EDQUOT') {
    return new StoreError('STORE_FULL', 'no space left for the store', { cause });
  }
  // The shared-memory index of the WAL cannot grow: in practice a full disk as well.
  if (code === 'SQLITE_IOERR_SHMSIZE' || code === 'SQLITE_IOERR_WRITE') {
    return new StoreError('STORE_FULL', 'the store could not be written: disk full?', { cause });
  }
  if (code.startsWith('SQLITE_CORRUPT') || code.startsWith('SQLITE_NOTADB')) {
    return new StoreError('STORE_CORRUPT', 'the store is damaged', { cause });
  }
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) {
    return new StoreError('STORE_LOCKED', 'another process keeps the store busy', { cause });
  }
  return new StoreError('STORE_FAILED', `store could not ${what}: ${code}`, { cause });
}
