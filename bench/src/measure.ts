/**
 * Alternating blocks: every round gives each side one block of the same work, in an order that turns round.
 * A machine that slows down in the middle slows all of them down.
 */

/** One side's share in one scenario. */
export interface Contender {
  readonly name: string;
  /** Do a block of work. @returns how many units it did, and its own time if it timed only a part. */
  block(): Promise<{ readonly units: number; readonly ms?: number }>;
}

/** What was measured for one contender: microseconds per unit. */
export interface Timing {
  readonly name: string;
  readonly median: number;
  /** First and third quartile. */
  readonly low: number;
  readonly high: number;
  /** Best block. */
  readonly best: number;
  readonly rounds: number;
}

function quantile(sorted: readonly number[], q: number): number {
  const at = (sorted.length - 1) * q;
  const below = sorted[Math.floor(at)] ?? 0;
  const above = sorted[Math.ceil(at)] ?? below;
  return below + (above - below) * (at - Math.floor(at));
}

/** Warm up each contender with `warmUp` blocks, then measure `rounds` alternating rounds. */
export async function measure(
  contenders: readonly Contender[],
  rounds: number,
  warmUp: number,
): Promise<Timing[]> {
  const samples = contenders.map((): number[] => []);
  for (let round = -warmUp; round < rounds; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const index = (turn + round + contenders.length * (warmUp + 1)) % contenders.length;
      const contender = contenders[index];
      if (!contender) continue;
      const started = performance.now();
      const { units, ms } = await contender.block();
      const spent = ms ?? performance.now() - started;
      if (round >= 0) samples[index]?.push((spent * 1000) / units);
    }
  }
  return contenders.map(({ name }, index) => {
    const sorted = [...(samples[index] ?? [])].sort((a, b) => a - b);
    return {
      name,
      median: quantile(sorted, 0.5),
      low: quantile(sorted, 0.25),
      high: quantile(sorted, 0.75),
      best: sorted[0] ?? 0,
      rounds,
    };
  });
}
