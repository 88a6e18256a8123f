/**
 * 13 Relay §3. Opening the database: lock, checks, migrations, and the settings durability rests on.
 */
import { closeSync, existsSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StoreError } from '@qasid/protocol/envelope';
import Database from 'better-sqlite3';
import { RelayError } from '../errors.js';
import { FatalStoreError } from './port.js';

/** How to open. */
export interface SqliteOptions {
  /** Directory that exists and belongs to the relay alone. */
  readonly directory: string;
  /** `FULL` confirms only what reached the disk. `NORMAL` survives a killed process, not a power cut. */
  readonly synchronous?: 'FULL' | 'NORMAL';
  /** Pages the file may grow to; for tests of a full disk. */
  readonly pagesMax?: number;
}

/** An open database and what happened on the way. */
export interface OpenedDatabase {
  readonly db: Database.Database;
  /** Holds the lock until closed. */
  readonly lock: Database.Database;
  readonly schema: number;
  /** Migrations that ran. */
  readonly migrated: number;
  /** Whether the file was too large to be checked at start. */
  readonly checkSkipped: boolean;
}

/** Name of the database file in the relay's directory. */
export const DATABASE_FILE = 'relay.db';

/**
 * Open or create the database.
 *
 * @throws RelayError `RELAY_DATA_LOCKED`, `RELAY_DATA_CORRUPT`, `RELAY_DATA_NEWER`,
 *   `RELAY_DATA_UNWRITABLE` or `RELAY_DISK_FULL`
 */
export function openDatabase(options: SqliteOptions): OpenedDatabase {
  const file = join(options.directory, DATABASE_FILE);
  try {
    const lock = takeLock(options.directory);
    try {
      createPrivate(file);
      const db = new Database(file, { timeout: 0 });
      try {
        const { skipped } = check(db, file);
        configure(db, options);
        const { schema, migrated } = migrate(db);
        return { db, lock, schema, migrated, checkSkipped: skipped };
      } catch (error) {
        db.close();
        throw error;
      }
    } catch (error) {
      lock.close();
      throw error;
    }
  } catch (error) {
    throw startupError(error);
  }
}

/**
 * The StoreError for what SQLite threw. After an I/O error it is a FatalStoreError: an fsync that failed
 * may have dropped the pages it was asked to write, and trying again would confirm what is not there.
 */
export function storeError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const code = sqliteCode(error);
  const options = { cause: error };
  if (code.startsWith('SQLITE_FULL')) return new StoreError('STORE_FULL', 'disk full', options);
  if (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB') {
    // The transaction is undone, and the damage is where it is: other mailboxes go on.
    return new StoreError('STORE_CORRUPT', 'database is damaged', options);
  }
  if (code.startsWith('SQLITE_IOERR')) {
    return new FatalStoreError('STORE_FAILED', `disk failed (${code})`, options);
  }
  if (code.startsWith('SQLITE_BUSY')) return new StoreError('STORE_LOCKED', 'locked', options);
  return new StoreError('STORE_FAILED', `commit failed (${code || 'no code'})`, options);
}

function sqliteCode(error: unknown): string {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : '';
}

