/**
 * Reads and writes of one commit over messages and records: what was read is what is overwritten, or the
 * commit is refused and redone.
 */
import { samePublicBytes, type Bytes } from '@qasid/protocol';

import {
  decodeConversation,
  encodeConversation,
  newConversation,
  type ConversationState,
} from '../content/conversation-state.js';
import {
  decodeIncoming,
  decodeOutgoing,
  encodeIncoming,
  encodeOutgoing,
  type IncomingChain,
  type OutgoingChain,
} from '../content/index.js';
import type {
  ClientExtra,
  ClientStore,
  ConversationQuery,
  MessageReplacement,
  MessageRow,
  NewMessage,
  RecordChange,
} from '../stores/port.js';

/** Kinds of records. Readable in the file: they say nothing of anybody. */
export const SPACE = {
  conversation: 'conversation',
  /** Chains of other devices, by conversation, account and device. */
  incoming: 'chain-in',
  /** Our own chain, by conversation. A store that was put back forgets it: stores/restored.ts. */
  outgoing: 'chain-out',
  /** Changes that wait for their message, by conversation. */
  waiting: 'waiting',
  /** Receipts to send, by account. */
  receipts: 'receipts',
  /** Our own delivery token. */
  ownToken: 'token-own',
  /** Delivery tokens of others, by account. */
  token: 'token',
  /** Which of our tokens an account has, by account. */
  given: 'token-given',
  /** Messages whose documents are being uploaded, by content id. */
  upload: 'upload',
  /** What deletes blobs of ours, by blob id. */
  blob: 'blob',
  /** Blobs to delete, by blob id. */
  blobDrop: 'blob-drop',
  /** Questions about blobs for the process that is connected, and its answers. */
  blobAsk: 'blob-ask',
  blobAnswer: 'blob-answer',
  /** What was sent in the last day, to be sent again when it could not be opened. */
  sent: 'sent',
  /** Repair with other devices, by address. */
  repair: 'repair',
  /** Messages that were deleted lately, and must not come back. */
  gone: 'gone',
  /** Envelopes that a limit put off. */
  putOff: 'put-off',
  /** What was decided about identity keys, by account. */
  trust: 'trust',
  /** What was done to a store once. */
  meta: 'meta',
} as const;

interface Cell {
  readonly space: string;
  readonly key: string;
  readonly version: number;
  readonly before: Bytes | undefined;
  value: Bytes | undefined;
}

/** Everything one content, or one wish of a person, changes. */
export class Batch {
  readonly #store: ClientStore;
  readonly #cells = new Map<string, Cell>();
  readonly #rows = new Map<number, MessageReplacement>();
  readonly #added: NewMessage[] = [];
  readonly #removed = new Set<number>();
  readonly #cleared = new Set<string>();

  constructor(store: ClientStore) {
    this.#store = store;
  }

