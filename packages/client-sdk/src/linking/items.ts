/**
 * 20 Linking §6. What a transfer carries, as a stream of items: length (4 bytes), kind (1 byte), body.
 */
import {
  concatBytes,
  ProtoWriter,
  readU32be,
  toPublicKey,
  u32be,
  type Bytes,
  type PublicKey,
} from '@qasid/protocol';

import { decodeConversation } from '../content/conversation-state.js';
import { Fields, refuse } from '../content/fields.js';
import {
  decodeContact,
  decodeMessageRow,
  encodeContact,
  encodeMessageRow,
} from '../stores/rows.js';
import type { Contact, MessageRow } from '../stores/port.js';
import type { ConversationState } from '../content/conversation-state.js';
import {
  decodeDeviceFacts,
  encodeDeviceFacts,
  type DeviceFacts,
} from '../timeline/device-facts.js';

/** One thing of a transfer. */
export type TransferItem =
  | { readonly kind: 'device'; readonly device: number; readonly facts: DeviceFacts }
  | { readonly kind: 'contact'; readonly contact: Contact; readonly identity: PublicKey }
  | { readonly kind: 'conversation'; readonly peer: string; readonly state: ConversationState }
  | { readonly kind: 'record'; readonly space: string; readonly key: string; readonly value: Bytes }
  | { readonly kind: 'message'; readonly row: MessageRow; readonly read: boolean }
  /** How many messages will come, at most. */
  | { readonly kind: 'total'; readonly messages: number }
  | { readonly kind: 'end'; readonly messages: number };

/** What is written, before it is read: records travel as bytes. */
export type OutgoingItem =
  | Exclude<TransferItem, { readonly kind: 'conversation' }>
  | { readonly kind: 'conversation'; readonly peer: string; readonly encoded: Bytes };

const KINDS = ['device', 'contact', 'conversation', 'record', 'message', 'total', 'end'] as const;

/** Largest item: a message of the largest content, with what happened to it. */
const ITEM_BYTES_MAX = 4 * 1_048_576;

/** Bytes of one item. */
export function encodeItem(item: OutgoingItem): Bytes {
  const body = bodyOf(item);
  return concatBytes(u32be(body.length), new Uint8Array([KINDS.indexOf(item.kind)]), body);
}

/**
 * The items in a stretch of the stream, and what is left of it: the beginning of the next one.
 *
 * @throws DecodeError; StoreError `STORE_CORRUPT` for a row of a newer version.
 */
export function decodeItems(bytes: Uint8Array): {
  readonly items: readonly TransferItem[];
  readonly rest: Bytes;
} {
  const items: TransferItem[] = [];
  let at = 0;
  while (bytes.length - at >= 5) {
    const length = readU32be(bytes, at);
    if (length > ITEM_BYTES_MAX) refuse('an item of a transfer is too large');
    if (bytes.length - at < 5 + length) break;
    const kind = KINDS[bytes[at + 4] ?? 255];
    const item = kind && itemOf(kind, bytes.subarray(at + 5, at + 5 + length));
    // What a newer version adds is skipped.
    if (item !== undefined) items.push(item);
    at += 5 + length;
  }
  return { items, rest: bytes.slice(at) as Bytes };
}

function bodyOf(item: OutgoingItem): Bytes {
  switch (item.kind) {
    case 'device':
      return pair(`${item.device}`, encodeDeviceFacts(item.facts));
    case 'contact':
      return new ProtoWriter(512)
        .bytes(1, encodeContact(item.contact))
        .bytes(2, item.identity)
        .finish();
    case 'conversation':
      return pair(item.peer, item.encoded);
    case 'record':
      return new ProtoWriter(item.value.length + 128)
        .text(1, item.key)
        .bytes(2, item.value)
        .text(3, item.space)
        .finish();
    case 'message': {
      const writer = new ProtoWriter(1024).bytes(1, encodeMessageRow(item.row));
      return writer.bool(2, item.read).finish();
    }
    case 'total':
    case 'end':
      return new ProtoWriter(16).uint64(1, item.messages).finish();
  }
}

function itemOf(kind: (typeof KINDS)[number], body: Uint8Array): TransferItem {
  switch (kind) {
    case 'device': {
      const { key, value } = readPair(body);
      const device = Number(key);
      if (!(device >= 1 && device <= 127)) refuse('a transfer names no device');
      return { kind, device, facts: decodeDeviceFacts(value) };
    }
    case 'contact': {
      const fields = new Fields(body, { 1: 'bytes', 2: 'bytes' });
      return {
        kind,
        contact: decodeContact(fields.bytes(1, 1, ITEM_BYTES_MAX)),
        identity: toPublicKey(fields.bytes(2, 33)),
      };
    }
    case 'conversation': {
      const { key, value } = readPair(body);
      return { kind, peer: key, state: decodeConversation(value) };
    }
    case 'record': {
      const fields = new Fields(body, { 1: 'bytes', 2: 'bytes', 3: 'bytes' });
      const value = fields.bytes(2, 0, ITEM_BYTES_MAX);
      return { kind, space: fields.text(3, 64), key: fields.text(1, 1_024), value };
    }
    case 'message': {
      const fields = new Fields(body, { 1: 'bytes', 2: 'number' });
      const row = decodeMessageRow(
        { seq: 0, revision: 0, place: 0 },
        fields.bytes(1, 1, ITEM_BYTES_MAX),
      );
      return { kind, row, read: fields.flag(2) };
    }
    case 'total':
    case 'end': {
      const fields = new Fields(body, { 1: 'number' });
      return { kind, messages: fields.number(1, Number.MAX_SAFE_INTEGER) };
    }
  }
}

function pair(key: string, value: Uint8Array): Bytes {
  return new ProtoWriter(value.length + 128).text(1, key).bytes(2, value).finish();
}

function readPair(body: Uint8Array): { readonly key: string; readonly value: Bytes } {
  const fields = new Fields(body, { 1: 'bytes', 2: 'bytes' });
  return { key: fields.text(1, 1_024), value: fields.bytes(2, 0, ITEM_BYTES_MAX) };
}
