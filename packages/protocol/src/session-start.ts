/**
 * 08 Session. How a session starts: the first state of the initiator and of the recipient.
 *
 * The key agreement itself is pqxdh.ts; what happens to a session afterwards is session.ts.
 * Spec: spec/08-session.md, section 2; spec/04-pqxdh.md, sections 2 and 3.
 */
import { copyBytes, samePublicBytes, type Bytes } from './bytes.js';
import type { CryptoProvider } from './crypto/provider.js';
import { ratchetChain } from './double-ratchet.js';
import { VerificationError } from './errors.js';
import {
  MESSAGE_VERSION,
  SPQR_MAX_JUMP,
  SPQR_MAX_JUMP_SELF,
  SPQR_MAX_OUT_OF_ORDER_KEYS,
} from './limits.js';
import { accept as acceptAgreement, initiate as initiateAgreement } from './pqxdh.js';
import { verifyBundle, type PreKeyBundle } from './prekeys.js';
import { wipe, type Transition } from './secret.js';
import { promote, StoredSpqr, type Session, type SessionRecord } from './session-record.js';
import { initialSpqrState } from './spqr/index.js';
import type { Address, KemKeyPair, KeyPair, PrivateKey, PublicKey } from './types.js';
import { serviceIdBytes } from './service-id.js';
import type { PreKeySignalMessage } from './wire/messages.js';

/** Both ends of a session. */
export interface Ends {
  readonly local: Address;
  readonly remote: Address;
}

/** What starting a session takes. */
export interface InitiateInput extends Ends {
  readonly identity: KeyPair;
  readonly localRegistrationId: number;
  readonly bundle: PreKeyBundle;
  readonly nowMs: number;
}

/** Our half of the handshake a prekey message asks for. The session copies what it keeps. */
export interface AcceptInput {
  readonly identity: KeyPair;
  readonly localRegistrationId: number;
  readonly signedPreKey: KeyPair;
  readonly preKey: KeyPair | undefined;
  readonly kemPreKey: KemKeyPair;
}

/**
 * Start a session from a bundle and make it current. Always version 4, always with SPQR.
 *
 * @throws VerificationError `VERIFY_SIGNATURE` for a bundle that fails chapter 03's check;
 * `VERIFY_KEY_AGREEMENT` for keys of low order.
 *
 * Source: 08 §2, 04 §2.
 */
export function initiateSession(
  crypto: CryptoProvider,
  record: SessionRecord,
  input: InitiateInput,
): Transition<SessionRecord, undefined> {
  const { identity, bundle } = input;
  // Here rather than in the caller: there is no way to a session around the signatures. ATK-B01.
  verifyBundle(crypto, bundle);
  const theirSignedPreKey = bundle.signedPreKey.public;
  const baseKey = crypto.x25519KeyPair();
  const { agreement, kemCiphertext } = initiateAgreement(crypto, {
    identity,
    baseKey,
    theirIdentity: bundle.identityKey,
    theirSignedPreKey,
    theirPreKey: bundle.preKey?.public,
    theirKemPreKey: bundle.kemPreKey.public,
  });
  wipe(baseKey.secret);
  // 04 §2 step 7: one root step ahead of the recipient, whose signed prekey is their first ratchet key.
  const ratchetKey = crypto.x25519KeyPair();
  const sending = ratchetChain(crypto, agreement.rootKey, ratchetKey, theirSignedPreKey);
  wipe(agreement.rootKey);
  const session: Session = {
    version: MESSAGE_VERSION,
    localIdentity: identity.public,
    remoteIdentity: bundle.identityKey,
    rootKey: sending.rootKey,
    previousCounter: 0,
    sender: { ratchetKey, chain: sending.chain },
    receivers: [
      {
        theirRatchetKey: theirSignedPreKey,
        chain: { key: agreement.chainKey, index: 0 },
        skipped: [],
      },
    ],
    pendingPreKey: {
      preKeyId: bundle.preKey?.id,
      signedPreKeyId: bundle.signedPreKey.id,
      baseKey: baseKey.public,
      createdAtSeconds: Math.floor(input.nowMs / 1000),
    },
    pendingKemPreKey: { kemPreKeyId: bundle.kemPreKey.id, ciphertext: kemCiphertext },
    remoteRegistrationId: bundle.registrationId,
    localRegistrationId: input.localRegistrationId,
    baseKey: baseKey.public,
    spqr: initialSpqr(crypto, agreement.spqrAuthKey, 'a2b', input, bundle.identityKey),
  };
  return promote(record, record.archived, session);
}

