/**
 * 00 Conventions. Branded keys and ids with their checking constructors.
 *
 * A constructor checks and takes the buffer over; it does not copy. It is the only cast to its brand.
 */
import type { Brand } from './brand.js';
import { copyBytes, type Bytes } from './bytes.js';
import { DecodeError, UsageError } from './errors.js';

/** Curve25519 public key: `0x05` and 32 bytes of u-coordinate; 33 bytes. */
export type PublicKey = Brand<Bytes, 'PublicKey'>;
/** Curve25519 private key: 32 bytes, clamped. Secret. */
export type PrivateKey = Brand<Bytes, 'PrivateKey'>;
/** Kyber1024 public key: `0x08` and 1568 bytes. */
export type KemPublicKey = Brand<Bytes, 'KemPublicKey'>;
/** Kyber1024 secret key: `0x08` and 3168 bytes. Secret. */
export type KemSecretKey = Brand<Bytes, 'KemSecretKey'>;
/** Kyber1024 ciphertext: `0x08` and 1568 bytes. */
export type KemCiphertext = Brand<Bytes, 'KemCiphertext'>;
/** XEdDSA signature, 64 bytes. */
export type Signature = Brand<Bytes, 'Signature'>;
/** Root key, 32 bytes. Secret. */
export type RootKey = Brand<Bytes, 'RootKey'>;
/** Chain key, 32 bytes. Secret. */
export type ChainKey = Brand<Bytes, 'ChainKey'>;
/** Seed of one message's keys, 32 bytes. Secret. */
export type MessageKeySeed = Brand<Bytes, 'MessageKeySeed'>;

/** A Curve25519 key pair. `secret` is secret; its owner wipes it. */
export interface KeyPair {
  readonly public: PublicKey;
  readonly secret: PrivateKey;
}

/** A Kyber1024 key pair. `secret` is secret; its owner wipes it. */
export interface KemKeyPair {
  readonly public: KemPublicKey;
  readonly secret: KemSecretKey;
}

/** Unit that holds sessions: an account's name and one of its devices. */
export interface Address {
  /** Service id text (UUID) in Qasid; any string for compatible peers. */
  readonly name: string;
  /** 1 to 127. */
  readonly deviceId: number;
}

/** `name.deviceId`: the key under which stores keep an address. */
export function addressText(address: Address): string {
  return `${address.name}.${address.deviceId}`;
}

/**
 * Check an address.
 *
 * @throws UsageError `USAGE_RANGE` when the device id is outside 1 to 127.
 */
export function toAddress(name: string, deviceId: number): Address {
  if (!Number.isInteger(deviceId) || deviceId < 1 || deviceId > 127) {
    throw new UsageError('USAGE_RANGE', `device id ${deviceId} is outside 1 to 127`);
  }
  return { name, deviceId };
}

function ofLength<Branded extends Bytes>(value: Uint8Array, length: number, what: string): Branded {
  if (value.length !== length) {
    throw new UsageError('USAGE_LENGTH', `${what} of ${value.length} bytes, expected ${length}`);
  }
  return value as Branded;
}

/** Type byte of a Curve25519 public key. */
export const CURVE_KEY_TYPE = 0x05;
/** Type byte of a Kyber1024 (round 3) key or ciphertext. */
export const KYBER1024_KEY_TYPE = 0x08;

const CURVE_KEY_BYTES = 33;
const KEM_PUBLIC_KEY_BYTES = 1569;
const KEM_SECRET_KEY_BYTES = 3169;

function keyTypeError(bytes: Uint8Array, kind: string): DecodeError {
  const type = bytes[0];
  return type === undefined
    ? new DecodeError('DECODE_KEY_TYPE', 'no key type identifier')
    : new DecodeError(
        'DECODE_KEY_TYPE',
        `bad ${kind} type <0x${type.toString(16).padStart(2, '0')}>`,
      );
}

/**
 * Parse a serialised Curve25519 public key. Any 32 bytes are a key: no point is checked here, and bytes
 * beyond the 33rd are dropped, as compatible peers do. Takes an exact 33-byte array over, else copies.
 *
 * @throws DecodeError `DECODE_KEY_TYPE` for an empty input or another type byte, `DECODE_KEY_LENGTH`.
 *
 * Source: 01 §1. Vectors: sessions/curve.json.
 */
