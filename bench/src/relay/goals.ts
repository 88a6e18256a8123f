/** The goals G1 to G14, each judged by the median of its ratios round by round. */
import { median } from './histogram.js';
import type { Sample } from './loads.js';
import type { Row } from './relay-loads.js';

/** Rounds of one load, by system; `null` where one failed. */
export type Results = ReadonlyMap<string, ReadonlyMap<string, readonly (Sample | null)[]>>;

/** What became of a goal. */
export interface Verdict {
  readonly goal: string;
  readonly wanted: string;
  readonly measured: string;
  /** Undefined when something it needs was not measured. */
  readonly isMet: boolean | undefined;
}

/** Everything that was measured. */
export interface Measured {
  readonly results: Results;
  readonly rows: ReadonlyMap<string, readonly Row[]>;
  /** Event loop lag p99 of the relay at L3, milliseconds, a number a round, by variant. */
  readonly lagMs: ReadonlyMap<string, readonly number[]>;
}

type Metric = (sample: Sample) => number;

const rate: Metric = (sample) => sample.deliveredPerSecond;
const confirm: Metric = (sample) => sample.confirmP50;
const late: Metric = (sample) => sample.deliverP99;
const cpu: Metric = (sample) => sample.cpuUs;

interface Clause {
  readonly what: string;
  readonly load: string;
  readonly metric: Metric;
  readonly ours: string;
  readonly theirs: string;
  readonly least?: number;
  readonly most?: number;
}

/** A goal for the default and one for the worker, where both were set. */
function clause(
  load: string,
  metric: Metric,
  ours: string,
  theirs: string,
  bound: { readonly least?: number; readonly most?: number },
): Clause {
  return { what: `${load} ${ours}/${theirs}`, load, metric, ours, theirs, ...bound };
}

const GOALS: readonly { goal: string; wanted: string; clauses: readonly Clause[] }[] = [
  {
    goal: 'G1',
    wanted: 'L2 delivered/s ≥ 1.2 × Redis Streams, appendfsync always',
    clauses: [clause('L2', rate, 'main', 'redis', { least: 1.2 })],
  },
  {
    goal: 'G2',
    wanted: 'L1 confirm p50 ≤ 0.7 × Redis in-thread, ≤ 1.0 × on the worker',
    clauses: [
      clause('L1', confirm, 'main', 'redis', { most: 0.7 }),
      clause('L1', confirm, 'worker', 'redis', { most: 1.0 }),
    ],
  },
  {
    goal: 'G3',
    wanted: 'L3 delivered/s ≥ 1.0 × Redis, deliver p99 ≤ 0.8 ×',
    clauses: [
      clause('L3', rate, 'main', 'redis', { least: 1.0 }),
      clause('L3', late, 'main', 'redis', { most: 0.8 }),
    ],
  },
  {
    goal: 'G4',
    wanted: 'L2 and L3 ≥ 2 × RabbitMQ quorum queues',
    clauses: [
      clause('L2', rate, 'main', 'rabbit-quorum', { least: 2 }),
      clause('L3', rate, 'main', 'rabbit-quorum', { least: 2 }),
    ],
  },
  {
    goal: 'G5',
    wanted: 'L2 and L3 ≥ 2 × RabbitMQ classic durable + confirms',
    clauses: [
      clause('L2', rate, 'main', 'rabbit-classic', { least: 2 }),
      clause('L3', rate, 'main', 'rabbit-classic', { least: 2 }),
    ],
  },
  {
    goal: 'G6',
    wanted: 'while fsyncing: L2 ≥ 1.15 ×, L3 ≥ 4 × NATS JetStream that does not',
    clauses: [
      clause('L2', rate, 'main', 'nats', { least: 1.15 }),
      clause('L3', rate, 'main', 'nats', { least: 4 }),
    ],
  },
  {
    goal: 'G7',
    wanted: 'while fsyncing: L2 and L3 ≥ 0.6 × Mosquitto in memory; with eager push ≥ 1.0 ×',
    clauses: [
      clause('L2', rate, 'main', 'mosquitto', { least: 0.6 }),
      clause('L3', rate, 'main', 'mosquitto', { least: 0.6 }),
      clause('L2', rate, 'eager', 'mosquitto', { least: 1.0 }),
      clause('L3', rate, 'eager', 'mosquitto', { least: 1.0 }),
    ],
  },
  {
    goal: 'G8',
    wanted:
      'server CPU per message at L2 ≤ 1.8 × Redis, ≤ 0.35 × RabbitMQ quorum, ≤ 0.8 × JetStream',
    clauses: [
      clause('L2', cpu, 'main', 'redis', { most: 1.8 }),
      clause('L2', cpu, 'main', 'rabbit-quorum', { most: 0.35 }),
      clause('L2', cpu, 'main', 'nats', { most: 0.8 }),
    ],
  },
  {
    goal: 'G9',
    wanted: 'FULL ≥ 0.8 × NORMAL at L2, ≥ 0.9 × at L3',
    clauses: [
      clause('L2', rate, 'main', 'main-normal', { least: 0.8 }),
      clause('L3', rate, 'main', 'main-normal', { least: 0.9 }),
    ],
  },
  {
    goal: 'G11',
    wanted: 'uWebSockets.js against the ws adapter at L3: ≥ 1.2 ×',
    clauses: [clause('L3', rate, 'main', 'main-ws', { least: 1.2 })],
  },
];

