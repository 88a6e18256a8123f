/**
 * 08 Session, as a program uses it: lock, load, run the pure transition, commit, wipe, return.
 *
 * The only asynchronous file of the protocol. Every operation is one atomic commit, and nothing it made,
 * neither ciphertext nor plaintext, is given out before that commit is durable. A commit that fails leaves
 * the stored and the cached state as they were, and wipes nothing.
 */
import { copyBytes, isBytes, samePublicBytes, type Bytes } from './bytes.js';
import type { CryptoProvider } from './crypto/provider.js';
import {
  DecodeError,
  LimitError,
  StateError,
  TrustError,
  UsageError,
  VerificationError,
} from './errors.js';
import { MAX_CACHED_RECORDS, MAX_CONFLICT_RETRIES } from './limits.js';
import { ForwardBudget, HandshakeBudget } from './operations-budget.js';
import { Draft, hasCode, type Loaded } from './operations-draft.js';
import { AddressLocks } from './operations-locks.js';
import type {
  DecryptedMessage,
  EncryptedMessage,
  EncryptTarget,
  OperationsOptions,
} from './operations-types.js';
import { decodeKemPreKeyRecord, decodePreKeyRecord, decodeSignedPreKeyRecord } from './prekeys.js';
import { wipe, type Transition } from './secret.js';
import {
  decryptMessage,
  decryptPreKeyMessage,
  encryptMessage,
  forwardStepsAtMost,
  forwardStepsOf,
  isKnownSession,
} from './session.js';
import { initiateSession, refuseOldHandshake, type AcceptInput } from './session-start.js';
import {
  archiveCurrentSession,
  decodeSessionRecord,
  EMPTY_RECORD,
  isUsable,
  recordSecrets,
  remoteIdentityOf,
  type SessionRecord,
} from './session-record.js';
import { sessionInfoOf, type SessionInfo } from './session-info.js';
import type { ProtocolStore, StoreChanges } from './stores.js';
import {
  bundleLeniencies,
  judge,
  messageLeniencies,
  preKeyMessageLeniencies,
  type Leniency,
  type Profile,
} from './strictness.js';
import { addressText, type Address, type KeyPair, type PublicKey } from './types.js';
import {
  decodePreKeySignalMessage,
  decodeSignalMessage,
  MESSAGE_TYPE_PREKEY,
  MESSAGE_TYPE_SIGNAL,
  type PreKeySignalMessage,
} from './wire/messages.js';

export type {
  DecryptedMessage,
  EncryptedMessage,
  EncryptTarget,
  OperationsOptions,
} from './operations-types.js';

/**
 * Sessions of one device over its store. Operations on one address run one after the other; operations on
 * different addresses run side by side. Several instances, also in several processes, may share a store:
 * whoever loses a race loads again and repeats.
 */
export class Operations<Extra = unknown> {
  readonly #crypto: CryptoProvider;
  readonly #store: ProtocolStore<Extra>;
  readonly #local: Address;
  readonly #cachedMax: number;
  readonly #profile: Profile;
  readonly #onTolerated: ((leniency: Leniency) => void) | undefined;
  /** In order of last use, oldest first. */
  readonly #cache = new Map<string, Loaded>();
  readonly #locks = new AddressLocks();
  readonly #budget = new ForwardBudget();
  readonly #handshakes = new HandshakeBudget();
  /** Versions that running operations work on; the locks give each address one operation. */
  readonly #inUse = new Map<string, number>();
  #identity: Promise<KeyPair> | undefined;

  constructor(options: OperationsOptions<Extra>) {
    this.#crypto = options.crypto;
    this.#store = options.store;
    this.#local = options.local;
    this.#profile = options.profile ?? 'parity';
    this.#onTolerated = options.onTolerated;
    this.#cachedMax = options.cachedSessionsMax ?? MAX_CACHED_RECORDS;
  }

