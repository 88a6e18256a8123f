// The CLI is a user of the SDK like any other: no store or socket of its own. And the black box that we
// compare with stays in the private packages that compare.
import { readFileSync } from 'node:fs';
import t from 'tap';
import {
  filesBelow,
  findCycle,
  importGraph,
  packageOf,
  repositoryRoot,
} from '../../../../scripts/import-graph.mjs';

const graph = importGraph(`${repositoryRoot}packages/cli/src`);

t.test('the CLI brings no store and no socket of its own', async (t) => {
  t.ok(graph.size > 0, `${graph.size} files`);
  const allowed = [
    '@qasid/client-sdk',
    '@qasid/relay',
    '@qasid/protocol',
    'commander',
    '@clack/prompts',
    'uqr',
  ];
  const sockets = ['node:net', 'node:http', 'node:https', 'node:http2', 'node:tls', 'node:dgram'];
  const wrong: string[] = [];
  for (const [file, edges] of graph) {
    for (const { specifier, file: target } of edges) {
      if (target !== undefined) continue;
      const fine = specifier.startsWith('node:')
        ? !sockets.includes(specifier)
        : allowed.includes(packageOf(specifier));
      if (!fine) wrong.push(`${file} imports ${specifier}`);
    }
  }
  t.strictSame(wrong, []);
});

t.test('no cycles', async (t) => {
  t.equal(findCycle(graph)?.join(' > '), undefined);
});

t.test(
  'ATK-K06 libsignal-client is imported by interop/ and bench/ and by nothing else',
  async (t) => {
    const blackBox = '@signalapp/libsignal-client';
    const outside = filesBelow(`${repositoryRoot}packages`, (path: string) =>
      /\.(ts|mts|js|mjs)$/.test(path),
    );
    t.ok(outside.length > 20, `${outside.length} files`);
    const text = new RegExp(`(from|import|require)\\s*\\(?\\s*['"]${blackBox}`);
    for (const file of outside) {
      const source = readFileSync(`${repositoryRoot}packages/${file}`, 'utf8');
      if (text.test(source)) t.fail(`packages/${file} imports the black box`);
    }
    for (const name of filesBelow(repositoryRoot, (path: string) =>
      /(^|\/)package\.json$/.test(path),
    )) {
      const manifest = readFileSync(`${repositoryRoot}${name}`, 'utf8');
      const folder = name.split('/')[0] as string;
      if (manifest.includes(blackBox)) {
        t.ok(['interop', 'bench'].includes(folder), `${name} may depend on it`);
        t.equal(JSON.parse(manifest).private, true, `${name} is private`);
      }
    }
  },
);
