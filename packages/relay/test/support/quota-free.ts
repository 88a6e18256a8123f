// The relay as a child process: options as JSON in the first argument, no quotas, the URL on stdout.
import { NO_QUOTAS, startRelay } from '@qasid/relay';

const options = JSON.parse(process.argv[2] ?? '{}');
// Tests send short texts: what padding is for has tests of its own.
const relay = await startRelay({ requirePadding: false, ...options, quotas: NO_QUOTAS });
process.stdout.write(`${relay.url}\n`);
process.on('SIGTERM', () => void relay.close().then(() => process.exit(0)));
