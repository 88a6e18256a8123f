/**
 * `npm run bench:relay`: the relay beside Redis Streams, RabbitMQ, NATS JetStream and Mosquitto, in
 * alternating rounds of one run.
 *
 * `-- --quick`; `--loads L1,L2,…`; `--systems main,redis,…`; `--rounds N`; `--seconds S`; `--sizes 64,1024`
 * (bytes, for L2); `--publish` writes docs/bench as well. A peer that is not installed is skipped, and said so.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { drawChart, type Panel } from './plot.js';
import { judge } from './relay/goals.js';
import { median } from './relay/histogram.js';
import { Bench, LOADS, type Sample } from './relay/loads.js';
import { mosquitto } from './relay/peers/mosquitto.js';
import { nats } from './relay/peers/nats.js';
import { populate, qasid, type RelayServer, type Variant } from './relay/peers/qasid.js';
import { rabbitClassic, rabbitQuorum } from './relay/peers/rabbitmq.js';
import { redis } from './relay/peers/redis.js';
import { countSyncs } from './relay/processes.js';
import { RELAY_LOADS, type Row } from './relay/relay-loads.js';
import type { System } from './relay/system.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    publish: { type: 'boolean', default: false },
    loads: { type: 'string' },
    systems: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    sizes: { type: 'string' },
  },
});
const isQuick = flags.quick;
const rounds = Number(flags.rounds ?? (isQuick ? 2 : 5));
const seconds = Number(flags.seconds ?? (isQuick ? 1.5 : 5));
const wanted = flags.loads?.split(',');
const isWanted = (key: string): boolean => wanted?.includes(key) ?? true;
const sizes = (flags.sizes ?? (isQuick ? '1024' : '64,1024,16384,65536')).split(',').map(Number);

// 64 bytes are no padded size.
const common = { transport: 'auto', requirePadding: false };
/** Confirmed sends, one at a time, whose forced writes are counted. */
const SINGLES = 100;

const own = {
  main: variant('main', 'store in-thread', 'A', { storeThread: 'main' }),
  worker: variant('worker', 'store on a worker', 'A', { storeThread: 'worker' }),
  mainNormal: variant('main-normal', 'in-thread, NORMAL', 'B', {
    storeThread: 'main',
    synchronous: 'NORMAL',
  }),
  eager: variant('eager', 'in-thread, eager push', 'A', { storeThread: 'main', eagerPush: true }),
  ws: variant('main-ws', 'in-thread, ws adapter', 'A', { storeThread: 'main', transport: 'ws' }),
};

function variant(
  key: string,
  title: string,
  durability: Variant['durability'],
  options: Record<string, unknown>,
): Variant {
  return { key, title: `Qasid, ${title}`, durability, options: { ...common, ...options } };
}

const census = {
  producers: 8,
  readers: isQuick && wanted === undefined ? 200 : 1_000,
  families: isWanted('L9') ? (isQuick ? 50 : 250) : 0,
  idle: isWanted('L6') ? (isQuick ? 1_000 : 10_000) : 0,
};
console.log(
  `registering ${census.producers + census.readers} accounts, ${census.idle} idle devices`,
);
const { directory: seed, people } = await populate(census);

const chosen = flags.systems?.split(',');
const systems: readonly System[] = [
  ...Object.values(own).map((one) => qasid(one, seed, people)),
  redis,
  rabbitQuorum,
  rabbitClassic,
  nats,
  mosquitto,
].filter(({ key }) => chosen?.includes(key) ?? true);

interface Running {
  readonly system: System;
  readonly bench: Bench;
}

const results = new Map<string, Map<string, Sample[]>>();
const syncs = new Map<string, number | undefined>();
const lagMs = new Map<string, number>();
const rows = new Map<string, readonly Row[]>();

function note(load: string, system: string, sample: Sample): void {
  const all = results.get(load) ?? new Map<string, Sample[]>();
  results.set(load, all);
  all.set(system, [...(all.get(system) ?? []), sample]);
}

