// Who may import whom (spec/90 rests on it): the layers, no cycles, and what no file may reach.
import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';
import {
  codeOnly,
  type Edge,
  filesBelow,
  findCycle,
  importGraph,
  linesMatching,
  packageOf,
  reach,
  repositoryRoot,
} from '../../../../scripts/import-graph.mjs';

const source = `${repositoryRoot}packages/protocol/src`;
const graph = importGraph(source);

const FOUNDATION = [
  'brand',
  'bytes',
  'errors',
  'labels',
  'limits',
  'secret',
  'service-id',
  'types',
];

/** A file outside the folders belongs to the chapter whose name it starts with. */
const CHAPTERS: readonly (readonly [string, number])[] = [
  ['identity', 2],
  ['fingerprint', 2],
  ['prekeys', 3],
  ['pqxdh', 4],
  ['double-ratchet', 5],
  ['spqr/', 6],
  ['triple-ratchet', 7],
  ['session', 8],
  ['repair', 8],
  ['strictness', 8],
  ['sender-keys', 9],
  ['sealed-sender/', 10],
  ['hpke', 16],
  ['provisioning', 16],
  ['usernames', 16],
  ['incremental-mac', 17],
  ['attachments', 17],
];

type Layer =
  | { readonly kind: 'foundation' | 'crypto' | 'protobuf' | 'wire' | 'stores' }
  | { readonly kind: 'operations' | 'index' | 'envelope' | 'facade' }
  | { readonly kind: 'chapter'; readonly number: number };

