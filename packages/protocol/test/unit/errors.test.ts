// spec/README.md lists every error code under its class, and no other.
import { readFileSync } from 'node:fs';
import t from 'tap';
import { DuplicateMessageError, LimitError, QasidError, StateError } from '#src/errors.js';
import { linesMatching, repositoryRoot } from '../../../../scripts/import-graph.mjs';

/** Class name to its codes, read from the unions `export type XErrorCode = 'A' | 'B'`. */
function codesOfSource(path: string): Map<string, string[]> {
  const text = readFileSync(`${repositoryRoot}${path}`, 'utf8').replace(/\/\/.*$/gm, '');
  const found = new Map<string, string[]>();
  for (const [, name, union] of text.matchAll(/export type (\w+Error)Code =([^;]+);/g)) {
    const codes = [...(union as string).matchAll(/'([A-Z0-9_]+)'/g)].map((match) => match[1]);
    found.set(name as string, codes as string[]);
  }
  return found;
}

/** Class name to its codes, read from the tables of spec/README.md. */
function codesOfSpec(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  let current: string[] | undefined;
  for (const line of readFileSync(`${repositoryRoot}spec/README.md`, 'utf8').split('\n')) {
    const heading = /^#+ (.+)$/.exec(line)?.[1];
    if (heading !== undefined) {
      current = /^\w+Error$/.test(heading) ? [] : undefined;
      if (current) found.set(heading, current);
    }
    const row = /^\| `([A-Z0-9_]+)` \| [^|]+ \| [^|]{8,} \|$/.exec(line);
    if (row && current) current.push(row[1] as string);
  }
  return found;
}

t.test('every code is in the table of its class, in the order of the source', async (t) => {
  const sources = new Map([
    ...codesOfSource('packages/protocol/src/errors.ts'),
    ...codesOfSource('packages/client-sdk/src/errors.ts'),
    ...codesOfSource('packages/relay/src/errors.ts'),
  ]);
  const spec = codesOfSpec();
  t.ok(sources.size >= 11, [...sources.keys()].join(', '));
  t.strictSame([...spec.keys()], [...sources.keys()]);
  for (const [name, codes] of sources) t.strictSame(spec.get(name), codes, name);
  const all = [...sources.values()].flat();
  t.equal(new Set(all).size, all.length, 'no code belongs to two classes');
  t.ok(all.every((code) => /^[A-Z]+_[A-Z0-9_]+$/.test(code)));
});

t.test('an error says its class and code', async (t) => {
  const error = new DuplicateMessageError(7, 3);
  t.ok(error instanceof QasidError);
  t.ok(error instanceof StateError);
  t.equal(error.name, 'DuplicateMessageError');
  t.equal(error.code, 'STATE_DUPLICATE_MESSAGE');
  t.equal(error.message, 'message with old counter 7 / 3');
  const limit = new LimitError('LIMIT_RATE', 'too many', { retryAfterMs: 5 });
  t.equal(limit.retryAfterMs, 5);
  const cause = new Error('inner');
  t.equal(new StateError('STATE_CONFLICT', 'changed', { cause }).cause, cause);
});

t.test('the protocol throws nothing but its own errors', async (t) => {
  const source = `${repositoryRoot}packages/protocol/src`;
  // The façade throws what libsignal-client throws, which for wrong arguments is a plain TypeError.
  const plain = linesMatching(
    source,
    /\bthrow\s+new\s+(?:Type|Range|Syntax)?Error\b/,
    (file: string) => !file.startsWith('libsignal/'),
  );
  t.strictSame(plain, []);
});
