/**
 * 15 Content §10. Messages that were deleted here lately. Repair sends to all devices of an account, also to those that
 * had opened a message and deleted it since: it must not come back.
 *
 * Only what may still be sent again is remembered, and only until then. Messages with a timer need no note: their
 * sender's copy goes first. A whole conversation is remembered by its chains: `clearChain`.
 */
import { ProtoWriter } from '@qasid/protocol';

import { Fields } from '../content/fields.js';
import type { ClientStore, MessageRow, RecordRow } from '../stores/port.js';
import { SPACE, type Batch } from './batch.js';

/** A sender keeps what it sent for a day, and what it sends again may be on its way for as long. */
const GONE_KEPT_MS = 48 * 60 * 60_000;

/** Records forgotten in one commit. */
const PAGE = 256;

/** Remember that these messages are deleted, in the commit that deletes them. */
export async function noteGone(
  batch: Batch,
  rows: readonly MessageRow[],
  nowMs: number,
): Promise<void> {
  for (const { peer, author, id, direction, kind, receivedAtMs } of rows) {
    if (direction === 'sent' || kind === 'undecryptable') continue;
    if (nowMs - receivedAtMs > GONE_KEPT_MS) continue;
    const value = new ProtoWriter(8).uint64(1, nowMs).finish();
    await batch.setRecord(SPACE.gone, keyOf(peer, author, id), value);
  }
}

/** Whether a message was deleted here. */
export async function isGone(
  batch: Batch,
  peer: string,
  author: string,
  id: string,
): Promise<boolean> {
  return (await batch.record(SPACE.gone, keyOf(peer, author, id))) !== undefined;
}

/** Forget what nobody sends again any more. */
export async function forgetGone(store: ClientStore, nowMs: number): Promise<void> {
  const old = (await store.loadRecords(SPACE.gone)).filter((row) => isOld(row, nowMs));
  for (let at = 0; at < old.length; at += PAGE) {
    const records = old.slice(at, at + PAGE).map(({ key, version }) => {
      return { space: SPACE.gone, key, value: undefined, expectedVersion: version };
    });
    await store.commit({ extra: { records } });
  }
}

function isOld({ value }: RecordRow, nowMs: number): boolean {
  const age = nowMs - new Fields(value, { 1: 'number' }).number(1, Number.MAX_SAFE_INTEGER);
  // Noted before the clock was set back.
  return age > GONE_KEPT_MS || age < -GONE_KEPT_MS;
}

function keyOf(peer: string, author: string, id: string): string {
  return `${peer}/${author}/${id}`;
}
