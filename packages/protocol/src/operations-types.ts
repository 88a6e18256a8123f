/**
 * 08 Session. What goes into and comes out of `Operations`.
 */
import type { Bytes } from './bytes.js';
import type { CryptoProvider } from './crypto/provider.js';
import type { PreKeyBundle } from './prekeys.js';
import type { ProtocolStore } from './stores.js';
import type { Leniency, Profile } from './strictness.js';
import type { Address, PublicKey } from './types.js';

/** One message to encrypt. */
export interface EncryptTarget {
  readonly remote: Address;
  readonly plaintext: Uint8Array;
  /** When given, a new session is made from it in the same commit, even if one exists. */
  readonly bundle?: PreKeyBundle | undefined;
}

/** One encrypted message, safe to send: the state that made it is durable. */
export interface EncryptedMessage {
  readonly remote: Address;
  /** 3 while the handshake has not been answered, then 2. */
  readonly type: 2 | 3;
  readonly bytes: Bytes;
  /** Registration id the recipient's device had when the session was made. */
  readonly remoteRegistrationId: number;
}

/** One opened message, safe to show: its key is gone from the durable state. */
export interface DecryptedMessage {
  /** As it was encrypted, without padding of ours; yours to keep or wipe. */
  readonly plaintext: Bytes;
  /** The sender's identity key, 33 bytes: what authenticated this message. */
  readonly remoteIdentity: PublicKey;
  /** Whether this message started a session. */
  readonly newSession: boolean;
  /** Whether the sender's identity key was remembered with this message. */
  readonly firstUse: boolean;
}

/** What `Operations` needs. */
export interface OperationsOptions<Extra> {
  readonly crypto: CryptoProvider;
  readonly store: ProtocolStore<Extra>;
  /** Our own address; it is bound into handshakes. */
  readonly local: Address;
  /** Decoded records to keep; default `MAX_CACHED_RECORDS`. */
  readonly cachedSessionsMax?: number | undefined;
  /**
   * `'parity'` (default): accept what compatible peers accept. `'strict'`: refuse messages and keys that
   * are not canonical, and handshakes that bind no addresses.
   */
  readonly profile?: Profile | undefined;
  /** Called for each thing tolerated in an accepted message or bundle, after its commit: for a counter. */
  readonly onTolerated?: ((leniency: Leniency) => void) | undefined;
}
