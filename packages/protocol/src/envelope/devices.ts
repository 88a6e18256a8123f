/**
 * 12 Envelope. The list of an account's devices, signed by the account's identity key.
 *
 * The relay checks it and so does every client, so a relay can neither add a device nor bring an old list
 * back unnoticed: the signature covers the exact bytes and the version only ever rises by one.
 */
import type { Bytes } from '../bytes.js';
import { samePublicBytes } from '../bytes.js';
import type { CryptoProvider } from '../crypto/provider.js';
import { DecodeError, UsageError, VerificationError } from '../errors.js';
import { LABEL_DEVICE_LIST } from '../labels.js';
import { DEVICE_ID_MAX } from '../limits.js';
import type { PrivateKey, PublicKey } from '../types.js';
import { ProtoReader, ProtoWriter } from '../wire/protobuf.js';
import {
  accountField,
  badFrame,
  deviceField,
  fixedBytes,
  pushBounded,
  putUint,
  required,
  u32Field,
} from './fields.js';
import type { AccountId } from './mailbox.js';
import type { SignedDeviceList } from './prekey-items.js';

/** One device in the list. */
export interface DeviceEntry {
  /** 1 to 127. */
  readonly device: number;
  /** Changes with each installation, so a sender notices a re-install. */
  readonly registrationId: number;
  /** Ed25519 public key with which the device answers the relay's challenge, 32 bytes. */
  readonly authKey: Bytes;
}

/** All devices of an account at one point in its history. */
export interface DeviceList {
  readonly account: AccountId;
  /** 1 for the first list, one more with each change. */
  readonly version: number;
  /**
   * SHA-256 of the list with the version before, 32 bytes: the lists of an account are a chain. Absent in
   * the first list; a relay takes no other without it.
   */
  readonly previous?: Bytes;
  /** In ascending order of `device`, none twice, at least one. */
  readonly devices: readonly DeviceEntry[];
}

/** Canonical bytes of a list. @throws UsageError `USAGE_ARGUMENT` when devices are not ascending. */
export function encodeDeviceList(list: DeviceList): Bytes {
  if (!isWellFormed(list)) {
    throw new UsageError('USAGE_ARGUMENT', 'device list: version or order of devices');
  }
  const writer = new ProtoWriter(64 + 48 * list.devices.length);
  writer.bytes(1, list.account).uint64(2, list.version);
  for (const entry of list.devices) {
    const item = new ProtoWriter(64);
    putUint(item, 1, entry.device);
    putUint(item, 2, entry.registrationId);
    writer.bytes(3, item.bytes(3, entry.authKey).finish());
  }
  if (list.previous !== undefined) writer.bytes(4, list.previous);
  return writer.finish();
}

/** @throws DecodeError `DECODE_FRAME` or `DECODE_PROTOBUF` */
export function decodeDeviceList(bytes: Uint8Array): DeviceList {
  const reader = new ProtoReader(bytes);
  let account: AccountId | undefined;
  let version = 0;
  let previous: Bytes | undefined;
  const devices: DeviceEntry[] = [];
  while (reader.next()) {
    if (reader.field === 1) account = accountField(reader);
    else if (reader.field === 2) version = u32Field(reader, 'version');
    else if (reader.field === 3) {
      pushBounded(devices, decodeEntry(reader.bytes()), DEVICE_ID_MAX, 'devices');
    } else if (reader.field === 4) previous = fixedBytes(reader, 32, 'previous list');
    else reader.skip();
  }
  const list = {
    account: required(account, 'account'),
    version,
    ...(previous && { previous }),
    devices,
  };
  if (!isWellFormed(list)) throw badFrame('device list: version or order of devices');
  return list;
}

/** What the next list names as `previous`: SHA-256 of this one as it was signed, 32 bytes. */
export function deviceListHash(
  crypto: Pick<CryptoProvider, 'sha256'>,
  signed: Pick<SignedDeviceList, 'list'>,
): Bytes {
  return crypto.sha256(signed.list);
}

/** Whether `next` is the version after `known` and names it as the one before. */
export function followsDeviceList(
  crypto: Pick<CryptoProvider, 'sha256'>,
  known: { readonly version: number; readonly signed: Pick<SignedDeviceList, 'list'> },
  next: Pick<DeviceList, 'version' | 'previous'>,
): boolean {
  return (
    next.version === known.version + 1 &&
    next.previous !== undefined &&
    samePublicBytes(next.previous, deviceListHash(crypto, known.signed))
  );
}

/**
 * Sign a list with the account's identity key.
 *
 * @param random - 64 fresh bytes.
 */
export function signDeviceList(
  crypto: Pick<CryptoProvider, 'xeddsaSign'>,
  identity: PrivateKey,
  random: Uint8Array,
  list: DeviceList,
): SignedDeviceList {
  const encoded = encodeDeviceList(list);
  return {
    list: encoded,
    signature: crypto.xeddsaSign(identity, random, LABEL_DEVICE_LIST, encoded),
  };
}

/**
 * Check a list that somebody handed us.
 *
 * @param expected - `account` and `identityKey` as we know them; `versionMin` the newest version seen so
 *   far, or 1: an older list is a rollback.
 * @throws VerificationError `VERIFY_DEVICE_LIST`, also for bytes that are no list.
 */
export function verifyDeviceList(
  crypto: Pick<CryptoProvider, 'xeddsaVerify'>,
  signed: SignedDeviceList,
  expected: {
    readonly account: AccountId;
    readonly identityKey: PublicKey;
    readonly versionMin: number;
  },
): DeviceList {
  const { identityKey } = expected;
  if (!crypto.xeddsaVerify(identityKey, signed.signature, LABEL_DEVICE_LIST, signed.list)) {
    throw refused('signature');
  }
  let list: DeviceList;
  try {
    list = decodeDeviceList(signed.list);
  } catch (cause) {
    if (cause instanceof DecodeError) throw refused('encoding', cause);
    throw cause;
  }
  if (!samePublicBytes(list.account, expected.account)) throw refused('account');
  if (list.version < expected.versionMin) throw refused('version');
  return list;
}

function decodeEntry(bytes: Uint8Array): DeviceEntry {
  const reader = new ProtoReader(bytes);
  let device: number | undefined;
  let registrationId = 0;
  let authKey: Bytes | undefined;
  while (reader.next()) {
    if (reader.field === 1) device = deviceField(reader);
    else if (reader.field === 2) registrationId = u32Field(reader, 'registration id');
    else if (reader.field === 3) authKey = fixedBytes(reader, 32, 'auth key');
    else reader.skip();
  }
  return {
    device: required(device, 'device'),
    registrationId,
    authKey: required(authKey, 'auth key'),
  };
}

/** Ascending order makes the encoding canonical and rules out a device that is listed twice (ATK-G07). */
function isWellFormed(list: DeviceList): boolean {
  if (!Number.isInteger(list.version) || list.version < 1) return false;
  if (list.previous && (list.version === 1 || list.previous.length !== 32)) return false;
  let last = 0;
  for (const { device, authKey } of list.devices) {
    if (!Number.isInteger(device) || device <= last || device > DEVICE_ID_MAX) return false;
    if (authKey.length !== 32) return false;
    last = device;
  }
  return last > 0;
}

function refused(what: string, cause?: unknown): VerificationError {
  const options = cause === undefined ? {} : { cause };
  return new VerificationError('VERIFY_DEVICE_LIST', `device list refused: ${what}`, options);
}
