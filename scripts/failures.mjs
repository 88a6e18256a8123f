// `npm run test:failures`: the failure matrix of a relay on its own, row by row, as a table of what was promised,
// what was done, and what came out. Exit code 1 when any row misses, or when what should show it was not run.
//
// Every row is one or more tests of the ordinary suite, in larger sizes; tests tell their numbers in a comment
// `# numbers: …`. Rows of several nodes (PostgreSQL, NATS, shards) belong to the cluster and are not here.
// QASID_KILL_ROUNDS (20), QASID_CROWD (1 000), QASID_POWER_CUTS (20), QASID_FUZZ_RUNS (20 000),
// QASID_FAULT_RUNS (500) set other sizes. `-- --quick` runs the sizes of `npm test`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Parser } from 'tap-parser';

const root = fileURLToPath(new URL('..', import.meta.url));
const isQuick = process.argv.includes('--quick');
const size = (name, large) => process.env[name] ?? (isQuick ? undefined : String(large));
const sizes = {
  QASID_KILL_ROUNDS: size('QASID_KILL_ROUNDS', 20),
  QASID_CROWD: size('QASID_CROWD', 1_000),
  QASID_POWER_CUTS: size('QASID_POWER_CUTS', 20),
  QASID_FUZZ_RUNS: size('QASID_FUZZ_RUNS', 20_000),
  QASID_FAULT_RUNS: size('QASID_FAULT_RUNS', 500),
};
const env = { ...process.env, TAP_TIMEOUT: '0' };
for (const [name, value] of Object.entries(sizes)) if (value !== undefined) env[name] = value;

const RELAY = 'packages/relay/dist-test/';
const SDK = 'packages/client-sdk/dist-test/';

/** event, promise, what is done, and the tests: file and a part of the name of each. */
const rows = [
  [
    'kill -9 of the relay',
    'nothing confirmed lost, none twice, order kept, no prekey twice',
    'killed at random under load',
    [[RELAY, 'e2e/kill', 'kills under load']],
  ],
  [
    'power loss',
    'the same',
    'only synced bytes survive; strace; copy at confirm; log cut at every 4 KiB',
    [
      [RELAY, 'e2e/disk-faults', 'power cuts'],
      [RELAY, 'e2e/durability', 'no answer leaves before'],
      [RELAY, 'e2e/startup', 'a confirmed envelope is in the files'],
      [RELAY, 'e2e/startup', 'a log cut anywhere'],
    ],
  ],
  [
    'fsync fails (EIO)',
    'confirms nothing, ends non-zero',
    'shim under the relay, both threads',
    [[RELAY, 'e2e/durability', 'a disk that fails to sync']],
  ],
  [
    'disk full',
    'sends refused, deletions and delivery go on, recovers',
    'ENOSPC under the relay; max_page_count; a store that says so',
    [
      [RELAY, 'e2e/disk-faults', 'a full disk'],
      [RELAY, 'e2e/startup', 'a disk that is full'],
      [RELAY, 'routes/socket', 'a full disk turns sends away'],
    ],
  ],
  [
    'store thread dies',
    'not ready, replaced once, else the end',
    'ends before, inside and after a commit, reading, idle; and again',
    [
      [RELAY, 'e2e/worker-death', 'the store thread ends: before'],
      [RELAY, 'e2e/worker-death', 'the store thread ends: inside'],
      [RELAY, 'e2e/worker-death', 'the store thread ends: after'],
      [RELAY, 'e2e/worker-death', 'the store thread ends: reading'],
      [RELAY, 'e2e/worker-death', 'the store thread ends: idle'],
      [RELAY, 'e2e/worker-death', 'a thread that dies again'],
    ],
  ],
  [
    'slow disk (1 s per fsync)',
    'late, memory bounded, BUSY, sockets alive, event loop < 50 ms late',
    'shim under the relay, senders beyond their credit',
    [
      [RELAY, 'e2e/disk-faults', 'takes a second per sync'],
      [RELAY, 'routes/socket', 'a slow disk delays'],
    ],
  ],
  [
    'client stops reading',
    'its mailbox pauses, memory ≤ window, others unaffected',
    'sockets that stand still, and live letters',
    [
      [RELAY, 'e2e/crowd', 'sockets stop reading'],
      [RELAY, 'e2e/relay', 'a reader that stops reading'],
      [RELAY, 'routes/socket', 'a slow socket pauses'],
    ],
  ],
  [
    'client never acknowledges',
    'window fills, closed after 60 s, comes again',
    'by hand clock, and on sockets',
    [
      [RELAY, 'routes/socket', 'the window closes'],
      [RELAY, 'e2e/relay', 'what was not acknowledged comes again'],
    ],
  ],
  [
    'client dies between commit and ack',
    'the repeat is not shown',
    'client killed at random commits',
    [[SDK, 'property/crash', 'deaths at random commits']],
  ],
  [
    'recipient re-installs',
    'DEVICES_STALE, new session, old queue gone',
    'new registration ids at store and relay, and with the SDK',
    [
      [RELAY, 'store/contract', 'device lists change by one version'],
      [RELAY, 'e2e/relay', 'wrong devices are named'],
      [SDK, 'e2e/unreliable', 'installed anew'],
    ],
  ],
  [
    'flood to one mailbox',
    'its senders are told, p99 of others ≤ 2×',
    '500 sends a second for a full mailbox, one pair of others, with and without in turns',
    [[RELAY, 'e2e/crowd', 'a flood into one mailbox']],
  ],
  [
    'reconnect storm',
    'no crash, all back within 60 s',
    'every socket cut at once',
    [[RELAY, 'e2e/crowd', 'come back at once']],
  ],
  [
    'lost, late, repeated hints',
    'delivered all the same, in order',
    'a bus that drops 100 % and 30 %',
    [
      [RELAY, 'routes/bus', 'whose hint was lost'],
      [RELAY, 'routes/bus', 'nobody hinted at'],
      [RELAY, 'routes/bus', 'no hint at all'],
      [RELAY, 'routes/bus', 'hints lost, twice'],
    ],
  ],
  [
    'commit with unknown outcome',
    'asked again, stored once',
    'answers lost on every store',
    [
      [RELAY, 'store/contract', 'memory: answers get lost'],
      [RELAY, 'store/contract', 'this thread: answers get lost'],
      [RELAY, 'store/contract', 'a worker: answers get lost'],
      [RELAY, 'routes/socket', 'a commit whose answer got lost'],
    ],
  ],
  [
    'wall clock jumps ±1 day',
    'nothing expires until 24 h stable or restarted',
    'hand clock, both ways',
    [
      [RELAY, 'unit/sweeper', 'jumped 1 day'],
      [RELAY, 'unit/sweeper', 'jumped -1 day'],
      [RELAY, 'routes/socket', 'no clock that jumps'],
      [SDK, 'e2e/behaviour', 'a clock that is wrong by a day'],
    ],
  ],
  [
    'corrupted page or row',
    'that mailbox errors, the relay stays up, verify reports',
    'chain of pages broken under a running relay',
    [
      [RELAY, 'e2e/damage', 'a commit that meets damage'],
      [RELAY, 'e2e/damage', 'store on main'],
      [RELAY, 'e2e/damage', 'store on worker'],
      [RELAY, 'e2e/backup', 'verify names damage'],
    ],
  ],
  [
    'malformed frames',
    'the socket is closed, nothing else',
    'mutated frames; hostile bytes on sockets',
    [
      [RELAY, 'fuzz/frames', 'mutated frames'],
      [RELAY, 'e2e/relay', 'hostile bytes'],
    ],
  ],
  [
    'disk lost, backup restored',
    'no one-time prekey again, clients repair the rest',
    'backup of a running relay, restored, both ends',
    [
      [RELAY, 'e2e/backup', 'a backup of a running relay'],
      [SDK, 'e2e/restored', 'after a restore'],
    ],
  ],
];

