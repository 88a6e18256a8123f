/**
 * 13 Relay §3. Every SQL statement of the engine, prepared once. Values are bound, never written into the
 * text (ATK-I11).
 */
import type Database from 'better-sqlite3';

interface AccountRecord {
  identity: Uint8Array;
  list: Uint8Array;
  list_sig: Uint8Array;
  version: number;
  name: string | null;
}

interface DeviceRecord {
  rid: number;
  dev: number;
  reg: number;
  auth_key: Uint8Array;
}

interface QueueRecord {
  seq: number;
  cid: Uint8Array;
  minute: number;
  body: Uint8Array;
}

/** The statements of one database. */
export interface Statements {
  readonly begin: Database.Statement;
  readonly commit: Database.Statement;
  readonly rollback: Database.Statement;
  readonly reserved: Database.Statement<[], { v: number }>;
  readonly reserve: Database.Statement<[number]>;
  readonly sizes: Database.Statement<[], { mb: number; n: number; bytes: number; last: number }>;
  readonly insert: Database.Statement<[number, number, Uint8Array, number, number, Uint8Array]>;
  readonly body: Database.Statement<[number, number], { body: Uint8Array }>;
  readonly queuedIds: Database.Statement<[number], { cid: Uint8Array; seq: number }>;
  readonly read: Database.Statement<[number, number, number], QueueRecord>;
  readonly arrivals: Database.Statement<[number, number], { mb: number; seq: number }>;
  readonly ackThrough: Database.Statement<[number, number], { size: number }>;
  readonly ackOne: Database.Statement<[number, number], { size: number }>;
  readonly deleteOne: Database.Statement<[number]>;
  readonly dropQueue: Database.Statement<[number]>;
  readonly sweepScan: Database.Statement<
    [number, number],
    { seq: number; mb: number; exp: number; size: number }
  >;
  readonly account: Database.Statement<[Uint8Array], AccountRecord>;
  readonly devices: Database.Statement<[Uint8Array], DeviceRecord>;
  readonly lookup: Database.Statement<[string], { account: Uint8Array }>;
  readonly addAccount: Database.Statement<[Uint8Array, Uint8Array, Uint8Array, Uint8Array, number]>;
  readonly addUsername: Database.Statement<[string, Uint8Array]>;
  readonly setDevices: Database.Statement<[Uint8Array, Uint8Array, number, Uint8Array]>;
  readonly addDevice: Database.Statement<[Uint8Array, number, number, Uint8Array]>;
  readonly dropDevice: Database.Statement<[number]>;
  readonly hasDevice: Database.Statement<[number], { rid: number }>;
  readonly countAccounts: Database.Statement<[], { n: number }>;
  readonly countDevices: Database.Statement<[], { n: number }>;
}

/** Prepare them. The tables must exist. */
export function prepareStatements(db: Database.Database): Statements {
  return {
    begin: db.prepare('BEGIN IMMEDIATE'),
    commit: db.prepare('COMMIT'),
    rollback: db.prepare('ROLLBACK'),
    reserved: db.prepare<[], { v: number }>("SELECT v FROM meta WHERE k = 'seq_reserved'"),
    reserve: db.prepare<[number]>("UPDATE meta SET v = ? WHERE k = 'seq_reserved'"),
    sizes: db.prepare<[], { mb: number; n: number; bytes: number; last: number }>(
      'SELECT mb, count(*) AS n, sum(length(body)) AS bytes, max(seq) AS last FROM q GROUP BY mb',
    ),
    insert: db.prepare<[number, number, Uint8Array, number, number, Uint8Array]>(
      'INSERT INTO q (seq, mb, cid, minute, exp, body) VALUES (?, ?, ?, ?, ?, ?)',
    ),
    body: db.prepare<[number, number], { body: Uint8Array }>(
      'SELECT body FROM q WHERE seq = ? AND mb = ?',
    ),
    queuedIds: db.prepare<[number], { cid: Uint8Array; seq: number }>(
      'SELECT cid, seq FROM q WHERE mb = ?',
    ),
    read: db.prepare<[number, number, number], QueueRecord>(
      'SELECT seq, cid, minute, body FROM q WHERE mb = ? AND seq > ? ORDER BY seq LIMIT ?',
    ),
    // The plus sign keeps SQLite from walking over the whole index for the sake of the grouping.
    arrivals: db.prepare<[number, number], { mb: number; seq: number }>(
      'SELECT mb, max(seq) AS seq FROM q WHERE seq > ? AND seq <= ? GROUP BY +mb',
    ),
    ackThrough: db.prepare<[number, number], { size: number }>(
      'DELETE FROM q WHERE mb = ? AND seq <= ? RETURNING length(body) AS size',
    ),
    ackOne: db.prepare<[number, number], { size: number }>(
      'DELETE FROM q WHERE seq = ? AND mb = ? RETURNING length(body) AS size',
    ),
    deleteOne: db.prepare<[number]>('DELETE FROM q WHERE seq = ?'),
    dropQueue: db.prepare<[number]>('DELETE FROM q WHERE mb = ?'),
    sweepScan: db.prepare<[number, number], { seq: number; mb: number; exp: number; size: number }>(
      'SELECT seq, mb, exp, length(body) AS size FROM q WHERE seq > ? ORDER BY seq LIMIT ?',
    ),
    account: db.prepare<[Uint8Array], AccountRecord>(
      'SELECT identity, list, list_sig, version, name FROM account LEFT JOIN username ON username.account = account.id WHERE id = ?',
    ),
    devices: db.prepare<[Uint8Array], DeviceRecord>(
      'SELECT rid, dev, reg, auth_key FROM device WHERE account = ? ORDER BY dev',
    ),
    lookup: db.prepare<[string], { account: Uint8Array }>(
      'SELECT account FROM username WHERE name = ?',
    ),
    addAccount: db.prepare<[Uint8Array, Uint8Array, Uint8Array, Uint8Array, number]>(
      'INSERT INTO account (id, identity, list, list_sig, version) VALUES (?, ?, ?, ?, ?)',
    ),
    addUsername: db.prepare<[string, Uint8Array]>(
      'INSERT INTO username (name, account) VALUES (?, ?)',
    ),
    setDevices: db.prepare<[Uint8Array, Uint8Array, number, Uint8Array]>(
      'UPDATE account SET list = ?, list_sig = ?, version = ? WHERE id = ?',
    ),
    addDevice: db.prepare<[Uint8Array, number, number, Uint8Array]>(
      'INSERT INTO device (account, dev, reg, auth_key) VALUES (?, ?, ?, ?)',
    ),
    dropDevice: db.prepare<[number]>('DELETE FROM device WHERE rid = ?'),
    hasDevice: db.prepare<[number], { rid: number }>('SELECT rid FROM device WHERE rid = ?'),
    countAccounts: db.prepare<[], { n: number }>('SELECT count(*) AS n FROM account'),
    countDevices: db.prepare<[], { n: number }>('SELECT count(*) AS n FROM device'),
  };
}
