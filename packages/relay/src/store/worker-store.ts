/**
 * 13 Relay §3.2. The store on SQLite on a worker thread: commits do not hold up sockets.
 *
 * Costs a hand-over per commit; which thread is better depends on the machine, so both are offered.
 */
import { Worker } from 'node:worker_threads';
import { StoreError } from '@qasid/protocol/envelope';
import { RelayError } from '../errors.js';
import { FatalStoreError, type RelayStore } from './port.js';
import type { EngineOptions } from './sqlite-engine.js';
import type { OpenedStore } from './sqlite.js';
import type { WorkerCall, WorkerFailure, WorkerReply } from './sqlite-worker.js';

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: StoreError) => void;
}

/** Open on a worker thread. @throws RelayError */
export async function openWorkerStore(
  options: Omit<EngineOptions, 'monotonicMs'>,
): Promise<OpenedStore> {
  const worker = new Worker(new URL('./sqlite-worker.js', import.meta.url), {
    workerData: options,
  });
  const first = await new Promise<WorkerReply>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', () => reject(gone()));
  });
  if (first.kind === 'notOpened') throw new RelayError(first.code, first.message, first.hint);
  if (first.kind !== 'ready') throw gone();
  return { store: createProxy(worker), report: first.report };
}

function createProxy(worker: Worker): RelayStore {
  const waiting = new Map<number, Waiting>();
  let nextId = 1;
  let isGone = false;
  worker.on('message', (reply: WorkerReply) => {
    if (reply.kind !== 'result' && reply.kind !== 'failure') return;
    const call = waiting.get(reply.id);
    waiting.delete(reply.id);
    if (reply.kind === 'result') call?.resolve(reply.result);
    else call?.reject(toError(reply.failure));
  });
  const end = (): void => {
    isGone = true;
    // What was under way may or may not be on disk: nothing is confirmed on a guess.
    for (const { reject } of waiting.values()) reject(gone());
    waiting.clear();
  };
  worker.on('error', end);
  worker.on('exit', end);
  const call = <Result>(what: WorkerCall): Promise<Result> =>
    new Promise((resolve, reject) => {
      if (isGone) {
        reject(gone());
        return;
      }
      const id = nextId++;
      // The worker answers a method with what the engine's method of that name returns.
      waiting.set(id, { resolve: resolve as Waiting['resolve'], reject });
      worker.postMessage({ ...what, id });
    });
  return {
    commit: (writes) => call({ method: 'commit', writes }),
    account: (account) => call({ method: 'account', account }),
    lookup: (username) => call({ method: 'lookup', username }),
    read: (...args) => call({ method: 'read', args }),
    arrivals: (...args) => call({ method: 'arrivals', args }),
    prekeyCounts: (mailbox) => call({ method: 'prekeyCounts', mailbox }),
    pushTarget: (mailbox) => call({ method: 'pushTarget', mailbox }),
    blob: (key) => call({ method: 'blob', key }),
    record: (key) => call({ method: 'record', key }),
    token: (tokenId) => call({ method: 'token', tokenId }),
    tokens: (account) => call({ method: 'tokens', account }),
    totals: () => call({ method: 'totals' }),
    close: async () => {
      if (isGone) return;
      await call({ method: 'close' });
      await worker.terminate();
    },
  };
}

function toError({ code, message, isFatal }: WorkerFailure): StoreError {
  return isFatal ? new FatalStoreError(code, message) : new StoreError(code, message);
}

function gone(): FatalStoreError {
  return new FatalStoreError('STORE_FAILED', 'the store thread ended');
}
