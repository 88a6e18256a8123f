// Which rows of spec/attacks.md have a test. `npm run attacks` prints every row of this release and counts.
//
//   --all     rows of other issues too
//   --tests   the names of the tests of each row
//   --strict  exit 1 when a row of this release has no test: every row of the protocol, and of the relay and the SDK
//             those of priority 0
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { filesBelow } from './import-graph.mjs';

/** Issues whose rows must have a test: the sessions and the rest of the protocol. */
const RELEASED = new Set(['2', '3']);
/** The issues of the relay and the SDK: their rows of priority 0 must have one too. */
const PRIORITY_0 = new Set(['4', '5']);
const root = fileURLToPath(new URL('..', import.meta.url));
const option = (name) => process.argv.includes(`--${name}`);

const rows = [];
for (const line of readFileSync(`${root}spec/attacks.md`, 'utf8').split('\n')) {
  const match = /^\| ([A-M]\d\d) \| ([012]) \| (\d|–) \| (.+) \|$/.exec(line);
  if (match)
    rows.push({ id: match[1], priority: match[2], issue: match[3], title: match[4], tests: [] });
}
const byId = new Map(rows.map((row) => [row.id, row]));
let wrong = 0;
if (rows.length < 100 || byId.size !== rows.length) {
  console.log(`not ok: ${rows.length} rows, ${byId.size} different ids`);
  wrong++;
}

// A test is named in the first argument of a call: t.test('ATK-C04 …', test(`ATK-C04 …`, and so on.
for (const folder of ['packages', 'interop', 'bench', 'scripts/test']) {
  const wanted = (path) => /\.test\.(ts|mjs)$/.test(path) || /(^|\/)test\/.*\.ts$/.test(path);
  for (const file of filesBelow(`${root}${folder}`, wanted)) {
    const source = readFileSync(`${root}${folder}/${file}`, 'utf8');
    for (const [, , name] of source.matchAll(
      /\(\s*(['"`])((?:(?!\1).)*ATK-[A-M]\d\d(?:(?!\1).)*)\1/g,
    )) {
      for (const [, id] of name.matchAll(/ATK-([A-M]\d\d)/g)) {
        const row = byId.get(id);
        if (row) row.tests.push({ name, file: `${folder}/${file}` });
        else {
          console.log(
            `not ok: ${folder}/${file} names ATK-${id}, which spec/attacks.md does not list`,
          );
          wrong++;
        }
      }
    }
  }
}

const mine = rows.filter((row) => RELEASED.has(row.issue));
const shown = option('all')
  ? rows
  : rows.filter((row) => RELEASED.has(row.issue) || row.tests.length > 0);
for (const row of shown) {
  const count = row.tests.length === 0 ? 'none' : String(row.tests.length);
  const note = RELEASED.has(row.issue)
    ? ''
    : row.issue === '–'
      ? ' (later)'
      : ` (issue ${row.issue})`;
  console.log(`ATK-${row.id}  P${row.priority}  tests ${count.padStart(4)}  ${row.title}${note}`);
  if (option('tests')) {
    for (const test of row.tests) console.log(`    ${test.file}: ${test.name}`);
  }
}

const missing = mine.filter((row) => row.tests.length === 0);
const answered = rows.filter((row) => row.tests.length > 0).length;
console.log(
  `${answered} of ${rows.length} rows have a test; of this release ${mine.length - missing.length} of ${mine.length}`,
);
if (missing.length > 0) {
  console.log(`without a test: ${missing.map((row) => `${row.id} (P${row.priority})`).join(', ')}`);
}
const open = rows.filter(
  ({ issue, priority, tests }) => PRIORITY_0.has(issue) && priority === '0' && tests.length === 0,
);
if (open.length > 0) {
  console.log(
    `of relay and SDK, priority 0, without a test: ${open.map(({ id }) => id).join(', ')}`,
  );
}
if (option('strict') && missing.length + open.length > 0) wrong++;
process.exitCode = wrong === 0 ? 0 : 1;
