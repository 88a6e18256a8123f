// Takes one defence out of a compiled package at a time and runs the tests that name its attack: a test that
// stays green without its defence proves nothing.
//
//   npm run mutants                         all of them
//   npm run mutants -- client-sdk           those of one package
//   npm run mutants -- D02 client-sdk.C04   only these rows
//
// Lists: scripts/mutants/PACKAGE.mjs, with
//   MUTANTS  [row, file, find, replace, test, names?]; names: of the tests in it, level by level; file '*' for "wherever it stands", and for a defence of several
//            parts, find and replace as lists. `find` stands there exactly once.
//   BY_FILE  tests in which any failure counts, whatever its name
//
// Works on a copy; prints one line a mutant and `N passed, N failed`.
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** What tests reach outside their package. */
const BESIDE = ['test-vectors', 'spec', 'docs', 'examples', 'package.json', 'node_modules'];

const known = readdirSync(join(ROOT, 'scripts/mutants')).map((file) => file.replace(/\.mjs$/, ''));
const args = process.argv.slice(2);
const packages = known.filter((name) => args.includes(name));
const rows = args.filter((arg) => !known.includes(arg));

let passed = 0;
let failed = 0;
const report = (ok, line) => {
  if (ok) passed++;
  else failed++;
  console.log(`${ok ? 'ok' : 'not ok'}: ${line}`);
};

/** A copy of one package, in which its tests run. */
class Copy {
  #folder = mkdtempSync(join(tmpdir(), 'qasid-mutants-'));
  #root;

  constructor(name) {
    this.#root = join(this.#folder, 'packages', name);
    const from = join(ROOT, 'packages', name);
    for (const part of ['dist', 'dist-test', 'package.json', 'src', 'test']) {
      cpSync(join(from, part), join(this.#root, part), { recursive: true });
    }
    symlinkSync(join(from, 'node_modules'), join(this.#root, 'node_modules'));
    for (const part of BESIDE) symlinkSync(join(ROOT, part), join(this.#folder, part));
    for (const other of readdirSync(join(ROOT, 'packages'))) {
      if (other === name) continue;
      symlinkSync(join(ROOT, 'packages', other), join(this.#folder, 'packages', other));
    }
  }

  run(test, names = []) {
    const filter = names.length > 0 && { TAP_GREP: names.join('\n'), TAP_FILTER_QUIETLY: '1' };
    return spawnSync(process.execPath, [join(this.#root, 'dist-test', test)], {
      encoding: 'utf8',
      env: { ...process.env, TAP_TIMEOUT: '280', ...filter },
      timeout: 300_000,
      maxBuffer: 256 * 1024 * 1024,
    });
  }

  /** Compiled files in which `find` stands, as often as it does. */
  filesWith(file, find) {
    const all =
      file === '*'
        ? readdirSync(join(this.#root, 'dist'), { recursive: true, encoding: 'utf8' })
        : [file];
    return all
      .filter((name) => name.endsWith('.js'))
      .map((name) => join(this.#root, 'dist', name))
      .flatMap((path) => Array(readFileSync(path, 'utf8').split(find).length - 1).fill(path));
  }

  remove() {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

for (const name of packages.length > 0 ? packages : known) {
  const { MUTANTS, BY_FILE = [] } = await import(`./mutants/${name}.mjs`);
  const isWanted = (row) =>
    rows.length === 0 || rows.includes(row) || rows.includes(`${name}.${row}`);
  const chosen = MUTANTS.filter(([row]) => isWanted(row));
  if (chosen.length === 0) continue;
  const copy = new Copy(name);
  try {
    const runs = new Map(
      chosen.map(([, , , , test, names = []]) => [[test, ...names].join(' > '), [test, names]]),
    );
    for (const [title, [test, names]] of runs) {
      const { status, stdout } = copy.run(test, names);
      // Tests that nobody is called by would be green as well.
      const isThere = /^\s+ok /m.test(stdout);
      report(status === 0 && isThere, `${name}: ${title} is green with all defences`);
    }
    for (const [row, file, find, replace, test, names] of chosen) {
      const parts = [find].flat();
      const title = `${name}: ATK-${row} ${parts[0].split('\n')[0].trim().slice(0, 60)}`;
      const places = parts.map((part) => copy.filesWith(file, part));
      const odd = places.findIndex((paths) => paths.length !== 1);
      if (odd >= 0) {
        report(false, `${title}: part ${odd} stands there ${places[odd].length} times`);
        continue;
      }
      const before = new Map(places.map(([path]) => [path, readFileSync(path, 'utf8')]));
      for (const [index, part] of parts.entries()) {
        const [path] = places[index];
        const source = readFileSync(path, 'utf8');
        writeFileSync(
          path,
          source.replace(part, () => [replace].flat()[index]),
        );
      }
      const { status, stdout } = copy.run(test, names);
      for (const [path, source] of before) writeFileSync(path, source);
      const red = stdout
        .split('\n')
        .some(
          (line) =>
            /^\s*not ok/.test(line) && (line.includes(`ATK-${row}`) || BY_FILE.includes(test)),
        );
      report(status !== 0 && red, `${title}: ${red ? 'seen red' : 'stayed green'}`);
    }
  } finally {
    copy.remove();
  }
}
if (passed + failed === 0) report(false, `nothing is called ${args.join(', ')}`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
