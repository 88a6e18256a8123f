/**
 * The history of the store that forgets: messages by sequence number, with what finds them, and records.
 */
import { StoreError } from '@qasid/protocol';

import {
  PLACE_STEP,
  type ClientExtra,
  type ConversationQuery,
  type MessageChange,
  type MessageQuery,
  type MessageReplacement,
  type MessageRow,
  type NewMessage,
  type Position,
  type RecordChange,
  type RecordRow,
  type SearchQuery,
} from './port.js';

/** Rows and records of one store. */
export class MemoryHistory {
  readonly #rows = new Map<number, MessageRow>();
  /** The first row by conversation, author and id. */
  readonly #byName = new Map<string, number>();
  readonly #byPeer = new Map<string, Set<number>>();
  readonly #sent = new Map<string, number>();
  readonly #terms = new Map<number, ReadonlySet<string>>();
  readonly #expiring = new Set<number>();
  readonly #records = new Map<string, RecordRow & { readonly space: string }>();
  #seq = 0;
  #revision = 0;

  get lastSeq(): number {
    return this.#seq;
  }

  get lastRevision(): number {
    return this.#revision;
  }

  /** Slice in the order of arrival. */
  messages(query: MessageQuery): readonly MessageRow[] {
    const { after = 0, limit = 1_000, arrivedOnly = false } = query;
    const rows: MessageRow[] = [];
    // A map keeps the order of insertion, and replacing a value keeps its place.
    for (const row of this.#rows.values()) {
      if (rows.length === limit) break;
      if (row.seq > after && (!arrivedOnly || row.arrived)) rows.push(row);
    }
    return rows;
  }

  sentMessage(id: string): MessageRow | undefined {
    return this.#rows.get(this.#sent.get(id) ?? 0);
  }

  message(peer: string, author: string, id: string): MessageRow | undefined {
    return this.#rows.get(this.#byName.get(nameOf(peer, author, id)) ?? 0);
  }

  conversation({ peer, before, after, limit }: ConversationQuery): readonly MessageRow[] {
    const rows = this.#pick(this.#byPeer.get(peer) ?? []);
    if (after !== undefined) {
      return rows
        .filter((row) => order(row, after) > 0)
        .sort(order)
        .slice(0, limit);
    }
    return rows
      .filter((row) => before === undefined || order(row, before) < 0)
      .sort((a, b) => order(b, a))
      .slice(0, limit);
  }

