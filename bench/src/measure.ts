/**
 * Alternating blocks: every round gives each side one block of the same work, in an order that turns round.
 * A machine that slows down in the middle slows both of them down.
 */

/** One side's share in one scenario. */
export interface Contender {
  readonly name: string;
  /** Do a block of work with `clock` running for what counts. @returns how many units it did. */
  block(clock: Clock): Promise<number>;
}

/** Runs while the measured part of a block runs. */
export class Clock {
  wallUs = 0;
  cpuUs = 0;
  #wall = 0;
  #cpu: NodeJS.CpuUsage = { user: 0, system: 0 };

  start(): void {
    this.#cpu = process.cpuUsage();
    this.#wall = performance.now();
  }

  stop(): void {
    this.wallUs += (performance.now() - this.#wall) * 1000;
    const { user, system } = process.cpuUsage(this.#cpu);
    this.cpuUs += user + system;
  }
}

/** Microseconds per unit. */
export interface Spread {
  readonly median: number;
  /** First and third quartile. */
  readonly low: number;
  readonly high: number;
  readonly best: number;
}

/** What was measured for one contender. */
export interface Timing {
  readonly name: string;
  /** Time of the clock on the wall; what else the machine does is in it. */
  readonly wall: Spread;
  /** Processor time of the process, all its threads, collector included. */
  readonly cpu: Spread;
}

function quantile(sorted: readonly number[], q: number): number {
  const at = (sorted.length - 1) * q;
  const below = sorted[Math.floor(at)] ?? 0;
  const above = sorted[Math.ceil(at)] ?? below;
  return below + (above - below) * (at - Math.floor(at));
}

function spread(samples: readonly number[]): Spread {
  const sorted = [...samples].sort((a, b) => a - b);
  return {
    median: quantile(sorted, 0.5),
    low: quantile(sorted, 0.25),
    high: quantile(sorted, 0.75),
    best: sorted[0] ?? 0,
  };
}

/** Warm up each contender with `warmUp` blocks, then measure `rounds` alternating rounds. */
export async function measure(
  contenders: readonly Contender[],
  rounds: number,
  warmUp: number,
): Promise<Timing[]> {
  const samples = contenders.map((): { wall: number[]; cpu: number[] } => ({ wall: [], cpu: [] }));
  for (let round = -warmUp; round < rounds; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const index = (turn + round + contenders.length * (warmUp + 1)) % contenders.length;
      const contender = contenders[index];
      if (!contender) continue;
      const clock = new Clock();
      const units = await contender.block(clock);
      if (round < 0) continue;
      samples[index]?.wall.push(clock.wallUs / units);
      samples[index]?.cpu.push(clock.cpuUs / units);
    }
  }
  return contenders.map(({ name }, index) => ({
    name,
    wall: spread(samples[index]?.wall ?? []),
    cpu: spread(samples[index]?.cpu ?? []),
  }));
}
