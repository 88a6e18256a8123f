/** A program that starts on a long history, as a process of its own: what it waits for, and what it needs. */
import type { Database } from './driver.js';
import { QUERIES } from './words.js';

/** How a program starts. */
export interface HistoryOptions {
  readonly kind: 'sdk' | 'plain';
  /** Of the SDK's store; of the plain one the file. */
  readonly path: string;
  readonly passphrase?: string;
}

/** Milliseconds and bytes. */
export interface HistoryCost {
  /** From the start of the process until its modules were there, and the store was open. */
  readonly loadedMs: number;
  readonly openMs: number;
  /** From there. */
  readonly conversationsMs: number;
  readonly firstPageMs: number;
  /** One page of 50, going back through the longest conversation. */
  readonly nextPageMs: number;
  readonly searchMs: Readonly<Record<string, number>>;
  readonly found: Readonly<Record<string, number>>;
  /** When the first page was there. */
  readonly rssBytes: number;
  readonly heapBytes: number;
}

const PAGE = 50;
const PAGES = 20;

const options = JSON.parse(process.argv[2] ?? '{}') as HistoryOptions;

function memory(): { readonly rssBytes: number; readonly heapBytes: number } {
  globalThis.gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  return { rssBytes: rss, heapBytes: heapUsed };
}

async function timed<Value>(work: () => Value | Promise<Value>): Promise<readonly [number, Value]> {
  const started = performance.now();
  const value = await work();
  return [performance.now() - started, value];
}

/** What both kinds can do. */
interface Program {
  conversations(): unknown;
  page(before: unknown): Promise<readonly unknown[]> | readonly unknown[];
  search(query: string): Promise<readonly unknown[]> | readonly unknown[];
}

async function sdk(): Promise<Program> {
  const { openNodeClient } = await import('./reach.js');
  loadedMs = performance.now();
  const { path: directory, passphrase } = options;
  const client = await openNodeClient({
    relay: 'ws://127.0.0.1:1',
    connect: false,
    directory,
    ...(passphrase !== undefined && { passphrase }),
  });
  const conversation = async () => client.conversation('person-0');
  return {
    conversations: () => client.conversations(),
    page: async (before) => {
      const chat = await conversation();
      const from = before as Parameters<typeof chat.messages>[0] | undefined;
      return (await chat.messages({ ...from, limit: PAGE })).map((message) => ({
        before: message,
      }));
    },
    search: (query) => client.search(query, { limit: PAGE }),
  };
}

async function plain(): Promise<Program> {
  const { openDatabase } = await import('./driver.js');
  loadedMs = performance.now();
  const database: Database = openDatabase(options.path);
  const columns = 'seq, sent, text, at';
  const page = database.prepare(
    `SELECT ${columns} FROM message WHERE conversation = 0 AND seq < ? ORDER BY seq DESC LIMIT ?`,
  );
  const search = database.prepare(
    `SELECT ${columns} FROM message WHERE seq IN (SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT ?) ORDER BY seq DESC`,
  );
  const list = database.prepare('SELECT * FROM conversation ORDER BY last DESC');
  return {
    conversations: () => list.all(),
    page: (before) => {
      const { seq = Number.MAX_SAFE_INTEGER } = (before ?? {}) as { seq?: number };
      return page.all(seq, PAGE).reverse();
    },
    search: (query) => search.all(query, PAGE),
  };
}

let loadedMs = 0;
const program = options.kind === 'sdk' ? await sdk() : await plain();
const openMs = performance.now();
const [conversationsMs] = await timed(() => program.conversations());
const [firstPageMs, first] = await timed(() => program.page(undefined));
const { rssBytes, heapBytes } = memory();
let oldest = first[0];
const pages: number[] = [];
for (let page = 0; page < PAGES && oldest !== undefined; page++) {
  const [ms, rows] = await timed(() => program.page(oldest));
  pages.push(ms);
  oldest = rows[0];
}
const searchMs: Record<string, number> = {};
const found: Record<string, number> = {};
for (const [name, query] of Object.entries(QUERIES)) {
  const [ms, rows] = await timed(() => program.search(query));
  searchMs[name] = ms;
  found[name] = rows.length;
}
pages.sort((a, b) => a - b);
const cost: HistoryCost = {
  loadedMs,
  openMs,
  conversationsMs,
  firstPageMs,
  nextPageMs: pages[pages.length >> 1] ?? 0,
  searchMs,
  found,
  rssBytes,
  heapBytes,
};
process.stdout.write(JSON.stringify(cost));
process.exit(0);
