/**
 * 12 Envelope. Public prekeys and device lists as they travel inside frames.
 *
 * Only lengths and type bytes are checked here; the signatures of prekeys are for the clients, who know
 * the identity key they expect (spec 03).
 */
import type { Bytes } from '../bytes.js';
import { MAX_PREKEYS_PER_UPLOAD } from '../limits.js';
import { ProtoReader, ProtoWriter } from '../wire/protobuf.js';
import {
  curveKeyField,
  deviceField,
  fixedBytes,
  kemKeyField,
  pushBounded,
  putBool,
  putUint,
  required,
  shortBytes,
  u32Field,
} from './fields.js';

/** A one-time curve prekey: id and 33 bytes. */
export interface PublicPrekey {
  readonly id: number;
  readonly public: Bytes;
}

/** A signed prekey, curve (33 bytes) or KEM (1569 bytes), with its 64-byte signature. */
export interface SignedPublicPrekey extends PublicPrekey {
  readonly signature: Bytes;
}

/** Prekeys a device publishes. Absent members change nothing; one-time keys are added to those there. */
export interface PrekeyUpload {
  /** Replaces the signed curve prekey. */
  readonly signed?: SignedPublicPrekey;
  readonly oneTime: readonly PublicPrekey[];
  /** Replaces the KEM prekey that is handed out when the one-time ones are used up. */
  readonly lastResortKem?: SignedPublicPrekey;
  readonly kem: readonly SignedPublicPrekey[];
}

/** Prekeys of one device, taken for one handshake. */
export interface PrekeyBundleItem {
  readonly device: number;
  readonly registrationId: number;
  readonly signed: SignedPublicPrekey;
  /** Absent when the device has none left. */
  readonly oneTime?: PublicPrekey;
  readonly kem: SignedPublicPrekey;
  /** Whether `kem` is the last-resort key, which others may have been given too. */
  readonly kemLastResort: boolean;
}

/** The exact bytes of a device list and the account's XEdDSA signature over them. */
export interface SignedDeviceList {
  /** Encoded `DeviceList`, see devices.ts. */
  readonly list: Bytes;
  readonly signature: Bytes;
}

/** `PutPrekeys` and `Register.prekeys`. */
export function encodePrekeyUpload(upload: PrekeyUpload): Bytes {
  const writer = new ProtoWriter(512);
  if (upload.signed) writer.bytes(1, encodeSigned(upload.signed));
  for (const key of upload.oneTime) writer.bytes(2, encodePlain(key));
  if (upload.lastResortKem) writer.bytes(3, encodeSigned(upload.lastResortKem));
  for (const key of upload.kem) writer.bytes(4, encodeSigned(key));
  return writer.finish();
}

/** @throws DecodeError `DECODE_FRAME` or `DECODE_PROTOBUF` */
export function decodePrekeyUpload(bytes: Uint8Array): PrekeyUpload {
  const reader = new ProtoReader(bytes);
  let signed: SignedPublicPrekey | undefined;
  let lastResortKem: SignedPublicPrekey | undefined;
  const oneTime: PublicPrekey[] = [];
  const kem: SignedPublicPrekey[] = [];
  while (reader.next()) {
    if (reader.field === 1) signed = decodeSigned(reader.bytes(), curveKeyField);
    else if (reader.field === 2) {
      pushBounded(oneTime, decodePlain(reader.bytes()), MAX_PREKEYS_PER_UPLOAD, 'prekeys');
    } else if (reader.field === 3) lastResortKem = decodeSigned(reader.bytes(), kemKeyField);
    else if (reader.field === 4) {
      const key = decodeSigned(reader.bytes(), kemKeyField);
      pushBounded(kem, key, MAX_PREKEYS_PER_UPLOAD, 'KEM prekeys');
    } else reader.skip();
  }
  return { oneTime, kem, ...(signed && { signed }), ...(lastResortKem && { lastResortKem }) };
}

