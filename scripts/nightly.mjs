// `npm run test:nightly`: the long runs. A million mutations of every decoder, 100 000 messages between the
// two implementations, more mutated messages for both, 1 000 kills. Last line: `N passed, N failed`.
//
// QASID_MUTATIONS, QASID_INTEROP_MESSAGES, QASID_PARITY_INPUTS, QASID_KILL_ROUNDS, QASID_FUZZ_RUNS, QASID_CROWD,
// QASID_POWER_CUTS, QASID_BLOB_MIB, QASID_BLOB_KILLS, QASID_TAB_SENDS, QASID_SIM_MESSAGES, QASID_HAUL_MESSAGES and
// QASID_HAUL_CROWD set other sizes;
// QASID_SEED another seed (default: the day, so that every night tries something else; it is printed).
//
// Last come the mutants: each defence is taken out once, and its test must go red (`mutants` as a name); and the
// sabotages, which the simulator must find (`sabotage`).
// Names of groups or parts of file names run only those: `npm run test:nightly -- relay kill`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Parser } from 'tap-parser';

const root = fileURLToPath(new URL('..', import.meta.url));
const seed = process.env.QASID_SEED ?? new Date().toISOString().slice(0, 10).replaceAll('-', '');
const size = (name, usual) => process.env[name] ?? String(usual);
const env = {
  ...process.env,
  TAP_TIMEOUT: '0',
  QASID_MUTATIONS: size('QASID_MUTATIONS', 1_000_000),
  QASID_MUTATION_SEED: process.env.QASID_MUTATION_SEED ?? seed,
  QASID_INTEROP_MESSAGES: size('QASID_INTEROP_MESSAGES', 100_000),
  QASID_INTEROP_SEED: process.env.QASID_INTEROP_SEED ?? seed,
  QASID_PARITY_INPUTS: size('QASID_PARITY_INPUTS', 50_000),
  QASID_KILL_ROUNDS: size('QASID_KILL_ROUNDS', 1_000),
  QASID_FUZZ_RUNS: size('QASID_FUZZ_RUNS', 1_000_000),
  QASID_CROWD: size('QASID_CROWD', 1_000),
  QASID_POWER_CUTS: size('QASID_POWER_CUTS', 50),
  QASID_BLOB_MIB: size('QASID_BLOB_MIB', 2_048),
  QASID_BLOB_KILLS: size('QASID_BLOB_KILLS', 30),
  QASID_GROUP_MEMBERS: size('QASID_GROUP_MEMBERS', 50),
  QASID_GROUP_ROUNDS: size('QASID_GROUP_ROUNDS', 20),
  QASID_GROUP_SEEDS: size('QASID_GROUP_SEEDS', 100),
  QASID_GROUP_STEPS: size('QASID_GROUP_STEPS', 120),
  QASID_TAB_SENDS: size('QASID_TAB_SENDS', 1_000),
  QASID_SIM_MESSAGES: size('QASID_SIM_MESSAGES', 100_000),
  QASID_HAUL_MESSAGES: size('QASID_HAUL_MESSAGES', 10_000),
  QASID_HAUL_CROWD: size('QASID_HAUL_CROWD', 47),
  QASID_HAUL_SEED: process.env.QASID_HAUL_SEED ?? seed,
  QASID_SIM_FIRST: process.env.QASID_SIM_FIRST ?? seed,
};

/** A kill of the relay is a start, a crowd and an end of it, twice, with and without eager push: fewer than of the CLI. */
const fewerKills = { QASID_KILL_ROUNDS: size('QASID_KILL_ROUNDS', 250) };

const inFolder = (folder, name = /\.test\.js$/) =>
  existsSync(root + folder)
    ? readdirSync(root + folder, { recursive: true, encoding: 'utf8' })
        .filter((file) => name.test(file))
        .sort()
        .map((file) => `${folder}/${file}`)
    : [];

