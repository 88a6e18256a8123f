// The SDK runs in a browser: its portable entry reaches no node:* module and no native code.
import { readFileSync } from 'node:fs';
import t from 'tap';
import {
  findCycle,
  importGraph,
  packageOf,
  reach,
  repositoryRoot,
} from '../../../../scripts/import-graph.mjs';

const source = `${repositoryRoot}packages/client-sdk/src`;
const graph = importGraph(source);

t.test('the portable entry reaches the protocol and nothing of Node', async (t) => {
  const { files, outside } = reach(graph, 'index.ts', { types: false });
  t.ok(files.size > 0, `${files.size} files`);
  const wrong = [...outside].filter(
    (specifier) =>
      !['@qasid/protocol', '@qasid/protocol/envelope', '#platform', 'uqr'].includes(specifier),
  );
  t.strictSame(wrong, []);
});

t.test(
  '#platform in a browser reaches nothing of Node, in Node nothing native at once',
  async (t) => {
    const web = reach(graph, 'platform/web.ts', { types: false });
    const allowed = ['@qasid/protocol', '@noble/hashes', 'idb'];
    t.strictSame(
      [...web.outside].filter((specifier) => !allowed.includes(packageOf(specifier))),
      [],
    );
    const source = readFileSync(
      `${repositoryRoot}packages/client-sdk/src/platform/node.ts`,
      'utf8',
    );
    t.notMatch(source, /^import [^;]*(sqlite|node-socket)/m, 'loaded when needed');
  },
);

t.test('./browser reaches nothing of Node', async (t) => {
  const { files, outside } = reach(graph, 'browser.ts', { types: false });
  t.ok(files.has('stores/indexed-db.ts'), `${files.size} files`);
  const allowed = ['@qasid/protocol', '@noble/hashes', 'idb'];
  t.strictSame(
    [...outside].filter((specifier) => !allowed.includes(packageOf(specifier))),
    [],
  );
});

t.test('./testing/stores runs in a browser', async (t) => {
  const { outside } = reach(graph, 'testing/stores.ts', { types: false });
  t.strictSame([...outside], ['@qasid/protocol']);
});

t.test('only what ./node or ./browser reaches may use drivers', async (t) => {
  const portable = reach(graph, 'index.ts').files;
  const allowed = ['ws', 'better-sqlite3', 'idb', '@noble/hashes', '@qasid/relay', 'simple-peer'];
  const wrong: string[] = [];
  for (const [file, edges] of graph) {
    for (const { specifier, file: target, type } of edges) {
      if (target !== undefined || specifier.startsWith('@qasid/protocol')) continue;
      // Pure computation, and loaded when a QR code is drawn.
      if (specifier === '#platform' || specifier === 'uqr') continue;
      const known = specifier.startsWith('node:') || allowed.includes(packageOf(specifier));
      if (!known || (portable.has(file) && !type)) wrong.push(`${file} imports ${specifier}`);
    }
  }
  t.strictSame(wrong, []);
});

t.test('ATK-A04 nothing but ./testing reaches randomness that repeats', async (t) => {
  for (const entry of ['index.ts', 'node.ts', 'browser.ts']) {
    const found = [...reach(graph, entry).files].filter((file) => file.startsWith('testing'));
    t.strictSame(found, [], entry);
  }
  t.ok(reach(graph, 'testing.ts').files.has('testing/random.ts'));
});

t.test('the SDK never imports the relay; only its testing kit does', async (t) => {
  for (const [file, edges] of graph) {
    for (const { specifier } of edges) {
      const isKit = file === 'testing/world.ts';
      if (specifier.startsWith('@qasid/relay') && !isKit) t.fail(`${file} imports ${specifier}`);
    }
  }
  t.pass(`${graph.size} files looked at`);
});

t.test('ATK-J10 what other windows, frames and pages say is heard nowhere', async (t) => {
  // Tabs of one origin talk through locks and a BroadcastChannel; a page of another origin has access to neither.
  const wrong: string[] = [];
  for (const [file] of graph) {
    const text = readFileSync(`${source}/${file}`, 'utf8');
    const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    const listens =
      /\bonmessage\b|addEventListener\(\s*['"`](message|messageerror|storage)\b|\bMessageEvent\b/;
    // Their own channel, their own socket.
    const isOwn = /new BroadcastChannel\(/.test(code) || file === 'transport/websocket.ts';
    if (listens.test(code) && !isOwn) wrong.push(`${file} listens`);
    if (/\b(window|parent|opener|top|self|globalThis)\.postMessage\(/.test(code)) {
      wrong.push(`${file} speaks to windows`);
    }
  }
  t.strictSame(wrong, []);
});

t.test('no cycles', async (t) => {
  t.equal(findCycle(graph)?.join(' > '), undefined);
});
