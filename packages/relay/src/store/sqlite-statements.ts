/**
 * 13 Relay §3. Every SQL statement of the engine, prepared once. Values are bound, never written into the
 * text (ATK-I11).
 */
import type Database from 'better-sqlite3';

/** The statements of one database. */
export interface Statements {
  readonly begin: Database.Statement;
  readonly commit: Database.Statement;
  readonly rollback: Database.Statement;
  readonly reserved: Database.Statement<[], { v: number }>;
  readonly reserve: Database.Statement<[number]>;
  readonly hasDevice: Database.Statement<[number], { rid: number }>;
  readonly probe: Database.Statement<[number]>;
}

/** Prepare them. The tables must exist. */
export function prepareStatements(db: Database.Database): Statements {
  return {
    begin: db.prepare('BEGIN IMMEDIATE'),
    commit: db.prepare('COMMIT'),
    rollback: db.prepare('ROLLBACK'),
    reserved: db.prepare<[], { v: number }>("SELECT v FROM meta WHERE k = 'seq_reserved'"),
    probe: db.prepare<[number]>(
      "INSERT INTO meta (k, v) VALUES ('probe', ?) ON CONFLICT (k) DO UPDATE SET v = excluded.v",
    ),
    reserve: db.prepare<[number]>("UPDATE meta SET v = ? WHERE k = 'seq_reserved'"),
    hasDevice: db.prepare<[number], { rid: number }>('SELECT rid FROM device WHERE rid = ?'),
  };
}