function isRelay(server: object): server is RelayServer {
  return 'report' in server;
}

/** Start what is here; the rounds of all of them alternate. */
async function startAll(): Promise<Running[]> {
  const running: Running[] = [];
  for (const system of systems) {
    const why = system.missing();
    if (why !== undefined) {
      console.log(`SKIPPED ${system.title}: ${why}`);
      continue;
    }
    const server = await system.start();
    await server.prepare(Math.min(system.mailboxesMax, census.readers));
    running.push({
      system,
      bench: new Bench(server, Math.min(system.mailboxesMax, census.readers)),
    });
    console.log(`up: ${system.title}`);
  }
  return running;
}

async function compare(running: readonly Running[]): Promise<void> {
  for (const { system, bench } of running) {
    await bench.singles(50);
    syncs.set(system.key, await countSyncs(bench.server.managed, () => bench.singles(SINGLES)));
  }
  const plan = LOADS.filter(({ key }) => isWanted(key)).flatMap((load) =>
    (load.key === 'L2' ? sizes : [1_024]).map((size) => ({ load, size })),
  );
  for (const { load, size } of plan) {
    const key = size === 1_024 ? load.key : `${load.key} ${size} B`;
    const count = size === 1_024 ? rounds : Math.min(rounds, 3);
    for (let round = 0; round < count; round++) {
      for (let turn = 0; turn < running.length; turn++) {
        // Nobody is always first.
        const { system, bench } = running[(turn + round) % running.length]!;
        if (isRelay(bench.server)) await bench.server.report();
        process.stderr.write(`${key} round ${round + 1} of ${count}: ${system.title}\n`);
        const sample = await bench.run(load, size, isQuick ? 500 : 1_000, seconds * 1_000);
        note(key, system.key, sample);
        if (load.key === 'L3' && isRelay(bench.server)) {
          const { lagP99Ms } = await bench.server.report();
          lagMs.set(system.key, Math.min(lagMs.get(system.key) ?? Number.MAX_VALUE, lagP99Ms));
        }
      }
    }
    printLoad(key, `${load.title}, ${size} B`);
  }
}

function printLoad(key: string, title: string): void {
  console.log(`\n${key}: ${title}`);
  console.log(
    `  ${'system'.padEnd(36)} class  delivered/s [range]           confirm p50/p99 ms   deliver p50/p99 ms   server CPU µs`,
  );
  for (const { title: name, key: system, durability } of systems) {
    const samples = results.get(key)?.get(system);
    if (!samples) continue;
    const of = (metric: (sample: Sample) => number): number => median(samples.map(metric));
    const all = samples.map((sample) => sample.deliveredPerSecond);
    console.log(
      [
        `  ${name.padEnd(36)}`,
        durability.padEnd(5),
        `${of((s) => s.deliveredPerSecond).toFixed(0)} [${Math.min(...all).toFixed(0)}–${Math.max(...all).toFixed(0)}]`.padEnd(
          27,
        ),
        `${of((s) => s.confirmP50).toFixed(2)} / ${of((s) => s.confirmP99).toFixed(1)}`.padStart(
          18,
        ),
        `${of((s) => s.deliverP50).toFixed(2)} / ${of((s) => s.deliverP99).toFixed(1)}`.padStart(
          20,
        ),
        of((s) => s.cpuUs)
          .toFixed(1)
          .padStart(13),
      ].join(' '),
    );
  }
}

function printRows(title: string, table: readonly Row[]): void {
  console.log(`\n${title}`);
  for (const row of table) {
    console.log(
      `  ${Object.entries(row)
        .map(([name, value]) => `${name} ${value}`)
        .join(', ')}`,
    );
  }
}

