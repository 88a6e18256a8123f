/**
 * Reading what is stored: the history, new messages as they come, and waiting for a change.
 *
 * Everything goes by the store, not by what this process did itself: a message that another process of the
 * same profile received shows up here as well.
 */
import type { Clock } from './clock.js';
import { toMessage, type Message, type Sender } from './api.js';
import type { ClientStore, MessageRow, Profile } from './stores/port.js';

/** Rows read at once. */
const PAGE = 200;

/** The stored messages of one client. */
export class History {
  readonly #store: ClientStore;
  readonly #clock: Clock;
  readonly #self: () => Profile | undefined;
  readonly #names = new Map<string, string>();
  #closed = false;
  readonly #wake = new Set<() => void>();
  #unwatch: (() => void) | undefined;

  constructor(store: ClientStore, clock: Clock, self: () => Profile | undefined) {
    this.#store = store;
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
    let from = after;
    while (out.length < limit) {
      const rows = await this.#store.loadMessages({ after: from, limit: PAGE });
      for (const row of rows) {
        from = row.seq;
        if (row.kind === 'undecryptable') continue;
        out.push(await this.message(row));
        if (out.length === limit) break;
      }
      if (rows.length < PAGE) break;
    }
    return out;
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

  /** A row with its sender's name. */
  async message(row: MessageRow): Promise<Message> {
    return toMessage(row, await this.#sender(row));
  }

  async #sender(row: MessageRow): Promise<Sender> {
    const self = this.#self();
    if (row.direction === 'sent' && self !== undefined) {
      return { account: self.account, username: self.username, device: row.device };
    }
    let username = this.#names.get(row.peer);
    if (username === undefined && row.peer !== '') {
      username = (await this.#store.loadContact(row.peer))?.username;
      if (username !== undefined) this.#names.set(row.peer, username);
    }
    return { account: row.peer, username, device: row.device };
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
