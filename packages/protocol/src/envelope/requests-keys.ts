/**
 * 12 Envelope. Asking for prekeys and device lists: with an account, or with a token.
 *
 * Schema: schema/relay.proto.
 */
import type { Bytes } from '../bytes.js';
import { DEVICE_ID_MAX } from '../limits.js';
import { ProtoReader, ProtoWriter } from '../wire/protobuf.js';
import { accountField, deviceField, pushBounded, required } from './fields.js';
import type { AccountId } from './mailbox.js';
import { type Credential, putCredential, tokenField, tokenIdField } from './requests-sealed.js';

/** Take prekeys of an account for new sessions; no `devices` means all of them. */
export interface TakePrekeysRequest extends Credential {
  readonly kind: 'takePrekeys';
  /** The account, or the address of an inlet. */
  readonly account: AccountId;
  readonly devices: readonly number[];
}

/** Identity key and signed device list of an account, or of the one behind an inlet. */
export interface DevicesRequest extends Credential {
  readonly kind: 'devices';
  readonly account: AccountId;
}

/** Field 5 of a request. */
export function encodeTake(op: TakePrekeysRequest): Bytes {
  const writer = new ProtoWriter(64).bytes(1, op.account);
  for (const device of op.devices) writer.uint32(2, device);
  putCredential(writer, 3, op);
  return writer.finish();
}

/** @throws DecodeError `DECODE_FRAME` or `DECODE_PROTOBUF` */
export function decodeTake(bytes: Uint8Array): TakePrekeysRequest {
  const reader = new ProtoReader(bytes);
  let account: AccountId | undefined;
  const devices: number[] = [];
  let tokenId: Bytes | undefined;
  let token: Bytes | undefined;
  while (reader.next()) {
    if (reader.field === 1) account = accountField(reader);
    else if (reader.field === 2) {
      pushBounded(devices, deviceField(reader), DEVICE_ID_MAX, 'devices');
    } else if (reader.field === 3) tokenId = tokenIdField(reader);
    else if (reader.field === 4) token = tokenField(reader);
    else reader.skip();
  }
  return {
    kind: 'takePrekeys',
    account: required(account, 'account'),
    devices,
    ...(tokenId && { tokenId }),
    ...(token && { token }),
  };
}

/** Field 8 of a request. */
export function encodeDevices(op: DevicesRequest): Bytes {
  const writer = new ProtoWriter(96).bytes(1, op.account);
  putCredential(writer, 2, op);
  return writer.finish();
}

/** @throws DecodeError `DECODE_FRAME` or `DECODE_PROTOBUF` */
export function decodeDevices(bytes: Uint8Array): DevicesRequest {
  const reader = new ProtoReader(bytes);
  let account: AccountId | undefined;
  let tokenId: Bytes | undefined;
  let token: Bytes | undefined;
  while (reader.next()) {
    if (reader.field === 1) account = accountField(reader);
    else if (reader.field === 2) tokenId = tokenIdField(reader);
    else if (reader.field === 3) token = tokenField(reader);
    else reader.skip();
  }
  return {
    kind: 'devices',
    account: required(account, 'account'),
    ...(tokenId && { tokenId }),
    ...(token && { token }),
  };
}
