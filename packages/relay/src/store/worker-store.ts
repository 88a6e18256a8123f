/**
 * 13 Relay §3.2. The store on SQLite on a worker thread: commits do not hold up sockets.
 *
 * Costs a hand-over per commit; which thread is better depends on the machine, so both are offered.
 */
import { Worker } from 'node:worker_threads';
import { type AccountId, StoreError } from '@qasid/protocol/envelope';
import { RelayError } from '../errors.js';
import {
  FatalStoreError,
  type MailboxNo,
  NO_TOKEN,
  type Placed,
  type RelayStore,
  type TokenLookup,
  type Write,
} from './port.js';
import type { EngineOptions } from './sqlite-engine.js';
import type { OpenedStore } from './sqlite.js';
import type { WorkerCall, WorkerFailure, WorkerReply } from './sqlite-worker.js';
import { packMail, unpackResults } from './worker-mail.js';

interface Waiting {
  readonly what: WorkerCall;
  readonly placed: Placed | undefined;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: StoreError) => void;
}

/** What becomes of the thread. */
export interface WorkerEvents {
  /** It died, and another one is being started; until that is up the store is not. */
  restarting?(): void;
  /** It died and stays dead. */
  ended?(error: FatalStoreError): void;
}

type Options = Omit<EngineOptions, 'monotonicMs'>;

/** Open on a worker thread. @throws RelayError */
export async function openWorkerStore(
  options: Options,
  events: WorkerEvents = {},
  entry: URL = new URL('./sqlite-worker.js', import.meta.url),
): Promise<OpenedStore> {
  const start = (): Promise<Started> => startWorker(entry, options);
  const first = await start();
  return { store: new WorkerStore(first.worker, start, events), report: first.report };
}

interface Started {
  readonly worker: Worker;
  readonly report: OpenedStore['report'];
}

async function startWorker(entry: URL, options: Options): Promise<Started> {
  const worker = new Worker(entry, { workerData: options });
  const first = await new Promise<WorkerReply>((resolve, reject) => {
    const left = (): void => reject(gone());
    worker.once('message', (reply: WorkerReply) => {
      worker.off('error', reject);
      worker.off('exit', left);
      resolve(reply);
    });
    worker.once('error', reject);
    worker.once('exit', left);
  });
  if (first.kind === 'notOpened') throw new RelayError(first.code, first.message, first.hint);
  if (first.kind !== 'ready') throw gone();
  return { worker, report: first.report };
}

/**
 * The port over a thread. A thread that dies is replaced once: a second death is no accident.
 *
 * What it was reading is read again by the next one. What it was committing may or may not be on disk: that
 * call fails, the commit queue asks for each change again, and the store recognises what it has.
 */
