/**
 * The error family. `code` is API: added, never renamed or reused; spec/README.md lists all of them.
 *
 * Three questions decide the class: whose fault, may it be tried again, what may be shown. Messages are
 * lower-case phrases; values appear only when they are public lengths, types or counters.
 */

/** Every way this package reports failure. Branch on `code`; `instanceof` breaks across two copies. */
export abstract class QasidError extends Error {
  abstract readonly code: string;
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** Codes of {@link DecodeError}. */
export type DecodeErrorCode =
  | 'DECODE_PROTOBUF' // not protobuf, wrong wire type, or a required field is missing
  | 'DECODE_TRUNCATED' // fewer bytes than the format needs
  | 'DECODE_TRAILING' // bytes after the end (strict decoders)
  | 'DECODE_KEY_TYPE' // no or unknown key type byte
  | 'DECODE_KEY_LENGTH' // wrong length for the key's type
  | 'DECODE_SIGNATURE_LENGTH'
  | 'DECODE_MESSAGE_TOO_SHORT'
  | 'DECODE_VERSION_TOO_OLD'
  | 'DECODE_VERSION_UNKNOWN'
  | 'DECODE_VERSION_MISMATCH' // message version differs from the stored state's
  | 'DECODE_NOT_CANONICAL' // strict profile only: what parity would accept and count
  | 'DECODE_PREKEY_MESSAGE' // fields that do not fit together
  | 'DECODE_SESSION_RECORD'
  | 'DECODE_SPQR_STATE'
  | 'DECODE_SPQR_MESSAGE'
  | 'DECODE_SERVICE_ID'
  | 'DECODE_SEALED_SENDER' // sealed message or its multi-recipient form
  | 'DECODE_FINGERPRINT'
  | 'DECODE_FINGERPRINT_VERSION' // the other app compares other identifiers
  | 'DECODE_USERNAME' // not `nickname.discriminator` by its rules
  | 'DECODE_FRAME' // relay frame
  | 'DECODE_CONTENT' // decrypted content of the SDK
  | 'DECODE_GROUP'; // a group entry or state that does not parse, or is of a newer version

/** The bytes are wrong. Drop them; ask for a resend at most once. */
export class DecodeError extends QasidError {
  readonly code: DecodeErrorCode;
  constructor(code: DecodeErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Codes of {@link VerificationError}. */
export type VerificationErrorCode =
  | 'VERIFY_SIGNATURE' // prekey or device list signature
  | 'VERIFY_KEY_AGREEMENT' // all-zero X25519 result
  | 'VERIFY_BASE_KEY' // base key of a prekey message is not canonical
  | 'VERIFY_IDENTITY_MISMATCH' // late prekey message names another identity than its session
  | 'VERIFY_DECRYPTION' // MAC, padding, addresses, SPQR or version: one answer for all of them
  | 'VERIFY_DOWNGRADE' // post-quantum part missing or an older version offered
  | 'VERIFY_SPQR' // inside SPQR only; surfaces as VERIFY_DECRYPTION
  | 'VERIFY_DEVICE_LIST'
  | 'VERIFY_HPKE' // sealed to another key, or other info or associated data
  | 'VERIFY_USERNAME_LINK'
  | 'VERIFY_PROVISIONING' // device-linking message: MAC or version
  | 'VERIFY_INCREMENTAL_MAC'
  | 'VERIFY_ATTACHMENT' // MAC, digest, size or padding of a blob: one answer for all of them
  | 'VERIFY_SEALED_SENDER' // sealed message: MAC, tag or keys do not fit; one answer for all of them
  | 'VERIFY_CERTIFICATE' // sender certificate not valid for our trust roots at this time
  | 'VERIFY_GROUP' // a group entry that its author may not make, or that leads elsewhere
  | 'VERIFY_CALL'; // a session description that no call of ours would have

/** A check failed. Drop the message; tell the peer nothing more. */
export class VerificationError extends QasidError {
  readonly code: VerificationErrorCode;
  constructor(code: VerificationErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Codes of {@link StateError}. */
export type StateErrorCode =
  | 'STATE_NO_SESSION' // no session, or it went unanswered for 30 days
  | 'STATE_DUPLICATE_MESSAGE'
  | 'STATE_TOO_FAR_AHEAD'
  | 'STATE_NO_PREKEY' // the prekey the message names is gone or never was
  | 'STATE_PREKEY_REPLAYED' // last-resort KEM prekey met the same base key again
  | 'STATE_INVALID_SESSION' // stored session is damaged
  | 'STATE_NO_SENDER_KEY' // no sender key for that sender, distribution id and chain
  | 'STATE_INVALID_SENDER_KEY' // stored sender key is damaged, or receive-only when sending
  | 'STATE_SPQR_KEY_GONE' // inside SPQR only; surfaces as VERIFY_DECRYPTION
  | 'STATE_SELF_SEND' // sealed message from this very device
  | 'STATE_CONFLICT'; // the record changed under us

/** A well-formed, perhaps honest, message that our state cannot use. */
export class StateError extends QasidError {
  readonly code: StateErrorCode;
  constructor(code: StateErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A message whose key was used before: a repeat, or a counter below the kept window. */
export class DuplicateMessageError extends StateError {
  /** Next counter the chain expects. */
  readonly chainIndex: number;
  /** Counter in the message. */
  readonly counter: number;
  constructor(chainIndex: number, counter: number) {
    super('STATE_DUPLICATE_MESSAGE', `message with old counter ${chainIndex} / ${counter}`);
    this.chainIndex = chainIndex;
    this.counter = counter;
  }
}

/** Codes of {@link TrustError}. */
export type TrustErrorCode =
  | 'TRUST_IDENTITY_CHANGED' // another identity key than the remembered one
  | 'TRUST_NOT_VERIFIED'; // the policy wants a person to compare safety numbers first

/** A person must decide. Show both fingerprints and stop. */
export class TrustError extends QasidError {
  readonly code: TrustErrorCode;
  /** The key that was offered instead of the remembered one, 33 bytes; public. */
  readonly identityKey: Uint8Array | undefined;
  constructor(
    code: TrustErrorCode,
    message: string,
    options?: ErrorOptions & { readonly identityKey?: Uint8Array | undefined },
  ) {
    super(message, options);
    this.code = code;
    this.identityKey = options?.identityKey;
  }
}

/** Codes of {@link LimitError}. */
export type LimitErrorCode =
  | 'LIMIT_CHAIN_INDEX'
  | 'LIMIT_FORWARD_JUMPS'
  | 'LIMIT_HANDSHAKES'
  | 'LIMIT_FRAME_SIZE'
  | 'LIMIT_ENVELOPE_SIZE'
  | 'LIMIT_RATE'
  | 'LIMIT_MAILBOX_FULL'
  | 'LIMIT_BUSY'
  | 'LIMIT_FILE_SIZE'
  | 'LIMIT_QUOTA';

/** Too much of something. Back off; `retryAfterMs` says how long when that is known. */
export class LimitError extends QasidError {
  readonly code: LimitErrorCode;
  readonly retryAfterMs: number | undefined;
  constructor(
    code: LimitErrorCode,
    message: string,
    options?: ErrorOptions & { readonly retryAfterMs?: number },
  ) {
    super(message, options);
    this.code = code;
    this.retryAfterMs = options?.retryAfterMs;
  }
}

/** Codes of {@link UsageError}. */
export type UsageErrorCode =
  | 'USAGE_LENGTH'
  | 'USAGE_RANGE'
  | 'USAGE_ARGUMENT'
  | 'USAGE_NO_RANDOMNESS';

/** The calling program is wrong: fix the code. */
export class UsageError extends QasidError {
  readonly code: UsageErrorCode;
  constructor(code: UsageErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Codes of {@link StoreError}. */
export type StoreErrorCode =
  | 'STORE_FAILED' // the adapter could not; original in `cause`
  | 'STORE_FULL' // no space left
  | 'STORE_CORRUPT'
  | 'STORE_LOCKED' // another process holds it
  | 'STORE_LOST' // what was stored is gone: deleted by a browser, say
  | 'STORE_PASSPHRASE' // wrong or missing passphrase
  | 'STORE_CONFLICT'; // a record changed since it was read: load again and retry

/** The storage adapter failed; the original error is in `cause`. */
export class StoreError extends QasidError {
  readonly code: StoreErrorCode;
  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Codes of {@link InternalError}. */
export type InternalErrorCode = 'INTERNAL_INVARIANT';

/** One of our own invariants broke. Report it. */
export class InternalError extends QasidError {
  readonly code: InternalErrorCode;
  constructor(code: InternalErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
