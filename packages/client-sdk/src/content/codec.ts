/**
 * 15 Content §2. A content as bytes: id, time, one body, and around it timer, group and link.
 *
 * Everything here is authenticated by the session it came through; nothing here is seen by a relay.
 */
import { DecodeError, ProtoWriter, type Bytes } from '@qasid/protocol';
import { TOKEN_BYTES, TOKEN_ID_BYTES } from '@qasid/protocol/envelope';

import { BODY_FIELDS, decodeBody, encodeBody, type KnownKind } from './bodies.js';
import { Fields, refuse, type FieldType } from './fields.js';
import {
  CHAIN_COUNTER_MAX,
  CHAIN_ID_BYTES,
  CONTENT_ID_BYTES,
  CONTENT_VERSION,
  HASH_BYTES,
  TIME_MAX_MS,
  TIMER_SECONDS_MAX,
  WITHDRAWN_MAX,
} from './limits.js';
import type { Content, ContentBody, DeliveryToken, GroupContext, Link, Timer } from './types.js';

const FIELD = { version: 1, id: 2, time: 3, timer: 21, group: 22, delivery: 24, link: 30 } as const;

const KINDS = Object.entries(BODY_FIELDS) as readonly (readonly [KnownKind, number])[];

const TYPES: Readonly<Record<number, FieldType>> = {
  1: 'number',
  2: 'bytes',
  3: 'number',
  ...Object.fromEntries(KINDS.map(([, field]) => [field, 'bytes'])),
  21: 'bytes',
  22: 'bytes',
  24: 'bytes',
  30: 'bytes',
};

/** Encode without padding; the same content always gives the same bytes. */
export function encodeContent(content: Content): Bytes {
  const { body, timer, group, delivery, link } = content;
  const writer = new ProtoWriter()
    .uint32(FIELD.version, CONTENT_VERSION)
    .bytes(FIELD.id, content.id)
    .uint64(FIELD.time, content.sentAtMs);
  const encoded = encodeBody(body);
  if (encoded !== undefined && body.kind !== 'unknown') {
    writer.bytes(BODY_FIELDS[body.kind], encoded);
  }
  if (timer !== undefined) {
    const { seconds, version } = timer;
    writer.bytes(FIELD.timer, new ProtoWriter(16).uint32(1, seconds).uint32(2, version).finish());
  }
  if (group !== undefined) {
    const { id, epoch, head, version } = group;
    const context = new ProtoWriter(96).bytes(1, id).uint64(2, epoch).bytes(3, head);
    if (version > 0) context.uint32(4, version);
    writer.bytes(FIELD.group, context.finish());
  }
  if (delivery !== undefined) {
    const { id, token } = delivery;
    writer.bytes(FIELD.delivery, new ProtoWriter(64).bytes(1, id).bytes(2, token).finish());
  }
  if (link !== undefined) writer.raw(encodeLinkField(link));
  return writer.finish();
}

/** The link as the last field of a content: appended to the bytes of one that has none. */
export function encodeLinkField(link: Link): Bytes {
  const writer = new ProtoWriter(64).bytes(1, link.chain).uint32(2, link.counter);
  writer.bytes(3, link.previous);
  for (const counter of link.withdrawn) writer.uint32(4, counter);
  return new ProtoWriter(80).bytes(FIELD.link, writer.finish()).finish();
}

/**
 * Decode content without padding. Unknown fields and unknown kinds are no error.
 *
 * @throws DecodeError `DECODE_CONTENT` when it is not content at all, holds two bodies, or breaks a bound.
 */
export function decodeContent(bytes: Uint8Array): Content {
  try {
    return readContent(bytes);
  } catch (cause) {
    if (cause instanceof DecodeError && cause.code === 'DECODE_CONTENT') throw cause;
    throw new DecodeError('DECODE_CONTENT', 'content is damaged', { cause });
  }
}

/**
 * The content without its link: what quotes are bound to, and what is kept.
 *
 * @param bytes - What `decodeContent` took.
 */
export function withoutLink(bytes: Uint8Array, content: Content): Uint8Array {
  if (content.link === undefined) return bytes;
  return bytes.subarray(0, bytes.length - encodeLinkField(content.link).length);
}

function readContent(bytes: Uint8Array): Content {
  const fields = new Fields(bytes, TYPES);
  const id = fields.bytes(FIELD.id, CONTENT_ID_BYTES);
  const sentAtMs = fields.optionalNumber(FIELD.time, TIME_MAX_MS) ?? refuse('content has no time');
  const timer = fields.view(FIELD.timer);
  const group = fields.view(FIELD.group);
  const delivery = fields.view(FIELD.delivery);
  const link = fields.view(FIELD.link);
  return {
    id,
    sentAtMs,
    body: readBody(fields),
    ...(timer && { timer: decodeTimer(timer) }),
    ...(group && { group: decodeGroup(group) }),
    ...(delivery && { delivery: decodeDelivery(delivery) }),
    ...(link && { link: decodeLink(bytes, link) }),
  };
}

function readBody(fields: Fields): ContentBody {
  let body: ContentBody | undefined;
  for (const [kind, field] of KINDS) {
    const encoded = fields.view(field);
    if (encoded === undefined) continue;
    if (body !== undefined) refuse('content says two things');
    body = decodeBody(kind, encoded);
  }
  return body ?? { kind: 'unknown' };
}

function decodeTimer(encoded: Uint8Array): Timer {
  const fields = new Fields(encoded, { 1: 'number', 2: 'number' });
  return { seconds: fields.number(1, TIMER_SECONDS_MAX), version: fields.number(2, 0xffff_ffff) };
}

function decodeGroup(encoded: Uint8Array): GroupContext {
  const fields = new Fields(encoded, { 1: 'bytes', 2: 'number', 3: 'bytes', 4: 'number' });
  return {
    id: fields.bytes(1, HASH_BYTES),
    epoch: fields.number(2, Number.MAX_SAFE_INTEGER),
    head: fields.bytes(3, HASH_BYTES),
    version: fields.number(4, 0xffff_ffff),
  };
}

function decodeDelivery(encoded: Uint8Array): DeliveryToken {
  const fields = new Fields(encoded, { 1: 'bytes', 2: 'bytes' });
  return { id: fields.bytes(1, TOKEN_ID_BYTES), token: fields.bytes(2, TOKEN_BYTES) };
}

function decodeLink(content: Uint8Array, encoded: Uint8Array): Link {
  const types = { 1: 'bytes', 2: 'number', 3: 'bytes', 4: 'number' } as const;
  const fields = new Fields(encoded, types, { 4: WITHDRAWN_MAX });
  const link: Link = {
    chain: fields.bytes(1, CHAIN_ID_BYTES),
    counter: fields.number(2, CHAIN_COUNTER_MAX),
    previous: fields.bytes(3, HASH_BYTES),
    withdrawn: fields.numbers(4, CHAIN_COUNTER_MAX),
  };
  if (link.counter === 0) refuse('a link has no counter');
  // Last and canonical: everybody must agree what the content without its link is.
  const tail = encodeLinkField(link);
  const at = content.length - tail.length;
  if (at < 0 || !tail.every((byte, index) => content[at + index] === byte)) {
    refuse('a link is not the last field');
  }
  return link;
}