const load = loadavg()[0]?.toFixed(1);
const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}, load ${load}`;

if (LOADS.some(({ key }) => isWanted(key))) {
  const running = await startAll();
  try {
    await compare(running);
  } finally {
    for (const { bench } of running) await bench.close();
  }
  console.log(`\ndurability: forced writes during ${SINGLES} confirmed sends, one at a time`);
  for (const { system } of running) {
    const count = syncs.get(system.key);
    console.log(
      `  ${system.title.padEnd(36)} ${system.durability}  ${count ?? 'strace is not installed'}`,
    );
  }
}
const variants = { main: own.main, worker: own.worker, ws: own.ws };
for (const one of RELAY_LOADS.filter(
  ({ key }) => isWanted(key) || (key === 'L6' && isWanted('L7')),
)) {
  const table = await one.run({ seed, people, seconds, isQuick }, variants);
  rows.set(one.key, table);
  printRows(`${one.key}: ${one.title}`, table);
}

const verdicts = judge({ results, rows, lagMs });
console.log('\ngoals');
for (const { goal, wanted: what, measured, isMet } of verdicts) {
  const word = isMet === undefined ? 'not measured' : isMet ? 'met' : 'NOT MET';
  console.log(`  ${goal.padEnd(4)} ${word.padEnd(13)} ${what}${measured ? `: ${measured}` : ''}`);
}

const notes = [
  `Node ${process.versions.node}; ${machine}; the driver runs on the same processors.`,
  `Medians of ${rounds} alternating rounds of ${seconds} s after warm-up, whiskers are the range. Longer is better. ×: against the first line.`,
  'Class A: forced to disk before it is confirmed. B: handed to the operating system. C: in memory. RabbitMQ: 200 queues at L3.',
];
const charts = {
  'relay-throughput': drawChart(
    'Delivered messages per second, 1 KB',
    panels('deliveredPerSecond'),
    notes,
  ),
  'relay-cpu': drawChart(
    'Messages per second of server processor time, 1 KB',
    panels('cpuUs'),
    notes,
  ),
};

/** One panel a load; the first system is the reference. */
function panels(metric: 'deliveredPerSecond' | 'cpuUs'): Panel[] {
  return LOADS.filter(({ key }) => results.has(key)).map(({ key, title }) => {
    const bySystem = results.get(key)!;
    const perMessage = (sample: Sample): number =>
      metric === 'cpuUs' ? sample.cpuUs : 1e6 / sample.deliveredPerSecond;
    const first = bySystem.get(systems.find((system) => bySystem.has(system.key))?.key ?? '') ?? [];
    const reference = median(first.map(perMessage));
    const bars = systems.flatMap((system) => {
      const times = (bySystem.get(system.key) ?? []).map(perMessage);
      if (times.length === 0) return [];
      const isOwn = system.title.startsWith('Qasid');
      return [
        {
          name: `${system.title} (${system.durability})`,
          median: median(times),
          low: Math.min(...times),
          high: Math.max(...times),
          ratio: times.length > 0 && system.key !== 'main' ? reference / median(times) : undefined,
          colour: isOwn ? 0 : 1,
        },
      ];
    });
    return { title: `${key}: ${title}`, bars };
  });
}

const raw = {
  machine,
  node: process.versions.node,
  rounds,
  seconds,
  census,
  syncs: Object.fromEntries(syncs),
  lagMs: Object.fromEntries(lagMs),
  results: Object.fromEntries(
    [...results].map(([key, bySystem]) => [key, Object.fromEntries(bySystem)]),
  ),
  rows: Object.fromEntries(rows),
  verdicts,
};
const places = [`${ROOT}bench/out`, ...(flags.publish ? [`${ROOT}docs/bench`] : [])];
for (const place of places) {
  mkdirSync(place, { recursive: true });
  for (const [name, chart] of Object.entries(charts)) writeFileSync(`${place}/${name}.svg`, chart);
  writeFileSync(`${place}/relay.json`, `${JSON.stringify(raw, null, 1)}\n`);
  console.log(`written: ${place}`);
}
rmSync(dirname(seed), { recursive: true, force: true });
process.exit(0);
