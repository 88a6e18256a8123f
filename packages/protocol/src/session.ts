/**
 * 08 Session. Everything two addresses share: one current session and up to 40 archived ones.
 *
 * Chooses the session for a message, archives and promotes, and says when a session went stale. Pure: a
 * function takes a record and gives the next one; a throw leaves the caller's record as it was.
 * Spec: spec/08-session.md.
 */
import type { Bytes } from './bytes.js';
import type { CryptoProvider } from './crypto/provider.js';
import { InternalError } from './errors.js';
import type { Transition } from './secret.js';
import type { Address, KemKeyPair, KeyPair, PreKeyBundle, PublicKey } from './types.js';
import type { PreKeySignalMessage, SignalMessage } from './wire/messages.js';
import type { SessionStructure } from './wire/records.js';

/** One session in memory. */
export type Session = SessionStructure<Bytes>;

/** Everything kept for one address, in memory. */
export interface SessionRecord {
  readonly current: Session | undefined;
  /** Encoded sessions, newest first. */
  readonly archived: readonly Bytes[];
}

/** The record of an address we never spoke to. */
export const EMPTY_RECORD: SessionRecord = { current: undefined, archived: [] };

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

/** An encrypted message and its type number. */
export interface Encrypted {
  readonly type: 2 | 3;
  readonly bytes: Bytes;
}

export function decodeSessionRecord(_bytes: Uint8Array): SessionRecord {
  throw new InternalError('INTERNAL_INVARIANT', 'not built yet');
}

export function encodeSessionRecord(_record: SessionRecord): Bytes {
  throw new InternalError('INTERNAL_INVARIANT', 'not built yet');
}

export function initiateSession(
  _crypto: CryptoProvider,
  _record: SessionRecord,
  _input: InitiateInput,
): Transition<SessionRecord, undefined> {
  throw new InternalError('INTERNAL_INVARIANT', 'not built yet');
}

export function encryptMessage(
  _crypto: CryptoProvider,
  _record: SessionRecord,
  _input: Ends & { readonly plaintext: Uint8Array; readonly nowMs: number },
): Transition<SessionRecord, Encrypted> {
  throw new InternalError('INTERNAL_INVARIANT', 'not built yet');
}

export function decryptMessage(
  _crypto: CryptoProvider,
  _record: SessionRecord,
  _input: Ends & { readonly message: SignalMessage },
): Transition<SessionRecord, Bytes> {
  throw new InternalError('INTERNAL_INVARIANT', 'not built yet');
}

export function isKnownSession(_record: SessionRecord, _message: PreKeySignalMessage): boolean {
  throw new InternalError('INTERNAL_INVARIANT', 'not built yet');
}

export function decryptPreKeyMessage(
  _crypto: CryptoProvider,
  _record: SessionRecord,
  _input: Ends & {
    readonly message: PreKeySignalMessage;
    readonly accept: AcceptInput | undefined;
  },
): Transition<SessionRecord, Bytes> {
  throw new InternalError('INTERNAL_INVARIANT', 'not built yet');
}

export function archiveCurrentSession(
  _record: SessionRecord,
): Transition<SessionRecord, undefined> {
  throw new InternalError('INTERNAL_INVARIANT', 'not built yet');
}

export function isUsable(_record: SessionRecord, _nowMs: number): boolean {
  throw new InternalError('INTERNAL_INVARIANT', 'not built yet');
}

export function remoteIdentityOf(_session: Session): PublicKey {
  throw new InternalError('INTERNAL_INVARIANT', 'not built yet');
}

export function recordSecrets(_record: SessionRecord): readonly Uint8Array[] {
  throw new InternalError('INTERNAL_INVARIANT', 'not built yet');
}
