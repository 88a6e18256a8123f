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

/** The statements of one database. */
export interface Statements {
  readonly begin: Database.Statement;
  readonly commit: Database.Statement;
  readonly rollback: Database.Statement;
  readonly reserved: Database.Statement<[], { v: number }>;
  readonly reserve: Database.Statement<[number]>;
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
