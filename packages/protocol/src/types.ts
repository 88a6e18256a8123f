/**
 * 00 Conventions. Branded keys and ids with their checking constructors.
 *
 * A constructor checks and takes the buffer over; it does not copy. It is the only cast to its brand.
 */
import type { Brand } from './brand.js';
import type { Bytes } from './bytes.js';
import { UsageError } from './errors.js';

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