/** A lock the operating system releases when the process dies, however it dies. */
function takeLock(directory: string): Database.Database {
  const file = join(directory, 'relay.lock');
  createPrivate(file);
  const lock = new Database(file, { timeout: 0 });
  try {
    lock.pragma('locking_mode = EXCLUSIVE');
    lock.exec('BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock.close();
    if (sqliteCode(error).startsWith('SQLITE_BUSY')) {
      throw new RelayError(
        'RELAY_DATA_LOCKED',
        'another relay uses this data directory',
        'stop the other relay, or give this one a directory of its own',
        { cause: error },
      );
    }
    throw error;
  }
}

/** Create `file` so that only its owner can read it; SQLite gives its side files the same mode. */
function createPrivate(file: string): void {
  if (!existsSync(file)) closeSync(openSync(file, 'a', 0o600));
}

function check(db: Database.Database, file: string): { readonly skipped: boolean } {
  // Reading the header finds a file that is no database at all, whatever its size.
  db.pragma('schema_version');
  if (statSync(file).size > QUICK_CHECK_BYTES_MAX) return { skipped: true };
  const result: unknown = db.pragma('quick_check(1)', { simple: true });
  if (result !== 'ok') throw new StoreError('STORE_CORRUPT', 'database failed its check');
  return { skipped: false };
}

function configure(db: Database.Database, options: SqliteOptions): void {
  const synchronous = options.synchronous ?? 'FULL';
  db.pragma('journal_mode = WAL');
  // The driver is built so that WAL alone means NORMAL, which a power cut survives only in part.
  db.pragma(`synchronous = ${synchronous}`);
  db.pragma('wal_autocheckpoint = 4000');
  db.pragma('cache_size = -65536');
  // Not FAST, which leaves the pages it frees as they are: acknowledged envelopes would stay in the file.
  db.pragma('secure_delete = ON');
  db.pragma('foreign_keys = ON');
  if (options.pagesMax !== undefined) db.pragma(`max_page_count = ${options.pagesMax}`);
  const level: unknown = db.pragma('synchronous', { simple: true });
  const mode: unknown = db.pragma('journal_mode', { simple: true });
  if (level !== (synchronous === 'FULL' ? 2 : 1) || mode !== 'wal') {
    throw new StoreError('STORE_FAILED', 'database does not take its durability settings');
  }
}

function migrate(db: Database.Database): { readonly schema: number; readonly migrated: number } {
  const steps = migrations();
  const newest = steps.length;
  const found = Number(db.pragma('user_version', { simple: true }));
  if (found > newest) {
    throw new RelayError(
      'RELAY_DATA_NEWER',
      `data has schema version ${found}, this relay knows ${newest}`,
      'use the relay version that wrote it, or a newer one',
    );
  }
  for (const [index, sql] of steps.entries()) {
    if (index < found) continue;
    db.transaction(() => {
      db.exec(sql);
      db.pragma(`user_version = ${index + 1}`);
    })();
  }
  return { schema: newest, migrated: newest - found };
}

/** The newest schema version this program knows. */
export function newestSchema(): number {
  return migrations().length;
}

/** The numbered files, in order. They are shipped as sources: `src/store/migrations/sqlite`. */
function migrations(): readonly string[] {
  const directory = fileURLToPath(new URL('../../src/store/migrations/sqlite/', import.meta.url));
  const names = readdirSync(directory)
    .filter((name) => /^\d{4}-.*\.sql$/.test(name))
    .sort();
  return names.map((name) => readFileSync(join(directory, name), 'utf8'));
}

/** The RelayError for what kept a database from being opened or copied. */
export function startupError(error: unknown): RelayError {
  if (error instanceof RelayError) return error;
  const options = { cause: error };
  const code = sqliteCode(error);
  const isCorrupt = error instanceof StoreError && error.code === 'STORE_CORRUPT';
  if (isCorrupt || code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB') {
    return new RelayError(
      'RELAY_DATA_CORRUPT',
      'the database is damaged',
      'restore the data directory from a backup; keep the damaged file for examination',
      options,
    );
  }
  if (code.startsWith('SQLITE_FULL') || code === 'ENOSPC') {
    return new RelayError('RELAY_DISK_FULL', 'no space left', 'free some disk space', options);
  }
  return new RelayError(
    'RELAY_DATA_UNWRITABLE',
    `the data directory cannot be used (${code || 'unknown error'})`,
    'check that the directory belongs to the user the relay runs as, and its mode',
    options,
  );
}

/** Largest file that is checked page by page at start: about a second per GiB. */
const QUICK_CHECK_BYTES_MAX = 1024 ** 3;
