/**
 * 18 Stored rows §8. The epoch of a SQLite store, and its mark beside the directory. Node only.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join, resolve } from 'node:path';

import type Database from 'better-sqlite3';

import { decodeProfile, encodeProfile } from './rows.js';
import {
  decodeMark,
  encodeMark,
  EPOCH_COUNTER,
  epochAfter,
  isOlder,
  newStoreId,
  renewedProfile,
  RESTORED_COUNTER,
  SPACES_NOT_RESTORED,
  STORE_ID_COUNTER,
  type EpochMark,
} from './restored.js';
import type { Vault } from './vault.js';

/** The mark of one store: a file beside its directory, so that a copy of the directory is not a copy of it. */
export class SqliteEpoch {
  readonly #storeId: number;
  #descriptor: number | undefined;

  constructor(directory: string, storeId: number) {
    this.#storeId = storeId;
    this.#descriptor = openMark(directory);
  }

  /** Note how far the store has come. Not forced to disk: a mark that is behind tells less, never wrongly. */
  note(epoch: number): void {
    if (this.#descriptor === undefined) return;
    try {
      writeSync(this.#descriptor, encodeMark({ storeId: this.#storeId, epoch }), 0);
    } catch {
      // A full disk: the mark stays behind, and the commit has happened.
    }
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}

/** What the mark says. Read before the store is: it must not be ahead of what is read there. */
export function readMark(directory: string): EpochMark | undefined {
  for (const path of markPaths(directory)) {
    try {
      return decodeMark(readFileSync(path, 'latin1'));
    } catch {
      // Not there.
    }
  }
  return undefined;
}

/** In the transaction that opens the store: its id, after what must go from a store that was put back. */
export function checkEpoch(
  database: Database.Database,
  vault: Vault,
  mark: EpochMark | undefined,
): number {
  const set = (name: string, value: number): void => {
    database
      .prepare(
        'INSERT INTO counter VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
      )
      .run(name, value);
  };
  let storeId = counter(database, STORE_ID_COUNTER);
  if (storeId === undefined) {
    storeId = newStoreId(randomBytes);
    set(STORE_ID_COUNTER, storeId);
  }
  const epoch = counter(database, EPOCH_COUNTER) ?? 0;
  if (mark === undefined || !isOlder({ storeId, epoch }, mark)) return storeId;
  set(EPOCH_COUNTER, epochAfter(mark));
  set(RESTORED_COUNTER, 1);
  // ATK-C08: versions stay, so that nobody commits to what was loaded before.
  database.prepare('UPDATE session SET value = NULL, version = version + 1').run();
  const forget = database.prepare('DELETE FROM record WHERE space = ?');
  for (const space of SPACES_NOT_RESTORED) forget.run(space);
  const stored = database.prepare('SELECT value FROM profile WHERE id = 1').pluck().get() as
    | Uint8Array
    | undefined;
  if (stored !== undefined) {
    const profile = renewedProfile(decodeProfile(vault.open('profile/1', stored)));
    const value = vault.seal('profile/1', encodeProfile(profile));
    database.prepare('UPDATE profile SET value = ? WHERE id = 1').run(value);
  }
  return storeId;
}

/** Whether the store was put back since this was asked last. */
export function takeRestored(database: Database.Database): boolean {
  const statement = database.prepare('DELETE FROM counter WHERE name = ?');
  return statement.run(RESTORED_COUNTER).changes > 0;
}

function counter(database: Database.Database, name: string): number | undefined {
  return database.prepare('SELECT value FROM counter WHERE name = ?').pluck().get(name) as
    | number
    | undefined;
}

/** Beside the directory; in it where nothing can be written there. */
function markPaths(directory: string): readonly string[] {
  return [`${resolve(directory)}.epoch`, join(directory, 'epoch')];
}

function openMark(directory: string): number | undefined {
  for (const path of markPaths(directory)) {
    for (const flags of ['r+', 'wx+']) {
      try {
        return openSync(path, flags, 0o600);
      } catch {
        // The next way.
      }
    }
  }
  return undefined;
}
