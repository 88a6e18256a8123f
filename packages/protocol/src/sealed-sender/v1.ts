/**
 * 10 Sealed sender, version 1. One recipient, one message.
 *
 * Two layers: the sender's identity key under an ephemeral agreement, the content under an agreement with
 * that identity key, which authenticates the sender to the recipient. Spec: spec/10-sealed-sender.md §5.
 */
import { concatBytes, copyBytes, samePublicBytes, type Bytes } from '../bytes.js';
import { aesCtrZero } from '../crypto/aead.js';
import { equalBytes } from '../crypto/constant-time.js';
import type { CryptoProvider } from '../crypto/provider.js';
import { DecodeError, VerificationError } from '../errors.js';
import { LABEL_SEALED_V1 } from '../labels.js';
import { wipe } from '../secret.js';
import { toPublicKey, type KeyPair, type PrivateKey, type PublicKey } from '../types.js';
import { ProtoReader, ProtoWriter } from '../wire/protobuf.js';
import { decodeSealedContent, type SealedContent } from './content.js';

/** First byte of a version 1 message. When reading, high nibbles 0 and 1 both mean version 1. */
export const SEALED_V1 = 0x11;

/** Bytes of the MAC behind each layer. */
const MAC_BYTES = 10;

const NO_INFO: Bytes = new Uint8Array(0);

/**
 * Seal encoded content for one identity key.
 *
 * @param identity - Ours; must be the key of the certificate in `content`, or nobody opens it.
 * @param ephemeral - Fresh for each message; the result is determined by it. Wiped by the caller.
 * @throws VerificationError `VERIFY_KEY_AGREEMENT` for a low-order recipient key.
 *
 * Source: 10 §5. Vectors: sealed-sender/v1.json.
 */
export function sealV1(
  crypto: CryptoProvider,
  identity: KeyPair,
  recipient: PublicKey,
  content: Uint8Array,
  ephemeral: KeyPair,
): Bytes {
  const outer = outerKeys(crypto, ephemeral.secret, recipient, recipient, ephemeral.public);
  try {
    const encryptedStatic = lock(crypto, outer, identity.public);
    const inner = innerKeys(crypto, identity.secret, recipient, outer, encryptedStatic);
    try {
      return new ProtoWriter(content.length + 128)
        .raw(new Uint8Array([SEALED_V1]))
        .bytes(1, ephemeral.public)
        .bytes(2, encryptedStatic)
        .bytes(3, lock(crypto, inner, content))
        .finish();
    } finally {
      wipe(inner);
    }
  } finally {
    wipe(outer);
  }
}

/**
 * Open a version 1 message. The certificate inside is bound to the sender's key but **not validated**.
 *
 * @param identity - The recipient's.
 * @throws DecodeError `DECODE_PROTOBUF`, `DECODE_KEY_TYPE`, `DECODE_KEY_LENGTH`.
 * @throws VerificationError `VERIFY_SEALED_SENDER`, `VERIFY_KEY_AGREEMENT`.
 */
export function openV1(
  crypto: CryptoProvider,
  identity: KeyPair,
  bytes: Uint8Array,
): SealedContent {
  const { ephemeral, encryptedStatic, encryptedMessage } = decode(bytes.subarray(1));
  const outer = outerKeys(crypto, identity.secret, ephemeral, identity.public, ephemeral);
  try {
    const senderBytes = unlock(crypto, outer, encryptedStatic);
    const sender = toPublicKey(copyBytes(senderBytes));
    const inner = innerKeys(crypto, identity.secret, sender, outer, encryptedStatic);
    try {
      const content = decodeSealedContent(unlock(crypto, inner, encryptedMessage));
      // ATK-D02: the certificate must be of the very key that authenticated this message.
      if (!samePublicBytes(senderBytes, content.senderCertificate.identityKey)) throw refused();
      return content;
    } finally {
      wipe(inner);
    }
  } finally {
    wipe(outer);
  }
}

function decode(bytes: Uint8Array): {
  ephemeral: PublicKey;
  encryptedStatic: Uint8Array;
  encryptedMessage: Uint8Array;
} {
  let ephemeral: Uint8Array | undefined;
  let encryptedStatic: Uint8Array | undefined;
  let encryptedMessage: Uint8Array | undefined;
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) ephemeral = reader.bytes();
    else if (reader.field === 2) encryptedStatic = reader.bytes();
    else if (reader.field === 3) encryptedMessage = reader.bytes();
    else reader.skip();
  }
  if (!ephemeral || !encryptedStatic || !encryptedMessage) {
    throw new DecodeError('DECODE_PROTOBUF', 'protobuf encoding was invalid: sealed message');
  }
  return { ephemeral: toPublicKey(copyBytes(ephemeral)), encryptedStatic, encryptedMessage };
}

/** chain key, cipher key, MAC key: 96 bytes, wiped by the caller. */
function outerKeys(
  crypto: CryptoProvider,
  ours: PrivateKey,
  theirs: PublicKey,
  recipient: PublicKey,
  ephemeral: PublicKey,
): Bytes {
  const shared = crypto.x25519(ours, theirs);
  const salt = concatBytes(LABEL_SEALED_V1, recipient, ephemeral);
  try {
    return crypto.hkdfSha256(salt, shared, NO_INFO, 96);
  } finally {
    wipe(shared);
  }
}

/** 32 unused bytes, cipher key, MAC key: 96 bytes, wiped by the caller. */
function innerKeys(
  crypto: CryptoProvider,
  ours: PrivateKey,
  theirs: PublicKey,
  outer: Bytes,
  encryptedStatic: Uint8Array,
): Bytes {
  const shared = crypto.x25519(ours, theirs);
  const salt = concatBytes(outer.subarray(0, 32), encryptedStatic);
  try {
    return crypto.hkdfSha256(salt, shared, NO_INFO, 96);
  } finally {
    wipe(shared, salt);
  }
}

function lock(crypto: CryptoProvider, keys: Bytes, plaintext: Uint8Array): Bytes {
  const ciphertext = aesCtrZero(keys.subarray(32, 64), plaintext);
  const mac = crypto.hmacSha256(keys.subarray(64), ciphertext);
  return concatBytes(ciphertext, mac.subarray(0, MAC_BYTES));
}

function unlock(crypto: CryptoProvider, keys: Bytes, locked: Uint8Array): Bytes {
  if (locked.length < MAC_BYTES) throw refused();
  const ciphertext = locked.subarray(0, locked.length - MAC_BYTES);
  const mac = crypto.hmacSha256(keys.subarray(64), ciphertext).subarray(0, MAC_BYTES);
  if (!equalBytes(mac, locked.subarray(locked.length - MAC_BYTES))) throw refused();
  return aesCtrZero(keys.subarray(32, 64), ciphertext);
}

function refused(): VerificationError {
  return new VerificationError('VERIFY_SEALED_SENDER', 'sealed message refused');
}
