/**
 * 13 Relay §3. The port to whatever keeps accounts, mailboxes and prekeys.
 *
 * One write path: `commit` takes every change that arrived since the last one and makes them durable
 * together, in order. Each change checks before it writes, so one that is refused leaves no trace and does
 * not disturb its neighbours. Reads see everything committed before. One contract suite runs on every
 * adapter: test/support/store-contract.ts.
 */
import {
  type AccountId,
  type Bytes,
  type DeviceEntry,
  type PrekeyBundleItem,
  type PrekeyUpload,
  type SignedDeviceList,
  StoreError,
  toAccountId,
  type TokenTerms,
} from '@qasid/protocol/envelope';
import type {
  AdmissionFault,
  AdmissionResults,
  AdmissionWrite,
  InviteRow,
  VerifiedTicket,
} from './port-admission.js';
import type { BlobResults, BlobRow, BlobWrite } from './port-blobs.js';
import type { RecordResults, RecordRow, RecordWrite } from './port-records.js';

/** The relay's own number of a mailbox; never reused, known to no client. */
export type MailboxNo = number;

/** One envelope of a send. */
export interface AppendPart {
  readonly device: number;
  readonly registrationId: number;
  readonly clientId: Uint8Array;
  readonly body: Uint8Array;
}

/** Put envelopes into the mailboxes of one account. */
export interface AppendWrite {
  readonly kind: 'append';
  readonly dest: AccountId;
  /**
   * Scopes repeats to their sender: mailbox of the sending device, or a negative number made of an
   * anonymous sender's token and content. Never stored.
   */
  readonly sender: number;
  /** Whether devices that are away are woken. Never stored. */
  readonly urgent?: boolean;
  /** The sending device in a send to one's own account. */
  readonly exclude?: number;
  readonly parts: readonly AppendPart[];
  /** Minute of arrival and of expiry, since 1970. */
  readonly minute: number;
  readonly expiresMinute: number;
}

/** The device took over responsibility for these envelopes: delete them. */
export interface AckWrite {
  readonly kind: 'ack';
  readonly mailbox: MailboxNo;
  readonly through: number;
  readonly also: readonly number[];
}

/** A new account with one device. All signatures have been checked. */
export interface RegisterWrite {
  readonly kind: 'register';
  readonly account: AccountId;
  readonly identityKey: Bytes;
  readonly username?: string;
  readonly signed: SignedDeviceList;
  readonly version: number;
  readonly entry: DeviceEntry;
  readonly prekeys: PrekeyUpload;
  /** Now, in minutes since 1970: whether a name that was given up may be taken again. */
  readonly minute: number;
  /** Minute from which the name of an account that this one replaces may be taken again. */
  readonly freeMinute: number;
  /** SHA-256 of the invite that admits it, 32 bytes. */
  readonly invite?: Bytes;
  readonly ticket?: VerifiedTicket;
}

/** A new device list of an account. The signature has been checked. */
export interface PutDevicesWrite {
  readonly kind: 'putDevices';
  readonly account: AccountId;
  readonly signed: SignedDeviceList;
  readonly version: number;
  /** The relay came back from a backup: the list may be several versions newer than the one it has. */
  readonly mayJump?: boolean;
  /** Hash of the list before, as the list names it. */
  readonly previous: Bytes | undefined;
  readonly entries: readonly DeviceEntry[];
  /** The device that joins by this list, and its prekeys: visible together with the list. */
  readonly joining?: { readonly device: number; readonly prekeys: PrekeyUpload };
}

/** Give an account a name, another one, or none. */
export interface SetUsernameWrite {
  readonly kind: 'setUsername';
  readonly account: AccountId;
  readonly username?: string;
  readonly minute: number;
  /** Minute from which the old name may be taken again, by anybody. */
  readonly freeMinute: number;
}

/** Delete an account with everything that belongs to it. */
export interface DeleteAccountWrite {
  readonly kind: 'deleteAccount';
  readonly account: AccountId;
  /** Minute from which its name may be taken again. */
  readonly freeMinute: number;
}

