/**
 * Façade. Pairwise sessions over the caller's stores, one call at a time and in the order programs rely on.
 *
 * The stores have no transaction, so a store that fails half-way leaves what it stored until then; our own
 * `Operations` commits once instead. Two calls for one address must not overlap, as there.
 */
import { provider as crypto } from '#provider';
import type { Bytes } from '../bytes.js';
import { QasidError } from '../errors.js';
import {
  decryptMessage,
  decryptPreKeyMessage,
  encryptMessage,
  initiateSession,
  isKnownSession,
  refuseOldHandshake,
  type AcceptInput,
} from '../session.js';
import { EMPTY_RECORD, remoteIdentityOf, type SessionRecord as Core } from '../session-record.js';
import { addressText } from '../types.js';
import { ours, type ProtocolAddress } from './address.js';
import { generic, stored, translate, translated, untrusted } from './errors.js';
import { corePair, PublicKey } from './keys.js';
import { CiphertextMessage, type PreKeySignalMessage, type SignalMessage } from './messages.js';
import { SessionRecord, type PreKeyBundle } from './records.js';
import {
  Direction,
  type IdentityKeyStore,
  type KyberPreKeyStore,
  type PreKeyStore,
  type SessionStore,
  type SignedPreKeyStore,
} from './stores.js';

/** Start an outgoing session from a bundle; always makes a new one. */
export async function processPreKeyBundle(
  bundle: PreKeyBundle,
  remoteAddress: ProtocolAddress,
  localAddress: ProtocolAddress,
  sessionStore: SessionStore,
  identityStore: IdentityKeyStore,
  now: Date = new Date(),
): Promise<void> {
  const operation = 'SessionBuilder_ProcessPreKeyBundle';
  const identityKey = bundle.identityKey();
  await checkTrust(identityStore, remoteAddress, identityKey, Direction.Sending, operation);
  const record = await load(sessionStore, remoteAddress, operation);
  const identity = await loadIdentity(identityStore, operation);
  const localRegistrationId = await loadRegistrationId(identityStore, operation);
  const started = translate(operation, () =>
    initiateSession(crypto, record ?? EMPTY_RECORD, {
      local: ours(localAddress),
      remote: ours(remoteAddress),
      identity,
      localRegistrationId,
      bundle: bundle._core,
      nowMs: now.getTime(),
    }),
  );
  await saveIdentity(identityStore, remoteAddress, identityKey, operation);
  await save(sessionStore, remoteAddress, started.state, operation);
}

/** Encrypt one message on the current session. */
export async function signalEncrypt(
  message: Uint8Array,
  remoteAddress: ProtocolAddress,
  localAddress: ProtocolAddress,
  sessionStore: SessionStore,
  identityStore: IdentityKeyStore,
  now: Date = new Date(),
): Promise<CiphertextMessage> {
  const operation = 'SessionCipher_EncryptMessage';
  const record = await load(sessionStore, remoteAddress, operation);
  const encrypted = sessionCall(operation, remoteAddress, 'message_encrypt', '', () =>
    encryptMessage(crypto, record ?? EMPTY_RECORD, {
      local: ours(localAddress),
      remote: ours(remoteAddress),
      plaintext: message,
      nowMs: now.getTime(),
    }),
  );
  const remoteIdentity = currentIdentity(encrypted.state, operation);
  await checkTrust(identityStore, remoteAddress, remoteIdentity, Direction.Sending, operation);
  await saveIdentity(identityStore, remoteAddress, remoteIdentity, operation);
  await save(sessionStore, remoteAddress, encrypted.state, operation);
  return CiphertextMessage._of(encrypted.output.type, encrypted.output.bytes);
}

/** Open an ordinary message. */
export async function signalDecrypt(
  message: SignalMessage,
  remoteAddress: ProtocolAddress,
  localAddress: ProtocolAddress,
  sessionStore: SessionStore,
  identityStore: IdentityKeyStore,
): Promise<Bytes> {
  const operation = 'SessionCipher_DecryptSignalMessage';
  const record = await load(sessionStore, remoteAddress, operation);
  if (record === undefined) throw noSession(remoteAddress, 'message_decrypt_signal', operation);
  const opened = sessionCall(operation, remoteAddress, 'message_decrypt_signal', 'Whisper', () =>
    decryptMessage(crypto, record, {
      local: ours(localAddress),
      remote: ours(remoteAddress),
      message: message._core,
    }),
  );
  const remoteIdentity = currentIdentity(opened.state, operation);
  await checkTrust(identityStore, remoteAddress, remoteIdentity, Direction.Receiving, operation);
  await saveIdentity(identityStore, remoteAddress, remoteIdentity, operation);
  await save(sessionStore, remoteAddress, opened.state, operation);
  return opened.output;
}

