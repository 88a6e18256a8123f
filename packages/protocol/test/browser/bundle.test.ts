/** What the package weighs in a browser, and that it runs there: page, worker, strict content policy. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { build } from 'vite';
import { findChromium, runPage } from '../support/chromium.js';

const APP = fileURLToPath(new URL('./app/', import.meta.url));
const PACKAGE = fileURLToPath(new URL('../../', import.meta.url));
const KB = 1000;

/** Build `entry` as Vite does without any configuration; returns the scripts, joined. */
async function bundle(name: string, entry: string): Promise<{ site: string; scripts: string }> {
  const site = resolve(PACKAGE, `dist-test/bundle-${name}-${process.pid}`);
  t.teardown(() => rmSync(site, { recursive: true, force: true }));
  mkdirSync(site, { recursive: true });
  writeFileSync(resolve(site, 'entry.js'), entry);
  writeFileSync(
    resolve(site, 'index.html'),
    '<!doctype html><title>app</title><script type="module" src="/entry.js"></script>',
  );
  const warnings: string[] = [];
  await build({
    root: site,
    configFile: false,
    logLevel: 'warn',
    customLogger: {
      info: () => {},
      warn: (text) => warnings.push(text),
      warnOnce: (text) => warnings.push(text),
      error: (text) => warnings.push(text),
      clearScreen: () => {},
      hasErrorLogged: () => false,
      hasWarned: false,
    },
    // Vite's defaults but for the two that only concern reporting.
    build: { chunkSizeWarningLimit: 10_000, reportCompressedSize: false },
  });
  t.strictSame(warnings, [], `${name}: no warning, so no Node module and no polyfill`);
  const out = resolve(site, 'dist');
  const scripts = readdirSync(out, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.js'))
    .map((file) => readFileSync(resolve(out, file), 'utf8'))
    .join('\n');
  t.notMatch(scripts, /node:|require\(|\beval\(|new Function\(/, `${name}: no dynamic code`);
  return { site: out, scripts };
}

function weigh(scripts: string): number {
  return gzipSync(scripts, { level: 9 }).length;
}

t.test('a pairwise-only app carries at most 60 kB, gzip', async (t) => {
  const module = JSON.stringify(resolve(APP, 'pairwise.js'));
  const entry = `import { converse } from ${module};\nconverse().then((r) => document.title = r);`;
  const { scripts } = await bundle('pairwise', entry);
  const bytes = weigh(scripts);
  t.comment(`pairwise only: ${bytes} bytes gzip`);
  t.ok(bytes <= 60 * KB, `${bytes} bytes`);
  t.ok(bytes > 15 * KB, 'it is really in there');
});

t.test('everything is at most 90 kB, gzip', async (t) => {
  const module = JSON.stringify(resolve(APP, 'everything.js'));
  const entry = `import { everything } from ${module};\nglobalThis.kept = everything;`;
  const { scripts } = await bundle('everything', entry);
  const bytes = weigh(scripts);
  t.comment(`everything: ${bytes} bytes gzip`);
  t.ok(bytes <= 90 * KB, `${bytes} bytes`);
});

/** What npm would publish. */
function packed(): { readonly unpackedSize: number; readonly files: readonly { path: string }[] } {
  const listing = execFileSync('npm', ['pack', '--dry-run', '--json'], {
    cwd: PACKAGE,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return JSON.parse(listing)[0];
}

t.test('ATK-K05 the package is what its sources compile to, file by file', async (t) => {
  const published = packed().files.map(({ path }) => path);
  const sources = readdirSync(resolve(PACKAGE, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => `dist/${path.replaceAll('\\', '/').slice(0, -3)}`);
  const expected = sources.flatMap((path) => [`${path}.d.ts`, `${path}.js`]);
  // npm adds these by itself.
  const beside = ['LICENSE', 'README.md', 'package.json'];
  t.strictSame(
    published.filter((path) => !beside.includes(path)).sort(),
    expected.sort(),
    'nothing more and nothing less',
  );
});

t.test('the package is at most 1 MB unpacked, and runs no script when installed', async (t) => {
  const { unpackedSize, files } = packed();
  t.comment(`unpacked: ${unpackedSize} bytes in ${files.length} files`);
  t.ok(unpackedSize <= 1_000_000, `${unpackedSize} bytes`);
  const manifest = JSON.parse(readFileSync(resolve(PACKAGE, 'package.json'), 'utf8')) as {
    scripts?: Record<string, string>;
  };
  for (const name of ['preinstall', 'install', 'postinstall', 'prepare']) {
    t.notOk(manifest.scripts?.[name], `no ${name}`);
  }
});

const executablePath = findChromium();
const skip = executablePath ? false : 'no Chromium found: set CHROMIUM to its path';

t.test('runs on a page and in a Web Worker under a strict content policy', { skip }, async (t) => {
  const entry = `import { main } from ${JSON.stringify(resolve(APP, 'page.js'))};\nmain();`;
  const { site } = await bundle('page', entry);
  const text = await runPage({
    executablePath: executablePath!,
    site,
    contentPolicy: "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'",
    timeoutMs: 120_000,
  });
  t.strictSame(JSON.parse(text), {
    page: ['noble: message 4', '200000 bytes'],
    worker: ['noble: message 4', '200000 bytes'],
  });
});
