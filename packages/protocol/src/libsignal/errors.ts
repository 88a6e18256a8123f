/**
 * Façade. The error shape that programs written for libsignal-client look at, made from ours.
 *
 * No rule lives here: our code is the fact, this file only translates it. Unlike there, the original error
 * stays attached as `cause`. See docs/guides/leaving-libsignal.md.
 */
import { DuplicateMessageError, QasidError } from '../errors.js';
import { addressText, type Address } from '../types.js';
import { UsernameError, type UsernameFault } from '../usernames.js';

/** Numeric codes of libsignal-client 0.103, protocol part. */
export const ErrorCode = {
  Generic: 0,
  DuplicatedMessage: 1,
  SealedSenderSelfSend: 2,
  UntrustedIdentity: 3,
  InvalidRegistrationId: 4,
  InvalidProtocolAddress: 5,
  VerificationFailed: 6,
  InvalidSession: 7,
  InvalidSenderKeySession: 8,
  NicknameCannotBeEmpty: 9,
  CannotStartWithDigit: 10,
  MissingSeparator: 11,
  BadNicknameCharacter: 12,
  NicknameTooShort: 13,
  NicknameTooLong: 14,
  DiscriminatorCannotBeEmpty: 15,
  DiscriminatorCannotBeZero: 16,
  DiscriminatorCannotBeSingleDigit: 17,
  DiscriminatorCannotHaveLeadingZeros: 18,
  BadDiscriminatorCharacter: 19,
  DiscriminatorTooLarge: 20,
  InputDataTooLong: 26,
  InvalidEntropyDataLength: 27,
  InvalidUsernameLinkEncryptedData: 28,
  IncrementalMacVerificationFailed: 47,
} as const;
/** One of the codes above. */
export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

const NAMES = new Map<number, string>(
  Object.entries(ErrorCode).map(([name, code]) => [
    code,
    code === ErrorCode.Generic ? 'LibSignalError' : name,
  ]),
);

/** What every library failure of the façade is. Branch on `code`. */
export class LibSignalErrorBase extends Error {
  readonly code: ErrorCode;
  readonly operation: string;
  readonly #addr: unknown;

