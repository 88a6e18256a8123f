/**
 * 13 Relay §13. The database side of backup, restore and verify.
 */
import { closeSync, openSync } from 'node:fs';
import Database from 'better-sqlite3';
import { RelayError } from '../errors.js';
import { newestSchema } from './sqlite-open.js';

/** Sums over a database. */
export interface DatabaseCounts {
  readonly accounts: number;
  readonly devices: number;
  readonly envelopes: number;
  /** Of the bodies of those envelopes. */
  readonly bytes: number;
}

/** What goes into a copy. */
export interface CopyOptions {
  readonly withQueue: boolean;
  /** Envelopes that expire by this minute stay out. */
  readonly nowMinute: number;
}

/**
 * Copy a database that may be in use: its schema, and the rows that may live on.
 *
 * @throws what SQLite and the file system throw
 */
export function copyDatabase(from: string, to: string, options: CopyOptions): DatabaseCounts {
  const source = new Database(from, { readonly: true, timeout: 5_000 });
  try {
    // One snapshot for everything: what is committed meanwhile is not seen.
    source.exec('BEGIN');
    const schema = schemaOf(source);
    const newest = newestSchema();
    if (schema > newest) {
      throw new RelayError(
        'RELAY_DATA_NEWER',
        `data has schema version ${schema}, this program knows ${newest}`,
        'use the version that wrote it, or a newer one',
      );
    }
    closeSync(openSync(to, 'wx', 0o600));
    const target = new Database(to);
    try {
      target.pragma('journal_mode = OFF');
      target.transaction(() => copyRows(source, target, options))();
      target.pragma(`user_version = ${schema}`);
      return counts(target);
    } finally {
      target.close();
    }
  } finally {
    source.close();
  }
}

function copyRows(
  source: Database.Database,
  target: Database.Database,
  { withQueue, nowMinute }: CopyOptions,
): void {
  const tables = source
    .prepare<[], { name: string; sql: string }>(
      "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY rowid",
    )
    .all();
  for (const { sql } of tables) target.exec(sql);
  for (const { name } of tables) {
    if (ONE_TIME_TABLES.includes(name)) continue;
    const where = QUEUE_TABLES.get(name);
    if (where === undefined) copyTable(source, target, name, '');
    else if (withQueue) copyTable(source, target, name, where(nowMinute));
  }
  // Mailbox numbers go on where they were: they are never used twice.
  target.exec('DELETE FROM sqlite_sequence');
  copyTable(source, target, 'sqlite_sequence', '');
  for (const sql of source
    .prepare<[], string>(
      "SELECT sql FROM sqlite_schema WHERE type IN ('index', 'trigger', 'view') AND sql IS NOT NULL",
    )
    .pluck()
    .all()) {
    target.exec(sql);
  }
}

function copyTable(
  source: Database.Database,
  target: Database.Database,
  table: string,
  where: string,
): void {
  // Names come from the schema of a relay's own file, never from outside.
  const read = source.prepare(`SELECT * FROM "${table}" ${where}`).safeIntegers(true).raw(true);
  const places = read.columns().map(() => '?');
  const write = target.prepare(`INSERT INTO "${table}" VALUES (${places.join(', ')})`);
  for (const row of read.iterate()) write.run(...(row as readonly unknown[]));
}

/**
 * Make a restored database safe to run.
 *
 * A one-time prekey in it may have been handed out after the backup was made, so none is kept; a number
 * may have been used, so numbers go on far above.
 */
export function markRestored(
  db: Database.Database,
  nowSeconds: number,
): DatabaseCounts & { readonly epoch: number } {
  return db.transaction(() => {
    for (const table of ONE_TIME_TABLES) db.exec(`DELETE FROM ${table}`);
    // By the clock as well: two restores of one backup are two epochs.
    const epoch = Math.max(epochOf(db) + 1, nowSeconds);
    db.prepare("INSERT OR REPLACE INTO meta (k, v) VALUES ('epoch', ?)").run(epoch);
    db.prepare("UPDATE meta SET v = v + ? WHERE k = 'seq_reserved'").run(SEQ_SKIP);
    return { epoch, ...counts(db) };
  })();
}

/** The relay's epoch: 0 until it is restored from a backup. */
export function epochOf(db: Database.Database): number {
  return db.prepare<[], number>("SELECT v FROM meta WHERE k = 'epoch'").pluck().get() ?? 0;
}

/** Look at every page and every row. Read-only. @throws what SQLite throws for a file that is no database */
export function verifyDatabase(file: string): DatabaseCounts & {
  readonly schema: number;
  readonly epoch: number;
  readonly problems: readonly string[];
} {
  const db = new Database(file, { readonly: true, timeout: 5_000 });
  try {
    const schema = schemaOf(db);
    const problems: string[] = [];
    const attempt = <Result>(what: string, run: () => Result, fallback: Result): Result => {
      try {
        return run();
      } catch {
        problems.push(`${what} cannot be read`);
        return fallback;
      }
    };
    const pages = attempt(
      'the file',
      () => db.pragma('integrity_check(20)') as readonly { readonly integrity_check: string }[],
      [],
    );
    for (const { integrity_check: text } of pages) {
      // SQLite numbers pages and cells and quotes no content.
      for (const line of text.split('\n')) if (line !== 'ok') problems.push(`page check: ${line}`);
    }
    for (const { what, sql, since = 1 } of ROW_CHECKS) {
      if (schema < since) continue;
      const wrong = attempt(what, () => db.prepare<[], number>(sql).pluck().get() ?? 0, 0);
      if (wrong > 0) problems.push(`${wrong} × ${what}`);
    }
    const none = { accounts: 0, devices: 0, envelopes: 0, bytes: 0 };
    const epoch = attempt('the epoch', () => epochOf(db), 0);
    return { schema, epoch, problems, ...attempt('the tables', () => counts(db), none) };
  } finally {
    db.close();
  }
}

