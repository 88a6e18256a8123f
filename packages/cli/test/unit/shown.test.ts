/** What the record of shown messages concludes from what a crash left behind. */
import { spawnSync, type StdioOptions } from 'node:child_process';
import { closeSync, openSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import t from 'tap';

import { temporaryFolder } from '../support/processes.js';

const program = fileURLToPath(new URL('../support/shown-process.js', import.meta.url));
const LINE = 'alice: salaam\n';

interface Answer {
  readonly last: number;
  readonly kind: string;
  readonly rest?: string;
}

function run(folder: string, action: string, stdout: string | 'pipe', line = LINE) {
  const fd = stdout === 'pipe' ? undefined : openSync(stdout, 'a');
  const stdio: StdioOptions = ['ignore', fd ?? 'pipe', 'pipe'];
  const done = spawnSync(process.execPath, [program, folder, action, line], { stdio });
  if (fd !== undefined) closeSync(fd);
  return done;
}

/** The record as it is just before `shown` is written: the last step never happened. */
function interrupt(folder: string): void {
  const path = join(folder, 'shown.log');
  const lines = readFileSync(path, 'utf8').split('\n');
  writeFileSync(path, `${lines.slice(0, -2).join('\n')}\n`);
}

function ask(folder: string, stdout: string | 'pipe', line = LINE): Answer {
  return JSON.parse(run(folder, 'ask', stdout, line).stderr.toString());
}

t.test('a printed line is recorded once', async (t) => {
  const folder = temporaryFolder(t.teardown);
  const file = join(folder, 'out');
  t.same(ask(folder, file), { last: 0, kind: 'none' }, 'nothing yet');
  t.equal(run(folder, 'print', file).status, 0);
  t.equal(run(folder, 'print', file, 'bob: two\n').status, 0);
  t.equal(readFileSync(file, 'utf8'), `${LINE}bob: two\n`);
  t.same(ask(folder, file), { last: 2, kind: 'none' });
});

t.test('killed at every byte of the line: the file tells', async (t) => {
  const folder = temporaryFolder(t.teardown);
  const file = join(folder, 'out');
  run(folder, 'print', file, 'earlier\n');
  run(folder, 'print', file);
  interrupt(folder);
  const whole = readFileSync(file);
  t.same(ask(folder, file), { last: 1, kind: 'shown' }, 'all of it is there');
  for (let bytes = LINE.length - 1; bytes > 0; bytes--) {
    truncateSync(file, whole.length - LINE.length + bytes);
    t.same(ask(folder, file), { last: 1, kind: 'partly', rest: LINE.slice(bytes) });
  }
  truncateSync(file, whole.length - LINE.length);
  t.same(ask(folder, file), { last: 1, kind: 'not-shown' }, 'none of it');
});

t.test('where nobody can tell, it says so', async (t) => {
  const folder = temporaryFolder(t.teardown);
  const file = join(folder, 'out');
  run(folder, 'print', file);
  interrupt(folder);
  t.equal(ask(folder, 'pipe').kind, 'doubt', 'a pipe now');
  t.equal(ask(folder, join(folder, 'other')).kind, 'doubt', 'another file now');
  t.equal(ask(folder, file, 'in another form\n').kind, 'shown', 'the file is judged by its bytes');
  truncateSync(file, 5);
  t.equal(ask(folder, file, 'in another form\n').kind, 'doubt', 'half of an unknown form');
  run(folder, 'ask', file); // still the same intent
  writeFileSync(join(folder, 'out'), '');
  t.equal(ask(folder, file).kind, 'not-shown', 'emptied to where the line began');

  const piped = temporaryFolder(t.teardown);
  run(piped, 'print', 'pipe');
  interrupt(piped);
  t.equal(ask(piped, 'pipe').kind, 'doubt', 'it was a pipe then');
  t.equal(ask(piped, file).kind, 'doubt', 'and a file now');
});

t.test('a file that shrank below the line, and one others write to as well', async (t) => {
  const folder = temporaryFolder(t.teardown);
  const file = join(folder, 'out');
  run(folder, 'print', file, 'earlier\n');
  run(folder, 'print', file);
  interrupt(folder);
  writeFileSync(file, `earlier\nsomeone else\n${LINE}`);
  t.equal(ask(folder, file).kind, 'shown', 'further on');
  writeFileSync(file, 'earlier\nsomeone else\n');
  t.equal(ask(folder, file).kind, 'not-shown');
  writeFileSync(file, 'ear');
  t.equal(ask(folder, file).kind, 'doubt', 'shrunk');
});

t.test('torn and damaged records', async (t) => {
  const folder = temporaryFolder(t.teardown);
  const record = join(folder, 'shown.log');
  const file = join(folder, 'out');
  writeFileSync(record, 'shown 4\nintent 5 14 abc');
  t.same(ask(folder, file), { last: 4, kind: 'none' }, 'a torn step did not happen');
  writeFileSync(record, 'shown 4\nintent 5 14 abc\nundone 5\n');
  t.same(ask(folder, file), { last: 4, kind: 'none' }, 'an undone one neither');
  for (const text of ['shown x\n', 'seen 4\n', 'intent 3\n', '\n', 'shown -1\n']) {
    writeFileSync(record, text);
    t.not(run(folder, 'ask', file).status, 0, JSON.stringify(text));
    t.equal(readFileSync(record, 'utf8'), text, 'and it is left alone');
  }
});