/** Add one-time prekeys, replace signed ones. */
export interface PutPrekeysWrite {
  readonly kind: 'putPrekeys';
  readonly mailbox: MailboxNo;
  readonly prekeys: PrekeyUpload;
}

/** Take one prekey of each kind per device. Once it is committed, nobody gets those keys again. */
export interface TakePrekeysWrite {
  readonly kind: 'takePrekeys';
  readonly account: AccountId;
  /** Empty for all devices. */
  readonly devices: readonly number[];
  /** Hand out no one-time keys: the target's budget is used up. */
  readonly lastResortOnly: boolean;
}

/** One message to many accounts, in one transaction; each account is judged for itself. */
export interface AppendManyWrite {
  readonly kind: 'appendMany';
  readonly appends: readonly AppendWrite[];
}

/** Register a delivery token or an inlet, or replace one of the same account. */
export interface PutTokenWrite {
  readonly kind: 'putToken';
  readonly account: AccountId;
  /** The device it belongs to from now on, and goes with. */
  readonly mailbox: MailboxNo;
  readonly terms: TokenTerms;
  /** 32 bytes. */
  readonly verifier: Bytes;
  /** Tokens the account may have. */
  readonly countMax: number;
}

/** Remove one, if it is the account's. */
export interface RemoveTokenWrite {
  readonly kind: 'removeToken';
  readonly account: AccountId;
  readonly id: Bytes;
}

/** Delete expired envelopes among the next `limit` rows after `afterSeq`. */
export interface SweepWrite {
  readonly kind: 'sweep';
  readonly nowMinute: number;
  readonly afterSeq: number;
  readonly limit: number;
}

/** Nothing but a commit: shows that the store can still make something durable. */
export interface ProbeWrite {
  readonly kind: 'probe';
  /** Another one each time, or nothing would be written. */
  readonly value: number;
}

/** Where a device is woken, or nowhere. */
export interface PutPushWrite {
  readonly kind: 'putPush';
  readonly mailbox: MailboxNo;
  readonly target: Uint8Array | undefined;
  /** Only if this is what is stored: the device may have given another one meanwhile. */
  readonly ifTarget?: Uint8Array;
}

/** One change. */
export type Write =
  | AppendWrite
  | AppendManyWrite
  | PutTokenWrite
  | RemoveTokenWrite
  | AckWrite
  | RegisterWrite
  | PutDevicesWrite
  | SetUsernameWrite
  | DeleteAccountWrite
  | PutPrekeysWrite
  | TakePrekeysWrite
  | SweepWrite
  | ProbeWrite
  | PutPushWrite
  | AdmissionWrite
  | RecordWrite
  | BlobWrite;

/** Where one part went. `seq` 0: it was a repeat of one that is stored, or was until it was acknowledged. */
export interface Placement {
  readonly mailbox: MailboxNo;
  readonly seq: number;
  /**
   * A number below `seq`, such that nothing between the two was ever put into this mailbox; 0 when nothing
   * before `seq` waits there. Whoever has sent `previousSeq` may send `seq` without reading.
   */
  readonly previousSeq: number;
}

/** One-time prekeys left. */
export interface PrekeyStock {
  readonly mailbox: MailboxNo;
  readonly oneTime: number;
  readonly kem: number;
}

