/**
 * 08 Session. What a program may know of a session: whom it is with, and how its ratchet comes along.
 *
 * Nothing secret. Spec: spec/08-session.md §8.
 */
import { DecodeError } from './errors.js';
import { remoteIdentityOf, type Session } from './session-record.js';
import { spqrProgress } from './spqr/index.js';
import type { PublicKey } from './types.js';
import { Damaged } from './wire/records.js';

/** What `Operations.sessionInfo` tells about the current session. */
export interface SessionInfo {
  /** Registration id the other device had when the session was made, 0 to 2^32 - 1. */
  readonly remoteRegistrationId: number;
  /** Identity key of the other account, as this session proves it. */
  readonly remoteIdentity: PublicKey;
  /** Our ratchet key, with which the session sends now; `undefined` when it is damaged. 33 bytes, public. */
  readonly ratchetKey: PublicKey | undefined;
  /**
   * How far the post-quantum half of the session has come. `undefined` when it has none (SPQR version 0,
   * which `hasUsableSession` refuses), or when its stored state is damaged, which the next message reports.
   */
  readonly postQuantum: PostQuantumProgress | undefined;
}

/**
 * How far the post-quantum ratchet of a session has come. In order and without loss a key agreement takes
 * 87 messages of both sides, with 30 % loss about 160. It needs messages both ways: while only one side
 * writes, or somebody drops all messages of the other, `epoch` stays and `messagesSinceEpoch` grows.
 */
export interface PostQuantumProgress {
  /** The key agreement under way, from 1. It rises by one when its secret goes into the message keys. */
  readonly epoch: number;
  /** Messages of both sides since the last agreement was completed: `sent` and `received` together. */
  readonly messagesSinceEpoch: number;
  /** Messages sent since then. */
  readonly sent: number;
  /** Messages of the other side since then, counting those still missing. */
  readonly received: number;
}

/**
 * What may be known of `session`.
 *
 * @throws StateError `STATE_INVALID_SESSION` when its identity key is damaged.
 *
 * Source: 08 §8; 06 §13.
 */
export function sessionInfoOf(session: Session): SessionInfo {
  const { sender } = session;
  return {
    remoteRegistrationId: session.remoteRegistrationId,
    remoteIdentity: remoteIdentityOf(session),
    ratchetKey: sender instanceof Damaged ? undefined : sender?.ratchetKey.public,
    postQuantum: postQuantumOf(session),
  };
}

function postQuantumOf(session: Session): PostQuantumProgress | undefined {
  let progress: ReturnType<typeof spqrProgress>;
  try {
    progress = spqrProgress(session.spqr.state);
  } catch (error) {
    // Whoever asks may be about to replace this very session: that must not fail on it.
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
  if (progress === undefined) return undefined;
  const { epoch, sentInEpoch: sent, receivedInEpoch: received } = progress;
  return { epoch, messagesSinceEpoch: sent + received, sent, received };
}
