/// <reference lib="dom" />
/**
 * 18 Stored rows §7. Messages and records of the store in a browser, with what finds them: reads.
 */
import type { Bytes } from '@qasid/protocol';

import type { StoredMessage, Tables } from './indexed-db-schema.js';
import type {
  ConversationQuery,
  MessageQuery,
  MessageRow,
  RecordRow,
  SearchQuery,
} from './port.js';
import { decodeMessageRow, decodeRecord } from './rows.js';
import type { WebVault } from './web-vault.js';

/** Hex digits kept of a word's key. Lower: words begin to collide. Higher: a larger index. */
const TERM_DIGITS = 24;

const LAST = Number.MAX_SAFE_INTEGER;

/** Reads. */
export class IndexedDbHistory {
  readonly #tables: Tables;
  readonly #vault: WebVault;

  constructor(tables: Tables, vault: WebVault) {
    this.#tables = tables;
    this.#vault = vault;
  }

  async messages(query: MessageQuery): Promise<readonly MessageRow[]> {
    const { after = 0, limit = 1_000, arrivedOnly = false } = query;
    if (!arrivedOnly) {
      const range = IDBKeyRange.lowerBound(after, true);
      return this.#open(await this.#tables.getAll('message', range, limit));
    }
    const range = IDBKeyRange.bound([1, after], [1, LAST], true);
    return this.#open(await this.#tables.getAllFromIndex('message', 'arrived', range, limit));
  }

  async sentMessage(id: string): Promise<MessageRow | undefined> {
    const key = await this.#vault.rowKey('message', id);
    const row = await this.#tables.getFromIndex('message', 'sent', key);
    return row && this.open(row);
  }

  async message(peer: string, author: string, id: string): Promise<MessageRow | undefined> {
    const name = await messageName(this.#vault, { peer, author, id });
    const range = IDBKeyRange.bound([name, 0], [name, LAST]);
    const [row] = await this.#tables.getAllFromIndex('message', 'name', range, 1);
    return row && this.open(row);
  }

  async conversation(query: ConversationQuery): Promise<readonly MessageRow[]> {
    const { before, after, limit } = query;
    const key = await this.#vault.rowKey('peer', query.peer);
    if (after !== undefined) {
      const from = [key, after.place, after.seq];
      const range = IDBKeyRange.bound(from, [key, LAST, LAST], true);
      return this.#open(await this.#tables.getAllFromIndex('message', 'peer', range, limit));
    }
    const to = before === undefined ? [key, LAST, LAST] : [key, before.place, before.seq];
    const range = IDBKeyRange.bound([key, -LAST, 0], to, false, before !== undefined);
    const rows: StoredMessage[] = [];
    const index = this.#tables.transaction('message').store.index('peer');
    let cursor = await index.openCursor(range, 'prev');
    while (cursor !== null && rows.length < limit) {
      rows.push(cursor.value);
      cursor = await cursor.continue();
    }
    return this.#open(rows);
  }

  async changes(query: {
    readonly after: number;
    readonly limit: number;
  }): Promise<readonly MessageRow[]> {
    const range = IDBKeyRange.lowerBound(query.after, true);
    return this.#open(
      await this.#tables.getAllFromIndex('message', 'revision', range, query.limit),
    );
  }

  async expiring(query: {
    readonly throughMs: number;
    readonly limit: number;
  }): Promise<readonly MessageRow[]> {
    const range = IDBKeyRange.upperBound(query.throughMs);
    return this.#open(await this.#tables.getAllFromIndex('message', 'expires', range, query.limit));
  }

  async search(query: SearchQuery): Promise<readonly MessageRow[]> {
    const terms = [...new Set(query.terms)];
    // The longest word is most likely the rarest: its rows are looked through for the others.
    terms.sort((a, b) => b.length - a.length);
    const [first, ...others] = await Promise.all(terms.map((term) => termKey(this.#vault, term)));
    if (first === undefined) return [];
    const before = query.before ?? LAST;
    const rows: StoredMessage[] = [];
    const index = this.#tables.transaction('message').store.index('terms');
    let cursor = await index.openCursor(IDBKeyRange.only(first), 'prev');
    while (cursor !== null && rows.length < query.limit) {
      const row = cursor.value;
      if (row.seq < before && others.every((term) => row.terms.includes(term))) rows.push(row);
      cursor = await cursor.continue();
    }
    return this.#open(rows);
  }

  async record(space: string, key: string): Promise<RecordRow | undefined> {
    const name = await recordName(this.#vault, space, key);
    const row = await this.#tables.get('record', name);
    return row && this.#record(row);
  }

  async records(space: string, after: number): Promise<readonly RecordRow[]> {
    const range = IDBKeyRange.bound([space, after], [space, LAST], true);
    const rows = await this.#tables.getAllFromIndex('record', 'space', range);
    return Promise.all(rows.map((row) => this.#record(row)));
  }

  /** A stored row as the SDK knows it. */
  async open(row: StoredMessage): Promise<MessageRow> {
    return decodeMessageRow(row, await this.#vault.open(`message/${row.seq}`, row.value));
  }

  #open(rows: readonly StoredMessage[]): Promise<readonly MessageRow[]> {
    return Promise.all(rows.map((row) => this.open(row)));
  }

  async #record(row: {
    readonly key: string;
    readonly revision: number;
    readonly value: Bytes;
  }): Promise<RecordRow> {
    const opened = await this.#vault.open(`record/${row.key}`, row.value);
    return { ...decodeRecord(opened), version: row.revision };
  }
}

/** Key by which a message is found within its conversation. */
export function messageName(
  vault: WebVault,
  row: Pick<MessageRow, 'peer' | 'author' | 'id'>,
): Promise<string> {
  return vault.rowKey('message', `${row.peer}/${row.author}/${row.id}`);
}

/** Key of a word. */
export async function termKey(vault: WebVault, term: string): Promise<string> {
  return (await vault.rowKey('term', term)).slice(0, TERM_DIGITS);
}

/** Key of a record. */
export function recordName(vault: WebVault, space: string, key: string): Promise<string> {
  return vault.rowKey('record', `${space}/${key}`);
}
