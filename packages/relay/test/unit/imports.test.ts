// The relay cannot leak what it cannot import: of the protocol it reaches the envelope and nothing else.
import t from 'tap';
import {
  findCycle,
  importGraph,
  linesMatching,
  packageOf,
  reach,
  repositoryRoot,
} from '../../../../scripts/import-graph.mjs';

const source = `${repositoryRoot}packages/relay/src`;
const graph = importGraph(source);

/** Imports for which `wrong` holds, written out. */
function offending(
  wrong: (file: string, specifier: string, target: string | undefined) => boolean,
): string[] {
  const found: string[] = [];
  for (const [file, edges] of graph) {
    for (const edge of edges) {
      if (wrong(file, edge.specifier, edge.file)) found.push(`${file} imports ${edge.specifier}`);
    }
  }
  return found;
}

t.test('of the protocol the relay imports only ./envelope', async (t) => {
  t.ok(graph.size > 0, `${graph.size} files`);
  const wrong = offending(
    (_, specifier) => specifier.startsWith('@qasid/') && specifier !== '@qasid/protocol/envelope',
  );
  t.strictSame(wrong, []);
});

t.test('and the envelope reaches no chapter, codec of messages, or store', async (t) => {
  const protocol = importGraph(`${repositoryRoot}packages/protocol/src`);
  const { files } = reach(protocol, 'envelope/index.ts');
  const open =
    /^(envelope\/|crypto\/|(brand|bytes|errors|labels|limits|secret|types)\.ts$|wire\/protobuf\.ts$)/;
  t.strictSame(
    [...files].filter((file) => !open.test(file)),
    [],
  );
});

t.test('no cycles', async (t) => {
  t.equal(findCycle(graph)?.join(' > '), undefined);
});

t.test('protocol/ is rules only: no store, socket, clock or log', async (t) => {
  const wrong = offending(
    (file, specifier, target) =>
      file.startsWith('protocol/') &&
      (target === undefined
        ? specifier !== '@qasid/protocol/envelope'
        : !target.startsWith('protocol/')),
  );
  t.strictSame(wrong, []);
  const clocks = linesMatching(
    source,
    /\bDate\b|\bperformance\b|\bset(?:Timeout|Interval)\b|\bconsole\b/,
    (file: string) => file.startsWith('protocol/'),
  );
  t.strictSame(clocks, []);
});

t.test('native code and drivers stay behind their ports', async (t) => {
  const homes: Readonly<Record<string, RegExp>> = {
    'uWebSockets.js': /^transport\/uws/,
    ws: /^transport\/ws/,
    // inspect.ts opens a relay's file for reading, from outside: for the demonstration.
    'better-sqlite3': /^store\/|^inspect\.ts$/,
    aws4fetch: /^blobs\/s3/,
    pino: /^observe\/|^main\.ts$/,
    jose: /^service\/tickets\.ts$/,
    'prom-client': /^observe\//,
    'web-push': /^push\/web-push\.ts$/,
    'request-filtering-agent': /^push\/web-push\.ts$/,
    'p-retry': /^push\//,
    'smol-toml': /^config\//,
    'fastest-levenshtein': /^config\//,
  };
  const wrong = offending((file, specifier, target) => {
    if (target !== undefined || specifier.startsWith('node:')) return false;
    if (specifier.startsWith('@qasid/')) return false;
    return !(homes[packageOf(specifier)]?.test(file) ?? false);
  });
  t.strictSame(wrong, []);
});

t.test('routes and services do not name the transport or the database', async (t) => {
  const wrong = offending(
    (file, _, target) =>
      /^(routes|service)\//.test(file) &&
      target !== undefined &&
      (/^transport\/(uws|ws)/.test(target) || /^store\/(sqlite|memory)/.test(target)),
  );
  t.strictSame(wrong, []);
});
