// The last line of `npm test` is what CI counts: each way a test can fail must change it.
import t from 'tap';
import Summary from '../tap-summary.mjs';

async function summarise(text, ci = 'false') {
  const saved = { ci: process.env.CI, exitCode: process.exitCode };
  process.env.CI = ci;
  process.exitCode = 0;
  try {
    const summary = new Summary();
    summary.end(text);
    let out = '';
    for await (const chunk of summary) out += chunk;
    const lines = out.trimEnd().split('\n');
    return { last: lines.at(-1), lines, exitCode: process.exitCode };
  } finally {
    if (saved.ci === undefined) delete process.env.CI;
    else process.env.CI = saved.ci;
    process.exitCode = saved.exitCode;
  }
}

const file = (inner, line, plan = '1..1') =>
  `TAP version 14\n# Subtest: a.test.js\n${inner.replace(/^(?=.)/gm, '    ')}${line}\n${plan}\n`;

t.test('passes are counted at the innermost level', async (t) => {
  const inner =
    'ok 1 - one\n# Subtest: sub\n    ok 1 - two\n    ok 2 - three\n    1..2\nok 2 - sub\n1..2\n';
  const { last, exitCode } = await summarise(file(inner, 'ok 1 - a.test.js'));
  t.equal(last, '3 passed, 0 failed');
  t.equal(exitCode, 0);
});

t.test('a failed assertion is counted once and named with its path', async (t) => {
  const inner =
    '# Subtest: sub\n    not ok 1 - two\n    ok 2 - three\n    1..2\nnot ok 1 - sub\n1..1\n';
  const { last, lines, exitCode } = await summarise(file(inner, 'not ok 1 - a.test.js'));
  t.equal(last, '1 passed, 1 failed');
  t.equal(lines[0], 'not ok: a.test.js > sub > two');
  t.equal(exitCode, 1);
});

t.test('a file that dies after passing is a failure', async (t) => {
  const { last } = await summarise(
    file('ok 1 - one\n1..1\n', 'not ok 1 - a.test.js\n  ---\n  exitCode: 3\n  ...'),
  );
  t.equal(last, '1 passed, 1 failed');
});

t.test('a file that dies before its first assertion is a failure', async (t) => {
  const { last } = await summarise(
    'TAP version 14\nnot ok 1 - a.test.js\n  ---\n  exitCode: 1\n  ...\n1..1\n',
  );
  t.equal(last, '0 passed, 1 failed');
});

t.test('a bail-out is a failure', async (t) => {
  const { last, exitCode } = await summarise('TAP version 14\nok 1 - one\nBail out! no more\n');
  t.match(last, /^1 passed, [1-9]\d* failed$/);
  t.equal(exitCode, 1);
});

t.test('a skipped test is shown, and fails where CI=true', async (t) => {
  const text = file('ok 1 - one\nok 2 - two # SKIP no browser\n1..2\n', 'ok 1 - a.test.js');
  const here = await summarise(text);
  t.equal(here.last, '1 passed, 0 failed');
  t.ok(here.lines.includes('skipped: a.test.js > two: no browser'));
  const ci = await summarise(text, 'true');
  t.equal(ci.last, '1 passed, 1 failed');
  t.equal(ci.exitCode, 1);
});

t.test('a test to be written fails where CI=true', async (t) => {
  const text = file('ok 1 - one\nok 2 - two # TODO later\n1..2\n', 'ok 1 - a.test.js');
  t.equal((await summarise(text, 'true')).last, '1 passed, 1 failed');
});

t.test('a file without tests is a failure everywhere', async (t) => {
  const { last } = await summarise(
    'TAP version 14\nok 1 - a.test.js # SKIP no tests found\n1..1\n',
  );
  t.equal(last, '0 passed, 1 failed');
});

t.test('no tests at all is a failure', async (t) => {
  const { last, exitCode } = await summarise('TAP version 14\n1..0\n');
  t.match(last, /^0 passed, [1-9]\d* failed$/);
  t.equal(exitCode, 1);
});