  /** A record as this batch has it. */
  async record(space: string, key: string): Promise<Bytes | undefined> {
    return (await this.#cell(space, key)).value;
  }

  async setRecord(space: string, key: string, value: Bytes | undefined): Promise<void> {
    (await this.#cell(space, key)).value = value;
  }

  /** Remove the records of a space whose keys are picked. */
  async removeRecords(space: string, picks: (key: string) => boolean): Promise<void> {
    for (const { key, version, value: before } of await this.#store.loadRecords(space)) {
      if (!picks(key)) continue;
      const cell = this.#cells.get(cellName(space, key)) ?? { space, key, version, before };
      this.#cells.set(cellName(space, key), { ...cell, value: undefined });
    }
    for (const cell of this.#cells.values()) {
      if (cell.space === space && picks(cell.key)) cell.value = undefined;
    }
  }

  async conversation(peer: string): Promise<ConversationState | undefined> {
    const value = await this.record(SPACE.conversation, peer);
    return value === undefined ? undefined : decodeConversation(value);
  }

  async setConversation(peer: string, state: ConversationState): Promise<void> {
    await this.setRecord(SPACE.conversation, peer, encodeConversation(state));
  }

  /** Change a conversation, which begins as a request when it is not there. */
  async changeConversation(
    peer: string,
    change: (state: ConversationState) => ConversationState,
  ): Promise<ConversationState> {
    const state = change((await this.conversation(peer)) ?? newConversation('request'));
    await this.setConversation(peer, state);
    return state;
  }

  async outgoing(peer: string): Promise<OutgoingChain | undefined> {
    const value = await this.record(SPACE.outgoing, peer);
    return value === undefined ? undefined : decodeOutgoing(value);
  }

  async setOutgoing(peer: string, state: OutgoingChain): Promise<void> {
    await this.setRecord(SPACE.outgoing, peer, encodeOutgoing(state));
  }

  async incoming(name: string): Promise<IncomingChain | undefined> {
    const value = await this.record(SPACE.incoming, name);
    return value === undefined ? undefined : decodeIncoming(value);
  }

  /** All chains of others in a conversation, by name. */
  async incomingOf(peer: string): Promise<readonly (readonly [string, IncomingChain])[]> {
    const found: (readonly [string, IncomingChain])[] = [];
    for (const { key } of await this.#store.loadRecords(SPACE.incoming)) {
      const chain = key.startsWith(`${peer}/`) ? await this.incoming(key) : undefined;
      if (chain !== undefined) found.push([key, chain]);
    }
    return found;
  }

  async setIncoming(name: string, state: IncomingChain): Promise<void> {
    await this.setRecord(SPACE.incoming, name, encodeIncoming(state));
  }

  /** A message as this batch has it. */
  async message(peer: string, author: string, id: string): Promise<MessageRow | undefined> {
    const row = await this.#store.loadMessage(peer, author, id);
    if (row === undefined || this.#removed.has(row.seq)) return undefined;
    return this.#rows.get(row.seq)?.row ?? row;
  }

  /** A page of a conversation as this batch has it. */
  async page(query: ConversationQuery): Promise<readonly MessageRow[]> {
    const rows = await this.#store.loadConversation(query);
    return rows.map((row) => this.#rows.get(row.seq)?.row ?? row);
  }

  replace(row: MessageRow, terms?: readonly string[]): void {
    const before = this.#rows.get(row.seq);
    this.#rows.set(row.seq, { row, terms: terms ?? before?.terms });
  }

  add(row: NewMessage): void {
    this.#added.push(row);
  }

  remove(seq: number): void {
    this.#removed.add(seq);
    this.#rows.delete(seq);
  }

  clear(peer: string): void {
    this.#cleared.add(peer);
  }

  /** What to commit. */
  toExtra(): ClientExtra {
    const records: RecordChange[] = [];
    for (const { space, key, version, before, value } of this.#cells.values()) {
      if (sameBytes(before, value)) continue;
      records.push({ space, key, value, expectedVersion: version });
    }
    return {
      ...(this.#added.length > 0 && { messagesAdded: this.#added }),
      ...(this.#rows.size > 0 && { messagesReplaced: [...this.#rows.values()] }),
      ...(this.#removed.size > 0 && { messagesRemoved: [...this.#removed] }),
      ...(this.#cleared.size > 0 && { conversationsRemoved: [...this.#cleared] }),
      ...(records.length > 0 && { records }),
    };
  }

  async #cell(space: string, key: string): Promise<Cell> {
    const name = cellName(space, key);
    let cell = this.#cells.get(name);
    if (cell === undefined) {
      const row = await this.#store.loadRecord(space, key);
      cell = { space, key, version: row?.version ?? 0, before: row?.value, value: row?.value };
      this.#cells.set(name, cell);
    }
    return cell;
  }
}

function cellName(space: string, key: string): string {
  return `${space}/${key}`;
}

/** Parts of a commit as one. */
export function joinExtras(...parts: readonly ClientExtra[]): ClientExtra {
  const out: Record<string, unknown> = {};
  for (const part of parts) {
    for (const [name, value] of Object.entries(part)) {
      const before = out[name];
      out[name] = Array.isArray(before) && Array.isArray(value) ? [...before, ...value] : value;
    }
  }
  return out as ClientExtra;
}

function sameBytes(a: Bytes | undefined, b: Bytes | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a === b || samePublicBytes(a, b);
}
