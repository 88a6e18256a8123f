/**
 * 08 Session. What forged messages may cost. One that jumps ahead makes us step chains before its MAC can be
 * checked, on every session that it is tried on; one that starts a session makes us agree on keys. The budgets
 * bound that work over time.
 *
 * Only messages that nobody could open are charged, so honest traffic never spends anything.
 */
import { LimitError } from './errors.js';
import {
  FORWARD_BUDGET_REFILL_PER_SECOND,
  FORWARD_BUDGET_STEPS,
  FORWARD_STEPS_ALWAYS,
  HANDSHAKE_BUDGET_ACCOUNTS,
  HANDSHAKE_BUDGET_SENDER,
  HANDSHAKE_BUDGET_SENDER_PER_MINUTE,
  HANDSHAKE_BUDGET_STRANGERS,
  HANDSHAKE_BUDGET_STRANGERS_PER_MINUTE,
} from './limits.js';

/** One bucket for all senders: who wrote a message that does not open is not known. Source: 08 §8. */
export class ForwardBudget {
  #steps: number = FORWARD_BUDGET_STEPS;
  #atMs = 0;

  /** Steps that one message may cost now; never below `FORWARD_STEPS_ALWAYS`. */
  available(nowMs: number): number {
    // A clock that was set back refills nothing and takes nothing.
    const seconds = Math.max(0, nowMs - this.#atMs) / 1000;
    this.#atMs = nowMs;
    this.#steps = Math.min(
      FORWARD_BUDGET_STEPS,
      this.#steps + seconds * FORWARD_BUDGET_REFILL_PER_SECOND,
    );
    return Math.max(FORWARD_STEPS_ALWAYS, Math.floor(this.#steps));
  }

  /** Charge a message that no session opened. */
  spend(steps: number): void {
    if (steps > FORWARD_STEPS_ALWAYS) this.#steps = Math.max(0, this.#steps - steps);
  }
}

/** Failed handshakes, by account and of strangers together. Source: 08 §8. */
export class HandshakeBudget {
  readonly #strangers = new Failures(
    HANDSHAKE_BUDGET_STRANGERS,
    HANDSHAKE_BUDGET_STRANGERS_PER_MINUTE,
  );
  /** In order of the last failure, oldest first. */
  readonly #accounts = new Map<string, Failures>();

  /**
   * Ask before the first expensive step of a handshake.
   *
   * @param name - Account it claims to come from. @param stranger - Whether nothing is known of it: those whose
   *   identity key we remember do not wait for strangers.
   * @throws LimitError `LIMIT_HANDSHAKES`.
   */
  check(name: string, stranger: boolean, nowMs: number): void {
    const own = this.#accounts.get(name);
    if ((own?.spent(nowMs) ?? false) || (stranger && this.#strangers.spent(nowMs))) {
      throw new LimitError('LIMIT_HANDSHAKES', 'too many handshakes failed lately');
    }
  }

  /** Charge a handshake that failed after `check`. */
  spend(name: string, stranger: boolean, nowMs: number): void {
    const own =
      this.#accounts.get(name) ??
      new Failures(HANDSHAKE_BUDGET_SENDER, HANDSHAKE_BUDGET_SENDER_PER_MINUTE);
    own.add(nowMs);
    if (stranger) this.#strangers.add(nowMs);
    this.#accounts.delete(name);
    this.#accounts.set(name, own);
    if (this.#accounts.size <= HANDSHAKE_BUDGET_ACCOUNTS) return;
    for (const oldest of this.#accounts.keys()) {
      this.#accounts.delete(oldest);
      return;
    }
  }
}

/** A count that time takes back. */
class Failures {
  readonly #max: number;
  readonly #perMinute: number;
  #count = 0;
  #atMs = 0;

  constructor(max: number, perMinute: number) {
    this.#max = max;
    this.#perMinute = perMinute;
  }

  /** Whether there is no room for one more. */
  spent(nowMs: number): boolean {
    // A clock that was set back forgives nothing and takes nothing.
    const minutes = Math.max(0, nowMs - this.#atMs) / 60_000;
    this.#atMs = nowMs;
    this.#count = Math.max(0, this.#count - minutes * this.#perMinute);
    return this.#count + 1 > this.#max;
  }

  add(nowMs: number): void {
    this.spent(nowMs);
    this.#count += 1;
  }
}
