/**
 * 16 Small formats. Sealing to a public key: HPKE (RFC 9180), base mode, single shot.
 *
 * DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. The sender is anonymous and unauthenticated.
 * Spec: spec/16-small-formats.md §1.
 */
import { concatBytes, utf8, type Bytes } from './bytes.js';
import { gcmOpen, gcmSeal } from './crypto/aead.js';
import type { CryptoProvider } from './crypto/provider.js';
import { DecodeError, VerificationError } from './errors.js';
import { wipe } from './secret.js';
import { CURVE_KEY_TYPE, type KeyPair, type PublicKey } from './types.js';

/** First byte of what {@link hpkeSeal} returns: names the suite. */
export const HPKE_SUITE = 0x01;

// RFC 9180 §7: KEM 0x0020, KDF 0x0001, AEAD 0x0002.
const KEM_ID: Bytes = concatBytes(utf8('KEM'), new Uint8Array([0x00, 0x20]));
const SUITE_ID: Bytes = concatBytes(
  utf8('HPKE'),
  new Uint8Array([0x00, 0x20, 0x00, 0x01, 0x00, 0x02]),
);
const VERSION: Bytes = utf8('HPKE-v1');
const EMPTY: Bytes = new Uint8Array(0);

/** RFC 9180 §4: LabeledExtract. */
function extract(
  crypto: CryptoProvider,
  suite: Bytes,
  salt: Uint8Array,
  label: string,
  ikm: Uint8Array,
): Bytes {
  // HMAC pads a short key with zeros, so an empty salt is the RFC's string of zeros.
  return crypto.hmacSha256(salt, VERSION, suite, utf8(label), ikm);
}

/** RFC 9180 §4: LabeledExpand for at most 32 bytes, which is one block of HKDF-Expand. */
function expand(
  crypto: CryptoProvider,
  suite: Bytes,
  prk: Uint8Array,
  label: string,
  info: Uint8Array,
  length: number,
): Bytes {
  const head = new Uint8Array([length >>> 8, length & 0xff]);
  return crypto
    .hmacSha256(prk, head, VERSION, suite, utf8(label), info, new Uint8Array([1]))
    .slice(0, length);
}

/** RFC 9180 §4.1 ExtractAndExpand and §5.1 KeySchedule in base mode. */
function schedule(
  crypto: CryptoProvider,
  shared: Uint8Array,
  encapsulated: Uint8Array,
  recipient: Uint8Array,
  info: Uint8Array,
): { key: Bytes; nonce: Bytes } {
  const context = concatBytes(encapsulated, recipient);
  const eae = extract(crypto, KEM_ID, EMPTY, 'eae_prk', shared);
  const secret = expand(crypto, KEM_ID, eae, 'shared_secret', context, 32);
  const scheduleContext = concatBytes(
    new Uint8Array([0x00]),
    extract(crypto, SUITE_ID, EMPTY, 'psk_id_hash', EMPTY),
    extract(crypto, SUITE_ID, EMPTY, 'info_hash', info),
  );
  const prk = extract(crypto, SUITE_ID, secret, 'secret', EMPTY);
  const key = expand(crypto, SUITE_ID, prk, 'key', scheduleContext, 32);
  const nonce = expand(crypto, SUITE_ID, prk, 'base_nonce', scheduleContext, 12);
  wipe(eae, secret, prk);
  return { key, nonce };
}

/**
 * Seal `plaintext` so that only the owner of `recipient` opens it, with the same `info` and associated data.
 *
 * @param ephemeral - Fresh for each message; `crypto.x25519KeyPair()`. Wiped by the caller.
 * @returns `0x01`, encapsulated key (32), ciphertext, tag (16).
 * @throws VerificationError `VERIFY_KEY_AGREEMENT` for a low-order recipient key.
 *
 * Source: 16 §1; RFC 9180. Vectors: misc/small-primitives.json.
 */
export function hpkeSeal(
  crypto: CryptoProvider,
  recipient: PublicKey,
  plaintext: Uint8Array,
  info: Uint8Array,
  associatedData: Uint8Array,
  ephemeral: KeyPair,
): Bytes {
  const shared = crypto.x25519(ephemeral.secret, recipient);
  const encapsulated = ephemeral.public.subarray(1);
  const { key, nonce } = schedule(crypto, shared, encapsulated, recipient.subarray(1), info);
  const sealed = gcmSeal(key, nonce, plaintext, associatedData);
  wipe(shared, key);
  return concatBytes(new Uint8Array([HPKE_SUITE]), encapsulated, sealed);
}

/**
 * Open what {@link hpkeSeal} sealed.
 *
 * @throws DecodeError `DECODE_TRUNCATED`, `DECODE_VERSION_UNKNOWN` for another suite.
 * @throws VerificationError `VERIFY_HPKE`, `VERIFY_KEY_AGREEMENT`.
 */
export function hpkeOpen(
  crypto: CryptoProvider,
  identity: KeyPair,
  sealed: Uint8Array,
  info: Uint8Array,
  associatedData: Uint8Array,
): Bytes {
  if (sealed.length === 0) throw new DecodeError('DECODE_TRUNCATED', 'sealed message is empty');
  if (sealed[0] !== HPKE_SUITE) {
    throw new DecodeError('DECODE_VERSION_UNKNOWN', `sealed with unknown suite ${sealed[0]}`);
  }
  if (sealed.length < 33) {
    throw new DecodeError('DECODE_TRUNCATED', `sealed message of ${sealed.length} bytes`);
  }
  const encapsulated = sealed.subarray(1, 33);
  const theirs = concatBytes(new Uint8Array([CURVE_KEY_TYPE]), encapsulated) as PublicKey;
  const shared = crypto.x25519(identity.secret, theirs);
  const { key, nonce } = schedule(crypto, shared, encapsulated, identity.public.subarray(1), info);
  const plaintext = gcmOpen(key, nonce, sealed.subarray(33), associatedData);
  wipe(shared, key);
  if (plaintext === undefined) throw new VerificationError('VERIFY_HPKE', 'sealed message refused');
  return plaintext;
}
