/**
 * The port between the SDK and whatever keeps its state: the protocol's store, and what the SDK adds.
 *
 * Many reads, one write. `commit` is one transaction over keys, sessions, outbox, history and the
 * client ids already seen; that one rule is what makes a message neither lost nor shown twice:
 * - sending: {sessions, outbox row with its ciphertext, history row} commit before anything leaves;
 * - receiving: {session, spent prekeys, history row, client id} commit before the relay hears `Ack`.
 *
 * Several processes (or tabs) may hold one store at once. Session versions keep them from losing each
 * other's updates, `ownConnection` decides which of them talks to the relay, `watch` tells them of each
 * other's commits. `storeContract` of the testing kit runs on every adapter.
 */
import type { Bytes, KeyPair, ProtocolStore, PublicKey, SigningKeyPair } from '@qasid/protocol';

/** A prekey we signed, and since when. */
export interface DatedKey {
  readonly id: number;
  readonly createdAtMs: number;
}

/** Which prekeys exist; ids rise and are never used twice. */
export interface PrekeyLedger {
  readonly nextPreKeyId: number;
  readonly nextSignedPreKeyId: number;
  readonly nextKemPreKeyId: number;
  /** Newest last; all but the newest are past publication and wait out their grace period. */
  readonly signed: readonly DatedKey[];
  readonly lastResort: readonly DatedKey[];
}

/** How far an account has come. */
export type Registration = 'local' | 'asked' | 'registered';

/** Who this device is. Secret as a whole. */
export interface Profile {
  /** Account id as UUID text; 16 random bytes made here. */
  readonly account: string;
  readonly username: string | undefined;
  /** 1 to 127. */
  readonly device: number;
  readonly registrationId: number;
  readonly identity: KeyPair;
  /** Proves this device to the relay. */
  readonly auth: SigningKeyPair;
  /**
   * `local`: exists on this machine only. `asked`: the relay was asked to register it and may have done
   * so. `registered`: the relay said yes.
   */
  readonly registration: Registration;
  readonly prekeys: PrekeyLedger;
  /** Epoch of the relay for which the prekeys were published. */
  readonly relayEpoch: number;
}

/** One device on a signed list. */
export interface ListedDevice {
  readonly device: number;
  readonly registrationId: number;
  /** Ed25519 public key, 32 bytes. */
  readonly authKey: Bytes;
}

/** What we know of an account, our own included. */
export interface Contact {
  readonly account: string;
  /** The name under which the relay first gave us this account. It never moves to another account. */
  readonly username: string | undefined;
  /** Newest signed device list seen, as signed. Older ones are refused. */
  readonly signedDeviceList: Bytes | undefined;
  readonly deviceListVersion: number;
  readonly devices: readonly ListedDevice[];
  /** An identity key other than the trusted one that the relay now shows: a person must decide. */
  readonly offeredIdentity: PublicKey | undefined;
}

/** Ciphertext for one device. */
export interface OutboxPart {
  readonly device: number;
  readonly registrationId: number;
  /** 16 random bytes, made once per message and device and reused on every retry. */
  readonly clientId: Bytes;
  /** Envelope, padded. */
  readonly body: Bytes;
}

/**
 * What an outbox row is for. `message` has a history row, `change` is about one that was sent before,
 * `receipt` and `sync` belong to none. `resolve` sends nothing: it asks the connection's owner who someone is.
 * `group` is a message, or a change of one, for a group, whose id stands for the user name; `signal` is what
 * devices tell each other about groups.
 * `repair` says that something could not be opened; its parts are sealed when it is queued, and never anew. `resend` brings
 * such a thing again; its `messageId` is the device it is for, one byte, and the client id it has there, as hex.
 */
export type OutboxKind =
  | 'message'
  | 'sync'
  | 'resolve'
  | 'change'
  | 'receipt'
  | 'group'
  | 'signal'
  | 'repair'
  | 'resend';

/** Something that must reach the relay. Deleted once it has. */
export interface OutboxRow {
  /** Given by the store; rows leave in this order. */
  readonly id: number;
  readonly kind: OutboxKind;
  /** Id of the history row it belongs to, as hex. */
  readonly messageId: string;
  /** Account id, or `undefined` until the relay said who `username` is. */
  readonly account: string | undefined;
  readonly username: string | undefined;
  /** Encoded content, not padded. Kept until confirmed: a device may join meanwhile. */
  readonly content: Bytes;
  /** Ciphertexts, or `undefined` while a session must first be made with the relay's help. */
  readonly parts: readonly OutboxPart[] | undefined;
  /** Waiting for a person to accept a new identity key. */
  readonly held: boolean;
  /** The row that tells our other devices has been made, or none is needed. */
  readonly copied: boolean;
}

/** `sent`: from this account, `received`: from someone else. */
export type Direction = 'sent' | 'received';

/** Where a history row stands. `failed` carries a code. */
export type MessageStatus = 'pending' | 'confirmed' | 'failed' | 'received';

/**
 * What a row says. `unknown`: content of a newer version. `undecryptable` rows keep the place of a message
 * that could not be opened.
 */
