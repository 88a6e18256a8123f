/**
 * What a program sees of the SDK: options, events, and the things that events and calls carry.
 */
import type { CryptoProvider, PublicKey } from '@qasid/protocol';

import type { Clock } from './clock.js';
import type { ConnectionStatus } from './connection.js';
import type { AppBody, ContactBody, LocationBody, PollBody, TextBody } from './content/index.js';
import type { MessageDocument } from './documents/document.js';
import type { FileAccess } from './documents/source.js';
import type { GroupChanged, GroupForked, GroupRequest } from './groups/events.js';
import type { DevicesChange } from './linking/device-changes.js';
import type { TransferProgress } from './linking/transfers.js';
import type { Recovered, RepairStuck } from './repair/repairs.js';
import type { SealedPolicy, VisibleCause } from './sealed/post.js';
import type { ClientStore, Direction, MessageStatus } from './stores/port.js';
import type { Dial } from './transport/port.js';
import type { TrustPolicy } from './trust.js';

/** How to open a client. */
export interface ClientOptions {
  /** `ws://` or `wss://` address of the relay. */
  readonly relay: string;
  /**
   * Name of this device's identity and history on this machine, 1 to 32 of `a-z 0-9 _ -`; made at first use. In
   * Node a folder `sdk/NAME` in `QASID_HOME` or `~/.qasid`, in a browser a database of the page's origin.
   */
  readonly profile?: string | undefined;
  /** Encrypts the profile. One made with it is never opened without it, nor the reverse. */
  readonly passphrase?: string | undefined;
  /** In place of a profile: where everything is kept. The client closes it. */
  readonly store?: ClientStore | undefined;
  /** The primitives; default: the platform's. */
  readonly crypto?: CryptoProvider;
  readonly clock?: Clock;
  /** Uniform in [0, 1): spreads retries over time. Never used for keys. */
  readonly random?: () => number;
  /** Opens sockets; default: the browser's WebSocket, the `ws` package in Node. */
  readonly socket?: Dial;
  /** Speaks HTTP with the relay, for documents; default: the platform's `fetch`. */
  readonly fetch?: typeof fetch;
  /** Reads and writes files, for uploads that go on after a restart and for `saveTo`; default: the platform's. */
  readonly files?: FileAccess;
  /** Connect at once and stay connected; default true. */
  readonly connect?: boolean;
  /** Which receipts to send to accepted contacts; default both. Nobody else ever gets one. */
  readonly receipts?: { readonly delivered: boolean; readonly read: boolean };
  /** What may be sent before a person has compared safety numbers; default `first-use`. */
  readonly trust?: TrustPolicy;
  /** Whether the relay may learn who sends; default `prefer`. */
  readonly sealed?: SealedPolicy;
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
    | 'devices-changed'
    | 'stalled'
    | 'sender-visible'
    | 'store-restored'
    | 'repair-stuck';
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

/** Which message is meant, in calls that take one: a `Message`, or its id and author. */
export interface MessageKey {
  /** 32 hex digits. */
  readonly id: string;
  readonly sender: { readonly account: string };
}

/** The message that another one answers. */
export interface QuotedMessage extends MessageKey {
  /** Beginning of the original; empty when the quote does not fit it. */
  readonly text: string;
  /**
   * `known`: the original is here and says so. `unknown`: it is not here, so only the sender of the answer
   * says what it was. `mismatch`: it is here and says something else (ATK-H09).
   */
  readonly original: 'known' | 'unknown' | 'mismatch';
}

/** Those who reacted with one emoji. */
export interface ReactionGroup {
  readonly emoji: string;
  /** Accounts. */
  readonly by: readonly string[];
}

/** Those who chose one option of a poll. */
export interface PollResult {
  readonly option: string;
  /** Accounts. */
  readonly by: readonly string[];
}

/** How far a message of ours came with one account. This device's clock, milliseconds since 1970. */
export interface Receipt {
  readonly account: string;
  readonly deliveredAtMs: number | undefined;
  readonly readAtMs: number | undefined;
  readonly viewedAtMs: number | undefined;
}

/** What a message says. */
export type MessageBody = TextBody | ContactBody | LocationBody | PollBody | AppBody;

/** One message, received or sent. Data, never markup: show it as text. */
export interface Message extends MessageKey {
  /** Place in this device's history; rises with each message. */
  readonly seq: number;
  /** Order within the conversation; see `Conversation.messages`. */
  readonly place: number;
  /** Chosen by the sender, 32 hex digits. */
  readonly id: string;
  /** `unknown`: content of a kind this version does not know, in `raw`. */
  readonly kind: 'text' | 'contact' | 'location' | 'poll' | 'app' | 'unknown';
  readonly direction: Direction;
  readonly sender: Sender;
  /** The other account of the conversation; empty while a name is not resolved. */
  readonly peer: string;
  /** What it says in plain text, edits included. Empty when deleted or to be viewed once. */
  readonly text: string;
  /** All of what it says, edits included; `undefined` when deleted, unknown, or to be viewed once. */
  readonly body: MessageBody | undefined;
  /** Content of an unknown kind, as it came. */
  readonly raw: Uint8Array | undefined;
  /** Documents. Nothing of them is fetched until you ask. Empty when deleted or to be viewed once. */
  readonly attachments: readonly MessageDocument[];
  readonly quote: QuotedMessage | undefined;
  readonly reactions: readonly ReactionGroup[];
  /** One for each option; empty when it is no poll. */
  readonly results: readonly PollResult[];
  /** Empty for messages of others. */
  readonly receipts: readonly Receipt[];
  readonly edited: boolean;
  /** Its author took it back. */
  readonly deleted: boolean;
  /** `unopened`: `Conversation.view` shows it, once. */
  readonly viewOnce: 'unopened' | 'opened' | undefined;
  /** When it disappears here, milliseconds since 1970. */
  readonly expiresAtMs: number | undefined;
  /** It waits in a message request: its sender learns nothing until a person accepts. */
  readonly request: boolean;
  /** The sender's clock, moved into what can be true: 45 days before to 5 minutes after it arrived. */
  readonly sentAtMs: number;
  /** This device's clock. */
  readonly receivedAtMs: number;
  readonly status: MessageStatus;
  /** Error code of a failed message. */
  readonly cause: string | undefined;
}

/** A conversation as it stands. */
export interface ConversationInfo {
  /** Account of the other side, or a group's id as hex. */
  readonly id: string;
  readonly username: string | undefined;
  /** How the other side wants to be called. Their word. */
  readonly profileName: string | undefined;
  /** `request`: somebody wrote to whom this account has never written. */
  readonly status: 'accepted' | 'request' | 'blocked';
  readonly unread: number;
  /** This device's clock, milliseconds since 1970. */
  readonly lastActivityMs: number;
  readonly draft: string;
  /** 0: not muted. */
  readonly mutedUntilMs: number;
  readonly archived: boolean;
  /** Messages older than this are deleted here; 0: kept. */
  readonly retentionSeconds: number;
  /** New messages disappear so long after they are read; 0: they stay. */
  readonly timerSeconds: number;
  /** The last change of the other side's devices that was seen here; `undefined`: none yet. */
  readonly devicesChanged: DevicesChange | undefined;
}

/** The devices of an account are others than before: a contact's, or our own. */
export interface DevicesChangedEvent extends Pick<DevicesChange, 'added' | 'removed'> {
  readonly account: string;
  readonly username: string | undefined;
  /** It is our own account. A device that nobody of us added: somebody has its identity key. */
  readonly own: boolean;
  /** Version of the signed list, from 1. */
  readonly version: number;
}

/** Receipts of one account came in. */
export interface ReceiptEvent {
  readonly peer: string;
  readonly account: string;
  readonly receipt: 'delivered' | 'read' | 'viewed';
  /** Messages of ours. */
  readonly ids: readonly string[];
}

/** Somebody is writing, or stopped. */
export interface TypingEvent {
  readonly peer: string;
  readonly account: string;
  readonly device: number;
  readonly started: boolean;
}

/** Something is wrong, or well again, in what a device sent. Chapter 15 §5. */
export interface Gap {
  readonly peer: string;
  readonly account: string;
  readonly device: number;
  /** Counters, both included. */
  readonly from: number;
  readonly to: number;
  /**
   * `missing`: dropped, or still under way. `healed`: came after all. `given-up`: its sender was told that it
   * could not be delivered, and will not send it. `forked`: somebody else writes as this
   * device, or it lies about what it wrote.
   */
  readonly cause: 'missing' | 'healed' | 'given-up' | 'forked';
}

/** A message that could not be opened. Its place in the history is kept, and it will not come again. */
export interface Undecryptable {
  readonly seq: number;
  /** What the envelope says. Not proven: anybody may have written it. */
  readonly claimedAccount: string | undefined;
  readonly claimedDevice: number | undefined;
  /** Error code. */
  readonly cause: string;
  /**
   * `format`: no message at all. `sender`: the sender is not who it says, or unknown. `session`: no session or key
   * for it, here. `forged`: altered on the way, or made by somebody else. `limit`: put off to save work.
   */
  readonly causeClass: 'format' | 'sender' | 'session' | 'forged' | 'limit';
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
  readonly qr: Uint8Array<ArrayBuffer>;
  /** The same as `qr`. */
  readonly scannable: Uint8Array<ArrayBuffer>;
  /** A person has compared the number of exactly these keys. */
  readonly verified: boolean;
  /**
   * Compare with what was scanned from the other's screen. Verifies nothing by itself.
   *
   * @throws DecodeError `DECODE_FINGERPRINT`, `DECODE_FINGERPRINT_VERSION` for anything but such a code.
   */
  readonly compare: (scanned: Uint8Array) => 'match' | 'mismatch';
  /**
   * A person has compared this number. It holds for exactly the two keys behind it; what waited for it
   * (`trust: 'verified-only'`) goes.
   *
   * @throws TrustError `TRUST_IDENTITY_CHANGED` when they are no longer the keys in use, or the relay shows others.
   */
  readonly verify: () => Promise<void>;
  /** Take it back. */
  readonly unverify: () => Promise<void>;
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

/** Something goes to this account with our name on it, though its delivery token is known. */
export interface SenderVisible {
  readonly account: string;
  readonly cause: VisibleCause;
}

/** Everything a client tells. */
export interface ClientEvents {
  /** A message arrived and is stored. */
  readonly message: Message;
  /** A message that was there was edited, deleted, reacted to, read, confirmed or sent by another process. */
  readonly 'message-changed': Message;
  /** Messages are gone from here: their time was over. */
  readonly 'message-removed': { readonly peer: string; readonly ids: readonly string[] };
  readonly 'conversation-changed': ConversationInfo;
  /** Somebody wrote to whom this account has never written. */
  readonly request: ConversationInfo;
  /** Told in the process that is connected. */
  readonly receipt: ReceiptEvent;
  /** Told in the process that is connected. */
  readonly typing: TypingEvent;
  /** Messages are missing, came late, or do not fit. Told in the process that is connected. */
  readonly gap: Gap;
  /** A message we sent is durable at the relay. */
  readonly confirmed: { readonly id: string };
  /** A message we sent will not be delivered. */
  readonly failed: { readonly id: string; readonly error: Error };
  /** A message that could not be opened. Its device was asked for it, at most once an hour. */
  readonly undecryptable: Undecryptable;
  /** What could not be opened came again and is stored; its `undecryptable` row is gone. */
  readonly recovered: Recovered;
  /** Messages of a device cannot be opened a minute or more after it was asked for them: asking does not help. */
  readonly 'repair-stuck': RepairStuck;
  readonly status: ConnectionStatus;
  readonly 'identity-changed': IdentityChange;
  /** A message of this account arrived under an identity key that nobody has trusted yet: it waits. */
  readonly held: { readonly account: string; readonly username: string | undefined };
  readonly 'first-use': FirstUse;
  /** Told once for each change, in the process that sees it first. Groups make new keys after it. */
  readonly 'devices-changed': DevicesChangedEvent;
  /** The transfer to or from another device of this account went on. */
  readonly transfer: TransferProgress;
  /** Once for every 1 000 messages (`POST_QUANTUM_STALLED_MESSAGES`), and again in a client opened anew. */
  readonly stalled: Stalled;
  /**
   * An older copy of the store was put back. Messages of the time between are missing here; sessions are made
   * anew, and whatever was under way comes again by itself.
   */
  readonly 'store-restored': undefined;
  /** Once for an account, until something went to it sealed again. Told in the process that is connected. */
  readonly 'sender-visible': SenderVisible;
  /** A group was changed, by whomever, or this account was brought in. Told in the process that is connected. */
  readonly 'group-changed': GroupChanged;
  /** Members disagree and a person must decide: `Group.decideFork`. Told in the process that is connected. */
  readonly 'group-fork': GroupForked;
  /** Somebody followed a link of ours: `Group.approve`. Told in the process that is connected. */
  readonly 'group-request': GroupRequest;
  /** Something failed that will be tried again: a full disk, an unreachable relay. */
  readonly trouble: Error;
}
