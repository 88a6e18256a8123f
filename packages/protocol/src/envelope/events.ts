/**
 * 12 Envelope. What a relay tells without being asked.
 *
 * Schema: schema/relay.proto. An event this version does not know decodes to `unknown`, so an older client
 * goes on working with a newer relay.
 */
import type { Bytes } from '../bytes.js';
import { CLIENT_ID_BYTES } from '../limits.js';
import { ProtoReader, ProtoWriter } from '../wire/protobuf.js';
import { accountField, badFrame, fixedBytes, putUint, required, u32Field } from './fields.js';
import { toRelayId, type AccountId, type RelayId } from './mailbox.js';

/** Limits a relay announces; a client stays below them. */
export interface RelayLimits {
  readonly frameBytesMax: number;
  readonly partsMax: number;
  readonly bodyBytesMax: number;
  /** Unacknowledged envelopes and bytes the relay sends at most. */
  readonly windowEnvelopes: number;
  readonly windowBytes: number;
  /** Unconfirmed parts and bytes a client may have under way. Over it `BUSY`, twice over closes. */
  readonly creditParts: number;
  readonly creditBytes: number;
  readonly devicesMax: number;
  /** Recipients of one multi-recipient send; 0 where the deployment has switched it off. */
  readonly recipientsMax: number;
  /** 1: bodies that have none of the sizes of spec 12 §5 are refused. */
  readonly padding: number;
}

/** First thing a relay says on a socket. */
export interface ChallengeEvent {
  readonly kind: 'challenge';
  /** 32 bytes, for this socket and one answer. */
  readonly nonce: Bytes;
  readonly relayId: RelayId;
  readonly limits: RelayLimits;
  /** The relay's clock; advisory. */
  readonly serverTimeMs: number;
  readonly versionMin: number;
  readonly versionMax: number;
  /**
   * Of the relay's data. One the client has not seen: the relay came back from a backup, prekeys have to be
   * published and device lists checked again. 0 for a relay that never did.
   */
  readonly epoch: number;
}

/** One envelope from the mailbox. */
export interface DeliverEvent {
  readonly kind: 'deliver';
  readonly seq: number;
  readonly clientId: Bytes;
  /** As decoded: a view of the frame. */
  readonly body: Uint8Array;
  /** Minute of arrival, since 1970. */
  readonly minute: number;
  /** 0 the first time; more after each reconnect without an acknowledgement. */
  readonly attempt: number;
}

/** What a relay tells. */
export type RelayEvent =
  | ChallengeEvent
  | DeliverEvent
  /** Everything that waited when the socket attached has been delivered. */
  | { readonly kind: 'queueEmpty' }
  /** The relay goes down; reconnect after about so long. */
  | { readonly kind: 'draining'; readonly afterMs: number }
  | { readonly kind: 'devicesChanged'; readonly account: AccountId; readonly version: number }
  /** One-time prekeys left, curve and KEM. */
  | { readonly kind: 'prekeysLow'; readonly oneTime: number; readonly kem: number }
  /** A newer socket of this device took over; this one is closed. */
  | { readonly kind: 'replaced' }
  | { readonly kind: 'unknown'; readonly field: number };

/** An event of the relay. */
export interface EventItem {
  readonly kind: 'event';
  readonly event: RelayEvent;
}

/** Field 3 of an item. */
export function encodeEvent(item: EventItem): Bytes {
  const { event } = item;
  switch (event.kind) {
    case 'challenge':
      return new ProtoWriter(192).bytes(1, encodeChallenge(event)).finish();
    case 'deliver':
      return new ProtoWriter(event.body.length + 80).bytes(2, encodeDeliver(event)).finish();
    case 'queueEmpty':
      return new ProtoWriter(8).bytes(3, EMPTY).finish();
    case 'draining':
      return new ProtoWriter(16).bytes(4, uints(event.afterMs)).finish();
    case 'devicesChanged': {
      const inner = new ProtoWriter(32).bytes(1, event.account);
      putUint(inner, 2, event.version);
      return new ProtoWriter(48).bytes(5, inner.finish()).finish();
    }
    case 'prekeysLow':
      return new ProtoWriter(32).bytes(6, uints(event.oneTime, event.kem)).finish();
    case 'replaced':
      return new ProtoWriter(8).bytes(7, EMPTY).finish();
    case 'unknown':
      throw badFrame('an unknown event cannot be encoded');
  }
}

/** @throws DecodeError `DECODE_FRAME` or `DECODE_PROTOBUF` */
export function decodeEvent(bytes: Uint8Array): EventItem {
  const reader = new ProtoReader(bytes);
  let event: RelayEvent | undefined;
  let unknownField = 0;
  while (reader.next()) {
    const decodeKind = EVENTS.get(reader.field);
    if (decodeKind === undefined) {
      unknownField = reader.field;
      reader.skip();
      continue;
    }
    if (event !== undefined) throw badFrame('more than one event in an item');
    event = decodeKind(reader.bytes());
  }
  return { kind: 'event', event: event ?? { kind: 'unknown', field: unknownField } };
}

const EMPTY = new Uint8Array(0);

const EVENTS: ReadonlyMap<number, (bytes: Uint8Array) => RelayEvent> = new Map<
  number,
  (bytes: Uint8Array) => RelayEvent
