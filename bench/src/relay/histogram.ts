/** Times in buckets that grow by 2.5 %: percentiles of any number of samples in constant memory. */

const GROWTH = Math.log(1.025);
const BUCKETS = 900;

/** Milliseconds from one microsecond to hours, at 2.5 %. */
export class Histogram {
  readonly #counts = new Uint32Array(BUCKETS);
  #total = 0;

  add(ms: number): void {
    const bucket = ms <= 0.001 ? 0 : Math.floor(Math.log(ms * 1000) / GROWTH);
    this.#counts[Math.min(bucket, BUCKETS - 1)]!++;
    this.#total++;
  }

  get count(): number {
    return this.#total;
  }

  /** @param share - 0 to 1. */
  quantile(share: number): number {
    let left = Math.max(1, Math.ceil(this.#total * share));
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      left -= this.#counts[bucket]!;
      if (left <= 0) return Math.exp((bucket + 0.5) * GROWTH) / 1000;
    }
    return 0;
  }
}

/** Middle of some numbers; 0 of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  if (sorted.length === 0) return 0;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}
