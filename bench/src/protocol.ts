/**
 * `npm run bench:protocol`: Qasid and libsignal-client side by side, in alternating blocks.
 *
 * `-- --rounds N` (default 20), `-- --quick` (3 rounds), `-- --publish` also writes docs/bench/protocol.svg.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Timing } from './measure.js';
import { type Bar, drawChart, type Panel } from './plot.js';
import { SCENARIOS } from './scenarios.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PAIR = fileURLToPath(new URL('./pair.js', import.meta.url));
/** Blocks before the measuring starts: compiled code is compared, not the compiler. */
const WARM_UP = 20;

const args = process.argv.slice(2);
const at = args.indexOf('--rounds');
const rounds = args.includes('--quick') ? 3 : at >= 0 ? Number(args[at + 1]) : 20;
if (!Number.isInteger(rounds) || rounds < 1) {
  console.error('bench: error: --rounds needs a number from 1');
  process.exit(2);
}

function run(scenario: number, provider: string): readonly [Timing, Timing] {
  const argv = [PAIR, String(scenario), provider, String(rounds), String(WARM_UP)];
  const [ours, theirs] = JSON.parse(
    execFileSync(process.execPath, argv, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  ) as Timing[];
  if (!ours || !theirs) throw new Error('a side is missing');
  return [ours, theirs];
}

function row(timing: Timing, unit: string, reference: Timing | undefined): string {
  const { wall, cpu } = timing;
  const ratios = reference
    ? `${(reference.wall.median / wall.median).toFixed(2)}× (processor ${(reference.cpu.median / cpu.median).toFixed(2)}×)`
    : '';
  return [
    timing.name.padEnd(26),
    `${wall.median.toFixed(0)} µs per ${unit}`.padStart(20),
    `[${wall.low.toFixed(0)}–${wall.high.toFixed(0)}]`.padStart(15),
    `processor ${cpu.median.toFixed(0)} µs`.padStart(20),
    `best ${cpu.best.toFixed(0)}`.padStart(11),
    ratios.padStart(26),
  ].join('  ');
}

function bar(timing: Timing, reference: Timing | undefined): Bar {
  const { name, cpu } = timing;
  return { name, ...cpu, ratio: reference && reference.cpu.median / cpu.median };
}

const panels: Panel[] = [];
const results: unknown[] = [];
for (const [index, { title, unit }] of SCENARIOS.entries()) {
  const [node, besideNode] = run(index, 'node');
  const [noble, besideNoble] = run(index, 'noble');
  console.log(`\n${title}`);
  console.log(`  ${row(node, unit, besideNode)}`);
  console.log(`  ${row(besideNode, unit, undefined)}`);
  console.log(`  ${row(noble, unit, besideNoble)}`);
  panels.push({
    title,
    bars: [bar(node, besideNode), bar(besideNode, undefined), bar(noble, besideNoble)],
  });
  results.push({ title, unit, node, besideNode, noble, besideNoble });
}

const load = loadavg()[0]?.toFixed(1);
const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}, load ${load}`;
const notes = [
  `Node ${process.versions.node}, OpenSSL ${process.versions.openssl}; ${machine}.`,
  `Processor time per unit as rate per second: medians of ${rounds} alternating blocks after ${WARM_UP} to warm up, whiskers are quartiles. Longer is faster.`,
  'A message is encrypted and opened, 100 bytes, both ends in one process. × is libsignal-client’s time over ours, measured in the same process.',
  'Stored: an encoded record in a map after every step. Qasid keeps the decoded record beside it; libsignal-client decodes it at each call.',
];
const chart = drawChart('Qasid and libsignal-client 0.103.0, session protocol', panels, notes);
mkdirSync(`${ROOT}bench/out`, { recursive: true });
writeFileSync(`${ROOT}bench/out/protocol.svg`, chart);
writeFileSync(
  `${ROOT}bench/out/protocol.json`,
  `${JSON.stringify({ machine, node: process.versions.node, rounds, results }, null, 2)}\n`,
);
console.log('\nwritten: bench/out/protocol.svg, bench/out/protocol.json');
if (args.includes('--publish')) {
  mkdirSync(`${ROOT}docs/bench`, { recursive: true });
  writeFileSync(`${ROOT}docs/bench/protocol.svg`, chart);
  console.log('written: docs/bench/protocol.svg');
}
