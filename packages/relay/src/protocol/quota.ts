/**
 * 13 Relay §6. Token buckets. Pure: time is an argument, and a refusal changes nothing.
 */

/** How much at once, and how much per second after that. */
export interface BucketRule {
  readonly burst: number;
  readonly perSecond: number;
}

/** A bucket as it was at `atMs`. */
export interface Bucket {
  readonly tokens: number;
  readonly atMs: number;
}

/** Whether `amount` may pass, and the bucket after it. */
export type BucketVerdict =
  | { readonly allowed: true; readonly bucket: Bucket }
  | { readonly allowed: false; readonly retryAfterMs: number };

/**
 * Take `amount` out of a bucket; `undefined` is a full one.
 *
 * @param nowMs - Monotonic milliseconds; going backwards adds nothing.
 */
export function takeTokens(
  rule: BucketRule,
  bucket: Bucket | undefined,
  amount: number,
  nowMs: number,
): BucketVerdict {
  const tokens = tokensAt(rule, bucket, nowMs);
  if (tokens >= amount) return { allowed: true, bucket: { tokens: tokens - amount, atMs: nowMs } };
  const missing = amount - tokens;
  const retryAfterMs =
    rule.perSecond > 0 ? Math.ceil((missing / rule.perSecond) * 1000) : RETRY_MAX_MS;
  return { allowed: false, retryAfterMs: Math.min(retryAfterMs, RETRY_MAX_MS) };
}

/** Tokens in a bucket at `nowMs`, refilled and capped. */
export function tokensAt(rule: BucketRule, bucket: Bucket | undefined, nowMs: number): number {
  if (bucket === undefined) return rule.burst;
  const elapsedMs = Math.max(0, nowMs - bucket.atMs);
  return Math.min(rule.burst, bucket.tokens + (elapsedMs / 1000) * rule.perSecond);
}

/** A bucket in the table, and when it was last moved to the table's end. */
interface Entry {
  tokens: number;
  atMs: number;
  readonly movedMs: number;
}

/**
 * The buckets of one rule, by key. Buckets that are full again are forgotten, so memory follows use; over
 * `keysMax` the oldest go, which can only make the limiter milder for whoever they belonged to.
 */
export class BucketTable {
  readonly rule: BucketRule;
  readonly #keysMax: number;
  /** In order of their last use, to the second. */
  readonly #buckets = new Map<string | number, Entry>();

  constructor(rule: BucketRule, keysMax = 100_000) {
    this.rule = rule;
    this.#keysMax = keysMax;
  }

  /** 0 when `amount` passed, else the milliseconds after which it would. */
  take(key: string | number, amount: number, nowMs: number): number {
    const entry = this.#buckets.get(key);
    const verdict = takeTokens(this.rule, entry, amount, nowMs);
    if (!verdict.allowed) return Math.max(1, verdict.retryAfterMs);
    const { tokens, atMs } = verdict.bucket;
    // On the path of every message: moving an entry costs several times what changing it does.
    if (entry !== undefined && nowMs - entry.movedMs < MOVE_EVERY_MS) {
      entry.tokens = tokens;
      entry.atMs = atMs;
    } else this.#move(key, { tokens, atMs, movedMs: nowMs }, nowMs);
    return 0;
  }

  /** Whether `amount` would pass, taking nothing. */
  wouldAllow(key: string | number, amount: number, nowMs: number): boolean {
    return tokensAt(this.rule, this.#buckets.get(key), nowMs) >= amount;
  }

  /** Keys in memory. */
  get size(): number {
    return this.#buckets.size;
  }

  #move(key: string | number, entry: Entry, nowMs: number): void {
    // Deleting first moves the key to the end: the map stays ordered by last use.
    this.#buckets.delete(key);
    this.#buckets.set(key, entry);
    let looked = 0;
    for (const [oldest, old] of this.#buckets) {
      const full = tokensAt(this.rule, old, nowMs) >= this.rule.burst;
      if (!full && this.#buckets.size <= this.#keysMax) break;
      this.#buckets.delete(oldest);
      if (++looked >= 4) break;
    }
  }
}

const RETRY_MAX_MS = 24 * 60 * 60 * 1000;

/** How long an entry in use keeps its place. Lower: dearer. Higher: who was seen lately may be forgotten first. */
const MOVE_EVERY_MS = 1_000;
