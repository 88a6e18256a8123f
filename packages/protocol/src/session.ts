/**
 * 08 Session. Everything two addresses share: one current session and up to 40 archived ones.
 *
 * Chooses the session for a message, archives and promotes, and says when a session went stale. Pure: a
 * function takes a record and gives the next one; a throw leaves the caller's record as it was.
 * Spec: spec/08-session.md.
 */
import { samePublicBytes, type Bytes } from './bytes.js';
import { equalBytes } from './crypto/constant-time.js';
import type { CryptoProvider } from './crypto/provider.js';
import type { RatchetState, ReceiverChain } from './double-ratchet.js';
import {
  DuplicateMessageError,
  LimitError,
  QasidError,
  StateError,
  VerificationError,
} from './errors.js';
import { MAX_FORWARD_JUMPS, MAX_FORWARD_JUMPS_SELF } from './limits.js';
import { wipe, type Transition } from './secret.js';
import {
  decodeArchived,
  isStale,
  promote,
  remoteIdentityOf,
  sessionSecrets,
  StoredSpqr,
  type Session,
  type SessionRecord,
} from './session-record.js';
import {
  acceptSession,
  isSelf,
  refuseOldHandshake,
  type AcceptInput,
  type Ends,
} from './session-start.js';
import type { SpqrState } from './spqr/index.js';
import { openMessage, sealMessage } from './triple-ratchet.js';
import { addressesField } from './session-addresses.js';
import {
  encodePreKeySignalMessage,
  encodeSignalMessage,
  type PreKeySignalMessage,
  type SignalMessage,
} from './wire/messages.js';
import { Damaged, forgetSkippedKeys, sound } from './wire/records.js';

export {
  archiveCurrentSession,
  decodeSessionRecord,
  EMPTY_RECORD,
  encodeSessionRecord,
  isUsable,
  recordSecrets,
  remoteIdentityOf,
  StoredSpqr,
  type Session,
  type SessionRecord,
} from './session-record.js';
export {
  initiateSession,
  refuseOldHandshake,
  type AcceptInput,
  type Ends,
  type InitiateInput,
} from './session-start.js';

/** An encrypted message and its type number. */
export interface Encrypted {
  readonly type: 2 | 3;
  readonly bytes: Bytes;
}

/**
 * Encrypt on the current session.
 *
 * @returns `output`: type 3 while the handshake has not been answered, else type 2.
 * @throws StateError `STATE_NO_SESSION` without a current session, or when it went unanswered for 30 days;
 * `STATE_INVALID_SESSION` when its sending half is damaged.
 *
 * Source: 08 §3.
 */
export function encryptMessage(
  crypto: CryptoProvider,
  record: SessionRecord,
  input: Ends & { readonly plaintext: Uint8Array; readonly nowMs: number },
): Transition<SessionRecord, Encrypted> {
  const session = record.current;
  if (session === undefined) throw new StateError('STATE_NO_SESSION', 'no session to encrypt with');
  const localIdentity = sound(session.localIdentity, 'local identity key');
  const { pendingPreKey, pendingKemPreKey } = session;
  const sendState = {
    version: session.version,
    localIdentity,
    remoteIdentity: remoteIdentityOf(session),
    previousCounter: session.previousCounter,
    sender: sound(session.sender, 'sender chain'),
    spqr: sendableSpqr(session),
  };
  if (isStale(session, input.nowMs)) {
    throw new StateError('STATE_NO_SESSION', 'the session was not answered for 30 days');
  }
  const addresses =
    pendingPreKey === undefined ? undefined : addressesField(input.local, input.remote);
  const sealed = sealMessage(crypto, sendState, input.plaintext, addresses);
  const current: Session = {
    ...session,
    sender: sealed.state.sender,
    spqr: StoredSpqr.fromState(sealed.state.spqr),
  };
  const output: Encrypted =
    pendingPreKey === undefined
      ? { type: 2, bytes: encodeSignalMessage(sealed.output) }
      : {
          type: 3,
          bytes: encodePreKeySignalMessage({
            version: session.version,
            registrationId: session.localRegistrationId,
            preKeyId: pendingPreKey.preKeyId,
            signedPreKeyId: pendingPreKey.signedPreKeyId,
            kem: pendingKemPreKey && {
              preKeyId: pendingKemPreKey.kemPreKeyId,
              ciphertext: pendingKemPreKey.ciphertext,
            },
            baseKey: sound(pendingPreKey.baseKey, 'pending base key'),
            identityKey: localIdentity,
            message: sealed.output,
          }),
        };
  return {
    state: { ...record, current },
    output,
    consumed: [...sealed.consumed, ...session.spqr.encodedSecrets],
  };
}

