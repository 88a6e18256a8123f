/** Chromium on pages of ours: built by Vite without configuration, served with a strict content policy. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { build } from 'vite';

import { findChromium } from '../../../protocol/dist-test/support/chromium.js';

interface Teardown {
  teardown(run: () => unknown): void;
}

const PACKAGE = fileURLToPath(new URL('../../', import.meta.url));

/** Path of a Chromium, or `undefined`: then skip, with this said. */
export const chromiumPath = findChromium();
export const NO_CHROMIUM = 'no Chromium found: set CHROMIUM to its path';

/** For every Chromium of a test. */
export const ARGUMENTS: readonly string[] = [
  '--no-sandbox', // tests may run as root
  '--disable-dev-shm-usage',
  '--disable-gpu',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
];

/** With a microphone and a camera that are not there. */
export const FAKE_MEDIA: readonly string[] = [
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--allow-loopback-in-peer-connection',
];

/** A browser that closes with the test. */
export async function launch(t: Teardown, extra: readonly string[] = []): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: chromiumPath ?? '',
    headless: true,
    args: [...ARGUMENTS, ...extra],
  });
  t.teardown(() => browser.close());
  return browser;
}

/**
 * Build `app`, a compiled module below dist-test/browser/app, as an app of its own and serve it.
 *
 * @returns the address of its page.
 */
export async function serveApp(t: Teardown, app: string, connectTo: string): Promise<string> {
  const root = resolve(PACKAGE, `dist-test/site-${app}-${process.pid}`);
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(root, { recursive: true });
  const entry = JSON.stringify(resolve(PACKAGE, `dist-test/browser/app/${app}.js`));
  writeFileSync(resolve(root, 'entry.js'), `import ${entry};\n`);
  writeFileSync(
    resolve(root, 'index.html'),
    '<!doctype html><title>app</title><script type="module" src="/entry.js"></script>',
  );
  await build({ root, configFile: false, logLevel: 'error' });
  const policy = `default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self' ${connectTo}; media-src blob: mediastream:`;
  return serveFolder(t, resolve(root, 'dist'), policy);
}

const TYPES: Readonly<Record<string, string>> = {
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.html': 'text/html',
};

/**
 * Serve built files under a content policy.
 *
 * @returns the address of its page.
 */
export async function serveFolder(t: Teardown, site: string, policy: string): Promise<string> {
  const server = createServer((request, response) => {
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    const file = resolve(site, `.${path === '/' ? '/index.html' : path}`);
    if (!file.startsWith(site) || !existsSync(file)) {
      response.statusCode = 404;
      response.end();
      return;
    }
    response.setHeader('content-security-policy', policy);
    response.setHeader('content-type', TYPES[extname(file)] ?? 'application/octet-stream');
    response.end(readFileSync(file));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://localhost:${(server.address() as AddressInfo).port}/`;
}

/** A page of its own browser context; its errors are thrown by `check`. */
export async function openPage(
  browser: Browser,
  url: string,
): Promise<{ readonly page: Page; check(): void }> {
  const context = await browser.newContext({ permissions: ['microphone', 'camera'] });
  const page = await context.newPage();
  const errors: Error[] = [];
  page.on('pageerror', (error) => errors.push(error));
  page.on('console', (message) => {
    // What a content policy refuses is said there and nowhere else.
    if (message.type() === 'error') errors.push(new Error(message.text()));
  });
  await page.goto(url);
  return {
    page,
    check() {
      const [first] = errors;
      if (first !== undefined) throw first;
    },
  };
}