/** Run a test file; its tests by path, with their numbers. */
async function run(file) {
  const found = [];
  const parser = new Parser();
  const hook = (level, path) => {
    let child;
    const numbers = [];
    level.on('child', (next) => {
      child = { parser: next, numbers: hook(next, [...path, next.name]) };
    });
    level.on('comment', (text) => {
      const told = /^# numbers: (.*)$/m.exec(text.trim());
      if (told) numbers.push(told[1]);
    });
    level.on('assert', (result) => {
      if (child === undefined) return;
      const isSkipped = Boolean(result.skip || result.todo);
      const name = [...path, result.name].join(' > ');
      found.push({ name, isGood: result.ok && !isSkipped, isSkipped, numbers: child.numbers });
      child = undefined;
    });
    return numbers;
  };
  hook(parser, []);
  const child = spawn(process.execPath, ['--enable-source-maps', root + file], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  child.stdout.pipe(parser);
  await Promise.all([once(child, 'close'), once(parser, 'complete')]);
  return found;
}

const files = [
  ...new Set(rows.flatMap(([, , , tests]) => tests.map(([a, b]) => `${a}${b}.test.js`))),
];
const results = new Map();
for (const [index, file] of files.entries()) {
  const began = Date.now();
  process.stderr.write(`${index + 1}/${files.length} ${file}`);
  results.set(file, existsSync(root + file) ? await run(file) : []);
  process.stderr.write(` ${Math.round((Date.now() - began) / 1_000)} s\n`);
}

let missed = 0;
console.log('| event | promised | what was done | result | numbers |');
console.log('|---|---|---|---|---|');
for (const [event, promised, done, tests] of rows) {
  const problems = [];
  const numbers = [];
  for (const [folder, file, part] of tests) {
    const matching = results
      .get(`${folder}${file}.test.js`)
      .filter(({ name }) => name.includes(part));
    if (matching.length === 0) problems.push(`not run: ${file}: ${part}`);
    for (const test of matching) {
      if (!test.isGood) problems.push(`${test.isSkipped ? 'skipped' : 'failed'}: ${test.name}`);
      numbers.push(...test.numbers);
    }
  }
  if (problems.length > 0) missed++;
  const tested = `${tests.length} test${tests.length === 1 ? '' : 's'}`;
  const result = problems.length === 0 ? `kept (${tested})` : `MISSED: ${problems.join('; ')}`;
  console.log(
    `| ${event} | ${promised} | ${done} | ${result} | ${numbers.join('; ').replaceAll('|', '/')} |`,
  );
}
console.log(`\n${rows.length - missed} of ${rows.length} rows kept`);
process.exitCode = missed === 0 ? 0 : 1;
