// `npm test`: every test of every package, one last line `N passed, N failed`.
//
// Extra arguments go to tap: `npm test -- packages/protocol/dist-test/unit/labels.test.js`.
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const manifest = createRequire(import.meta.url).resolve('tap/package.json');
const tap = join(dirname(manifest), 'dist/esm/run.mjs');

const child = spawn(process.execPath, [tap, ...process.argv.slice(2)], {
  cwd: root,
  stdio: ['ignore', 'pipe', 'inherit'],
});

// Kept to see whether the summary is the last line; a runner that died must not look like a success.
let tail = '';
child.stdout.on('data', (chunk) => {
  tail = (tail + chunk).slice(-4096);
  process.stdout.write(chunk);
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));

child.on('close', (status, signal) => {
  const summary = /(?:^|\n)(\d+) passed, (\d+) failed\n$/.exec(tail);
  if (summary === null) {
    if (!tail.endsWith('\n') && tail !== '') process.stdout.write('\n');
    process.stdout.write(`not ok: the test runner ended (${signal ?? status}) without a summary\n`);
    process.stdout.write('0 passed, 1 failed\n');
    process.exitCode = 1;
    return;
  }
  if (status === 0 && summary[2] === '0') return;
  if (summary[2] === '0') {
    // tap refuses the run for a reason of its own: say so in the numbers too.
    process.stdout.write(`not ok: tap ended with ${signal ?? status}\n`);
    process.stdout.write(`${summary[1]} passed, 1 failed\n`);
  }
  process.exitCode = 1;
});
