/**
 * `npm run bench:relay`: the relay beside Redis Streams, RabbitMQ, NATS JetStream and Mosquitto, in
 * alternating rounds of one run.
 *
 * `-- --quick`; `--loads L1,L2,…`; `--systems main,redis,…`; `--rounds N`; `--seconds S`; `--sizes 64,1024`
 * (bytes, for L2); `--publish` writes docs/bench as well. A peer that is not installed is skipped, and said so;
 * a round that fails is reported, and the run goes on.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Comparison, compare, steps } from './relay/compare.js';
import { judge } from './relay/goals.js';
import { LOADS } from './relay/loads.js';
import { mosquitto } from './relay/peers/mosquitto.js';
import { nats } from './relay/peers/nats.js';
import { populate, qasid, type Variant } from './relay/peers/qasid.js';
import { rabbitClassic, rabbitQuorum } from './relay/peers/rabbitmq.js';
import { redis } from './relay/peers/redis.js';
import { RELAY_LOADS } from './relay/relay-loads.js';
import { drawPlots } from './relay/relay-plots.js';
import {
  durabilityTable,
  goalsTable,
  rowsTable,
  stepTable,
  toMarkdown,
  toText,
} from './relay/report.js';
import type { Row } from './relay/rig.js';
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
const startedMs = Date.now();
const isQuick = flags.quick;
const rounds = Number(flags.rounds ?? (isQuick ? 2 : 5));
const seconds = Number(flags.seconds ?? (isQuick ? 1.5 : 3));
const wanted = flags.loads?.split(',');
const isWanted = (key: string): boolean => wanted?.includes(key) ?? true;
const sizes = (flags.sizes ?? (isQuick ? '1024' : '64,1024,16384,65536')).split(',').map(Number);

// 64 bytes are no padded size.
const common = { transport: 'auto', requirePadding: false };

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

/** Load of the machine in the last minute; the driver is part of it once it runs. */
function machineLoad(): string {
  return loadavg()[0]?.toFixed(1) ?? '?';
}

function say(line: string): void {
  const minute = ((Date.now() - startedMs) / 60_000).toFixed(1).padStart(4);
  process.stderr.write(`${minute} min  ${line}\n`);
}

const loadBefore = machineLoad();
const census = {
  producers: 8,
  readers: isQuick && wanted === undefined ? 200 : 1_000,
  families: isWanted('L9') ? (isQuick ? 50 : 250) : 0,
  idle: isWanted('L6') || isWanted('L7') ? (isQuick ? 1_000 : 10_000) : 0,
};
say(`registering ${census.producers + census.readers} accounts, ${census.idle} idle devices`);
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

const sections: string[] = [];
const NOTHING: Comparison = {
  results: new Map(),
  failures: [],
  syncs: new Map(),
  lagMs: new Map(),
  skipped: [],
};

let comparison = NOTHING;
if (LOADS.some(({ key }) => isWanted(key))) {
  const plan = {
    steps: steps(isWanted, sizes, rounds, Math.min(rounds, 3)),
    seconds,
    warmUpMs: isQuick ? 500 : 1_000,
    mailboxes: census.readers,
  };
  comparison = await compare(systems, plan, say, (step, soFar) => {
    const table = stepTable(step, soFar, systems);
    console.log(toText(table));
    sections.push(toMarkdown(table));
  });
  const durability = durabilityTable(comparison, systems);
  console.log(toText(durability));
  sections.push(toMarkdown(durability));
}

const variants = { main: own.main, worker: own.worker, ws: own.ws };
const rows = new Map<string, readonly Row[]>();
for (const one of RELAY_LOADS.filter(
  ({ key }) => isWanted(key) || (key === 'L6' && isWanted('L7')),
)) {
  say(`${one.key}: ${one.title}`);
  const found = await one.run({ seed, people, seconds, isQuick }, variants);
  rows.set(one.key, found);
  const table = rowsTable(`${one.key}: ${one.title}`, found);
  console.log(toText(table));
  sections.push(toMarkdown(table));
}

const verdicts = judge({ results: comparison.results, rows, lagMs: comparison.lagMs });
const goals = goalsTable(verdicts);
console.log(toText(goals));
for (const { load, system, why } of comparison.failures) {
  console.log(`FAILED ${load}: ${system}: ${why}`);
}

const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}`;
const load = `${loadBefore} before, ${machineLoad()} at the end`;
const minutes = Math.round((Date.now() - startedMs) / 60_000);
const notes = [
  `Node ${process.versions.node}; ${machine}, load ${load}; the driver runs on the same processors.`,
  `Medians of ${rounds} alternating rounds of ${seconds} s after warm-up, whiskers are the range. Longer is better. ×: against the first line.`,
  'Class A: forced to disk before it is confirmed. B: handed to the operating system. C: in memory. RabbitMQ: 200 queues at L3.',
];
const markdown = [
  '# The relay beside message brokers: one run',
  '',
  `Written by \`npm run bench:relay -- --publish\`; what the loads and columns mean, and why goals are missed, is in`,
  `[README.md](README.md#the-relay-beside-message-brokers). Raw numbers: [relay.json](relay.json).`,
  '',
  `- ${new Date(startedMs).toISOString().slice(0, 16).replace('T', ' ')} UTC, commit ${commit()}, ${minutes} minutes; \`${['npm run bench:relay --', ...process.argv.slice(2)].join(' ')}\``,
  `- ${machine}, Node ${process.versions.node}; load ${load} (the run itself is about 2)`,
  `- Medians of alternating rounds of ${seconds} s after warm-up; *×*: delivered/s against the first line. Class A: forced to disk`,
  '  before it is confirmed. B: handed to the operating system. C: in memory',
  ...comparison.skipped.map((line) => `- Not here: ${line}`),
  ...comparison.failures.map(({ load: at, system, why }) => `- Failed: ${at}, ${system}: ${why}`),
  '',
  '![Delivered messages per second](relay-throughput.svg)',
  '',
  '![Messages per second of processor time](relay-cpu.svg)',
  '',
  toMarkdown(goals, false),
  ...sections,
].join('\n');

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      cwd: ROOT,
      encoding: 'utf8',
    }).trim();
  } catch {
    return 'unknown';
  }
}

const raw = {
  machine,
  load,
  node: process.versions.node,
  rounds,
  seconds,
  census,
  syncs: Object.fromEntries(comparison.syncs),
  lagMs: Object.fromEntries(comparison.lagMs),
  failures: comparison.failures,
  results: Object.fromEntries(
    [...comparison.results].map(([key, bySystem]) => [key, Object.fromEntries(bySystem)]),
  ),
  rows: Object.fromEntries(rows),
  verdicts,
};
const places = [`${ROOT}bench/out`, ...(flags.publish ? [`${ROOT}docs/bench`] : [])];
for (const place of places) {
  mkdirSync(place, { recursive: true });
  for (const [name, chart] of drawPlots(comparison, systems, notes)) {
    writeFileSync(`${place}/${name}.svg`, chart);
  }
  writeFileSync(`${place}/relay.json`, `${JSON.stringify(raw, null, 1)}\n`);
  writeFileSync(`${place}/relay-results.md`, `${markdown.trimEnd()}\n`);
  console.log(`written: ${place}`);
}
process.exit(0);
