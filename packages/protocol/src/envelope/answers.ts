/**
 * 12 Envelope. What a relay answers and what it tells without being asked.
 *
 * Schema: schema/relay.proto. Unknown fields are skipped; an event or body this version does not know
 * decodes to `unknown` or `none`, so an older client goes on working with a newer relay.
 */
import type { Bytes } from '../bytes.js';
import { CLIENT_ID_BYTES, DEVICE_ID_MAX } from '../limits.js';
import { ProtoReader, ProtoWriter } from '../wire/protobuf.js';
import {
  type BlobTicketBody,
  decodeBlobTicket,
  decodeTurn,
  encodeBlobTicket,
  encodeTurn,
  type TurnBody,
} from './blobs.js';
import { RELAY_CODES, relayCodeName, type RelayCode } from './codes.js';
import {
  accountField,
  badFrame,
  curveKeyField,
  deviceField,
  fixedBytes,
  pushBounded,
  putUint,
  required,
  u32Field,
  usernameField,
} from './fields.js';
import { toRelayId, type AccountId, type RelayId } from './mailbox.js';
import {
  decodeBundle,
  decodeSignedDeviceList,
  encodeBundle,
  encodeSignedDeviceList,
  type PrekeyBundleItem,
  type SignedDeviceList,
} from './prekey-items.js';
import { decodeRecordBody, encodeRecordBody, type RecordBody } from './records.js';

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

/** What an answer carries beside its code. */
export type ResponseBody =
  | { readonly kind: 'none' }
  /** With `DEVICES_MISMATCH`: devices to add, devices to leave out. */
  | {
      readonly kind: 'mismatch';
      readonly missing: readonly number[];
      readonly extra: readonly number[];
    }
  /** With `DEVICES_STALE`: devices that were re-installed. */
  | { readonly kind: 'stale'; readonly devices: readonly number[] }
  | {
      readonly kind: 'bundles';
      readonly identityKey: Bytes;
      readonly devices: SignedDeviceList;
      readonly bundles: readonly PrekeyBundleItem[];
    }
  | {
      readonly kind: 'devices';
      readonly identityKey: Bytes;
      readonly devices: SignedDeviceList;
      /** The user name the account registered, if it has one. The relay's word, nothing more. */
      readonly username?: string;
    }
  | { readonly kind: 'found'; readonly account: AccountId }
  | BlobTicketBody
  | TurnBody
  | RecordBody
  | {
      readonly kind: 'prekeyCounts';
      readonly oneTime: number;
      readonly kem: number;
      /** Ids of the signed prekeys in force. */
      readonly signedId: number;
      readonly lastResortKemId: number;
    };

/** An answer to the request with the same `id`. */
export interface ResponseItem {
  readonly kind: 'response';
  readonly id: number;
  readonly code: RelayCode;
  /** Wait so long before trying again; 0 when it does not matter. */
  readonly retryAfterMs: number;
  readonly body: ResponseBody;
}

/** An event of the relay. */
export interface EventItem {
  readonly kind: 'event';
  readonly event: RelayEvent;
}

/** The body of an answer that is only a code. */
export const NO_BODY: ResponseBody = { kind: 'none' };

/** Field 2 of an item. */
export function encodeResponse(item: ResponseItem): Bytes {
  const writer = new ProtoWriter(64);
  putUint(writer, 1, item.id);
  writer.uint32(2, RELAY_CODES[item.code]);
  putUint(writer, 3, item.retryAfterMs);
  const { body } = item;
  switch (body.kind) {
    case 'none':
      break;
    case 'mismatch': {
      const inner = new ProtoWriter(64);
      for (const device of body.missing) inner.uint32(1, device);
      for (const device of body.extra) inner.uint32(2, device);
      writer.bytes(4, inner.finish());
      break;
    }
    case 'stale': {
      const inner = new ProtoWriter(64);
      for (const device of body.devices) inner.uint32(1, device);
      writer.bytes(5, inner.finish());
      break;
    }
    case 'bundles': {
      const inner = new ProtoWriter(4096).bytes(1, body.identityKey);
      inner.bytes(2, encodeSignedDeviceList(body.devices));
      for (const bundle of body.bundles) inner.bytes(3, encodeBundle(bundle));
      writer.bytes(6, inner.finish());
      break;
    }
    case 'devices': {
      const inner = new ProtoWriter(256).bytes(1, body.identityKey);
      inner.bytes(2, encodeSignedDeviceList(body.devices));
      if (body.username !== undefined) inner.text(3, body.username);
      writer.bytes(7, inner.finish());
      break;
    }
    case 'found':
      writer.bytes(8, new ProtoWriter(24).bytes(1, body.account).finish());
      break;
    case 'blobTicket':
      writer.bytes(20, encodeBlobTicket(body));
      break;
    case 'turn':
      writer.bytes(21, encodeTurn(body));
      break;
    case 'record':
      writer.bytes(26, encodeRecordBody(body));
      break;
    case 'prekeyCounts': {
      const inner = new ProtoWriter(32);
      putUint(inner, 1, body.oneTime);
      putUint(inner, 2, body.kem);
      putUint(inner, 3, body.signedId);
      putUint(inner, 4, body.lastResortKemId);
      writer.bytes(9, inner.finish());
      break;
    }
  }
  return writer.finish();
}

