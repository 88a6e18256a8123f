/**
 * 13 Relay §13. Backup of a relay that may be running, and restoring one into an empty directory.
 *
 * A backup is a directory of its own: a database that holds what must outlive a disk, and the relay's
 * keys. It is written row by row from one read transaction, so it is of one moment, holds no page that a
 * deletion left behind, and cannot contain what retention has removed (ATK-L03).
 */
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { RelayError } from './errors.js';
import {
  copyDatabase,
  type DatabaseCounts,
  markRestored,
  verifyDatabase,
} from './store/sqlite-backup.js';
import { DATABASE_FILE, openDatabase, startupError } from './store/sqlite-open.js';

/** What a backup or a restored relay holds. */
export type { DatabaseCounts };

/** How to back up. */
export interface BackupOptions {
  /** Also the envelopes that wait; without them a restore loses what was not yet fetched. */
  readonly withQueue?: boolean;
  /** Milliseconds since 1970: what has expired by then stays out. */
  readonly nowMs?: number;
}

/**
 * Write a backup of the relay in `directory` to `destination`, which must not exist or be empty. The relay
 * may be running; it is not slowed down, but its log file grows until the backup is done.
 *
 * @throws RelayError `RELAY_DATA_MISSING`, `RELAY_TARGET_NOT_EMPTY`, `RELAY_DATA_CORRUPT`,
 *   `RELAY_DATA_NEWER`, `RELAY_DATA_UNWRITABLE` or `RELAY_DISK_FULL`
 */
export function backupRelay(
  directory: string,
  destination: string,
  options: BackupOptions = {},
): DatabaseCounts {
  needDatabase(directory);
  return intoEmpty(destination, (target) => {
    const counts = copyDatabase(join(directory, DATABASE_FILE), join(target, DATABASE_FILE), {
      withQueue: options.withQueue ?? false,
      nowMinute: Math.floor((options.nowMs ?? Date.now()) / 60_000),
    });
    copyKeys(directory, target);
    return counts;
  });
}

/** A relay that came back. */
export interface RestoreReport extends DatabaseCounts {
  /** Clients that have seen another number publish new prekeys. */
  readonly epoch: number;
}

/**
 * Make a relay out of a backup, in `directory`, which must not exist or be empty. Its epoch is a new one,
 * its one-time prekeys are gone, and its numbers go on far above any that were used.
 *
 * @throws RelayError as {@link backupRelay}
 */
export function restoreRelay(
  backup: string,
  directory: string,
  options: { readonly nowMs?: number } = {},
): RestoreReport {
  needDatabase(backup);
  return intoEmpty(directory, (target) => {
    copyDatabase(join(backup, DATABASE_FILE), join(target, DATABASE_FILE), {
      withQueue: true,
      nowMinute: Math.floor((options.nowMs ?? Date.now()) / 60_000),
    });
    copyKeys(backup, target);
    // Opened as a relay would: with migrations and the settings durability rests on.
    const { db, lock } = openDatabase({ directory: target });
    try {
      return markRestored(db, Math.floor((options.nowMs ?? Date.now()) / 1_000));
    } finally {
      db.close();
      lock.close();
    }
  });
}

/** What a check found. `problems` is empty when all is well. */
export interface VerifyReport extends DatabaseCounts {
  readonly schema: number;
  readonly epoch: number;
  /** One sentence each, without account ids or names. */
  readonly problems: readonly string[];
}

/**
 * Check a relay's files, or a backup's, page by page and row by row. Read-only, beside a running relay or
 * not; takes about a second per GiB.
 *
 * @throws RelayError `RELAY_DATA_MISSING`, or `RELAY_DATA_CORRUPT` when it is no database at all
 */
export function verifyRelay(directory: string): VerifyReport {
  needDatabase(directory);
  try {
    const report = verifyDatabase(join(directory, DATABASE_FILE));
    const hasKey = existsSync(join(directory, 'relay.key'));
    return hasKey ? report : { ...report, problems: [...report.problems, 'relay.key is missing'] };
  } catch (error) {
    throw startupError(error);
  }
}

function needDatabase(directory: string): void {
  if (existsSync(join(directory, DATABASE_FILE))) return;
  throw new RelayError(
    'RELAY_DATA_MISSING',
    'there is no relay database',
    'name the data directory of a relay, or a backup made by qasid relay backup',
  );
}

/** Run `fill` on a directory beside `target`, and put it in its place when everything is on disk. */
function intoEmpty<Result>(target: string, fill: (directory: string) => Result): Result {
  try {
    const exists = existsSync(target);
    if (exists && readdirSync(target).length > 0) {
      throw new RelayError(
        'RELAY_TARGET_NOT_EMPTY',
        'the destination is not an empty directory',
        'name a directory that does not exist yet: nothing is ever overwritten',
      );
    }
    const partial = `${target.replace(/\/+$/, '')}.partial`;
    // Left by one that was interrupted: it was never complete.
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(partial, { recursive: true, mode: 0o700 });
    try {
      const result = fill(partial);
      for (const name of readdirSync(partial)) {
        chmodSync(join(partial, name), 0o600);
        sync(join(partial, name));
      }
      sync(partial);
      renameSync(partial, target);
      sync(dirname(partial));
      return result;
    } catch (error) {
      rmSync(partial, { recursive: true, force: true });
      throw error;
    }
  } catch (error) {
    throw startupError(error);
  }
}

/** Everything that makes clients recognise this relay. */
function copyKeys(from: string, to: string): void {
  for (const name of readdirSync(from)) {
    if (name.endsWith('.key')) copyFileSync(join(from, name), join(to, name));
  }
}

function sync(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