>([
  [1, decodeChallenge],
  [2, decodeDeliver],
  [3, () => ({ kind: 'queueEmpty' })],
  [4, (bytes) => ({ kind: 'draining', afterMs: readUints(bytes)[1] ?? 0 })],
  [5, decodeDevicesChanged],
  [
    6,
    (bytes) => {
      const values = readUints(bytes);
      return { kind: 'prekeysLow', oneTime: values[1] ?? 0, kem: values[2] ?? 0 };
    },
  ],
  [7, () => ({ kind: 'replaced' })],
]);

function encodeChallenge(event: ChallengeEvent): Bytes {
  const { limits } = event;
  const inner = uints(
    limits.frameBytesMax,
    limits.partsMax,
    limits.bodyBytesMax,
    limits.windowEnvelopes,
    limits.windowBytes,
    limits.creditParts,
    limits.creditBytes,
    limits.devicesMax,
    limits.recipientsMax,
    limits.padding,
  );
  const writer = new ProtoWriter(160).bytes(1, event.nonce).bytes(2, event.relayId).bytes(3, inner);
  putUint(writer, 4, event.serverTimeMs);
  putUint(writer, 5, event.versionMin);
  putUint(writer, 6, event.versionMax);
  putUint(writer, 7, event.epoch);
  return writer.finish();
}

function decodeChallenge(bytes: Uint8Array): ChallengeEvent {
  const reader = new ProtoReader(bytes);
  let nonce: Bytes | undefined;
  let relayId: RelayId | undefined;
  let limits: readonly (number | undefined)[] = [];
  let serverTimeMs = 0;
  let versionMin = 0;
  let versionMax = 0;
  let epoch = 0;
  while (reader.next()) {
    if (reader.field === 1) nonce = fixedBytes(reader, 32, 'nonce');
    else if (reader.field === 2) relayId = toRelayId(fixedBytes(reader, 32, 'relay id'));
    else if (reader.field === 3) limits = readUints(reader.bytes());
    else if (reader.field === 4) serverTimeMs = reader.uint64();
    else if (reader.field === 5) versionMin = u32Field(reader, 'version');
    else if (reader.field === 6) versionMax = u32Field(reader, 'version');
    else if (reader.field === 7) epoch = reader.uint64();
    else reader.skip();
  }
  return {
    kind: 'challenge',
    nonce: required(nonce, 'nonce'),
    relayId: required(relayId, 'relay id'),
    limits: {
      frameBytesMax: limits[1] ?? 0,
      partsMax: limits[2] ?? 0,
      bodyBytesMax: limits[3] ?? 0,
      windowEnvelopes: limits[4] ?? 0,
      windowBytes: limits[5] ?? 0,
      creditParts: limits[6] ?? 0,
      creditBytes: limits[7] ?? 0,
      devicesMax: limits[8] ?? 0,
      recipientsMax: limits[9] ?? 0,
      padding: limits[10] ?? 0,
    },
    serverTimeMs,
    versionMin,
    versionMax,
    epoch,
  };
}

function encodeDeliver(event: DeliverEvent): Bytes {
  const writer = new ProtoWriter(event.body.length + 64);
  putUint(writer, 1, event.seq);
  writer.bytes(2, event.clientId).bytes(3, event.body);
  putUint(writer, 4, event.minute);
  putUint(writer, 5, event.attempt);
  return writer.finish();
}

function decodeDeliver(bytes: Uint8Array): DeliverEvent {
  const reader = new ProtoReader(bytes);
  let seq = 0;
  let clientId: Bytes | undefined;
  let body: Uint8Array | undefined;
  let minute = 0;
  let attempt = 0;
  while (reader.next()) {
    if (reader.field === 1) seq = reader.uint64();
    else if (reader.field === 2) clientId = fixedBytes(reader, CLIENT_ID_BYTES, 'client id');
    else if (reader.field === 3) body = reader.bytes();
    else if (reader.field === 4) minute = reader.uint64();
    else if (reader.field === 5) attempt = u32Field(reader, 'attempt');
    else reader.skip();
  }
  return {
    kind: 'deliver',
    seq,
    clientId: required(clientId, 'client id'),
    body: required(body, 'body'),
    minute,
    attempt,
  };
}

function decodeDevicesChanged(bytes: Uint8Array): RelayEvent {
  const reader = new ProtoReader(bytes);
  let account: AccountId | undefined;
  let version = 0;
  while (reader.next()) {
    if (reader.field === 1) account = accountField(reader);
    else if (reader.field === 2) version = u32Field(reader, 'version');
    else reader.skip();
  }
  return { kind: 'devicesChanged', account: required(account, 'account'), version };
}

/** A message of unsigned integers in fields 1, 2, 3 … */
function uints(...values: readonly number[]): Bytes {
  const writer = new ProtoWriter(values.length * 8 + 8);
  for (const [index, value] of values.entries()) putUint(writer, index + 1, value);
  return writer.finish();
}

/** The integers of such a message, by field number up to 16. */
export function readUints(bytes: Uint8Array): readonly (number | undefined)[] {
  const reader = new ProtoReader(bytes);
  const values: (number | undefined)[] = [];
  while (reader.next()) {
    if (reader.field <= 16) values[reader.field] = reader.uint64();
    else reader.skip();
  }
  return values;
}