/** @throws DecodeError `DECODE_FRAME` or `DECODE_PROTOBUF` */
export function decodeResponse(bytes: Uint8Array): ResponseItem {
  const reader = new ProtoReader(bytes);
  let id = 0;
  let code: RelayCode | undefined;
  let retryAfterMs = 0;
  let body = NO_BODY;
  while (reader.next()) {
    if (reader.field === 1) id = reader.uint64();
    else if (reader.field === 2) code = relayCodeName(reader.uint64());
    else if (reader.field === 3) retryAfterMs = u32Field(reader, 'retry time');
    else if (reader.field === 4) body = decodeMismatch(reader.bytes());
    else if (reader.field === 5) body = { kind: 'stale', devices: deviceLists(reader.bytes())[0] };
    else if (reader.field === 6) body = decodeBundles(reader.bytes());
    else if (reader.field === 7) body = decodeDevices(reader.bytes());
    else if (reader.field === 8) body = decodeFound(reader.bytes());
    else if (reader.field === 9) body = decodeCounts(reader.bytes());
    else if (reader.field === 20) body = decodeBlobTicket(reader.bytes());
    else if (reader.field === 21) body = decodeTurn(reader.bytes());
    else if (reader.field === 26) body = decodeRecordBody(reader.bytes());
    else reader.skip();
  }
  return { kind: 'response', id, code: required(code, 'code'), retryAfterMs, body };
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
  );
  const writer = new ProtoWriter(160).bytes(1, event.nonce).bytes(2, event.relayId).bytes(3, inner);
  putUint(writer, 4, event.serverTimeMs);
  putUint(writer, 5, event.versionMin);
  putUint(writer, 6, event.versionMax);
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
  while (reader.next()) {
    if (reader.field === 1) nonce = fixedBytes(reader, 32, 'nonce');
    else if (reader.field === 2) relayId = toRelayId(fixedBytes(reader, 32, 'relay id'));
    else if (reader.field === 3) limits = readUints(reader.bytes());
    else if (reader.field === 4) serverTimeMs = reader.uint64();
    else if (reader.field === 5) versionMin = u32Field(reader, 'version');
    else if (reader.field === 6) versionMax = u32Field(reader, 'version');
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
    },
    serverTimeMs,
    versionMin,
    versionMax,
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

function decodeMismatch(bytes: Uint8Array): ResponseBody {
  const [missing, extra] = deviceLists(bytes);
  return { kind: 'mismatch', missing, extra };
}

/** Device ids of fields 1 and 2. */
function deviceLists(bytes: Uint8Array): readonly [readonly number[], readonly number[]] {
  const reader = new ProtoReader(bytes);
  const first: number[] = [];
  const second: number[] = [];
  while (reader.next()) {
    if (reader.field === 1) pushBounded(first, deviceField(reader), DEVICE_ID_MAX, 'devices');
    else if (reader.field === 2) pushBounded(second, deviceField(reader), DEVICE_ID_MAX, 'devices');
    else reader.skip();
  }
  return [first, second];
}

function decodeBundles(bytes: Uint8Array): ResponseBody {
  const reader = new ProtoReader(bytes);
  let identityKey: Bytes | undefined;
  let devices: SignedDeviceList | undefined;
  const bundles: PrekeyBundleItem[] = [];
  while (reader.next()) {
    if (reader.field === 1) identityKey = curveKeyField(reader, 'identity key');
    else if (reader.field === 2) devices = decodeSignedDeviceList(reader.bytes());
    else if (reader.field === 3) {
      pushBounded(bundles, decodeBundle(reader.bytes()), DEVICE_ID_MAX, 'bundles');
    } else reader.skip();
  }
  return {
    kind: 'bundles',
    identityKey: required(identityKey, 'identity key'),
    devices: required(devices, 'device list'),
    bundles,
  };
}

function decodeDevices(bytes: Uint8Array): ResponseBody {
  const reader = new ProtoReader(bytes);
  let identityKey: Bytes | undefined;
  let devices: SignedDeviceList | undefined;
  let username: string | undefined;
  while (reader.next()) {
    if (reader.field === 1) identityKey = curveKeyField(reader, 'identity key');
    else if (reader.field === 2) devices = decodeSignedDeviceList(reader.bytes());
    else if (reader.field === 3) username = usernameField(reader);
    else reader.skip();
  }
  return {
    kind: 'devices',
    identityKey: required(identityKey, 'identity key'),
    devices: required(devices, 'device list'),
    ...(username !== undefined && { username }),
  };
}

function decodeFound(bytes: Uint8Array): ResponseBody {
  const reader = new ProtoReader(bytes);
  let account: AccountId | undefined;
  while (reader.next()) {
    if (reader.field === 1) account = accountField(reader);
    else reader.skip();
  }
  return { kind: 'found', account: required(account, 'account') };
}

function decodeCounts(bytes: Uint8Array): ResponseBody {
  const values = readUints(bytes);
  return {
    kind: 'prekeyCounts',
    oneTime: values[1] ?? 0,
    kem: values[2] ?? 0,
    signedId: values[3] ?? 0,
    lastResortKemId: values[4] ?? 0,
  };
}

/** A message of unsigned integers in fields 1, 2, 3 … */
function uints(...values: readonly number[]): Bytes {
  const writer = new ProtoWriter(values.length * 8 + 8);
  for (const [index, value] of values.entries()) putUint(writer, index + 1, value);
  return writer.finish();
}

/** The integers of such a message, by field number up to 16. */
function readUints(bytes: Uint8Array): readonly (number | undefined)[] {
  const reader = new ProtoReader(bytes);
  const values: (number | undefined)[] = [];
  while (reader.next()) {
    if (reader.field <= 16) values[reader.field] = reader.uint64();
    else reader.skip();
  }
  return values;
}
