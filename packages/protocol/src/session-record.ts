/**
 * 08 Session. The record of one address in memory, its stored form, and what moves sessions within it.
 *
 * One current session, up to 40 archived ones. session.ts chooses among them.
 * Spec: spec/08-session.md.
 */
import type { Bytes } from './bytes.js';
import { receiverSecrets, senderSecrets } from './double-ratchet.js';
import { QasidError } from './errors.js';
import { MAX_ARCHIVED_SESSIONS, MESSAGE_VERSION, UNACKNOWLEDGED_SESSION_MAX_MS } from './limits.js';
import { redacted, type Transition } from './secret.js';
import { decodeSpqrState, spqrSecrets, writeSpqrState, type SpqrState } from './spqr/index.js';
import type { PublicKey } from './types.js';
import {
  Damaged,
  decodeRecordStructure,
  decodeSessionStructure,
  encodeRecordStructure,
  encodeSessionStructure,
  forgetSkippedKeys,
  sound,
  type SessionStructure,
} from './wire/records.js';
import type { BackwardWriter } from './wire/protobuf-backward.js';

/**
 * The SPQR state of a session, decoded when first needed and encoded when first stored. A damaged state
 * must not keep a record from loading: other sessions in it may be sound.
 */
export class StoredSpqr {
  #encoded: Bytes | undefined;
  #state: SpqrState | undefined;

  private constructor(encoded: Bytes | undefined, state: SpqrState | undefined) {
    this.#encoded = encoded;
    this.#state = state;
  }

  static fromBytes(encoded: Bytes): StoredSpqr {
    return new StoredSpqr(encoded, undefined);
  }

  static fromState(state: SpqrState): StoredSpqr {
    return new StoredSpqr(undefined, state);
  }

  /** @throws DecodeError `DECODE_SPQR_STATE` */
  get state(): SpqrState {
    this.#state ??= decodeSpqrState(this.#encoded ?? NO_BYTES);
    return this.#state;
  }

  /** Whether SPQR is off: version 0, which is stored as no bytes. */
  get isOff(): boolean {
    return this.#encoded !== undefined
      ? this.#encoded.length === 0
      : this.#state?.braid === undefined;
  }