export type MessageKind =
  | 'text'
  | 'unknown'
  | 'undecryptable'
  | 'contact'
  | 'location'
  | 'poll'
  | 'app';

/** Between the places of two messages in the order of arrival: room for those that come late. */
export const PLACE_STEP = 1_048_576;

/** Where a message stands in its conversation: by `place`, then by `seq`. */
export interface Position {
  readonly place: number;
  readonly seq: number;
}

/** One row of history. */
export interface MessageRow extends Position {
  /** Given by the store, rising with each message, never reused. */
  readonly seq: number;
  /**
   * Order within the conversation. `seq * PLACE_STEP` unless the message came late and belongs before one
   * that is there already.
   */
  readonly place: number;
  /** Given by the store with each write of the row; rises over all rows and records of the store. */
  readonly revision: number;
  /** 16 bytes as hex, chosen by the sender. */
  readonly id: string;
  readonly kind: MessageKind;
  readonly direction: Direction;
  /** It came from the relay (also a copy of what another device of ours sent), not from this device. */
  readonly arrived: boolean;
  /** The conversation: the other account, or a group's id as hex; empty until a name is resolved. */
  readonly peer: string;
  /** The account that wrote it; for an undecryptable row only a claim. */
  readonly author: string;
  /** The name the person wrote to, for rows whose peer is not known yet. */
  readonly peerName: string | undefined;
  /** Device that sent it. */
  readonly device: number;
  /** As it reads now: edits are in it. */
  readonly text: string;
  /** The content as its author sent it, without the link of its chain; gone when it was deleted. */
  readonly raw: Bytes | undefined;
  /** What happened to it since: reactions, edits, receipts. The store does not look inside. */
  readonly state: Bytes | undefined;
  /** When it disappears from here, milliseconds since 1970. */
  readonly expiresAtMs: number | undefined;
  readonly sentAtMs: number;
  readonly receivedAtMs: number;
  readonly status: MessageStatus;
  /** Error code of a failed or undecryptable row. */
  readonly cause: string | undefined;
}

/** A history row before it is stored; the store gives `seq` and `revision`, and `place` where it is absent. */
export interface NewMessage extends Omit<MessageRow, 'seq' | 'revision' | 'place'> {
  readonly place?: number | undefined;
  /** Words it is to be found by. Kept only in a form that needs the store's key. */
  readonly terms?: readonly string[] | undefined;
}

/** A whole row in place of the one with its `seq`. */
export interface MessageReplacement {
  readonly row: MessageRow;
  /** Words it is to be found by from now on; absent: as before. */
  readonly terms?: readonly string[] | undefined;
}

/** A small named value, for everything that is not a message. */
export interface RecordRow {
  readonly key: string;
  readonly value: Bytes;
  /** The store's revision of its last write; never 0, never the same twice. */
  readonly version: number;
}

/** A record to write, or with `value` undefined to delete. */
export interface RecordChange {
  /** What kind of record; readable without the passphrase. The key is not. */
  readonly space: string;
  readonly key: string;
  readonly value: Bytes | undefined;
  /** Version it was read at, 0 when it was not there. Another one → StoreError `STORE_CONFLICT`. */
  readonly expectedVersion: number;
}

/** A change of one history row that this device sent. Absent members stay. */
export interface MessageChange {
  readonly id: string;
  readonly status?: MessageStatus;
  readonly cause?: string;
  readonly peer?: string;
}

/** An envelope that waits for a person to accept the sender's new identity key. */
export interface HeldEnvelope {
  readonly id: number;
  readonly account: string;
  readonly clientId: Bytes;
  readonly body: Bytes;
}

/** What the SDK stores in the same transaction as the protocol's changes. Absent members change nothing. */
export interface ClientExtra {
  /**
   * A power cut may undo this commit (a killed process may not): its work would then be done again and
   * come to the same. Only for confirmations; nothing that is sent or acknowledged may rest on it.
   */
  readonly relaxed?: boolean;
  readonly profile?: Profile;
  readonly contacts?: readonly Contact[];
  /** New outbox rows; the store gives the ids, in this order. */
  readonly outboxAdded?: readonly Omit<OutboxRow, 'id'>[];
  /** Rows to overwrite. One that is gone meanwhile stays gone. */
  readonly outboxChanged?: readonly OutboxRow[];
  readonly outboxRemoved?: readonly number[];
  /** New history rows; the store gives the sequence numbers, in this order. */
  readonly messagesAdded?: readonly NewMessage[];
  readonly messagesChanged?: readonly MessageChange[];
  /**
   * Rows to overwrite. One whose revision is no longer that of `row` refuses the whole commit with
   * StoreError `STORE_CONFLICT`: load again, apply again.
   */
  readonly messagesReplaced?: readonly MessageReplacement[];
  /** Rows to delete by `seq`, with their words. One that is gone already is no error. */
  readonly messagesRemoved?: readonly number[];
  /** Conversations all of whose rows go. */
  readonly conversationsRemoved?: readonly string[];
  readonly records?: readonly RecordChange[];
  /**
   * Client ids processed. If one of them is there already the whole commit is refused with
   * StateError `STATE_DUPLICATE_MESSAGE`: two processes cannot both show a message.
   */
  readonly seen?: readonly { readonly clientId: Bytes; readonly day: number }[];
  /** Forget client ids seen before this day. */
  readonly seenBeforeDay?: number;
  readonly heldAdded?: readonly Omit<HeldEnvelope, 'id'>[];
  readonly heldRemoved?: readonly number[];
  /** Named positions in the history, for programs that show messages. They only move forward. */
  readonly cursors?: readonly { readonly name: string; readonly seq: number }[];
}

