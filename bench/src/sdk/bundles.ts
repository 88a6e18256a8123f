/** What a page has to load, built by Vite as an application would build it. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { scratch } from '../relay/processes.js';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const SDK = `${ROOT}packages/client-sdk/`;

/** One page. */
export interface Bundle {
  readonly title: string;
  readonly files: number;
  /** Minified, and as a server would send it. */
  readonly bytes: number;
  readonly gzipBytes: number;
  readonly brotliBytes: number;
  /** Shares of the code by where it comes from, before it is minified; 0 to 1. */
  readonly shares: Readonly<Record<string, number>>;
}

/** The little of Vite that is used here. */
interface Vite {
  build(options: object): Promise<unknown>;
}

interface Chunk {
  readonly modules?: Readonly<Record<string, { readonly renderedLength: number }>>;
}

/** What pages import. */
const PAGES = [
  {
    title: 'messages, groups, devices, documents',
    code: `import { QasidClient } from ${path('index.js')}; globalThis.page = QasidClient;`,
  },
  {
    title: 'the same, and calls',
    code: `import { QasidClient } from ${path('index.js')}; import * as calls from ${path('calls.js')}; globalThis.page = [QasidClient, calls];`,
  },
] as const;

function path(file: string): string {
  return JSON.stringify(`${SDK}dist/${file}`);
}

/** Where code comes from; the first that fits. */
const ORIGINS: readonly (readonly [RegExp, string])[] = [
  [/client-sdk\/dist\/documents\//, 'documents'],
  [/client-sdk\/dist\/groups\//, 'groups'],
  [/client-sdk\/dist\/linking\//, 'linking'],
  [/client-sdk\/dist\/calls/, 'calls'],
  [/simple-peer|webrtc|\bbuffer\b|readable-stream|queue-microtask/, 'simple-peer'],
  [/client-sdk\/dist\//, 'rest of the SDK'],
  [/protocol\/dist\//, 'protocol'],
  [/@noble/, 'noble'],
];

/** Build all of them. */
export async function measureBundles(): Promise<readonly Bundle[]> {
  const bundles: Bundle[] = [];
  for (const { title, code } of PAGES) {
    const { site, shares } = await buildSite(code);
    bundles.push({ title, shares, ...sizes(join(site, 'assets')) });
    rmSync(resolve(site, '..'), { recursive: true, force: true });
  }
  return bundles;
}

/** A page with this code. @returns the folder of what was built. */
export async function buildSite(
  code: string,
): Promise<{ readonly site: string; readonly shares: Readonly<Record<string, number>> }> {
  const root = scratch('sdk-site');
  writeFileSync(join(root, 'entry.js'), `${code}\n`);
  writeFileSync(
    join(root, 'index.html'),
    '<!doctype html><title>bench</title><script type="module" src="/entry.js"></script>',
  );
  const lengths = new Map<string, number>();
  const collect = {
    name: 'collect',
    generateBundle(_: unknown, built: Readonly<Record<string, Chunk>>): void {
      for (const { modules = {} } of Object.values(built)) {
        for (const [id, { renderedLength }] of Object.entries(modules)) {
          const origin = ORIGINS.find(([pattern]) => pattern.test(id))?.[1] ?? 'other';
          lengths.set(origin, (lengths.get(origin) ?? 0) + renderedLength);
        }
      }
    },
  };
  const { build } = await vite();
  await build({ root, configFile: false, logLevel: 'error', plugins: [collect] });
  const all = [...lengths.values()].reduce((sum, length) => sum + length, 0);
  const sorted = [...lengths].sort((a, b) => b[1] - a[1]);
  const shares = Object.fromEntries(sorted.map(([origin, length]) => [origin, length / all]));
  const site = join(root, 'dist');
  mkdirSync(join(site, 'assets'), { recursive: true });
  return { site, shares };
}

/** The Vite that the SDK's tests use, found by its folder: it has no entry for `require`. */
async function vite(): Promise<Vite> {
  const folder = `${SDK}node_modules/vite/`;
  const { exports } = JSON.parse(readFileSync(`${folder}package.json`, 'utf8')) as {
    readonly exports: Readonly<Record<string, string | { readonly import?: string }>>;
  };
  const entry = exports['.'];
  const file = typeof entry === 'string' ? entry : entry?.import;
  if (file === undefined) throw new Error('Vite has no entry');
  return (await import(pathToFileURL(resolve(folder, file)).href)) as Vite;
}

function sizes(folder: string): Omit<Bundle, 'title' | 'shares'> {
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.js'))
    .map((name) => readFileSync(join(folder, name)));
  const sum = (of: (file: Buffer) => number): number =>
    files.reduce((total, file) => total + of(file), 0);
  return {
    files: files.length,
    bytes: sum(({ length }) => length),
    gzipBytes: sum((file) => gzipSync(file).length),
    brotliBytes: sum((file) => brotliCompressSync(file).length),
  };
}