/** The session a prekey message asks for, before its first message is decrypted. Source: 04 §3. */
export function acceptSession(
  crypto: CryptoProvider,
  ends: Ends,
  message: PreKeySignalMessage,
  input: AcceptInput,
): Session {
  if (message.kem === undefined) {
    // Parsed as version 3: X3DH would give a session without any post-quantum part. ATK-B02.
    throw new VerificationError('VERIFY_DOWNGRADE', 'X3DH no longer supported');
  }
  const { identity, signedPreKey } = input;
  const agreement = acceptAgreement(crypto, {
    identity,
    signedPreKey,
    preKey: input.preKey,
    kemPreKey: input.kemPreKey,
    theirIdentity: message.identityKey,
    theirBaseKey: message.baseKey,
    kemCiphertext: message.kem.ciphertext,
  });
  return {
    version: MESSAGE_VERSION,
    localIdentity: identity.public,
    remoteIdentity: message.identityKey,
    rootKey: agreement.rootKey,
    previousCounter: 0,
    sender: {
      // A copy: this chain is consumed and wiped with the first message, the signed prekey lives on.
      ratchetKey: {
        public: signedPreKey.public,
        secret: copyBytes(signedPreKey.secret) as PrivateKey,
      },
      chain: { key: agreement.chainKey, index: 0 },
    },
    receivers: [],
    pendingPreKey: undefined,
    pendingKemPreKey: undefined,
    remoteRegistrationId: message.registrationId,
    localRegistrationId: input.localRegistrationId,
    baseKey: message.baseKey,
    spqr: initialSpqr(
      crypto,
      agreement.spqrAuthKey,
      'b2a',
      { ...ends, identity },
      message.identityKey,
    ),
  };
}

function initialSpqr(
  crypto: CryptoProvider,
  authKey: Bytes,
  direction: 'a2b' | 'b2a',
  ours: Ends & { readonly identity: KeyPair },
  theirIdentity: PublicKey,
): StoredSpqr {
  const self = isSelf(ours, ours.identity.public, theirIdentity);
  const state = initialSpqrState(crypto, {
    authKey,
    direction,
    version: 1,
    // Minimum 1: no session without SPQR, whatever the peer says. ATK-B02.
    minVersion: 1,
    maxJump: self ? SPQR_MAX_JUMP_SELF : SPQR_MAX_JUMP,
    maxOutOfOrderKeys: SPQR_MAX_OUT_OF_ORDER_KEYS,
  });
  wipe(authKey);
  return StoredSpqr.fromState(state);
}

/**
 * A new session needs a version 4 handshake.
 *
 * @throws VerificationError `VERIFY_DOWNGRADE`
 */
export function refuseOldHandshake(message: PreKeySignalMessage): void {
  if (message.version < MESSAGE_VERSION) {
    throw new VerificationError('VERIFY_DOWNGRADE', 'X3DH no longer supported');
  }
}

/** Whether both ends are one account: same identity key and same service id. Source: 08 §7. */
export function isSelf(ends: Ends, ours: PublicKey, theirs: PublicKey): boolean {
  if (!samePublicBytes(ours, theirs)) return false;
  const local = serviceIdBytes(ends.local.name);
  const remote = serviceIdBytes(ends.remote.name);
  return local !== undefined && remote !== undefined && samePublicBytes(local, remote);
}
