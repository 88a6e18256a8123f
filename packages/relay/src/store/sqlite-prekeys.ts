/**
 * 13 Relay §3.3. Prekeys in SQLite: signed ones as rows, one-time ones in pages with a cursor.
 *
 * A page is one blob of equal records, so 100 KEM keys are one row instead of a hundred rows that each
 * waste most of their last disk page. Taking a key moves the cursor; the page shrinks at the next upload.
 */
import {
  type Bytes,
  copyBytes,
  type PrekeyUpload,
  type PublicPrekey,
  type SignedPublicPrekey,
} from '@qasid/protocol/envelope';
import type Database from 'better-sqlite3';
import { type MailboxNo, type PrekeyCounts, PREKEYS_STORED_MAX } from './port.js';

interface Cursor {
  page: number;
  next: number;
  n: number;
  reclen: number;
  seen: Uint8Array;
}

/** Kinds of one-time keys, and of signed ones. */
const CURVE = 0;
const KEM = 1;

/** The prekey tables. Every method runs inside the caller's transaction. */
export class SqlitePrekeys {
  readonly #cursor: Database.Statement<[number, number], Cursor>;
  readonly #putCursor: Database.Statement;
  readonly #page: Database.Statement<[number], { body: Uint8Array }>;
  readonly #addPage: Database.Statement;
  readonly #dropPage: Database.Statement;
  readonly #advance: Database.Statement<
    [number, number],
    { page: number; at: number; reclen: number }
  >;
  readonly #record: Database.Statement<[number, number, number], { record: Uint8Array }>;
  readonly #signed: Database.Statement<
    [number, number],
    { kid: number; pub: Uint8Array; sig: Uint8Array }
  >;
  readonly #putSigned: Database.Statement;
  readonly #dropPages: Database.Statement;
  readonly #dropCursors: Database.Statement;
  readonly #dropSigned: Database.Statement;

