/**
 * 18 Stored rows. Rows of the SDK as bytes, shared by all adapters that keep bytes.
 *
 * Every row starts with its version. A newer one is refused rather than half understood.
 */
import {
  ProtoReader,
  ProtoWriter,
  StoreError,
  copyBytes,
  type Bytes,
  type PrivateKey,
  type PublicKey,
} from '@qasid/protocol';

import type {
  Contact,
  DatedKey,
  Direction,
  HeldEnvelope,
  ListedDevice,
  MessageKind,
  MessageRow,
  MessageStatus,
  OutboxKind,
  OutboxPart,
  OutboxRow,
  PrekeyLedger,
  Profile,
  Registration,
} from './port.js';

/** Version written into every row. */
const ROW_VERSION = 1;

const REGISTRATIONS: readonly Registration[] = ['local', 'asked', 'registered'];
const OUTBOX_KINDS: readonly OutboxKind[] = [
  'message',
  'sync',
  'resolve',
  'change',
  'receipt',
  'group',
  'signal',
  'repair',
  'resend',
];
const DIRECTIONS: readonly Direction[] = ['sent', 'received'];
const STATUSES: readonly MessageStatus[] = ['pending', 'confirmed', 'failed', 'received'];
const KINDS: readonly MessageKind[] = [
  'text',
  'unknown',
  'undecryptable',
  'contact',
  'location',
  'poll',
  'app',
];

function row(): ProtoWriter {
  return new ProtoWriter(512).uint32(1, ROW_VERSION);
}

/** Fields of a row, by number; sub-messages and lists stay bytes. */
class Fields {
  readonly #numbers = new Map<number, number>();
  readonly #bytes = new Map<number, Bytes[]>();

  constructor(encoded: Uint8Array, numbers: readonly number[], versioned = true) {
    const reader = new ProtoReader(encoded);
    while (reader.next()) {
      if (reader.field === 1 || numbers.includes(reader.field)) {
        this.#numbers.set(reader.field, reader.uint64());
      } else {
        const list = this.#bytes.get(reader.field) ?? [];
        list.push(copyBytes(reader.bytes()));
        this.#bytes.set(reader.field, list);
      }
    }
    if (versioned && this.number(1) !== ROW_VERSION) {
      throw new StoreError('STORE_CORRUPT', `stored row of version ${this.number(1)}`);
    }
  }

  number(field: number): number {
    return this.#numbers.get(field) ?? 0;
  }

  optionalNumber(field: number): number | undefined {
    return this.#numbers.get(field);
  }

  list(field: number): readonly Bytes[] {
    return this.#bytes.get(field) ?? [];
  }

  optional(field: number): Bytes | undefined {
    return this.#bytes.get(field)?.[0];
  }

  bytes(field: number): Bytes {
    const value = this.optional(field);
    if (value === undefined) throw new StoreError('STORE_CORRUPT', `stored row lacks ${field}`);
    return value;
  }

  text(field: number): string {
    return decoder.decode(this.bytes(field));
  }

  optionalText(field: number): string | undefined {
    const value = this.optional(field);
    return value === undefined ? undefined : decoder.decode(value);
  }

