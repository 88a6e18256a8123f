/**
 * What a program sees of the SDK: options, events, and the things that events and calls carry.
 */
import type { CryptoProvider, PublicKey } from '@qasid/protocol';

import type { Clock } from './clock.js';
import type { ConnectionStatus } from './connection.js';
import type { ClientStore, Direction, MessageRow, MessageStatus } from './stores/port.js';
import type { Dial } from './transport/port.js';

/** How to open a client. */
export interface ClientOptions {
  /** `ws://` or `wss://` address of the relay. */
  readonly relay: string;
  /** Where everything is kept; the client closes it. */
  readonly store: ClientStore;
  /** The primitives; default: the platform's. */
  readonly crypto?: CryptoProvider;
  readonly clock?: Clock;
  /** Uniform in [0, 1): spreads retries over time. Never used for keys. */
  readonly random?: () => number;
  /** Opens sockets; default: the platform's WebSocket. */
  readonly socket?: Dial;
  /** Connect at once and stay connected; default true. */
  readonly connect?: boolean;
  /** What went on, in codes: no names, no keys, no content. */
  readonly log?: (line: LogLine) => void;
}

/** One line for a log. Safe to keep: nothing in it names a person or says what was written. */
export interface LogLine {
  readonly event:
    | 'status'
    | 'trouble'
    | 'undecryptable'
    | 'identity-changed'
    | 'first-use'
    | 'stalled';
  /** A status or an error code. */
  readonly code: string;
}

/** Who this device is. */
export interface Me {
  /** UUID; `undefined` until `register`. */
  readonly account: string | undefined;
  readonly username: string | undefined;
  readonly device: number | undefined;
  /** The relay has confirmed the account. */
  readonly registered: boolean;
}

/** Who wrote a message, as the session proves it. */
export interface Sender {
  readonly account: string;
  /** The relay's word when the account was first met, pinned since then. */
  readonly username: string | undefined;
  readonly device: number;
}

/** One message, received or sent. */
export interface Message {
  /** Place in this device's history; rises with each message. */
  readonly seq: number;
  /** Chosen by the sender, 32 hex digits. */
  readonly id: string;
  /** `unknown`: content of a kind this version does not know, in `raw`. */
  readonly kind: 'text' | 'unknown';
  readonly direction: Direction;
  readonly sender: Sender;
  /** The other account of the conversation; empty while a name is not resolved. */
  readonly peer: string;
  readonly text: string;
  readonly raw: Uint8Array | undefined;
  /** The sender's clock. */
  readonly sentAtMs: number;
  /** This device's clock. */
  readonly receivedAtMs: number;
  readonly status: MessageStatus;
  /** Error code of a failed message. */
  readonly cause: string | undefined;
}

/** A message that could not be opened. Its place in the history is kept, and it will not come again. */
export interface Undecryptable {
  readonly seq: number;
  /** What the envelope says. Not proven: anybody may have written it. */
  readonly claimedAccount: string | undefined;
  readonly claimedDevice: number | undefined;
  /** Error code: what class of failure. */
  readonly cause: string;
  /** Failures since the client was opened, this one included. */
  readonly count: number;
}

/** A message on its way. */
export interface SentMessage {
  /** 32 hex digits. */
  readonly id: string;
  readonly to: string;
  /** This device's clock. */
  readonly at: number;
  /**
   * Resolves when the relay has it durably for every device of the recipient. Rejects when it cannot be
   * sent: AccountError, TrustError (a person must decide, then it goes), VerificationError, NetworkError.
   * Stays pending while there is no network. Need not be awaited.
   */
  readonly confirmed: Promise<void>;
}

/** A message still in the outbox. */
export interface PendingMessage {
  readonly id: string;
  readonly to: string;
  /** Waiting for a person to accept the recipient's new identity key. */
  readonly held: boolean;
}

/** What two people compare. */
export interface SafetyNumber {
  /** 60 digits, the same on both sides. */
  readonly digits: string;
  /** For a QR code. */
  readonly scannable: Uint8Array<ArrayBuffer>;
  readonly theirs: { readonly account: string; readonly username: string | undefined };
  /** The number under the key the relay now shows, when that is not the trusted one. */
  readonly changed:
    | { readonly digits: string; readonly scannable: Uint8Array<ArrayBuffer> }
    | undefined;
}

/** An account whose identity key is no longer the trusted one. Nothing is sent to it until `trust`. */
export interface IdentityChange {
  readonly account: string;
  readonly username: string | undefined;
  readonly trusted: PublicKey;
  readonly offered: PublicKey;
}

/** An account met for the first time, its identity key taken on trust. */
export interface FirstUse {
  readonly account: string;
  readonly username: string | undefined;
  readonly identityKey: PublicKey;
}

/**
 * The post-quantum ratchet of one session does not advance. Messages stay encrypted and authenticated, but
 * the keys that protect them from a quantum computer are no longer renewed. Either somebody drops what one
 * side writes, or only one side writes: `received` of 0 may just be a person who has not answered yet.
 */
export interface Stalled {
  /** The other account, a UUID. */
  readonly account: string;
  /** Its device, 1 to 127. */
  readonly device: number;
  /** The key agreement that does not come to its end, from 1. */
  readonly epoch: number;
  /** Messages since the last one was completed, `sent` and `received` together. */
  readonly messages: number;
  /** Messages this device sent since then. */
  readonly sent: number;
  /** Messages of the other device since then, counting those still missing. */
  readonly received: number;
}

/** Everything a client tells. */
export interface ClientEvents {
  /** A message arrived and is stored. */
  readonly message: Message;
  /** A message we sent is durable at the relay. */
  readonly confirmed: { readonly id: string };
  /** A message we sent will not be delivered. */
  readonly failed: { readonly id: string; readonly error: Error };
  readonly undecryptable: Undecryptable;
  readonly status: ConnectionStatus;
  readonly 'identity-changed': IdentityChange;
  /** A message of this account arrived under an identity key that nobody has trusted yet: it waits. */
  readonly held: { readonly account: string; readonly username: string | undefined };
  readonly 'first-use': FirstUse;
  /** Once for every 1 000 messages (`POST_QUANTUM_STALLED_MESSAGES`), and again in a client opened anew. */
  readonly stalled: Stalled;
  /** Something failed that will be tried again: a full disk, an unreachable relay. */
  readonly trouble: Error;
}

/** A history row as a program sees it. */
export function toMessage(row: MessageRow, sender: Sender): Message {
  return {
    seq: row.seq,
    id: row.id,
    kind: row.kind === 'text' ? 'text' : 'unknown',
    direction: row.direction,
    sender,
    peer: row.peer,
    text: row.text,
    raw: row.kind === 'text' ? undefined : row.raw,
    sentAtMs: row.sentAtMs,
    receivedAtMs: row.receivedAtMs,
    status: row.status,
    cause: row.cause,
  };
}