function schemaOf(db: Database.Database): number {
  return Number(db.pragma('user_version', { simple: true }));
}

function counts(db: Database.Database): DatabaseCounts {
  const row = db
    .prepare<[], DatabaseCounts>(
      'SELECT (SELECT count(*) FROM account) AS accounts, (SELECT count(*) FROM device) AS devices, ' +
        '(SELECT count(*) FROM q) AS envelopes, (SELECT coalesce(sum(length(body)), 0) FROM q) AS bytes',
    )
    .get();
  return row ?? { accounts: 0, devices: 0, envelopes: 0, bytes: 0 };
}

/** Where one-time prekeys are. They are never backed up. */
const ONE_TIME_TABLES: readonly string[] = ['prekey_cur', 'prekey_page'];

/** Where the envelopes are, and which of their rows live on. */
const QUEUE_TABLES: ReadonlyMap<string, (nowMinute: number) => string> = new Map([
  ['q', (nowMinute) => `WHERE exp > ${nowMinute}`],
  ['q_old', (nowMinute) => `WHERE seq IN (SELECT seq FROM q WHERE exp > ${nowMinute})`],
]);

/** More numbers than a relay hands out between a backup and its loss. */
const SEQ_SKIP = 2 ** 40;

/** What may be wrong with a row, how many it is wrong with, and since which schema version it can be. */
const ROW_CHECKS: readonly {
  readonly what: string;
  readonly sql: string;
  readonly since?: number;
}[] = [
  {
    what: 'an account with a field of the wrong length',
    sql: 'SELECT count(*) FROM account WHERE length(id) <> 16 OR length(identity) <> 33 OR length(list_sig) <> 64 OR version < 1',
  },
  {
    what: 'an account without a device',
    sql: 'SELECT count(*) FROM account WHERE id NOT IN (SELECT account FROM device)',
  },
  {
    what: 'a user name without an account',
    sql: 'SELECT count(*) FROM username WHERE account NOT IN (SELECT id FROM account)',
  },
  {
    what: 'a device without an account',
    sql: 'SELECT count(*) FROM device WHERE account NOT IN (SELECT id FROM account)',
  },
  {
    what: 'a device with a key of the wrong length',
    sql: 'SELECT count(*) FROM device WHERE length(auth_key) <> 32',
  },
  {
    what: 'an envelope without a mailbox',
    sql: 'SELECT count(*) FROM q WHERE mb NOT IN (SELECT rid FROM device)',
  },
  {
    what: 'an envelope with an id of the wrong length',
    sql: 'SELECT count(*) FROM q WHERE length(cid) <> 16',
  },
  {
    what: 'an envelope whose body is too long',
    sql: 'SELECT count(*) FROM q WHERE length(body) > 65536',
  },
  {
    what: 'an envelope with a number that is not reserved',
    sql: "SELECT count(*) FROM q WHERE seq > (SELECT v FROM meta WHERE k = 'seq_reserved')",
  },
  {
    what: 'an old envelope that its mailbox would not find',
    sql: "SELECT count(*) FROM q WHERE seq <= (SELECT v FROM meta WHERE k = 'indexed_through') AND NOT EXISTS (SELECT 1 FROM q_old WHERE q_old.mb = q.mb AND q_old.seq = q.seq)",
    since: 3,
  },
  {
    what: 'an index entry without its envelope',
    sql: 'SELECT count(*) FROM q_old WHERE seq NOT IN (SELECT seq FROM q)',
    since: 3,
  },
  {
    what: 'a signed prekey without a mailbox',
    sql: 'SELECT count(*) FROM signed_prekey WHERE mb NOT IN (SELECT rid FROM device)',
  },
  {
    what: 'a prekey cursor without a mailbox',
    sql: 'SELECT count(*) FROM prekey_cur WHERE mb NOT IN (SELECT rid FROM device)',
  },
  {
    what: 'a prekey cursor that does not fit its page',
    sql: 'SELECT count(*) FROM prekey_cur LEFT JOIN prekey_page ON id = page WHERE id IS NULL OR length(body) <> n * reclen OR next > n',
  },
  {
    what: 'a prekey page nobody uses',
    sql: 'SELECT count(*) FROM prekey_page WHERE id NOT IN (SELECT page FROM prekey_cur)',
  },
  {
    what: 'a record with a field of the wrong length',
    sql: 'SELECT count(*) FROM record WHERE length(key) <> 32 OR length(verifier) <> 32 OR length(value) > 65536',
    since: 2,
  },
];
