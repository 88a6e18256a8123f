/**
 * 08 Session. The port between the protocol and whatever keeps its state.
 *
 * Many reads, one write: `commit` takes everything that changed and is atomic, so crash safety is the
 * adapter's one transaction. The contract suite in test/support/store-contract.ts runs on every adapter.
 */
import type { Bytes } from './bytes.js';
import type { Address, KeyPair, PublicKey } from './types.js';

/**
 * A stored record with the version it had when read. The first write of an address stores version 1, every
 * further write the version it expected plus 1, so a writer knows the version it left behind.
 */
export interface Versioned {
  readonly record: Bytes;
  readonly version: number;
}

/** One session record to write. */
export interface SessionChange {
  readonly address: Address;
  /**
   * Encoded record (spec 08), or `undefined` to delete. Operations never deletes: it writes the empty
   * record, so that the version of an address never falls back and a stale writer is always noticed.
   */
  readonly record: Bytes | undefined;
  /**
   * Version the change was computed from; 0 when there was none. Another version in the store means a
   * lost update (two tabs, two processes): the adapter throws `STORE_CONFLICT` and writes nothing.
   */
  readonly expectedVersion: number;
}

/** A KEM prekey that opened a session. */
export interface UsedKemPreKey {
  readonly kemPreKeyId: number;
  readonly signedPreKeyId: number;
  /** Base key of the prekey message, 33 bytes. */
  readonly baseKey: PublicKey;
}

/** Kind of a KEM prekey: used once and deleted, or kept as the last resort with a replay memory. */
export type KemPreKeyKind = 'one-time' | 'last-resort';

/** A stored KEM prekey. */
export interface StoredKemPreKey {
  readonly record: Bytes;
  readonly kind: KemPreKeyKind;
}

/** An identity key to remember for an account name. */
export interface IdentityChange {
  readonly name: string;
  readonly identityKey: PublicKey;
  /**
   * True on first use: if another key is remembered by now, the adapter throws `STORE_CONFLICT` and writes
   * nothing, or two first messages at once could put one key in the place of another. Absent when a person
   * decided: the key replaces any other.
   */
  readonly firstUse?: boolean;
}

/** Everything one operation changes. Absent members change nothing. */
export interface StoreChanges<Extra = unknown> {
  readonly sessions?: readonly SessionChange[];
  readonly identities?: readonly IdentityChange[];
  /**
   * One-time prekeys that opened a session: delete them. If one of them is not there any more, throw
   * `STATE_NO_PREKEY` and write nothing: two sessions may not come from one one-time prekey.
   */
  readonly removedPreKeys?: readonly number[];
  /**
   * KEM prekeys that opened a session. One-time: delete; gone already: `STATE_NO_PREKEY`. Last-resort: remember (kemPreKeyId,
   * signedPreKeyId, baseKey); if that triple is remembered already, throw `STATE_PREKEY_REPLAYED` and
   * write nothing. Triples are forgotten when either prekey is deleted.
   */
  readonly usedKemPreKeys?: readonly UsedKemPreKey[];
  /** New prekey records (spec 03), by id. */
  readonly preKeys?: readonly { readonly id: number; readonly record: Bytes }[];
  readonly signedPreKeys?: readonly { readonly id: number; readonly record: Bytes }[];
  readonly kemPreKeys?: readonly {
    readonly id: number;
    readonly record: Bytes;
    readonly kind: KemPreKeyKind;
  }[];
  /** Old signed or last-resort prekeys past their grace period. */
  readonly removedSignedPreKeys?: readonly number[];
  readonly removedKemPreKeys?: readonly number[];
  /** What the application stores with it, in the same transaction: a plaintext, an outbox row. */
  readonly extra?: Extra;
}

/**
 * Storage of one device. Every method may reject with StoreError; a rejected `commit` has written nothing.
 * Missing records are `undefined`, never an error.
 */
export interface ProtocolStore<Extra = unknown> {
  /** The identity of this account. One array for good: see `CryptoProvider` on private keys. */
  loadIdentityKeyPair(): Promise<KeyPair>;
  /** 0 to 2^32 - 1. */
  loadLocalRegistrationId(): Promise<number>;
  /** The session record of one device (spec 08); also the empty record left by a deletion. */
  loadSession(address: Address): Promise<Versioned | undefined>;
  /** The identity key remembered for an account name. */
  loadIdentity(name: string): Promise<PublicKey | undefined>;
  /** PreKeyRecord (spec 03). */
  loadPreKey(id: number): Promise<Bytes | undefined>;
  /** SignedPreKeyRecord (spec 03). */
  loadSignedPreKey(id: number): Promise<Bytes | undefined>;
  /** KyberPreKeyRecord (spec 03) and its kind. */
  loadKemPreKey(id: number): Promise<StoredKemPreKey | undefined>;
  /** All of it or none of it, durable when it resolves. @throws StoreError, StateError as above. */
  commit(changes: StoreChanges<Extra>): Promise<void>;
}
