/** A headless Chromium on a page of ours, with nothing but loopback in reach. */
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { chromium } from 'playwright-core';

/** Path of a Chromium, or `undefined`. `CHROMIUM` names one; otherwise the PATH is searched. */
export function findChromium(): string | undefined {
  const named = process.env.CHROMIUM;
  if (named) return named;
  const folders = (process.env.PATH ?? '').split(':');
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    for (const folder of folders) {
      const path = resolve(folder, name);
      if (existsSync(path)) return path;
    }
  }
  return undefined;
}

const ARGUMENTS = [
  '--no-sandbox', // tests may run as root
  '--disable-dev-shm-usage',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
];

/** How {@link runPage} serves and waits. */
export interface PageOptions {
  readonly executablePath: string;
  /** Folder with the built site. */
  readonly site: string;
  readonly contentPolicy: string;
  readonly timeoutMs: number;
  /** Answers a request itself; false to serve a file. */
  readonly answer?: (request: IncomingMessage, response: ServerResponse) => boolean;
}

/** Open the site and wait for the text it POSTs back. Errors of the page are errors here. */
export async function runPage(options: PageOptions): Promise<string> {
  const { site } = options;
  let settle: (text: string) => void = () => {};
  const posted = new Promise<string>((done) => {
    settle = done;
  });
  const server = createServer((request, response) => {
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    if (request.method === 'POST') {
      let body = '';
      request.setEncoding('utf8');
      request.on('data', (chunk: string) => {
        body += chunk;
      });
      request.on('end', () => {
        response.end();
        settle(body);
      });
      return;
    }
    if (options.answer?.(request, response)) return;
    const file = resolve(site, `.${path === '/' ? '/index.html' : path}`);
    if (!file.startsWith(site) || !existsSync(file)) {
      response.statusCode = 404;
      response.end();
      return;
    }
    response.setHeader('content-security-policy', options.contentPolicy);
    response.setHeader('content-type', file.endsWith('.js') ? 'text/javascript' : 'text/html');
    response.end(readFileSync(file));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { executablePath } = options;
  const browser = await chromium.launch({ executablePath, headless: true, args: ARGUMENTS });
  let timer: NodeJS.Timeout | undefined;
  try {
    const page = await browser.newPage();
    const broken = new Promise<never>((_, reject) => {
      page.on('pageerror', reject);
      page.on('crash', () => reject(new Error('the page crashed')));
      timer = setTimeout(() => reject(new Error('the page never answered')), options.timeoutMs);
    });
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    return await Promise.race([posted, broken]);
  } finally {
    clearTimeout(timer);
    await browser.close();
    server.closeAllConnections();
    server.close();
  }
}