/** The right to talk to the relay for this profile. Ends with `release`, or with the process. */
export interface ConnectionLease {
  /** Give it back; the next process may have it. */
  release(): Promise<void>;
}

/** Slice of the history. */
export interface MessageQuery {
  /** Rows with a higher `seq`. */
  readonly after?: number;
  readonly limit?: number;
  /** Only rows that came from the relay. */
  readonly arrivedOnly?: boolean;
}

/** A page of one conversation. */
export interface ConversationQuery {
  readonly peer: string;
  /** Only what stands before it: the page ends there, newest first. */
  readonly before?: Position | undefined;
  /** Only what stands after it, oldest first. Not together with `before`. */
  readonly after?: Position | undefined;
  readonly limit: number;
}

/** Messages that hold all of some words. */
export interface SearchQuery {
  /** Words as `terms` of the rows had them; at least one. */
  readonly terms: readonly string[];
  /** Only rows with a lower `seq`. */
  readonly before?: number | undefined;
  readonly limit: number;
}

/** Storage of one device. Every method may reject with StoreError; a rejected `commit` wrote nothing. */
export interface ClientStore extends ProtocolStore<ClientExtra> {
  /** Who this device is; `undefined` before `register`. */
  loadProfile(): Promise<Profile | undefined>;
  /** What is known of an account, by UUID. */
  loadContact(account: string): Promise<Contact | undefined>;
  /** What is known of the account that the relay once showed for a user name. */
  loadContactByUsername(username: string): Promise<Contact | undefined>;
  /** Rows with an id above `after` (default 0), oldest first. */
  loadOutbox(query: {
    readonly after?: number;
    readonly limit: number;
  }): Promise<readonly OutboxRow[]>;
  /** Whether any row has no ciphertext yet or is held: later rows must not overtake it. */
  hasUnsealed(): Promise<boolean>;
  /** `held`: nothing but rows that wait for a person. */
  outboxState(): Promise<'empty' | 'held' | 'waiting'>;
  /** Oldest first. */
  loadMessages(query: MessageQuery): Promise<readonly MessageRow[]>;
  /** The row with this id that `author` wrote in `peer`; the first, where an author repeats an id. */
  loadMessage(peer: string, author: string, id: string): Promise<MessageRow | undefined>;
  /** A page of one conversation: the newest rows, newest first, or those around a position. */
  loadConversation(query: ConversationQuery): Promise<readonly MessageRow[]>;
  /** Rows written after `after` was the highest revision, in the order of revisions. */
  loadChanges(query: {
    readonly after: number;
    readonly limit: number;
  }): Promise<readonly MessageRow[]>;
  /** Rows that disappear at `throughMs` or before, the earliest first. */
  loadExpiring(query: {
    readonly throughMs: number;
    readonly limit: number;
  }): Promise<readonly MessageRow[]>;
  /** Rows that hold all of the words, newest first. */
  searchMessages(query: SearchQuery): Promise<readonly MessageRow[]>;
  /** One record; `undefined` when there is none. */
  loadRecord(space: string, key: string): Promise<RecordRow | undefined>;
  /** Records of a space written after `after` (default 0) was the highest revision, in that order. */
  loadRecords(space: string, after?: number): Promise<readonly RecordRow[]>;
  /** Highest revision given so far, 0 when none. */
  lastRevision(): Promise<number>;
  /** A row this device sent. */
  loadSentMessage(id: string): Promise<MessageRow | undefined>;
  /** Highest sequence number given so far, 0 when none. */
  lastSeq(): Promise<number>;
  /** Whether the client id, 16 bytes, was committed in `seen` and is not forgotten yet. */
  hasSeen(clientId: Uint8Array): Promise<boolean>;
  /** Envelopes of an account that wait for a person, oldest first. */
  loadHeld(account: string): Promise<readonly HeldEnvelope[]>;
  /** A named position in the history; 0 at first. */
  loadCursor(name: string): Promise<number>;
  /**
   * Whether an older copy of the store was put back since this was asked last. It has no sessions and no own
   * chains then, and its prekeys are to be published anew. 18 §8. Absent: nothing outlives the process.
   */
  takeRestored?(): Promise<boolean>;
  /** The right to connect, or `undefined` while another holder of this store has it. Never waits. */
  ownConnection(): Promise<ConnectionLease | undefined>;
  /** Call `listener` after commits, also those of other processes. Returns what ends it. */
  watch(listener: () => void): () => void;
  /** Let go of files and timers. Nothing may be called afterwards. */
  close(): Promise<void>;
}