  constructor(db: Database.Database) {
    this.#cursor = db.prepare(
      'SELECT page, next, n, reclen, seen FROM prekey_cur WHERE mb = ? AND kind = ?',
    );
    this.#putCursor = db.prepare(
      'INSERT OR REPLACE INTO prekey_cur (mb, kind, page, next, n, reclen, seen) VALUES (?, ?, ?, 0, ?, ?, ?)',
    );
    this.#page = db.prepare('SELECT body FROM prekey_page WHERE id = ?');
    this.#addPage = db.prepare('INSERT INTO prekey_page (body) VALUES (?)');
    this.#dropPage = db.prepare('DELETE FROM prekey_page WHERE id = ?');
    this.#advance = db.prepare(
      'UPDATE prekey_cur SET next = next + 1 WHERE mb = ? AND kind = ? AND next < n RETURNING page, next - 1 AS at, reclen',
    );
    this.#record = db.prepare('SELECT substr(body, ?, ?) AS record FROM prekey_page WHERE id = ?');
    this.#signed = db.prepare('SELECT kid, pub, sig FROM signed_prekey WHERE mb = ? AND kind = ?');
    this.#putSigned = db.prepare(
      'INSERT OR REPLACE INTO signed_prekey (mb, kind, kid, pub, sig) VALUES (?, ?, ?, ?, ?)',
    );
    this.#dropPages = db.prepare(
      'DELETE FROM prekey_page WHERE id IN (SELECT page FROM prekey_cur WHERE mb = ?)',
    );
    this.#dropCursors = db.prepare('DELETE FROM prekey_cur WHERE mb = ?');
    this.#dropSigned = db.prepare('DELETE FROM signed_prekey WHERE mb = ?');
  }

  /** Whether `upload` fits beside what is there. */
  fits(mailbox: MailboxNo, upload: PrekeyUpload): boolean {
    return (
      this.#left(mailbox, CURVE) + upload.oneTime.length <= PREKEYS_STORED_MAX &&
      this.#left(mailbox, KEM) + upload.kem.length <= PREKEYS_STORED_MAX
    );
  }

  /** Store an upload. */
  put(mailbox: MailboxNo, upload: PrekeyUpload): void {
    if (upload.signed) this.#store(mailbox, CURVE, upload.signed);
    if (upload.lastResortKem) this.#store(mailbox, KEM, upload.lastResortKem);
    this.#add(mailbox, CURVE, upload.oneTime.map(encodePlain), RECORD_CURVE);
    this.#add(mailbox, KEM, upload.kem.map(encodeSigned), RECORD_KEM);
  }

  /** A one-time curve prekey that nobody had before. */
  takeOneTime(mailbox: MailboxNo): PublicPrekey | undefined {
    const record = this.#take(mailbox, CURVE);
    return record && { id: readId(record), public: copyBytes(record.subarray(4)) };
  }

  /** A one-time KEM prekey that nobody had before. */
  takeKem(mailbox: MailboxNo): SignedPublicPrekey | undefined {
    const record = this.#take(mailbox, KEM);
    return (
      record && {
        id: readId(record),
        public: copyBytes(record.subarray(4, RECORD_KEM - 64)),
        signature: copyBytes(record.subarray(RECORD_KEM - 64)),
      }
    );
  }

  /** The signed curve prekey. */
  signed(mailbox: MailboxNo): SignedPublicPrekey | undefined {
    return this.#load(mailbox, CURVE);
  }

  /** The KEM prekey of last resort. */
  lastResort(mailbox: MailboxNo): SignedPublicPrekey | undefined {
    return this.#load(mailbox, KEM);
  }

  /** What is left. */
  counts(mailbox: MailboxNo): PrekeyCounts {
    return {
      oneTime: this.#left(mailbox, CURVE),
      kem: this.#left(mailbox, KEM),
      signedId: this.signed(mailbox)?.id ?? 0,
      lastResortKemId: this.lastResort(mailbox)?.id ?? 0,
    };
  }

  /** Everything of a mailbox that is gone. */
  drop(mailbox: MailboxNo): void {
    this.#dropPages.run(mailbox);
    this.#dropCursors.run(mailbox);
    this.#dropSigned.run(mailbox);
  }

  #left(mailbox: MailboxNo, kind: number): number {
    const cursor = this.#cursor.get(mailbox, kind);
    return cursor === undefined ? 0 : cursor.n - cursor.next;
  }

  #store(mailbox: MailboxNo, kind: number, key: SignedPublicPrekey): void {
    this.#putSigned.run(mailbox, kind, key.id, key.public, key.signature);
  }

  #load(mailbox: MailboxNo, kind: number): SignedPublicPrekey | undefined {
    const row = this.#signed.get(mailbox, kind);
    return row && { id: row.kid, public: copyBytes(row.pub), signature: copyBytes(row.sig) };
  }

  #take(mailbox: MailboxNo, kind: number): Uint8Array | undefined {
    const taken = this.#advance.get(mailbox, kind);
    if (taken === undefined) return undefined;
    // substr counts from 1.
    return this.#record.get(taken.at * taken.reclen + 1, taken.reclen, taken.page)?.record;
  }

  /** Append records whose ids were not uploaded lately, and drop those that were handed out. */
  #add(mailbox: MailboxNo, kind: number, records: readonly Bytes[], reclen: number): void {
    if (records.length === 0) return;
    const cursor = this.#cursor.get(mailbox, kind);
    const seen = cursor?.seen ?? new Uint8Array(0);
    const known = new Set<number>();
    for (let at = 0; at + 4 <= seen.length; at += 4) known.add(readId(seen.subarray(at)));
    // A repeated upload, after an answer was lost, must not bring back a key that was handed out.
    const fresh = records.filter((record) => {
      const id = readId(record);
      if (known.has(id)) return false;
      known.add(id);
      return true;
    });
    if (fresh.length === 0) return;
    const old = cursor && this.#page.get(cursor.page)?.body;
    const left = cursor === undefined ? 0 : cursor.n - cursor.next;
    const body = new Uint8Array((left + fresh.length) * reclen);
    if (old && cursor) body.set(old.subarray(cursor.next * reclen, cursor.n * reclen));
    for (const [index, record] of fresh.entries()) body.set(record, (left + index) * reclen);
    const ids = new Uint8Array(seen.length + fresh.length * 4);
    ids.set(seen);
    for (const [index, record] of fresh.entries()) {
      ids.set(record.subarray(0, 4), seen.length + index * 4);
    }
    const page = Number(this.#addPage.run(body).lastInsertRowid);
    const latest = ids.subarray(Math.max(0, ids.length - SEEN_IDS_MAX * 4));
    this.#putCursor.run(mailbox, kind, page, left + fresh.length, reclen, latest);
    if (cursor) this.#dropPage.run(cursor.page);
  }
}

function encodePlain(key: PublicPrekey): Bytes {
  const record = new Uint8Array(RECORD_CURVE);
  writeId(record, key.id);
  record.set(key.public, 4);
  return record;
}

function encodeSigned(key: SignedPublicPrekey): Bytes {
  const record = new Uint8Array(RECORD_KEM);
  writeId(record, key.id);
  record.set(key.public, 4);
  record.set(key.signature, RECORD_KEM - 64);
  return record;
}

function writeId(record: Uint8Array, id: number): void {
  record[0] = id >>> 24;
  record[1] = id >>> 16;
  record[2] = id >>> 8;
  record[3] = id;
}

function readId(record: Uint8Array): number {
  const [a = 0, b = 0, c = 0, d = 0] = record;
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}

/** Id (4) and key (33); id, key (1569) and signature (64). */
const RECORD_CURVE = 37;
const RECORD_KEM = 1_637;

/** Ids of uploads remembered per device and kind. Lower: an old repeated upload adds keys again. */
const SEEN_IDS_MAX = 2 * PREKEYS_STORED_MAX;
