/**
 * 08 Session. What forged headers may cost. A message that jumps ahead makes us step chains before its MAC
 * can be checked, on every session that it is tried on; the budget bounds that work over time.
 *
 * Only messages that nobody could open are charged, so honest traffic never spends anything.
 */
import {
  FORWARD_BUDGET_REFILL_PER_SECOND,
  FORWARD_BUDGET_STEPS,
  FORWARD_STEPS_ALWAYS,
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