class WorkerStore implements RelayStore {
  readonly #start: () => Promise<Started>;
  readonly #events: WorkerEvents;
  #worker: Worker;
  #waiting = new Map<number, Waiting>();
  #lookups: {
    readonly tokenId: Uint8Array;
    readonly resolve: (found: TokenLookup) => void;
    readonly reject: (error: StoreError) => void;
  }[] = [];
  #nextId = 1;
  #state: 'up' | 'restarting' | 'closing' | 'gone' = 'up';
  #restarts = 0;

  constructor(worker: Worker, start: () => Promise<Started>, events: WorkerEvents) {
    this.#worker = worker;
    this.#start = start;
    this.#events = events;
    this.#adopt(worker);
  }

  get isUp(): boolean {
    return this.#state === 'up';
  }

  commit(writes: readonly Write[], placed?: Placed): ReturnType<RelayStore['commit']> {
    return this.#call({ method: 'commit', writes, isEager: placed !== undefined }, placed);
  }

  account(account: AccountId): ReturnType<RelayStore['account']> {
    return this.#call({ method: 'account', account });
  }

  lookup(username: string): ReturnType<RelayStore['lookup']> {
    return this.#call({ method: 'lookup', username });
  }

  read(...args: Parameters<RelayStore['read']>): ReturnType<RelayStore['read']> {
    return this.#call({ method: 'read', args });
  }

  arrivals(...args: Parameters<RelayStore['arrivals']>): ReturnType<RelayStore['arrivals']> {
    return this.#call({ method: 'arrivals', args });
  }

  prekeyCounts(mailbox: MailboxNo): ReturnType<RelayStore['prekeyCounts']> {
    return this.#call({ method: 'prekeyCounts', mailbox });
  }

  pushTarget(mailbox: MailboxNo): ReturnType<RelayStore['pushTarget']> {
    return this.#call({ method: 'pushTarget', mailbox });
  }

  blob(key: Uint8Array): ReturnType<RelayStore['blob']> {
    return this.#call({ method: 'blob', key });
  }

  record(key: Uint8Array): ReturnType<RelayStore['record']> {
    return this.#call({ method: 'record', key });
  }

  token(tokenId: Uint8Array): ReturnType<RelayStore['token']> {
    return new Promise((resolve, reject) => {
      this.#lookups.push({ tokenId, resolve, reject });
      // Every anonymous send needs one: those of a turn go over together, as the commits do.
      if (this.#lookups.length === 1) setImmediate(() => this.#lookUp());
    });
  }

  #lookUp(): void {
    const lookups = this.#lookups;
    this.#lookups = [];
    const ids = lookups.map(({ tokenId }) => tokenId);
    this.#call<readonly TokenLookup[]>({ method: 'lookUpTokens', ids }).then(
      (found) => {
        for (const [index, { resolve }] of lookups.entries()) resolve(found[index] ?? NO_TOKEN);
      },
      (error: StoreError) => {
        for (const { reject } of lookups) reject(error);
      },
    );
  }

  tokens(account: AccountId): ReturnType<RelayStore['tokens']> {
    return this.#call({ method: 'tokens', account });
  }

  invites(): ReturnType<RelayStore['invites']> {
    return this.#call({ method: 'invites' });
  }

  totals(): ReturnType<RelayStore['totals']> {
    return this.#call({ method: 'totals' });
  }

  async close(): Promise<void> {
    if (this.#state === 'gone' || this.#state === 'closing') return;
    const done = this.#call<void>({ method: 'close' });
    this.#state = 'closing';
    await done;
    await this.#worker.terminate();
  }

  #call<Result>(what: WorkerCall, placed?: Placed): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (this.#state === 'gone' || this.#state === 'closing') {
        reject(gone());
        return;
      }
      const id = this.#nextId++;
      // The worker answers a method with what the engine's method of that name returns.
      this.#waiting.set(id, { what, placed, resolve: resolve as Waiting['resolve'], reject });
      if (this.#state === 'up') post(this.#worker, id, what);
    });
  }

  #adopt(worker: Worker): void {
    this.#worker = worker;
    worker.on('message', (reply: WorkerReply) => {
      if (reply.kind === 'placed') {
        this.#waiting.get(reply.id)?.placed?.(resultsOf(reply.results));
        return;
      }
      if (reply.kind !== 'result' && reply.kind !== 'failure') return;
      const call = this.#waiting.get(reply.id);
      this.#waiting.delete(reply.id);
      if (reply.kind === 'result') call?.resolve(resultsOf(reply.result));
      else call?.reject(toError(reply.failure));
    });
    // `exit` follows, and does what there is to do.
    worker.on('error', () => undefined);
    worker.on('exit', () => void this.#died());
  }

  async #died(): Promise<void> {
    if (this.#state === 'closing') {
      this.#end();
      return;
    }
    this.#state = 'restarting';
    for (const [id, { what, reject }] of this.#waiting) {
      if (what.method !== 'commit' && what.method !== 'close') continue;
      this.#waiting.delete(id);
      reject(new StoreError('STORE_FAILED', 'the store thread ended in the middle of it'));
    }
    if (this.#restarts++ >= RESTARTS_MAX) {
      this.#end();
      return;
    }
    this.#events.restarting?.();
    try {
      const { worker } = await this.#start();
      this.#adopt(worker);
      this.#state = 'up';
      for (const [id, { what }] of this.#waiting) post(worker, id, what);
    } catch {
      this.#end();
    }
  }

  #end(): void {
    const isExpected = this.#state === 'closing';
    this.#state = 'gone';
    for (const { reject } of this.#waiting.values()) reject(gone());
    this.#waiting.clear();
    if (!isExpected) this.#events.ended?.(gone());
  }
}

/** Batches of nothing but mail change hands, everything else is cloned. */
function post(worker: Worker, id: number, what: WorkerCall): void {
  const mail = what.method === 'commit' ? packMail(what.writes) : undefined;
  if (mail === undefined || what.method !== 'commit') worker.postMessage({ ...what, id });
  else worker.postMessage({ method: 'commitMail', mail, isEager: what.isEager, id }, [mail]);
}

/** Only results of mail come as an array of numbers. */
function resultsOf<Result>(result: Result | Float64Array): Result | MailResults {
  return result instanceof Float64Array ? unpackResults(result) : result;
}

type MailResults = ReturnType<typeof unpackResults>;

function toError({ code, message, isFatal }: WorkerFailure): StoreError {
  return isFatal ? new FatalStoreError(code, message) : new StoreError(code, message);
}

function gone(): FatalStoreError {
  return new FatalStoreError('STORE_FAILED', 'the store thread ended');
}

/** Higher: a defect that kills the thread again and again looks like a relay that is slow. */
const RESTARTS_MAX = 1;
