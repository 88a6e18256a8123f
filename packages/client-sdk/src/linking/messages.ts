/**
 * 20 Linking §4. What the devices tell each other: who wants to join, whether a person agreed, and the account.
 */
import {
  copyBytes,
  DecodeError,
  ProtoWriter,
  toPrivateKey,
  toPublicKey,
  type Bytes,
  type KeyPair,
} from '@qasid/protocol';
import { accountText, parseAccountText, toAccountId } from '@qasid/protocol/envelope';

import { Fields } from '../content/fields.js';
import { LinkError } from '../errors.js';
import { DEVICE_NAME_BYTES } from './limits.js';

/** A device that wants to join. Nothing in it is secret, and nothing in it is proven: people look at it. */
export interface JoinRequest {
  /** What its owner calls it. */
  readonly name: string;
  /** What it runs on, in its own words. */
  readonly platform: string;
  readonly registrationId: number;
  /** Ed25519, 32 bytes. */
  readonly authKey: Bytes;
}

/** What makes a device part of an account. SECRET: it holds the identity key. */
export interface JoinGrant {
  readonly account: string;
  readonly username: string | undefined;
  readonly device: number;
  readonly identity: KeyPair;
  /** The list that names the new device. */
  readonly signedDeviceList: Bytes;
  /** Seconds since 1970 by the relay's clock. */
  readonly expiresAtSeconds: number;
  /** The account's permission for that list until then, 64 bytes. */
  readonly permission: Bytes;
  /** Names the transfer that follows, 16 bytes, and opens it, 32 bytes. */
  readonly transferId: Bytes;
  readonly transferKey: Bytes;
}

/** Bytes of a request. */
export function encodeJoinRequest(request: JoinRequest): Bytes {
  const { name, platform, registrationId, authKey } = request;
  return new ProtoWriter(192)
    .text(1, name)
    .text(2, platform)
    .uint32(3, registrationId)
    .bytes(4, authKey)
    .finish();
}

/** @throws LinkError `LINK_ALTERED` */
export function decodeJoinRequest(encoded: Uint8Array): JoinRequest {
  return reading(() => {
    const fields = new Fields(encoded, { 1: 'bytes', 2: 'bytes', 3: 'number', 4: 'bytes' });
    return {
      name: fields.text(1, DEVICE_NAME_BYTES),
      platform: fields.text(2, DEVICE_NAME_BYTES),
      registrationId: fields.number(3, 0xffff_ffff),
      authKey: fields.bytes(4, 32),
    };
  });
}

/** Bytes of the new device's word: whether its person agreed. */
export function encodeConfirmation(agreed: boolean): Bytes {
  return new Uint8Array([agreed ? 1 : 0]);
}

/** Whether it says yes. @throws LinkError `LINK_ALTERED` */
export function decodeConfirmation(encoded: Uint8Array): boolean {
  if (encoded.length !== 1) throw altered();
  return encoded[0] === 1;
}

/** Bytes of a grant; empty when the person said no. The caller wipes them. */
export function encodeJoinGrant(grant: JoinGrant | undefined): Bytes {
  if (grant === undefined) return new Uint8Array(0);
  const { username, identity } = grant;
  const writer = new ProtoWriter(1024)
    .bytes(1, parseAccountText(grant.account))
    .uint32(3, grant.device)
    .bytes(4, identity.secret)
    .bytes(5, identity.public)
    .bytes(6, grant.signedDeviceList)
    .uint64(7, grant.expiresAtSeconds)
    .bytes(8, grant.permission)
    .bytes(9, grant.transferId)
    .bytes(10, grant.transferKey);
  if (username !== undefined) writer.text(2, username);
  return writer.finish();
}

/** The grant, or `undefined` when the person said no. @throws LinkError `LINK_ALTERED` */
export function decodeJoinGrant(encoded: Uint8Array): JoinGrant | undefined {
  if (encoded.length === 0) return undefined;
  return reading(() => {
    const fields = new Fields(encoded, {
      1: 'bytes',
      2: 'bytes',
      3: 'number',
      4: 'bytes',
      5: 'bytes',
      6: 'bytes',
      7: 'number',
      8: 'bytes',
      9: 'bytes',
      10: 'bytes',
    });
    return {
      account: accountText(toAccountId(fields.bytes(1, 16))),
      username: fields.optionalText(2, 32),
      device: fields.number(3, 127),
      identity: {
        secret: toPrivateKey(fields.bytes(4, 32)),
        public: toPublicKey(fields.bytes(5, 33)),
      },
      signedDeviceList: copyBytes(fields.bytes(6, 1, 16_384)),
      expiresAtSeconds: fields.number(7, Number.MAX_SAFE_INTEGER),
      permission: fields.bytes(8, 64),
      transferId: fields.bytes(9, 16),
      transferKey: fields.bytes(10, 32),
    };
  });
}

function reading<Value>(read: () => Value): Value {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof DecodeError) throw altered(cause);
    throw cause;
  }
}

function altered(cause?: unknown): LinkError {
  const options = cause === undefined ? {} : { cause };
  return new LinkError('LINK_ALTERED', 'the other device says what cannot be read', options);
}
