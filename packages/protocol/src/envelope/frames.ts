/**
 * 12 Envelope. Frames: what one WebSocket message between a client and a relay holds.
 *
 * A frame carries any number of items, so both ends batch what they have. Byte strings that can be large
 * (`body`) are views of the frame: the transport hands over a buffer that nobody rewrites, and whoever keeps
 * a body longer than the frame copies it.
 */
import type { Bytes } from '../bytes.js';
import { DecodeError } from '../errors.js';
import { MAX_FRAME_BYTES, MAX_FRAME_ITEMS } from '../limits.js';
import { ProtoReader, ProtoWriter } from '../wire/protobuf.js';
import { decodeResponse, encodeResponse, type ResponseItem } from './answers.js';
import { encodeDeliverItem } from './deliver.js';
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

/** A member of `Frame.items`, ready to be joined with others by `joinItems`. */
export function encodeItem(item: Item): Bytes {
  if (item.kind === 'event' && item.event.kind === 'deliver') return encodeDeliverItem(item.event);
  const inner = encodeInner(item);
  const wrapped = new ProtoWriter(inner.length + 8).bytes(ITEM_FIELDS[item.kind], inner).finish();
  return new ProtoWriter(wrapped.length + 8).bytes(1, wrapped).finish();
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
