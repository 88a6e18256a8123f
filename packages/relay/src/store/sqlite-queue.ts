/**
 * 13 Relay §3.9. The envelopes of all mailboxes in SQLite: rows in order of their numbers, the young ones
 * indexed in memory, the others in `q_old`.
 *
 * Inserts are gathered into statements of several rows, and deletions of neighbours into one range.
 */
import type Database from 'better-sqlite3';
import type { Arrivals, MailboxNo, QueuedEnvelope } from './port.js';
import { type YoungEnvelope, YoungEnvelopes } from './young-envelopes.js';

/** What was deleted. */
export interface Deleted {
  readonly count: number;
  readonly bytes: number;
}

/** A row that is to be inserted. */
export interface NewRow {
  readonly seq: number;
  readonly mailbox: MailboxNo;
  readonly clientId: Uint8Array;
  readonly minute: number;
  readonly expiresMinute: number;
  readonly body: Uint8Array;
}

interface QueueRecord {
  seq: number;
  cid: Uint8Array;
  minute: number;
  body: Uint8Array;
}

/** Rows of one statement. Higher: no faster. */
const ROWS_AT_ONCE = 16;

/** Index entries written in one commit: more than a commit can append, or the list would only grow. */
const AGED_AT_ONCE = 600;

/** The queue. Called inside the transactions of the engine. */
export class SqliteQueue {
  readonly #sql: ReturnType<typeof prepare>;
  readonly #young: YoungEnvelopes;
  /** Values of rows that are not inserted yet. */
  #values: unknown[] = [];

  constructor(db: Database.Database, young: YoungEnvelopes = new YoungEnvelopes()) {
    this.#sql = prepare(db);
    this.#young = young;
  }

  /** Everything that waits, for the sizes kept in memory; learns which are young on the way. */
  load(nowMs: number, each: (mailbox: MailboxNo, seq: number, bytes: number) => void): void {
    const indexedThrough = this.#sql.indexedThrough.get()?.v ?? 0;
    for (const { seq, mb, size } of this.#sql.all.iterate()) {
      each(mb, seq, size);
      if (seq > indexedThrough) this.#young.added(mb, seq, size, nowMs);
    }
    this.#young.keep();
  }

  /** Insert a row, now or together with the next ones. */
  insert(row: NewRow, nowMs: number): void {
    const { seq, mailbox, clientId, minute, expiresMinute, body } = row;
    this.#values.push(seq, mailbox, clientId, minute, expiresMinute, body);
    this.#young.added(mailbox, seq, body.length, nowMs);
    if (this.#values.length === ROWS_AT_ONCE * COLUMNS) {
      this.#sql.insertMany.run(...this.#values);
      this.#values = [];
    }
  }

  /** Insert what waits for company. Before anything else touches the queue. */
  flush(): void {
    const values = this.#values;
    if (values.length === 0) return;
    this.#values = [];
    for (let at = 0; at < values.length; at += COLUMNS) {
      this.#sql.insert.run(...values.slice(at, at + COLUMNS));
    }
  }

  /** Write what is no longer young into the index on disk. At the end of a transaction. */
  age(nowMs: number): void {
    this.flush();
    const moved = this.#young.takeAged(nowMs, AGED_AT_ONCE);
    if (moved === undefined) return;
    for (const { mailbox, seq } of moved.aged) this.#sql.addOld.run(mailbox, seq);
    this.#sql.setIndexedThrough.run(moved.through);
  }

  /** The transaction is durable. */
  keep(): void {
    this.#young.keep();
  }

  /** The transaction failed. */
  rollBack(): void {
    this.#values = [];
    this.#young.rollBack();
  }

  /** The body of an envelope that is queued. */
  body(mailbox: MailboxNo, seq: number): Uint8Array | undefined {
    this.flush();
    return this.#sql.body.get(seq, mailbox)?.body;
  }

  /** Client ids and numbers of a mailbox. */
  ids(mailbox: MailboxNo): { readonly clientId: Uint8Array; readonly seq: number }[] {
    this.flush();
    const ids = this.#sql.oldIds.all(mailbox).map(({ cid, seq }) => ({ clientId: cid, seq }));
    for (const { seq } of this.#young.after(mailbox, 0)) {
      const row = this.#sql.id.get(seq);
      if (row) ids.push({ clientId: row.cid, seq });
    }
    return ids;
  }