  constructor(
    message: string,
    code: ErrorCode,
    operation: string,
    details?: {
      readonly addr?: unknown;
      readonly properties?: Readonly<Record<string, unknown>>;
      readonly cause?: unknown;
    },
  ) {
    super(message, details?.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.name = NAMES.get(code) ?? 'LibSignalError';
    this.operation = operation;
    this.#addr = details?.addr;
    // Includes `name` of an invalid address, which overwrites the error's name there as well.
    Object.assign(this, details?.properties);
  }

  /** Address the error is about. @throws TypeError for errors without one. */
  get addr(): unknown {
    if (this.#addr === undefined)
      throw new TypeError(`cannot get address from this error (${this})`);
    return this.#addr;
  }

  override toString(): string {
    return `${this.name} - ${this.operation}: ${this.message}`;
  }

  /** Whether this error has `code`. */
  is(code: ErrorCode): boolean {
    return this.code === code;
  }

  /** Whether `error` is a library error, with `code` when one is given. */
  static is(error: unknown, code?: ErrorCode): error is LibSignalErrorBase {
    return error instanceof LibSignalErrorBase && (code === undefined || error.code === code);
  }
}

/** A library error. */
export type LibSignalError = LibSignalErrorBase;

/** A library error that names no more than its message. */
export function generic(message: string, operation: string, cause?: unknown): LibSignalErrorBase {
  return new LibSignalErrorBase(message, ErrorCode.Generic, operation, { cause });
}

/** The identity store said no. */
export function untrusted(address: Address, operation: string): LibSignalErrorBase {
  return new LibSignalErrorBase(
    `untrusted identity for address ${addressText(address)}`,
    ErrorCode.UntrustedIdentity,
    operation,
    { addr: address.name },
  );
}

/** What our codes read as there. Messages that ours say in the same words already are not listed. */
const MESSAGES: Readonly<Record<string, string>> = {
  DECODE_PROTOBUF: 'protobuf encoding was invalid',
  VERIFY_KEY_AGREEMENT: 'invalid key agreement',
  VERIFY_SIGNATURE: 'invalid signature detected',
  VERIFY_HPKE: 'invalid authentication tag',
  VERIFY_USERNAME_LINK:
    "HMAC on username link doesn't match the one calculated with the given entropy input",
  STATE_SELF_SEND: 'self send of a sealed sender message',
};

const CODES: Readonly<Record<string, ErrorCode>> = {
  STATE_DUPLICATE_MESSAGE: ErrorCode.DuplicatedMessage,
  STATE_SELF_SEND: ErrorCode.SealedSenderSelfSend,
  STATE_INVALID_SESSION: ErrorCode.InvalidSession,
  DECODE_SESSION_RECORD: ErrorCode.InvalidSession,
  STATE_INVALID_SENDER_KEY: ErrorCode.InvalidSenderKeySession,
  VERIFY_USERNAME_LINK: ErrorCode.InvalidUsernameLinkEncryptedData,
  VERIFY_INCREMENTAL_MAC: ErrorCode.IncrementalMacVerificationFailed,
};

const FAULTS: Readonly<Record<UsernameFault, readonly [ErrorCode, string]>> = {
  'missing-separator': [ErrorCode.MissingSeparator, "Username must contain a '.'"],
  'nickname-empty': [ErrorCode.NicknameCannotBeEmpty, 'Name cannot be empty'],
  'nickname-starts-with-digit': [ErrorCode.CannotStartWithDigit, 'Name cannot start with a digit'],
  'nickname-character': [ErrorCode.BadNicknameCharacter, 'Nickname contains disallowed character'],
  'nickname-too-long': [ErrorCode.NicknameTooLong, 'Nickname is too long'],
  'discriminator-empty': [ErrorCode.DiscriminatorCannotBeEmpty, 'Discriminator cannot be empty'],
  'discriminator-character': [
    ErrorCode.BadDiscriminatorCharacter,
    'Discriminator must only be made up of digits',
  ],
  'discriminator-zero': [ErrorCode.DiscriminatorCannotBeZero, 'Discriminator cannot be zero'],
  'discriminator-single-digit': [
    ErrorCode.DiscriminatorCannotBeSingleDigit,
    'Discriminator cannot be a single digit',
  ],
  'discriminator-leading-zeros': [
    ErrorCode.DiscriminatorCannotHaveLeadingZeros,
    'Discriminator cannot have leading zeros unless it would otherwise be a single digit',
  ],
  'discriminator-too-large': [
    ErrorCode.DiscriminatorTooLarge,
    'Value is too large to be a username discriminator',
  ],
};

/** Our error in their shape; anything else comes back as it was. */
export function translated(error: unknown, operation: string): unknown {
  if (!(error instanceof QasidError)) return error;
  if (error instanceof UsernameError) {
    const [code, message] = FAULTS[error.fault];
    return new LibSignalErrorBase(message, code, operation, { cause: error });
  }
  const code = CODES[error.code] ?? ErrorCode.Generic;
  let message = MESSAGES[error.code] ?? error.message;
  if (error instanceof DuplicateMessageError) message = error.message;
  else if (error.code === 'USAGE_ARGUMENT') message = `invalid argument: ${error.message}`;
  else if (error.code === 'VERIFY_SEALED_SENDER') {
    message = `invalid sealed sender message: ${error.message}`;
  } else if (error.code === 'DECODE_SESSION_RECORD') {
    message = 'invalid session: failed to decode session record protobuf';
  } else if (code === ErrorCode.InvalidSession) message = `invalid session: ${error.message}`;
  return new LibSignalErrorBase(message, code, operation, { cause: error });
}

/** Run `body`; our errors leave it in their shape. */
export function translate<Result>(operation: string, body: () => Result): Result {
  try {
    return body();
  } catch (error) {
    throw translated(error, operation);
  }
}

/**
 * Run a method of a caller's store. What it throws reaches the caller as a generic error that names the
 * method, as there; here the original is its `cause`.
 */
export async function stored<Result>(
  method: string,
  operation: string,
  call: () => Promise<Result>,
): Promise<Result> {
  try {
    return await call();
  } catch (error) {
    throw generic(`error in method call '${method}': ${String(error)}`, operation, error);
  }
}

/** A number that must be a u32, as their argument conversion has it. @throws RangeError */
export function u32(value: number): number {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
    throw new RangeError(`cannot convert ${value} to u32`);
  }
  return value;
}

/** A time that must be a safe non-negative integer. @throws RangeError */
export function timestamp(value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`cannot convert ${value} to Timestamp (u64)`);
  }
  return value;
}

/** Bytes that must be bytes. @throws TypeError */
export function byteArray(value: Uint8Array): Uint8Array {
  if (!(value instanceof Uint8Array)) throw new TypeError('failed to downcast any to Uint8Array');
  return value;
}
