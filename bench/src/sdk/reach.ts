/**
 * What the SDK's benchmark takes from the packages beside it: by path, as the tests reach internals, so that
 * bench/ has no dependency that an application would not install anyway.
 */
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

export { openNodeClient, nodeDial, SqliteStore } from '../../../packages/client-sdk/dist/node.js';
export type { NodeClientOptions } from '../../../packages/client-sdk/dist/node.js';
export type { Group, Message, QasidClient } from '../../../packages/client-sdk/dist/index.js';

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

/** A package that the SDK's tests are built with. */
export async function toolOfSdk(name: string): Promise<unknown> {
  return import(pathToFileURL(fromSdk.resolve(name)).href);
}

/** Its path. */
export function pathFromSdk(name: string): string {
  return fromSdk.resolve(name);
}
