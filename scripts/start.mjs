// `npm start`: the demonstration. `npm start -- --once` ends after it. prestart has installed and built.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../packages/cli/dist/main.js', import.meta.url));
if (!existsSync(main)) {
  console.error('qasid: error: not built yet');
  console.error('qasid: hint: npm start builds first; node scripts/start.mjs alone does not');
  process.exit(1);
}
process.argv.splice(1, 1, main, 'demo');
await import(main);
