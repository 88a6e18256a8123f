/** The goals G1 to G14, each judged by the median of its ratios round by round. */
import { median } from './histogram.js';
import type { Sample } from './loads.js';
import type { Row } from './rig.js';

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
  const all = (rows.get('L6') ?? []).map((row) => Number(row['bytes/socket']));
  const [uws = Number.NaN, ws = Number.NaN, uwsTls = Number.NaN, wsTls = Number.NaN] = all;
  const bounds = [
    { text: `${uws} bytes`, value: uws, most: 2_560 },
    { text: `${(uws / ws).toFixed(2)} × ws`, value: uws / ws, most: 0.35 },
    { text: `with TLS ${uwsTls} bytes`, value: uwsTls, most: 8_192 },
    { text: `${(uwsTls / wsTls).toFixed(2)} × ws`, value: uwsTls / wsTls, most: 0.35 },
  ].filter(({ value }) => !Number.isNaN(value));
  const isMet = bounds.every(({ value, most }) => value <= most);
  return {
    goal: 'G10',
    wanted: 'idle, authenticated: ≤ 2.5 KB a socket, ≤ 8 KB with TLS; ≤ 0.35 × the ws adapter',
    measured: bounds
      .map(({ text, value, most }) => `${text}${value <= most ? '' : ' (missed)'}`)
      .join('; '),
    isMet: bounds.length < 4 && isMet ? undefined : isMet,
  };
}

function slow({ rows }: Measured): Verdict {
  const all = rows.get('L8') ?? [];
  const of = (column: string, pattern: RegExp): number => {
    const found = all.filter((row) => pattern.test(String(row.mailbox)) && column in row);
    return found.length > 0 ? median(found.map((row) => Number(row[column]))) : Number.NaN;
  };
  const times = of('deliver p99 ms', /^one/) / of('deliver p99 ms', /^all/);
  const memory = 'memory KiB a reader';
  // Not less what those that read take: their traffic grows the heap by more than buffers of slow ones.
  const growth = of(memory, /that do not$/);
  const isKnown = !Number.isNaN(times) && !Number.isNaN(growth);
  return {
    goal: 'G12',
    wanted:
      'L8: p99 of the others ≤ 2 × without the slow one; memory of a slow reader ≤ window (1 MiB)',
    measured: isKnown ? `p99 ${times.toFixed(2)} ×; ${growth} KiB` : '',
    isMet: isKnown ? times <= 2 && growth <= 1_024 : undefined,
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
