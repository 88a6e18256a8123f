/**
 * 13 Relay §14. Rows of blobs in SQLite. Every method runs inside the caller's transaction.
 */
import { type AccountId, copyBytes, toAccountId } from '@qasid/protocol/envelope';
import type Database from 'better-sqlite3';
import { type BlobTable, changeBlob, type StoredBlob } from './blob-rules.js';
import type { BlobResults, BlobRow, BlobWrite } from './port-blobs.js';

interface BlobRecord {
  key: Uint8Array;
  size: number;
  off: number;
  exp: number;
  days: number;
  owner: Uint8Array | null;
  verifier: Uint8Array;
  state: Uint8Array;
}

/** The blob tables. */
export class SqliteBlobs implements BlobTable {
  readonly #get: Database.Statement<[Uint8Array], BlobRecord>;
  readonly #put: Database.Statement;
  readonly #remove: Database.Statement<[Uint8Array]>;
  readonly #expired: Database.Statement<[number, number], BlobRecord>;
  readonly #uploads: Database.Statement<[Uint8Array], { count: number; bytes: number }>;
  readonly #charged: Database.Statement<[Uint8Array], { bytes: number }>;
  readonly #chargedDay: Database.Statement<[Uint8Array, number], { bytes: number }>;
  readonly #charge: Database.Statement<[Uint8Array, number, number]>;
  readonly #forgive: Database.Statement<[number]>;
  readonly #forgiveEmpty: Database.Statement<[]>;
  readonly #dropUploads: Database.Statement<[Uint8Array]>;
  readonly #dropCharges: Database.Statement<[Uint8Array]>;

  constructor(db: Database.Database) {
    const columns = 'key, size, off, exp, days, owner, verifier, state';
    this.#get = db.prepare(`SELECT ${columns} FROM blob WHERE key = ?`);
    this.#put = db.prepare(
      `INSERT OR REPLACE INTO blob (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#remove = db.prepare('DELETE FROM blob WHERE key = ?');
    this.#expired = db.prepare(`SELECT ${columns} FROM blob WHERE exp <= ? ORDER BY exp LIMIT ?`);
    this.#uploads = db.prepare(
      'SELECT count(*) AS count, ifnull(sum(size), 0) AS bytes FROM blob WHERE owner = ?',
    );
    this.#charged = db.prepare(
      'SELECT ifnull(sum(bytes), 0) AS bytes FROM blob_use WHERE account = ?',
    );
    this.#chargedDay = db.prepare('SELECT bytes FROM blob_use WHERE account = ? AND day = ?');
    this.#charge = db.prepare(
      'INSERT INTO blob_use (account, day, bytes) VALUES (?, ?, max(?, 0)) ON CONFLICT DO UPDATE SET bytes = excluded.bytes',
    );
    this.#forgive = db.prepare('DELETE FROM blob_use WHERE day < ?');
    this.#forgiveEmpty = db.prepare('DELETE FROM blob_use WHERE bytes <= 0');
    this.#dropUploads = db.prepare('UPDATE blob SET exp = 0, owner = NULL WHERE owner = ?');
    this.#dropCharges = db.prepare('DELETE FROM blob_use WHERE account = ?');
  }

  row(key: Uint8Array): BlobRow | undefined {
    return this.get(key);
  }

  apply(write: BlobWrite): BlobResults[BlobWrite['kind']] {
    return changeBlob(this, write);
  }

  get(key: Uint8Array): StoredBlob | undefined {
    const record = this.#get.get(key);
    return record && toRow(record);
  }

  put(row: StoredBlob): void {
    const { key, size, offset, expiresMinute, days, owner, verifier, state } = row;
    this.#put.run(key, size, offset, expiresMinute, days, owner ?? null, verifier, state);
  }

  remove(key: Uint8Array): void {
    this.#remove.run(key);
  }

  expired(minute: number, limit: number): readonly StoredBlob[] {
    return this.#expired.all(minute, limit).map(toRow);
  }

  uploads(owner: AccountId): { count: number; bytes: number } {
    return this.#uploads.get(owner) ?? { count: 0, bytes: 0 };
  }

  charged(account: AccountId, day?: number): number {
    const row = day === undefined ? this.#charged.get(account) : this.#chargedDay.get(account, day);
    return row?.bytes ?? 0;
  }

  charge(account: AccountId, day: number, bytes: number): void {
    this.#charge.run(account, day, this.charged(account, day) + bytes);
    if (bytes < 0) this.#forgiveEmpty.run();
  }

  /** The account is deleted: its uploads expire now, and nothing counts for it any more. */
  dropAccount(account: AccountId): void {
    this.#dropUploads.run(account);
    this.#dropCharges.run(account);
  }

  forgive(day: number): void {
    this.#forgive.run(day);
  }
}

function toRow(record: BlobRecord): StoredBlob {
  return {
    key: copyBytes(record.key),
    size: record.size,
    offset: record.off,
    expiresMinute: record.exp,
    days: record.days,
    owner: record.owner === null ? undefined : toAccountId(copyBytes(record.owner)),
    verifier: copyBytes(record.verifier),
    state: copyBytes(record.state),
  };
}
