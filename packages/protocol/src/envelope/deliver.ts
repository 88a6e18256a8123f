/**
 * 12 Envelope. Writing the two items that every message costs a relay, a delivered envelope and an answer that
 * is only a code, in one pass over an array that is there already.
 *
 * Building them from nested writers gives the same bytes, which a test compares, and costs ten times as much:
 * each level copies the body and wipes what it copied from.
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

/** Bytes of the item `{ ev: { deliver } }` with its tag in the frame. */
export function deliverItemSize(fields: DeliverFields): number {
  return nestedSize(nestedSize(nestedSize(deliverSize(fields))));
}

/** Write that item at `at`; there is room for it. */
export function putDeliverItem(out: Bytes, start: number, fields: DeliverFields): void {
  const deliver = deliverSize(fields);
  const event = nestedSize(deliver);
  let at = putLength(out, start, TAG_ITEM, nestedSize(event));
  at = putLength(out, at, TAG_EVENT, event);
  at = putLength(out, at, TAG_DELIVER, deliver);
  at = putUint(out, at, TAG_SEQ, fields.seq);
  at = putBytes(out, at, TAG_CLIENT_ID, fields.clientId);
  at = putBytes(out, at, TAG_BODY, fields.body);
  at = putUint(out, at, TAG_MINUTE, fields.minute);
  putUint(out, at, TAG_ATTEMPT, fields.attempt);
}

/** An answer without a body. */
export interface AnswerFields {
  readonly id: number;
  /** Number of the code; not 0. */
  readonly code: number;
  readonly retryAfterMs: number;
}

/** Bytes of the item `{ res }` with its tag in the frame. */
export function answerItemSize(fields: AnswerFields): number {
  return nestedSize(nestedSize(answerSize(fields)));
}

/** Write that item at `at`; there is room for it. */
export function putAnswerItem(out: Bytes, start: number, fields: AnswerFields): void {
  const answer = answerSize(fields);
  let at = putLength(out, start, TAG_ITEM, nestedSize(answer));
  at = putLength(out, at, TAG_RESPONSE, answer);
  at = putUint(out, at, TAG_ID, fields.id);
  at = putUint(out, at, TAG_CODE, fields.code);
  putUint(out, at, TAG_RETRY, fields.retryAfterMs);
}

function deliverSize({ seq, clientId, body, minute, attempt }: DeliverFields): number {
  const bytes = nestedSize(clientId.length) + nestedSize(body.length);
  return uintSize(seq) + bytes + uintSize(minute) + uintSize(attempt);
}

function answerSize({ id, code, retryAfterMs }: AnswerFields): number {
  return uintSize(id) + uintSize(code) + uintSize(retryAfterMs);
}

/** 0 is left out, as proto3 does. */
function uintSize(value: number): number {
  return value === 0 ? 0 : 1 + varintSize(value);
}

/** Tag, length, and so many bytes. */
function nestedSize(length: number): number {
  return 1 + varintSize(length) + length;
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
  const start = putLength(out, at, tag, value.length);
  out.set(value, start);
  return start + value.length;
}

function putLength(out: Bytes, at: number, tag: number, length: number): number {
  return putVarint(out, putTag(out, at, tag), length);
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
const TAG_RESPONSE = 0x12; // Item.res
const TAG_ID = 0x08;
const TAG_CODE = 0x10;
const TAG_RETRY = 0x18;
