/**
 * 12 Envelope. What a relay answers.
 *
 * Schema: schema/relay.proto. Unknown fields are skipped; a body this version does not know decodes to
 * `none`, so an older client goes on working with a newer relay.
 */
import type { Bytes } from '../bytes.js';
import { DEVICE_ID_MAX } from '../limits.js';
import { ProtoReader, ProtoWriter } from '../wire/protobuf.js';
import {
  decodeManyFailures,
  decodeTokens,
  putSealedBody,
  type SealedBody,
} from './answers-sealed.js';
import {
  type BlobTicketBody,
  decodeBlobTicket,
  decodeTurn,
  encodeBlobTicket,
  encodeTurn,
  type TurnBody,
} from './blobs.js';
import { rendezvousMessage } from './account-requests.js';
import { RELAY_CODES, relayCodeName, type RelayCode } from './codes.js';
import {
  accountField,
  curveKeyField,
  deviceField,
  pushBounded,
  putUint,
  required,
  u32Field,
  usernameField,
} from './fields.js';
import { readUints } from './events.js';
import type { AccountId } from './mailbox.js';
import {
  decodeBundle,
  decodeSignedDeviceList,
  encodeBundle,
  encodeSignedDeviceList,
  type PrekeyBundleItem,
  type SignedDeviceList,
} from './prekey-items.js';
import { decodePushInfo, encodePushInfo, type PushInfoBody } from './push.js';
import { decodeRecordBody, encodeRecordBody, type RecordBody } from './records.js';

/** What an answer carries beside its code. */
export type ResponseBody =
  | SealedBody
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
  | PushInfoBody
  | RecordBody
  /** With `WORK_REQUIRED`: how many zero bits; the work is for the challenge that comes with it. */
  | { readonly kind: 'work'; readonly bits: number }
  /** What was left in a rendezvous slot. As decoded: a view of the frame. */
  | { readonly kind: 'rendezvous'; readonly message: Uint8Array }
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
    case 'pushInfo':
      writer.bytes(25, encodePushInfo(body));
      break;
    case 'record':
      writer.bytes(26, encodeRecordBody(body));
      break;
    case 'rendezvous': {
      const inner = new ProtoWriter(body.message.length + 8).bytes(1, body.message);
      writer.bytes(15, inner.finish());
      break;
    }
    case 'work': {
      const inner = new ProtoWriter(8);
      putUint(inner, 1, body.bits);
      writer.bytes(16, inner.finish());
      break;
    }
    case 'prekeyCounts': {
      const inner = new ProtoWriter(32);
      putUint(inner, 1, body.oneTime);
      putUint(inner, 2, body.kem);
      putUint(inner, 3, body.signedId);
      putUint(inner, 4, body.lastResortKemId);
      writer.bytes(9, inner.finish());
      break;
    }
    default:
      putSealedBody(writer, body);
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
    else if (reader.field === 10) body = decodeTokens(reader.bytes());
    else if (reader.field === 11) body = decodeManyFailures(reader.bytes());
    else if (reader.field === 20) body = decodeBlobTicket(reader.bytes());
    else if (reader.field === 21) body = decodeTurn(reader.bytes());
    else if (reader.field === 25) body = decodePushInfo(reader.bytes());
    else if (reader.field === 26) body = decodeRecordBody(reader.bytes());
    else if (reader.field === 16) {
      body = { kind: 'work', bits: readUints(reader.bytes())[1] ?? 0 };
    } else if (reader.field === 15) body = decodeRendezvous(reader.bytes());
    else reader.skip();
  }
  return { kind: 'response', id, code: required(code, 'code'), retryAfterMs, body };
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

function decodeRendezvous(bytes: Uint8Array): ResponseBody {
  const reader = new ProtoReader(bytes);
  let message: Uint8Array | undefined;
  while (reader.next()) {
    if (reader.field === 1) message = rendezvousMessage(reader);
    else reader.skip();
  }
  return { kind: 'rendezvous', message: required(message, 'message') };
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
