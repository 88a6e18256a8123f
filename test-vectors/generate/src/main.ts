/**
 * Writes the vectors, or with `--check` compares them with what is there. Same seeds, same bytes: a
 * difference means that behaviour changed.
 */
import { mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { VECTORS_VERSION, vectorSchema } from '../../../packages/protocol/dist/vectors/index.js';
import { formats } from './formats.js';
import { operations, type Cases } from './kit.js';
import { primitives } from './primitives.js';
import { relay } from './relay.js';
import { sessions } from './sessions.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FAMILIES = [...new Set(operations.map(({ family }) => family))];

/** Every file of the set by its path below `test-vectors/`. */
export async function wantedFiles(): Promise<Map<string, string>> {
  const sets: Cases[] = [await primitives(), await sessions(), await formats(), await relay()];
  const problems = sets.flatMap((set) => set.problems);
  if (problems.length > 0) throw new Error(problems.join('\n'));
  const files = new Map<string, string>();
  const put = (path: string, value: unknown): void => {
    if (files.has(path)) throw new Error(`${path} is there twice`);
    files.set(path, `${JSON.stringify(value, undefined, 2)}\n`);
  };
  const counts: Record<string, { positive: number; negative: number }> = {};
  for (const vector of sets.flatMap(({ vectors }) => vectors)) {
    const negative = 'error' in vector.expect;
    counts[vector.family] ??= { positive: 0, negative: 0 };
    counts[vector.family]![negative ? 'negative' : 'positive']++;
    const folder = negative ? `negative/${vector.family}` : vector.family;
    put(`${folder}/${vector.operation}.${vector.case}.json`, vector);
  }
  for (const family of FAMILIES) {
    put(`schema/${family}.schema.json`, vectorSchema(family, operations));
  }
  put('manifest.json', { version: VECTORS_VERSION, families: counts });
  return files;
}

function filesThere(): string[] {
  return ['manifest.json', 'schema', 'negative', ...FAMILIES].flatMap((name) => {
    const path = resolve(ROOT, name);
    if (name.endsWith('.json')) return [name];
    try {
      return readdirSync(path, { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.json'))
        .map((file) => relative(ROOT, resolve(path, file)));
    } catch {
      return [];
    }
  });
}

async function main(): Promise<void> {
  const wanted = await wantedFiles();
  const there = filesThere();
  if (process.argv.includes('--check')) {
    let differences = 0;
    for (const path of new Set([...wanted.keys(), ...there])) {
      let found: string | undefined;
      try {
        found = readFileSync(resolve(ROOT, path), 'utf8');
      } catch {}
      if (found === wanted.get(path)) continue;
      differences++;
      console.error(`vectors: ${path} ${found === undefined ? 'is missing' : 'differs'}`);
    }
    console.log(`${wanted.size - differences} passed, ${differences} failed`);
    process.exitCode = differences === 0 ? 0 : 1;
    return;
  }
  for (const path of there) if (!wanted.has(path)) rmSync(resolve(ROOT, path), { force: true });
  for (const [path, text] of wanted) {
    const file = resolve(ROOT, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  console.log(`${wanted.size} files written`);
}

// Also when it is reached through a link, as scripts/mutants.mjs does.
const started = process.argv[1] && realpathSync(process.argv[1]);
if (started === fileURLToPath(import.meta.url)) await main();
