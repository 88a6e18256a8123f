/**
 * 12 Envelope. What a relay answers, by number and by name. Numbers are never reused.
 */

/** Every answer of a relay to a request. `CONFIRMED` means done, and for writes that it is durable. */
export const RELAY_CODES = {
  CONFIRMED: 1,
  DEVICES_MISMATCH: 2,
  DEVICES_STALE: 3,
  REFUSED: 4,
  RATE_LIMITED: 5,
  MAILBOX_FULL: 6,
  TOO_LARGE: 7,
  BUSY: 8,
  DRAINING: 9,
  UNAVAILABLE: 10,
  UNSUPPORTED: 11,
  BAD_REQUEST: 12,
  NOT_FOUND: 13,
  USERNAME_TAKEN: 14,
  VERSION_CONFLICT: 15,
  NOT_PADDED: 16,
  QUOTA_EXCEEDED: 17,
  SOME_FAILED: 18,
  WORK_REQUIRED: 19,
  INVITE_INVALID: 20,
  TICKET_INVALID: 21,
  REGISTRATION_CLOSED: 22,
  SUSPENDED: 23,
  USER_REGISTERED: 24,
} as const;

/** Name of an answer. */
export type RelayCode = keyof typeof RELAY_CODES;

/** Names by number. */
const NAMES: ReadonlyMap<number, RelayCode> = new Map(
  Object.entries(RELAY_CODES).map(([name, value]) => [value, name as RelayCode]),
);

/** The name of a code, or `undefined` for a number this version does not know. */
export function relayCodeName(value: number): RelayCode | undefined {
  return NAMES.get(value);
}

/** Whether the same request may be sent again later. Every other refusal stands until something changes. */
export function isRetryable(code: RelayCode): boolean {
  return (
    code === 'BUSY' || code === 'DRAINING' || code === 'UNAVAILABLE' || code === 'RATE_LIMITED'
  );
}

/** Why a relay closes a socket. 1000 to 1012 are those of WebSocket; 44xx and 45xx are ours. */
export const CLOSE_CODES = {
  NORMAL: 1000,
  /** Frame over the size limit. */
  TOO_BIG: 1009,
  /** The relay is being restarted. */
  RESTART: 1012,
  /** Not a frame, or items a client may not send. */
  BAD_FRAME: 4400,
  /** No proof in time, or a wrong one. */
  UNAUTHORISED: 4401,
  /** Too much sent without waiting for answers. */
  CREDIT: 4429,
  /** An anonymous socket that nobody uses. */
  IDLE: 4407,
  /** A newer socket of the same device took over. */
  REPLACED: 4409,
  /** The reader does not keep up, or never acknowledges. */
  SLOW: 4408,
  /** The operator has suspended the account. */
  SUSPENDED: 4403,
  /** The device is no longer in its account's list. */
  REMOVED: 4410,
  /** A fault of the relay. */
  INTERNAL: 4500,
} as const;

/** Name of a reason to close. */
export type CloseReason = keyof typeof CLOSE_CODES;
