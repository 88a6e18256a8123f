/**
 * 03 Prekeys. What a device publishes so that others can write to it while it is away: generation,
 * signatures, stored records, and the check of a bundle before anything is computed with it.
 *
 * Which prekeys exist, when they rotate and where they are kept is the caller's. Spec: spec/03-prekeys.md.
 */
import { type Bytes, copyBytes } from './bytes.js';
import type { CryptoProvider } from './crypto/provider.js';
import { VerificationError } from './errors.js';
import { isLowOrder } from './identity.js';
import { redacted, wipe } from './secret.js';
import {
  type KemKeyPair,
  type KemPublicKey,
  type KeyPair,
  type PublicKey,
  type Signature,
  toAddress,
  toKemPublicKey,
  toKemSecretKey,
  toPrivateKey,
  toPublicKey,
  toSignature,
  toU32,
} from './types.js';
import { ProtoReader, ProtoWriter } from './wire/protobuf.js';

/** A one-time curve prekey. Not signed. `keyPair.secret` is secret. */
export interface PreKeyRecord {
  /** 0 to 2^32 - 1. */
  readonly id: number;
  readonly keyPair: KeyPair;
}

/** A signed curve prekey. `keyPair.secret` is secret. */
export interface SignedPreKeyRecord {
  /** 0 to 2^32 - 1. */
  readonly id: number;
  readonly keyPair: KeyPair;
  /** By the identity key over the 33-byte public key. */
  readonly signature: Bytes;
  /** When it was made, milliseconds since 1970; 0 to 2^53 - 1. */
  readonly timestampMs: number;
}

/** A signed KEM prekey, one-time or last-resort: the store knows which. `keyPair.secret` is secret. */
export interface KemPreKeyRecord {
  /** 0 to 2^32 - 1. */
  readonly id: number;
  readonly keyPair: KemKeyPair;
  /** By the identity key over the 1569-byte public key, type byte included. */
  readonly signature: Bytes;
  /** When it was made, milliseconds since 1970; 0 to 2^53 - 1. */
  readonly timestampMs: number;
}

/** The public prekeys that one handshake needs. */
export interface PreKeyBundle {
  /** 0 to 2^32 - 1: tells an installation of the device from the one before. */
  readonly registrationId: number;
  /** 1 to 127. */
  readonly deviceId: number;
  /** Absent when the device has run out of one-time prekeys. */
  readonly preKey?: { readonly id: number; readonly public: PublicKey } | undefined;
  /** `signature`: 64 bytes, by `identityKey` over the 33 bytes of `public`. */
  readonly signedPreKey: {
    readonly id: number;
    readonly public: PublicKey;
    readonly signature: Uint8Array;
  };
  /** `signature`: 64 bytes, by `identityKey` over the 1569 bytes of `public`. */
  readonly kemPreKey: {
    readonly id: number;
    readonly public: KemPublicKey;
    readonly signature: Uint8Array;
  };
  /** The account's, 33 bytes. Whoever gets a bundle from a relay must compare it with what they know. */
  readonly identityKey: PublicKey;
}

/** A fresh one-time prekey. @throws UsageError `USAGE_RANGE` for an id beyond 32 bits. Source: 03 §2. */
export function generatePreKey(crypto: CryptoProvider, id: number): PreKeyRecord {
  return redacted({ id: toU32(id, 'prekey id'), keyPair: crypto.x25519KeyPair() });
}

/** A fresh prekey signed by `identity`. @throws UsageError `USAGE_RANGE`. Source: 03 §2. */
export function generateSignedPreKey(
  crypto: CryptoProvider,
  identity: KeyPair,
  id: number,
  nowMs: number,
): SignedPreKeyRecord {
  toU32(id, 'signed prekey id');
  const keyPair = crypto.x25519KeyPair();
  const signature = signKey(crypto, identity, keyPair.public);
  return redacted({ id, keyPair, signature, timestampMs: nowMs });
}

/** A fresh KEM prekey signed by `identity`. @throws UsageError `USAGE_RANGE`. Source: 03 §2. */
export function generateKemPreKey(
  crypto: CryptoProvider,
  identity: KeyPair,
  id: number,
  nowMs: number,
): KemPreKeyRecord {
  toU32(id, 'KEM prekey id');
  const keyPair = crypto.kyber1024KeyPair();
  const signature = signKey(crypto, identity, keyPair.public);
  return redacted({ id, keyPair, signature, timestampMs: nowMs });
}

