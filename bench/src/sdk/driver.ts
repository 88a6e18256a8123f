/** The SQLite driver of the SDK, for those who are compared with it. Loads nothing else. */
import { createRequire } from 'node:module';

const fromSdk = createRequire(
  new URL('../../../packages/client-sdk/package.json', import.meta.url),
);

/** The little of better-sqlite3 that is used here. */
export interface Database {
  pragma(text: string): unknown;
  exec(sql: string): void;
  prepare(sql: string): {
    run(...values: unknown[]): unknown;
    get(...values: unknown[]): unknown;
    all(...values: unknown[]): unknown[];
  };
  close(): void;
}

/** The same driver, compiled the same way, as the SDK's store. */
export function openDatabase(file: string): Database {
  const Driver = fromSdk('better-sqlite3') as new (path: string) => Database;
  return new Driver(file);
}
