/** L1 to L3: all systems in alternating rounds. What fails is one round of one system, and is told. */
import { forgetFaults } from './faults.js';
import { Bench, LOADS, type Load, type Sample } from './loads.js';
import type { RelayServer } from './peers/qasid.js';
import { countSyncs, writeBack } from './processes.js';
import type { System } from './system.js';

/** How long and how often. */
export interface Plan {
  /** Loads and sizes, in order. */
  readonly steps: readonly Step[];
  readonly seconds: number;
  readonly warmUpMs: number;
  /** Queues of L3, where a system can have so many. */
  readonly mailboxes: number;
}

/** One load with bodies of one size. */
export interface Step {
  readonly key: string;
  readonly load: Load;
  readonly size: number;
  readonly rounds: number;
}

/** What came out of it. */
export interface Comparison {
  /** By load, then by system: a sample a round, `null` where the round failed. */
  readonly results: ReadonlyMap<string, ReadonlyMap<string, readonly (Sample | null)[]>>;
  /** Rounds that failed, and systems that did not start. */
  readonly failures: readonly Failure[];
  /** Forced writes during {@link SINGLES} confirmed sends; absent without strace. */
  readonly syncs: ReadonlyMap<string, number>;
  /** Event loop lag of a relay at L3, 99th percentile, milliseconds: a number a round. */
  readonly lagMs: ReadonlyMap<string, readonly number[]>;
  /** Who is not here, and why. */
  readonly skipped: readonly string[];
}

/** One round of one system that gave nothing. */
export interface Failure {
  readonly load: string;
  readonly system: string;
  readonly why: string;
}

/** Confirmed sends, one at a time, whose forced writes are counted. */
export const SINGLES = 100;

/** A system that failed this often in one load is left out of its other rounds. */
const FAILURES_MAX = 2;

/** The loads and sizes: 1 KB where nothing else is said. */
export function steps(
  isWanted: (key: string) => boolean,
  sizes: readonly number[],
  rounds: number,
  roundsOfSizes: number,
): Step[] {
  return LOADS.filter(({ key }) => isWanted(key)).flatMap((load) =>
    (load.key === 'L2' ? sizes : [KIB]).map((size) => ({
      key: size === KIB ? load.key : `${load.key} ${size} B`,
      load,
      size,
      rounds: size === KIB ? rounds : roundsOfSizes,
    })),
  );
}

/** Run all of it. `say` gets a line at every step, `done` a step that has all its rounds. */
export async function compare(
  systems: readonly System[],
  plan: Plan,
  say: (line: string) => void,
  done: (step: Step, comparison: Comparison) => void,
): Promise<Comparison> {
  const results = new Map<string, Map<string, (Sample | null)[]>>();
  const failures: Failure[] = [];
  const syncs = new Map<string, number>();
  const lagMs = new Map<string, number[]>();
  const skipped: string[] = [];
  const comparison: Comparison = { results, failures, syncs, lagMs, skipped };
  const benches = new Map<string, Bench>();

  const failed = (load: string, { key, title }: System, error: unknown): void => {
    const why = error instanceof Error ? error.message : String(error);
    failures.push({ load, system: key, why });
    say(`FAILED ${load}: ${title}: ${why}`);
  };
  const up = async (system: System): Promise<Bench> => {
    const running = benches.get(system.key);
    if (running !== undefined) return running;
    const mailboxes = Math.min(system.mailboxesMax, plan.mailboxes);
    const server = await system.start();
    const bench = new Bench(server, mailboxes);
    benches.set(system.key, bench);
    await server.prepare(mailboxes);
    say(`up: ${system.title}`);
    return bench;
  };
  /** Whatever state it is in: the next round begins with a fresh one. */
  const down = async ({ key }: System): Promise<void> => {
    const bench = benches.get(key);
    benches.delete(key);
    await bench?.close().catch(() => undefined);
    forgetFaults();
  };
  const attempt = async <Result>(
    load: string,
    system: System,
    work: (bench: Bench) => Promise<Result>,
  ): Promise<Result | undefined> => {
    try {
      return await work(await up(system));
    } catch (error) {
      failed(load, system, error);
      await down(system);
      return undefined;
    }
  };
  const round = async (step: Step, system: System): Promise<Sample | null> => {
    const sample = await attempt(step.key, system, async (bench) => {
      const relay = isRelay(bench.server) ? bench.server : undefined;
      // What another one left in the page cache would be written during this round.
      await writeBack();
      await relay?.report();
      const one = await bench.run(step.load, step.size, plan.warmUpMs, plan.seconds * 1_000);
      const report = await relay?.report();
      if (step.load.key === 'L3' && report !== undefined) {
        lagMs.set(system.key, [...(lagMs.get(system.key) ?? []), report.lagP99Ms]);
      }
      return one;
    });
    return sample ?? null;
  };

  const here = systems.filter((system) => {
    const why = system.missing();
    if (why === undefined) return true;
    say(`SKIPPED ${system.title}: ${why}`);
    skipped.push(`${system.title}: ${why}`);
    return false;
  });
  for (const system of here) {
    const count = await attempt('start', system, async (bench) => {
      await bench.singles(50);
      return countSyncs(bench.server.managed, () => bench.singles(SINGLES));
    });
    if (count !== undefined) syncs.set(system.key, count);
  }
  for (const step of plan.steps) {
    const bySystem = new Map<string, (Sample | null)[]>();
    results.set(step.key, bySystem);
    for (let number = 0; number < step.rounds; number++) {
      for (let turn = 0; turn < here.length; turn++) {
        // Nobody is always first.
        const system = here[(turn + number) % here.length]!;
        const samples = bySystem.get(system.key) ?? [];
        bySystem.set(system.key, samples);
        const failedBefore = samples.filter((sample) => sample === null).length;
        say(`${step.key} round ${number + 1} of ${step.rounds}: ${system.title}`);
        samples.push(failedBefore < FAILURES_MAX ? await round(step, system) : null);
      }
    }
    done(step, comparison);
  }
  for (const system of here) await down(system);
  return comparison;
}

function isRelay(server: object): server is RelayServer {
  return 'report' in server;
}

const KIB = 1_024;