function sendableSpqr(session: Session): SpqrState {
  try {
    return session.spqr.state;
  } catch (cause) {
    throw new StateError('STATE_INVALID_SESSION', 'post-quantum ratchet state decode failed', {
      cause,
    });
  }
}

/**
 * Decrypt a plain message: the current session first, then archived ones, newest first. An archived
 * session that opens it becomes current.
 *
 * @throws StateError `STATE_NO_SESSION` for an empty record.
 * @throws DuplicateMessageError from whichever session says so; no further session is tried.
 * @throws VerificationError `VERIFY_DECRYPTION` when none opens it, whatever the cause.
 * @throws LimitError `LIMIT_FORWARD_JUMPS` before it would take more than `forwardStepsMax` chain steps.
 *
 * Source: 08 §4.
 */
export function decryptMessage(
  crypto: CryptoProvider,
  record: SessionRecord,
  input: Ends & { readonly message: SignalMessage; readonly forwardStepsMax?: number | undefined },
): Transition<SessionRecord, Bytes> {
  const { current, archived } = record;
  const { message, forwardStepsMax = Number.POSITIVE_INFINITY } = input;
  let steps = 0;
  const allow = (session: Session): void => {
    steps += forwardSteps(session, input, message);
    if (steps > forwardStepsMax) throw overBudget();
  };
  if (current === undefined && archived.length === 0) {
    throw new StateError('STATE_NO_SESSION', 'no session to decrypt with');
  }
  if (current !== undefined) {
    allow(current);
    const opened = tryOpen(crypto, current, input, message);
    if (opened !== undefined) return { ...opened, state: { current: opened.state, archived } };
  }
  for (const [index, bytes] of archived.entries()) {
    const session = decodeArchived(bytes);
    if (session === undefined) continue;
    allow(session);
    const opened = tryOpen(crypto, session, input, message);
    if (opened === undefined) continue;
    const rest = [...archived.slice(0, index), ...archived.slice(index + 1)];
    const promoted = promote(record, rest, opened.state);
    return {
      state: promoted.state,
      output: opened.output,
      consumed: [...opened.consumed, bytes, ...promoted.consumed],
    };
  }
  throw notDecrypted();
}

/**
 * Chain steps that `message` may cost on all sessions of `record` together, if none opens it.
 *
 * Source: 08 §8.
 */
export function forwardStepsOf(record: SessionRecord, ends: Ends, message: SignalMessage): number {
  let steps = record.current === undefined ? 0 : forwardSteps(record.current, ends, message);
  for (const bytes of record.archived) {
    const session = decodeArchived(bytes);
    if (session !== undefined) steps += forwardSteps(session, ends, message);
  }
  return steps;
}

/** Chain steps that a prekey message may cost: it is tried on one session. Source: 08 §8. */
export function forwardStepsAtMost({ counter }: SignalMessage): number {
  return counter > MAX_FORWARD_JUMPS_SELF ? 0 : counter;
}

function overBudget(): LimitError {
  return new LimitError(
    'LIMIT_FORWARD_JUMPS',
    'too many chain steps for messages that do not open',
  );
}

