// `npm run test:vectors`: the recorded vectors, one line per family and provider, last `N passed, N failed`.
import { fileURLToPath } from 'node:url';

await import(
  fileURLToPath(new URL('../packages/protocol/dist-test/vectors/cli.js', import.meta.url))
);
