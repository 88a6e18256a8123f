/**
 * 15 Content §3. Every kind of body but text: its field number, and its bytes both ways.
 */
import { ProtoWriter, type Bytes } from '@qasid/protocol';

import { decodeDeviceAction, DEVICE_ACTIONS, encodeDeviceAction } from './device-actions.js';
import { Fields, refuse, textOf } from './fields.js';
import {
  ACCOUNT_BYTES,
  CONTACT_LINES_MAX,
  CONTENT_ID_BYTES,
  EMOJI_BYTES_MAX,
  HASH_BYTES,
  NAME_BYTES_MAX,
  POLL_OPTIONS_MAX,
  RECEIPT_IDS_MAX,
  TIME_MAX_MS,
  TIMER_SECONDS_MAX,
} from './limits.js';
import {
  decodeAttachment,
  decodeRef,
  decodeText,
  defined,
  encodeAttachment,
  encodeRef,
  encodeText,
} from './text.js';
import type {
  ContactBody,
  ContentBody,
  ConversationSettings,
  LocationBody,
  MessageRef,
  PollBody,
  SyncBody,
} from './types.js';

const STATUSES = ['accepted', 'request', 'blocked'] as const;

/** Bytes of what an application or another part of the SDK puts into a content. */
const DATA_BYTES_MAX = 65_536;

/** Messages one sync may remove. */
const REMOVED_MAX = 256;

/** Units of a degree. */
const DEGREE = 10_000_000;

/** Field number of each kind within a content. Never reused; 24 is a delivery token, 25 to 29 are free, 30 is the link. */
export const BODY_FIELDS = {
  text: 4,
  sent: 5,
  reaction: 6,
  edit: 7,
  delete: 8,
  timer: 9,
  receipt: 10,
  typing: 11,
  contact: 12,
  location: 13,
  poll: 14,
  vote: 15,
  app: 16,
  sync: 17,
  profile: 18,
  call: 19,
  group: 20,
} as const;

/** A kind with bytes of its own. */
export type KnownKind = keyof typeof BODY_FIELDS;

/** The bytes of a body; `undefined` for content of a newer version, which cannot be written. */
export function encodeBody(body: ContentBody): Bytes | undefined {
  switch (body.kind) {
    case 'text':
      return encodeText(body);
    case 'sent':
      return new ProtoWriter().bytes(1, body.account).bytes(2, body.content).finish();
    case 'reaction':
      return new ProtoWriter()
        .bytes(1, encodeRef(body.target).finish())
        .text(2, body.emoji)
        .bool(3, body.remove)
        .finish();
    case 'edit':
      return new ProtoWriter().bytes(1, body.target).bytes(2, encodeText(body.text)).finish();
    case 'delete':
      return new ProtoWriter().bytes(1, body.target).finish();
    case 'timer':
      return new Uint8Array(0);
    case 'receipt': {
      const writer = new ProtoWriter();
      for (const id of body.delivered) writer.bytes(1, id);
      for (const id of body.read) writer.bytes(2, id);
      for (const id of body.viewed) writer.bytes(3, id);
      return writer.finish();
    }
    case 'typing':
      return new ProtoWriter().bool(1, body.started).finish();
    case 'contact':
      return encodeContact(body);
    case 'location':
      return encodeLocation(body);
    case 'poll': {
      const writer = new ProtoWriter().text(1, body.question);
      for (const option of body.options) writer.text(2, option);
      return writer.bool(3, body.multiple).finish();
    }
    case 'vote': {
      const writer = new ProtoWriter().bytes(1, encodeRef(body.target).finish());
      for (const option of body.options) writer.uint32(2, option);
      return writer.finish();
    }
    case 'app':
      return new ProtoWriter()
        .text(1, body.type)
        .bytes(2, body.data)
        .text(3, body.fallback)
        .finish();
    case 'sync':
      return encodeSync(body);
    case 'profile': {
      const writer = new ProtoWriter().text(1, body.name);
      if (body.key !== undefined) writer.bytes(2, body.key);
      if (body.picture !== undefined) writer.bytes(3, encodeAttachment(body.picture));
      return writer.finish();
    }
    case 'call':
    case 'group':
      return new ProtoWriter().bytes(1, body.data).finish();
    case 'unknown':
      return undefined;
  }
}

