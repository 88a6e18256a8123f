/**
 * 13 Relay §11. Records in SQLite. Every method runs inside the caller's transaction.
 */
import { copyBytes } from '@qasid/protocol/envelope';
import type Database from 'better-sqlite3';
import type { RecordResults, RecordRow, RecordWrite } from './port-records.js';
import { isRepeatedPut, judgeRecord } from './record-rules.js';

interface Stored {
  version: number;
  verifier: Uint8Array;
}

/** The record table. */
export class SqliteRecords {
  readonly #get: Database.Statement<
    [Uint8Array],
    { version: number; value: Uint8Array; day: number }
  >;
  readonly #find: Database.Statement<[Uint8Array], Stored>;
  readonly #add: Database.Statement<[Uint8Array, number, Uint8Array, number, Uint8Array]>;
  readonly #set: Database.Statement<[number, number, Uint8Array, Uint8Array]>;
  readonly #touch: Database.Statement<[number, Uint8Array, number]>;
  readonly #delete: Database.Statement<[Uint8Array]>;
  readonly #sweep: Database.Statement<[number, number]>;

  constructor(db: Database.Database) {
    this.#get = db.prepare('SELECT version, value, day FROM record WHERE key = ?');
    this.#find = db.prepare('SELECT version, verifier FROM record WHERE key = ?');
    this.#add = db.prepare(
      'INSERT INTO record (key, version, verifier, day, value) VALUES (?, ?, ?, ?, ?)',
    );
    this.#set = db.prepare('UPDATE record SET version = ?, day = ?, value = ? WHERE key = ?');
    this.#touch = db.prepare('UPDATE record SET day = ? WHERE key = ? AND day < ?');
    this.#delete = db.prepare('DELETE FROM record WHERE key = ?');
    this.#sweep = db.prepare(
      'DELETE FROM record WHERE rowid IN (SELECT rowid FROM record WHERE day < ? LIMIT ?)',
    );
  }

  get(key: Uint8Array): RecordRow | undefined {
    const row = this.#get.get(key);
    return row && { version: row.version, value: copyBytes(row.value), day: row.day };
  }

  apply(write: RecordWrite): RecordResults[RecordWrite['kind']] {
    switch (write.kind) {
      case 'putRecord': {
        const { key, verifier, expectedVersion, mayCreate, value, day } = write;
        const row = this.#find.get(key);
        const refusal = judgeRecord(row, write);
        if (refusal?.kind === 'recordConflict' && isRepeatedPut(this.#get.get(key), write)) {
          return { kind: 'recordPut', version: refusal.version };
        }
        if (refusal !== undefined) return refusal;
        if (row === undefined) {
          if (!mayCreate) return { kind: 'recordDenied' };
          this.#add.run(key, 1, verifier, day, value);
        } else this.#set.run(expectedVersion + 1, day, value, key);
        return { kind: 'recordPut', version: expectedVersion + 1 };
      }
      case 'deleteRecord': {
        const refusal = judgeRecord(this.#find.get(write.key), write);
        if (refusal !== undefined) return refusal;
        this.#delete.run(write.key);
        return { kind: 'recordDeleted' };
      }
      case 'touchRecord':
        this.#touch.run(write.day, write.key, write.day);
        return { kind: 'recordTouched' };
      case 'sweepRecords': {
        const { changes } = this.#sweep.run(write.beforeDay, write.limit);
        return { kind: 'recordsSwept', deleted: changes };
      }
    }
  }
}