  /** Write the stored form. A state that is not stored yet is written straight into the record. */
  write(writer: BackwardWriter): void {
    if (this.#encoded !== undefined) writer.raw(this.#encoded);
    else if (this.#state !== undefined) writeSpqrState(writer, this.#state);
  }

  /** The bytes it was decoded from, to be wiped once a step has replaced the state. */
  get encodedSecrets(): readonly Uint8Array[] {
    return this.#encoded === undefined ? [] : [this.#encoded];
  }

  /** All of it, to be wiped once the session is archived or deleted. */
  get secrets(): readonly Uint8Array[] {
    const decoded = this.#state === undefined ? [] : spqrSecrets(this.#state);
    return [...this.encodedSecrets, ...decoded];
  }
}

const NO_BYTES: Bytes = new Uint8Array(0);

/** One session in memory. */
export type Session = SessionStructure<StoredSpqr>;

/** Everything kept for one address, in memory. */
export interface SessionRecord {
  readonly current: Session | undefined;
  /** Encoded sessions, newest first; decoded when a message is tried on them. */
  readonly archived: readonly Bytes[];
}

/** The record of an address we never spoke to. */
export const EMPTY_RECORD: SessionRecord = { current: undefined, archived: [] };

/**
 * Parse a stored record. Empty input is the empty record.
 *
 * @throws DecodeError `DECODE_SESSION_RECORD`.
 */
export function decodeSessionRecord(bytes: Uint8Array): SessionRecord {
  const { current, archived } = decodeRecordStructure(bytes);
  return redacted({ current: current && inMemory(current), archived });
}

/** Encode a record, canonical byte for byte. The result is secret. */
export function encodeSessionRecord(record: SessionRecord): Bytes {
  const { current, archived } = record;
  return encodeRecordStructure({ current, archived }, writeSpqr);
}

function inMemory(session: SessionStructure): Session {
  return { ...session, spqr: StoredSpqr.fromBytes(session.spqr) };
}

function writeSpqr(writer: BackwardWriter, spqr: StoredSpqr): void {
  spqr.write(writer);
}

/** `undefined` for an archived session that does not decode; it is kept all the same. */
export function decodeArchived(bytes: Bytes): Session | undefined {
  try {
    return inMemory(decodeSessionStructure(bytes));
  } catch (error) {
    if (error instanceof QasidError) return undefined;
    throw error;
  }
}

/** Make `session` current and archive the current one of `record` in front of `archived`. 08 §1. */
export function promote(
  record: SessionRecord,
  archived: readonly Bytes[],
  session: Session,
): Transition<SessionRecord, undefined> {
  const older = archive(record.current, archived);
  return {
    state: { current: session, archived: older.state },
    output: undefined,
    consumed: older.consumed,
  };
}

/**
 * Stop using the current session for sending. It stays able to receive, and forgets its handshake.
 *
 * Source: 08 §1.
 */
export function archiveCurrentSession(record: SessionRecord): Transition<SessionRecord, undefined> {
  const older = archive(record.current, record.archived);
  return {
    state: { current: undefined, archived: older.state },
    output: undefined,
    consumed: older.consumed,
  };
}

function archive(
  current: Session | undefined,
  archived: readonly Bytes[],
): Transition<readonly Bytes[], undefined> {
  if (current === undefined) return { state: archived, output: undefined, consumed: [] };
  const kept = archived.slice(0, MAX_ARCHIVED_SESSIONS - 1);
  const quiet = { ...current, pendingPreKey: undefined, pendingKemPreKey: undefined };
  return {
    state: [encodeSessionStructure(quiet, writeSpqr), ...kept],
    output: undefined,
    consumed: [...archived.slice(kept.length), ...sessionSecrets(current)],
  };
}

/** The secret buffers of a session in memory. */
export function sessionSecrets(session: Session): readonly Uint8Array[] {
  const secrets: Uint8Array[] = [...session.spqr.secrets];
  const { rootKey, sender } = session;
  if (!(rootKey instanceof Damaged)) secrets.push(rootKey);
  if (sender !== undefined && !(sender instanceof Damaged)) secrets.push(...senderSecrets(sender));
  for (const receiver of session.receivers) {
    if (receiver instanceof Damaged) continue;
    secrets.push(...receiverSecrets(receiver), ...forgetSkippedKeys(receiver.skipped));
  }
  return secrets;
}

/** The secret buffers of a record that is being deleted. */
export function recordSecrets(record: SessionRecord): readonly Uint8Array[] {
  return [...record.archived, ...(record.current ? sessionSecrets(record.current) : [])];
}

/**
 * Whether a message can be sent without a new handshake: there is a current session, it can send, has
 * been answered within 30 days if it must be, and is protected by SPQR.
 *
 * Source: 08 §6.
 */
export function isUsable(record: SessionRecord, nowMs: number): boolean {
  const session = record.current;
  return (
    session !== undefined &&
    session.sender !== undefined &&
    !isStale(session, nowMs) &&
    session.version >= MESSAGE_VERSION &&
    !session.spqr.isOff
  );
}

/** Exactly 30 days is not stale, one millisecond more is. ATK-C13. */
export function isStale(session: Session, nowMs: number): boolean {
  if (session.pendingPreKey === undefined) return false;
  const createdMs = session.pendingPreKey.createdAtSeconds * 1000;
  return createdMs + UNACKNOWLEDGED_SESSION_MAX_MS < nowMs;
}

/** @throws StateError `STATE_INVALID_SESSION` */
export function remoteIdentityOf(session: Session): PublicKey {
  return sound(session.remoteIdentity, 'remote identity key');
}
