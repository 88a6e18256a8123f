/**
 * 08 Session. A store in memory: for tests, for throw-away devices, and as the model of the contract.
 *
 * Portable and complete: atomic commits, record versions, one-time prekeys that can be taken once, the
 * replay memory of last-resort prekeys. Nothing outlives the process.
 */
import { copyBytes, samePublicBytes, toHex, type Bytes } from './bytes.js';
import { StateError, StoreError } from './errors.js';
import type {
  ProtocolStore,
  StoreChanges,
  StoredKemPreKey,
  UsedKemPreKey,
  Versioned,
} from './stores.js';
import { addressText, type Address, type KeyPair, type PublicKey } from './types.js';

/** Whose store it is. */
export interface MemoryStoreOptions<Extra> {
  readonly identity: KeyPair;
  /** 0 to 2^32 - 1. */
  readonly registrationId: number;
  /** Called inside every commit that carries `extra`, after all checks; must not throw. */
  readonly onExtra?: ((extra: Extra) => void) | undefined;
}

/** {@link ProtocolStore} in memory. Commits are checked whole, then applied whole. */
export class MemoryStore<Extra = unknown> implements ProtocolStore<Extra> {
  readonly #options: MemoryStoreOptions<Extra>;
  readonly #sessions = new Map<string, Versioned>();
  readonly #identities = new Map<string, PublicKey>();
  readonly #preKeys = new Map<number, Bytes>();
  readonly #signedPreKeys = new Map<number, Bytes>();
  readonly #kemPreKeys = new Map<number, StoredKemPreKey>();
  /** Uses of last-resort prekeys, by their text form. */
  readonly #uses = new Map<string, UsedKemPreKey>();

  constructor(options: MemoryStoreOptions<Extra>) {
    this.#options = options;
  }

  async loadIdentityKeyPair(): Promise<KeyPair> {
    return this.#options.identity;
  }

  async loadLocalRegistrationId(): Promise<number> {
    return this.#options.registrationId;
  }

  async loadSession(address: Address): Promise<Versioned | undefined> {
    const stored = this.#sessions.get(addressText(address));
    return stored && { record: copyBytes(stored.record), version: stored.version };
  }

  async loadIdentity(name: string): Promise<PublicKey | undefined> {
    return this.#identities.get(name);
  }

  async loadPreKey(id: number): Promise<Bytes | undefined> {
    return copyOf(this.#preKeys.get(id));
  }

  async loadSignedPreKey(id: number): Promise<Bytes | undefined> {
    return copyOf(this.#signedPreKeys.get(id));
  }

  async loadKemPreKey(id: number): Promise<StoredKemPreKey | undefined> {
    const stored = this.#kemPreKeys.get(id);
    return stored && { record: copyBytes(stored.record), kind: stored.kind };
  }

  async commit(changes: StoreChanges<Extra>): Promise<void> {
    // Nothing awaits between the checks and the writes: that is the whole transaction.
    this.#check(changes);
    this.#apply(changes);
  }

  #check(changes: StoreChanges<Extra>): void {
    for (const { address, expectedVersion } of changes.sessions ?? []) {
      const version = this.#sessions.get(addressText(address))?.version ?? 0;
      if (version !== expectedVersion) {
        throw new StoreError(
          'STORE_CONFLICT',
          `session record is at version ${version}, expected ${expectedVersion}`,
        );
      }
    }
    for (const { name, identityKey, firstUse } of changes.identities ?? []) {
      const known = this.#identities.get(name);
      if (firstUse === true && known !== undefined && !samePublicBytes(known, identityKey)) {
        throw new StoreError('STORE_CONFLICT', 'another identity key is remembered by now');
      }
    }
    for (const id of changes.removedPreKeys ?? []) {
      if (!this.#preKeys.has(id)) {
        throw new StateError('STATE_NO_PREKEY', `no one-time prekey ${id}`);
      }
    }
    for (const use of changes.usedKemPreKeys ?? []) {
      if (!this.#kemPreKeys.has(use.kemPreKeyId)) {
        throw new StateError('STATE_NO_PREKEY', `no KEM prekey ${use.kemPreKeyId}`);
      }
      if (this.#uses.has(useText(use))) {
        throw new StateError('STATE_PREKEY_REPLAYED', 'this handshake was accepted before');
      }
    }
  }

  #apply(changes: StoreChanges<Extra>): void {
    for (const { address, record, expectedVersion } of changes.sessions ?? []) {
      const key = addressText(address);
      if (record === undefined) this.#sessions.delete(key);
      else this.#sessions.set(key, { record: copyBytes(record), version: expectedVersion + 1 });
    }
    for (const { name, identityKey } of changes.identities ?? []) {
      this.#identities.set(name, identityKey);
    }
    for (const id of changes.removedPreKeys ?? []) this.#preKeys.delete(id);
    for (const use of changes.usedKemPreKeys ?? []) {
      if (this.#kemPreKeys.get(use.kemPreKeyId)?.kind === 'last-resort') {
        this.#uses.set(useText(use), use);
      } else {
        this.#kemPreKeys.delete(use.kemPreKeyId);
      }
    }
    for (const { id, record } of changes.preKeys ?? []) this.#preKeys.set(id, copyBytes(record));
    for (const { id, record } of changes.signedPreKeys ?? []) {
      this.#signedPreKeys.set(id, copyBytes(record));
    }
    for (const { id, record, kind } of changes.kemPreKeys ?? []) {
      this.#kemPreKeys.set(id, { record: copyBytes(record), kind });
    }
    for (const id of changes.removedSignedPreKeys ?? []) {
      this.#signedPreKeys.delete(id);
      this.#forgetUses((use) => use.signedPreKeyId === id);
    }
    for (const id of changes.removedKemPreKeys ?? []) {
      this.#kemPreKeys.delete(id);
      this.#forgetUses((use) => use.kemPreKeyId === id);
    }
    if (changes.extra !== undefined) this.#options.onExtra?.(changes.extra);
  }

  #forgetUses(matches: (use: UsedKemPreKey) => boolean): void {
    for (const [key, use] of this.#uses) if (matches(use)) this.#uses.delete(key);
  }
}

function copyOf(bytes: Bytes | undefined): Bytes | undefined {
  return bytes && copyBytes(bytes);
}

function useText(use: UsedKemPreKey): string {
  return `${use.kemPreKeyId}/${use.signedPreKeyId}/${toHex(use.baseKey)}`;
}
