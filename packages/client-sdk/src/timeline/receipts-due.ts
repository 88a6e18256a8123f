/**
 * Receipts that are to be sent to one account: kept until the next one goes, as a record.
 */
import { fromHex, ProtoWriter, toHex, type Bytes } from '@qasid/protocol';

import { Fields } from '../content/fields.js';
import { CONTENT_ID_BYTES, RECEIPT_IDS_MAX } from '../content/limits.js';
import type { ReceiptBody } from '../content/types.js';

/** Ids kept per list; more than anybody is told of is dropped. */
const DUE_MAX = 4_096;

/** Content ids as hex, each in one list only: what was read was delivered. */
export interface ReceiptsDue {
  readonly delivered: readonly string[];
  readonly read: readonly string[];
  readonly viewed: readonly string[];
}

/** Nothing to tell. */
export const NOTHING_DUE: ReceiptsDue = { delivered: [], read: [], viewed: [] };

/** One more to tell; a stronger one takes the place of a weaker. */
export function addReceipt(
  due: ReceiptsDue,
  receipt: 'delivered' | 'read' | 'viewed',
  ids: readonly string[],
): ReceiptsDue {
  const known = new Set([
    ...due.viewed,
    ...(receipt === 'viewed' ? [] : due.read),
    ...(receipt === 'delivered' ? due.delivered : []),
  ]);
  const fresh = ids.filter((id) => !known.has(id));
  const without = (list: readonly string[]): readonly string[] =>
    list.filter((id) => !fresh.includes(id));
  const next = {
    delivered: without(due.delivered),
    read: without(due.read),
    viewed: without(due.viewed),
  };
  return { ...next, [receipt]: [...next[receipt], ...fresh].slice(-DUE_MAX) };
}

/** What the next receipt says, and what is left for the one after it. */
export function takeReceipt(due: ReceiptsDue): {
  readonly body: ReceiptBody;
  readonly left: ReceiptsDue;
} {
  const take = (list: readonly string[]): readonly Bytes[] =>
    list.slice(0, RECEIPT_IDS_MAX).map((id) => fromHex(id) ?? new Uint8Array(CONTENT_ID_BYTES));
  const leave = (list: readonly string[]): readonly string[] => list.slice(RECEIPT_IDS_MAX);
  return {
    body: {
      kind: 'receipt',
      delivered: take(due.delivered),
      read: take(due.read),
      viewed: take(due.viewed),
    },
    left: { delivered: leave(due.delivered), read: leave(due.read), viewed: leave(due.viewed) },
  };
}

/** Bytes of the record; `undefined` for none. */
export function encodeDue(due: ReceiptsDue): Bytes | undefined {
  const { body } = takeReceipt(due);
  if (body.delivered.length + body.read.length + body.viewed.length === 0) return undefined;
  const writer = new ProtoWriter(512);
  for (const [field, list] of [due.delivered, due.read, due.viewed].entries()) {
    for (const id of list) writer.bytes(field + 1, fromHex(id) ?? new Uint8Array(0));
  }
  return writer.finish();
}

/** @throws DecodeError */
export function decodeDue(encoded: Uint8Array | undefined): ReceiptsDue {
  if (encoded === undefined) return NOTHING_DUE;
  const lists = { 1: DUE_MAX, 2: DUE_MAX, 3: DUE_MAX };
  const fields = new Fields(encoded, { 1: 'bytes', 2: 'bytes', 3: 'bytes' }, lists);
  const [delivered = [], read = [], viewed = []] = [1, 2, 3].map((field) =>
    fields.views(field).map(toHex),
  );
  return { delivered, read, viewed };
}