/** A bundle and what its owner must store to answer it. */
export interface GeneratedBundle {
  /** Public: for whoever wants to write to this device, once. */
  readonly bundle: PreKeyBundle;
  /** For `commit` of the store, before `bundle` is given out. The records are secret. */
  readonly changes: {
    readonly preKeys: readonly { readonly id: number; readonly record: Bytes }[];
    readonly signedPreKeys: readonly { readonly id: number; readonly record: Bytes }[];
    readonly kemPreKeys: readonly {
      readonly id: number;
      readonly record: Bytes;
      readonly kind: 'one-time';
    }[];
  };
}

/**
 * A fresh prekey of each kind under one id, as a bundle: a device's first ones, or a trial. Who publishes
 * prekeys in numbers makes each kind by itself.
 *
 * @param device - `id`: 0 to 2^32 - 1, unused; `registrationId` and `deviceId` of the device; `nowMs`:
 *   milliseconds since 1970.
 * @throws UsageError `USAGE_RANGE` for an id out of range.
 *
 * Source: 03 §2 and §4.
 */
export function generatePreKeyBundle(
  crypto: CryptoProvider,
  identity: KeyPair,
  device: {
    readonly id: number;
    readonly registrationId: number;
    readonly deviceId: number;
    readonly nowMs: number;
  },
): GeneratedBundle {
  const { id, registrationId, deviceId, nowMs } = device;
  const preKey = generatePreKey(crypto, id);
  const signed = generateSignedPreKey(crypto, identity, id, nowMs);
  const kem = generateKemPreKey(crypto, identity, id, nowMs);
  const bundle: PreKeyBundle = {
    registrationId,
    deviceId,
    identityKey: identity.public,
    preKey: { id, public: preKey.keyPair.public },
    signedPreKey: { id, public: signed.keyPair.public, signature: signed.signature },
    kemPreKey: { id, public: kem.keyPair.public, signature: kem.signature },
  };
  verifyBundle(crypto, bundle);
  const changes: GeneratedBundle['changes'] = {
    preKeys: [{ id, record: encodePreKeyRecord(preKey) }],
    signedPreKeys: [{ id, record: encodeSignedPreKeyRecord(signed) }],
    kemPreKeys: [{ id, record: encodeKemPreKeyRecord(kem), kind: 'one-time' }],
  };
  wipe(preKey.keyPair.secret, signed.keyPair.secret, kem.keyPair.secret);
  return { bundle, changes };
}

/**
 * Check a bundle before it is used: ranges, then the signed prekey's signature, then the KEM prekey's, then
 * that the identity key can agree on anything at all. The caller has already asked whether the identity is
 * trusted, and compares `deviceId` with the address it asked for.
 *
 * @throws VerificationError `VERIFY_SIGNATURE`; `VERIFY_KEY_AGREEMENT` for an identity key of low order,
 *   under which anyone can sign.
 * @throws UsageError `USAGE_RANGE` for an id beyond 32 bits or a device id outside 1 to 127.
 *
 * Source: 03 §5.
 */
export function verifyBundle(crypto: CryptoProvider, bundle: PreKeyBundle): void {
  const { identityKey, signedPreKey, kemPreKey, preKey } = bundle;
  toAddress('', bundle.deviceId);
  toU32(bundle.registrationId, 'registration id');
  toU32(signedPreKey.id, 'signed prekey id');
  toU32(kemPreKey.id, 'KEM prekey id');
  if (preKey !== undefined) toU32(preKey.id, 'prekey id');
  // Over the serialised keys, type byte included: a curve key can never pass for a KEM key.
  if (!crypto.xeddsaVerify(identityKey, signedPreKey.signature, signedPreKey.public)) {
    throw new VerificationError('VERIFY_SIGNATURE', 'invalid signature on the signed prekey');
  }
  if (!crypto.xeddsaVerify(identityKey, kemPreKey.signature, kemPreKey.public)) {
    throw new VerificationError('VERIFY_SIGNATURE', 'invalid signature on the KEM prekey');
  }
  if (isLowOrder(identityKey)) {
    throw new VerificationError('VERIFY_KEY_AGREEMENT', 'identity key of low order');
  }
}

