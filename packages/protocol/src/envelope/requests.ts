/**
 * 12 Envelope. What a client asks of a relay.
 *
 * Schema: schema/relay.proto. Unknown fields are skipped; an operation this version does not know decodes
 * to `unknown`, so that the relay can answer `UNSUPPORTED` instead of closing the socket.
 */
import type { Bytes } from '../bytes.js';
import {
  CLIENT_ID_BYTES,
  INVITE_BYTES,
  MAX_ACK_EXTRA,
  MAX_SEND_PARTS,
  MAX_USER_TICKET_CHARS,
  RELAY_PROTOCOL_VERSION,
  WORK_BYTES,
} from '../limits.js';
import { ProtoReader, ProtoWriter } from '../wire/protobuf.js';
import { ACCOUNT_OPS, type AccountOp, putAccountOp } from './account-requests.js';
import {
  accountField,
  badFrame,
  curveKeyField,
  deviceField,
  fixedBytes,
  fixedView,
  pushBounded,
  putBool,
  putUint,
  required,
  u32Field,
  usernameField,
} from './fields.js';
import {
  type BlobCreateRequest,
  type BlobRequest,
  decodeBlobRequest,
  encodeBlobRequest,
} from './blobs.js';
import type { AccountId } from './mailbox.js';
import {
  decodePrekeyUpload,
  decodeSignedDeviceList,
  encodePrekeyUpload,
  encodeSignedDeviceList,
  type PrekeyUpload,
  type SignedDeviceList,
} from './prekey-items.js';
import { decodePutPush, encodePutPush, type PutPushRequest } from './push.js';
import {
  decodeRecordRequest,
  encodeRecordRequest,
  RECORD_FIELDS,
  type RecordRequest,
} from './records.js';
import {
  decodeDevices,
  decodeTake,
  type DevicesRequest,
  encodeDevices,
  encodeTake,
  type TakePrekeysRequest,
} from './requests-keys.js';
import {
  type Credential,
  putCredential,
  putSealedOp,
  SEALED_OPS,
  type SealedOp,
  tokenField,
  tokenIdField,
} from './requests-sealed.js';

/** One envelope for one device. */
export interface SendPart {
  /** 1 to 127. */
  readonly device: number;
  /** The device's registration id as the sender knows it. */
  readonly registrationId: number;
  /** 16 random bytes, made once per message and device and reused on every retry. As decoded: a view of the frame. */
  readonly clientId: Uint8Array;
  /** Opaque to the relay. As decoded: a view of the frame. */
  readonly body: Uint8Array;
}

/** Answer to the relay's challenge. `signature`: Ed25519 over `authSigningInput`. */
export interface AuthRequest {
  readonly kind: 'auth';
  readonly account: AccountId;
  readonly device: number;
  readonly signature: Bytes;
  /** Version of the frames the client will speak. */
  readonly version: number;
}

/** Create an account with its first device. `signature`: Ed25519 over `registerSigningInput`. */
export interface RegisterRequest {
  readonly kind: 'register';
  readonly account: AccountId;
  /** 33 bytes. */
  readonly identityKey: Bytes;
  readonly username?: string;
  readonly devices: SignedDeviceList;
  readonly device: number;
  readonly prekeys: PrekeyUpload;
  readonly signature: Bytes;
  readonly version: number;
  /** 20 bytes, for a relay that asks for one. */
  readonly invite?: Bytes;
  /** JSON Web Token of the host application, for a relay that asks for one. */
  readonly ticket?: string;
  /** 8 bytes, when the relay asked for work. */
  readonly work?: Bytes;
}

/** Put envelopes into the mailboxes of one account: all of them or none. Anonymous with a credential. */
export interface SendRequest extends Credential {
  readonly kind: 'send';
  /** The account, or the address of an inlet. */
  readonly dest: AccountId;
  readonly parts: readonly SendPart[];
  /** Only for devices that are online; never written down. */
  readonly ephemeral: boolean;
  readonly urgent: boolean;
  /** Seconds the relay may keep it; 0 for the relay's own limit. */
  readonly ttlSeconds: number;
}

/** Delivered up to `through`, and `also`: the relay deletes them. */
export interface AckRequest {
  readonly kind: 'ack';
  readonly through: number;
  readonly also: readonly number[];
}

