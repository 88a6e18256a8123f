// One contract, every store.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMemoryStore } from '#src/store/memory.js';
import type { RelayStore } from '#src/store/port.js';
import { openSqliteStore } from '#src/store/sqlite.js';
import { openWorkerStore } from '#src/store/worker-store.js';
import t from 'tap';
import { PatientStore } from '../support/faulty.js';
import { seededRandom } from '../support/random.js';
import { accountContract } from '../support/account-contract.js';
import { type Adapter, storeContract } from '../support/store-contract.js';
import { pushContract } from '../support/store-contract-push.js';
import { blobRowContract } from '../support/store-contract-blobs.js';
import { recordContract } from '../support/store-contract-records.js';
import { tokenContract } from '../support/store-contract-tokens.js';
import { storeUnderFaults } from '../support/store-faults.js';

t.setTimeout(240_000);

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

const memory: Adapter = {
  open: async (options) =>
    createMemoryStore({
      quota: quotaOf(options),
      ...(options.nowMs && { monotonicMs: options.nowMs }),
    }),
};

/** Every adapter of the port. */
const adapters: Readonly<Record<string, Adapter>> = {
  memory,
  'SQLite on this thread': sqlite(async (options) => openSqliteStore(options).store),
  'SQLite on a worker': sqlite(async ({ monotonicMs, ...options }) => {
    // Its clock is its own: a function does not travel between threads.
    if (monotonicMs) return openSqliteStore({ ...options, monotonicMs }).store;
    return (await openWorkerStore(options)).store;
  }),
};

/** The adapter behind faults that its caller mends by trying again. */
function behindFaults(adapter: Adapter): Adapter {
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

for (const [name, adapter] of Object.entries(adapters)) {
  t.test(name, async (t) => {
    storeContract(t, adapter);
    recordContract(t, adapter);
    accountContract(t, adapter);
    tokenContract(t, adapter);
    pushContract(t, adapter);
    blobRowContract(t, adapter);
  });
  t.test(`${name}, refused at random and tried again`, async (t) => {
    storeContract(t, behindFaults(adapter));
    recordContract(t, behindFaults(adapter));
    accountContract(t, behindFaults(adapter));
    tokenContract(t, behindFaults(adapter));
    pushContract(t, behindFaults(adapter));
    blobRowContract(t, behindFaults(adapter));
  });
  t.test(`ATK-I13 ${name}: answers get lost, nothing else does`, async (t) => {
    await storeUnderFaults(t, adapter, { failBefore: 0.1, failAfter: 0.15, delay: 0.2 }, 4_711);
  });
}
