/**
 * 18 Stored rows. Messages and records of the SQLite store, with what finds them. Node only.
 *
 * Names become the vault's row keys: which conversation a message belongs to, who wrote it and its words
 * are readable only with the passphrase. That two rows have the same is not hidden.
 */
import { StoreError, toHex, type Bytes } from '@qasid/protocol';

import {
  PLACE_STEP,
  type ClientExtra,
  type ConversationQuery,
  type MessageChange,
  type MessageQuery,
  type MessageReplacement,
  type MessageRow,
  type NewMessage,
  type RecordChange,
  type RecordRow,
  type SearchQuery,
} from './port.js';
import { decodeMessageRow, decodeRecord, encodeMessageRow, encodeRecord } from './rows.js';
import type { Statements } from './sqlite-statements.js';
import type { Vault } from './vault.js';

/** Bytes kept of a word's key. Lower: words begin to collide. Higher: a larger index. */
const TERM_BYTES = 12;

/** Rows of a word after which it is simply common. Higher: counting costs more than it saves. */
const COMMON_ROWS = 1_000;

const COLUMNS = 'seq, place, revision, value';

interface StoredMessage {
  readonly seq: number;
  readonly place: number;
  readonly revision: number;
  readonly value: Bytes;
}

interface StoredRecord {
  readonly key: Bytes;
  readonly revision: number;
  readonly value: Bytes;
}

/** Where a row is found: its conversation, and its name within it. */
function keysOf(
  vault: Vault,
  row: Pick<MessageRow, 'peer' | 'author' | 'id'>,
): readonly [Bytes, Bytes] {
  const { peer, author, id } = row;
  return [vault.rowKey('peer', peer), vault.rowKey('message', `${peer}/${author}/${id}`)];
}

function termKey(vault: Vault, term: string): Bytes {
  return vault.rowKey('term', term).slice(0, TERM_BYTES);
}

function recordKey(vault: Vault, space: string, key: string): Bytes {
  return vault.rowKey('record', `${space}/${key}`);
}

/** Reads. */
export class SqliteHistory {
  readonly #sql: Statements;
  readonly #vault: Vault;

  constructor(sql: Statements, vault: Vault) {
    this.#sql = sql;
    this.#vault = vault;
  }

  messages(query: MessageQuery): readonly MessageRow[] {
    const { after = 0, limit = 1_000, arrivedOnly = false } = query;
    const filter = arrivedOnly ? 'AND arrived = 1' : '';
    return this.#rows(`WHERE seq > ? ${filter} ORDER BY seq LIMIT ?`, after, limit);
  }

  sentMessage(id: string): MessageRow | undefined {
    return this.#rows('WHERE sent_id = ?', this.#vault.rowKey('message', id))[0];
  }

  message(peer: string, author: string, id: string): MessageRow | undefined {
    const [, name] = keysOf(this.#vault, { peer, author, id });
    return this.#rows('WHERE name = ? ORDER BY seq LIMIT 1', name)[0];
  }

  conversation({ peer, before, after, limit }: ConversationQuery): readonly MessageRow[] {
    const key = this.#vault.rowKey('peer', peer);
    if (after !== undefined) {
      const where = 'WHERE peer = ? AND (place, seq) > (?, ?) ORDER BY place, seq LIMIT ?';
      return this.#rows(where, key, after.place, after.seq, limit);
    }
    const newest = 'ORDER BY place DESC, seq DESC LIMIT ?';
    if (before === undefined) return this.#rows(`WHERE peer = ? ${newest}`, key, limit);
    const where = `WHERE peer = ? AND (place, seq) < (?, ?) ${newest}`;
    return this.#rows(where, key, before.place, before.seq, limit);
  }

  changes(query: { readonly after: number; readonly limit: number }): readonly MessageRow[] {
    return this.#rows('WHERE revision > ? ORDER BY revision LIMIT ?', query.after, query.limit);
  }

  expiring(query: { readonly throughMs: number; readonly limit: number }): readonly MessageRow[] {
    const where = 'WHERE expires <= ? ORDER BY expires LIMIT ?';
    return this.#rows(where, query.throughMs, query.limit);
  }

  /**
   * Along the index of the rarest word, newest first: a page costs what it shows, not what the history holds.
   */
  search(query: SearchQuery): readonly MessageRow[] {
    const keys = [...new Set(query.terms)].map((term) => termKey(this.#vault, term));
    const [rarest, ...others] = keys.length < 2 ? keys : this.#rarestFirst(keys);
    if (rarest === undefined) return [];
    const each = others
      .map(() => 'AND EXISTS (SELECT 1 FROM message_term WHERE term = ? AND seq = found.seq)')
      .join(' ');
    // CROSS JOIN: the words come first, whatever SQLite thinks of them.
    const sql = `SELECT message.seq AS seq, place, revision, value FROM message_term AS found
      CROSS JOIN message ON message.seq = found.seq
      WHERE found.term = ? AND found.seq < ? ${each} ORDER BY found.seq DESC LIMIT ?`;
    const before = query.before ?? Number.MAX_SAFE_INTEGER;
    return this.#opened(this.#sql.all(sql, rarest, before, ...others, query.limit));
  }

  /** By how many rows have each, counted as far as it matters. */
  #rarestFirst(keys: readonly Bytes[]): readonly Bytes[] {
    const sql = 'SELECT count(*) AS rows FROM (SELECT 1 FROM message_term WHERE term = ? LIMIT ?)';
    return keys
      .map((key) => {
        const { rows } = this.#sql.get(sql, key, COMMON_ROWS) as { readonly rows: number };
        return { key, rows };
      })
      .sort((a, b) => a.rows - b.rows)
      .map(({ key }) => key);
  }

  record(space: string, key: string): RecordRow | undefined {
    const sql = 'SELECT key, revision, value FROM record WHERE key = ?';
    const row = this.#sql.get(sql, recordKey(this.#vault, space, key));
    return row === undefined ? undefined : this.#record(row as StoredRecord);
  }

  records(space: string, after: number): readonly RecordRow[] {
    const sql =
      'SELECT key, revision, value FROM record WHERE space = ? AND revision > ? ORDER BY revision';
    return (this.#sql.all(sql, space, after) as StoredRecord[]).map((row) => this.#record(row));
  }

  #record(row: StoredRecord): RecordRow {
    const opened = this.#vault.open(`record/${toHex(row.key)}`, row.value);
    return { ...decodeRecord(opened), version: row.revision };
  }

  #rows(where: string, ...parameters: readonly unknown[]): readonly MessageRow[] {
    return this.#opened(this.#sql.all(`SELECT ${COLUMNS} FROM message ${where}`, ...parameters));
  }

  #opened(rows: readonly unknown[]): readonly MessageRow[] {
    return (rows as readonly StoredMessage[]).map((row) =>
      decodeMessageRow(row, this.#vault.open(`message/${row.seq}`, row.value)),
    );
  }
}

/** Writes, inside the transaction of a commit. */
export class SqliteHistoryWriter {
  readonly #sql: Statements;
  readonly #vault: Vault;
  readonly #history: SqliteHistory;