/** @throws DecodeError `DECODE_CONTENT` */
export function decodeBody(kind: KnownKind, encoded: Uint8Array): ContentBody {
  switch (kind) {
    case 'text':
      return decodeText(encoded);
    case 'sent': {
      const fields = new Fields(encoded, { 1: 'bytes', 2: 'bytes' });
      return {
        kind,
        account: conversationBytes(fields, 1),
        content: fields.bytes(2, 0, DATA_BYTES_MAX),
      };
    }
    case 'reaction': {
      const fields = new Fields(encoded, { 1: 'bytes', 2: 'bytes', 3: 'number' });
      const emoji = fields.text(2, EMOJI_BYTES_MAX);
      const remove = fields.flag(3);
      if (emoji === '' && !remove) refuse('a reaction is empty');
      return { kind, target: refOf(fields, 1), emoji, remove };
    }
    case 'edit': {
      const fields = new Fields(encoded, { 1: 'bytes', 2: 'bytes' });
      const text = decodeText(fields.view(2) ?? refuse('an edit has no text'));
      return { kind, target: fields.bytes(1, CONTENT_ID_BYTES), text };
    }
    case 'delete':
      return { kind, target: new Fields(encoded, { 1: 'bytes' }).bytes(1, CONTENT_ID_BYTES) };
    case 'timer':
      return { kind };
    case 'receipt': {
      const lists = { 1: RECEIPT_IDS_MAX, 2: RECEIPT_IDS_MAX, 3: RECEIPT_IDS_MAX };
      const fields = new Fields(encoded, { 1: 'bytes', 2: 'bytes', 3: 'bytes' }, lists);
      const [delivered = [], read = [], viewed = []] = [1, 2, 3].map((field) =>
        fields.views(field).map(toId),
      );
      return { kind, delivered, read, viewed };
    }
    case 'typing':
      return { kind, started: new Fields(encoded, { 1: 'number' }).flag(1) };
    case 'contact':
      return decodeContact(encoded);
    case 'location':
      return decodeLocation(encoded);
    case 'poll':
      return decodePoll(encoded);
    case 'vote': {
      const types = { 1: 'bytes', 2: 'number' } as const;
      const fields = new Fields(encoded, types, { 2: POLL_OPTIONS_MAX });
      const options = fields.numbers(2, POLL_OPTIONS_MAX - 1);
      if (!options.every((option, at) => at === 0 || option > (options[at - 1] ?? 0))) {
        refuse('options of a vote do not rise');
      }
      return { kind, target: refOf(fields, 1), options };
    }
    case 'app': {
      const fields = new Fields(encoded, { 1: 'bytes', 2: 'bytes', 3: 'bytes' });
      const type = fields.text(1, NAME_BYTES_MAX);
      if (!isAppType(type)) refuse('the type of an application’s content is not namespaced');
      const data = fields.optionalBytes(2, 0, DATA_BYTES_MAX) ?? new Uint8Array(0);
      return { kind, type, data, fallback: fields.text(3, DATA_BYTES_MAX) };
    }
    case 'sync':
      return decodeSync(encoded);
    case 'profile': {
      const fields = new Fields(encoded, { 1: 'bytes', 2: 'bytes', 3: 'bytes' });
      const picture = fields.view(3);
      return defined({
        kind,
        name: fields.text(1, NAME_BYTES_MAX),
        key: fields.optionalBytes(2, HASH_BYTES),
        picture: picture && decodeAttachment(picture),
      });
    }
    case 'call':
    case 'group':
      return { kind, data: new Fields(encoded, { 1: 'bytes' }).bytes(1, 0, DATA_BYTES_MAX) };
  }
}

/** Whether `type` says who defined it: `org.example.chess/move`. */
export function isAppType(type: string): boolean {
  return type.length <= 128 && /^[a-z0-9-]+(\.[a-z0-9-]+)+\/[a-zA-Z0-9._-]+$/.test(type);
}

function refOf(fields: Fields, field: number): MessageRef {
  return decodeRef(fields.view(field) ?? refuse('a message is not named'));
}

function toId(view: Uint8Array): Bytes {
  if (view.length !== CONTENT_ID_BYTES) refuse('an id has a wrong length');
  return view.slice() as Bytes;
}

/** An account or a group. */
function conversationBytes(fields: Fields, field: number): Bytes {
  const value = fields.bytes(field, ACCOUNT_BYTES, HASH_BYTES);
  if (value.length !== ACCOUNT_BYTES && value.length !== HASH_BYTES) {
    refuse('neither an account nor a group');
  }
  return value;
}

function encodeContact(body: ContactBody): Bytes {
  const writer = new ProtoWriter().text(1, body.name);
  if (body.account !== undefined) writer.bytes(2, body.account);
  if (body.username !== undefined) writer.text(3, body.username);
  for (const { label, value } of body.lines ?? []) {
    writer.bytes(4, new ProtoWriter().text(1, label).text(2, value).finish());
  }
  return writer.finish();
}

function decodeContact(encoded: Uint8Array): ContactBody {
  const types = { 1: 'bytes', 2: 'bytes', 3: 'bytes', 4: 'bytes' } as const;
  const fields = new Fields(encoded, types, { 4: CONTACT_LINES_MAX });
  const lines = fields.views(4).map((view) => {
    const line = new Fields(view, { 1: 'bytes', 2: 'bytes' });
    return { label: line.text(1, NAME_BYTES_MAX), value: line.text(2, NAME_BYTES_MAX) };
  });
  return defined({
    kind: 'contact' as const,
    name: fields.text(1, NAME_BYTES_MAX),
    account: fields.optionalBytes(2, ACCOUNT_BYTES),
    username: fields.optionalText(3, NAME_BYTES_MAX),
    lines: lines.length > 0 ? lines : undefined,
  });
}

