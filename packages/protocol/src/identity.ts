/**
 * 02 Identity. The long-term key pair of an account, its record, and statements made with it.
 *
 * Parsing of single keys is in types.ts; comparing keys between people is fingerprint.ts.
 * Spec: spec/02-identity.md.
 */
import { type Bytes, copyBytes } from './bytes.js';
import type { CryptoProvider } from './crypto/provider.js';
import { LABEL_ALTERNATE_IDENTITY } from './labels.js';
import { redacted, wipe } from './secret.js';
import {
  type KeyPair,
  type PublicKey,
  type Signature,
  toPrivateKey,
  toPublicKey,
  toSignature,
} from './types.js';
import { ProtoReader, ProtoWriter } from './wire/protobuf.js';

/** A fresh identity key pair. The caller owns the secret. Source: 02 §1. */
export function generateIdentityKeyPair(crypto: CryptoProvider): KeyPair {
  return crypto.x25519KeyPair();
}

/**
 * A fresh registration id, 1 to 16380: it tells an installation from the one before it on the same device
 * id, so it must differ, not be secret. Source: 02 §3.
 */
export function generateRegistrationId(crypto: CryptoProvider): number {
  for (;;) {
    const [high, low] = crypto.randomBytes(2);
    const value = (((high as number) << 8) | (low as number)) & 0x3fff;
    if (value >= 1 && value <= REGISTRATION_ID_MAX) return value;
  }
}

/**
 * The record of an identity key pair: protobuf, 1 public key (33 bytes), 2 private key (32 bytes); 69 bytes.
 *
 * @returns Secret, owned by the caller.
 *
 * Source: 02 §2.
 */
export function encodeIdentityKeyPair(pair: KeyPair): Bytes {
  return new ProtoWriter(69).bytes(1, pair.public).bytes(2, pair.secret).finish();
}

/**
 * Read an identity key pair. The public half is taken as stored.
 *
 * @throws DecodeError `DECODE_PROTOBUF`, `DECODE_KEY_TYPE`, `DECODE_KEY_LENGTH`.
 *
 * Source: 02 §2.
 */
export function decodeIdentityKeyPair(record: Uint8Array): KeyPair {
  const reader = new ProtoReader(record);
  let publicBytes: Uint8Array = EMPTY;
  let secretBytes: Uint8Array = EMPTY;
  while (reader.next()) {
    if (reader.field === 1) publicBytes = reader.bytes();
    else if (reader.field === 2) secretBytes = reader.bytes();
    else reader.skip();
  }
  const publicKey = toPublicKey(copyBytes(publicBytes));
  return redacted({ public: publicKey, secret: toPrivateKey(copyBytes(secretBytes)) });
}

/**
 * Sign that `other` is an identity key of the same account.
 *
 * Source: 02 §4. Vectors: sessions/xeddsa.json, `alternateIdentity`.
 */
export function signAlternateIdentity(
  crypto: CryptoProvider,
  identity: KeyPair,
  other: PublicKey,
): Signature {
  const random = crypto.randomBytes(64);
  try {
    return toSignature(crypto.xeddsaSign(identity.secret, random, LABEL_ALTERNATE_IDENTITY, other));
  } finally {
    wipe(random);
  }
}

/** Whether the owner of `identityKey` signed that `other` is theirs too. Not symmetric. Source: 02 §4. */
export function verifyAlternateIdentity(
  crypto: CryptoProvider,
  identityKey: PublicKey,
  other: PublicKey,
  signature: Uint8Array,
): boolean {
  return crypto.xeddsaVerify(identityKey, signature, LABEL_ALTERNATE_IDENTITY, other);
}

/**
 * Whether a public key has low order: every agreement with it gives zero, and signatures under it can be
 * made by anyone. Takes the key as X25519 does: bit 255 ignored, u reduced. Source: 01 §2.3.
 */
export function isLowOrder(key: PublicKey): boolean {
  return LOW_ORDER.some((point) => {
    for (let i = 0; i < 32; i++) {
      const byte = key[i + 1] as number;
      if ((i === 31 ? byte & 0x7f : byte) !== point[i]) return false;
    }
    return true;
  });
}

const EMPTY = new Uint8Array(0);

/** Largest registration id that deployed clients make. */
const REGISTRATION_ID_MAX = 16_380;

function lowOrder(first: number, middle: number, last: number): Bytes {
  const point = new Uint8Array(32).fill(middle);
  point[0] = first;
  point[31] = last;
  return point;
}

/** u of every point of low order, on curve and twist, and their unreduced forms below 2^255. */
const LOW_ORDER: readonly Bytes[] = [
  lowOrder(0x00, 0x00, 0x00), // 0
  lowOrder(0x01, 0x00, 0x00), // 1
  lowOrder(0xec, 0xff, 0x7f), // -1
  lowOrder(0xed, 0xff, 0x7f), // p, that is 0
  lowOrder(0xee, 0xff, 0x7f), // p + 1, that is 1
  // The two of order 8.
  new Uint8Array([
    0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
    0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
  ]),
  new Uint8Array([
    0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
    0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
  ]),
];
