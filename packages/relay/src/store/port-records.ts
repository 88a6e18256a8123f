/**
 * 13 Relay §11. Changes to records, as the store takes them. Part of port.ts.
 *
 * The store sees hashes: `key` is SHA-256 of the id, `verifier` SHA-256 of the write capability. A copy of
 * the database gives nobody the right to read or write a record through the relay.
 */

/** Replace a value by compare-and-swap, or write the first one. */
export interface PutRecordWrite {
  readonly kind: 'putRecord';
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** 32 bytes. */
  readonly verifier: Uint8Array;
  /** 0: the record must not be there. */
  readonly expectedVersion: number;
  /** Whether a record may be made: not for somebody without an account. */
  readonly mayCreate: boolean;
  readonly value: Uint8Array;
  /** Day of this change, since 1970. */
  readonly day: number;
}

/** Delete by compare-and-swap. */
export interface DeleteRecordWrite {
  readonly kind: 'deleteRecord';
  readonly key: Uint8Array;
  readonly verifier: Uint8Array;
  readonly expectedVersion: number;
}

/** Note that a record was read, so that it does not expire. */
export interface TouchRecordWrite {
  readonly kind: 'touchRecord';
  readonly key: Uint8Array;
  readonly day: number;
}

/** Delete records last used before `beforeDay`, at most `limit`. */
export interface SweepRecordsWrite {
  readonly kind: 'sweepRecords';
  readonly beforeDay: number;
  readonly limit: number;
}

/** One change to a record. */
export type RecordWrite = PutRecordWrite | DeleteRecordWrite | TouchRecordWrite | SweepRecordsWrite;

/** Outcome of a change to a record. */
export interface RecordResults {
  putRecord:
    | { readonly kind: 'recordPut'; readonly version: number }
    /** `version` 0: it is not there. */
    | { readonly kind: 'recordConflict'; readonly version: number }
    /** Not the capability it was made with. */
    | { readonly kind: 'recordDenied' };
  deleteRecord:
    | { readonly kind: 'recordDeleted' }
    | { readonly kind: 'recordConflict'; readonly version: number }
    | { readonly kind: 'recordDenied' };
  touchRecord: { readonly kind: 'recordTouched' };
  sweepRecords: { readonly kind: 'recordsSwept'; readonly deleted: number };
}

/** A record. */
export interface RecordRow {
  readonly version: number;
  readonly value: Uint8Array;
  /** Day of the last use that was noted. */
  readonly day: number;
}
