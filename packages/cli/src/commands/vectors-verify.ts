/**
 * `qasid vectors verify`: run the published test vectors, or somebody else's of the same form.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { defaultCrypto, defaultStreams } from '@qasid/protocol';
import { checkVector, vectorOperations, type Vector } from '@qasid/protocol/vectors';

import type { Context } from '../context.js';
import { CliError, EXIT, type ExitCode } from '../exit-codes.js';

/** Folders of `test-vectors/` that hold no vectors of this form. */
const OTHER_FOLDERS = ['recorded', 'content', 'schema', 'generate', 'node_modules'];

/** Run the command: one line for each family, `N passed, N failed` at the end. */
export async function vectorsVerify(context: Context, folder: string): Promise<ExitCode> {
  const files = vectorFiles(folder);
  if (files.length === 0) {
    throw new CliError(EXIT.usage, `no vectors in ${folder}`, [
      'name the folder test-vectors of a checkout, or one like it',
    ]);
  }
  const operations = vectorOperations(defaultStreams);
  const families = new Map<string, { passed: number; failed: number }>();
  for (const file of files) {
    const vector = readVector(join(folder, file));
    const tally = families.get(vector.family) ?? { passed: 0, failed: 0 };
    families.set(vector.family, tally);
    const difference = await checkVector(defaultCrypto, operations, vector);
    if (difference === undefined) tally.passed++;
    else {
      tally.failed++;
      context.output.error(`${file}: ${difference}`);
    }
  }
  let passed = 0;
  let failed = 0;
  for (const [family, tally] of [...families].sort(([a], [b]) => (a < b ? -1 : 1))) {
    passed += tally.passed;
    failed += tally.failed;
    if (context.json) await context.output.json({ family, ...tally });
    else await context.output.data(`${family}: ${tally.passed} passed, ${tally.failed} failed`);
  }
  if (!context.json) await context.output.data(`${passed} passed, ${failed} failed`);
  return failed === 0 ? EXIT.done : EXIT.notVerified;
}

function vectorFiles(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .map((file) => file.replaceAll('\\', '/'))
      .filter((file) => file.includes('/') && file.endsWith('.json'))
      .filter((file) => !OTHER_FOLDERS.includes(file.split('/')[0] ?? ''))
      .sort();
  } catch (cause) {
    throw new CliError(EXIT.usage, `cannot read the folder ${folder}`, [], { cause });
  }
}

function readVector(path: string): Vector {
  try {
    const value = JSON.parse(readFileSync(path, 'utf8')) as Vector;
    if (typeof value.operation !== 'string' || typeof value.input !== 'object') throw new Error();
    return value;
  } catch (cause) {
    throw new CliError(EXIT.failed, `${path} is not a test vector`, [], { cause });
  }
}
