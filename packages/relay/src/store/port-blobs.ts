/**
 * 13 Relay §14. Changes to the rows of blobs, as the store takes them. Part of port.ts.
 *
 * `key` is SHA-256 of the blob's id: the database gives nobody the right to read one. An account stands in
 * the row of an upload that is not finished, and beside a sum of bytes per day of expiry; never beside a
 * whole blob.
 */
import type { AccountId } from '@qasid/protocol/envelope';

/** Reserve room for a blob. */
export interface CreateBlobWrite {
  readonly kind: 'createBlob';
  /** 32 bytes. */
  readonly key: Uint8Array;
  readonly owner: AccountId;
  readonly size: number;
  /** SHA-256 of the capability. */
  readonly verifier: Uint8Array;
  /** Minute at which the upload expires if it does not go on. */
  readonly expiresMinute: number;
  /** Days it is kept from completion on. */
  readonly days: number;
  /** What the account may have in all, uploads included. */
  readonly bytesMax: number;
  /** Unfinished uploads the account may have. */
  readonly uploadsMax: number;
}

/** More of an upload is durable; the last step completes it. */
export interface AdvanceBlobWrite {
  readonly kind: 'advanceBlob';
  readonly key: Uint8Array;
  /** What the row must say. */
  readonly from: number;
  readonly offset: number;
  readonly state: Uint8Array;
  readonly nowMinute: number;
  readonly expiresMinute: number;
}

/** Keep a whole blob until `expiresMinute`, if that is later than now. */
export interface KeepBlobWrite {
  readonly kind: 'keepBlob';
  readonly key: Uint8Array;
  readonly verifier: Uint8Array;
  /** Who pays. */
  readonly account: AccountId;
  readonly expiresMinute: number;
  readonly bytesMax: number;
}

/** Delete a blob, whole or not. */
export interface RemoveBlobWrite {
  readonly kind: 'removeBlob';
  readonly key: Uint8Array;
  /** Who asks on an authenticated socket must bring the capability, and gets the room back. */
  readonly by?: { readonly verifier: Uint8Array; readonly account: AccountId };
}

/** Delete rows that expired, at most `limit`. */
export interface SweepBlobsWrite {
  readonly kind: 'sweepBlobs';
  readonly nowMinute: number;
  readonly limit: number;
}

/** One change to the row of a blob. */
export type BlobWrite =
  | CreateBlobWrite
  | AdvanceBlobWrite
  | KeepBlobWrite
  | RemoveBlobWrite
  | SweepBlobsWrite;

/** What lay under a row that is gone. */
export interface RemovedBlob {
  readonly key: Uint8Array;
  readonly state: Uint8Array;
}

/** Outcome of a change to a blob. */
export interface BlobResults {
  createBlob: { readonly kind: 'blobCreated' } | { readonly kind: 'blobQuota' };
  advanceBlob: { readonly kind: 'blobAdvanced' } | { readonly kind: 'noBlob' };
  keepBlob:
    | { readonly kind: 'blobKept' }
    | { readonly kind: 'blobQuota' }
    | { readonly kind: 'blobDenied' }
    | { readonly kind: 'noBlob' };
  removeBlob:
    | ({ readonly kind: 'blobRemoved' } & RemovedBlob)
    | { readonly kind: 'blobDenied' }
    | { readonly kind: 'noBlob' };
  sweepBlobs: { readonly kind: 'blobsSwept'; readonly removed: readonly RemovedBlob[] };
}

/** The row of a blob. */
export interface BlobRow {
  readonly size: number;
  /** Bytes that are durable; the blob is whole at `size`. */
  readonly offset: number;
  readonly expiresMinute: number;
  readonly verifier: Uint8Array;
  /** Of the adapter that keeps the bytes. */
  readonly state: Uint8Array;
}

/** Minutes of a day. */
export const DAY_MINUTES: number = 24 * 60;
