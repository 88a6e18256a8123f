/**
 * 13 Relay §10. Delivery tokens and inlets in SQLite. What is stored of a token is a hash.
 */
import { type AccountId, copyBytes, samePublicBytes, toAccountId } from '@qasid/protocol/envelope';
import type Database from 'better-sqlite3';
import {
  NO_TOKEN,
  type PutTokenWrite,
  type RemoveTokenWrite,
  type TokenLookup,
  type TokenRow,
  type WriteResults,
} from './port.js';

interface Row {
  id: Uint8Array;
  account: Uint8Array;
  verifier: Uint8Array;
  inlet: number;
  keys: number;
  exp: number;
  rate: number;
}

/** The token table. Writing methods run inside the caller's transaction. */
export class SqliteTokens {
  readonly #byId: Database.Statement<[Uint8Array], Row>;
  readonly #byIdOrNone: Database.Statement<[Uint8Array], Row & { isThere: number }>;
  readonly #byAccount: Database.Statement<[Uint8Array], Row>;
  readonly #count: Database.Statement<[Uint8Array], { n: number }>;
  readonly #put: Database.Statement;
  readonly #remove: Database.Statement;
  readonly #sweep: Database.Statement<[number, number]>;

  constructor(db: Database.Database) {
    const columns =
      'SELECT id, account, verifier, inlet, keys, exp, rate FROM token JOIN device ON rid = mb';
    this.#byId = db.prepare(`${columns} WHERE id = ?`);
    // One row in any case, read and copied in any case: a miss takes as long as a hit.
    this.#byIdOrNone = db.prepare(
      `SELECT * FROM (${columns.replace('SELECT', 'SELECT 1 AS isThere,')} WHERE id = ?) UNION ALL SELECT 0, zeroblob(16), zeroblob(16), zeroblob(32), 0, 0, 0, 0 LIMIT 1`,
    );
    this.#byAccount = db.prepare(`${columns} WHERE account = ? ORDER BY id`);
    this.#count = db.prepare(
      'SELECT count(*) AS n FROM token JOIN device ON rid = mb WHERE account = ?',
    );
    this.#put = db.prepare(
      'INSERT OR REPLACE INTO token (id, mb, verifier, inlet, keys, exp, rate) VALUES (?, ?, ?, ?, ?, ?, ?)',
    );
    this.#remove = db.prepare('DELETE FROM token WHERE id = ?');
    this.#sweep = db.prepare(
      'DELETE FROM token WHERE id IN (SELECT id FROM token WHERE exp > 0 AND exp <= ? LIMIT ?)',
    );
  }

  get(id: Uint8Array): TokenLookup {
    const row = this.#byIdOrNone.get(id);
    return row === undefined ? NO_TOKEN : { isThere: row.isThere === 1, row: toRow(row) };
  }

  of(account: AccountId): readonly TokenRow[] {
    return this.#byAccount.all(account).map(toRow);
  }

  put(write: PutTokenWrite): WriteResults['putToken'] {
    const { account, mailbox, terms, verifier, countMax } = write;
    const known = this.#byId.get(terms.id);
    if (known === undefined) {
      if ((this.#count.get(account)?.n ?? 0) >= countMax) return { kind: 'tooMany' };
    } else if (!samePublicBytes(known.account, account)) return { kind: 'notOwn' };
    const { id, isInlet, mayFetchKeys, expiresMinute, rate } = terms;
    this.#put.run(
      id,
      mailbox,
      verifier,
      Number(isInlet),
      Number(mayFetchKeys),
      expiresMinute,
      rate,
    );
    return { kind: 'put' };
  }

  remove(write: RemoveTokenWrite): WriteResults['removeToken'] {
    const known = this.#byId.get(write.id);
    const isOwn = known !== undefined && samePublicBytes(known.account, write.account);
    if (isOwn) this.#remove.run(write.id);
    return { kind: 'removed', wasThere: isOwn };
  }

  /** Delete what has expired, `limit` rows at most. */
  sweep(nowMinute: number, limit: number): void {
    this.#sweep.run(nowMinute, limit);
  }
}

function toRow(row: Row): TokenRow {
  return {
    id: copyBytes(row.id),
    account: toAccountId(copyBytes(row.account)),
    verifier: copyBytes(row.verifier),
    isInlet: row.inlet === 1,
    mayFetchKeys: row.keys === 1,
    expiresMinute: row.exp,
    rate: row.rate,
  };
}