/** The stored form: protobuf, 1 id, 2 public (33), 3 private (32). Secret. Source: 03 §3. */
export function encodePreKeyRecord(record: PreKeyRecord): Bytes {
  return writeKeys(record.id, record.keyPair).finish();
}

/**
 * Read a stored one-time prekey; an absent id is 0.
 *
 * @throws DecodeError `DECODE_PROTOBUF`, `DECODE_KEY_TYPE`, `DECODE_KEY_LENGTH`.
 *
 * Source: 03 §3.
 */
export function decodePreKeyRecord(bytes: Uint8Array): PreKeyRecord {
  const fields = readFields(bytes);
  return redacted({ id: fields.id, keyPair: curvePair(fields) });
}

/** The stored form: 1 id, 2 public (33), 3 private (32), 4 signature, 5 fixed64 time. Secret. Source: 03 §3. */
export function encodeSignedPreKeyRecord(record: SignedPreKeyRecord): Bytes {
  return writeSigned(record);
}

/** Read a stored signed prekey. @throws DecodeError as `decodePreKeyRecord`. Source: 03 §3. */
export function decodeSignedPreKeyRecord(bytes: Uint8Array): SignedPreKeyRecord {
  const { id, signature, timestampMs, ...keys } = readFields(bytes);
  return redacted({ id, keyPair: curvePair(keys), signature, timestampMs });
}

/** The stored form: as a signed prekey, with keys of 1569 and 3169 bytes. Secret. Source: 03 §3. */
export function encodeKemPreKeyRecord(record: KemPreKeyRecord): Bytes {
  return writeSigned(record);
}

/** Read a stored KEM prekey. @throws DecodeError as `decodePreKeyRecord`. Source: 03 §3. */
export function decodeKemPreKeyRecord(bytes: Uint8Array): KemPreKeyRecord {
  const { id, signature, timestampMs, ...keys } = readFields(bytes);
  const publicKey = toKemPublicKey(keys.public);
  const keyPair = redacted({ public: publicKey, secret: toKemSecretKey(keys.secret) });
  return redacted({ id, keyPair, signature, timestampMs });
}

function signKey(crypto: CryptoProvider, identity: KeyPair, key: Uint8Array): Signature {
  const random = crypto.randomBytes(64);
  try {
    return toSignature(crypto.xeddsaSign(identity.secret, random, key));
  } finally {
    wipe(random);
  }
}

function writeKeys(id: number, keyPair: { public: Uint8Array; secret: Uint8Array }): ProtoWriter {
  const writer = new ProtoWriter(keyPair.public.length + keyPair.secret.length + 128);
  if (id !== 0) writer.uint32(1, id);
  return writer.bytes(2, keyPair.public).bytes(3, keyPair.secret);
}

function writeSigned(record: SignedPreKeyRecord | KemPreKeyRecord): Bytes {
  const writer = writeKeys(record.id, record.keyPair);
  if (record.signature.length !== 0) writer.bytes(4, record.signature);
  if (record.timestampMs !== 0) writer.fixed64(5, record.timestampMs);
  return writer.finish();
}

interface Fields {
  id: number;
  public: Bytes;
  secret: Bytes;
  signature: Bytes;
  timestampMs: number;
}

function readFields(bytes: Uint8Array): Fields {
  const reader = new ProtoReader(bytes);
  let id = 0;
  let publicBytes: Uint8Array = EMPTY;
  let secretBytes: Uint8Array = EMPTY;
  let signature: Uint8Array = EMPTY;
  let timestampMs = 0;
  while (reader.next()) {
    if (reader.field === 1) id = reader.uint32();
    else if (reader.field === 2) publicBytes = reader.bytes();
    else if (reader.field === 3) secretBytes = reader.bytes();
    else if (reader.field === 4) signature = reader.bytes();
    else if (reader.field === 5) timestampMs = reader.fixed64();
    else reader.skip();
  }
  return {
    id,
    public: copyBytes(publicBytes),
    secret: copyBytes(secretBytes),
    signature: copyBytes(signature),
    timestampMs,
  };
}

function curvePair(keys: { public: Bytes; secret: Bytes }): KeyPair {
  return redacted({ public: toPublicKey(keys.public), secret: toPrivateKey(keys.secret) });
}

const EMPTY = new Uint8Array(0);
