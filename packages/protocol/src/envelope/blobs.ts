/**
 * 12 Envelope. Tickets for blobs, and credentials for a TURN server: asked on the socket, used elsewhere.
 *
 * Schema: schema/relay.proto. The bytes of a blob travel over HTTP (spec/13-relay.md §14), never in frames.
 */
import type { Bytes } from '../bytes.js';
import { BLOB_ID_BYTES, MAX_TICKET_BYTES, MAX_TURN_URLS } from '../limits.js';
import { ProtoReader, ProtoWriter } from '../wire/protobuf.js';
import {
  badFrame,
  fixedBytes,
  pushBounded,
  putUint,
  required,
  shortBytes,
  u32Field,
} from './fields.js';

/** What a ticket, or the request itself, allows. Numbers are never reused. */
export const BLOB_ACTIONS = { create: 1, read: 2, write: 3, keep: 4, delete: 5 } as const;

/** Name of an action. */
export type BlobAction = keyof typeof BLOB_ACTIONS;

/** Reserve room for a blob. The answer names it and carries a ticket to write it. */
export interface BlobCreateRequest {
  readonly kind: 'blobCreate';
  /** Bytes of the blob, exactly; 1 to the relay's limit. */
  readonly size: number;
  /** SHA-256 of 32 random bytes, the capability that `write`, `keep` and `delete` ask for. */
  readonly verifier: Bytes;
  /** Days the relay should keep it after completion; 0 for the relay's own rule. */
  readonly days: number;
}

/** Another ticket for a blob, or a change to it. */
export interface BlobRequest {
  readonly kind: 'blob';
  /** `read` and `write` give a ticket; `keep` and `delete` are done at once. */
  readonly action: Exclude<BlobAction, 'create'>;
  /** 32 bytes. */
  readonly id: Bytes;
  /** 32 bytes; all actions but `read`. */
  readonly capability?: Bytes;
  /** With `keep`: days from now. */
  readonly days: number;
}

/** A ticket for one blob. */
export interface BlobTicketBody {
  readonly kind: 'blobTicket';
  /** 32 bytes. Whoever knows it can read the blob. */
  readonly id: Bytes;
  /** Opaque; header `Qasid-Ticket` in base64url. */
  readonly ticket: Bytes;
  readonly ttlSeconds: number;
}

/** Credentials for the TURN server of the deployment. */
export interface TurnBody {
  readonly kind: 'turn';
  /** `turn:` and `turns:` URLs. */
  readonly urls: readonly string[];
  /** Expiry and a random id of this answer; names nobody. */
  readonly username: string;
  readonly credential: string;
  readonly ttlSeconds: number;
}

/** Field 10 of a request. */
export function encodeBlobRequest(op: BlobCreateRequest | BlobRequest): Bytes {
  const writer = new ProtoWriter(128);
  if (op.kind === 'blobCreate') {
    putUint(writer.uint32(1, BLOB_ACTIONS.create), 3, op.size);
    writer.bytes(4, op.verifier);
  } else {
    writer.uint32(1, BLOB_ACTIONS[op.action]).bytes(2, op.id);
    if (op.capability) writer.bytes(5, op.capability);
  }
  putUint(writer, 6, op.days);
  return writer.finish();
}

/** @throws DecodeError `DECODE_FRAME` or `DECODE_PROTOBUF` */
export function decodeBlobRequest(bytes: Uint8Array): BlobCreateRequest | BlobRequest {
  const reader = new ProtoReader(bytes);
  let number = 0;
  let id: Bytes | undefined;
  let size = 0;
  let verifier: Bytes | undefined;
  let capability: Bytes | undefined;
  let days = 0;
  while (reader.next()) {
    if (reader.field === 1) number = u32Field(reader, 'action');
    else if (reader.field === 2) id = fixedBytes(reader, BLOB_ID_BYTES, 'blob id');
    else if (reader.field === 3) size = reader.uint64();
    else if (reader.field === 4) verifier = fixedBytes(reader, 32, 'verifier');
    else if (reader.field === 5) capability = fixedBytes(reader, 32, 'capability');
    else if (reader.field === 6) days = u32Field(reader, 'days');
    else reader.skip();
  }
  const action = ACTION_NAMES.get(number);
  if (action === undefined) throw badFrame('blob action');
  if (action === 'create') {
    return { kind: 'blobCreate', size, verifier: required(verifier, 'verifier'), days };
  }
  return {
    kind: 'blob',
    action,
    id: required(id, 'blob id'),
    ...(capability && { capability }),
    days,
  };
}

/** Field 20 of a response. */
export function encodeBlobTicket(body: BlobTicketBody): Bytes {
  const writer = new ProtoWriter(192).bytes(1, body.id).bytes(2, body.ticket);
  putUint(writer, 3, body.ttlSeconds);
  return writer.finish();
}

/** @throws DecodeError `DECODE_FRAME` or `DECODE_PROTOBUF` */
export function decodeBlobTicket(bytes: Uint8Array): BlobTicketBody {
  const reader = new ProtoReader(bytes);
  let id: Bytes | undefined;
  let ticket: Bytes | undefined;
  let ttlSeconds = 0;
  while (reader.next()) {
    if (reader.field === 1) id = fixedBytes(reader, BLOB_ID_BYTES, 'blob id');
    else if (reader.field === 2) ticket = shortBytes(reader, MAX_TICKET_BYTES, 'ticket');
    else if (reader.field === 3) ttlSeconds = u32Field(reader, 'time to live');
    else reader.skip();
  }
  return {
    kind: 'blobTicket',
    id: required(id, 'blob id'),
    ticket: required(ticket, 'ticket'),
    ttlSeconds,
  };
}

/** Field 21 of a response. */
export function encodeTurn(body: TurnBody): Bytes {
  const writer = new ProtoWriter(256);
  for (const url of body.urls) writer.text(1, url);
  writer.text(2, body.username).text(3, body.credential);
  putUint(writer, 4, body.ttlSeconds);
  return writer.finish();
}

/** @throws DecodeError `DECODE_FRAME` or `DECODE_PROTOBUF` */
export function decodeTurn(bytes: Uint8Array): TurnBody {
  const reader = new ProtoReader(bytes);
  const urls: string[] = [];
  let username: string | undefined;
  let credential: string | undefined;
  let ttlSeconds = 0;
  while (reader.next()) {
    if (reader.field === 1) pushBounded(urls, reader.text(), MAX_TURN_URLS, 'TURN URLs');
    else if (reader.field === 2) username = reader.text();
    else if (reader.field === 3) credential = reader.text();
    else if (reader.field === 4) ttlSeconds = u32Field(reader, 'time to live');
    else reader.skip();
  }
  return {
    kind: 'turn',
    urls,
    username: required(username, 'user name'),
    credential: required(credential, 'credential'),
    ttlSeconds,
  };
}

const ACTION_NAMES: ReadonlyMap<number, BlobAction> = new Map(
  Object.entries(BLOB_ACTIONS).map(([name, value]) => [value, name as BlobAction]),
);
