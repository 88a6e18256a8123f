/**
 * 12 Envelope. Records: small opaque values at a relay, changed by compare-and-swap.
 *
 * Schema: schema/relay.proto; rules: spec/13-relay.md §11.
 */
import type { Bytes } from '../bytes.js';
import { MAX_RECORD_BYTES } from '../limits.js';
import { ProtoReader, ProtoWriter } from '../wire/protobuf.js';
import { badFrame, fixedBytes, putUint, required } from './fields.js';

/** The value of a record and its version. */
export interface RecordGetRequest {
  readonly kind: 'recordGet';
  /** 32 random bytes: who knows it can read. */
  readonly id: Bytes;
}

/** Replace the value, if the record still has the version the client has seen. */
export interface RecordPutRequest {
  readonly kind: 'recordPut';
  readonly id: Bytes;
  /** 0 for a record that is not there yet. */
  readonly expectedVersion: number;
  /** 32 random bytes, chosen with the first value: who knows it can write. */
  readonly capability: Bytes;
  /** At most `MAX_RECORD_BYTES`. As decoded: a view of the frame. */
  readonly value: Uint8Array;
}

/** Delete the record, if it still has the version the client has seen. */
export interface RecordDeleteRequest {
  readonly kind: 'recordDelete';
  readonly id: Bytes;
  readonly expectedVersion: number;
  readonly capability: Bytes;
}

/** A request about a record. */
export type RecordRequest = RecordGetRequest | RecordPutRequest | RecordDeleteRequest;

/** A record. With `VERSION_CONFLICT`: the version it has, and no value. */
export interface RecordBody {
  readonly kind: 'record';
  readonly version: number;
  /** As decoded: a view of the frame. */
  readonly value: Uint8Array;
}

/** Field of a request, by kind. */
export const RECORD_FIELDS = { recordGet: 40, recordPut: 41, recordDelete: 42 } as const;

/** One of the fields of `RECORD_FIELDS`. */
export function encodeRecordRequest(op: RecordRequest): Bytes {
  const writer = new ProtoWriter(op.kind === 'recordPut' ? op.value.length + 96 : 96);
  writer.bytes(1, op.id);
  if (op.kind !== 'recordGet') {
    putUint(writer, 2, op.expectedVersion);
    writer.bytes(3, op.capability);
  }
  if (op.kind === 'recordPut') writer.bytes(4, op.value);
  return writer.finish();
}

/** @throws DecodeError `DECODE_FRAME` or `DECODE_PROTOBUF` */
export function decodeRecordRequest(
  kind: RecordRequest['kind'],
): (bytes: Uint8Array) => RecordRequest {
  return (bytes) => {
    const reader = new ProtoReader(bytes);
    let id: Bytes | undefined;
    let expectedVersion = 0;
    let capability: Bytes | undefined;
    let value: Uint8Array | undefined;
    while (reader.next()) {
      if (reader.field === 1) id = fixedBytes(reader, 32, 'record id');
      else if (reader.field === 2) expectedVersion = reader.uint64();
      else if (reader.field === 3) capability = fixedBytes(reader, 32, 'capability');
      else if (reader.field === 4) value = valueField(reader);
      else reader.skip();
    }
    const common = { id: required(id, 'record id') };
    if (kind === 'recordGet') return { kind, ...common };
    const change = { ...common, expectedVersion, capability: required(capability, 'capability') };
    if (kind === 'recordDelete') return { kind, ...change };
    return { kind, ...change, value: required(value, 'value') };
  };
}

/** Field 26 of a response. */
export function encodeRecordBody(body: RecordBody): Bytes {
  const writer = new ProtoWriter(body.value.length + 24);
  putUint(writer, 1, body.version);
  if (body.value.length > 0) writer.bytes(2, body.value);
  return writer.finish();
}

/** @throws DecodeError `DECODE_FRAME` or `DECODE_PROTOBUF` */
export function decodeRecordBody(bytes: Uint8Array): RecordBody {
  const reader = new ProtoReader(bytes);
  let version = 0;
  let value: Uint8Array = new Uint8Array(0);
  while (reader.next()) {
    if (reader.field === 1) version = reader.uint64();
    else if (reader.field === 2) value = valueField(reader);
    else reader.skip();
  }
  return { kind: 'record', version, value };
}

function valueField(reader: ProtoReader): Uint8Array {
  const value = reader.bytes();
  if (value.length > MAX_RECORD_BYTES) throw badFrame(`record of ${value.length} bytes`);
  return value;
}