/** Outcome of a change, by its kind. */
export interface WriteResults extends AdmissionResults, RecordResults, BlobResults {
  append:
    | { readonly kind: 'stored'; readonly placements: readonly Placement[] }
    | { readonly kind: 'mismatch'; readonly missing: number[]; readonly extra: number[] }
    | { readonly kind: 'stale'; readonly devices: number[] }
    /** A mailbox has no room; nothing was stored. */
    | { readonly kind: 'full' }
    /** The sender used a client id again for another body. */
    | { readonly kind: 'conflict' }
    | { readonly kind: 'noAccount' };
  /** In the order of `appends`. */
  appendMany: { readonly kind: 'many'; readonly results: readonly WriteResults['append'][] };
  putToken:
    | { readonly kind: 'put' }
    | { readonly kind: 'tooMany' }
    /** The id is another account's. */
    | { readonly kind: 'notOwn' };
  removeToken: { readonly kind: 'removed'; readonly wasThere: boolean };
  ack: { readonly kind: 'acked'; readonly count: number };
  register:
    | {
        readonly kind: 'registered';
        readonly mailbox: MailboxNo;
        /** Mailboxes of the account that made place. */
        readonly removed: readonly MailboxNo[];
      }
    | { readonly kind: AdmissionFault }
    | { readonly kind: 'usernameTaken' }
    | { readonly kind: 'accountTaken' };
  putDevices:
    | {
        readonly kind: 'changed';
        /** Mailboxes whose device left the list or was re-installed; they are gone. */
        readonly removed: readonly MailboxNo[];
        readonly members: readonly MailboxNo[];
        /** Mailbox of the device that joined, or had joined by this very list. */
        readonly joined?: MailboxNo;
      }
    | { readonly kind: 'versionConflict' }
    | { readonly kind: 'noAccount' };
  setUsername:
    | { readonly kind: 'named' }
    | { readonly kind: 'usernameTaken' }
    | { readonly kind: 'noAccount' };
  deleteAccount:
    | { readonly kind: 'deleted'; readonly mailboxes: readonly MailboxNo[] }
    | { readonly kind: 'noAccount' };
  putPrekeys:
    | { readonly kind: 'put'; readonly stock: PrekeyStock }
    | { readonly kind: 'tooMany' }
    | { readonly kind: 'noMailbox' };
  takePrekeys:
    | {
        readonly kind: 'taken';
        readonly identityKey: Bytes;
        readonly signed: SignedDeviceList;
        readonly bundles: readonly PrekeyBundleItem[];
        readonly stocks: readonly PrekeyStock[];
      }
    | { readonly kind: 'noAccount' };
  probe: { readonly kind: 'probed' };
  putPush: { readonly kind: 'pushPut' } | { readonly kind: 'noMailbox' };
  sweep: {
    readonly kind: 'swept';
    readonly deleted: number;
    /** Where to go on; `undefined` at the end. */
    readonly nextSeq: number | undefined;
  };
}

/** Outcome of `W`. */
export type ResultOf<W extends Write> = WriteResults[W['kind']];

/** A device of an account. */
export interface DeviceRow extends DeviceEntry {
  readonly mailbox: MailboxNo;
  /** Day since 1970 of its last proof; 0 before the first. */
  readonly seenDay: number;
}

/** What the relay knows of an account. */
export interface AccountRow {
  readonly identityKey: Bytes;
  readonly username: string | undefined;
  readonly signed: SignedDeviceList;
  readonly version: number;
  readonly devices: readonly DeviceRow[];
  /** The operator lets nobody in. */
  readonly isSuspended: boolean;
  /** Bytes a mailbox of this account may hold; `undefined`: the relay's own limit. */
  readonly mailboxBytesMax: number | undefined;
}

/** A delivery token or inlet. */
export interface TokenRow extends TokenTerms {
  readonly account: AccountId;
  readonly verifier: Bytes;
}

/**
 * What was found under an id. A row of nobody stands where there is none, so that finding nothing takes as long
 * as finding something: also on its way between threads.
 */
export interface TokenLookup {
  readonly isThere: boolean;
  readonly row: TokenRow;
}

/** An envelope in a mailbox. */
export interface QueuedEnvelope {
  readonly seq: number;
  readonly clientId: Uint8Array;
  readonly body: Uint8Array;
  readonly minute: number;
}

/** Part of a mailbox, in order. */
export interface MailboxPage {
  readonly rows: readonly QueuedEnvelope[];
  /** Whether nothing came after these rows when they were read. */
  readonly isLast: boolean;
  /** Everything in the mailbox at that moment has a lower number. */
  readonly nextSeq: number;
}

/** Which mailboxes got something in a range of numbers. */
export interface Arrivals {
  /** The highest number of the range that still waits, per mailbox. */
  readonly latest: readonly { readonly mailbox: MailboxNo; readonly seq: number }[];
  /** Everything stored at that moment has a lower number. */
  readonly nextSeq: number;
}

