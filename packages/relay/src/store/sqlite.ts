/**
 * 13 Relay §3. The store on SQLite on the calling thread: every commit blocks it for one fsync.
 */
import type { MailboxPage, RelayStore } from './port.js';
import { type EngineOptions, type OpenReport, SqliteEngine } from './sqlite-engine.js';
import { storeError } from './sqlite-open.js';

/** A store and what happened when it was opened. */
export interface OpenedStore {
  readonly store: RelayStore;
  readonly report: OpenReport;
}

/** Open on this thread. @throws RelayError */
export function openSqliteStore(options: EngineOptions): OpenedStore {
  const engine = new SqliteEngine(options);
  const run = async <Result>(task: () => Result): Promise<Result> => {
    try {
      return task();
    } catch (error) {
      throw storeError(error);
    }
  };
  const store: RelayStore = {
    isUp: true,
    commit: (writes, placed) => run(() => engine.commit(writes, placed)),
    account: (account) => run(() => engine.account(account)),
    lookup: (username) => run(() => engine.lookup(username)),
    read: (mailbox, afterSeq, rowsMax, bytesMax): Promise<MailboxPage> =>
      run(() => engine.read(mailbox, afterSeq, rowsMax, bytesMax)),
    arrivals: (afterSeq, throughSeq) => run(() => engine.arrivals(afterSeq, throughSeq)),
    prekeyCounts: (mailbox) => run(() => engine.prekeyCounts(mailbox)),
    pushTarget: (mailbox) => run(() => engine.pushTarget(mailbox)),
    blob: (key) => run(() => engine.blob(key)),
    record: (key) => run(() => engine.record(key)),
    token: (id) => run(() => engine.token(id)),
    tokens: (account) => run(() => engine.tokens(account)),
    invites: () => run(() => engine.invites()),
    totals: () => run(() => engine.totals()),
    close: () => run(() => engine.close()),
  };
  return { store, report: engine.report };
}
