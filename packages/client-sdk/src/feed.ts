/**
 * Events from the store: what this process or another one of the profile committed, for as long as the client
 * is open, over any trouble with the store.
 */
import type { ClientEvents, LogLine, Undecryptable } from './api.js';
import { sleep, type Clock } from './clock.js';
import { decodeConversation } from './content/conversation-state.js';
import type { Emitter } from './events.js';
import type { GroupEvent } from './groups/events.js';
import type { History } from './history.js';
import type { ClientStore, MessageRow } from './stores/port.js';
import type { Signal } from './signals.js';
import { SPACE } from './timeline/batch.js';
import type { Happening } from './timeline/types.js';

/** How long to wait before reading again when the store could not be read. */
const FEED_RETRY_MS = 1_000;

/** Changed rows read at once. */
const PAGE = 200;

/** What the feed needs. */
export interface FeedOptions {
  readonly store: ClientStore;
  readonly clock: Clock;
  readonly history: History;
  readonly emitter: Emitter<ClientEvents>;
  readonly signals: Emitter<{ readonly signal: Signal }>;
  note(event: LogLine['event'], code: string): void;
  trouble(error: unknown): void;
}

/** Tells of rows and records. */
export class Feed {
  readonly #options: FeedOptions;
  #closed = false;
  #undecryptable = 0;

  constructor(options: FeedOptions) {
    this.#options = options;
  }

  /** Tell of everything committed from now on. */
  async start(): Promise<void> {
    const { store } = this.#options;
    void this.#arrivals(await store.lastSeq());
    void this.#changes(await store.lastRevision());
  }

  /** Tell no more. */
  close(): void {
    this.#closed = true;
  }

  /** Tell of what the store does not show. */
  happened(happenings: readonly Happening[]): void {
    const { emitter, signals, trouble } = this.#options;
    for (const happening of happenings) {
      switch (happening.kind) {
        case 'gap': {
          const { kind: _, ...gap } = happening;
          emitter.emit('gap', gap);
          break;
        }
        case 'receipt': {
          const { kind: _, ...receipt } = happening;
          emitter.emit('receipt', receipt);
          break;
        }
        case 'typing': {
          const { kind: _, ...typing } = happening;
          emitter.emit('typing', typing);
          break;
        }
        case 'request':
          this.#request(happening.peer).catch(trouble);
          break;
        case 'signal': {
          const { author: account, device, content } = happening.entry;
          const { body } = content;
          if (body.kind === 'call') signals.emit('signal', { account, device, data: body.data });
          break;
        }
      }
    }
  }

  /** Tell of groups. */
  group(event: GroupEvent): void {
    const { kind, ...rest } = event;
    this.#options.emitter.emit(`group-${kind}`, rest as never);
  }

  async #request(peer: string): Promise<void> {
    const { store, history, emitter } = this.#options;
    const row = await store.loadRecord(SPACE.conversation, peer);
    if (row === undefined) return;
    emitter.emit('request', await history.info(peer, decodeConversation(row.value)));
  }

  async #arrivals(after: number): Promise<void> {
    const { history, clock, trouble } = this.#options;
    let from = after;
    while (!this.#closed) {
      try {
        for await (const row of history.arrivals(from)) {
          await this.#tell(row);
          from = row.seq;
        }
      } catch (error) {
        trouble(error);
        await sleep(clock, FEED_RETRY_MS);
      }
    }
  }

  async #tell(row: MessageRow): Promise<void> {
    const { history, emitter, note } = this.#options;
    if (row.kind !== 'undecryptable') {
      emitter.emit('message', await history.message(row));
      return;
    }
    this.#undecryptable++;
    const cause = row.cause ?? 'INTERNAL_INVARIANT';
    note('undecryptable', cause);
    emitter.emit('undecryptable', {
      seq: row.seq,
      claimedAccount: row.peer === '' ? undefined : row.peer,
      claimedDevice: row.device === 0 ? undefined : row.device,
      cause,
      causeClass: causeClassOf(cause),
      count: this.#undecryptable,
    });
  }

  async #changes(after: number): Promise<void> {
    const { store, history, clock, emitter, trouble } = this.#options;
    let from = after;
    while (!this.#closed) {
      try {
        await history.until(async () => {
          if (this.#closed) return true;
          const last = await store.lastRevision();
          if (last === from) return undefined;
          // Asked before reading: what comes meanwhile is told the next time.
          if (emitter.hears('message-changed')) await this.#rows(from, last);
          if (emitter.hears('conversation-changed')) await this.#conversations(from, last);
          from = last;
          return undefined;
        }, undefined);
      } catch (error) {
        trouble(error);
        await sleep(clock, FEED_RETRY_MS);
      }
    }
  }

  async #rows(after: number, last: number): Promise<void> {
    const { store, history, emitter } = this.#options;
    for (let from = after; from < last; ) {
      const rows = await store.loadChanges({ after: from, limit: PAGE });
      for (const row of rows) {
        from = row.revision;
        // As it arrived: `message` tells of it.
        if (row.kind === 'undecryptable' || (row.arrived && row.state === undefined)) continue;
        emitter.emit('message-changed', await history.message(row));
      }
      if (rows.length < PAGE) return;
    }
  }

  async #conversations(after: number, last: number): Promise<void> {
    const { store, history, emitter } = this.#options;
    for (const { key, value, version } of await store.loadRecords(SPACE.conversation, after)) {
      if (version > last) return;
      emitter.emit('conversation-changed', await history.info(key, decodeConversation(value)));
    }
  }
}

function causeClassOf(cause: string): Undecryptable['causeClass'] {
  if (cause.startsWith('DECODE_')) return 'format';
  if (cause.startsWith('LIMIT_')) return 'limit';
  if (cause.startsWith('STATE_')) return cause === 'STATE_SELF_SEND' ? 'sender' : 'session';
  if (cause === 'VERIFY_DECRYPTION' || cause === 'VERIFY_BASE_KEY') return 'forged';
  return 'sender';
}
