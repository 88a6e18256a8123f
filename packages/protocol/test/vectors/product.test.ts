/** The vector set we publish: every file passes on both providers, and is what its generator writes. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { nobleProvider } from '#src/crypto/noble.js';
import { streams as nobleStreams } from '#src/crypto/noble-streams.js';
import { nodeProvider } from '#src/crypto/node.js';
import { streams as nodeStreams } from '#src/crypto/node-streams.js';
import { checkVector, vectorOperations, vectorSchema, type Vector } from '#src/vectors/index.js';

const ROOT = fileURLToPath(new URL('../../../../test-vectors/', import.meta.url));
const FAMILIES = [...new Set(vectorOperations(nodeStreams).map(({ family }) => family))];

function vectors(): Map<string, Vector> {
  const found = new Map<string, Vector>();
  for (const folder of [...FAMILIES, ...FAMILIES.map((family) => `negative/${family}`)]) {
    let names: string[] = [];
    try {
      names = readdirSync(resolve(ROOT, folder));
    } catch {
      continue; // a family without refusals
    }
    for (const name of names) {
      const text = readFileSync(resolve(ROOT, folder, name), 'utf8');
      found.set(`${folder}/${name}`, JSON.parse(text) as Vector);
    }
  }
  return found;
}

const all = vectors();

t.test('the set is large, and no family or operation is empty', async (t) => {
  t.ok(all.size >= 400, `${all.size} vectors`);
  const list = [...all.values()];
  t.ok(list.filter(({ expect }) => 'error' in expect).length >= 150, 'with many refusals');
  for (const operation of vectorOperations(nodeStreams)) {
    const own = list.filter((vector) => vector.operation === operation.name);
    t.ok(own.length > 0, `${operation.name}: ${own.length}`);
  }
});

for (const [name, crypto, streams] of [
  ['node', nodeProvider, nodeStreams],
  ['noble', nobleProvider, nobleStreams],
] as const) {
  t.test(`every vector passes with the ${name} provider`, async (t) => {
    const operations = vectorOperations(streams);
    let passed = 0;
    for (const [path, vector] of all) {
      const difference = await checkVector(crypto, operations, vector);
      if (difference === undefined) passed++;
      else t.fail(`${path}: ${difference}`);
    }
    t.equal(passed, all.size, `${passed} vectors`);
  });
}

t.test('ATK-K04 a vector that is changed anywhere fails', async (t) => {
  const operations = vectorOperations(nodeStreams);
  const [, vector] = [...all].find(([path]) => path.startsWith('pqxdh/pqxdh-accept.with-'))!;
  t.equal(await checkVector(nodeProvider, operations, vector), undefined);
  const { output } = vector.expect as { output: Record<string, string> };
  const wrong = [
    { ...vector, expect: { output: { ...output, rootKey: '00'.repeat(32) } } },
    { ...vector, expect: { output: {} } },
    { ...vector, expect: { error: 'VERIFY_BASE_KEY' } },
    { ...vector, operation: 'no-such-operation' },
    { ...vector, version: 2 },
    { ...vector, input: { ...vector.input, more: '00' } },
    { ...vector, input: { ...vector.input, identity: '00' } },
  ];
  for (const [i, other] of wrong.entries()) {
    t.not(await checkVector(nodeProvider, operations, other as Vector), undefined, `change ${i}`);
  }
});

t.test('each family has its schema', async (t) => {
  for (const family of FAMILIES) {
    const text = readFileSync(resolve(ROOT, `schema/${family}.schema.json`), 'utf8');
    t.strictSame(JSON.parse(text), vectorSchema(family, vectorOperations(nodeStreams)), family);
  }
});

t.test('ATK-K04 the generator writes the same files again, byte for byte', async (t) => {
  const generator = resolve(ROOT, 'generate/dist/main.js');
  const printed = execFileSync(process.execPath, [generator, '--check'], { encoding: 'utf8' });
  t.match(printed, /^\d+ passed, 0 failed$/m, printed.trim());
});