export function toPublicKey(bytes: Uint8Array): PublicKey {
  if (bytes[0] !== CURVE_KEY_TYPE) throw keyTypeError(bytes, 'key');
  if (bytes.length < CURVE_KEY_BYTES) {
    throw new DecodeError(
      'DECODE_KEY_LENGTH',
      `bad key length <${bytes.length}> for key with type <Djb>`,
    );
  }
  if (bytes.length === CURVE_KEY_BYTES) return bytes as PublicKey;
  return copyBytes(bytes.subarray(0, CURVE_KEY_BYTES)) as PublicKey;
}

/**
 * Parse a serialised Curve25519 private key: 32 bytes, clamped. Takes a clamped array over, else copies.
 *
 * @throws DecodeError `DECODE_KEY_LENGTH`.
 */
export function toPrivateKey(bytes: Uint8Array): PrivateKey {
  if (bytes.length !== 32) {
    throw new DecodeError(
      'DECODE_KEY_LENGTH',
      `bad key length <${bytes.length}> for key with type <Djb>`,
    );
  }
  const first = bytes[0] as number;
  const last = bytes[31] as number;
  if ((first & 7) === 0 && (last & 0xc0) === 0x40) return bytes as PrivateKey;
  const clamped = copyBytes(bytes);
  clamped[0] = first & 0xf8;
  clamped[31] = (last & 0x7f) | 0x40;
  return clamped as PrivateKey;
}

function toKem<Branded extends Bytes>(bytes: Uint8Array, length: number, kind: string): Branded {
  if (bytes[0] !== KYBER1024_KEY_TYPE) throw keyTypeError(bytes, `KEM ${kind}`);
  if (bytes.length !== length) {
    throw new DecodeError(
      'DECODE_KEY_LENGTH',
      `bad KEM ${kind} length <${bytes.length}> for key with type <Kyber1024 key>`,
    );
  }
  return bytes as Branded;
}

/** 1569 bytes with type `0x08`, taken over. @throws DecodeError `DECODE_KEY_TYPE`, `DECODE_KEY_LENGTH` */
export function toKemPublicKey(bytes: Uint8Array): KemPublicKey {
  return toKem<KemPublicKey>(bytes, KEM_PUBLIC_KEY_BYTES, 'key');
}

/** 3169 bytes with type `0x08`, taken over. @throws DecodeError `DECODE_KEY_TYPE`, `DECODE_KEY_LENGTH` */
export function toKemSecretKey(bytes: Uint8Array): KemSecretKey {
  return toKem<KemSecretKey>(bytes, KEM_SECRET_KEY_BYTES, 'key');
}

/** 1569 bytes with type `0x08`, taken over. @throws DecodeError `DECODE_KEY_TYPE`, `DECODE_KEY_LENGTH` */
export function toKemCiphertext(bytes: Uint8Array): KemCiphertext {
  return toKem<KemCiphertext>(bytes, KEM_PUBLIC_KEY_BYTES, 'ciphertext');
}

/** 32 bytes. @throws UsageError `USAGE_LENGTH` */
export function toRootKey(value: Uint8Array): RootKey {
  return ofLength<RootKey>(value, 32, 'root key');
}

/** 32 bytes. @throws UsageError `USAGE_LENGTH` */
export function toChainKey(value: Uint8Array): ChainKey {
  return ofLength<ChainKey>(value, 32, 'chain key');
}

/** 32 bytes. @throws UsageError `USAGE_LENGTH` */
export function toMessageKeySeed(value: Uint8Array): MessageKeySeed {
  return ofLength<MessageKeySeed>(value, 32, 'message key seed');
}

/** 64 bytes. @throws UsageError `USAGE_LENGTH` */
export function toSignature(value: Uint8Array): Signature {
  return ofLength<Signature>(value, 64, 'signature');
}

/** 0 to 2^32 - 1. @throws UsageError `USAGE_RANGE` */
export function toU32(value: number, what: string): number {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
    throw new UsageError('USAGE_RANGE', `${what} ${value} is outside 0 to 2^32 - 1`);
  }
  return value;
}
