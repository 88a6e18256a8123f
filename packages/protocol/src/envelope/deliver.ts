/**
 * 12 Envelope. Writing a delivered envelope as an item of a frame, in one pass over one array.
 *
 * Every envelope that passes through a relay is written once by this function. Building it from nested
 * writers gives the same bytes, which a test compares, and costs ten times as much: each level copies the
 * body and wipes what it copied from.
 */
import type { Bytes } from '../bytes.js';

/** What is delivered. */
export interface DeliverFields {
  readonly seq: number;
  readonly clientId: Uint8Array;
  readonly body: Uint8Array;
  readonly minute: number;
  readonly attempt: number;
}

/** The item `{ ev: { deliver } }` with its tag in the frame. */
export function encodeDeliverItem(fields: DeliverFields): Bytes {
  const { seq, clientId, body, minute, attempt } = fields;
  const deliver =
    uintSize(seq) + bytesSize(clientId) + bytesSize(body) + uintSize(minute) + uintSize(attempt);
  const event = 1 + varintSize(deliver) + deliver;
  const item = 1 + varintSize(event) + event;
  const out = new Uint8Array(1 + varintSize(item) + item);
  let at = putVarint(out, putTag(out, 0, TAG_ITEM), item);
  at = putVarint(out, putTag(out, at, TAG_EVENT), event);
  at = putVarint(out, putTag(out, at, TAG_DELIVER), deliver);
  at = putUint(out, at, TAG_SEQ, seq);
  at = putBytes(out, at, TAG_CLIENT_ID, clientId);
  at = putBytes(out, at, TAG_BODY, body);
  at = putUint(out, at, TAG_MINUTE, minute);
  putUint(out, at, TAG_ATTEMPT, attempt);
  return out;
}

/** 0 is left out, as proto3 does. */
function uintSize(value: number): number {
  return value === 0 ? 0 : 1 + varintSize(value);
}

function bytesSize(value: Uint8Array): number {
  return 1 + varintSize(value.length) + value.length;
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) size++;
  return size;
}

function putUint(out: Bytes, at: number, tag: number, value: number): number {
  return value === 0 ? at : putVarint(out, putTag(out, at, tag), value);
}

function putBytes(out: Bytes, at: number, tag: number, value: Uint8Array): number {
  const start = putVarint(out, putTag(out, at, tag), value.length);
  out.set(value, start);
  return start + value.length;
}

function putTag(out: Bytes, at: number, tag: number): number {
  out[at] = tag;
  return at + 1;
}

function putVarint(out: Bytes, at: number, value: number): number {
  let rest = value;
  let end = at;
  while (rest > 0x7f) {
    out[end++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  out[end++] = rest;
  return end;
}

/** Field number times eight, plus 2 for bytes and 0 for integers. */
const TAG_ITEM = 0x0a; // Frame.items
const TAG_EVENT = 0x1a; // Item.ev
const TAG_DELIVER = 0x12; // Event.deliver
const TAG_SEQ = 0x08;
const TAG_CLIENT_ID = 0x12;
const TAG_BODY = 0x1a;
const TAG_MINUTE = 0x20;
const TAG_ATTEMPT = 0x28;
