/** What a page loads, and how it starts on a long history in Chromium. */
import { fileURLToPath } from 'node:url';
import {
  chromiumPath,
  launch,
  openPage,
  serveFolder,
} from '../../../packages/client-sdk/dist-test/support/browser.js';
import { median } from '../relay/histogram.js';
import type { Page, PageCost } from './browser-app.js';
import { type Bundle, buildSite, measureBundles } from './bundles.js';
import { drawLines } from './lines.js';
import { short, type Part, type Table } from './report.js';

const APP = fileURLToPath(new URL('./browser-app.js', import.meta.url));
const PASSPHRASE = 'correct horse battery staple';

interface PageSample extends PageCost {
  readonly messages: number;
  /** JavaScript heap after a collection, with the client open. */
  readonly heapBytes: number;
  readonly filledPerSecond: number;
}

/** Run them. */
export async function browserPart(
  how: { readonly isQuick: boolean; readonly rounds?: number },
  say: (line: string) => void,
): Promise<Part> {
  const bundles = await measureBundles();
  for (const bundle of bundles) say(JSON.stringify(bundle));
  const lengths = how.isQuick ? [100, 1_000] : [100, 1_000, 10_000];
  const samples = chromiumPath === undefined ? [] : await startPages(lengths, how.rounds ?? 3, say);
  return part(bundles, samples);
}

async function startPages(
  lengths: readonly number[],
  rounds: number,
  say: (line: string) => void,
): Promise<readonly PageSample[]> {
  const closing: (() => unknown)[] = [];
  const t = { teardown: (run: () => unknown): void => void closing.unshift(run) };
  try {
    const { site } = await buildSite(`import ${JSON.stringify(APP)};`);
    const url = await serveFolder(t, site, "default-src 'none'; script-src 'self'");
    const browser = await launch(t);
    const samples: PageSample[] = [];
    for (const messages of lengths) {
      const { page } = await openPage(browser, url);
      const session = await page.context().newCDPSession(page);
      await session.send('Performance.enable');
      const started = performance.now();
      await page.evaluate(
        ([passphrase, count]) =>
          (globalThis as unknown as { bench: Page }).bench.fill(
            'history',
            passphrase as string,
            count as number,
          ),
        [PASSPHRASE, messages] as const,
      );
      const filledPerSecond = (messages * 1000) / (performance.now() - started);
      const costs: (PageCost & { readonly heapBytes: number })[] = [];
      for (let round = 0; round < rounds; round++) {
        await page.reload();
        const cost = await page.evaluate(
          (passphrase) =>
            (globalThis as unknown as { bench: Page }).bench.start('history', passphrase),
          PASSPHRASE,
        );
        await session.send('HeapProfiler.collectGarbage');
        const { metrics } = await session.send('Performance.getMetrics');
        const heapBytes = metrics.find(({ name }) => name === 'JSHeapUsedSize')?.value ?? 0;
        costs.push({ ...cost, heapBytes });
      }
      const of = (metric: (cost: (typeof costs)[number]) => number): number =>
        median(costs.map(metric));
      const sample = {
        messages,
        filledPerSecond,
        loadedMs: of(({ loadedMs }) => loadedMs),
        openMs: of(({ openMs }) => openMs),
        conversationsMs: of(({ conversationsMs }) => conversationsMs),
        firstPageMs: of(({ firstPageMs }) => firstPageMs),
        searchMs: of(({ searchMs }) => searchMs),
        heapBytes: of(({ heapBytes }) => heapBytes),
      };
      samples.push(sample);
      say(JSON.stringify(sample));
      await page.context().close();
    }
    return samples;
  } finally {
    for (const close of closing) await close();
  }
}

function part(bundles: readonly Bundle[], samples: readonly PageSample[]): Part {
  const kib = (bytes: number): string => short(bytes / 1024);
  const origins = [...new Set(bundles.flatMap(({ shares }) => Object.keys(shares)))];
  const ready = ({ openMs, conversationsMs, firstPageMs }: PageSample): number =>
    openMs + conversationsMs + firstPageMs;
  const tables: Table[] = [
    {
      title: 'What a page loads, KiB',
      head: ['imports', 'minified', 'gzip', 'brotli', 'files'],
      rows: bundles.map(({ title, bytes, gzipBytes, brotliBytes, files }) => [
        title,
        kib(bytes),
        kib(gzipBytes),
        kib(brotliBytes),
        `${files}`,
      ]),
    },
    {
      title: 'Where the code comes from, percent before it is minified',
      head: ['imports', ...origins],
      rows: bundles.map(({ title, shares }) => [
        title,
        ...origins.map((origin) => short(100 * (shares[origin] ?? 0))),
      ]),
    },
  ];
  const isRun = samples.length > 0;
  if (isRun) {
    tables.push({
      title: 'Chromium, IndexedDB, encrypted: milliseconds',
      head: [
        'messages',
        'scripts loaded',
        'store open',
        'conversations',
        'first page',
        'search: a common word',
        'heap MiB',
        'filled/s',
      ],
      rows: samples.map((sample) => [
        `${sample.messages}`,
        short(sample.loadedMs),
        short(sample.openMs),
        short(sample.conversationsMs),
        short(sample.firstPageMs),
        short(sample.searchMs),
        short(sample.heapBytes / 2 ** 20),
        short(sample.filledPerSecond),
      ]),
    });
  }
  const points = (metric: (sample: PageSample) => number) =>
    samples.map((sample) => ({ x: sample.messages, y: metric(sample) }));
  return {
    key: 'browser',
    title: 'In a browser',
    tables,
    charts: isRun
      ? {
          'sdk-browser': drawLines({
            heading: 'Chromium: from the passphrase to the first page of messages',
            x: 'messages stored',
            y: 'ms',
            lines: [
              { name: 'open, list, first page', points: points(ready) },
              { name: 'without opening the store', points: points((s) => ready(s) - s.openMs) },
              { name: 'search: a common word', points: points(({ searchMs }) => searchMs) },
            ],
          }),
        }
      : {},
    notes: [
      'Built by Vite without configuration. Documents, groups and linking of devices are part of the client; calls are an import of their own.',
      isRun
        ? 'A new page in each of three rounds, medians; opening includes scrypt for the passphrase, which is slow on purpose.'
        : 'No Chromium was found: set CHROMIUM to its path.',
    ],
    raw: { bundles, samples },
  };
}
