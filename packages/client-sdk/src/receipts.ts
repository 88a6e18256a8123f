/**
 * 15 Content §7. Receipts: to accepted contacts only, gathered, and never more than one a minute to anybody.
 *
 * Who sends a thousand things learns from the answers no more than who sends one: not when the screen is
 * on, not how quick the network is. ATK-D05.
 */
import type { CryptoProvider } from '@qasid/protocol';

import type { Clock, Timer } from './clock.js';
import { receiptRow } from './receipt-row.js';
import type { Giving } from './sealed/tokens.js';
import type { ClientStore, RecordChange, RecordRow } from './stores/port.js';
import { Batch, SPACE } from './timeline/batch.js';
import { accountOf, takeReceipt, type ReceiptPolicy } from './timeline/receipts-due.js';

/** Least time between two receipts to one account. Lower: answers begin to tell of the network. */
export const RECEIPT_INTERVAL_MS = 60_000;

/** Added to it, uniformly. */
const JITTER_MS = 30_000;

/** Before the first receipt after a quiet time: uniformly between these. */
const FIRST_MIN_MS = 3_000;
const FIRST_MAX_MS = 15_000;

/** What the sender of receipts needs. */
export interface ReceiptsOptions {
  readonly store: ClientStore;
  readonly clock: Clock;
  readonly crypto: CryptoProvider;
  /** Uniform in [0, 1). */
  readonly dice: () => number;
  readonly policy: ReceiptPolicy;
  /** Our delivery token, when this account is to get it. */
  readonly giving?: (account: string) => Promise<Giving | undefined>;
  readonly onTrouble: (error: unknown) => void;
}

/** Sends what is due. Only the owner of the connection runs one. */
export class Receipts {
  readonly #options: ReceiptsOptions;
  #timer: Timer | undefined;
  #lastAtMs: number | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(options: ReceiptsOptions) {
    this.#options = options;
  }

  /** Something may be due. */
  poke(): void {
    if (this.#stopped || this.#timer !== undefined || this.#running !== undefined) return;
    const { clock, dice } = this.#options;
    const first = FIRST_MIN_MS + Math.floor(dice() * (FIRST_MAX_MS - FIRST_MIN_MS));
    // A clock that was set back must not silence us for longer than an interval.
    const since = this.#lastAtMs === undefined ? Infinity : clock.now() - this.#lastAtMs;
    const rest = Math.min(RECEIPT_INTERVAL_MS, RECEIPT_INTERVAL_MS - since);
    const wait = rest > 0 ? rest + Math.floor(dice() * JITTER_MS) : first;
    this.#timer = clock.after(wait, () => {
      this.#timer = undefined;
      this.#running = this.#flush()
        .catch((error: unknown) => this.#options.onTrouble(error))
        .finally(() => {
          this.#running = undefined;
        });
    });
  }

  /** Send no more; what is due stays in the store. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#running;
  }

  async #flush(): Promise<void> {
    const { store, clock } = this.#options;
    const rows = await store.loadRecords(SPACE.receipts);
    const byAccount = new Map<string, RecordRow[]>();
    for (const row of rows) {
      const account = accountOf(row.key);
      const list = byAccount.get(account) ?? [];
      list.push(row);
      byAccount.set(account, list);
    }
    let left = false;
    for (const [account, due] of byAccount) left = (await this.#send(account, due)) || left;
    if (rows.length > 0) this.#lastAtMs = clock.now();
    this.#running = undefined;
    if (left) this.poke();
  }

  /** Whether there is more for this account. */
  async #send(account: string, rows: readonly RecordRow[]): Promise<boolean> {
    const { store, policy } = this.#options;
    const state = await new Batch(store).conversation(account);
    const contact = await store.loadContact(account);
    // Asked again here: a person may have blocked this account since.
    if (state?.settings.status !== 'accepted' || contact === undefined) {
      await this.#commit(rows.map(gone));
      return false;
    }
    const { body, changes, left } = takeReceipt(rows, policy);
    if (body.delivered.length + body.read.length + body.viewed.length === 0) {
      await this.#commit(changes);
      return left;
    }
    const giving = await this.#options.giving?.(account);
    const row = receiptRow(this.#options, contact, body, giving?.delivery);
    const records = giving === undefined ? changes : [...changes, giving.record];
    await store.commit({ extra: { records, outboxAdded: [row] } });
    return left;
  }

  async #commit(records: readonly RecordChange[]): Promise<void> {
    if (records.length > 0) await this.#options.store.commit({ extra: { records } });
  }
}

function gone({ key, version }: RecordRow): RecordChange {
  return { space: SPACE.receipts, key, value: undefined, expectedVersion: version };
}
