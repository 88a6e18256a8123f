/**
 * The recorded vectors in headless Chromium, bundled as an application would bundle the package, on a page
 * whose content policy allows scripts of its own origin and nothing else.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { build } from 'vite';
import { findChromium, runPage } from '../support/chromium.js';
import { familyModules, familyName, readVectors, RECORDED } from './node.js';
import type { PageResult } from './page.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const SITE = resolve(HERE, `../chromium-site-${process.pid}`);
const POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'";
const TIME_OUT_MS = 240_000;

/** An entry that imports every family by name, as no bundler can read a folder. */
function writeEntry(): void {
  const lines = [`import { runPage } from ${JSON.stringify(resolve(HERE, 'page.js'))};`];
  const names: string[] = [];
  for (const [i, module] of familyModules().entries()) {
    lines.push(`import * as f${i} from ${JSON.stringify(module)};`);
    names.push(`[${JSON.stringify(familyName(module))}, f${i}]`);
  }
  lines.push(`runPage(new Map([${names.join(', ')}]));`);
  mkdirSync(SITE, { recursive: true });
  writeFileSync(resolve(SITE, 'entry.js'), lines.join('\n'));
  const page =
    '<!doctype html><title>vectors</title><script type="module" src="/entry.js"></script>';
  writeFileSync(resolve(SITE, 'index.html'), page);
}

async function bundle(): Promise<{ out: string; warnings: string[] }> {
  const warnings: string[] = [];
  const warn = (message: string): void => {
    warnings.push(message);
  };
  const logger = { info: () => {}, warn, warnOnce: warn, error: warn, clearScreen: () => {} };
  await build({
    root: SITE,
    configFile: false,
    logLevel: 'warn',
    customLogger: { ...logger, hasWarned: false, hasErrorLogged: () => false },
    build: {
      outDir: 'out',
      target: 'es2022',
      modulePreload: false,
      minify: false,
      chunkSizeWarningLimit: 10_000,
    },
  });
  return { out: resolve(SITE, 'out'), warnings };
}

function textOf(folder: string): string {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return names
    .filter((name) => name.endsWith('.js'))
    .map((name) => readFileSync(resolve(folder, name), 'utf8'))
    .join('\n');
}

async function runInChromium(executablePath: string, out: string): Promise<PageResult> {
  const text = await runPage({
    executablePath,
    site: out,
    contentPolicy: POLICY,
    timeoutMs: TIME_OUT_MS,
    answer: (request, response) => {
      if (request.url !== '/vectors') return false;
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(readVectors(RECORDED)));
      return true;
    },
  });
  const result = JSON.parse(text) as PageResult & { error?: string };
  if (result.error) throw new Error(result.error);
  return result;
}

const executable = findChromium();
const skip = executable ? false : 'no Chromium found: set CHROMIUM to its path';

t.test('recorded vectors in Chromium', { skip, timeout: TIME_OUT_MS + 20_000 }, async (t) => {
  t.teardown(() => rmSync(SITE, { recursive: true, force: true }));
  writeEntry();
  const { out, warnings } = await bundle();
  t.same(
    warnings.filter((text) => text.includes('node:') || text.includes('externalized')),
    [],
    'nothing of Node is needed',
  );
  const text = textOf(out);
  t.notMatch(
    text,
    /__vite-browser-external|from\s*["']node:|import\(["']node:/,
    'no node:* inside',
  );
  t.notMatch(text, /\bnew Function\((?!"return 1"|'return 1')|[^.\w]eval\(/, 'no dynamic code');
  const result = await runInChromium(executable ?? '', out);
  t.comment(result.userAgent);
  t.equal(result.chosen, 'noble', 'a browser gets the portable provider');
  t.ok(result.evalBlocked, 'the content policy is in force');
  t.same(result.violations, [], 'and nothing violates it');
  for (const tally of result.report.tallies) {
    t.equal(tally.failed, 0, `${tally.family}: ${tally.passed} passed`, {
      failures: tally.failures,
    });
  }
  t.equal(result.report.failed, 0, `${result.report.passed} passed in Chromium`, {
    failures: result.report.failures,
  });
});