/** Chain steps of one try; 0 where it is refused before the first. */
function forwardSteps(session: Session, ends: Ends, message: SignalMessage): number {
  if (session.version !== message.version) return 0;
  const { counter, ratchetKey } = message;
  const known = session.receivers.find(
    (receiver): receiver is ReceiverChain =>
      !(receiver instanceof Damaged) && samePublicBytes(receiver.theirRatchetKey, ratchetKey),
  );
  const jump = counter - (known?.chain.index ?? 0);
  return jump > forwardJumpsMax(session, ends) ? 0 : Math.max(0, jump);
}

function forwardJumpsMax({ localIdentity, remoteIdentity }: Session, ends: Ends): number {
  if (localIdentity instanceof Damaged || remoteIdentity instanceof Damaged) return 0;
  return isSelf(ends, localIdentity, remoteIdentity) ? MAX_FORWARD_JUMPS_SELF : MAX_FORWARD_JUMPS;
}

/** Whether a prekey message belongs to a session of the record, so that it needs no prekeys of ours.
 *
 * @throws VerificationError `VERIFY_IDENTITY_MISMATCH` when it names another identity than that session.
 * @throws StateError `STATE_INVALID_SESSION` for an archived session that does not decode.
 *
 * Source: 08 §5 step 3.
 */
export function isKnownSession(record: SessionRecord, message: PreKeySignalMessage): boolean {
  return findSession(record, message) !== undefined;
}

interface Found {
  readonly session: Session;
  /** Its place among the archived sessions; `undefined` for the current one. */
  readonly archivedIndex: number | undefined;
}

function findSession(record: SessionRecord, message: PreKeySignalMessage): Found | undefined {
  const matches = (session: Session): boolean =>
    session.version === message.version && equalBytes(session.baseKey, message.baseKey);
  let found: Found | undefined;
  if (record.current !== undefined && matches(record.current)) {
    found = { session: record.current, archivedIndex: undefined };
  }
  for (let i = 0; found === undefined && i < record.archived.length; i++) {
    const session = decodeArchived(record.archived[i] as Bytes);
    if (session === undefined) {
      throw new StateError('STATE_INVALID_SESSION', 'failed to decode archived session');
    }
    if (matches(session)) found = { session, archivedIndex: i };
  }
  // Or a peer could have a foreign identity key remembered as its own. ATK-B12.
  if (
    found !== undefined &&
    !equalBytes(sound(found.session.remoteIdentity, 'remote identity key'), message.identityKey)
  ) {
    throw new VerificationError(
      'VERIFY_IDENTITY_MISMATCH',
      'remote identity key not consistent with previously-established session',
    );
  }
  return found;
}

/**
 * Decrypt a prekey message: on the session it belongs to, or on a new one.
 *
 * @param input - `accept`: our keys for a new session; not looked at when the session is known.
 * @throws VerificationError `VERIFY_IDENTITY_MISMATCH`, `VERIFY_DOWNGRADE`, `VERIFY_BASE_KEY`,
 * `VERIFY_KEY_AGREEMENT` for the handshake; `VERIFY_DECRYPTION` for the message in it.
 * @throws StateError `STATE_NO_PREKEY` when the session is new and `accept` is missing.
 * @throws DuplicateMessageError for a repeat.
 *
 * Source: 08 §5.
 */
