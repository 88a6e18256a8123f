/**
 * A history from before there were conversations gets them, once: the list, unread counts and words.
 */
import { StoreError } from '@qasid/protocol';

import type { Clock } from './clock.js';
import { newConversation, type ConversationState } from './content/conversation-state.js';
import { termsOf } from './content/terms.js';
import type { ClientStore, MessageReplacement } from './stores/port.js';
import { Batch, joinExtras, SPACE } from './timeline/batch.js';

/** Rows in one commit. */
const PAGE = 200;

/** Name of the record that says it was done. */
const DONE = 'conversations';

/**
 * Does nothing the second time. Another process that is quicker is right.
 *
 * @throws StoreError; the next opening tries again.
 */
export async function adoptHistory(store: ClientStore, clock: Clock): Promise<void> {
  if ((await store.loadRecord(SPACE.meta, DONE)) !== undefined) return;
  const found = new Map<string, ConversationState>();
  for (let after = 0; ; ) {
    const rows = await store.loadMessages({ after, limit: PAGE });
    const messagesReplaced: MessageReplacement[] = [];
    for (const row of rows) {
      after = row.seq;
      if (row.peer === '' || row.kind === 'undecryptable') continue;
      const before = found.get(row.peer) ?? newConversation('request');
      const accepted = row.direction === 'sent' ? 'accepted' : before.settings.status;
      found.set(row.peer, {
        ...before,
        settings: { ...before.settings, status: accepted },
        lastActivityMs: Math.max(before.lastActivityMs, row.receivedAtMs),
        // What was shown by a version without unread counts counts as read.
        readThrough: { place: row.place, seq: row.seq },
      });
      messagesReplaced.push({ row, terms: termsOf(row.text) });
    }
    if (messagesReplaced.length > 0) await store.commit({ extra: { messagesReplaced } });
    if (rows.length < PAGE) break;
  }
  const batch = new Batch(store);
  for (const [peer, state] of found) {
    if ((await batch.conversation(peer)) === undefined) await batch.setConversation(peer, state);
  }
  const value = new TextEncoder().encode(new Date(clock.now()).toISOString());
  const done = { space: SPACE.meta, key: DONE, value: new Uint8Array(value), expectedVersion: 0 };
  await store.commit({ extra: joinExtras(batch.toExtra(), { records: [done] }) });
}

/** Do it while the client runs. Never rejects. */
export async function adoptInBackground(
  on: { readonly store: ClientStore; readonly clock: Clock },
  trouble: (error: unknown) => void,
): Promise<void> {
  try {
    await adoptHistory(on.store, on.clock);
  } catch (error) {
    // Another process does the same, or the next opening will.
    if (!(error instanceof StoreError) || error.code !== 'STORE_CONFLICT') trouble(error);
  }
}
