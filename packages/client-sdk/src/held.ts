/**
 * Rows that wait for a person, because the relay showed another key than the trusted one.
 */
import { TrustError } from '@qasid/protocol';

import type { Directory } from './directory.js';
import type { ClientStore } from './stores/port.js';

/** Let go of rows to whom the relay shows the trusted key again. @throws StoreError, NetworkError */
export async function releaseTrusted(store: ClientStore, directory: Directory): Promise<void> {
  if ((await store.outboxState()) === 'empty' || !(await store.hasUnsealed())) return;
  const rows = (await store.loadOutbox({ limit: 10_000 })).filter(({ held }) => held);
  // Who was written to by a name that nobody has resolved yet has only that.
  for (const who of new Set(rows.map(({ account, username }) => account ?? username))) {
    if (who === undefined || !(await isTrusted(directory, who))) continue;
    const freed = rows.filter(({ account, username }) => (account ?? username) === who);
    await store.commit({
      extra: { outboxChanged: freed.map((row) => ({ ...row, held: false })) },
    });
  }
}

async function isTrusted(directory: Directory, who: string): Promise<boolean> {
  try {
    const known = await directory.known(who);
    if (known === undefined) await directory.resolve(who);
    else await directory.refresh(known.account);
    return true;
  } catch (error) {
    if (error instanceof TrustError) return false;
    throw error;
  }
}
