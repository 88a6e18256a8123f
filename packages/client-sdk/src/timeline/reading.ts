/**
 * 15 Content §8. What was read: unread counts, timers that begin, view-once messages that end.
 */
import { decodeState } from '../content/message-state.js';
import type { MessageRow, Position } from '../stores/port.js';
import type { Batch } from './batch.js';
import { contentOf, withState } from './changes.js';
import type { Surroundings } from './types.js';

/** Rows looked at in one go. */
const PAGE = 200;

/** Whether `a` stands after `b`. */
export function isAfter(a: Position, b: Position): boolean {
  return a.place > b.place || (a.place === b.place && a.seq > b.seq);
}

/**
 * Everything received up to `through` counts as read.
 *
 * @returns the messages that were not read before.
 */
export async function readThrough(
  batch: Batch,
  peer: string,
  through: Position,
  around: Surroundings,
): Promise<readonly MessageRow[]> {
  const state = await batch.conversation(peer);
  if (state === undefined) return [];
  const read: MessageRow[] = [];
  let unread = 0;
  let after: Position = state.readThrough;
  for (;;) {
    const rows = await batch.page({ peer, after, limit: PAGE });
    for (const row of rows) {
      after = row;
      if (row.direction !== 'received' || row.kind === 'undecryptable') continue;
      const before = decodeState(row.state);
      if (before.read) continue;
      if (isAfter(row, through)) unread++;
      else read.push(markRow(batch, row, around.nowMs));
    }
    if (rows.length < PAGE) break;
  }
  const { place, seq } = isAfter(through, state.readThrough) ? through : state.readThrough;
  await batch.setConversation(peer, { ...state, unread, readThrough: { place, seq } });
  return read;
}

function markRow(batch: Batch, row: MessageRow, nowMs: number): MessageRow {
  const seconds = contentOf(row)?.timer?.seconds ?? 0;
  const expiresAtMs = row.expiresAtMs ?? (seconds > 0 ? nowMs + seconds * 1_000 : undefined);
  const read = { ...withState(row, { ...decodeState(row.state), read: true }), expiresAtMs };
  batch.replace(read);
  return read;
}

/** A view-once message was opened: what it said is gone. */
export function consume(batch: Batch, row: MessageRow): void {
  const state = { ...decodeState(row.state), viewed: true };
  batch.replace({ ...withState(row, state), text: '', raw: undefined }, []);
}

/** Whether a message may be opened once, and was not. */
export function isUnopened(row: MessageRow): boolean {
  const body = contentOf(row)?.body;
  return body?.kind === 'text' && body.viewOnce === true && !decodeState(row.state).viewed;
}
