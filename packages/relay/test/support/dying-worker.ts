// The store thread, made to end at a chosen step: the file `die` in its directory says where. It is removed
// first, so that the next thread lives, unless it says `always`.
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { workerData } from 'node:worker_threads';
import { SqliteEngine } from '#src/store/sqlite-engine.js';
import { SqliteQueue } from '#src/store/sqlite-queue.js';

/** Where a thread may end. */
export const STEPS = ['before', 'inside', 'after', 'reading', 'idle'] as const;

const file = join((workerData as { directory: string }).directory, 'die');

function dieAt(step: (typeof STEPS)[number]): void {
  if (!existsSync(file)) return;
  const [where, times] = readFileSync(file, 'utf8').split(' ');
  if (where !== step) return;
  if (times !== 'always') rmSync(file);
  process.exit(7);
}

const { commit, read } = SqliteEngine.prototype;
SqliteEngine.prototype.commit = function (this: SqliteEngine, writes) {
  dieAt('before');
  const results = commit.call(this, writes);
  dieAt('after');
  return results;
};
SqliteEngine.prototype.read = function (this: SqliteEngine, ...args) {
  dieAt('reading');
  return read.apply(this, args);
};
const { age } = SqliteQueue.prototype;
SqliteQueue.prototype.age = function (this: SqliteQueue, nowMs) {
  age.call(this, nowMs);
  dieAt('inside');
};
setInterval(() => dieAt('idle'), 5).unref();

await import('#src/store/sqlite-worker.js');
