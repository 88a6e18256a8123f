/**
 * 20 Linking §7. A device that its account has removed: what it knows of that, until it connects again.
 */
import type { ResponseItem } from '@qasid/protocol/envelope';

import type { Verdict } from '../link.js';
import type { ClientStore } from '../stores/port.js';
import { SPACE } from '../timeline/batch.js';

/** Name of the record that says that the relay closed this device out. */
const REMOVED = 'removed';

/** The relay says that the account has this device no longer. Nothing is deleted for its word. */
export async function noteRemoved(store: ClientStore): Promise<void> {
  const row = await store.loadRecord(SPACE.meta, REMOVED);
  if (row !== undefined) return;
  const value = new Uint8Array([1]);
  const note = { space: SPACE.meta, key: REMOVED, value, expectedVersion: 0 };
  await store.commit({ extra: { records: [note] } });
}

/** What follows from the answer to a proof of a registered device. */
export async function provedAgain(store: ClientStore, answer: ResponseItem): Promise<Verdict> {
  const isGood = answer.code === 'CONFIRMED';
  const row = await store.loadRecord(SPACE.meta, REMOVED);
  if (row === undefined) return isGood ? 'ready' : 'refused';
  if (!isGood) return 'removed';
  const gone = { space: SPACE.meta, key: REMOVED, value: undefined, expectedVersion: row.version };
  await store.commit({ extra: { records: [gone] } });
  return 'ready';
}