  oneOf<Name extends string>(field: number, names: readonly Name[]): Name {
    const name = names[this.number(field)];
    if (name === undefined) throw new StoreError('STORE_CORRUPT', `stored row has an odd ${field}`);
    return name;
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Run a row decoder; anything it throws means the row is damaged. */
function decoding<Row>(what: string, decode: () => Row): Row {
  try {
    return decode();
  } catch (cause) {
    if (cause instanceof StoreError) throw cause;
    throw new StoreError('STORE_CORRUPT', `stored ${what} is damaged`, { cause });
  }
}

function encodeDated(key: DatedKey): Bytes {
  return new ProtoWriter(16).uint32(1, key.id).uint64(2, key.createdAtMs).finish();
}

function decodeDated(encoded: Uint8Array): DatedKey {
  const fields = new Fields(encoded, [2], false);
  return { id: fields.number(1), createdAtMs: fields.number(2) };
}

/** Secret: holds the identity key. */
export function encodeProfile(profile: Profile): Bytes {
  const writer = row()
    .text(2, profile.account)
    .uint32(3, profile.device)
    .uint32(4, profile.registrationId)
    .bytes(5, profile.identity.public)
    .bytes(6, profile.identity.secret)
    .bytes(7, profile.auth.public)
    .bytes(8, profile.auth.secret)
    .uint32(9, REGISTRATIONS.indexOf(profile.registration))
    .uint32(10, profile.prekeys.nextPreKeyId)
    .uint32(11, profile.prekeys.nextSignedPreKeyId)
    .uint32(12, profile.prekeys.nextKemPreKeyId);
  for (const key of profile.prekeys.signed) writer.bytes(13, encodeDated(key));
  for (const key of profile.prekeys.lastResort) writer.bytes(14, encodeDated(key));
  if (profile.username !== undefined) writer.text(15, profile.username);
  if (profile.relayEpoch !== 0) writer.uint64(16, profile.relayEpoch);
  return writer.finish();
}

/** @throws StoreError `STORE_CORRUPT` */
export function decodeProfile(encoded: Uint8Array): Profile {
  return decoding('profile', () => {
    const fields = new Fields(encoded, [3, 4, 9, 10, 11, 12, 16]);
    const prekeys: PrekeyLedger = {
      nextPreKeyId: fields.number(10),
      nextSignedPreKeyId: fields.number(11),
      nextKemPreKeyId: fields.number(12),
      signed: fields.list(13).map(decodeDated),
      lastResort: fields.list(14).map(decodeDated),
    };
    return {
      account: fields.text(2),
      username: fields.optionalText(15),
      device: fields.number(3),
      registrationId: fields.number(4),
      identity: {
        public: fields.bytes(5) as PublicKey,
        secret: fields.bytes(6) as PrivateKey,
      },
      auth: { public: fields.bytes(7), secret: fields.bytes(8) },
      registration: fields.oneOf(9, REGISTRATIONS),
      prekeys,
      relayEpoch: fields.number(16),
    };
  });
}

function encodeListed(device: ListedDevice): Bytes {
  return new ProtoWriter(48)
    .uint32(1, device.device)
    .uint32(2, device.registrationId)
    .bytes(3, device.authKey)
    .finish();
}

function decodeListed(encoded: Uint8Array): ListedDevice {
  const fields = new Fields(encoded, [2], false);
  return {
    device: fields.number(1),
    registrationId: fields.number(2),
    authKey: fields.bytes(3),
  };
}

/** What we know of an account. */
export function encodeContact(contact: Contact): Bytes {
  const writer = row().text(2, contact.account);
  if (contact.username !== undefined) writer.text(3, contact.username);
  if (contact.signedDeviceList !== undefined) writer.bytes(4, contact.signedDeviceList);
  writer.uint32(5, contact.deviceListVersion);
  for (const device of contact.devices) writer.bytes(6, encodeListed(device));
  if (contact.offeredIdentity !== undefined) writer.bytes(7, contact.offeredIdentity);
  return writer.finish();
}

/** @throws StoreError `STORE_CORRUPT` */
export function decodeContact(encoded: Uint8Array): Contact {
  return decoding('contact', () => {
    const fields = new Fields(encoded, [5]);
    return {
      account: fields.text(2),
      username: fields.optionalText(3),
      signedDeviceList: fields.optional(4),
      deviceListVersion: fields.number(5),
      devices: fields.list(6).map(decodeListed),
      offeredIdentity: fields.optional(7) as PublicKey | undefined,
    };
  });
}

function encodePart(part: OutboxPart): Bytes {
  return new ProtoWriter(part.body.length + 48)
    .uint32(1, part.device)
    .uint32(2, part.registrationId)
    .bytes(3, part.clientId)
    .bytes(4, part.body)
    .finish();
}

function decodePart(encoded: Uint8Array): OutboxPart {
  const fields = new Fields(encoded, [2], false);
  return {
    device: fields.number(1),
    registrationId: fields.number(2),
    clientId: fields.bytes(3),
    body: fields.bytes(4),
  };
}

/** An outbox row without its id, which is the store's. */
export function encodeOutboxRow(item: Omit<OutboxRow, 'id'>): Bytes {
  const writer = row().uint32(2, OUTBOX_KINDS.indexOf(item.kind)).text(3, item.messageId);
  if (item.account !== undefined) writer.text(4, item.account);
  if (item.username !== undefined) writer.text(5, item.username);
  writer
    .bytes(6, item.content)
    .bool(7, item.held)
    .bool(8, item.parts !== undefined);
  for (const part of item.parts ?? []) writer.bytes(9, encodePart(part));
  return writer.bool(10, item.copied).finish();
}

/** @throws StoreError `STORE_CORRUPT` */
export function decodeOutboxRow(id: number, encoded: Uint8Array): OutboxRow {
  return decoding('outbox row', () => {
    const fields = new Fields(encoded, [2, 7, 8, 10]);
    return {
      id,
      kind: fields.oneOf(2, OUTBOX_KINDS),
      messageId: fields.text(3),
      account: fields.optionalText(4),
      username: fields.optionalText(5),
      content: fields.bytes(6),
      held: fields.number(7) === 1,
      copied: fields.number(10) === 1,
      parts: fields.number(8) === 1 ? fields.list(9).map(decodePart) : undefined,
    };
  });
}

/** A history row without the numbers that the store gives and keeps beside it. */
export function encodeMessageRow(message: Omit<MessageRow, 'seq' | 'revision' | 'place'>): Bytes {
  const writer = row()
    .text(2, message.id)
    .uint32(3, KINDS.indexOf(message.kind))
    .uint32(4, DIRECTIONS.indexOf(message.direction))
    .bool(5, message.arrived)
    .text(6, message.peer);
  if (message.peerName !== undefined) writer.text(7, message.peerName);
  writer.uint32(8, message.device).text(9, message.text);
  if (message.raw !== undefined) writer.bytes(10, message.raw);
  writer
    .uint64(11, message.sentAtMs)
    .uint64(12, message.receivedAtMs)
    .uint32(13, STATUSES.indexOf(message.status));
  if (message.cause !== undefined) writer.text(14, message.cause);
  writer.text(15, message.author);
  if (message.state !== undefined) writer.bytes(16, message.state);
  if (message.expiresAtMs !== undefined) writer.uint64(17, message.expiresAtMs);
  return writer.finish();
}

/**
 * @param numbers - What the store keeps beside the row.
 * @param self - The author of sent rows from before rows named their author.
 * @throws StoreError `STORE_CORRUPT`
 */
export function decodeMessageRow(
  numbers: Pick<MessageRow, 'seq' | 'revision' | 'place'>,
  encoded: Uint8Array,
  self = '',
): MessageRow {
  return decoding('message', () => {
    const fields = new Fields(encoded, [3, 4, 5, 8, 11, 12, 13, 17]);
    const direction = fields.oneOf(4, DIRECTIONS);
    return {
      seq: numbers.seq,
      revision: numbers.revision,
      place: numbers.place,
      id: fields.text(2),
      kind: fields.oneOf(3, KINDS),
      direction,
      arrived: fields.number(5) === 1,
      peer: fields.text(6),
      author: fields.optionalText(15) ?? (direction === 'sent' ? self : fields.text(6)),
      peerName: fields.optionalText(7),
      device: fields.number(8),
      text: fields.text(9),
      raw: fields.optional(10),
      state: fields.optional(16),
      expiresAtMs: fields.optionalNumber(17),
      sentAtMs: fields.number(11),
      receivedAtMs: fields.number(12),
      status: fields.oneOf(13, STATUSES),
      cause: fields.optionalText(14),
    };
  });
}

/** A held envelope without its id, which is the store's. */
export function encodeHeld(held: Omit<HeldEnvelope, 'id'>): Bytes {
  return row().text(2, held.account).bytes(3, held.clientId).bytes(4, held.body).finish();
}

/** @throws StoreError `STORE_CORRUPT` */
export function decodeHeld(id: number, encoded: Uint8Array): HeldEnvelope {
  return decoding('held envelope', () => {
    const fields = new Fields(encoded, []);
    return { id, account: fields.text(2), clientId: fields.bytes(3), body: fields.bytes(4) };
  });
}

/** A record, with its name: what the store looks it up by does not give the name back. */
export function encodeRecord(key: string, value: Uint8Array): Bytes {
  return row().text(2, key).bytes(3, value).finish();
}

/** @throws StoreError `STORE_CORRUPT` */
export function decodeRecord(encoded: Uint8Array): { readonly key: string; readonly value: Bytes } {
  return decoding('record', () => {
    const fields = new Fields(encoded, []);
    return { key: fields.text(2), value: fields.bytes(3) };
  });
}
