/**
 * 13 Relay §2. Invites, tickets, and what an operator decides about accounts, as the store takes them. Part
 * of port.ts.
 */
import type { AccountId, Bytes } from '@qasid/protocol/envelope';
import type { MailboxNo } from './port.js';

/** A ticket of the host application that was verified. Both hashes are keyed by the relay, 32 bytes. */
export interface VerifiedTicket {
  /** Of issuer and `sub`: one account each. */
  readonly user: Bytes;
  /** Of issuer and `jti`: used once. */
  readonly id: Bytes;
  /** Minute in which it is over by itself. */
  readonly untilMinute: number;
  /** The backend wants the user's present account to make place. */
  readonly replaces: boolean;
}

/** A new invite. */
export interface AddInviteWrite {
  readonly kind: 'addInvite';
  /** SHA-256 of the invite, 32 bytes. */
  readonly hash: Bytes;
  readonly uses: number;
  readonly untilMinute: number;
  /** Bytes a mailbox may hold of the accounts it makes; `undefined`: the relay's own limit. */
  readonly mailboxBytesMax: number | undefined;
}

/** Make an invite worthless. */
export interface DropInviteWrite {
  readonly kind: 'dropInvite';
  /** The first 8 bytes of its hash. */
  readonly id: Bytes;
}

/** Suspend or resume an account, or set its quota; `undefined` leaves as it is. */
export interface SetAccountWrite {
  readonly kind: 'setAccount';
  readonly account: AccountId;
  readonly isSuspended?: boolean;
  /** `null`: the relay's own limit. */
  readonly mailboxBytesMax?: number | null;
}

/** A device proved itself on this day. */
export interface SeenWrite {
  readonly kind: 'seen';
  readonly account: AccountId;
  readonly mailbox: MailboxNo;
  /** Days since 1970. */
  readonly day: number;
}

/** The changes of this file. */
export type AdmissionWrite = AddInviteWrite | DropInviteWrite | SetAccountWrite | SeenWrite;

/** Their outcomes. */
export interface AdmissionResults {
  addInvite: { readonly kind: 'added' };
  dropInvite: { readonly kind: 'dropped'; readonly count: number };
  setAccount:
    | { readonly kind: 'set'; readonly mailboxes: readonly MailboxNo[] }
    | { readonly kind: 'noAccount' };
  seen: { readonly kind: 'noted' };
}

/** An invite that is worth something. */
export interface InviteRow {
  /** The first 8 bytes of its hash: names it, and does not help to guess it. */
  readonly id: Bytes;
  readonly uses: number;
  readonly untilMinute: number;
  readonly mailboxBytesMax: number | undefined;
}

/** Why a registration is not admitted. */
export type AdmissionFault = 'inviteInvalid' | 'ticketUsed' | 'userTaken';
