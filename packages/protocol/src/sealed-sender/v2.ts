/**
 * 10 Sealed sender, version 2. One encrypted body for many recipients.
 *
 * A random M decides the body key and the ephemeral key; every recipient gets M masked by an agreement
 * with that ephemeral key, and a tag by an agreement with the sender's identity key. Everything is
 * determined by M. Splitting the sent form is the relay's part: split.ts. Spec: spec/10-sealed-sender.md §6.
 */
import { concatBytes, type Bytes } from '../bytes.js';
import { gcmSivOpen, gcmSivSeal } from '../crypto/aead.js';
import { equalBytes } from '../crypto/constant-time.js';
import type { CryptoProvider } from '../crypto/provider.js';
import { DecodeError, UsageError, VerificationError } from '../errors.js';
import {
  LABEL_SEALED_V2_DH,
  LABEL_SEALED_V2_DH_SENDER,
  LABEL_SEALED_V2_K,
  LABEL_SEALED_V2_R,
} from '../labels.js';
import { wipe } from '../secret.js';
import type { KeyPair, PrivateKey, PublicKey } from '../types.js';
import { decodeSealedContent, type SealedContent } from './content.js';

/** First byte of what a recipient gets. When reading, only the high nibble counts. */
export const SEALED_V2_RECEIVED = 0x22;
/** First byte of what a sender sends for many recipients. */
export const SEALED_V2_SENT = 0x23;

/** Shortest received message: version, C, AT, ephemeral key. */
const RECEIVED_MIN_BYTES = 81;

/** Largest registration id that fits beside its two flag bits. */
const REGISTRATION_ID_MAX = 0x3fff;

/** One account among the recipients. */
export interface SealedRecipient {
  /** Service id in its fixed-width form, 17 bytes. */
  readonly serviceId: Uint8Array;
  readonly identityKey: PublicKey;
  /** Device ids 1 to 127 with the registration id of our session with each; at least one. */
  readonly devices: readonly { readonly deviceId: number; readonly registrationId: number }[];
}

/**
 * Seal encoded content once for many recipients.
 *
 * @param m - 32 fresh random bytes, wiped by the caller; the result is determined by them.
 * @param excluded - Fixed-width service ids (17 bytes) named as left out on purpose.
 * @throws UsageError `USAGE_RANGE` for a device id or registration id that does not fit; `USAGE_LENGTH`.
 *
 * Source: 10 §6.3. Vectors: sealed-sender/multi-recipient.json.
 */
export function sealForMany(
  crypto: CryptoProvider,
  identity: KeyPair,
  recipients: readonly SealedRecipient[],
  excluded: readonly Uint8Array[],
  content: Uint8Array,
  m: Uint8Array,
): Bytes {
  const keys = deriveKeys(crypto, m);
  try {
    const head: Uint8Array[] = [
      new Uint8Array([SEALED_V2_SENT]),
      varint(recipients.length + excluded.length),
    ];
    for (const recipient of recipients) {
      const { c, at } = keyMaterial(crypto, identity, keys, recipient.identityKey, m);
      head.push(fixedWidth(recipient.serviceId), deviceList(recipient), c, at);
    }
    for (const serviceId of excluded) head.push(fixedWidth(serviceId), new Uint8Array(1));
    return concatBytes(...head, keys.ephemeral.public.subarray(1), gcmSivSeal(keys.k, content));
  } finally {
    wipe(keys.k, keys.ephemeral.secret);
  }
}

/** Seal encoded content for one recipient, in the form that recipient gets. Source: 10 §6.2. */
export function sealV2(
  crypto: CryptoProvider,
  identity: KeyPair,
  recipient: PublicKey,
  content: Uint8Array,
  m: Uint8Array,
): Bytes {
  const keys = deriveKeys(crypto, m);
  try {
    const { c, at } = keyMaterial(crypto, identity, keys, recipient, m);
    const version = new Uint8Array([SEALED_V2_RECEIVED]);
    const body = gcmSivSeal(keys.k, content);
    return concatBytes(version, c, at, keys.ephemeral.public.subarray(1), body);
  } finally {
    wipe(keys.k, keys.ephemeral.secret);
  }
}

/**
 * Open a version 2 message as its recipient. The certificate inside is bound to the sender's key but
 * **not validated**.
 *
 * @throws DecodeError `DECODE_PROTOBUF` below 81 bytes or for broken content.
 * @throws VerificationError `VERIFY_SEALED_SENDER`, `VERIFY_KEY_AGREEMENT`.
 */
