/**
 * 13 Relay §14. Rows of blobs in memory.
 */
import { type AccountId, copyBytes, toHex } from '@qasid/protocol/envelope';
import { type BlobTable, changeBlob, type StoredBlob } from './blob-rules.js';
import type { BlobResults, BlobRow, BlobWrite } from './port-blobs.js';

/** Rows that end with the process. */
export class MemoryBlobs implements BlobTable {
  readonly #rows = new Map<string, StoredBlob>();
  /** By account in hex and day. */
  readonly #charges = new Map<string, Map<number, number>>();

  row(key: Uint8Array): BlobRow | undefined {
    return this.get(key);
  }

  apply(write: BlobWrite): BlobResults[BlobWrite['kind']] {
    return changeBlob(this, write);
  }

  get(key: Uint8Array): StoredBlob | undefined {
    return this.#rows.get(toHex(key));
  }

  put(row: StoredBlob): void {
    const key = copyBytes(row.key);
    const state = copyBytes(row.state);
    this.#rows.set(toHex(key), { ...row, key, state, verifier: copyBytes(row.verifier) });
  }

  remove(key: Uint8Array): void {
    this.#rows.delete(toHex(key));
  }

  expired(minute: number, limit: number): readonly StoredBlob[] {
    return [...this.#rows.values()]
      .filter(({ expiresMinute }) => expiresMinute <= minute)
      .sort((a, b) => a.expiresMinute - b.expiresMinute)
      .slice(0, limit);
  }

  uploads(owner: AccountId): { count: number; bytes: number } {
    const rows = [...this.#rows.values()].filter(
      (row) => row.owner !== undefined && toHex(row.owner) === toHex(owner),
    );
    return { count: rows.length, bytes: rows.reduce((sum, { size }) => sum + size, 0) };
  }

  charged(account: AccountId, day?: number): number {
    const days = this.#charges.get(toHex(account)) ?? new Map<number, number>();
    if (day !== undefined) return days.get(day) ?? 0;
    return [...days.values()].reduce((sum, bytes) => sum + bytes, 0);
  }

  charge(account: AccountId, day: number, bytes: number): void {
    const key = toHex(account);
    const days = this.#charges.get(key) ?? new Map<number, number>();
    days.set(day, Math.max(0, (days.get(day) ?? 0) + bytes));
    this.#charges.set(key, days);
  }

  /** The account is deleted: its uploads expire now, and nothing counts for it any more. */
  dropAccount(account: AccountId): void {
    for (const row of this.#rows.values()) {
      if (row.owner === undefined || toHex(row.owner) !== toHex(account)) continue;
      this.put({ ...row, owner: undefined, expiresMinute: 0 });
    }
    this.#charges.delete(toHex(account));
  }

  forgive(before: number): void {
    for (const days of this.#charges.values()) {
      for (const day of days.keys()) if (day < before) days.delete(day);
    }
  }
}
