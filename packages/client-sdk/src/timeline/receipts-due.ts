/**
 * 15 Content §7. Receipts that are to be sent: kept until the next one goes, as one record for each message. So a
 * message costs as much to store when thousands are due as when none is.
 */
import { fromHex, ProtoWriter, toHex, type Bytes } from '@qasid/protocol';

import { Fields } from '../content/fields.js';
import { CONTENT_ID_BYTES, RECEIPT_IDS_MAX } from '../content/limits.js';
import type { ReceiptBody } from '../content/types.js';
import type { RecordChange, RecordRow } from '../stores/port.js';
import { SPACE, type Batch } from './batch.js';

/** Records kept of one account; older ones are dropped when a receipt goes, and nobody is told of them. */
export const DUE_MAX = 4_096;

/** Records dropped at once, so that no commit grows without bound. */
const DROPPED_MAX = 1_024;

/** From the weakest to the strongest: what was read was delivered. */
const KINDS = ['delivered', 'read', 'viewed'] as const;

/** What a receipt says of a message. */
export type ReceiptKind = (typeof KINDS)[number];

/** Content ids as hex. A record holds one; those of the first version held all of an account. */
type Due = Readonly<Record<ReceiptKind, readonly string[]>>;

/** Which kinds a person lets go. */
export interface ReceiptPolicy {
  readonly delivered: boolean;
  readonly read: boolean;
}

/** Owe `account` a receipt for these messages; a stronger one takes the place of a weaker. */
export async function owe(
  batch: Batch,
  account: string,
  receipt: ReceiptKind,
  ids: readonly string[],
): Promise<void> {
  for (const id of ids.slice(-DUE_MAX)) {
    const key = `${account}/${id}`;
    const due = decodeDue(await batch.record(SPACE.receipts, key));
    const isWeaker = KINDS.indexOf(receipt) <= KINDS.findIndex((kind) => due[kind].length > 0);
    if (isWeaker) continue;
    await batch.setRecord(SPACE.receipts, key, encodeDue({ ...NOTHING, [receipt]: [id] }));
  }
}

/** Owe an account nothing any more. */
export async function oweNothing(batch: Batch, account: string): Promise<void> {
  await batch.removeRecords(SPACE.receipts, (key) => accountOf(key) === account);
}

/** The account that a record is about. */
export function accountOf(key: string): string {
  return key.split('/')[0] ?? '';
}

/**
 * What the next receipt to an account says.
 *
 * @param rows - Records of this account, oldest first.
 * @returns `changes`: what takes it off the list, `left`: whether there is more.
 */
export function takeReceipt(
  rows: readonly RecordRow[],
  policy: ReceiptPolicy,
): {
  readonly body: ReceiptBody;
  readonly changes: readonly RecordChange[];
  readonly left: boolean;
} {
  const taken: Record<ReceiptKind, string[]> = { delivered: [], read: [], viewed: [] };
  const changes: RecordChange[] = [];
  let left = false;
  const dropped = Math.min(rows.length - DUE_MAX, DROPPED_MAX);
  for (const [at, { key, value, version }] of rows.entries()) {
    const due = at < dropped ? NOTHING : allowed(decodeDue(value), policy);
    const rest: Record<ReceiptKind, readonly string[]> = { ...NOTHING };
    for (const kind of KINDS) {
      const room = RECEIPT_IDS_MAX - taken[kind].length;
      taken[kind].push(...due[kind].slice(0, room));
      rest[kind] = due[kind].slice(room);
    }
    const next = encodeDue(rest);
    left ||= next !== undefined;
    // A record of one message that is not taken stays as it is.
    if (next?.length === value.length) continue;
    changes.push({ space: SPACE.receipts, key, value: next, expectedVersion: version });
  }
  const idsOf = (kind: ReceiptKind): readonly Bytes[] => taken[kind].map(idBytes);
  const body: ReceiptBody = {
    kind: 'receipt',
    delivered: idsOf('delivered'),
    read: idsOf('read'),
    viewed: idsOf('viewed'),
  };
  return { body, changes, left };
}

const NOTHING: Due = { delivered: [], read: [], viewed: [] };

function allowed(due: Due, policy: ReceiptPolicy): Due {
  const delivered = policy.read ? due.delivered : [...due.delivered, ...due.read, ...due.viewed];
  return {
    delivered: policy.delivered ? delivered : [],
    read: policy.read ? due.read : [],
    viewed: policy.read ? due.viewed : [],
  };
}

function idBytes(id: string): Bytes {
  return fromHex(id) ?? new Uint8Array(CONTENT_ID_BYTES);
}

/** Bytes of a record; `undefined` for none. */
function encodeDue(due: Due): Bytes | undefined {
  if (KINDS.every((kind) => due[kind].length === 0)) return undefined;
  const writer = new ProtoWriter(32);
  for (const [at, kind] of KINDS.entries()) {
    for (const id of due[kind]) writer.bytes(at + 1, idBytes(id));
  }
  return writer.finish();
}

/** @throws DecodeError */
function decodeDue(encoded: Uint8Array | undefined): Due {
  if (encoded === undefined) return NOTHING;
  const lists = { 1: DUE_MAX, 2: DUE_MAX, 3: DUE_MAX };
  const fields = new Fields(encoded, { 1: 'bytes', 2: 'bytes', 3: 'bytes' }, lists);
  const [delivered = [], read = [], viewed = []] = [1, 2, 3].map((field) =>
    fields.views(field).map(toHex),
  );
  return { delivered, read, viewed };
}
