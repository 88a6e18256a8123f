/**
 * 15 Content §7. Receipts: to accepted contacts only, gathered, and never more than one a minute to anybody.
 *
 * Who sends a thousand things learns from the answers no more than who sends one: not when the screen is
 * on, not how quick the network is. ATK-D05.
 */
import { toHex, type CryptoProvider } from '@qasid/protocol';

import type { Clock, Timer } from './clock.js';
import { CONTENT_ID_BYTES, encodeContent } from './content/index.js';
import type { Giving } from './sealed/tokens.js';
import type { ClientStore, RecordRow } from './stores/port.js';
import { Batch, SPACE } from './timeline/batch.js';
import { decodeDue, encodeDue, takeReceipt, type ReceiptsDue } from './timeline/receipts-due.js';

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
  readonly policy: { readonly delivered: boolean; readonly read: boolean };
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
    let left = false;
    for (const row of rows) left = (await this.#send(row)) || left;
    if (rows.length > 0) this.#lastAtMs = clock.now();
    this.#running = undefined;
    if (left) this.poke();
  }

  /** Whether there is more for this account. */
  async #send({ key: account, value, version }: RecordRow): Promise<boolean> {
    const { store, clock, crypto, policy } = this.#options;
    const state = await new Batch(store).conversation(account);
    const contact = await store.loadContact(account);
    const wanted = allowed(decodeDue(value), policy);
    // Asked again here: a person may have blocked this account since.
    const accepted = state?.settings.status === 'accepted' && contact !== undefined;
    const { body, left } = takeReceipt(wanted);
    const nothing = body.delivered.length + body.read.length + body.viewed.length === 0;
    const next = accepted ? encodeDue(left) : undefined;
    const id = crypto.randomBytes(CONTENT_ID_BYTES);
    const giving = accepted && !nothing ? await this.#options.giving?.(account) : undefined;
    const done = { space: SPACE.receipts, key: account, value: next, expectedVersion: version };
    await store.commit({
      extra: {
        records: giving === undefined ? [done] : [done, giving.record],
        ...(accepted &&
          !nothing && {
            outboxAdded: [
              {
                kind: 'receipt',
                messageId: toHex(id),
                account,
                username: contact.username,
                content: encodeContent({
                  id,
                  sentAtMs: clock.now(),
                  body,
                  ...(giving && { delivery: giving.delivery }),
                }),
                parts: undefined,
                held: false,
                copied: true,
              },
            ],
          }),
      },
    });
    return next !== undefined;
  }
}

function allowed(due: ReceiptsDue, policy: ReceiptsOptions['policy']): ReceiptsDue {
  const delivered = policy.read ? due.delivered : [...due.delivered, ...due.read, ...due.viewed];
  return {
    delivered: policy.delivered ? delivered : [],
    read: policy.read ? due.read : [],
    viewed: policy.read ? due.viewed : [],
  };
}
