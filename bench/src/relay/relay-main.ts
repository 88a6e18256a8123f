/**
 * The relay under test, a process of its own: options as JSON, the URL on stdout. Quotas are off, since one
 * load generator is more than any quota allows a client; everything else is as an operator runs it.
 *
 * Answers `report` with what only it can know of itself.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { timingSafeEqual } from 'node:crypto';
import { provider } from '@qasid/protocol/crypto/node';
import { NO_QUOTAS, type RelayParts, startRelay } from '@qasid/relay';

/** What the process says of itself. */
export interface SelfReport {
  /** Event loop delay since the last report, milliseconds. */
  readonly lagP99Ms: number;
  readonly lagMaxMs: number;
  readonly heapUsed: number;
  readonly external: number;
}

const options = JSON.parse(process.argv[2] ?? '{}') as object;

/**
 * Believes every signature: for the relay that only registers thousands of accounts before anything is
 * measured. The relays that are measured check all of them.
 */
const trusting: RelayParts = {
  crypto: {
    randomBytes: (length) => provider.randomBytes(length),
    sha256: (...parts) => provider.sha256(...parts),
    equal: (a, b) => a.length === b.length && timingSafeEqual(a, b),
    ed25519Verify: () => true,
    xeddsaVerify: () => true,
  },
};
const parts = process.argv[3] === 'trusting' ? trusting : {};
const relay = await startRelay({ ...options, quotas: NO_QUOTAS }, parts);
const lag = monitorEventLoopDelay({ resolution: 1 });
lag.enable();
process.on('message', (message) => {
  if (message !== 'report') return;
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  const report: SelfReport = {
    lagP99Ms: lag.percentile(99) / 1e6,
    lagMaxMs: lag.max / 1e6,
    heapUsed,
    external,
  };
  lag.reset();
  process.send?.(report);
});
process.on('disconnect', () => process.exit(1));
process.on('SIGTERM', () => void relay.close().then(() => process.exit(0)));
process.send?.({ port: relay.port, transport: relay.transport });