  changes(query: { readonly after: number; readonly limit: number }): readonly MessageRow[] {
    return [...this.#rows.values()]
      .filter((row) => row.revision > query.after)
      .sort((a, b) => a.revision - b.revision)
      .slice(0, query.limit);
  }

  expiring(query: { readonly throughMs: number; readonly limit: number }): readonly MessageRow[] {
    return this.#pick(this.#expiring)
      .filter((row) => (row.expiresAtMs ?? Number.POSITIVE_INFINITY) <= query.throughMs)
      .sort((a, b) => (a.expiresAtMs ?? 0) - (b.expiresAtMs ?? 0))
      .slice(0, query.limit);
  }

  search({ terms, before = Number.POSITIVE_INFINITY, limit }: SearchQuery): readonly MessageRow[] {
    const found: number[] = [];
    for (const [seq, words] of this.#terms) {
      if (seq < before && terms.length > 0 && terms.every((term) => words.has(term))) {
        found.push(seq);
      }
    }
    return this.#pick(found.sort((a, b) => b - a).slice(0, limit));
  }

  record(space: string, key: string): RecordRow | undefined {
    const found = this.#records.get(recordKey(space, key));
    return found && { key, value: found.value, version: found.version };
  }

  records(space: string, after: number): readonly RecordRow[] {
    return [...this.#records.values()]
      .filter((row) => row.space === space && row.version > after)
      .sort((a, b) => a.version - b.version)
      .map(({ key, value, version }) => ({ key, value, version }));
  }

  /** Every reason to refuse a commit. @throws StoreError `STORE_CONFLICT` */
  check(extra: ClientExtra): void {
    for (const { row } of extra.messagesReplaced ?? []) {
      if (this.#rows.get(row.seq)?.revision !== row.revision) throw conflict('message');
    }
    for (const { space, key, expectedVersion } of extra.records ?? []) {
      const version = this.#records.get(recordKey(space, key))?.version ?? 0;
      if (version !== expectedVersion) throw conflict('record');
    }
  }

  /** Write what `check` let pass. */
  write(extra: ClientExtra): void {
    for (const row of extra.messagesAdded ?? []) this.#add(row);
    for (const change of extra.messagesChanged ?? []) this.#change(change);
    for (const replacement of extra.messagesReplaced ?? []) this.#replace(replacement);
    for (const seq of extra.messagesRemoved ?? []) this.#remove(seq);
    for (const peer of extra.conversationsRemoved ?? []) {
      for (const seq of [...(this.#byPeer.get(peer) ?? [])]) this.#remove(seq);
    }
    for (const change of extra.records ?? []) this.#writeRecord(change);
  }

  #add({ terms, place, ...row }: NewMessage): void {
    const seq = ++this.#seq;
    this.#put({ ...row, seq, place: place ?? seq * PLACE_STEP, revision: ++this.#revision });
    if (!row.arrived) this.#sent.set(row.id, seq);
    if (terms !== undefined) this.#terms.set(seq, new Set(terms));
  }

  #change({ id, ...change }: MessageChange): void {
    const row = this.sentMessage(id);
    if (row !== undefined) this.#put({ ...row, ...change, revision: ++this.#revision });
  }

  #replace({ row, terms }: MessageReplacement): void {
    this.#put({ ...row, revision: ++this.#revision });
    if (terms !== undefined) this.#terms.set(row.seq, new Set(terms));
  }

  #put(row: MessageRow): void {
    const before = this.#rows.get(row.seq);
    if (before !== undefined && before.peer !== row.peer) this.#unlink(before);
    this.#rows.set(row.seq, row);
    const name = nameOf(row.peer, row.author, row.id);
    if (!this.#byName.has(name)) this.#byName.set(name, row.seq);
    const peers = this.#byPeer.get(row.peer) ?? new Set();
    this.#byPeer.set(row.peer, peers.add(row.seq));
    if (row.expiresAtMs === undefined) this.#expiring.delete(row.seq);
    else this.#expiring.add(row.seq);
  }

  #remove(seq: number): void {
    const row = this.#rows.get(seq);
    if (row === undefined) return;
    this.#rows.delete(seq);
    this.#terms.delete(seq);
    this.#expiring.delete(seq);
    if (this.#sent.get(row.id) === seq) this.#sent.delete(row.id);
    this.#unlink(row);
  }

  #unlink(row: MessageRow): void {
    this.#byPeer.get(row.peer)?.delete(row.seq);
    const name = nameOf(row.peer, row.author, row.id);
    if (this.#byName.get(name) !== row.seq) return;
    this.#byName.delete(name);
    for (const other of this.#pick(this.#byPeer.get(row.peer) ?? [])) {
      if (other.author === row.author && other.id === row.id && other.seq !== row.seq) {
        this.#byName.set(name, other.seq);
        return;
      }
    }
  }

  #writeRecord({ space, key, value }: RecordChange): void {
    const version = ++this.#revision;
    // Taken out first: the order of insertion is that of the versions.
    this.#records.delete(recordKey(space, key));
    if (value !== undefined)
      this.#records.set(recordKey(space, key), { space, key, value, version });
  }

  #pick(seqs: Iterable<number>): MessageRow[] {
    const rows: MessageRow[] = [];
    for (const seq of seqs) {
      const row = this.#rows.get(seq);
      if (row !== undefined) rows.push(row);
    }
    return rows;
  }
}

function order(a: Position, b: Position): number {
  return a.place - b.place || a.seq - b.seq;
}

function nameOf(peer: string, author: string, id: string): string {
  return `${peer}/${author}/${id}`;
}

function recordKey(space: string, key: string): string {
  return `${space}/${key}`;
}

function conflict(what: string): StoreError {
  return new StoreError('STORE_CONFLICT', `${what} was written since it was read`);
}
