/** What an implementation must do on a vault. Both sides of every scenario are an engine. */
import type { Address, Sealed, Vault, WireBundle } from './vault.js';

/** How a refusal is compared: libsignal-client's error codes, which are coarse. */
export type Refusal =
  | 'generic'
  | 'duplicate'
  | 'untrusted-identity'
  | 'invalid-session'
  | 'no-session'
  | 'store'
  | 'unknown';

/** A message was refused. `text` is what the implementation said. */
export class Refused extends Error {
  readonly kind: Refusal;
  readonly text: string;
  constructor(kind: Refusal, text: string) {
    super(`${kind}: ${text}`);
    this.kind = kind;
    this.text = text;
  }
}

/** Which prekeys to make and offer. */
export interface PreKeyPlan {
  readonly oneTime: boolean;
  readonly lastResort: boolean;
}

/** An implementation at work on vaults. It may cache, but keeps nothing a vault does not hold. */
export interface Engine {
  readonly kind: 'qasid' | 'libsignal';
  /** A fresh device with nothing but its identity. */
  createVault(address: Address, registrationId: number, identityRecord?: Uint8Array): Vault;
  /** Make prekeys with the given id, store them, and give the bundle that offers them. */
  publish(vault: Vault, id: number, plan: PreKeyPlan, nowMs: number): WireBundle;
  /** The bundle of prekeys that are stored already. */
  bundleOf(vault: Vault, id: number, oneTime: boolean): WireBundle;
  /** Encrypt; with a bundle a new session is made first. @throws Refused */
  encrypt(
    vault: Vault,
    remote: Address,
    text: Uint8Array,
    nowMs: number,
    bundle?: WireBundle,
  ): Promise<Sealed>;
  /** Decrypt and keep the new state. @throws Refused, and then the vault is unchanged */
  decrypt(vault: Vault, remote: Address, sealed: Sealed, nowMs: number): Promise<Uint8Array>;
  /** Decode a record and encode it again. */
  reencodeSession(record: Uint8Array): Uint8Array;
  reencodePreKey(record: Uint8Array): Uint8Array;
  reencodeSignedPreKey(record: Uint8Array): Uint8Array;
  reencodeKemPreKey(record: Uint8Array): Uint8Array;
  reencodeIdentity(record: Uint8Array): Uint8Array;
  /** Archive the current session with `remote`. */
  archive(vault: Vault, remote: Address): Promise<void>;
  hasUsableSession(vault: Vault, remote: Address, nowMs: number): Promise<boolean>;
}
