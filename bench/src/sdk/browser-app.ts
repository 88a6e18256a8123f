/** The page of the browser's part: fills a history, and starts on it as a program would. */
import { IndexedDbStore } from '../../../packages/client-sdk/dist/browser.js';
import { QasidClient } from '../../../packages/client-sdk/dist/index.js';
import { beginHistory, fillHistory } from './history-fill.js';
import { QUERIES } from './words.js';

/** Milliseconds. */
export interface PageCost {
  /** From the navigation until the scripts ran. */
  readonly loadedMs: number;
  readonly openMs: number;
  readonly conversationsMs: number;
  readonly firstPageMs: number;
  readonly searchMs: number;
}

/** What the driver calls in the page. */
export interface Page {
  fill(profile: string, passphrase: string, count: number): Promise<void>;
  start(profile: string, passphrase: string): Promise<PageCost>;
}

const loadedMs = performance.now();

async function fill(profile: string, passphrase: string, count: number): Promise<void> {
  const store = await IndexedDbStore.open({ profile, passphrase });
  await fillHistory(store, await beginHistory(store), count);
  await store.close();
}

async function start(profile: string, passphrase: string): Promise<PageCost> {
  const times: number[] = [performance.now()];
  const lap = (): number => times.push(performance.now());
  const client = await QasidClient.open({
    relay: 'ws://127.0.0.1:1',
    connect: false,
    profile,
    passphrase,
  });
  lap();
  await client.conversations();
  lap();
  const chat = await client.conversation('person-0');
  await chat.messages({ limit: 50 });
  lap();
  await client.search(QUERIES['a common word']);
  lap();
  // Kept open: what it holds in memory is part of what is measured.
  Object.assign(globalThis, { client });
  const [began = 0, opened = 0, listed = 0, shown = 0, searched = 0] = times;
  return {
    loadedMs,
    openMs: opened - began,
    conversationsMs: listed - opened,
    firstPageMs: shown - listed,
    searchMs: searched - shown,
  };
}

Object.assign(globalThis, { bench: { fill, start } satisfies Page });
