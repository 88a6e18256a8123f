/**
 * 18 Stored rows. Prepared statements of one database, kept by their text, and its counters. Node only.
 */
import type Database from 'better-sqlite3';

/** Statements that are prepared once. */
export class Statements {
  readonly #database: Database.Database;
  readonly #statements = new Map<string, Database.Statement>();

  constructor(database: Database.Database) {
    this.#database = database;
  }

  /** Rows changed. */
  run(sql: string, ...parameters: readonly unknown[]): number {
    return this.#statement(sql).run(...parameters).changes;
  }

  get(sql: string, ...parameters: readonly unknown[]): unknown {
    return this.#statement(sql).get(...parameters);
  }

  all(sql: string, ...parameters: readonly unknown[]): unknown[] {
    return this.#statement(sql).all(...parameters);
  }

  /** The next number of `name`, from 1; never given twice, also when rows are deleted. */
  next(name: string): number {
    const row = this.get(
      'INSERT INTO counter VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value',
      name,
    );
    return (row as { readonly value: number }).value;
  }

  /** The last number of `name`; 0 before the first. */
  last(name: string): number {
    const row = this.get('SELECT value FROM counter WHERE name = ?', name);
    return (row as { readonly value: number } | undefined)?.value ?? 0;
  }

  #statement(sql: string): Database.Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}