/** What a client may ask. */
export type RequestOp =
  | SealedOp
  | AuthRequest
  | RegisterRequest
  | SendRequest
  | AckRequest
  | TakePrekeysRequest
  | { readonly kind: 'putPrekeys'; readonly prekeys: PrekeyUpload }
  /** Replace the signed device list of one's own account. */
  | { readonly kind: 'putDevices'; readonly devices: SignedDeviceList }
  | DevicesRequest
  /** The account behind a user name. */
  | { readonly kind: 'lookup'; readonly username: string }
  /** What is left of one's own one-time prekeys. */
  | { readonly kind: 'prekeyCount' }
  | BlobCreateRequest
  | BlobRequest
  /** Credentials for the TURN server. */
  | { readonly kind: 'turn' }
  | PutPushRequest
  /** What wake-ups there are. */
  | { readonly kind: 'pushInfo' }
  | RecordRequest
  | { readonly kind: 'ping' }
  | AccountOp
  | { readonly kind: 'unknown'; readonly field: number };

/** A request with the number its answer will carry. */
export interface RequestItem {
  readonly kind: 'request';
  /** Chosen by the client, unique among its unanswered requests. */
  readonly id: number;
  readonly op: RequestOp;
}

/** Field 1 of an item. */
export function encodeRequest(item: RequestItem): Bytes {
  const writer = new ProtoWriter(256);
  putUint(writer, 1, item.id);
  const { op } = item;
  switch (op.kind) {
    case 'auth':
      return writer.bytes(2, encodeAuth(op)).finish();
    case 'send':
      return writer.bytes(3, encodeSend(op)).finish();
    case 'ack':
      return writer.bytes(4, encodeAck(op)).finish();
    case 'takePrekeys':
      return writer.bytes(5, encodeTake(op)).finish();
    case 'putPrekeys':
      return writer.bytes(6, encodePrekeyUpload(op.prekeys)).finish();
    case 'putDevices':
      return writer.bytes(7, encodeSignedDeviceList(op.devices)).finish();
    case 'devices':
      return writer.bytes(8, encodeDevices(op)).finish();
    case 'register':
      return writer.bytes(12, encodeRegister(op)).finish();
    case 'lookup':
      return writer.bytes(13, new ProtoWriter(40).text(1, op.username).finish()).finish();
    case 'prekeyCount':
      return writer.bytes(14, EMPTY).finish();
    case 'blobCreate':
    case 'blob':
      return writer.bytes(10, encodeBlobRequest(op)).finish();
    case 'turn':
      return writer.bytes(30, EMPTY).finish();
    case 'putPush':
      return writer.bytes(35, encodePutPush(op)).finish();
    case 'pushInfo':
      return writer.bytes(36, EMPTY).finish();
    case 'recordGet':
    case 'recordPut':
    case 'recordDelete':
      return writer.bytes(RECORD_FIELDS[op.kind], encodeRecordRequest(op)).finish();
    case 'ping':
      return writer.bytes(15, EMPTY).finish();
    case 'link':
    case 'deleteAccount':
    case 'setUsername':
    case 'rendezvousPut':
    case 'rendezvousTake':
      return putAccountOp(writer, op).finish();
    case 'unknown':
      throw badFrame('an unknown operation cannot be encoded');
    default:
      return putSealedOp(writer, op).finish();
  }
}

/** @throws DecodeError `DECODE_FRAME` or `DECODE_PROTOBUF` */
export function decodeRequest(bytes: Uint8Array): RequestItem {
  const reader = new ProtoReader(bytes);
  let id = 0;
  let op: RequestOp | undefined;
  let unknownField = 0;
  while (reader.next()) {
    if (reader.field === 1) {
      id = reader.uint64();
      continue;
    }
    const decodeOp = OPS.get(reader.field);
    if (decodeOp === undefined) {
      unknownField = reader.field;
      reader.skip();
      continue;
    }
    // Two operations under one number could not be answered apart.
    if (op !== undefined) throw badFrame('more than one operation');
    op = decodeOp(reader.bytes());
  }
  return { kind: 'request', id, op: op ?? { kind: 'unknown', field: unknownField } };
}

const EMPTY = new Uint8Array(0);

const OPS: ReadonlyMap<number, (bytes: Uint8Array) => RequestOp> = new Map<
  number,
  (bytes: Uint8Array) => RequestOp
