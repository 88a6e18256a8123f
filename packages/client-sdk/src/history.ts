/**
 * Reading what is stored: the history, new messages as they come, and waiting for a change.
 *
 * Everything goes by the store, not by what this process did itself: a message that another process of the
 * same profile received shows up here as well.
 */
import type { Clock } from './clock.js';
import type { ConversationInfo, Message, Sender } from './api.js';
import { decodeConversation, type ConversationState } from './content/conversation-state.js';
import { queryTerms } from './content/terms.js';
import { lastDeviceChange } from './linking/device-changes.js';
import { viewConversation, viewMessage, type ViewDeps } from './message-view.js';
import type { ClientStore, MessageRow, Position, Profile } from './stores/port.js';
import { Batch, SPACE } from './timeline/batch.js';

/** Rows read at once. */
const PAGE = 200;

/** The stored messages of one client. */
export class History {
  readonly #deps: ViewDeps;
  readonly #store: ClientStore;
  readonly #clock: Clock;
  readonly #self: () => Profile | undefined;
  readonly #names = new Map<string, string>();
  #closed = false;
  readonly #wake = new Set<() => void>();
  #unwatch: (() => void) | undefined;

  constructor(deps: ViewDeps, clock: Clock, self: () => Profile | undefined) {
    this.#deps = deps;
    this.#store = deps.store;
    this.#clock = clock;
    this.#self = self;
  }

  /** End all waiting. */
  close(): void {
    this.#closed = true;
    this.#unwatch?.();
    this.poke();
  }

  /** Something other than the store changed that somebody may wait for. */
  poke(): void {
    for (const wake of [...this.#wake]) wake();
  }

  /** Messages after `after`, oldest first. */
  async page(after: number, limit: number): Promise<readonly Message[]> {
    const out: Message[] = [];
    const states = new Batch(this.#store);
    let from = after;
    while (out.length < limit) {
      const rows = await this.#store.loadMessages({ after: from, limit: PAGE });
      for (const row of rows) {
        from = row.seq;
        if (row.kind === 'undecryptable' || this.isOver(row)) continue;
        out.push(await this.message(row, states));
        if (out.length === limit) break;
      }
      if (rows.length < PAGE) break;
    }
    return out;
  }

  /** A page of one conversation, in its order; without `after` the newest. */
  async conversation(
    peer: string,
    query: { readonly before?: Position; readonly after?: Position; readonly limit: number },
  ): Promise<readonly Message[]> {
    const rows = await this.#store.loadConversation({ peer, ...query });
    const shown = rows.filter((row) => row.kind !== 'undecryptable' && !this.isOver(row));
    const states = new Batch(this.#store);
    const messages: Message[] = [];
    for (const row of shown) messages.push(await this.message(row, states));
    return query.after === undefined ? messages.reverse() : messages;
  }

  /** Messages that hold all words of `query`, newest first; in one conversation, or in all. */
  async search(
    query: string,
    options: { readonly peer?: string; readonly before?: number; readonly limit: number },
  ): Promise<readonly Message[]> {
    const terms = queryTerms(query);
    const found: Message[] = [];
    const states = new Batch(this.#store);
    // Where rows of other conversations are passed over, more are read at once.
    const most = options.peer === undefined ? Math.min(options.limit, PAGE) : PAGE;
    let { before } = options;
    while (terms.length > 0 && found.length < options.limit) {
      const rows = await this.#store.searchMessages({ terms, before, limit: most });
      for (const row of rows) {
        before = row.seq;
        if ((options.peer ?? row.peer) !== row.peer || this.isOver(row)) continue;
        found.push(await this.message(row, states));
        if (found.length === options.limit) break;
      }
      if (rows.length < most) break;
    }
    return found;
  }

  /** Whether a message has disappeared, also when nobody has removed it yet. ATK-H11. */
  isOver(row: Pick<MessageRow, 'expiresAtMs'>): boolean {
    return row.expiresAtMs !== undefined && row.expiresAtMs <= this.#clock.now();
  }

  /** All conversations, the one with the last message first. */
  async conversations(): Promise<readonly ConversationInfo[]> {
    const rows = await this.#deps.store.loadRecords(SPACE.conversation);
    const all = await Promise.all(
      rows.map(({ key, value }) => this.info(key, decodeConversation(value))),
    );
    return all.sort((a, b) => b.lastActivityMs - a.lastActivityMs);
  }

  /** Messages that arrive; those after `after`, by default only what arrives from now on. */
  async *messages(after: number | undefined): AsyncGenerator<Message, void, undefined> {
    for await (const row of this.arrivals(after ?? (await this.#store.lastSeq()))) {
      if (row.kind !== 'undecryptable') yield await this.message(row);
    }
  }

  /** A conversation as a program sees it. */
  async info(peer: string, state: ConversationState): Promise<ConversationInfo> {
    const changed = await lastDeviceChange(this.#store, peer);
    return viewConversation(peer, await this.#nameOf(peer), state, changed);
  }

  /** Rows that arrived after `after`, now and for as long as somebody asks. */
  async *arrivals(after: number): AsyncGenerator<MessageRow, void, void> {
    let from = after;
    while (!this.#closed) {
      const changed = this.#nextChange();
      const rows = await this.#store.loadMessages({ after: from, limit: PAGE, arrivedOnly: true });
      for (const row of rows) {
        if (this.#closed) return;
        from = row.seq;
        yield row;
      }
      if (rows.length === 0) await changed;
    }
  }

  /**
   * Ask `probe` now and after each commit, until it gives something.
   *
   * @returns `undefined` after `timeoutMs`, or when the client closes.
   */
  async until<Value>(
    probe: () => Promise<Value | undefined>,
    timeoutMs: number | undefined,
  ): Promise<Value | undefined> {
    let over = false;
    const timer =
      timeoutMs === undefined
        ? undefined
        : this.#clock.after(timeoutMs, () => {
            over = true;
            this.poke();
          });
    try {
      for (;;) {
        const changed = this.#nextChange();
        const value = await probe();
        if (value !== undefined || over || this.#closed) return value;
        await changed;
      }
    } finally {
      timer?.cancel();
    }
  }

  /**
   * A row with its sender's name.
   *
   * @param states - Where conversations are looked up: one for a page, so that each is read once.
   */
  async message(row: MessageRow, states: Batch = new Batch(this.#store)): Promise<Message> {
    const isTheirs = row.direction === 'received' && row.peer !== '';
    const state = isTheirs ? await states.conversation(row.peer) : undefined;
    const request = state?.settings.status === 'request';
    return viewMessage(this.#deps, row, await this.#sender(row), request);
  }

  async #sender(row: MessageRow): Promise<Sender> {
    const self = this.#self();
    if (row.direction === 'sent' && self !== undefined) {
      return { account: self.account, username: self.username, device: row.device };
    }
    return { account: row.author, username: await this.#nameOf(row.author), device: row.device };
  }

  async #nameOf(account: string): Promise<string | undefined> {
    let username = this.#names.get(account);
    if (username === undefined && account !== '') {
      username = (await this.#store.loadContact(account))?.username;
      if (username !== undefined) this.#names.set(account, username);
    }
    return username;
  }

  #nextChange(): Promise<void> {
    this.#unwatch ??= this.#store.watch(() => this.poke());
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#wake.delete(wake);
        resolve();
      };
      this.#wake.add(wake);
      if (this.#closed) wake();
    });
  }
}
