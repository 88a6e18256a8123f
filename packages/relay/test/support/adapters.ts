// Every adapter of the store's port, plain and behind faults, for the contract suites.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMemoryStore } from '#src/store/memory.js';
import type { RelayStore } from '#src/store/port.js';
import { openSqliteStore } from '#src/store/sqlite.js';
import { openWorkerStore } from '#src/store/worker-store.js';
import t from 'tap';
import { PatientStore } from './faulty.js';
import { seededRandom } from './random.js';
import type { Adapter } from './store-contract.js';

const root = mkdtempSync(join(tmpdir(), 'qasid-store-'));
t.teardown(() => rmSync(root, { recursive: true, force: true }));

function quotaOf(options: Parameters<Adapter['open']>[0]) {
  const { envelopesMax = 10_000, bytesMax = 1e9, idleDays } = options;
  return { envelopesMax, bytesMax, ...(idleDays !== undefined && { idleDays }) };
}

const directories = new WeakMap<RelayStore, string>();

function sqlite(
  open: (options: Parameters<typeof openSqliteStore>[0]) => Promise<RelayStore>,
): Adapter {
  const at = async (directory: string, options: Parameters<Adapter['open']>[0]) => {
    const store = await open({
      directory,
      synchronous: 'NORMAL',
      quota: quotaOf(options),
      ...(options.nowMs && { monotonicMs: options.nowMs }),
    });
    directories.set(store, directory);
    return store;
  };
  return {
    open: (options) => at(mkdtempSync(join(root, 's-')), options),
    reopen: async (store) => {
      await store.close();
      return at(directories.get(store)!, {});
    },
  };
}

const memory: Adapter = {
  open: async (options) =>
    createMemoryStore({
      quota: quotaOf(options),
      ...(options.nowMs && { monotonicMs: options.nowMs }),
    }),
};

/** Every adapter of the port. */
export const adapters: Readonly<Record<string, Adapter>> = {
  memory,
  'SQLite on this thread': sqlite(async (options) => openSqliteStore(options).store),
  'SQLite on a worker': sqlite(async ({ monotonicMs, ...options }) => {
    // Its clock is its own: a function does not travel between threads.
    if (monotonicMs) return openSqliteStore({ ...options, monotonicMs }).store;
    return (await openWorkerStore(options)).store;
  }),
};

/** The adapter behind faults that its caller mends by trying again. */
export function behindFaults(adapter: Adapter): Adapter {
  const random = seededRandom(20_261);
  const wrap = (inner: RelayStore): RelayStore => {
    const store = new PatientStore(inner);
    store.failAtRandom(random, { failBefore: 0.4, failAfter: 0, delay: 0.3 });
    return store;
  };
  const { reopen } = adapter;
  return {
    open: async (options) => wrap(await adapter.open(options)),
    ...(reopen && {
      reopen: async (store) => wrap(await reopen((store as PatientStore).inner)),
    }),
  };
}
