/**
 * Errors the SDK adds to the family of `@qasid/protocol`: the path to the relay, accounts, groups, and documents.
 */
import { QasidError } from '@qasid/protocol';

/** Codes of {@link NetworkError}. */
export type NetworkErrorCode =
  | 'NET_UNREACHABLE' // no socket could be opened: wrong URL, relay down, no network
  | 'NET_LOST' // the socket closed before the answer came
  | 'NET_TIMEOUT' // no answer in time
  | 'NET_BUSY' // the relay asks to come back later
  | 'NET_REFUSED' // the relay understood and said no
  | 'NET_SEALED_REFUSED' // the policy forbids to send with our name, and there is no other way now
  | 'NET_NOT_A_RELAY' // the other side does not speak `qasid.v1`
  | 'NET_CLOSED'; // this client was closed

/** The path to the relay. `retryable` says whether the same call may succeed later. */
export class NetworkError extends QasidError {
  readonly code: NetworkErrorCode;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  constructor(
    code: NetworkErrorCode,
    message: string,
    options?: ErrorOptions & { readonly retryAfterMs?: number | undefined },
  ) {
    super(message, options);
    this.code = code;
    this.retryable = code !== 'NET_REFUSED' && code !== 'NET_CLOSED';
    this.retryAfterMs = options?.retryAfterMs;
  }
}

/** Codes of {@link AccountError}. */
export type AccountErrorCode =
  | 'ACCOUNT_NAME_TAKEN' // the username belongs to someone else; the local identity is kept
  | 'ACCOUNT_NAME_INVALID' // not 3 to 32 of a-z 0-9 _ . -
  | 'ACCOUNT_UNKNOWN' // the relay knows nobody by that name
  | 'ACCOUNT_NOT_REGISTERED' // this profile has no account yet
  | 'ACCOUNT_BLOCKED' // a message to an account that this person blocked
  | 'ACCOUNT_EXISTS' // this profile has an account under another name
  | 'ACCOUNT_INVITE_INVALID' // missing, mistyped, used up, expired or revoked
  | 'ACCOUNT_TICKET_INVALID' // missing, expired, used, or not signed for this relay
  | 'ACCOUNT_USER_REGISTERED' // this user of the application has an account; a ticket may replace it
  | 'ACCOUNT_REGISTRATION_CLOSED'; // the relay takes nobody new

/** Who is who at the relay. The person at the keyboard can mend it. */
export class AccountError extends QasidError {
  readonly code: AccountErrorCode;
  constructor(code: AccountErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Codes of {@link LinkError}. */
export type LinkErrorCode =
  | 'LINK_INVALID' // not a code that links a device; an invite, for example
  | 'LINK_DIRECTION' // the code of a new device where one of an account is needed, or the reverse
  | 'LINK_EXPIRED' // nobody answered in time: show a new code
  | 'LINK_USED' // somebody else has answered this code: show a new one
  | 'LINK_ALTERED' // what came is not what the other device sent
  | 'LINK_REFUSED' // a person said no on the other device
  | 'LINK_CANCELLED' // a person said no, or gave up, on this device
  | 'LINK_OUTDATED' // the relay no longer takes this device: link again
  | 'LINK_TOO_MANY' // the account has as many devices as its relay allows
  | 'LINK_HISTORY'; // what another device sent of the history is damaged, cut short, or of another transfer

/** Adding a device to an account. Nothing was changed, but for `LINK_HISTORY`. */
export class LinkError extends QasidError {
  readonly code: LinkErrorCode;
  constructor(code: LinkErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Codes of {@link GroupError}. */
export type GroupErrorCode =
  | 'GROUP_UNKNOWN' // no such group here
  | 'GROUP_NOT_MEMBER' // this account is not in the group
  | 'GROUP_NOT_ALLOWED' // the role of this account does not allow it, or it makes no sense there
  | 'GROUP_FORKED' // members disagree and a person must decide: `Group.decideFork`
  | 'GROUP_CONTESTED' // others changed the group again and again meanwhile; try later
  | 'GROUP_LINK_INVALID'; // not a link to a group

/** A group as its members made it. */
export class GroupError extends QasidError {
  readonly code: GroupErrorCode;
  constructor(code: GroupErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Codes of {@link DocumentError}. */
export type DocumentErrorCode =
  | 'DOCUMENT_CANCELLED' // the upload or download was cancelled; nothing of it is left
  | 'DOCUMENT_CHANGED' // the file is not the one whose upload began
  | 'DOCUMENT_NOT_GIVEN' // an upload from before a restart needs its file again
  | 'DOCUMENT_GONE' // the relay does not have it: expired, deleted, or never whole
  | 'DOCUMENT_UNSUPPORTED'; // this relay keeps no documents

/** A document on its way up or down. */
export class DocumentError extends QasidError {
  readonly code: DocumentErrorCode;
  constructor(code: DocumentErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
