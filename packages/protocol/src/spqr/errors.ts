/**
 * 06 SPQR. What can go wrong, one reason per row of 06 §11.
 *
 * The reason decides the class and the code, so that a caller who branches on `code` and a test that
 * compares reasons with a vector look at the same object. On receive the session layer shows none of
 * this: every failure becomes VERIFY_DECRYPTION.
 */
import {
  DecodeError,
  LimitError,
  QasidError,
  StateError,
  VerificationError,
  type DecodeErrorCode,
  type LimitErrorCode,
  type StateErrorCode,
  type VerificationErrorCode,
} from '../errors.js';

/** The bytes of a state or a message are wrong. */
export class SpqrDecodeError extends DecodeError {
  readonly reason: SpqrReason;
  constructor(code: DecodeErrorCode, reason: SpqrReason, message: string, options?: ErrorOptions) {
    super(code, message, options);
    this.reason = reason;
  }
}

/** A MAC, a hash or the version rules say no. */
export class SpqrVerificationError extends VerificationError {
  readonly reason: SpqrReason;
  constructor(code: VerificationErrorCode, reason: SpqrReason, message: string) {
    super(code, message);
    this.reason = reason;
  }
}

/** The key that was asked for is gone, or not there yet. */
export class SpqrStateError extends StateError {
  readonly reason: SpqrReason;
  constructor(code: StateErrorCode, reason: SpqrReason, message: string) {
    super(code, message);
    this.reason = reason;
  }
}

/** A message asks for more chain steps than one message may cost. */
export class SpqrLimitError extends LimitError {
  readonly reason: SpqrReason;
  constructor(code: LimitErrorCode, reason: SpqrReason, message: string) {
    super(code, message);
    this.reason = reason;
  }
}

/** Rows of 06 §11. */
export type SpqrReason =
  | 'StateDecode'
  | 'MsgDecode'
  | 'MacVerifyFailed'
  | 'EpochOutOfRange'
  | 'VersionMismatch'
  | 'MinimumVersion'
  | 'KeyJump'
  | 'KeyTrimmed'
  | 'KeyAlreadyRequested'
  | 'ErroneousDataReceived'
  | 'SendKeyEpochDecreased'
  | 'ChainNotAvailable';

/** The reason in an error of this chapter, or `undefined` for any other error. */
export function spqrReason(error: unknown): SpqrReason | undefined {
  return error instanceof QasidError && 'reason' in error
    ? (error.reason as SpqrReason)
    : undefined;
}

/** A stored state that no run of the protocol could have written. */
export function stateDecodeError(what: string, options?: ErrorOptions): SpqrDecodeError {
  return new SpqrDecodeError('DECODE_SPQR_STATE', 'StateDecode', `SPQR state: ${what}`, options);
}

/** A decoder that was made for another piece than its state waits for. */
export function decoderSizeError(): SpqrDecodeError {
  return new SpqrDecodeError(
    'DECODE_SPQR_STATE',
    'MsgDecode',
    'SPQR state: decoder does not fit its state',
  );
}

/** A message that does not parse. */
export function messageDecodeError(what: string): SpqrDecodeError {
  return new SpqrDecodeError('DECODE_SPQR_MESSAGE', 'MsgDecode', `SPQR message: ${what}`);
}

/** An epoch that no kept link or braid state belongs to. */
export function epochError(epoch: number): SpqrStateError {
  return new SpqrStateError(
    'STATE_SPQR_KEY_GONE',
    'EpochOutOfRange',
    `epoch not in valid range: ${epoch}`,
  );
}
