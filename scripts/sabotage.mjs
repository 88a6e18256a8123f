// Breaks the compiled client on purpose, one thing at a time, and lets the simulator look for it: a simulator
// that finds nothing in a broken client proves nothing about a whole one.
//
//   npm run sabotage           all of them
//   npm run sabotage -- inbox  those whose name has one of these words
//
// Works on a copy. Each break must be found within its number of seeds; prints by which one, and what it saw.
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

const PACKAGE = fileURLToPath(new URL('../packages/client-sdk/', import.meta.url));

/** Seeds to look at, in this order: honest relays first, which lose nothing and so excuse nothing. */
const SEEDS = [5, 6, 2, 8, 4, 7, 3, 11, 14, 17];

/** One seed takes seconds. A break that makes it stand still is not one that was found. */
const SEED_TIMEOUT_MS = 240_000;

/** name, seeds in which it must be found, then for each change: compiled file, what stands there, what instead. */
const SABOTAGES = [
  [
    'inbox acknowledges before it commits',
    8,
    [
      'inbox.js',
      'await this.#process(delivery);',
      'this.#through = delivery.seq; this.#unacknowledged++; this.#acknowledge(); await this.#process(delivery);',
    ],
  ],
  [
    'inbox commits the session first and the message after it',
    8,
    [
      'inbox.js',
      'return joinExtras(opened.extra, this.#done(delivery, held), healed?.extra ?? {});',
      'rest = opened.extra; return joinExtras(this.#done(delivery, held), healed?.extra ?? {});',
    ],
    [
      'inbox.js',
      'if (healed !== undefined)\n                repairs.recovered',
      'await this.#options.store.commit({ extra: rest });\n            if (healed !== undefined)\n                repairs.recovered',
    ],
    ['inbox.js', 'let happenings = [];', 'let happenings = []; let rest = {};'],
  ],
  [
    'outbox forgets a row when the relay is to have it, not when it has it',
    8,
    [
      'outbox.js',
      'const answer = await this.#options.post(account, parts);',
      'this.#options.post(account, parts).catch(() => undefined); return;',
    ],
  ],
  [
    'outbox goes on with the row as it was before it had its link',
    8,
    [
      'outbox.js',
      '        return sealed;\n    }',
      '        return { ...sealed, content: row.content };\n    }',
    ],
  ],
  [
    'outbox sends again under another content id',
    8,
    [
      'outbox.js',
      'let sealed = isSealedRow(row) ? row : await this.#prepare(row);',
      'let sealed = isSealedRow(row) && !this.#attempts.has(name) ? row : await this.#prepare(again(row));',
    ],
    ['outbox.js', 'await this.#deliver(row);', 'await this.#deliver(row, name);'],
    ['outbox.js', 'async #deliver(row) {', 'async #deliver(row, name) {'],
    [
      'outbox.js',
      'function isSealedRow(row) {',
      `function again(row) {
        if (row.kind !== 'message' || row.content.length < 20) return row;
        const content = Uint8Array.from(row.content);
        content[10] ^= 1;
        return { ...row, content, copied: false };
      }
      function isSealedRow(row) {`,
    ],
  ],
  [
    'a removed member keeps the sender key: it is not made new',
    4,
    [
      'groups/keys.js',
      'return [...holders.devices.keys()].some((name) => !now.recipients.has(name));',
      'return false;',
    ],
    ['groups/keys.js', 'if (key.epoch !== now.epoch || key.ownDevices', 'if (key.ownDevices'],
  ],
  [
    'whoever is brought in gets the sender key from its beginning',
    4,
    [
      'groups/fan-out.js',
      'message: distributionMessage(record, distributionId),',
      'message: (globalThis.first ??= new Map()).get(toHex(distributionId)) ?? (globalThis.first.set(toHex(distributionId), distributionMessage(record, distributionId)), distributionMessage(record, distributionId)),',
    ],
  ],
];

const wanted = process.argv.slice(2);
const chosen = SABOTAGES.filter(
  ([name]) => wanted.length === 0 || wanted.some((word) => name.includes(word)),
);
const copy = mkdtempSync(join(tmpdir(), 'qasid-sabotage-'));
for (const name of ['dist', 'dist-test', 'package.json']) {
  cpSync(join(PACKAGE, name), join(copy, name), { recursive: true });
}
symlinkSync(join(PACKAGE, 'node_modules'), join(copy, 'node_modules'));
const { planOf } = await import(join(copy, 'dist-test/support/simulation-plan.js'));

/** The first seed of `count` with a problem, and the problem. A thread of its own: it reads the files anew. */
async function found(count) {
  const worker = new Worker(join(copy, 'dist-test/support/simulation-worker.js'), {
    stderr: true,
  });
  try {
    for (const seed of SEEDS.slice(0, count)) {
      const answer = await new Promise((resolve) => {
        const timer = setTimeout(() => resolve({ stands: true }), SEED_TIMEOUT_MS);
        const end = (value) => {
          clearTimeout(timer);
          resolve(value);
        };
        worker.once('message', end);
        worker.once('error', (error) => end({ broken: error.stack ?? String(error) }));
        worker.postMessage(planOf(seed));
      });
      if (answer.stands) return { seed, stands: true };
      if (answer.broken) return { seed, problem: answer.broken };
      if (answer.outcome.problems.length > 0) return { seed, problem: answer.outcome.problems[0] };
    }
    return undefined;
  } finally {
    await worker.terminate();
  }
}

let passed = 0;
let failed = 0;
function report(ok, line) {
  if (ok) passed++;
  else failed++;
  console.log(`${ok ? 'ok' : 'not ok'}: ${line}`);
}
const short = (text) => text.replace(/\s+/g, ' ').slice(0, 160);

try {
  const whole = await found(2);
  report(
    whole === undefined,
    `nothing is found in a whole client${whole ? `: ${whole.problem}` : ''}`,
  );
  for (const [name, count, ...changes] of chosen) {
    const before = new Map();
    let missing;
    for (const [file, find, replace] of changes) {
      const path = join(copy, 'dist', file);
      const source = readFileSync(path, 'utf8');
      if (!before.has(path)) before.set(path, source);
      const times = source.split(find).length - 1;
      if (times !== 1) missing ??= `${file}: "${find.slice(0, 60)}" stands there ${times} times`;
      writeFileSync(
        path,
        source.replace(find, () => replace),
      );
    }
    const started = Date.now();
    const result = missing === undefined ? await found(count) : undefined;
    for (const [path, source] of before) writeFileSync(path, source);
    const seconds = Math.round((Date.now() - started) / 1_000);
    if (missing !== undefined) report(false, `${name}: ${missing}`);
    else if (result === undefined)
      report(false, `${name}: not found in ${count} seeds, ${seconds} s`);
    else if (result.stands) report(false, `${name}: seed ${result.seed} stands still`);
    else report(true, `${name}: seed ${result.seed}, ${seconds} s: ${short(result.problem)}`);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
