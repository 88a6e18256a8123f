// One contract, every store.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMemoryStore } from '#src/store/memory.js';
import type { RelayStore } from '#src/store/port.js';
import { openSqliteStore } from '#src/store/sqlite.js';
import { openWorkerStore } from '#src/store/worker-store.js';
import t from 'tap';
import { type Adapter, FaultyStore, storeContract } from '../support/store-contract.js';

const root = mkdtempSync(join(tmpdir(), 'qasid-store-'));
t.teardown(() => rmSync(root, { recursive: true, force: true }));

function quotaOf(options: Parameters<Adapter['open']>[0]) {
  return { envelopesMax: options.envelopesMax ?? 10_000, bytesMax: options.bytesMax ?? 1e9 };
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

t.test('memory', async (t) => {
  storeContract(t, {
    open: async (options) =>
      createMemoryStore({
        quota: quotaOf(options),
        ...(options.nowMs && { monotonicMs: options.nowMs }),
      }),
  });
});

t.test('SQLite on this thread', async (t) => {
  storeContract(
    t,
    sqlite(async (options) => openSqliteStore(options).store),
  );
});

t.test('SQLite on a worker', async (t) => {
  // Its clock is its own: a function does not travel between threads.
  storeContract(t, {
    ...sqlite(async ({ monotonicMs, ...options }) => {
      if (monotonicMs) return openSqliteStore({ ...options, monotonicMs }).store;
      return (await openWorkerStore(options)).store;
    }),
  });
});

t.test('a wrapper that does nothing changes nothing', async (t) => {
  storeContract(t, {
    open: async (options) =>
      new FaultyStore(
        createMemoryStore({
          quota: quotaOf(options),
          ...(options.nowMs && { monotonicMs: options.nowMs }),
        }),
      ),
  });
});