const groups = [
  ['mutation', inFolder('packages/protocol/dist-test/mutation')],
  ['interop', inFolder('interop/dist')],
  ['kill -9', inFolder('packages/cli/dist-test', /kill.*\.test\.js$/)],
  // The relay's part: 500 kills, a million mutated frames, crowds and power cuts.
  [
    'relay',
    inFolder('packages/relay/dist-test', /(?:^|\/)(?:kill|frames|crowd|disk-faults)\.test\.js$/),
    fewerKills,
  ],
  // Whole systems under one seed: 100 000 messages over deaths, outages and an evil relay.
  ['simulation', inFolder('packages/client-sdk/dist-test/property', /simulation\.test\.js$/)],
  // Real processes: 10 000 messages, a group of 50, and everything killed at random.
  ['haul', inFolder('packages/client-sdk/dist-test/e2e', /long-haul\.test\.js$/)],
  ['blobs', inFolder('packages/relay/dist-test/e2e', /blob-(?:memory|kill)\.test\.js$/)],
  // Groups: 50 members with churn over a real relay, and random schedules.
  ['groups', inFolder('packages/client-sdk/dist-test', /group-(?:churn|schedules)\.test\.js$/)],
  ['documents', inFolder('packages/client-sdk/dist-test/e2e', /documents-hard\.test\.js$/)],
  ['tabs', inFolder('packages/client-sdk/dist-test/browser', /tabs\.test\.js$/)],
];

let passed = 0;
let failed = 0;

/** A parser that counts what a test file says, and shows its comments and failures as they come. */
function counter(file) {
  const parser = new Parser();
  const hook = (level, path) => {
    let child;
    level.on('child', (next) => {
      child = next;
      hook(next, [...path, next.name]);
    });
    level.on('comment', (comment) => {
      if (!comment.startsWith('# Subtest') && !comment.startsWith('# {')) {
        if (!comment.startsWith('# time')) process.stdout.write(`  ${comment}`);
      }
    });
    level.on('assert', (result) => {
      const mine = child;
      child = undefined;
      if (mine?.results?.count > 0 && mine.results.ok === result.ok) return;
      const name = [...path, result.name].join(' > ');
      if (result.skip || result.todo) console.log(`  skipped: ${name}`);
      else if (result.ok) passed++;
      else {
        failed++;
        console.log(`  not ok: ${file}: ${name}`);
        if (result.diag?.diff) console.log(result.diag.diff.replace(/^/gm, '    '));
      }
    });
  };
  hook(parser, []);
  return parser;
}

console.log(
  `seed ${seed}; ${env.QASID_MUTATIONS} mutations a decoder, ${env.QASID_INTEROP_MESSAGES} messages, ` +
    `${env.QASID_PARITY_INPUTS} inputs to both implementations, ${env.QASID_KILL_ROUNDS} kills`,
);
const only = process.argv.slice(2);
const isWanted = (title) => (file) =>
  only.length === 0 || only.some((part) => `${title}: ${file}`.includes(part));
for (const [title, all, sizes] of groups) {
  const files = all.filter(isWanted(title));
  if (all.length > 0 && files.length === 0) continue;
  if (files.length === 0) {
    failed++;
    console.log(`not ok: ${title}: no test files found`);
  }
  for (const file of files) {
    const started = Date.now();
    console.log(`${title}: ${file}`);
    const before = failed;
    const child = spawn(process.execPath, ['--enable-source-maps', root + file], {
      cwd: root,
      env: { ...env, ...sizes },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const parser = child.stdout.pipe(counter(file));
    const [[code, signal]] = await Promise.all([once(child, 'close'), once(parser, 'complete')]);
    if (code !== 0 && failed === before) {
      failed++;
      console.log(`  not ok: ${file} ended with ${signal ?? `exit code ${code}`}`);
    }
    console.log(`  ${Math.round((Date.now() - started) / 1000)} s`);
  }
}
// Breaks on purpose, counted as tests. The simulator's own come last: they take longest.
for (const script of ['mutants', 'sabotage']) {
  if (only.length > 0 && !only.includes(script)) continue;
  console.log(`${script}: scripts/${script}.mjs`);
  const names = only.filter((name) => name !== script);
  const child = spawn(process.execPath, [`${root}scripts/${script}.mjs`, ...names], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let told = '';
  child.stdout.on('data', (chunk) => (told += chunk));
  const [code] = await once(child, 'close');
  const [, good = 0, bad = 0] = /^(\d+) passed, (\d+) failed$/m.exec(told) ?? [];
  passed += Number(good);
  failed += Number(bad) || (code === 0 ? 0 : 1);
  for (const line of told.split('\n')) if (line.startsWith('not ok')) console.log(`  ${line}`);
}
if (passed + failed === 0) {
  failed++;
  console.log(`not ok: nothing is called ${only.join(', ')}`);
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
