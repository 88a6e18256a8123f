/**
 * 13 Relay. Why a relay does not start, or stops: a stable code, one line, and what to do next.
 *
 * Failures of single requests are not errors but answers, see `RELAY_CODES` in the envelope.
 */
import { QasidError } from '@qasid/protocol/envelope';

/** Codes of {@link RelayError}. */
export type RelayErrorCode =
  | 'RELAY_CONFIG' // an option has a wrong value
  | 'RELAY_ADDRESS_IN_USE'
  | 'RELAY_ADDRESS' // cannot listen there at all
  | 'RELAY_TLS' // certificate or key cannot be used
  | 'RELAY_TRANSPORT' // no WebSocket server could be loaded
  | 'RELAY_DATA_UNWRITABLE'
  | 'RELAY_DATA_CORRUPT'
  | 'RELAY_DATA_NEWER' // written by a newer relay
  | 'RELAY_DATA_LOCKED' // another relay uses the directory
  | 'RELAY_DATA_MISSING' // no relay ever ran there, or it is no backup
  | 'RELAY_TARGET_NOT_EMPTY' // a backup or a restored relay would overwrite something
  | 'RELAY_DISK_FULL'
  | 'RELAY_STORE_FAILED'; // a commit failed in a way that leaves its outcome unknown

/** A relay cannot start or go on. `hint` is the next step for the operator. */
export class RelayError extends QasidError {
  readonly code: RelayErrorCode;
  /** What the operator can do, one lower-case sentence. */
  readonly hint: string;
  constructor(code: RelayErrorCode, message: string, hint: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.hint = hint;
  }
}
