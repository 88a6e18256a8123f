/**
 * 16 Small formats. The cipher of a device-linking message.
 *
 * The new device shows a temporary public key (QR code); the primary encrypts to it. Only that picture
 * authenticates anything: the new device learns nothing about who answered, so applications compare a short
 * code on both sides. What the message says is the application's. Spec: spec/16-small-formats.md §4.
 */
import { concatBytes, copyBytes, type Bytes } from './bytes.js';
import { equalBytes } from './crypto/constant-time.js';
import type { CryptoProvider } from './crypto/provider.js';
import { DecodeError, VerificationError } from './errors.js';
import { LABEL_PROVISIONING } from './labels.js';
import { wipe } from './secret.js';
import { toPublicKey, type KeyPair, type PrivateKey, type PublicKey } from './types.js';
import { ProtoReader, ProtoWriter } from './wire/protobuf.js';

const VERSION = 0x01;

function keysOf(
  crypto: CryptoProvider,
  secret: PrivateKey,
  theirs: PublicKey,
): { cipher: Bytes; mac: Bytes } {
  const shared = crypto.x25519(secret, theirs);
  const keys = crypto.hkdfSha256(undefined, shared, LABEL_PROVISIONING, 64);
  wipe(shared);
  const split = { cipher: keys.slice(0, 32), mac: keys.slice(32) };
  wipe(keys);
  return split;
}

/**
 * Encrypt a provisioning message to the temporary key of a new device.
 *
 * @param ephemeral - Fresh; wiped by the caller.
 * @returns Protobuf: 1 ephemeral public key (33), 2 body: `0x01`, IV (16), ciphertext, MAC (32).
 * @throws VerificationError `VERIFY_KEY_AGREEMENT`.
 *
 * Source: 16 §4.
 */
export function sealProvisioning(
  crypto: CryptoProvider,
  newDevice: PublicKey,
  message: Uint8Array,
  ephemeral: KeyPair,
): Bytes {
  const { cipher, mac } = keysOf(crypto, ephemeral.secret, newDevice);
  const iv = crypto.randomBytes(16);
  const authenticated = concatBytes(
    new Uint8Array([VERSION]),
    iv,
    crypto.aesCbcEncrypt(cipher, iv, message),
  );
  const body = concatBytes(authenticated, crypto.hmacSha256(mac, authenticated));
  wipe(cipher, mac);
  return new ProtoWriter(body.length + 48).bytes(1, ephemeral.public).bytes(2, body).finish();
}

/**
 * Open a provisioning message with the temporary key pair, which is then thrown away.
 *
 * @throws DecodeError `DECODE_PROTOBUF`, `DECODE_KEY_TYPE`, `DECODE_KEY_LENGTH`.
 * @throws VerificationError `VERIFY_PROVISIONING`, `VERIFY_KEY_AGREEMENT`.
 */
export function openProvisioning(
  crypto: CryptoProvider,
  temporary: KeyPair,
  envelope: Uint8Array,
): Bytes {
  let key: Uint8Array | undefined;
  let body: Uint8Array | undefined;
  const reader = new ProtoReader(envelope);
  while (reader.next()) {
    if (reader.field === 1) key = reader.bytes();
    else if (reader.field === 2) body = reader.bytes();
    else reader.skip();
  }
  if (!key || !body) {
    throw new DecodeError('DECODE_PROTOBUF', 'protobuf encoding was invalid: provisioning message');
  }
  const theirs = toPublicKey(copyBytes(key));
  if (body.length < 1 + 16 + 16 + 32 || body[0] !== VERSION) throw refused();
  const { cipher, mac } = keysOf(crypto, temporary.secret, theirs);
  try {
    const authenticated = body.subarray(0, body.length - 32);
    const expected = crypto.hmacSha256(mac, authenticated);
    if (!equalBytes(expected, body.subarray(body.length - 32))) throw refused();
    const iv = authenticated.subarray(1, 17);
    const message = crypto.aesCbcDecrypt(cipher, iv, authenticated.subarray(17));
    if (message === undefined) throw refused();
    return message;
  } finally {
    wipe(cipher, mac);
  }
}

function refused(): VerificationError {
  return new VerificationError('VERIFY_PROVISIONING', 'provisioning message refused');
}
