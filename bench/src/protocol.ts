/**
 * `npm run bench:protocol`: Qasid and libsignal-client side by side, in alternating blocks of one run.
 *
 * `--rounds N` (default 15), `--quick` (3 rounds), `--publish` also writes docs/bench/protocol.svg.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { nobleProvider } from '@qasid/protocol/crypto/noble';
import { nodeProvider } from '@qasid/protocol/crypto/node';
import { libsignal } from './libsignal.js';
import { type Contender, measure, type Timing } from './measure.js';
import { drawChart, type Panel } from './plot.js';
import { qasid } from './qasid.js';
import { pingPong, prekeys, setUp, stream } from './scenarios.js';
import type { Side } from './side.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const args = process.argv.slice(2);
const roundsArgument = args.indexOf('--rounds');
const rounds = args.includes('--quick')
  ? 3
  : roundsArgument >= 0
    ? Number(args[roundsArgument + 1])
    : 15;
if (!Number.isInteger(rounds) || rounds < 1) {
  console.error('bench: error: --rounds needs a number from 1');
  process.exit(2);
}

const sides: readonly Side[] = [qasid(nodeProvider), qasid(nobleProvider), libsignal];
const scenarios: readonly { title: string; unit: string; make: (side: Side) => Contender }[] = [
  {
    title: 'Ping-pong, a record stored after every step',
    unit: 'message',
    make: (side) => pingPong(side, 'stored'),
  },
  {
    title: 'One-way stream, a record stored after every step',
    unit: 'message',
    make: (side) => stream(side, 'stored'),
  },
  {
    title: 'Session set-up and first message, records stored',
    unit: 'set-up',
    make: (side) => setUp(side, 'stored'),
  },
  {
    title: 'Ping-pong, state held in memory, never serialised',
    unit: 'message',
    make: (side) => pingPong(side, 'held'),
  },
  {
    title: 'One-way stream, state held in memory',
    unit: 'message',
    make: (side) => stream(side, 'held'),
  },
  { title: 'Prekeys of a device: make, sign, encode', unit: 'device', make: prekeys },
];

function row(timing: Timing, reference: Timing, unit: string): string {
  const ratio = (reference.median / timing.median).toFixed(2);
  return [
    timing.name.padEnd(28),
    `${timing.median.toFixed(0)} µs per ${unit}`.padStart(24),
    `quartiles ${timing.low.toFixed(0)}–${timing.high.toFixed(0)}`.padStart(26),
    `best ${timing.best.toFixed(0)}`.padStart(12),
    timing === reference ? '' : `${ratio}×`.padStart(8),
  ].join('  ');
}

const panels: Panel[] = [];
for (const { title, unit, make } of scenarios) {
  const timings = await measure(sides.map(make), rounds, 1);
  const reference = timings.find((timing) => timing.name === libsignal.name);
  if (!reference) throw new Error('nothing to compare with');
  console.log(`\n${title}`);
  for (const timing of timings) console.log(`  ${row(timing, reference, unit)}`);
  panels.push({ title, unit, timings, reference: libsignal.name });
}

const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}`;
const notes = [
  `Node ${process.versions.node}, OpenSSL ${process.versions.openssl}, ${machine}. Medians of ${rounds} alternating blocks, whiskers are quartiles; longer is faster.`,
  'A message is encrypted and opened, 100 bytes, both ends in one process. × compares with libsignal-client (above 1 is faster).',
  'Stored: an encoded record in a map after every step. Qasid keeps the decoded record beside it; libsignal-client decodes it at each call, as its stores do.',
];
const chart = drawChart('Qasid and libsignal-client 0.103.0, session protocol', panels, notes);
mkdirSync(`${ROOT}bench/out`, { recursive: true });
writeFileSync(`${ROOT}bench/out/protocol.svg`, chart);
writeFileSync(
  `${ROOT}bench/out/protocol.json`,
  `${JSON.stringify({ machine, node: process.versions.node, rounds, panels }, null, 2)}\n`,
);
console.log('\nwritten: bench/out/protocol.svg, bench/out/protocol.json');
if (args.includes('--publish')) {
  mkdirSync(`${ROOT}docs/bench`, { recursive: true });
  writeFileSync(`${ROOT}docs/bench/protocol.svg`, chart);
  console.log('written: docs/bench/protocol.svg');
}
