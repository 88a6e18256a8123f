// Installs when node_modules does not match the lockfile, then builds. Called by `npm start` and `npm test`.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const stamp = `${root}node_modules/.qasid-setup`;
const wanted = createHash('sha256')
  .update(readFileSync(`${root}pnpm-lock.yaml`))
  .update(process.version)
  .digest('hex');

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`qasid: error: Node ${process.versions.node} is too old`);
  console.error('qasid: hint: install Node 20.19 or newer and run the command again');
  process.exit(2);
}

function run(command, args) {
  const done = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (done.status !== 0) process.exit(done.status ?? 1);
}

const installed = existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted;
if (installed) {
  run(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-b']);
} else {
  // `prepare` builds as part of the installation.
  run('npm', ['run', '--silent', 'setup']);
  writeFileSync(stamp, wanted);
}