/** One-time prekeys left and the signed ones in force. */
export interface PrekeyCounts {
  readonly oneTime: number;
  readonly kem: number;
  readonly signedId: number;
  readonly lastResortKemId: number;
}

/** Sums over everything. */
export interface StoreTotals {
  readonly accounts: number;
  readonly devices: number;
  readonly envelopes: number;
  readonly bytes: number;
}

/** How much one mailbox may hold. */
export interface MailboxQuota {
  readonly envelopesMax: number;
  readonly bytesMax: number;
  /** Days without a proof after which nothing is stored for a device any more; absent: never. */
  readonly idleDays?: number;
}

/**
 * The state on disk is unknown: a write to the device failed. Whoever gets this confirms nothing any more
 * and ends the process.
 */
export class FatalStoreError extends StoreError {}

/**
 * The results a commit will have, before it is durable; called once or not at all. It is called only where
 * every number among them is reserved on disk, so that none ever stands for another envelope, whatever
 * becomes of the commit, and where no change of accounts or devices is under way with it.
 */
export type Placed = (results: readonly WriteResults[Write['kind']][]) => void;

/** The port. Every promise rejects with a StoreError; after one, nothing of that call has happened. */
export interface RelayStore {
  /** Whether calls are being done now; otherwise they wait, for a moment. */
  readonly isUp: boolean;
  /** All of it, durable when it resolves, or none of it. Results in the order of `writes`. */
  commit(
    writes: readonly Write[],
    placed?: Placed,
  ): Promise<readonly WriteResults[Write['kind']][]>;
  account(account: AccountId): Promise<AccountRow | undefined>;
  lookup(username: string): Promise<AccountId | undefined>;
  /** Envelopes with a number above `afterSeq`; at least one, if there is one, however large. */
  read(
    mailbox: MailboxNo,
    afterSeq: number,
    rowsMax: number,
    bytesMax: number,
  ): Promise<MailboxPage>;
  /** What has a number above `afterSeq` and up to `throughSeq` and still waits, in any mailbox. */
  arrivals(afterSeq: number, throughSeq: number): Promise<Arrivals>;
  prekeyCounts(mailbox: MailboxNo): Promise<PrekeyCounts>;
  /** Where the device of a mailbox is woken. */
  pushTarget(mailbox: MailboxNo): Promise<Uint8Array | undefined>;
  /** @param key - SHA-256 of the record's id. */
  record(key: Uint8Array): Promise<RecordRow | undefined>;
  /** The token or inlet with this id, expired or not. The same work whether it is there or not. */
  token(id: Uint8Array): Promise<TokenLookup>;
  /** Those of an account, by id. */
  tokens(account: AccountId): Promise<readonly TokenRow[]>;
  /** @param key - SHA-256 of the blob's id. */
  blob(key: Uint8Array): Promise<BlobRow | undefined>;
  /** Invites that are worth something, the first 1 000 to expire. */
  invites(): Promise<readonly InviteRow[]>;
  totals(): Promise<StoreTotals>;
  /** Flush and release. */
  close(): Promise<void>;
}

/** Whether a device list may follow version `known`. */
export function isNextVersion(known: number, write: PutDevicesWrite): boolean {
  return write.mayJump ? write.version > known : write.version === known + 1;
}

/** One-time prekeys of a kind that a device may have here. Lower: more refills. Higher: more disk. */
export const PREKEYS_STORED_MAX = 400;

/** How long a repeat of an acknowledged envelope is recognised, in milliseconds. */
export const REPEAT_MEMORY_MS: number = 10 * 60 * 1000;

/** Found where there is no token. No verdict rests on it. */
export const NO_TOKEN: TokenLookup = {
  isThere: false,
  row: {
    id: new Uint8Array(16),
    account: toAccountId(new Uint8Array(16)),
    verifier: new Uint8Array(32),
    isInlet: false,
    mayFetchKeys: false,
    expiresMinute: 0,
    rate: 0,
  },
};
