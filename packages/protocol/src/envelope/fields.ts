/**
 * 12 Envelope. Reading fields of a fixed size or range; everything else about frames is above this.
 */
import { copyBytes, type Bytes } from '../bytes.js';
import { DecodeError } from '../errors.js';
import { DEVICE_ID_MAX, KEM_PREKEY_BYTES } from '../limits.js';
import type { ProtoReader, ProtoWriter } from '../wire/protobuf.js';
import { isUsername, toAccountId, type AccountId } from './mailbox.js';

/** The one error of this chapter's decoders. */
export function badFrame(what: string, cause?: unknown): DecodeError {
  return new DecodeError('DECODE_FRAME', `frame was invalid: ${what}`, cause ? { cause } : {});
}

/** A copy of the byte field under the cursor, which must have `length` bytes. */
export function fixedBytes(reader: ProtoReader, length: number, what: string): Bytes {
  return copyBytes(fixedView(reader, length, what));
}

/** The same as a view of the frame. */
export function fixedView(reader: ProtoReader, length: number, what: string): Uint8Array {
  const value = reader.bytes();
  if (value.length !== length) throw badFrame(`${what} of ${value.length} bytes`);
  return value;
}

/** A copy of the byte field under the cursor, at most `lengthMax` bytes. */
export function shortBytes(reader: ProtoReader, lengthMax: number, what: string): Bytes {
  const value = reader.bytes();
  if (value.length > lengthMax) throw badFrame(`${what} of ${value.length} bytes`);
  return copyBytes(value);
}

/** The account id under the cursor. */
export function accountField(reader: ProtoReader): AccountId {
  return toAccountId(fixedBytes(reader, 16, 'account'));
}

/** A device id, 1 to 127. */
export function deviceField(reader: ProtoReader): number {
  const device = reader.uint64();
  if (device < 1 || device > DEVICE_ID_MAX) throw badFrame('device id outside 1 to 127');
  return device;
}

/** An unsigned 32-bit integer; wider values are refused, not cut. */
export function u32Field(reader: ProtoReader, what: string): number {
  const value = reader.uint64();
  if (value > 0xffff_ffff) throw badFrame(`${what} beyond 32 bits`);
  return value;
}

/** A Curve25519 public key: `0x05` and 32 bytes. */
export function curveKeyField(reader: ProtoReader, what: string): Bytes {
  const key = fixedBytes(reader, 33, what);
  if (key[0] !== 0x05) throw badFrame(`${what} of an unknown type`);
  return key;
}

/** A Kyber1024 public key: `0x08` and 1568 bytes. */
export function kemKeyField(reader: ProtoReader, what: string): Bytes {
  const key = fixedBytes(reader, KEM_PREKEY_BYTES, what);
  if (key[0] !== 0x08) throw badFrame(`${what} of an unknown type`);
  return key;
}

/** A user name. */
export function usernameField(reader: ProtoReader): string {
  const name = reader.text();
  if (!isUsername(name)) throw badFrame('user name');
  return name;
}

/** `value`, or the error that a required field is missing. */
export function required<Value>(value: Value | undefined, what: string): Value {
  if (value === undefined) throw badFrame(`${what} is missing`);
  return value;
}

/** Append to `list`, refusing more than `countMax` members. */
export function pushBounded<Value>(
  list: Value[],
  value: Value,
  countMax: number,
  what: string,
): void {
  if (list.length >= countMax) throw badFrame(`more than ${countMax} ${what}`);
  list.push(value);
}

/** A non-zero unsigned integer; 0 is left out, as proto3 does. */
export function putUint(writer: ProtoWriter, field: number, value: number): void {
  if (value !== 0) writer.uint64(field, value);
}

/** A true bool; false is left out. */
export function putBool(writer: ProtoWriter, field: number, value: boolean): void {
  if (value) writer.bool(field, true);
}