  /** The envelopes of a mailbox above `afterSeq`, ascending. To be ended early, not held. */
  *read(mailbox: MailboxNo, afterSeq: number, rowsMax: number): Generator<QueuedEnvelope> {
    for (const row of this.#sql.readOld.iterate(mailbox, afterSeq, rowsMax)) yield toEnvelope(row);
    for (const { seq } of this.#young.after(mailbox, afterSeq)) {
      const row = this.#sql.row.get(seq);
      if (row) yield toEnvelope(row);
    }
  }

  arrivals(afterSeq: number, throughSeq: number): Arrivals['latest'] {
    const rows = throughSeq > afterSeq ? this.#sql.arrivals.all(afterSeq, throughSeq) : [];
    return rows.map(({ mb, seq }) => ({ mailbox: mb, seq }));
  }

  /**
   * Delete the envelopes of a mailbox up to `through`.
   *
   * @param queued - How many the mailbox holds; when all are young, the disk need not be asked.
   */
  deleteThrough(mailbox: MailboxNo, through: number, queued: number): Deleted {
    this.flush();
    let count = 0;
    let bytes = 0;
    if (queued > this.#young.count(mailbox)) {
      for (const { seq } of this.#sql.deleteOldThrough.all(mailbox, through)) {
        bytes += this.#sql.deleteRow.get(seq)?.size ?? 0;
        count++;
      }
    }
    const young = this.#young.takeThrough(mailbox, through);
    this.#deleteRuns(young);
    for (const entry of young) bytes += entry.bytes;
    return { count: count + young.length, bytes };
  }

  /** Delete one envelope of a mailbox, if it is there. @returns its size */
  deleteOne(mailbox: MailboxNo, seq: number): number | undefined {
    this.flush();
    const young = this.#young.takeOne(mailbox, seq);
    if (young === undefined && this.#sql.deleteOld.run(mailbox, seq).changes === 0)
      return undefined;
    return this.#sql.deleteRow.get(seq)?.size;
  }

  /** The next rows after `afterSeq`, of any mailbox, with their minute of expiry. */
  scan(
    afterSeq: number,
    limit: number,
  ): readonly { readonly seq: number; readonly mb: number; readonly exp: number }[] {
    this.flush();
    return this.#sql.scan.all(afterSeq, limit);
  }

  /** Numbers are handed out one by one: neighbours in the list that follow each other are one range. */
  #deleteRuns(entries: readonly YoungEnvelope[]): void {
    let at = 0;
    while (at < entries.length) {
      const first = entries[at]?.seq ?? 0;
      let last = first;
      while (entries[++at]?.seq === last + 1) last++;
      if (first === last) this.#sql.deleteSeq.run(first);
      else this.#sql.deleteRange.run(first, last);
    }
  }
}

function toEnvelope({ seq, cid, minute, body }: QueueRecord): QueuedEnvelope {
  return { seq, clientId: cid, body, minute };
}

const COLUMNS = 6;

function prepare(db: Database.Database) {
  const insertInto = 'INSERT INTO q (seq, mb, cid, minute, exp, body) VALUES ';
  const row = '(?, ?, ?, ?, ?, ?)';
  const rows = Array.from({ length: ROWS_AT_ONCE }, () => row).join(', ');
  return {
    all: db.prepare<[], { seq: number; mb: number; size: number }>(
      'SELECT seq, mb, length(body) AS size FROM q ORDER BY seq',
    ),
    insert: db.prepare<unknown[]>(insertInto + row),
    insertMany: db.prepare<unknown[]>(insertInto + rows),
    body: db.prepare<[number, number], { body: Uint8Array }>(
      'SELECT body FROM q WHERE seq = ? AND mb = ?',
    ),
    id: db.prepare<[number], { cid: Uint8Array }>('SELECT cid FROM q WHERE seq = ?'),
    oldIds: db.prepare<[number], { cid: Uint8Array; seq: number }>(
      'SELECT q.cid, q.seq FROM q_old CROSS JOIN q ON q.seq = q_old.seq WHERE q_old.mb = ?',
    ),
    row: db.prepare<[number], QueueRecord>('SELECT seq, cid, minute, body FROM q WHERE seq = ?'),
    // CROSS JOIN: from the small index to the rows, never the other way round.
    readOld: db.prepare<[number, number, number], QueueRecord>(
      'SELECT q.seq, q.cid, q.minute, q.body FROM q_old CROSS JOIN q ON q.seq = q_old.seq WHERE q_old.mb = ? AND q_old.seq > ? ORDER BY q_old.seq LIMIT ?',
    ),
    arrivals: db.prepare<[number, number], { mb: number; seq: number }>(
      'SELECT mb, max(seq) AS seq FROM q WHERE seq > ? AND seq <= ? GROUP BY mb',
    ),
    scan: db.prepare<[number, number], { seq: number; mb: number; exp: number }>(
      'SELECT seq, mb, exp FROM q WHERE seq > ? ORDER BY seq LIMIT ?',
    ),
    deleteRow: db.prepare<[number], { size: number }>(
      'DELETE FROM q WHERE seq = ? RETURNING length(body) AS size',
    ),
    deleteSeq: db.prepare<[number]>('DELETE FROM q WHERE seq = ?'),
    deleteRange: db.prepare<[number, number]>('DELETE FROM q WHERE seq BETWEEN ? AND ?'),
    deleteOld: db.prepare<[number, number]>('DELETE FROM q_old WHERE mb = ? AND seq = ?'),
    deleteOldThrough: db.prepare<[number, number], { seq: number }>(
      'DELETE FROM q_old WHERE mb = ? AND seq <= ? RETURNING seq',
    ),
    addOld: db.prepare<[number, number]>('INSERT INTO q_old (mb, seq) VALUES (?, ?)'),
    indexedThrough: db.prepare<[], { v: number }>("SELECT v FROM meta WHERE k = 'indexed_through'"),
    setIndexedThrough: db.prepare<[number]>("UPDATE meta SET v = ? WHERE k = 'indexed_through'"),
  };
}