>([
  [2, decodeAuth],
  [3, decodeSend],
  [4, decodeAck],
  [5, decodeTake],
  [6, (bytes) => ({ kind: 'putPrekeys', prekeys: decodePrekeyUpload(bytes) })],
  [7, (bytes) => ({ kind: 'putDevices', devices: decodeSignedDeviceList(bytes) })],
  [8, decodeDevices],
  [12, decodeRegister],
  [13, (bytes) => ({ kind: 'lookup', username: only(bytes, usernameField, 'user name') })],
  [14, (bytes) => empty(bytes, { kind: 'prekeyCount' })],
  [10, decodeBlobRequest],
  [15, (bytes) => empty(bytes, { kind: 'ping' })],
  [30, (bytes) => empty(bytes, { kind: 'turn' })],
  [35, decodePutPush],
  [36, (bytes) => empty(bytes, { kind: 'pushInfo' })],
  [RECORD_FIELDS.recordGet, decodeRecordRequest('recordGet')],
  [RECORD_FIELDS.recordPut, decodeRecordRequest('recordPut')],
  [RECORD_FIELDS.recordDelete, decodeRecordRequest('recordDelete')],
  ...ACCOUNT_OPS,
  ...SEALED_OPS,
]);

function encodeAuth(op: AuthRequest): Bytes {
  const writer = new ProtoWriter(128).bytes(1, op.account);
  putUint(writer, 2, op.device);
  // Written also when 0: absent means the first version.
  return writer.bytes(3, op.signature).uint64(4, op.version).finish();
}

function decodeAuth(bytes: Uint8Array): AuthRequest {
  const reader = new ProtoReader(bytes);
  let account: AccountId | undefined;
  let device: number | undefined;
  let signature: Bytes | undefined;
  let version: number = RELAY_PROTOCOL_VERSION;
  while (reader.next()) {
    if (reader.field === 1) account = accountField(reader);
    else if (reader.field === 2) device = deviceField(reader);
    else if (reader.field === 3) signature = fixedBytes(reader, 64, 'signature');
    else if (reader.field === 4) version = u32Field(reader, 'version');
    else reader.skip();
  }
  return {
    kind: 'auth',
    account: required(account, 'account'),
    device: required(device, 'device'),
    signature: required(signature, 'signature'),
    version,
  };
}

function encodeRegister(op: RegisterRequest): Bytes {
  const writer = new ProtoWriter(1024).bytes(1, op.account).bytes(2, op.identityKey);
  if (op.username !== undefined) writer.text(3, op.username);
  writer.bytes(4, encodeSignedDeviceList(op.devices));
  putUint(writer, 5, op.device);
  writer.bytes(6, encodePrekeyUpload(op.prekeys)).bytes(7, op.signature);
  writer.uint64(8, op.version);
  if (op.invite) writer.bytes(9, op.invite);
  if (op.ticket !== undefined) writer.text(10, op.ticket);
  if (op.work) writer.bytes(11, op.work);
  return writer.finish();
}

function decodeRegister(bytes: Uint8Array): RegisterRequest {
  const reader = new ProtoReader(bytes);
  let invite: Bytes | undefined;
  let ticket: string | undefined;
  let work: Bytes | undefined;
  let account: AccountId | undefined;
  let identityKey: Bytes | undefined;
  let username: string | undefined;
  let devices: SignedDeviceList | undefined;
  let device: number | undefined;
  let prekeys: PrekeyUpload | undefined;
  let signature: Bytes | undefined;
  let version: number = RELAY_PROTOCOL_VERSION;
  while (reader.next()) {
    if (reader.field === 1) account = accountField(reader);
    else if (reader.field === 2) identityKey = curveKeyField(reader, 'identity key');
    else if (reader.field === 3) username = usernameField(reader);
    else if (reader.field === 4) devices = decodeSignedDeviceList(reader.bytes());
    else if (reader.field === 5) device = deviceField(reader);
    else if (reader.field === 6) prekeys = decodePrekeyUpload(reader.bytes());
    else if (reader.field === 7) signature = fixedBytes(reader, 64, 'signature');
    else if (reader.field === 8) version = u32Field(reader, 'version');
    else if (reader.field === 9) invite = fixedBytes(reader, INVITE_BYTES, 'invite');
    else if (reader.field === 10) ticket = ticketField(reader);
    else if (reader.field === 11) work = fixedBytes(reader, WORK_BYTES, 'work');
    else reader.skip();
  }
  return {
    kind: 'register',
    account: required(account, 'account'),
    identityKey: required(identityKey, 'identity key'),
    ...(username !== undefined && { username }),
    devices: required(devices, 'device list'),
    device: required(device, 'device'),
    prekeys: required(prekeys, 'prekeys'),
    signature: required(signature, 'signature'),
    version,
    ...(invite && { invite }),
    ...(ticket !== undefined && { ticket }),
    ...(work && { work }),
  };
}

