/**
 * 13 Relay §3.3, §6. Publish prekeys, take one of each kind, count what is left.
 */
import {
  type AccountId,
  type PrekeyUpload,
  type TakePrekeysRequest,
  toHex,
} from '@qasid/protocol/envelope';
import type { Authorised } from '../protocol/connection.js';
import { CONFIRMED, confirmed, type Reply, refused } from '../protocol/replies.js';
import { type Context, limitUpload, storeRefusal } from './context.js';
import type { Presence } from './presence.js';

/** The prekeys of a relay. */
export class Prekeys {
  readonly #context: Context;
  readonly #presence: Presence;

  constructor(context: Context, presence: Presence) {
    this.#context = context;
    this.#presence = presence;
  }

  /** Add to the device's own prekeys. */
  async put(who: Authorised, prekeys: PrekeyUpload): Promise<Reply> {
    const limited = limitUpload(this.#context, who.mailbox);
    if (limited !== undefined) return limited;
    try {
      const { mailbox } = who;
      const result = await this.#context.writer.submit({ kind: 'putPrekeys', mailbox, prekeys });
      if (result.kind === 'tooMany') return refused('TOO_LARGE');
      if (result.kind === 'noMailbox') return refused('REFUSED');
      const { oneTime, kem } = result.stock;
      this.#presence.get(mailbox)?.tellStock(oneTime, kem);
      return CONFIRMED;
    } catch (error) {
      return storeRefusal(this.#context, error);
    }
  }

  /**
   * Take prekeys of an account. Committed before the answer leaves, so a key that was shown once is never
   * shown again. Who asks too often waits; a target that is asked for too often keeps its last keys for
   * later and hands out those of last resort (ATK-B05).
   */
  async take(who: Authorised, op: TakePrekeysRequest): Promise<Reply> {
    return this.takeFor(String(who.mailbox), op.account, op.devices);
  }

  /** The same for a requester who is known by `asks` alone. */
  async takeFor(asks: string, account: AccountId, devices: readonly number[]): Promise<Reply> {
    const { budgets, clock, writer, metrics } = this.#context;
    const nowMs = clock.monotonicMs();
    const target = toHex(account);
    const wait = budgets.prekeysPerPair.take(`${asks} ${target}`, 1, nowMs);
    if (wait > 0) return refused('RATE_LIMITED', wait);
    if (writer.isFull) return refused('BUSY', 500);
    const lastResortOnly = budgets.prekeysPerTarget.take(target, 1, nowMs) > 0;
    try {
      const write = { kind: 'takePrekeys', account, devices, lastResortOnly } as const;
      const result = await writer.submit(write);
      if (result.kind === 'noAccount') return refused('NOT_FOUND');
      for (const { mailbox, oneTime, kem } of result.stocks) {
        this.#presence.get(mailbox)?.tellStock(oneTime, kem);
      }
      const { identityKey, signed, bundles } = result;
      metrics.prekeysEmpty += bundles.filter(({ kemLastResort }) => kemLastResort).length;
      return confirmed({ kind: 'bundles', identityKey, devices: signed, bundles });
    } catch (error) {
      return storeRefusal(this.#context, error);
    }
  }

  /** What is left of the device's own. */
  async count(who: Authorised): Promise<Reply> {
    try {
      const counts = await this.#context.store.prekeyCounts(who.mailbox);
      return confirmed({ kind: 'prekeyCounts', ...counts });
    } catch (error) {
      return storeRefusal(this.#context, error);
    }
  }
}