/** Degrees as whole units above the lowest: no sign, no rounding that differs between machines. */
function encodeLocation(body: LocationBody): Bytes {
  const writer = new ProtoWriter()
    .uint32(1, Math.round((body.latitude + 90) * DEGREE))
    .uint32(2, Math.round((body.longitude + 180) * DEGREE));
  if (body.accuracyMetres !== undefined) writer.uint32(3, body.accuracyMetres);
  if (body.label !== undefined) writer.text(4, body.label);
  return writer.finish();
}

function decodeLocation(encoded: Uint8Array): LocationBody {
  const fields = new Fields(encoded, { 1: 'number', 2: 'number', 3: 'number', 4: 'bytes' });
  if (!fields.has(1) || !fields.has(2)) refuse('a location has no place');
  return defined({
    kind: 'location' as const,
    latitude: (fields.number(1, 180 * DEGREE) - 90 * DEGREE) / DEGREE,
    longitude: (fields.number(2, 360 * DEGREE) - 180 * DEGREE) / DEGREE,
    accuracyMetres: fields.optionalNumber(3, 40_000_000),
    label: fields.optionalText(4, NAME_BYTES_MAX),
  });
}

function decodePoll(encoded: Uint8Array): PollBody {
  const types = { 1: 'bytes', 2: 'bytes', 3: 'number' } as const;
  const fields = new Fields(encoded, types, { 2: POLL_OPTIONS_MAX });
  const options = fields.views(2).map((view) => textOf(view, NAME_BYTES_MAX));
  if (options.length < 2) refuse('a poll has fewer than two options');
  const question = fields.text(1, 4 * NAME_BYTES_MAX);
  return { kind: 'poll', question, options, multiple: fields.flag(3) };
}

function encodeSync({ conversation, action }: SyncBody): Bytes {
  const writer = new ProtoWriter().bytes(1, conversation);
  switch (action.kind) {
    case 'read':
      return writer.bytes(2, encodeRef(action.through).finish()).finish();
    case 'viewed':
      return writer.bytes(3, encodeRef(action.message).finish()).finish();
    case 'removed': {
      const list = new ProtoWriter();
      for (const ref of action.messages) list.bytes(1, encodeRef(ref).finish());
      return writer.bytes(4, list.finish()).finish();
    }
    case 'cleared':
      return writer.bytes(5, new Uint8Array(0)).finish();
    case 'settings':
      return writer.bytes(6, encodeSettings(action.settings)).finish();
    default:
      return writer.bytes(DEVICE_ACTIONS[action.kind], encodeDeviceAction(action)).finish();
  }
}

function decodeSync(encoded: Uint8Array): SyncBody | { readonly kind: 'unknown' } {
  const types = Object.fromEntries(
    Array.from({ length: 9 }, (_, index) => [index + 1, 'bytes' as const]),
  );
  const fields = new Fields(encoded, types);
  const conversation = conversationBytes(fields, 1);
  const [read, viewed, removed, cleared, settings] = [2, 3, 4, 5, 6].map((field) =>
    fields.view(field),
  );
  const action = ((): SyncBody['action'] | undefined => {
    if (read) return { kind: 'read', through: decodeRef(read) };
    if (viewed) return { kind: 'viewed', message: decodeRef(viewed) };
    if (removed) {
      const list = new Fields(removed, { 1: 'bytes' }, { 1: REMOVED_MAX });
      return { kind: 'removed', messages: list.views(1).map(decodeRef) };
    }
    if (cleared) return { kind: 'cleared' };
    if (settings) return { kind: 'settings', settings: decodeSettings(settings) };
    return decodeDeviceAction(fields);
  })();
  return action === undefined ? { kind: 'unknown' } : { kind: 'sync', conversation, action };
}

/** What a person decided; also part of the stored record of a conversation. */
export function encodeSettings(settings: ConversationSettings): Bytes {
  return new ProtoWriter(32)
    .uint32(1, STATUSES.indexOf(settings.status) + 1)
    .uint64(2, settings.mutedUntilMs)
    .bool(3, settings.archived)
    .uint32(4, settings.retentionSeconds)
    .finish();
}

/** @throws DecodeError `DECODE_CONTENT` */
export function decodeSettings(encoded: Uint8Array): ConversationSettings {
  const fields = new Fields(encoded, { 1: 'number', 2: 'number', 3: 'number', 4: 'number' });
  return {
    status: STATUSES[fields.number(1, 255) - 1] ?? refuse('settings have an odd status'),
    mutedUntilMs: fields.number(2, TIME_MAX_MS),
    archived: fields.flag(3),
    retentionSeconds: fields.number(4, 100 * TIMER_SECONDS_MAX),
  };
}
