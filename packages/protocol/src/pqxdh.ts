/**
 * 04 PQXDH. The key agreement that starts a session, seen from both sides.
 *
 * Makes keys, no state: session.ts builds the first session of either side from them. Checks of prekey
 * signatures are prekeys.ts (initiator); loading and consuming prekeys is operations.ts (recipient).
 * Steps are numbered as in spec/04-pqxdh.md, which follows Signal's "The PQXDH Key Agreement Protocol"
 * (revision 3) with the KEM and the encodings that deployed peers use.
 */
import { concatBytes, type Bytes } from './bytes.js';
import type { CryptoProvider } from './crypto/provider.js';
import { VerificationError } from './errors.js';
import { LABEL_PQXDH } from './labels.js';
import { wipe } from './secret.js';
import {
  toChainKey,
  toKemCiphertext,
  toRootKey,
  type ChainKey,
  type KemCiphertext,
  type KemKeyPair,
  type KemPublicKey,
  type KeyPair,
  type PublicKey,
  type RootKey,
} from './types.js';

/** What both sides come out with. Fresh buffers, owned by the caller; all secret. */
export interface Agreement {
  readonly rootKey: RootKey;
  readonly chainKey: ChainKey;
  /** Authentication key of SPQR, 32 bytes. */
  readonly spqrAuthKey: Bytes;
}

/** The initiator's view: our secrets, their public prekeys whose signatures have been verified. */
export interface InitiateKeys {
  readonly identity: KeyPair;
  /** Fresh for this handshake; the caller wipes its secret half afterwards. */
  readonly baseKey: KeyPair;
  readonly theirIdentity: PublicKey;
  readonly theirSignedPreKey: PublicKey;
  readonly theirPreKey: PublicKey | undefined;
  readonly theirKemPreKey: KemPublicKey;
}

/** The recipient's view: our secrets, and what the prekey message says. */
export interface AcceptKeys {
  readonly identity: KeyPair;
  readonly signedPreKey: KeyPair;
  readonly preKey: KeyPair | undefined;
  readonly kemPreKey: KemKeyPair;
  readonly theirIdentity: PublicKey;
  readonly theirBaseKey: PublicKey;
  /** As received; its type and length are checked here. */
  readonly kemCiphertext: Uint8Array;
}

/**
 * Initiator's side of the agreement.
 *
 * @returns The agreement and the KEM ciphertext that every prekey message of this session repeats.
 * @throws VerificationError `VERIFY_KEY_AGREEMENT` for a key of low order or an unreduced KEM key.
 *
 * Source: 04 §2. Vectors: sessions/pqxdh.json.
 */
export function initiate(
  crypto: CryptoProvider,
  keys: InitiateKeys,
): { readonly agreement: Agreement; readonly kemCiphertext: KemCiphertext } {
  const { identity, baseKey, theirSignedPreKey, theirPreKey } = keys;
  const secrets: Uint8Array[] = [];
  try {
    // 04 §2 steps 1 to 4.
    secrets.push(crypto.x25519(identity.secret, theirSignedPreKey));
    secrets.push(crypto.x25519(baseKey.secret, keys.theirIdentity));
    secrets.push(crypto.x25519(baseKey.secret, theirSignedPreKey));
    if (theirPreKey !== undefined) secrets.push(crypto.x25519(baseKey.secret, theirPreKey));
    // 04 §2 step 5.
    const kem = crypto.kyber1024Encapsulate(keys.theirKemPreKey, crypto.randomBytes(32));
    secrets.push(kem.sharedSecret);
    return { agreement: deriveAgreement(crypto, secrets), kemCiphertext: kem.ciphertext };
  } finally {
    wipe(...secrets);
  }
}

/**
 * Recipient's side of the agreement. A wrong KEM ciphertext gives a wrong agreement, never an error: it
 * shows when the first message's MAC fails.
 *
 * @throws DecodeError `DECODE_KEY_TYPE`, `DECODE_KEY_LENGTH` for the form of the KEM ciphertext.
 * @throws VerificationError `VERIFY_BASE_KEY` for a base key with another encoding or outside the
 * prime-order subgroup; `VERIFY_KEY_AGREEMENT` for another key of low order.
 *
 * Source: 04 §3. Vectors: sessions/pqxdh.json, sessions/errors.json.
 */
export function accept(crypto: CryptoProvider, keys: AcceptKeys): Agreement {
  const { identity, signedPreKey, preKey, theirBaseKey } = keys;
  // 04 §3 step 1. Sessions and replay memories compare base keys as bytes: a second encoding of one point
  // must not look like a new handshake.
  if (!crypto.isCanonicalPublicKey(theirBaseKey)) {
    throw new VerificationError('VERIFY_BASE_KEY', 'incoming base key is invalid');
  }
  const ciphertext = toKemCiphertext(keys.kemCiphertext);
  const secrets: Uint8Array[] = [];
  try {
    // 04 §3 steps 2 to 5.
    secrets.push(crypto.x25519(signedPreKey.secret, keys.theirIdentity));
    secrets.push(crypto.x25519(identity.secret, theirBaseKey));
    secrets.push(crypto.x25519(signedPreKey.secret, theirBaseKey));
    if (preKey !== undefined) secrets.push(crypto.x25519(preKey.secret, theirBaseKey));
    // 04 §3 step 6.
    secrets.push(crypto.kyber1024Decapsulate(keys.kemPreKey.secret, ciphertext));
    return deriveAgreement(crypto, secrets);
  } finally {
    wipe(...secrets);
  }
}

/** 04 §2 step 6: 32 bytes 0xFF keep this input apart from any X25519 output, as XEdDSA does. */
function deriveAgreement(crypto: CryptoProvider, secrets: readonly Uint8Array[]): Agreement {
  const input = concatBytes(new Uint8Array(32).fill(0xff), ...secrets);
  const keys = crypto.hkdfSha256(undefined, input, LABEL_PQXDH, 96);
  const agreement = {
    rootKey: toRootKey(keys.slice(0, 32)),
    chainKey: toChainKey(keys.slice(32, 64)),
    spqrAuthKey: keys.slice(64, 96),
  };
  wipe(input, keys);
  return agreement;
}