/** Open a session-starting message, or a late one of a session that exists. */
export async function signalDecryptPreKey(
  message: PreKeySignalMessage,
  remoteAddress: ProtocolAddress,
  localAddress: ProtocolAddress,
  sessionStore: SessionStore,
  identityStore: IdentityKeyStore,
  prekeyStore: PreKeyStore,
  signedPrekeyStore: SignedPreKeyStore,
  kyberPrekeyStore: KyberPreKeyStore,
): Promise<Bytes> {
  const operation = 'SessionCipher_DecryptPreKeySignalMessage';
  const core = message._core;
  const record = (await load(sessionStore, remoteAddress, operation)) ?? EMPTY_RECORD;
  const identityKey = PublicKey._of(core.identityKey);
  await checkTrust(identityStore, remoteAddress, identityKey, Direction.Receiving, operation);
  const known = preKeyCall(operation, () => isKnownSession(record, core));
  let accept: AcceptInput | undefined;
  if (!known) {
    preKeyCall(operation, () => refuseOldHandshake(core));
    const { signedPreKeyId, kem, preKeyId } = core;
    const signed = await stored('loadSignedPreKey', operation, () =>
      signedPrekeyStore.getSignedPreKey(signedPreKeyId),
    );
    if (kem === undefined) throw generic('invalid PreKey message: no KEM prekey', operation);
    const kyber = await stored('loadKyberPreKey', operation, () =>
      kyberPrekeyStore.getKyberPreKey(kem.preKeyId),
    );
    const oneTime =
      preKeyId === undefined
        ? undefined
        : await stored('loadPreKey', operation, () => prekeyStore.getPreKey(preKeyId));
    const identity = await loadIdentity(identityStore, operation);
    const localRegistrationId = await loadRegistrationId(identityStore, operation);
    accept = {
      identity,
      localRegistrationId,
      signedPreKey: { public: signed.publicKey()._core, secret: signed.privateKey()._core },
      preKey: oneTime && {
        public: oneTime.publicKey()._core,
        secret: oneTime.privateKey()._core,
      },
      kemPreKey: { public: kyber.publicKey()._core, secret: kyber.secretKey()._core },
    };
  }
  const opened = preKeyCall(operation, () =>
    decryptPreKeyMessage(crypto, record, {
      local: ours(localAddress),
      remote: ours(remoteAddress),
      message: core,
      accept,
    }),
  );
  await saveIdentity(identityStore, remoteAddress, identityKey, operation);
  if (!known) {
    const { signedPreKeyId, kem, preKeyId } = core;
    if (kem !== undefined) {
      await stored('markKyberPreKeyUsed', operation, () =>
        kyberPrekeyStore.markKyberPreKeyUsed(
          kem.preKeyId,
          signedPreKeyId,
          PublicKey._of(core.baseKey),
        ),
      );
    }
    if (preKeyId !== undefined) {
      await stored('removePreKey', operation, () => prekeyStore.removePreKey(preKeyId));
    }
  }
  await save(sessionStore, remoteAddress, opened.state, operation);
  return opened.output;
}

/** The identity key of the session that was just used. */
function currentIdentity(record: Core, operation: string): PublicKey {
  return translate(operation, () => {
    const { current } = record;
    if (current === undefined) throw generic('session not found', operation);
    return PublicKey._of(remoteIdentityOf(current));
  });
}

async function load(
  store: SessionStore,
  address: ProtocolAddress,
  operation: string,
): Promise<Core | undefined> {
  const record = await stored('loadSession', operation, () => store.getSession(address));
  return record?._core;
}

async function save(
  store: SessionStore,
  address: ProtocolAddress,
  record: Core,
  operation: string,
): Promise<void> {
  const fresh = SessionRecord._of(record);
  await stored('storeSession', operation, () => store.saveSession(address, fresh));
}

async function checkTrust(
  store: IdentityKeyStore,
  address: ProtocolAddress,
  key: PublicKey,
  direction: Direction,
  operation: string,
): Promise<void> {
  const trusted = await stored('isTrustedIdentity', operation, () =>
    store.isTrustedIdentity(address, key, direction),
  );
  if (!trusted) throw untrusted(ours(address), operation);
}

async function saveIdentity(
  store: IdentityKeyStore,
  address: ProtocolAddress,
  key: PublicKey,
  operation: string,
): Promise<void> {
  await stored('saveIdentityKey', operation, () => store.saveIdentity(address, key));
}

async function loadIdentity(
  store: IdentityKeyStore,
  operation: string,
): Promise<ReturnType<typeof corePair>> {
  return corePair(
    await stored('getLocalIdentityKeyPair', operation, () => store.getIdentityKeyPair()),
  );
}

function loadRegistrationId(store: IdentityKeyStore, operation: string): Promise<number> {
  return stored('getLocalRegistrationId', operation, () => store.getLocalRegistrationId());
}

function noSession(address: ProtocolAddress, what: string, operation: string): Error {
  return generic(`session with ${addressText(ours(address))} not found: ${what}`, operation);
}

/** `kind` is the word there for the failing message: `Whisper` or `PreKey`. */
function sessionCall<Result>(
  operation: string,
  address: ProtocolAddress,
  what: string,
  kind: string,
  body: () => Result,
): Result {
  try {
    return body();
  } catch (error) {
    const code = error instanceof QasidError ? error.code : undefined;
    if (code === 'STATE_NO_SESSION') throw noSession(address, what, operation);
    if (code === 'VERIFY_DECRYPTION') {
      throw generic(`invalid ${kind} message: decryption failed`, operation, error);
    }
    throw translated(error, operation);
  }
}

function preKeyCall<Result>(operation: string, body: () => Result): Result {
  try {
    return body();
  } catch (error) {
    const code = error instanceof QasidError ? error.code : undefined;
    const reasons: Readonly<Record<string, string>> = {
      VERIFY_DECRYPTION: 'decryption failed',
      VERIFY_DOWNGRADE: 'X3DH no longer supported',
      VERIFY_BASE_KEY: 'incoming base key is invalid',
      VERIFY_IDENTITY_MISMATCH:
        'remote identity key not consistent with previously-established session',
    };
    const reason = code && reasons[code];
    if (reason) throw generic(`invalid PreKey message: ${reason}`, operation, error);
    throw translated(error, operation);
  }
}