function ticketField(reader: ProtoReader): string {
  const ticket = reader.text();
  if (ticket.length > MAX_USER_TICKET_CHARS)
    throw badFrame(`ticket of ${ticket.length} characters`);
  return ticket;
}

function encodeSend(op: SendRequest): Bytes {
  let size = 64;
  for (const part of op.parts) size += part.body.length + 64;
  const writer = new ProtoWriter(size).bytes(1, op.dest);
  putCredential(writer, 2, op);
  for (const part of op.parts) {
    const item = new ProtoWriter(part.body.length + 64);
    putUint(item, 1, part.device);
    putUint(item, 2, part.registrationId);
    writer.bytes(4, item.bytes(3, part.clientId).bytes(4, part.body).finish());
  }
  putBool(writer, 5, op.ephemeral);
  putBool(writer, 6, op.urgent);
  putUint(writer, 7, op.ttlSeconds);
  return writer.finish();
}

function decodeSend(bytes: Uint8Array): SendRequest {
  const reader = new ProtoReader(bytes);
  let dest: AccountId | undefined;
  let tokenId: Bytes | undefined;
  let token: Bytes | undefined;
  const parts: SendPart[] = [];
  let ephemeral = false;
  let urgent = false;
  let ttlSeconds = 0;
  while (reader.next()) {
    if (reader.field === 1) dest = accountField(reader);
    else if (reader.field === 2) tokenId = tokenIdField(reader);
    else if (reader.field === 3) token = tokenField(reader);
    else if (reader.field === 4) {
      pushBounded(parts, decodePart(reader.bytes()), MAX_SEND_PARTS, 'parts');
    } else if (reader.field === 5) ephemeral = reader.bool();
    else if (reader.field === 6) urgent = reader.bool();
    else if (reader.field === 7) ttlSeconds = u32Field(reader, 'time to live');
    else reader.skip();
  }
  return {
    kind: 'send',
    dest: required(dest, 'recipient'),
    ...(tokenId && { tokenId }),
    ...(token && { token }),
    parts,
    ephemeral,
    urgent,
    ttlSeconds,
  };
}

function decodePart(bytes: Uint8Array): SendPart {
  const reader = new ProtoReader(bytes);
  let device: number | undefined;
  let registrationId = 0;
  let clientId: Uint8Array | undefined;
  let body: Uint8Array | undefined;
  while (reader.next()) {
    if (reader.field === 1) device = deviceField(reader);
    else if (reader.field === 2) registrationId = u32Field(reader, 'registration id');
    else if (reader.field === 3) clientId = fixedView(reader, CLIENT_ID_BYTES, 'client id');
    else if (reader.field === 4) body = reader.bytes();
    else reader.skip();
  }
  return {
    device: required(device, 'device'),
    registrationId,
    clientId: required(clientId, 'client id'),
    body: required(body, 'body'),
  };
}

function encodeAck(op: AckRequest): Bytes {
  const writer = new ProtoWriter(16 + 10 * op.also.length);
  putUint(writer, 1, op.through);
  for (const seq of op.also) writer.uint64(2, seq);
  return writer.finish();
}

function decodeAck(bytes: Uint8Array): AckRequest {
  const reader = new ProtoReader(bytes);
  let through = 0;
  const also: number[] = [];
  while (reader.next()) {
    if (reader.field === 1) through = reader.uint64();
    else if (reader.field === 2) {
      pushBounded(also, reader.uint64(), MAX_ACK_EXTRA, 'acknowledgements');
    } else reader.skip();
  }
  return { kind: 'ack', through, also };
}

/** The one field, number 1, of a message that has no other. */
function only<Value>(
  bytes: Uint8Array,
  field: (reader: ProtoReader) => Value,
  what: string,
): Value {
  const reader = new ProtoReader(bytes);
  let value: Value | undefined;
  while (reader.next()) {
    if (reader.field === 1) value = field(reader);
    else reader.skip();
  }
  return required(value, what);
}

/** `op`, after walking over whatever fields a later version put into it. */
function empty(bytes: Uint8Array, op: RequestOp): RequestOp {
  const reader = new ProtoReader(bytes);
  while (reader.next()) reader.skip();
  return op;
}
