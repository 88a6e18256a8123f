// The relay as a child process: options as JSON in the first argument, no quotas, the URL on stdout.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { NO_QUOTAS, startRelay } from '@qasid/relay';

const options = JSON.parse(process.argv[2] ?? '{}');
// Tests send short texts: what padding is for has tests of its own.
const relay = await startRelay({ requirePadding: false, ...options, quotas: NO_QUOTAS });
process.stdout.write(`${relay.url}\n`);
process.on('SIGTERM', () => void relay.close().then(() => process.exit(0)));

// Asked by SIGUSR2: how late the event loop was since the last time, and how much memory is used.
const lag = monitorEventLoopDelay({ resolution: 5 });
lag.enable();
process.on('SIGUSR2', () => {
  const stats = {
    lagP99Ms: lag.percentile(99) / 1e6,
    lagMaxMs: lag.max / 1e6,
    rssBytes: process.memoryUsage.rss(),
  };
  lag.reset();
  process.stdout.write(`${JSON.stringify(stats)}\n`);
});
