/**
 * 13 Relay §10. Delivery tokens and inlets, as their owner sees them: register, replace, list, remove.
 */
import type { Bytes, PutTokenRequest } from '@qasid/protocol/envelope';
import { toHex } from '@qasid/protocol/envelope';
import type { Authorised } from '../protocol/connection.js';
import { CONFIRMED, confirmed, type Reply, refused } from '../protocol/replies.js';
import { type Context, storeRefusal } from './context.js';

/** The tokens of a relay's accounts. */
export class Tokens {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  /** Register, or replace what the account has under this id. The same again is `CONFIRMED` again. */
  async put(who: Authorised, op: PutTokenRequest): Promise<Reply> {
    const limited = this.#limit(who);
    if (limited !== undefined) return limited;
    const { clock, config, writer } = this.#context;
    const minute = Math.floor(clock.nowMs() / 60_000);
    if (op.expiresMinute !== 0 && op.expiresMinute <= minute) return refused('BAD_REQUEST');
    const { id, isInlet, mayFetchKeys, expiresMinute, rate, verifier } = op;
    try {
      const result = await writer.submit({
        kind: 'putToken',
        account: who.account,
        mailbox: who.mailbox,
        terms: { id, isInlet, mayFetchKeys, expiresMinute, rate },
        verifier,
        countMax: config.tokensMax,
      });
      if (result.kind === 'tooMany') return refused('TOO_LARGE');
      return result.kind === 'notOwn' ? refused('REFUSED') : CONFIRMED;
    } catch (error) {
      return storeRefusal(this.#context, error);
    }
  }

  /** What the account has, without the verifiers. */
  async list(who: Authorised): Promise<Reply> {
    try {
      const rows = await this.#context.store.tokens(who.account);
      const tokens = rows.map(({ account: _, verifier: __, ...terms }) => terms);
      return confirmed({ kind: 'tokens', tokens });
    } catch (error) {
      return storeRefusal(this.#context, error);
    }
  }

  /** Remove one of the account's. What is not there, or not the account's, is removed already. */
  async remove(who: Authorised, id: Bytes): Promise<Reply> {
    const limited = this.#limit(who);
    if (limited !== undefined) return limited;
    try {
      await this.#context.writer.submit({ kind: 'removeToken', account: who.account, id });
      return CONFIRMED;
    } catch (error) {
      return storeRefusal(this.#context, error);
    }
  }

  #limit(who: Authorised): Reply | undefined {
    const { budgets, clock, isDraining } = this.#context;
    if (isDraining) return refused('DRAINING', 2_000);
    const wait = budgets.tokens.take(toHex(who.account), 1, clock.monotonicMs());
    return wait > 0 ? refused('RATE_LIMITED', wait) : undefined;
  }
}
