/** Start-up, memory, paging and search of long histories, by their length. */
import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { median } from '../relay/histogram.js';
import { scratch } from '../relay/processes.js';
import { beginHistory, fillHistory, writeMessages } from './history-fill.js';
import type { HistoryCost, HistoryOptions } from './history-main.js';
import { PlainHistory } from './history-plain.js';
import { drawLines } from './lines.js';
import { SqliteStore } from './reach.js';
import { short, type Part, type Table } from './report.js';
import { QUERIES } from './words.js';

const MAIN = fileURLToPath(new URL('./history-main.js', import.meta.url));
const PASSPHRASE = 'correct horse battery staple';

/** Messages that are stored one by one at each length. */
const SINGLES = 40;

const KINDS = [
  { key: 'encrypted', title: 'SDK, encrypted store' },
  { key: 'open', title: 'SDK, no passphrase' },
  { key: 'plain', title: 'plain tables, FTS5' },
] as const;

type Kind = (typeof KINDS)[number]['key'];

interface HistorySample extends HistoryCost {
  readonly kind: Kind;
  readonly messages: number;
  readonly fileBytes: number;
  /** Storing one more message, forced to disk. */
  readonly storeMs: number;
  /** Messages per second while filling, 250 in a commit. */
  readonly filledPerSecond: number;
}

/** One history that grows. */
interface Growing {
  readonly options: HistoryOptions;
  fill(count: number): Promise<void>;
  one(): Promise<void>;
  file: string;
}

/** Run them. */
export async function historyPart(
  how: { readonly isQuick: boolean; readonly rounds?: number },
  say: (line: string) => void,
): Promise<Part> {
  const lengths = how.isQuick ? [1_000, 10_000] : [1_000, 10_000, 100_000];
  const rounds = how.rounds ?? (how.isQuick ? 3 : 5);
  const directory = scratch('sdk-history');
  const samples: HistorySample[] = [];
  for (const { key } of KINDS) {
    const growing = await begin(key, join(directory, key));
    let length = 0;
    for (const messages of lengths) {
      const started = performance.now();
      const added = messages - length;
      await growing.fill(added);
      const filledPerSecond = (added * 1000) / (performance.now() - started);
      length = messages;
      const singles: number[] = [];
      for (let index = 0; index < SINGLES; index++) {
        const from = performance.now();
        await growing.one();
        singles.push(performance.now() - from);
      }
      length += SINGLES;
      const costs: HistoryCost[] = [];
      for (let round = 0; round < rounds; round++) costs.push(await start(growing.options));
      const sample: HistorySample = {
        ...middle(costs),
        ...{ kind: key, messages, filledPerSecond, storeMs: median(singles) },
        fileBytes: sizeOf(growing.file) + sizeOf(`${growing.file}-wal`),
      };
      samples.push(sample);
      say(`${key} ${messages}: ${JSON.stringify(sample)}`);
    }
  }
  rmSync(directory, { recursive: true, force: true });
  return part(samples, rounds);
}

async function begin(kind: Kind, directory: string): Promise<Growing> {
  mkdirSync(directory);
  if (kind === 'plain') {
    const file = join(directory, 'plain.db');
    const history = new PlainHistory(file);
    return {
      options: { kind: 'plain', path: file },
      fill: async (count) => history.fill(count),
      one: async () => history.write(1),
      file,
    };
  }
  const passphrase = kind === 'encrypted' ? PASSPHRASE : undefined;
  const store = await SqliteStore.open({ directory, passphrase });
  const filling = await beginHistory(store);
  return {
    options: { kind: 'sdk', path: directory, ...(passphrase !== undefined && { passphrase }) },
    fill: (count) => fillHistory(store, filling, count),
    one: () => writeMessages(store, filling, 1),
    file: join(directory, 'store.sqlite'),
  };
}

