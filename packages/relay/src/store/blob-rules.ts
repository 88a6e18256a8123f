/**
 * 13 Relay §14. What changes to a blob mean, over rows of any store: one text for all adapters.
 */
import { type AccountId, samePublicBytes } from '@qasid/protocol/envelope';
import {
  type BlobResults,
  type BlobWrite,
  DAY_MINUTES,
  type KeepBlobWrite,
  type RemoveBlobWrite,
} from './port-blobs.js';

/** A row with what only the rules need. */
export interface StoredBlob {
  readonly key: Uint8Array;
  readonly size: number;
  readonly offset: number;
  readonly expiresMinute: number;
  /** Days from completion on. */
  readonly days: number;
  /** While it is not whole. */
  readonly owner: AccountId | undefined;
  readonly verifier: Uint8Array;
  readonly state: Uint8Array;
}

/** Where rows are. Everything happens in one transaction of the caller. */
export interface BlobTable {
  get(key: Uint8Array): StoredBlob | undefined;
  put(row: StoredBlob): void;
  remove(key: Uint8Array): void;
  /** At most `limit` rows that expire at `minute` or before. */
  expired(minute: number, limit: number): readonly StoredBlob[];
  /** Unfinished uploads of an account, and the bytes they reserve. */
  uploads(owner: AccountId): { readonly count: number; readonly bytes: number };
  /** Bytes of whole blobs charged to an account, until `day` or all days together. */
  charged(account: AccountId, day?: number): number;
  /** Charge bytes until a day, or give them back; never below 0. */
  charge(account: AccountId, day: number, bytes: number): void;
  /** Forget charges of days before `day`. */
  forgive(day: number): void;
}

/** Make one change. */
export function changeBlob(table: BlobTable, write: BlobWrite): BlobResults[BlobWrite['kind']] {
  switch (write.kind) {
    case 'createBlob': {
      const { count, bytes } = table.uploads(write.owner);
      const total = bytes + table.charged(write.owner) + write.size;
      if (count >= write.uploadsMax || total > write.bytesMax) return { kind: 'blobQuota' };
      const { key, owner, size, verifier, expiresMinute, days } = write;
      const state = new Uint8Array(0);
      table.put({ key, owner, size, offset: 0, verifier, expiresMinute, days, state });
      return { kind: 'blobCreated' };
    }
    case 'advanceBlob': {
      const row = table.get(write.key);
      if (row === undefined || row.offset !== write.from || row.offset === row.size) {
        return { kind: 'noBlob' };
      }
      const { offset, state } = write;
      if (offset < row.size) {
        table.put({ ...row, offset, state, expiresMinute: write.expiresMinute });
        return { kind: 'blobAdvanced' };
      }
      // Whole: from here on nothing ties it to who uploaded it. What remains is a sum per day.
      const expiresMinute = write.nowMinute + row.days * DAY_MINUTES;
      if (row.owner) table.charge(row.owner, dayOfMinute(expiresMinute), row.size);
      table.put({ ...row, offset: row.size, state, expiresMinute, owner: undefined });
      return { kind: 'blobAdvanced' };
    }
    case 'keepBlob':
      return keepBlob(table, write);
    case 'removeBlob':
      return removeBlob(table, write);
    case 'sweepBlobs': {
      const removed = table.expired(write.nowMinute, write.limit);
      for (const { key } of removed) table.remove(key);
      table.forgive(dayOfMinute(write.nowMinute));
      return { kind: 'blobsSwept', removed: removed.map(({ key, state }) => ({ key, state })) };
    }
  }
}

function keepBlob(table: BlobTable, write: KeepBlobWrite): BlobResults['keepBlob'] {
  const row = table.get(write.key);
  if (row === undefined || row.offset < row.size) return { kind: 'noBlob' };
  if (!samePublicBytes(row.verifier, write.verifier)) return { kind: 'blobDenied' };
  if (write.expiresMinute <= row.expiresMinute) return { kind: 'blobKept' };
  const { account, expiresMinute } = write;
  const oldDay = dayOfMinute(row.expiresMinute);
  // The charge moves to the new day, if it is this account's; another account takes over the cost.
  const back = Math.min(row.size, table.charged(account, oldDay));
  const total = table.uploads(account).bytes + table.charged(account) - back + row.size;
  if (total > write.bytesMax) return { kind: 'blobQuota' };
  table.charge(account, oldDay, -back);
  table.charge(account, dayOfMinute(expiresMinute), row.size);
  table.put({ ...row, expiresMinute });
  return { kind: 'blobKept' };
}

function removeBlob(table: BlobTable, write: RemoveBlobWrite): BlobResults['removeBlob'] {
  const row = table.get(write.key);
  if (row === undefined) return { kind: 'noBlob' };
  const { by } = write;
  if (by && !samePublicBytes(row.verifier, by.verifier)) return { kind: 'blobDenied' };
  table.remove(row.key);
  // Nobody knows any more who paid: the room goes to who deletes, if it has such a charge.
  if (by && row.offset === row.size) {
    table.charge(by.account, dayOfMinute(row.expiresMinute), -row.size);
  }
  return { kind: 'blobRemoved', key: row.key, state: row.state };
}

function dayOfMinute(minute: number): number {
  return Math.floor(minute / DAY_MINUTES);
}
