/**
 * Backoff with full jitter. The clock and the dice come in as arguments, so a test can throw them.
 */

/** How waits grow. */
export interface BackoffPolicy {
  /** Upper end of the first wait. Lower: a restarting relay is met by a storm. */
  readonly baseMs: number;
  /** Upper end of every later wait. Higher: people wait after an outage. */
  readonly capMs: number;
}

/** Waits between attempts to connect. The relay's restart jitter of spec 13 is the cap. */
export const RECONNECT_BACKOFF: BackoffPolicy = { baseMs: 250, capMs: 30_000 };

/** Waits between attempts of one request the relay put off. */
export const REQUEST_BACKOFF: BackoffPolicy = { baseMs: 100, capMs: 10_000 };

/** Longest wait we take a relay's word for: it cannot silence a client for a day. */
export const RETRY_AFTER_MAX_MS = 60_000;

/**
 * Milliseconds to wait before attempt `attempt` (0 is the first retry): uniform between 0 and the step,
 * so that a thousand clients cut off together come back apart.
 *
 * @param dice - Uniform in [0, 1).
 * @param atLeastMs - What the relay asked for, if anything; capped by `RETRY_AFTER_MAX_MS`.
 */
export function backoffMs(
  policy: BackoffPolicy,
  attempt: number,
  dice: () => number,
  atLeastMs = 0,
): number {
  const step = Math.min(policy.capMs, policy.baseMs * 2 ** Math.min(attempt, 30));
  return Math.min(atLeastMs, RETRY_AFTER_MAX_MS) + Math.floor(dice() * step);
}