async function start(options: HistoryOptions): Promise<HistoryCost> {
  const argv = ['--expose-gc', MAIN, JSON.stringify(options)];
  const { stdout } = await promisify(execFile)(process.execPath, argv, { timeout: 120_000 });
  return JSON.parse(stdout) as HistoryCost;
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function middle(costs: readonly HistoryCost[]): HistoryCost {
  const of = (metric: (cost: HistoryCost) => number): number => median(costs.map(metric));
  return {
    loadedMs: of(({ loadedMs }) => loadedMs),
    openMs: of(({ openMs }) => openMs),
    conversationsMs: of(({ conversationsMs }) => conversationsMs),
    firstPageMs: of(({ firstPageMs }) => firstPageMs),
    nextPageMs: of(({ nextPageMs }) => nextPageMs),
    searchMs: Object.fromEntries(
      Object.keys(QUERIES).map((name) => [name, of(({ searchMs }) => searchMs[name] ?? 0)]),
    ),
    found: costs[0]?.found ?? {},
    rssBytes: of(({ rssBytes }) => rssBytes),
    heapBytes: of(({ heapBytes }) => heapBytes),
  };
}

function part(samples: readonly HistorySample[], rounds: number): Part {
  const titleOf = (kind: Kind): string => KINDS.find(({ key }) => key === kind)?.title ?? kind;
  const table = (
    title: string,
    head: readonly string[],
    cells: (sample: HistorySample) => readonly string[],
  ): Table => ({
    title,
    head: ['', 'messages', ...head],
    rows: samples.map((sample) => [titleOf(sample.kind), `${sample.messages}`, ...cells(sample)]),
  });
  const names = Object.keys(QUERIES);
  const ready = (sample: HistorySample): number =>
    sample.openMs + sample.conversationsMs + sample.firstPageMs;
  const lines = (metric: (sample: HistorySample) => number) =>
    KINDS.map(({ key, title }) => ({
      name: title,
      points: samples
        .filter(({ kind }) => kind === key)
        .map((sample) => ({ x: sample.messages, y: metric(sample) })),
    }));
  return {
    key: 'history',
    title: 'Long histories',
    tables: [
      table(
        'Start-up and memory, milliseconds since the process began',
        [
          'modules loaded',
          'store open',
          'conversations shown',
          'first page',
          'RSS MiB',
          'heap MiB',
          'file MiB',
        ],
        (sample) => [
          short(sample.loadedMs),
          short(sample.openMs),
          short(sample.openMs + sample.conversationsMs),
          short(ready(sample)),
          short(sample.rssBytes / 2 ** 20),
          short(sample.heapBytes / 2 ** 20),
          short(sample.fileBytes / 2 ** 20),
        ],
      ),
      table(
        'Reading and writing, milliseconds',
        ['page of 50', ...names.map((name) => `search: ${name}`), 'store one', 'filled/s'],
        (sample) => [
          short(sample.nextPageMs),
          ...names.map((name) => `${short(sample.searchMs[name] ?? 0)} (${sample.found[name]})`),
          short(sample.storeMs),
          short(sample.filledPerSecond),
        ],
      ),
    ],
    charts: {
      'sdk-start': drawLines({
        heading: 'From the start of the process to the first page of messages',
        x: 'messages stored',
        y: 'ms',
        lines: lines(ready),
      }),
      'sdk-memory': drawLines({
        heading: 'Resident memory with the first page of messages',
        x: 'messages stored',
        y: 'MiB',
        lines: lines(({ rssBytes }) => rssBytes / 2 ** 20),
      }),
      'sdk-search': drawLines({
        heading: 'Search: 50 newest messages with a common word',
        x: 'messages stored',
        y: 'ms',
        lines: lines(({ searchMs }) => searchMs['a common word'] ?? 0),
      }),
    },
    notes: [
      `200 conversations, texts of 3 to 20 words, half received; medians of ${rounds} fresh processes each. The file is in the page cache. Found messages in brackets, at most 50.`,
      'The peer is what a program without secrets would write: the same texts in plain tables with an FTS5 index, through the same driver.',
    ],
    raw: samples,
  };
}