/** One bundle of a `Bundles` body. */
export function encodeBundle(bundle: PrekeyBundleItem): Bytes {
  const writer = new ProtoWriter(2048);
  putUint(writer, 1, bundle.device);
  putUint(writer, 2, bundle.registrationId);
  writer.bytes(3, encodeSigned(bundle.signed));
  if (bundle.oneTime) writer.bytes(4, encodePlain(bundle.oneTime));
  writer.bytes(5, encodeSigned(bundle.kem));
  putBool(writer, 6, bundle.kemLastResort);
  return writer.finish();
}

/** @throws DecodeError `DECODE_FRAME` or `DECODE_PROTOBUF` */
export function decodeBundle(bytes: Uint8Array): PrekeyBundleItem {
  const reader = new ProtoReader(bytes);
  let device: number | undefined;
  let registrationId = 0;
  let signed: SignedPublicPrekey | undefined;
  let oneTime: PublicPrekey | undefined;
  let kem: SignedPublicPrekey | undefined;
  let kemLastResort = false;
  while (reader.next()) {
    if (reader.field === 1) device = deviceField(reader);
    else if (reader.field === 2) registrationId = u32Field(reader, 'registration id');
    else if (reader.field === 3) signed = decodeSigned(reader.bytes(), curveKeyField);
    else if (reader.field === 4) oneTime = decodePlain(reader.bytes());
    else if (reader.field === 5) kem = decodeSigned(reader.bytes(), kemKeyField);
    else if (reader.field === 6) kemLastResort = reader.bool();
    else reader.skip();
  }
  return {
    device: required(device, 'device'),
    registrationId,
    signed: required(signed, 'signed prekey'),
    ...(oneTime && { oneTime }),
    kem: required(kem, 'KEM prekey'),
    kemLastResort,
  };
}

/** The two fields around a device list. */
export function encodeSignedDeviceList(signed: SignedDeviceList): Bytes {
  return new ProtoWriter(signed.list.length + 80)
    .bytes(1, signed.list)
    .bytes(2, signed.signature)
    .finish();
}

/** @throws DecodeError `DECODE_FRAME` or `DECODE_PROTOBUF` */
export function decodeSignedDeviceList(bytes: Uint8Array): SignedDeviceList {
  const reader = new ProtoReader(bytes);
  let list: Bytes | undefined;
  let signature: Bytes | undefined;
  while (reader.next()) {
    if (reader.field === 1) list = shortBytes(reader, DEVICE_LIST_BYTES_MAX, 'device list');
    else if (reader.field === 2) signature = fixedBytes(reader, 64, 'signature');
    else reader.skip();
  }
  return { list: required(list, 'device list'), signature: required(signature, 'signature') };
}

function encodePlain(key: PublicPrekey): Bytes {
  const writer = new ProtoWriter(48);
  putUint(writer, 1, key.id);
  return writer.bytes(2, key.public).finish();
}

function encodeSigned(key: SignedPublicPrekey): Bytes {
  const writer = new ProtoWriter(key.public.length + 96);
  putUint(writer, 1, key.id);
  return writer.bytes(2, key.public).bytes(3, key.signature).finish();
}

function decodePlain(bytes: Uint8Array): PublicPrekey {
  const reader = new ProtoReader(bytes);
  let id = 0;
  let publicKey: Bytes | undefined;
  while (reader.next()) {
    if (reader.field === 1) id = u32Field(reader, 'prekey id');
    else if (reader.field === 2) publicKey = curveKeyField(reader, 'prekey');
    else reader.skip();
  }
  return { id, public: required(publicKey, 'prekey') };
}

function decodeSigned(
  bytes: Uint8Array,
  keyField: (reader: ProtoReader, what: string) => Bytes,
): SignedPublicPrekey {
  const reader = new ProtoReader(bytes);
  let id = 0;
  let publicKey: Bytes | undefined;
  let signature: Bytes | undefined;
  while (reader.next()) {
    if (reader.field === 1) id = u32Field(reader, 'prekey id');
    else if (reader.field === 2) publicKey = keyField(reader, 'prekey');
    else if (reader.field === 3) signature = fixedBytes(reader, 64, 'signature');
    else reader.skip();
  }
  return {
    id,
    public: required(publicKey, 'prekey'),
    signature: required(signature, 'prekey signature'),
  };
}

/** Room for 127 devices of at most 46 bytes. */
const DEVICE_LIST_BYTES_MAX = 8_192;
