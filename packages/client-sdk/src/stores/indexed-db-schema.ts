/// <reference lib="dom" />
/**
 * 18 Stored rows §7. The tables of the store in a browser, and what its errors mean.
 */
import { QasidError, StoreError, type Bytes } from '@qasid/protocol';
import { openDB, type DBSchema, type IDBPDatabase, type IDBPTransaction } from 'idb';

import type { VaultRow } from './web-vault.js';

/** A value with nothing beside it. */
export interface SealedRow {
  readonly value: Bytes;
}

/** A session; without a value the session is gone and its version remains. */
export interface SessionRow {
  readonly version: number;
  readonly value: Bytes | undefined;
}

/** `state` 0: without ciphertext, 1: ready to go, 2: waiting for a person. */
export interface StoredOutboxRow {
  readonly id: number;
  readonly state: number;
  readonly value: Bytes;
}

/** A message and what finds it. Keys in hex are the vault's. */
export interface StoredMessage {
  readonly seq: number;
  readonly place: number;
  readonly revision: number;
  readonly arrived: 0 | 1;
  readonly peer: string;
  readonly name: string;
  /** Only for rows of this device. */
  readonly sent?: string;
  /** Only for rows that disappear. */
  readonly expires?: number;
  readonly terms: readonly string[];
  readonly value: Bytes;
}

/** A record. */
export interface StoredRecord {
  readonly key: string;
  readonly space: string;
  readonly revision: number;
  readonly value: Bytes;
}

/** The tables. */
export interface StoreSchema extends DBSchema {
  meta: { key: 'vault'; value: VaultRow };
  counter: { key: string; value: number };
  session: { key: string; value: SessionRow };
  identity: { key: string; value: SealedRow };
  prekey: { key: [number, number]; value: SealedRow };
  usedKem: {
    key: [number, number, string];
    value: { readonly kem: number; readonly signed: number };
    indexes: { kem: number; signed: number };
  };
  profile: { key: number; value: SealedRow };
  contact: { key: string; value: SealedRow };
  contactName: { key: string; value: SealedRow };
  outbox: { key: number; value: StoredOutboxRow; indexes: { state: number } };
  message: {
    key: number;
    value: StoredMessage;
    indexes: {
      sent: string;
      arrived: [number, number];
      peer: [string, number, number];
      name: [string, number];
      revision: number;
      expires: number;
      terms: string;
    };
  };
  record: { key: string; value: StoredRecord; indexes: { space: [string, number] } };
  seen: { key: string; value: number; indexes: { day: number } };
  held: {
    key: number;
    value: { readonly id: number; readonly account: string; readonly value: Bytes };
    indexes: { account: [string, number] };
  };
  cursor: { key: string; value: number };
}

/** An open database. */
export type Tables = IDBPDatabase<StoreSchema>;

/** Every table: a commit may touch any of them. */
export const TABLES = [
  'meta',
  'counter',
  'session',
  'identity',
  'prekey',
  'usedKem',
  'profile',
  'contact',
  'contactName',
  'outbox',
  'message',
  'record',
  'seen',
  'held',
  'cursor',
] as const;

/** A transaction that writes. */
export type WriteTransaction = IDBPTransaction<StoreSchema, typeof TABLES, 'readwrite'>;

/** Version of the tables. A newer database is refused. */
const SCHEMA_VERSION = 1;

/** Name of the database of a profile. */
export function databaseName(profile: string): string {
  return `qasid/${profile}`;
}

/**
 * Open the tables of a profile.
 *
 * @param onEnd - The database was closed under us: a newer version wants it, or the browser gave up on it.
 * @returns `isNew` when there was nothing under this name.
 */
export async function openTables(
  profile: string,
  onEnd: (reason: StoreError) => void,
): Promise<{ readonly tables: Tables; readonly isNew: boolean }> {
  let isNew = false;
  const tables = await openDB<StoreSchema>(databaseName(profile), SCHEMA_VERSION, {
    upgrade(database, oldVersion) {
      isNew = oldVersion === 0;
      createTables(database);
    },
    blocking(_current, _blocked, event) {
      (event.target as IDBDatabase).close();
      onEnd(new StoreError('STORE_LOCKED', 'another tab needs this store for itself'));
    },
    terminated() {
      onEnd(new StoreError('STORE_FAILED', 'the browser closed the store'));
    },
  });
  return { tables, isNew };
}

function createTables(database: Tables): void {
  for (const name of ['meta', 'counter', 'session', 'identity', 'prekey', 'profile'] as const) {
    database.createObjectStore(name);
  }
  for (const name of ['contact', 'contactName', 'cursor'] as const) {
    database.createObjectStore(name);
  }
  const usedKem = database.createObjectStore('usedKem');
  usedKem.createIndex('kem', 'kem');
  usedKem.createIndex('signed', 'signed');
  database.createObjectStore('outbox', { keyPath: 'id' }).createIndex('state', 'state');
  const message = database.createObjectStore('message', { keyPath: 'seq' });
  message.createIndex('sent', 'sent', { unique: true });
  message.createIndex('arrived', ['arrived', 'seq']);
  message.createIndex('peer', ['peer', 'place', 'seq']);
  message.createIndex('name', ['name', 'seq']);
  message.createIndex('revision', 'revision');
  message.createIndex('expires', 'expires');
  message.createIndex('terms', 'terms', { multiEntry: true });
  const record = database.createObjectStore('record', { keyPath: 'key' });
  record.createIndex('space', ['space', 'revision']);
  // The key is the client id, the value the day.
  database.createObjectStore('seen').createIndex('day', '');
  const held = database.createObjectStore('held', { keyPath: 'id' });
  held.createIndex('account', ['account', 'id']);
}

/** Run `call`; whatever the browser throws becomes a StoreError. */
export async function storeCall<Result>(
  what: string,
  call: () => Promise<Result>,
): Promise<Result> {
  try {
    return await call();
  } catch (cause) {
    if (cause instanceof QasidError) throw cause;
    throw toStoreError(what, cause);
  }
}

function toStoreError(what: string, cause: unknown): StoreError {
  const name = cause instanceof Error ? cause.name : '';
  switch (name) {
    case 'QuotaExceededError':
      return new StoreError('STORE_FULL', 'the browser gives this site no more space', { cause });
    case 'VersionError':
      return new StoreError('STORE_CORRUPT', 'the store was written by a newer version', { cause });
    case 'DataError':
    case 'NotReadableError':
      return new StoreError('STORE_CORRUPT', `the store could not ${what}`, { cause });
    default:
      return new StoreError('STORE_FAILED', `the store could not ${what}`, { cause });
  }
}