  constructor(sql: Statements, vault: Vault) {
    this.#sql = sql;
    this.#vault = vault;
    this.#history = new SqliteHistory(sql, vault);
  }

  /** @throws StoreError `STORE_CONFLICT`, which undoes the whole commit. */
  write(extra: ClientExtra): void {
    for (const row of extra.messagesAdded ?? []) this.#add(row);
    for (const change of extra.messagesChanged ?? []) this.#change(change);
    for (const replacement of extra.messagesReplaced ?? []) this.#replace(replacement);
    for (const seq of extra.messagesRemoved ?? []) this.#remove(seq);
    for (const peer of extra.conversationsRemoved ?? []) this.#removeAll(peer);
    for (const change of extra.records ?? []) this.#writeRecord(change);
  }

  #add({ terms, place, ...row }: NewMessage): void {
    const seq = this.#sql.next('message');
    // Ids are unique among our own; a stranger's may repeat.
    const sentId = row.arrived ? null : this.#vault.rowKey('message', row.id);
    const [peer, name] = keysOf(this.#vault, row);
    this.#sql.run(
      'INSERT INTO message (seq, sent_id, arrived, value, peer, name, place, revision, expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
      seq,
      sentId,
      row.arrived ? 1 : 0,
      this.#vault.seal(`message/${seq}`, encodeMessageRow(row)),
      peer,
      name,
      place ?? seq * PLACE_STEP,
      this.#sql.next('revision'),
      row.expiresAtMs ?? null,
    );
    this.#index(seq, terms);
  }

  #change({ id, ...change }: MessageChange): void {
    const row = this.#history.sentMessage(id);
    if (row !== undefined) this.#put({ ...row, ...change });
  }

  #replace({ row, terms }: MessageReplacement): void {
    const stored = this.#sql.get('SELECT revision FROM message WHERE seq = ?', row.seq);
    if ((stored as { readonly revision: number } | undefined)?.revision !== row.revision) {
      throw new StoreError('STORE_CONFLICT', 'message was written since it was read');
    }
    this.#put(row);
    if (terms === undefined) return;
    this.#sql.run('DELETE FROM message_term WHERE seq = ?', row.seq);
    this.#index(row.seq, terms);
  }

  #put(row: MessageRow): void {
    const [peer, name] = keysOf(this.#vault, row);
    this.#sql.run(
      'UPDATE message SET value = ?, peer = ?, name = ?, place = ?, revision = ?, expires = ? WHERE seq = ?',
      this.#vault.seal(`message/${row.seq}`, encodeMessageRow(row)),
      peer,
      name,
      row.place,
      this.#sql.next('revision'),
      row.expiresAtMs ?? null,
      row.seq,
    );
  }

  #index(seq: number, terms: readonly string[] = []): void {
    for (const term of new Set(terms)) {
      const key = termKey(this.#vault, term);
      this.#sql.run('INSERT OR IGNORE INTO message_term VALUES (?, ?)', key, seq);
    }
  }

  #remove(seq: number): void {
    this.#sql.run('DELETE FROM message_term WHERE seq = ?', seq);
    this.#sql.run('DELETE FROM message WHERE seq = ?', seq);
  }

  #removeAll(conversation: string): void {
    const peer = this.#vault.rowKey('peer', conversation);
    const sql = 'DELETE FROM message_term WHERE seq IN (SELECT seq FROM message WHERE peer = ?)';
    this.#sql.run(sql, peer);
    this.#sql.run('DELETE FROM message WHERE peer = ?', peer);
  }

  #writeRecord({ space, key, value, expectedVersion }: RecordChange): void {
    const name = recordKey(this.#vault, space, key);
    const stored = this.#sql.get('SELECT revision FROM record WHERE key = ?', name);
    const version = (stored as { readonly revision: number } | undefined)?.revision ?? 0;
    if (version !== expectedVersion) {
      throw new StoreError('STORE_CONFLICT', 'record was written since it was read');
    }
    if (value === undefined) {
      this.#sql.run('DELETE FROM record WHERE key = ?', name);
      return;
    }
    const sealed = this.#vault.seal(`record/${toHex(name)}`, encodeRecord(key, value));
    const revision = this.#sql.next('revision');
    this.#sql.run(
      'INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?)',
      name,
      space,
      revision,
      sealed,
    );
  }
}