/** Judge all of them. */
export function judge(measured: Measured): Verdict[] {
  const verdicts = GOALS.map(({ goal, wanted, clauses }) => {
    const found = clauses.map((one) => ({ ...one, value: ratio(measured.results, one) }));
    const known = found.filter((one) => one.value !== undefined);
    const holds = ({ value = 0, least = 0, most = Number.POSITIVE_INFINITY }): boolean =>
      value >= least && value <= most;
    return {
      goal,
      wanted,
      measured: known
        .map((one) => `${one.what} ${one.value?.toFixed(2)}${holds(one) ? '' : ' (missed)'}`)
        .join('; '),
      isMet: !known.every(holds) ? false : known.length < found.length ? undefined : true,
    };
  });
  verdicts.splice(9, 0, sockets(measured));
  verdicts.push(slow(measured), lag(measured));
  verdicts.push({
    goal: 'G14',
    wanted: '200 × kill -9: 0 confirmed lost, 0 shown twice, 0 prekeys reused',
    measured: 'not measured here: packages/relay/test/e2e/kill.test.ts, QASID_KILL_ROUNDS=200',
    isMet: undefined,
  });
  return verdicts;
}

function ratio(results: Results, { load, metric, ours, theirs }: Clause): number | undefined {
  const rounds = results.get(load);
  const mine = rounds?.get(ours);
  const other = rounds?.get(theirs);
  if (!mine?.length || !other?.length) return undefined;
  const ratios = mine.flatMap((sample, round) => {
    const beside = other[round];
    return sample && beside ? [metric(sample) / metric(beside)] : [];
  });
  return ratios.length > 0 ? median(ratios) : undefined;
}

function sockets({ rows }: Measured): Verdict {
  const [uws, ws] = (rows.get('L6') ?? []).map((row) => Number(row['bytes/socket']));
  const known = uws !== undefined && ws !== undefined;
  return {
    goal: 'G10',
    wanted: 'idle, authenticated: ≤ 2.5 KB a socket without TLS; ≤ 0.35 × the ws adapter',
    measured: known ? `${uws} bytes; ws ${ws} bytes, ${(uws / ws).toFixed(2)} ×` : '',
    isMet: known ? uws <= 2_560 && uws / ws <= 0.35 : undefined,
  };
}

function slow({ rows }: Measured): Verdict {
  const all = rows.get('L8') ?? [];
  const of = (name: string, column: string): number =>
    median(all.filter((row) => row.mailbox === name).map((row) => Number(row[column])));
  const times = of('one reads nothing', 'deliver p99 ms') / of('all read', 'deliver p99 ms');
  const growth = of('one reads nothing', 'memory growth KiB') - of('all read', 'memory growth KiB');
  return {
    goal: 'G12',
    wanted: 'L8: p99 of the others ≤ 2 × without the slow one; memory growth ≤ window (1 MiB)',
    measured: all.length > 0 ? `p99 ${times.toFixed(2)} ×; ${Math.round(growth)} KiB` : '',
    isMet: all.length > 0 ? times <= 2 && growth <= 1_024 : undefined,
  };
}

function lag({ lagMs }: Measured): Verdict {
  const of = (key: string): number | undefined => {
    const all = lagMs.get(key);
    return all && median(all);
  };
  const worker = of('worker');
  const main = of('main');
  const texts = [
    ...(worker === undefined ? [] : [`worker ${worker.toFixed(1)} ms`]),
    ...(main === undefined ? [] : [`main ${main.toFixed(1)} ms`]),
  ];
  return {
    goal: 'G13',
    wanted: 'event-loop lag p99 ≤ 20 ms at L3, store off the main thread',
    measured: texts.join('; '),
    isMet: worker === undefined ? undefined : worker <= 20,
  };
}