function layerOf(file: string): Layer | undefined {
  const name = file.replace(/\.ts$/, '');
  if (FOUNDATION.includes(name)) return { kind: 'foundation' };
  if (name.startsWith('crypto/')) return { kind: 'crypto' };
  if (name === 'wire/protobuf') return { kind: 'protobuf' };
  if (name.startsWith('wire/')) return { kind: 'wire' };
  if (name.startsWith('envelope/')) return { kind: 'envelope' };
  // The façade for programs written for another library: it may use all, and nobody uses it.
  if (/^(libsignal|vectors)\//.test(name)) return { kind: 'facade' };
  if (name === 'memory-store') return { kind: 'stores' };
  if (name.startsWith('operations-')) return { kind: 'operations' };
  if (name === 'stores' || name === 'operations' || name === 'index') return { kind: name };
  const chapter = CHAPTERS.find(([prefix]) => name.startsWith(prefix));
  return chapter && { kind: 'chapter', number: chapter[1] };
}

/** What everyone may use of crypto/: the interface, and comparing in constant time. */
const OPEN_CRYPTO = ['crypto/provider.ts', 'crypto/streams.ts', 'crypto/constant-time.ts'];

/** Names in package.json that choose an implementation by condition. */
const ALIASES = ['#provider', '#streams'];

/** Primitives of few users stay out of the providers: an app without these chapters does not carry them. */
const SPECIAL_CRYPTO: Readonly<Record<string, RegExp>> = {
  'crypto/aead.ts': /^(sealed-sender\/|libsignal\/|vectors\/|hpke\.ts$)/,
  'crypto/username-hash.ts': /^usernames\.ts$/,
};

function mayImport(from: string, to: string, type: boolean): boolean {
  const one = layerOf(from);
  const other = layerOf(to);
  if (one === undefined || other === undefined) return false;
  if (one.kind === 'index') return other.kind !== 'facade';
  if (one.kind === 'facade') return other.kind !== 'operations' && other.kind !== 'index';
  if (other.kind === 'foundation') return true;
  // A relay checks the signature of a device list; it gets that function and no provider.
  if (one.kind === 'envelope' && to === 'crypto/xeddsa.ts') return true;
  if (other.kind === 'crypto' && one.kind !== 'crypto') {
    const owners = SPECIAL_CRYPTO[to];
    if (owners) return owners.test(from);
    return one.kind !== 'foundation' && one.kind !== 'protobuf' && OPEN_CRYPTO.includes(to);
  }
  switch (one.kind) {
    case 'foundation':
    case 'protobuf':
      return false;
    case 'crypto':
      return other.kind === 'crypto';
    case 'wire':
      // Codecs know the shape of a state, never a transition of it.
      if (other.kind === 'chapter') return type;
      return other.kind === 'wire' || other.kind === 'protobuf';
    case 'chapter':
      if (other.kind === 'chapter') {
        const outside = one.number !== other.number && /^(spqr|sealed-sender)\//.test(to);
        if (outside && !to.endsWith('/index.ts')) return false;
        return other.number <= one.number;
      }
      return other.kind === 'wire' || other.kind === 'protobuf';
    case 'stores':
      return other.kind === 'stores' || (type && other.kind === 'chapter');
    case 'operations':
      return ['chapter', 'wire', 'stores', 'operations'].includes(other.kind);
    case 'envelope':
      return other.kind === 'envelope' || other.kind === 'protobuf';
  }
}

/** Edges of the whole package that fail `allowed`, written out. */
function offending(allowed: (file: string, edge: Edge) => boolean): string[] {
  const found: string[] = [];
  for (const [file, edges] of graph) {
    for (const edge of edges) {
      if (!allowed(file, edge)) found.push(`${file} imports ${edge.specifier}`);
    }
  }
  return found;
}

t.test('the sources were found', async (t) => {
  t.ok(graph.size >= 13, `${graph.size} files`);
  const edges = [...graph.values()].reduce((sum, list) => sum + list.length, 0);
  t.ok(edges >= 20, `${edges} imports`);
});

t.test('every file has a place in the layers', async (t) => {
  const homeless = [...graph.keys()].filter((file) => layerOf(file) === undefined);
  t.strictSame(homeless, [], 'a new file needs a chapter: add it to CHAPTERS with its number');
});

t.test('imports go down the layers, and to chapters with a lower number', async (t) => {
  const wrong = offending((file, edge) => {
    if (edge.file === undefined) return true;
    return mayImport(file, edge.file, edge.type);
  });
  t.strictSame(wrong, []);
});

t.test('no cycles', async (t) => {
  t.equal(findCycle(graph)?.join(' > '), undefined);
});

t.test('only crypto/ imports @noble, and nothing else is imported from outside', async (t) => {
  const wrong = offending((file, edge) => {
    if (edge.file !== undefined) return true;
    const crypto = layerOf(file)?.kind === 'crypto';
    if (ALIASES.includes(edge.specifier))
      return file === 'index.ts' || file.startsWith('libsignal/');
    if (edge.specifier.startsWith('node:')) return file.startsWith('crypto/node');
    return (
      crypto &&
      ['@noble/curves', '@noble/hashes', '@noble/ciphers'].includes(packageOf(edge.specifier))
    );
  });
  t.strictSame(wrong, []);
});

t.test('ATK-K01 the package has three runtime dependencies, pinned exactly', async (t) => {
  const manifest = JSON.parse(
    readFileSync(`${repositoryRoot}packages/protocol/package.json`, 'utf8'),
  ) as { dependencies: Record<string, string>; optionalDependencies?: unknown };
  t.strictSame(Object.keys(manifest.dependencies).sort(), [
    '@noble/ciphers',
    '@noble/curves',
    '@noble/hashes',
  ]);
  for (const version of Object.values(manifest.dependencies)) t.match(version, /^\d+\.\d+\.\d+$/);
  t.equal(manifest.optionalDependencies, undefined);
});

t.test('ATK-K01 only better-sqlite3 may run a script when it is installed', async (t) => {
  const workspace = readFileSync(`${repositoryRoot}pnpm-workspace.yaml`, 'utf8');
  const block = /^allowBuilds:\n((?: {2}.*\n)+)/m.exec(workspace)?.[1] ?? '';
  const allowed = [...block.matchAll(/^ {2}"?([^"\s:#]+)"?: true$/gm)].map((match) => match[1]);
  t.strictSame(allowed, ['better-sqlite3']);
});

t.test('the portable entry reaches no node:* module and nothing but @noble', async (t) => {
  const portable: Record<string, string> = {
    '#provider': 'crypto/noble.ts',
    '#streams': 'crypto/noble-streams.ts',
  };
  const { outside } = reach(graph, 'index.ts', {
    follow: (specifier: string) => (portable[specifier] ? [portable[specifier]] : []),
  });
  const wrong = [...outside].filter(
    (specifier) => !ALIASES.includes(specifier) && !specifier.startsWith('@noble/'),
  );
  t.strictSame(wrong, []);
});

t.test('the relay side (envelope/) reaches no chapter, so it cannot open a message', async (t) => {
  const { files, outside } = reach(graph, 'envelope/index.ts');
  const chapters = [...files].filter((file) => {
    const kind = layerOf(file)?.kind;
    return (
      kind === undefined || ['chapter', 'wire', 'operations', 'index', 'stores'].includes(kind)
    );
  });
  t.strictSame(chapters, []);
  t.notOk(
    ALIASES.some((alias) => outside.has(alias)),
    'the caller hands the primitives in',
  );
});

t.test('ATK-A04 no clock, timer, or randomness but the provider’s', async (t) => {
  const pattern =
    /\bMath\s*\.\s*random\b|\bDate\b|\bperformance\b|\bset(?:Timeout|Interval|Immediate)\b|\bqueueMicrotask\b/;
  // The façade's default arguments are another library's interface: `now` is the caller's clock there.
  const facade =
    /^libsignal\/(records|session)\.ts:\d+: (hasCurrentState\()?now: Date = new Date\(\)/;
  const lines = linesMatching(source, pattern).filter((line: string) => !facade.test(line));
  t.strictSame(lines, []);
  const entropy = linesMatching(
    source,
    /\bgetRandomValues\b|\brandomFill(?:Sync)?\b|\brandomUUID\b/,
    (file: string) => !file.startsWith('crypto/'),
  );
  t.strictSame(entropy, [], 'one entry point: CryptoProvider.randomBytes');
});

t.test('ATK-A04 no package reaches test code from its sources', async (t) => {
  for (const name of ['protocol', 'relay', 'client-sdk', 'cli']) {
    const sources = `${repositoryRoot}packages/${name}/src`;
    const wrong: string[] = [];
    for (const [file, edges] of importGraph(sources)) {
      for (const { specifier } of edges) {
        if (/(^|\/)(test|dist-test|support)\//.test(specifier)) wrong.push(`${file}: ${specifier}`);
      }
    }
    t.strictSame(wrong, [], name);
    const manifest = readFileSync(`${repositoryRoot}packages/${name}/package.json`, 'utf8');
    const files = (JSON.parse(manifest) as { files: string[] }).files;
    t.notOk(
      files.some((entry) => /test/.test(entry)),
      `${name} publishes no test folder`,
    );
  }
});

t.test('ATK-A04 Math.random appears in no source of any package', async (t) => {
  for (const name of ['protocol', 'relay', 'client-sdk', 'cli']) {
    const wrong = linesMatching(`${repositoryRoot}packages/${name}/src`, /\bMath\s*\.\s*random\b/);
    t.strictSame(wrong, [], name);
  }
});

t.test('ATK-A06 KEM code divides nothing and uses no big integers', async (t) => {
  const isKem = (file: string): boolean => /^crypto\/.*(kyber|ml-?kem|keccak)/.test(file);
  const kem = [...graph.keys()].filter(isKem);
  if (existsSync(`${source}/crypto/noble.ts`)) t.ok(kem.length > 0, 'KEM files were found');
  const pattern = /%|\/(?![/*])|\bBigInt\b|\b\d+n\b|\*\*/;
  // A quotient of public values says so at the end of its line: `// public`.
  const lines = linesMatching(source, pattern, isKem).filter((line) => !/\/\/ public\b/.test(line));
  t.strictSame(lines, []);
});

t.test('ATK-A06 no private key or nonce of the curves is a big integer', async (t) => {
  // ed25519.ts is not among them: it has constants for checking public keys, which are big integers once.
  const isCurve = (file: string): boolean =>
    /^crypto\/(field25519|edwards25519|scalar25519|x25519|xeddsa)\.ts$/.test(file);
  t.equal([...graph.keys()].filter(isCurve).length, 5, 'the files were found');
  t.strictSame(linesMatching(source, /\bBigInt\b|\bbigint\b|\b\d+n\b/, isCurve), []);
  const reachesNoble = [...graph].filter(
    ([file, edges]) =>
      edges.some((edge) => edge.specifier.startsWith('@noble/curves')) &&
      file !== 'crypto/username-hash.ts',
  );
  t.strictSame(reachesNoble, [], 'noble-curves serves the points of usernames and nothing else');
});

t.test('no big integers on the way of a message', async (t) => {
  const cold = /^crypto\/|^(fingerprint|usernames)\.ts$/;
  const lines = linesMatching(
    source,
    /\bBigInt\b|\bbigint\b|\b\d+n\b/,
    (file: string) => !cold.test(file),
  );
  t.strictSame(lines, []);
});

t.test('no Buffer in sources or declarations', async (t) => {
  const lines = linesMatching(
    source,
    /\bBuffer\b/,
    (file: string) => !file.startsWith('crypto/node'),
  );
  t.strictSame(lines, []);
  const built = `${repositoryRoot}packages/protocol/dist`;
  const declarations = filesBelow(built, (path: string) => path.endsWith('.d.ts'));
  t.ok(declarations.length > 0, 'the package is built');
  for (const file of declarations) {
    const text = codeOnly(readFileSync(`${built}/${file}`, 'utf8'));
    if (/\bBuffer\b/.test(text)) t.fail(`${file} names Buffer`);
  }
});

t.test('nothing is compiled at run time', async (t) => {
  t.strictSame(linesMatching(source, /\beval\b|\bnew\s+Function\b|\bFunction\s*\(/), []);
});

t.test('ATK-A10 no label is written outside labels.ts', async (t) => {
  // hpke.ts writes the labels of RFC 9180 where the RFC has them.
  const home = /^(labels|hpke)\.ts$/;
  const lines = linesMatching(source, /\butf8\s*\(\s*['"`]/, (file: string) => !home.test(file));
  t.strictSame(lines, []);
});

t.test('ATK-A11 texts are built from lengths, types and counters only', async (t) => {
  // Every `${…}` of the package. A new one is looked at by a person, who adds it here.
  const harmless =
    /^([\w.]*\.length|(length|size|seen|countMax|255 \* HASH_BYTES|at \+ 3)|what|kind|field|fault|found|(\w+\.)?(version|device|deviceId|registrationId|iteration|index|currentEpoch|sendEpoch|expectedVersion|kemPreKeyId|signedPreKeyId|field|#wireType)|wireType|type|type\.toString\(16\)\.padStart\(2, '.'\)|id|jump|iterations|theirVersion|counter|epoch|chainIndex|bytes\[0\]|sealed\[0\]|bits)$/;
  // Not texts for people: map keys and arithmetic.
  const notTexts = [
    'types.ts: address.name',
    'types.ts: address.deviceId',
    'memory-store.ts: toHex(use.baseKey)',
    'service-id.ts: ALTERNATE_PREFIX',
    'service-id.ts: text',
    'crypto/xeddsa.ts: hex',
    'crypto/username-hash.ts: toHex(bytes.slice().reverse())',
  ];
  // `value` alone is a number where it stands: checked by the type of the function around it.
  const numbers = ['types.ts: value'];
  let count = 0;
  for (const file of graph.keys()) {
    // Programs compare the façade's texts, which name addresses, with those of another library.
    if (/^(libsignal|vectors)\//.test(file)) continue;
    const code = codeOnly(readFileSync(`${source}/${file}`, 'utf8'));
    for (const match of code.matchAll(/\$\{([^{}]*)\}/g)) {
      count++;
      const expression = (match[1] as string).trim().replace(/^this\./, '');
      const place = `${file}: ${expression}`;
      if (harmless.test(expression) || notTexts.includes(place) || numbers.includes(place))
        continue;
      t.fail(`\${${expression}} in ${file}`);
    }
  }
  t.ok(count > 30, `${count} looked at`);
});

t.test('ATK-J06 the libraries write nothing to the console', async (t) => {
  for (const name of ['protocol', 'client-sdk', 'relay']) {
    const lines = linesMatching(
      `${repositoryRoot}packages/${name}/src`,
      /\bconsole\s*\.|\bprocess\s*\.\s*std(?:out|err)\b/,
      (file: string) => name !== 'relay' || !/^(main|observe\/log)\.ts$/.test(file),
    );
    t.strictSame(lines, [], name);
  }
});

t.test('only operations.ts is asynchronous', async (t) => {
  // Attachments are Web Streams; no session state passes through them.
  const ports = ['operations.ts', 'stores.ts', 'memory-store.ts', 'attachments.ts'];
  const lines = linesMatching(
    source,
    /\basync\b|\bawait\b|\bPromise\b/,
    (file: string) => !ports.includes(file) && !/^(operations|libsignal\/|vectors\/)/.test(file),
  );
  t.strictSame(lines, []);
});

t.test('every file opens with what it is, and fits in a sitting', async (t) => {
  for (const file of graph.keys()) {
    const text = readFileSync(`${source}/${file}`, 'utf8');
    if (!text.startsWith('/**')) t.fail(`${file} has no header comment`);
    const lines = text.split('\n').length - 1;
    if (lines > 500) t.fail(`${file} has ${lines} lines`);
  }
  t.pass(`${graph.size} files looked at`);
});
