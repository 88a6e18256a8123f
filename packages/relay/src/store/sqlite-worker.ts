/**
 * 13 Relay §3.2. The worker thread that owns the SQLite engine: the other end of worker-store.ts.
 *
 * Requests are done in the order they come, so reads see every commit before them.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { Write } from './port.js';
import { FatalStoreError } from './port.js';
import { type EngineOptions, type OpenReport, SqliteEngine } from './sqlite-engine.js';
import { RelayError, type RelayErrorCode } from '../errors.js';
import { storeError } from './sqlite-open.js';
import { packResults, unpackMail } from './worker-mail.js';

/** What can be asked of the worker. */
export type WorkerCall =
  /** `isEager`: answer `placed` before the commit is durable, where that is safe. */
  | { readonly method: 'commit'; readonly writes: readonly Write[]; readonly isEager: boolean }
  /** The same for what is packed by worker-mail.ts. */
  | { readonly method: 'commitMail'; readonly mail: ArrayBuffer; readonly isEager: boolean }
  | { readonly method: 'account'; readonly account: Parameters<SqliteEngine['account']>[0] }
  | { readonly method: 'lookup'; readonly username: string }
  | { readonly method: 'read'; readonly args: Parameters<SqliteEngine['read']> }
  | { readonly method: 'arrivals'; readonly args: Parameters<SqliteEngine['arrivals']> }
  | { readonly method: 'prekeyCounts' | 'pushTarget'; readonly mailbox: number }
  | { readonly method: 'blob'; readonly key: Uint8Array }
  | { readonly method: 'record'; readonly key: Uint8Array }
  | { readonly method: 'lookUpTokens'; readonly ids: readonly Uint8Array[] }
  | { readonly method: 'tokens'; readonly account: Parameters<SqliteEngine['tokens']>[0] }
  | { readonly method: 'invites' }
  | { readonly method: 'totals' }
  | { readonly method: 'close' };

/** A call with its number. */
export type WorkerRequest = WorkerCall & { readonly id: number };

/** Errors travel as codes: a class does not survive the way between threads. */
export interface WorkerFailure {
  readonly code: ReturnType<typeof storeError>['code'];
  readonly message: string;
  readonly isFatal: boolean;
}

/** What the worker says. */
export type WorkerReply =
  | { readonly kind: 'ready'; readonly report: OpenReport }
  | {
      readonly kind: 'notOpened';
      readonly code: RelayErrorCode;
      readonly message: string;
      readonly hint: string;
    }
  | { readonly kind: 'placed'; readonly id: number; readonly results: Results | Float64Array }
  | { readonly kind: 'result'; readonly id: number; readonly result: unknown }
  | { readonly kind: 'failure'; readonly id: number; readonly failure: WorkerFailure };

type Results = ReturnType<SqliteEngine['commit']>;

function packed(results: Results): Results | Float64Array {
  return packResults(results) ?? results;
}

function perform(
  engine: SqliteEngine,
  call: WorkerCall,
  placed: (results: Results) => void,
): unknown {
  switch (call.method) {
    case 'commit':
      return engine.commit(call.writes, call.isEager ? placed : undefined);
    case 'commitMail':
      return packed(engine.commit(unpackMail(call.mail), call.isEager ? placed : undefined));
    case 'account':
      return engine.account(call.account);
    case 'lookup':
      return engine.lookup(call.username);
    case 'read':
      return engine.read(...call.args);
    case 'arrivals':
      return engine.arrivals(...call.args);
    case 'prekeyCounts':
      return engine.prekeyCounts(call.mailbox);
    case 'pushTarget':
      return engine.pushTarget(call.mailbox);
    case 'blob':
      return engine.blob(call.key);
    case 'record':
      return engine.record(call.key);
    case 'lookUpTokens':
      return call.ids.map((id) => engine.token(id));
    case 'tokens':
      return engine.tokens(call.account);
    case 'invites':
      return engine.invites();
    case 'totals':
      return engine.totals();
    case 'close':
      return engine.close();
  }
}

function serve(engine: SqliteEngine, reply: (message: WorkerReply) => void): void {
  parentPort?.on('message', (request: WorkerRequest) => {
    const { id } = request;
    try {
      const placed = (results: Results): void =>
        reply({ kind: 'placed', id, results: packed(results) });
      reply({ kind: 'result', id, result: perform(engine, request, placed) });
    } catch (error) {
      const failure = storeError(error);
      const { code, message } = failure;
      const isFatal = failure instanceof FatalStoreError;
      reply({ kind: 'failure', id, failure: { code, message, isFatal } });
    }
    if (request.method === 'close') parentPort?.close();
  });
}

function main(): void {
  const reply = (message: WorkerReply): void => parentPort?.postMessage(message);
  try {
    // Given by worker-store.ts, which takes the same type.
    const engine = new SqliteEngine(workerData as EngineOptions);
    reply({ kind: 'ready', report: engine.report });
    serve(engine, reply);
  } catch (error) {
    if (!(error instanceof RelayError)) throw error;
    const { code, message, hint } = error;
    reply({ kind: 'notOpened', code, message, hint });
    parentPort?.close();
  }
}

main();
