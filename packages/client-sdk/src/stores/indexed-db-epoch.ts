/// <reference lib="dom" />
/**
 * 18 Stored rows §8. The epoch of a store in a browser, and its mark in `localStorage`.
 */
import { TABLES, type Tables } from './indexed-db-schema.js';
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
} from './restored.js';
import { decodeProfile, encodeProfile } from './rows.js';
import type { WebVault } from './web-vault.js';

/** A second place that survives when IndexedDB alone is emptied or put back. Workers have none. */
export function marks(): Storage | undefined {
  try {
    return globalThis.localStorage;
  } catch {
    return undefined;
  }
}

/** Key of the mark of the database `name`. */
export function markKey(name: string): string {
  return `${name}/epoch`;
}

/** When the database was put back: forget what must not be used again. Gives back what notes the epoch. */
export async function checkEpoch(
  name: string,
  tables: Tables,
  vault: WebVault,
): Promise<(epoch: number) => void> {
  // Before the store is read: a tab that commits meanwhile must not look like the future.
  const mark = decodeMark(marks()?.getItem(markKey(name)));
  let storeId = await tables.get('counter', STORE_ID_COUNTER);
  if (storeId === undefined) {
    storeId = newStoreId((length) => crypto.getRandomValues(new Uint8Array(length)));
    await tables.put('counter', storeId, STORE_ID_COUNTER);
  }
  const epoch = (await tables.get('counter', EPOCH_COUNTER)) ?? 0;
  if (mark !== undefined && isOlder({ storeId, epoch }, mark)) {
    await forgetSessions(tables, vault, epochAfter(mark));
  }
  const id = storeId;
  return (reached) => {
    try {
      marks()?.setItem(markKey(name), encodeMark({ storeId: id, epoch: reached }));
    } catch {
      // No space or not allowed: the mark stays behind.
    }
  };
}

/** Whether the store was put back since this was asked last. */
export async function takeRestored(tables: Tables): Promise<boolean> {
  const found = (await tables.get('counter', RESTORED_COUNTER)) !== undefined;
  if (found) await tables.delete('counter', RESTORED_COUNTER);
  return found;
}

async function forgetSessions(tables: Tables, vault: WebVault, epoch: number): Promise<void> {
  const row = await tables.get('profile', 1);
  const profile = row && renewedProfile(decodeProfile(await vault.open('profile/1', row.value)));
  const value = profile && (await vault.seal('profile/1', encodeProfile(profile)));
  const transaction = tables.transaction(TABLES, 'readwrite', { durability: 'strict' });
  const sessions = transaction.objectStore('session');
  // ATK-C08: versions stay, so that nobody commits to what was loaded before.
  for (let at = await sessions.openCursor(); at !== null; at = await at.continue()) {
    await at.update({ version: at.value.version + 1, value: undefined });
  }
  const records = transaction.objectStore('record');
  for (const space of SPACES_NOT_RESTORED) {
    const range = IDBKeyRange.bound([space, 0], [space, Number.MAX_SAFE_INTEGER]);
    for (const key of await records.index('space').getAllKeys(range)) await records.delete(key);
  }
  if (value !== undefined) await transaction.objectStore('profile').put({ value }, 1);
  await transaction.objectStore('counter').put(epoch, EPOCH_COUNTER);
  await transaction.objectStore('counter').put(1, RESTORED_COUNTER);
  await transaction.done;
}
