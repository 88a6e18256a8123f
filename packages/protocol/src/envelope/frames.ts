/**
 * 12 Envelope. Frames: what one WebSocket message between a client and a relay holds.
 *
 * A frame carries any number of items, so both ends batch what they have. The body and the client id of a send
 * are views of the frame: the transport hands over a buffer that nobody rewrites, and whoever keeps one longer
 * than the frame copies it.
 */
import type { Bytes } from '../bytes.js';
import { DecodeError } from '../errors.js';
import { MAX_FRAME_BYTES, MAX_FRAME_ITEMS } from '../limits.js';
import { ProtoReader, ProtoWriter } from '../wire/protobuf.js';
import { decodeResponse, encodeResponse, type ResponseItem } from './answers.js';
import { RELAY_CODES } from './codes.js';
import {
  type AnswerFields,
  answerItemSize,
  type DeliverFields,
  deliverItemSize,
  putAnswerItem,
  putDeliverItem,
} from './deliver.js';
import { decodeEvent, encodeEvent, type EventItem, type RelayEvent } from './events.js';
import { badFrame, pushBounded } from './fields.js';
import { decodeRequest, encodeRequest, type RequestItem, type RequestOp } from './requests.js';

/** One member of a frame. */
export type Item = RequestItem | ResponseItem | EventItem;

/** A request item. */
export function request(id: number, op: RequestOp): RequestItem {
  return { kind: 'request', id, op };
}

/** An event item. */
export function event(relayEvent: RelayEvent): EventItem {
  return { kind: 'event', event: relayEvent };
}

/**
 * An item on its way into a frame: its size is known, and what it says is written when the frame is. What every
 * message costs a relay is kept as it is, everything else encoded.
 */
export type PreparedItem = { readonly size: number } & (
  | { readonly kind: 'deliver'; readonly fields: DeliverFields }
  | { readonly kind: 'answer'; readonly fields: AnswerFields }
  | { readonly kind: 'encoded'; readonly bytes: Bytes }
);

/** A delivered envelope. The arrays are not copied: they must stay as they are until it is written. */
export function prepareDeliver(fields: DeliverFields): PreparedItem {
  return { kind: 'deliver', size: deliverItemSize(fields), fields };
}

/** Any item. */
export function prepareItem(item: Item): PreparedItem {
  if (item.kind === 'event' && item.event.kind === 'deliver') return prepareDeliver(item.event);
  if (item.kind === 'response' && item.body.kind === 'none') {
    const { id, retryAfterMs } = item;
    const fields = { id, code: RELAY_CODES[item.code], retryAfterMs };
    return { kind: 'answer', size: answerItemSize(fields), fields };
  }
  const inner = encodeInner(item);
  const wrapped = new ProtoWriter(inner.length + 8).bytes(ITEM_FIELDS[item.kind], inner).finish();
  const bytes = new ProtoWriter(wrapped.length + 8).bytes(1, wrapped).finish();
  return { kind: 'encoded', size: bytes.length, bytes };
}

/** Write `item` at `at`, where `out` has room for its size. @returns the end */
export function putItem(out: Bytes, at: number, item: PreparedItem): number {
  if (item.kind === 'deliver') putDeliverItem(out, at, item.fields);
  else if (item.kind === 'answer') putAnswerItem(out, at, item.fields);
  else out.set(item.bytes, at);
  return at + item.size;
}

/** A member of `Frame.items`, ready to be joined with others by `joinItems`. */
export function encodeItem(item: Item): Bytes {
  const prepared = prepareItem(item);
  const out = new Uint8Array(prepared.size);
  putItem(out, 0, prepared);
  return out;
}

/** A frame of already encoded items. */
export function joinItems(items: readonly Uint8Array[]): Bytes {
  let size = 0;
  for (const item of items) size += item.length;
  const out = new Uint8Array(size);
  let offset = 0;
  for (const item of items) {
    out.set(item, offset);
    offset += item.length;
  }
  return out;
}

/** A frame. The caller keeps it under the limit the relay announced. */
export function encodeFrame(items: readonly Item[]): Bytes {
  return joinItems(items.map(encodeItem));
}

/**
 * The items of a frame. Items of a kind this version does not know are left out.
 *
 * @param bytes - At most `MAX_FRAME_BYTES`; not copied, see above.
 * @throws DecodeError `DECODE_FRAME` or `DECODE_PROTOBUF`
 */
export function decodeFrame(bytes: Uint8Array): readonly Item[] {
  if (bytes.length > MAX_FRAME_BYTES) throw badFrame(`${bytes.length} bytes`);
  const items: Item[] = [];
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field !== 1) {
      reader.skip();
      continue;
    }
    const item = decodeItem(reader.bytes());
    if (item) pushBounded(items, item, MAX_FRAME_ITEMS, 'items');
  }
  return items;
}

function decodeItem(bytes: Uint8Array): Item | undefined {
  const reader = new ProtoReader(bytes);
  let item: Item | undefined;
  while (reader.next()) {
    if (reader.field < 1 || reader.field > 3) {
      reader.skip();
      continue;
    }
    if (item !== undefined) throw badFrame('more than one kind in an item');
    if (reader.field === 1) item = decodeRequest(reader.bytes());
    else if (reader.field === 2) item = decodeResponse(reader.bytes());
    else item = decodeEvent(reader.bytes());
  }
  return item;
}

function encodeInner(item: Item): Bytes {
  switch (item.kind) {
    case 'request':
      return encodeRequest(item);
    case 'response':
      return encodeResponse(item);
    case 'event':
      return encodeEvent(item);
  }
}

/** Whether an error is one that hostile bytes cause. Anything else is a fault of ours. */
export function isFrameError(error: unknown): error is DecodeError {
  return error instanceof DecodeError;
}

const ITEM_FIELDS = { request: 1, response: 2, event: 3 } as const;