  /**
   * Encrypt for one or more devices in one commit: all of the messages exist, or none.
   *
   * @param nowMs - Milliseconds since 1970; decides whether an unanswered session is stale.
   * @param extra - Makes what the application stores in the same transaction, such as outbox rows. It is
   * called again when the operation is redone, and must not act on the messages.
   * @throws StateError `STATE_NO_SESSION` without a usable session and bundle; `STATE_INVALID_SESSION`.
   * @throws VerificationError `VERIFY_SIGNATURE` or `VERIFY_KEY_AGREEMENT` for a bad bundle.
   * @throws TrustError `TRUST_IDENTITY_CHANGED` when a person must decide; nothing is stored.
   * @throws StoreError from the store; nothing is stored, and nothing was given out.
   *
   * Source: 08 §3.
   */
  encrypt(
    targets: readonly EncryptTarget[],
    nowMs: number,
    extra?: (messages: readonly EncryptedMessage[]) => Extra | Promise<Extra>,
  ): Promise<readonly EncryptedMessage[]> {
    if (targets.length === 0) {
      return Promise.reject(new UsageError('USAGE_ARGUMENT', 'nothing to encrypt'));
    }
    // ATK-J08: node:crypto would take a text and choose an encoding by itself.
    if (!targets.every((target) => isBytes(target.plaintext))) {
      return Promise.reject(new UsageError('USAGE_ARGUMENT', 'plaintext is not bytes'));
    }
    return this.#run(
      targets.map((target) => target.remote),
      async () => {
        const draft = new Draft();
        const messages: EncryptedMessage[] = [];
        for (const target of targets) {
          messages.push(await this.#encryptOne(draft, target, nowMs));
        }
        await this.#commit(
          draft,
          draft.changes<Extra>(),
          extra && { extra: await extra(messages) },
        );
        return messages;
      },
    );
  }

  async #encryptOne(draft: Draft, target: EncryptTarget, nowMs: number): Promise<EncryptedMessage> {
    const { remote, plaintext, bundle } = target;
    const ends = { local: this.#local, remote };
    let { record, version } = draft.sessions.get(addressText(remote)) ?? (await this.#load(remote));
    if (bundle !== undefined) {
      // ATK-B13: compatible peers do not look; a bundle of another device is the relay's or our mistake.
      if (bundle.deviceId !== remote.deviceId) {
        throw new UsageError('USAGE_ARGUMENT', 'the bundle belongs to another device');
      }
      this.#judge(draft, () => bundleLeniencies(this.#crypto, bundle));
      await this.#checkTrust(draft, remote.name, bundle.identityKey);
      const identity = await this.#ownIdentity();
      const localRegistrationId = await this.#store.loadLocalRegistrationId();
      const input = { ...ends, identity, localRegistrationId, bundle, nowMs };
      const started = initiateSession(this.#crypto, record, input);
      draft.step(remote, version, started);
      record = started.state;
    }
    const encrypted = encryptMessage(this.#crypto, record, { ...ends, plaintext, nowMs });
    const current = currentOf(encrypted.state);
    await this.#checkTrust(draft, remote.name, remoteIdentityOf(current));
    const { type, bytes } = draft.step(remote, version, encrypted);
    return { remote, type, bytes, remoteRegistrationId: current.remoteRegistrationId };
  }

  /**
   * Decrypt one message in one commit: its key is gone and what `extra` made of it is stored, or neither.
   *
   * @param type - 2 or 3, as the envelope says.
   * @param nowMs - Milliseconds since 1970; the budget of forged jumps comes back with it.
   * @param extra - Makes what the application stores in the same transaction, such as the plaintext. It may
   * read the store, and is called again when the operation is redone.
   * @throws DecodeError for malformed bytes.
   * @throws DuplicateMessageError `STATE_DUPLICATE_MESSAGE` for a message opened before.
   * @throws StateError `STATE_NO_SESSION`; `STATE_NO_PREKEY` when a prekey it names is gone;
   * `STATE_PREKEY_REPLAYED` when a last-resort prekey met its base key before.
   * @throws VerificationError `VERIFY_DECRYPTION` for every message that no session opens, whatever the
   * cause; `VERIFY_DOWNGRADE`, `VERIFY_BASE_KEY`, `VERIFY_KEY_AGREEMENT`, `VERIFY_IDENTITY_MISMATCH` for
   * handshakes that are refused.
   * @throws LimitError `LIMIT_FORWARD_JUMPS` for a far jump shortly after forged ones, `LIMIT_HANDSHAKES` for a
   * handshake shortly after failed ones; nothing was tried, and later it can be opened.
   * @throws TrustError `TRUST_IDENTITY_CHANGED`; nothing is stored, so the message can be opened later.
   * @throws StoreError from the store; nothing is stored, and nothing was given out.
   *
   * Source: 08 §4 and §5.
   */
  decrypt(
    remote: Address,
    type: 2 | 3,
    bytes: Uint8Array,
    nowMs: number,
    extra?: (opened: DecryptedMessage) => Extra | Promise<Extra>,
  ): Promise<DecryptedMessage> {
    // ATK-C16: the outer type alone chooses the parser; a message is never retried as the other type.
    if (type !== MESSAGE_TYPE_PREKEY && type !== MESSAGE_TYPE_SIGNAL) {
      return Promise.reject(
        new DecodeError('DECODE_CONTENT', `message type ${type} is not 2 or 3`),
      );
    }
    if (!isBytes(bytes)) {
      return Promise.reject(new UsageError('USAGE_ARGUMENT', 'message is not bytes'));
    }
    // A transport may reuse its buffer while we wait for the lock.
    const received = copyBytes(bytes);
    return this.#run([remote], () =>
      type === MESSAGE_TYPE_PREKEY
        ? this.#decryptPreKey(remote, received, nowMs, extra)
        : this.#decryptPlain(remote, received, nowMs, extra),
    );
  }

  async #decryptPlain(
    remote: Address,
    bytes: Uint8Array,
    nowMs: number,
    extra: ((opened: DecryptedMessage) => Extra | Promise<Extra>) | undefined,
  ): Promise<DecryptedMessage> {
    const message = decodeSignalMessage(bytes);
    const draft = new Draft();
    this.#judge(draft, () => messageLeniencies(message));
    const { record, version } = await this.#load(remote);
    const forwardStepsMax = this.#budget.available(nowMs);
    const input = { local: this.#local, remote, message, forwardStepsMax };
    let opened: Transition<SessionRecord, Bytes>;
    try {
      opened = decryptMessage(this.#crypto, record, input);
    } catch (error) {
      // ATK-C02: work done for nothing is charged, also when the budget stopped it half-way.
      if (error instanceof VerificationError || error instanceof LimitError) {
        const steps = forwardStepsOf(record, input, message);
        this.#budget.spend(Math.min(steps, forwardStepsMax));
      }
      throw error;
    }
    const remoteIdentity = remoteIdentityOf(currentOf(opened.state));
    const firstUse = await this.#checkTrust(draft, remote.name, remoteIdentity);
    const plaintext = draft.step(remote, version, opened);
    const result = { plaintext, remoteIdentity, newSession: false, firstUse };
    await this.#commit(draft, draft.changes<Extra>(), extra && { extra: await extra(result) });
    return result;
  }

  async #decryptPreKey(
    remote: Address,
    bytes: Uint8Array,
    nowMs: number,
    extra: ((opened: DecryptedMessage) => Extra | Promise<Extra>) | undefined,
  ): Promise<DecryptedMessage> {
    const message = decodePreKeySignalMessage(bytes);
    const ends = { local: this.#local, remote };
    const draft = new Draft();
    this.#judge(draft, () => preKeyMessageLeniencies(this.#crypto, message, bytes, ends));
    const { record, version } = await this.#load(remote);
    // Only a look-up: the identity is remembered by the commit, after the message has authenticated.
    const firstUse = await this.#checkTrust(draft, remote.name, message.identityKey);
    // A late message of a known session needs no prekeys: its one-time prekey is gone already.
    const newSession = !isKnownSession(record, message);
    const accept = newSession ? await this.#loadAcceptKeys(message) : undefined;
    // ATK-B15: from here on it is agreements and a KEM, for whatever a stranger sends.
    if (newSession) this.#handshakes.check(remote.name, firstUse, nowMs);
    const forwardStepsMax = this.#budget.available(nowMs);
    const input = { ...ends, message, accept, forwardStepsMax };
    let plaintext: Bytes;
    try {
      plaintext = draft.step(remote, version, decryptPreKeyMessage(this.#crypto, record, input));
    } catch (error) {
      if (error instanceof VerificationError) {
        this.#budget.spend(forwardStepsAtMost(message.message));
      }
      if (newSession && !(error instanceof LimitError)) {
        this.#handshakes.spend(remote.name, firstUse, nowMs);
      }
      throw error;
    } finally {
      // Decoded for this handshake only; the store keeps its own.
      wipe(accept?.signedPreKey.secret, accept?.preKey?.secret, accept?.kemPreKey.secret);
    }
    const result = { plaintext, remoteIdentity: message.identityKey, newSession, firstUse };
    // One-time keys die in the commit that stores the opened message, and only there.
    const used: StoreChanges<Extra> =
      newSession && message.kem !== undefined
        ? {
            usedKemPreKeys: [
              {
                kemPreKeyId: message.kem.preKeyId,
                signedPreKeyId: message.signedPreKeyId,
                baseKey: message.baseKey,
              },
            ],
            ...(message.preKeyId === undefined ? {} : { removedPreKeys: [message.preKeyId] }),
          }
        : {};
    await this.#commit(
      draft,
      { ...draft.changes<Extra>(), ...used },
      extra && { extra: await extra(result) },
    );
    return result;
  }

  /** Our half of the handshake that `message` names, looked up in the order signed, KEM, one-time. */
  async #loadAcceptKeys(message: PreKeySignalMessage): Promise<AcceptInput> {
    refuseOldHandshake(message);
    const { signedPreKeyId, kem, preKeyId } = message;
    const signedRecord = await this.#store.loadSignedPreKey(signedPreKeyId);
    if (signedRecord === undefined) throw noPreKey('signed prekey', signedPreKeyId);
    const kemRecord = kem && (await this.#store.loadKemPreKey(kem.preKeyId));
    if (kemRecord === undefined) throw noPreKey('KEM prekey', kem?.preKeyId);
    let preKey: KeyPair | undefined;
    if (preKeyId !== undefined) {
      const record = await this.#store.loadPreKey(preKeyId);
      if (record === undefined) throw noPreKey('one-time prekey', preKeyId);
      preKey = decodePreKeyRecord(record).keyPair;
    }
    return {
      identity: await this.#ownIdentity(),
      localRegistrationId: await this.#store.loadLocalRegistrationId(),
      signedPreKey: decodeSignedPreKeyRecord(signedRecord).keyPair,
      preKey,
      kemPreKey: decodeKemPreKeyRecord(kemRecord.record).keyPair,
    };
  }

  /** Whether a message to `remote` can be encrypted without a new bundle. */
  hasUsableSession(remote: Address, nowMs: number): Promise<boolean> {
    return this.#run([remote], async () => isUsable((await this.#load(remote)).record, nowMs));
  }

  /** The current session with `remote`; `undefined` when there is none. */
  sessionInfo(remote: Address): Promise<SessionInfo | undefined> {
    return this.#run([remote], async () => {
      const { current } = (await this.#load(remote)).record;
      return current && sessionInfoOf(current);
    });
  }

  /** Stop sending on the current session; messages under way to us can still be opened. */
  archiveSession(remote: Address): Promise<void> {
    return this.#run([remote], async () => {
      const { record, version } = await this.#load(remote);
      if (record.current === undefined) return;
      const draft = new Draft();
      draft.step(remote, version, archiveCurrentSession(record));
      await this.#commit(draft, draft.changes<Extra>(), undefined);
    });
  }

  /** Forget every session with `remote`, also the keys of messages under way. */
  deleteSession(remote: Address): Promise<void> {
    return this.#run([remote], async () => {
      const { record, version } = await this.#load(remote);
      if (version === 0) return;
      const draft = new Draft();
      draft.step(remote, version, {
        state: EMPTY_RECORD,
        output: undefined,
        consumed: recordSecrets(record),
      });
      await this.#commit(draft, draft.changes<Extra>(), undefined);
    });
  }

  /** Remember `identityKey` for the account `name`, in place of any other: a person has decided. */
  async trustIdentity(name: string, identityKey: PublicKey): Promise<void> {
    await this.#store.commit({ identities: [{ name, identityKey }] });
  }

  /**
   * Trust on first use: an unknown name is trusted and remembered with this commit, a known key must be
   * the same bytes. Returns whether this is the first use.
   */
  async #checkTrust(draft: Draft, name: string, identityKey: PublicKey): Promise<boolean> {
    const drafted = draft.identities.get(name);
    const known = drafted ?? (await this.#store.loadIdentity(name));
    if (known === undefined) {
      draft.identities.set(name, identityKey);
      return true;
    }
    if (!samePublicBytes(known, identityKey)) {
      throw new TrustError('TRUST_IDENTITY_CHANGED', 'the identity key of this account changed', {
        identityKey,
      });
    }
    return drafted !== undefined;
  }

  #ownIdentity(): Promise<KeyPair> {
    // One array for good: providers cache the imported form of a private key by its identity.
    this.#identity ??= this.#store.loadIdentityKeyPair().catch((error: unknown) => {
      this.#identity = undefined;
      throw error;
    });
    return this.#identity;
  }

  async #load(remote: Address): Promise<Loaded> {
    const key = addressText(remote);
    let loaded = this.#cache.get(key);
    if (loaded === undefined) {
      const stored = await this.#store.loadSession(remote);
      // Not cached: strangers must not push out whom we talk to.
      if (stored === undefined) loaded = { record: EMPTY_RECORD, version: 0 };
      else loaded = { record: decodeSessionRecord(stored.record), version: stored.version };
    }
    if (loaded.version > 0) this.#remember(key, loaded);
    this.#inUse.set(key, loaded.version);
    return loaded;
  }

  #remember(key: string, loaded: Loaded): void {
    this.#cache.delete(key);
    this.#cache.set(key, loaded);
    if (this.#cache.size <= this.#cachedMax) return;
    for (const oldest of this.#cache.keys()) {
      this.#cache.delete(oldest);
      return;
    }
  }

  async #commit(
    draft: Draft,
    changes: StoreChanges<Extra>,
    extra: { readonly extra: Extra } | undefined,
  ): Promise<void> {
    await this.#store.commit({ ...changes, ...extra });
    // Durable: from here on the old state is dead.
    for (const [key, { record, version }] of draft.sessions) {
      this.#remember(key, { record, version: version + 1 });
    }
    wipe(...draft.consumed);
    for (const leniency of draft.tolerated) this.#onTolerated?.(leniency);
  }

  /** Looks only when somebody wants to know: in parity without a listener nothing is computed. */
  #judge(draft: Draft, find: () => readonly Leniency[]): void {
    if (this.#profile === 'parity' && this.#onTolerated === undefined) return;
    const found = find();
    judge(this.#profile, found);
    draft.tolerated.push(...found);
  }

  /** Run `body` alone on its addresses; repeat it when it worked on state that was no longer the store's. */
  async #run<Result>(remotes: readonly Address[], body: () => Promise<Result>): Promise<Result> {
    const unlock = await this.#locks.acquire(remotes);
    try {
      for (let attempt = 1; ; attempt++) {
        try {
          return await body();
        } catch (error) {
          const outdated = (await this.#evictOutdated(remotes)) || hasCode(error, 'STORE_CONFLICT');
          if (!outdated || attempt > MAX_CONFLICT_RETRIES) throw error;
        }
      }
    } finally {
      for (const remote of remotes) this.#inUse.delete(addressText(remote));
      unlock();
    }
  }

  /**
   * Forget records that another writer has overtaken while we used them. The operation may have failed
   * because of that: what the old record could not open, or a prekey that is gone, the new one may explain.
   */
  async #evictOutdated(remotes: readonly Address[]): Promise<boolean> {
    let outdated = false;
    for (const remote of remotes) {
      const key = addressText(remote);
      const version = this.#inUse.get(key);
      if (version === undefined) continue;
      const stored = await this.#store.loadSession(remote);
      if ((stored?.version ?? 0) === version) continue;
      this.#cache.delete(key);
      outdated = true;
    }
    return outdated;
  }
}

function currentOf(record: SessionRecord): NonNullable<SessionRecord['current']> {
  if (record.current === undefined) throw new StateError('STATE_NO_SESSION', 'no current session');
  return record.current;
}

function noPreKey(kind: string, id: number | undefined): StateError {
  return new StateError('STATE_NO_PREKEY', `no ${kind} ${id}`);
}
