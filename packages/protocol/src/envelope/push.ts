/**
 * 12 Envelope. Where a device is woken up when it has no socket. Schema: schema/relay.proto; rules:
 * spec/13-relay.md §8.
 */
import type { Bytes } from '../bytes.js';
import { MAX_PUSH_ENDPOINT_CHARS, MAX_PUSH_HANDLE_BYTES } from '../limits.js';
import { ProtoReader, ProtoWriter } from '../wire/protobuf.js';
import { badFrame, putBool, shortBytes } from './fields.js';

/**
 * Where to wake this device: a Web Push endpoint, an opaque handle for the operator's own gateway, or, with
 * neither, nowhere any more.
 */
export interface PutPushRequest {
  readonly kind: 'putPush';
  /** `https://` URL of a push service; no keys, since nothing is ever encrypted to them. */
  readonly endpoint?: string;
  /** At most `MAX_PUSH_HANDLE_BYTES`; means something to the gateway only. */
  readonly handle?: Bytes;
}

/** What wake-ups this relay has. */
export interface PushInfoBody {
  readonly kind: 'pushInfo';
  /** P-256 public key (65 bytes) to subscribe with at a push service; absent without Web Push. */
  readonly vapidKey?: Bytes;
  /** Whether handles are taken. */
  readonly hasGateway: boolean;
}

/** Field 35 of a request. */
export function encodePutPush(op: PutPushRequest): Bytes {
  const writer = new ProtoWriter(64);
  if (op.endpoint !== undefined) writer.text(1, op.endpoint);
  if (op.handle !== undefined) writer.bytes(2, op.handle);
  return writer.finish();
}

/** @throws DecodeError `DECODE_FRAME` or `DECODE_PROTOBUF` */
export function decodePutPush(bytes: Uint8Array): PutPushRequest {
  const reader = new ProtoReader(bytes);
  let endpoint: string | undefined;
  let handle: Bytes | undefined;
  while (reader.next()) {
    if (reader.field === 1) endpoint = reader.text();
    else if (reader.field === 2) handle = shortBytes(reader, MAX_PUSH_HANDLE_BYTES, 'push handle');
    else reader.skip();
  }
  if (endpoint !== undefined && endpoint.length > MAX_PUSH_ENDPOINT_CHARS) {
    throw badFrame(`push endpoint of ${endpoint.length} characters`);
  }
  if (endpoint !== undefined && handle !== undefined) throw badFrame('two places to wake');
  return {
    kind: 'putPush',
    ...(endpoint !== undefined && { endpoint }),
    ...(handle !== undefined && { handle }),
  };
}

/** Field 25 of a response. */
export function encodePushInfo(body: PushInfoBody): Bytes {
  const writer = new ProtoWriter(80);
  if (body.vapidKey !== undefined) writer.bytes(1, body.vapidKey);
  putBool(writer, 2, body.hasGateway);
  return writer.finish();
}

/** @throws DecodeError `DECODE_FRAME` or `DECODE_PROTOBUF` */
export function decodePushInfo(bytes: Uint8Array): PushInfoBody {
  const reader = new ProtoReader(bytes);
  let vapidKey: Bytes | undefined;
  let hasGateway = false;
  while (reader.next()) {
    if (reader.field === 1) vapidKey = shortBytes(reader, 65, 'VAPID key');
    else if (reader.field === 2) hasGateway = reader.bool();
    else reader.skip();
  }
  return { kind: 'pushInfo', ...(vapidKey !== undefined && { vapidKey }), hasGateway };
}
