/**
 * 06 SPQR §8. Authenticator: MACs over the header and the ciphertext of each epoch.
 *
 * Whoever steals one epoch's state learns its MAC key, so the key of the next epoch takes in a secret the
 * thief may not have: `updateAuthenticator` runs once per epoch on both sides.
 */
import { concatBytes, u64be, type Bytes } from '../bytes.js';
import type { CryptoProvider } from '../crypto/provider.js';
import {
  LABEL_SPQR_AUTH_UPDATE,
  LABEL_SPQR_CIPHERTEXT_MAC,
  LABEL_SPQR_EPOCH_SECRET,
  LABEL_SPQR_HEADER_MAC,
} from '../labels.js';
import { wipe } from '../secret.js';

/** Both 32 bytes and secret. */
export interface Authenticator {
  readonly root: Bytes;
  readonly macKey: Bytes;
}

/** Bytes of a MAC; they travel whole. */
export const AUTHENTICATOR_MAC_BYTES = 32;

/** The authenticator both sides begin epoch 1 with. `authKey` stays the caller's. Source: 06 §8. */
export function startAuthenticator(crypto: CryptoProvider, authKey: Uint8Array): Authenticator {
  return derive(crypto, new Uint8Array(32), 1, authKey);
}

/**
 * Take the epoch secret of `epoch` in. `epochSecret` stays the caller's, and so do the two keys of the
 * old authenticator: whoever drops its last state puts them into `consumed`.
 *
 * Source: 06 §8. Vectors: spqr/kdf.json.
 */
export function updateAuthenticator(
  crypto: CryptoProvider,
  authenticator: Authenticator,
  epoch: number,
  epochSecret: Uint8Array,
): Authenticator {
  return derive(crypto, authenticator.root, epoch, epochSecret);
}

/** MAC of the 64-byte header of `epoch`: 32 bytes. Source: 06 §8. */
export function headerMac(
  crypto: CryptoProvider,
  authenticator: Authenticator,
  epoch: number,
  header: Uint8Array,
): Bytes {
  return crypto.hmacSha256(authenticator.macKey, LABEL_SPQR_HEADER_MAC, u64be(epoch), header);
}

/** MAC of both halves of the ciphertext of `epoch`: 32 bytes. Source: 06 §8. */
export function ciphertextMac(
  crypto: CryptoProvider,
  authenticator: Authenticator,
  epoch: number,
  ct1: Uint8Array,
  ct2: Uint8Array,
): Bytes {
  return crypto.hmacSha256(authenticator.macKey, LABEL_SPQR_CIPHERTEXT_MAC, u64be(epoch), ct1, ct2);
}

/**
 * The epoch secret, 32 bytes, from a KEM shared secret: the only form in which that is used.
 * `sharedSecret` is wiped here. Source: 06 §5.4. Vectors: spqr/kdf.json.
 */
export function epochSecretFrom(
  crypto: CryptoProvider,
  epoch: number,
  sharedSecret: Uint8Array,
): Bytes {
  try {
    const info = concatBytes(LABEL_SPQR_EPOCH_SECRET, u64be(epoch));
    return crypto.hkdfSha256(undefined, sharedSecret, info, 32);
  } finally {
    wipe(sharedSecret);
  }
}

function derive(
  crypto: CryptoProvider,
  root: Uint8Array,
  epoch: number,
  secret: Uint8Array,
): Authenticator {
  const input = concatBytes(root, secret);
  const info = concatBytes(LABEL_SPQR_AUTH_UPDATE, u64be(epoch));
  const output = crypto.hkdfSha256(undefined, input, info, 64);
  try {
    return { root: output.slice(0, 32), macKey: output.slice(32) };
  } finally {
    wipe(input, output);
  }
}