export function decryptPreKeyMessage(
  crypto: CryptoProvider,
  record: SessionRecord,
  input: Ends & {
    readonly message: PreKeySignalMessage;
    readonly accept: AcceptInput | undefined;
    readonly forwardStepsMax?: number | undefined;
  },
): Transition<SessionRecord, Bytes> {
  const { message, accept, forwardStepsMax = Number.POSITIVE_INFINITY } = input;
  const found = findSession(record, message);
  if (found !== undefined) {
    if (forwardSteps(found.session, input, message.message) > forwardStepsMax) throw overBudget();
    const opened = tryOpen(crypto, found.session, input, message.message);
    if (opened === undefined) throw notDecrypted();
    const { archived } = record;
    const { archivedIndex } = found;
    if (archivedIndex === undefined) {
      return { ...opened, state: { current: opened.state, archived } };
    }
    const rest = [...archived.slice(0, archivedIndex), ...archived.slice(archivedIndex + 1)];
    const promoted = promote(record, rest, opened.state);
    const consumed = [...opened.consumed, archived[archivedIndex] as Bytes, ...promoted.consumed];
    return { state: promoted.state, output: opened.output, consumed };
  }
  // 08 §5 step 4. A version 3 handshake has no KEM, or one that nothing binds. ATK-B02.
  refuseOldHandshake(message);
  if (accept === undefined) throw new StateError('STATE_NO_PREKEY', 'no prekeys for a new session');
  // A first flight of that many messages, of which this is the first to arrive.
  if (forwardStepsAtMost(message.message) > forwardStepsMax) throw overBudget();
  const session = acceptSession(crypto, input, message, accept);
  const opened = tryOpen(crypto, session, input, message.message);
  if (opened === undefined) {
    wipe(...sessionSecrets(session));
    throw notDecrypted();
  }
  const promoted = promote(record, record.archived, opened.state);
  return {
    state: promoted.state,
    output: opened.output,
    consumed: [...opened.consumed, ...promoted.consumed],
  };
}

/** Open `message` with one session, or `undefined` when it does not; a duplicate is thrown. 08 §4. */
function tryOpen(
  crypto: CryptoProvider,
  session: Session,
  ends: Ends,
  message: SignalMessage,
): Transition<Session, Bytes> | undefined {
  // Version 0 in storage is from before the field existed and means 2, which no message has.
  if (session.version !== message.version) return undefined;
  try {
    const localIdentity = sound(session.localIdentity, 'local identity key');
    const remoteIdentity = remoteIdentityOf(session);
    const ratchet = ratchetOf(session);
    const jumps = forwardJumpsMax(session, ends);
    const expected =
      message.addresses === undefined ? undefined : addressesField(ends.remote, ends.local);
    const opened = openMessage(
      crypto,
      {
        localIdentity,
        remoteIdentity,
        ratchet,
        // Decoded when it is asked for: a duplicate is a duplicate also when this state is damaged.
        get spqr() {
          return session.spqr.state;
        },
      },
      message,
      expected,
      jumps,
    );
    const next = opened.state.ratchet;
    return {
      state: {
        ...session,
        rootKey: next.rootKey,
        previousCounter: next.previousCounter,
        sender: next.sender,
        receivers: next.receivers,
        // Answered: no more handshake in our messages, and the session no longer goes stale.
        pendingPreKey: undefined,
        pendingKemPreKey: undefined,
        spqr: StoredSpqr.fromState(opened.state.spqr),
      },
      output: opened.output,
      consumed: [
        ...opened.consumed,
        ...session.spqr.encodedSecrets,
        ...staleEncodings(ratchet.receivers, next.receivers),
      ],
    };
  } catch (error) {
    if (error instanceof DuplicateMessageError) throw error;
    // One answer for every cause: MAC, padding, addresses, SPQR, far jump, damaged state. ATK-A08.
    if (error instanceof QasidError) return undefined;
    throw error;
  }
}

function ratchetOf(session: Session): RatchetState {
  return {
    rootKey: sound(session.rootKey, 'root key'),
    sender: sound(session.sender, 'sender chain'),
    receivers: session.receivers.map((receiver) => sound(receiver, 'receiver chain')),
    previousCounter: session.previousCounter,
  };
}

/** Remembered encodings of skipped keys that the next state no longer has in this form. */
function staleEncodings(
  before: readonly ReceiverChain[],
  after: readonly ReceiverChain[],
): readonly Uint8Array[] {
  const kept = new Set(after.map((receiver) => receiver.skipped));
  return before
    .filter((receiver) => !kept.has(receiver.skipped))
    .flatMap((receiver) => forgetSkippedKeys(receiver.skipped));
}

function notDecrypted(): VerificationError {
  return new VerificationError('VERIFY_DECRYPTION', 'decryption failed');
}