export function openV2(
  crypto: CryptoProvider,
  identity: KeyPair,
  bytes: Uint8Array,
): SealedContent {
  if (bytes.length < RECEIVED_MIN_BYTES) {
    throw new DecodeError('DECODE_PROTOBUF', `sealed message of ${bytes.length} bytes`);
  }
  const c = bytes.subarray(1, 33);
  const at = bytes.subarray(33, 49);
  const ephemeral = concatBytes(KEY_TYPE, bytes.subarray(49, 81)) as PublicKey;
  const m = mask(crypto, identity.secret, ephemeral, ephemeral, identity.public, c);
  const keys = deriveKeys(crypto, m);
  try {
    // The sender could not have chosen the ephemeral key apart from M; a set high bit fails here too.
    if (!equalBytes(keys.ephemeral.public, ephemeral)) throw refused();
    const opened = gcmSivOpen(keys.k, bytes.subarray(81));
    if (opened === undefined) throw refused();
    const content = decodeSealedContent(opened);
    const sender = content.senderCertificate.identityKey;
    const expected = tag(crypto, identity.secret, sender, ephemeral, c, sender, identity.public);
    if (!equalBytes(expected, at)) throw refused();
    return content;
  } finally {
    wipe(m, keys.k, keys.ephemeral.secret);
  }
}

interface Keys {
  readonly k: Bytes;
  readonly ephemeral: KeyPair;
}

function deriveKeys(crypto: CryptoProvider, m: Uint8Array): Keys {
  const secret = crypto.hkdfSha256(undefined, m, LABEL_SEALED_V2_R, 32) as PrivateKey;
  secret[0] = (secret[0] as number) & 0xf8;
  secret[31] = ((secret[31] as number) & 0x7f) | 0x40;
  const k = crypto.hkdfSha256(undefined, m, LABEL_SEALED_V2_K, 32);
  return { k, ephemeral: { public: crypto.x25519PublicKey(secret), secret } };
}

function keyMaterial(
  crypto: CryptoProvider,
  identity: KeyPair,
  keys: Keys,
  recipient: PublicKey,
  m: Uint8Array,
): { c: Bytes; at: Bytes } {
  const { ephemeral } = keys;
  const c = mask(crypto, ephemeral.secret, recipient, ephemeral.public, recipient, m);
  const at = tag(
    crypto,
    identity.secret,
    recipient,
    ephemeral.public,
    c,
    identity.public,
    recipient,
  );
  return { c, at };
}

/** `value` xor the mask both sides compute: M to C when sealing, C to M when opening. */
function mask(
  crypto: CryptoProvider,
  ours: PrivateKey,
  theirs: PublicKey,
  ephemeral: PublicKey,
  recipient: PublicKey,
  value: Uint8Array,
): Bytes {
  const shared = crypto.x25519(ours, theirs);
  const ikm = concatBytes(shared, ephemeral, recipient);
  const out = crypto.hkdfSha256(undefined, ikm, LABEL_SEALED_V2_DH, 32);
  wipe(shared, ikm);
  for (let i = 0; i < 32; i++) out[i] = (out[i] as number) ^ (value[i] as number);
  return out;
}

function tag(
  crypto: CryptoProvider,
  ours: PrivateKey,
  theirs: PublicKey,
  ephemeral: PublicKey,
  c: Uint8Array,
  sender: PublicKey,
  recipient: PublicKey,
): Bytes {
  const shared = crypto.x25519(ours, theirs);
  const ikm = concatBytes(shared, ephemeral, c, sender, recipient);
  const out = crypto.hkdfSha256(undefined, ikm, LABEL_SEALED_V2_DH_SENDER, 16);
  wipe(shared, ikm);
  return out;
}

function fixedWidth(serviceId: Uint8Array): Uint8Array {
  if (serviceId.length !== 17) {
    throw new UsageError('USAGE_LENGTH', `service id of ${serviceId.length} bytes, expected 17`);
  }
  return serviceId;
}

function deviceList(recipient: SealedRecipient): Bytes {
  const { devices } = recipient;
  if (devices.length === 0) throw new UsageError('USAGE_ARGUMENT', 'recipient without devices');
  const out = new Uint8Array(3 * devices.length);
  for (const [i, { deviceId, registrationId }] of devices.entries()) {
    if (!Number.isInteger(deviceId) || deviceId < 1 || deviceId > 127) {
      throw new UsageError('USAGE_RANGE', `device id ${deviceId} is outside 1 to 127`);
    }
    if (
      !Number.isInteger(registrationId) ||
      registrationId < 0 ||
      registrationId > REGISTRATION_ID_MAX
    ) {
      throw new UsageError('USAGE_RANGE', `registration id ${registrationId} is above 14 bits`);
    }
    const more = i + 1 < devices.length ? 0x8000 : 0;
    out[3 * i] = deviceId;
    out[3 * i + 1] = (registrationId | more) >>> 8;
    out[3 * i + 2] = registrationId & 0xff;
  }
  return out;
}

function varint(value: number): Bytes {
  const out: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    out.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  out.push(rest);
  return new Uint8Array(out);
}

function refused(): VerificationError {
  return new VerificationError('VERIFY_SEALED_SENDER', 'sealed message refused');
}

const KEY_TYPE: Bytes = new Uint8Array([0x05]);
