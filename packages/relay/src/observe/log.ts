/**
 * 13 Relay. The log: an event code and numbers, from a fixed list of fields, and nothing else.
 *
 * No account, mailbox, device, name, key, address or envelope byte can be passed: the field types are
 * numbers and short upper-case codes, and what does not fit them at run time is left out. ATK-D08.
 */
import { pino } from 'pino';

/** Levels, least first. `silent` writes nothing. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Everything a line may say beside its time, level and event. */
export interface LogFields {
  /** A code of `RELAY_CODES`, `CloseReason`, or an error's `code`. */
  readonly code?: string;
  /** Class name of an error, never its message. */
  readonly errorClass?: string;
  /** Name of the transport or store in use. */
  readonly adapter?: string;
  readonly count?: number;
  readonly bytes?: number;
  readonly ms?: number;
  readonly port?: number;
  readonly closeCode?: number;
  readonly schema?: number;
  /** Status of an operator's question. */
  readonly status?: number;
}

/** What happened, in upper-case words. */
export type LogEvent =
  | 'STARTED'
  /** An operator asked for something: `code` says what, `status` how it went. */
  | 'ADMIN'
  | 'ADMIN_REFUSED'
  | 'STOPPED'
  | 'DANGEROUS'
  | 'CERTIFICATE'
  | 'CERTIFICATE_REFUSED'
  | 'DRAINING'
  | 'FALLBACK_TRANSPORT'
  | 'SOCKET_OPEN'
  | 'SOCKET_CLOSED'
  | 'REQUEST'
  | 'AUTHORISED'
  | 'BATCH'
  | 'COMMIT_FAILED'
  | 'SWEPT'
  | 'SWEEP_PAUSED'
  | 'HINTS_LOST'
  | 'CHECK_SKIPPED'
  | 'MIGRATED'
  | 'REQUEST_FAULT'
  | 'STORE_FATAL'
  | 'WORKER_EXIT'
  | 'HTTP_REQUEST'
  | 'BLOBS_FULL'
  | 'BLOB_FAULT';

/** One line: an event with fields. */
export interface Log {
  write(level: Exclude<LogLevel, 'silent'>, event: LogEvent, fields?: LogFields): void;
}

/**
 * A log of JSON lines.
 *
 * @param destination - Where lines go; standard error by default.
 */
export function createLog(
  level: LogLevel = 'warn',
  destination: { write(line: string): void } = pino.destination({ fd: 2, sync: true }),
): Log {
  const logger = pino(
    { level, base: null, timestamp: () => `,"time":${Date.now()}`, messageKey: 'event' },
    destination,
  );
  return {
    write: (at, event, fields = {}) => {
      if (logger.isLevelEnabled(at)) logger[at](allowed(fields), event);
    },
  };
}

/** A log that writes nothing. */
export const silentLog: Log = { write: () => undefined };

/** Only fields of the list, only of their type: a mistake elsewhere must not become a leak. */
function allowed(fields: LogFields): Record<string, string | number> {
  const kept: Record<string, string | number> = {};
  for (const key of TEXT_FIELDS) {
    const value = fields[key];
    if (typeof value === 'string' && CODE.test(value)) kept[key] = value;
  }
  for (const key of NUMBER_FIELDS) {
    const value = fields[key];
    if (typeof value === 'number' && Number.isFinite(value)) kept[key] = value;
  }
  return kept;
}

const TEXT_FIELDS = ['code', 'errorClass', 'adapter'] as const;
const NUMBER_FIELDS = ['count', 'bytes', 'ms', 'port', 'closeCode', 'schema', 'status'] as const;
const CODE = /^[A-Za-z_-]{1,40}$/;
