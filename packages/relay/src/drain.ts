/**
 * 13 Relay §8. Going down without a lost message and without a storm of clients coming back.
 *
 *   not ready, told ──► no new sends ──► flushed ──► sockets closed in slices ──► checkpoint
 *
 * `hurry` cuts the slices short: flush, close everything, end.
 */
import { randomInt } from 'node:crypto';
import type { Cancel } from './clock.js';
import type { Health } from './observe/health.js';
import type { Services } from './service/services.js';
import type { Listening } from './transport/port.js';

/** What is shut down. */
export interface Drained {
  readonly services: Services;
  readonly health: Health;
  readonly listening: Listening;
  /** Closed last, so that the drain can be watched. */
  readonly watchers: readonly { close(): Promise<void> }[];
}

/** Drain, unless `hurry` says that nobody wants to wait. Resolves when files and ports are released. */
export async function drain(drained: Drained, hurry: Promise<void>): Promise<void> {
  const { services, health, listening, watchers } = drained;
  const { context, connections } = services;
  const { clock, config, log, writer } = context;
  const startedMs = clock.monotonicMs();
  log.write('info', 'DRAINING', { count: connections.size });
  context.isDraining = true;
  health.isDraining = true;
  health.stop();
  listening.stopAccepting();
  services.mailboxes.sweeper.stop();
  services.records.sweeper.stop();
  services.blobs.sweeper.stop();
  services.blobs.orphanSweeper.stop();
  services.arrivalCheck.stop();
  // Time for everybody to come back one by one; a few need no more than an instant.
  const spreadMs = Math.min(config.drainJitterMs, connections.size * RETURN_MS);
  for (const connection of connections) connection.drain(randomInt(spreadMs + 1));
  const limit = timer(drained, config.drainLimitMs);
  // Uploads stop where they are, and write down how far they came.
  await Promise.race([services.transfers?.close(), limit.passed]);
  // A disk that hangs must not hold up the end for ever: what was not confirmed may be lost.
  await Promise.race([writer.flushed(), limit.passed]);
  // The answers to what was committed last are still on their way to their sockets.
  await new Promise((resolve) => setImmediate(resolve));
  await closeInSlices(drained, Promise.race([hurry, limit.passed]));
  limit.cancel();
  // Let answers and close frames leave before the sockets are torn down.
  const graceEndMs = clock.monotonicMs() + CLOSE_GRACE_MS;
  while (connections.size > 0 && clock.monotonicMs() < graceEndMs) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await listening.close();
  await context.store.close();
  for (const watcher of watchers) await watcher.close();
  log.write('info', 'STOPPED', { ms: Math.round(clock.monotonicMs() - startedMs) });
}

/** Close sockets a slice a second, or all at once when `end` resolves. */
async function closeInSlices(drained: Drained, end: Promise<void>): Promise<void> {
  const { connections } = drained.services;
  let isEnding = false;
  void end.then(() => {
    isEnding = true;
  });
  await Promise.resolve();
  const waiting = [...connections];
  const slice = Math.max(SLICE_SOCKETS, Math.ceil(waiting.length * SLICE_SHARE));
  while (waiting.length > 0) {
    // One turn for `end` to be heard of.
    await new Promise((resolve) => setImmediate(resolve));
    const now = waiting.splice(0, isEnding ? waiting.length : slice);
    for (const connection of now) if (connections.has(connection)) connection.end('RESTART');
    if (waiting.length === 0) return;
    const pause = timer(drained, SLICE_EVERY_MS);
    await Promise.race([pause.passed, end]);
    pause.cancel();
  }
}

function timer(
  { services }: Drained,
  ms: number,
): { readonly passed: Promise<void>; readonly cancel: Cancel } {
  let cancel: Cancel = () => undefined;
  const passed = new Promise<void>((resolve) => {
    cancel = services.context.clock.after(ms, resolve);
  });
  return { passed, cancel };
}

/** Time of one client in the spread. A TLS handshake takes a third of a millisecond, the rest is for others. */
const RETURN_MS = 10;

const SLICE_EVERY_MS = 1_000;

/** Of all sockets, in each slice. Lower: the drain takes longer than its limit. Higher: a storm elsewhere. */
const SLICE_SHARE = 0.02;

/** At least so many: a small relay is down at once. */
const SLICE_SOCKETS = 50;

/** How long clients get to take their last frames. */
const CLOSE_GRACE_MS = 500;
