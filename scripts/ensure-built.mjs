// Installs when node_modules does not match the lockfile, then builds. Called by `npm start` and `npm test`.
//
// With `--done` it only notes that an installation finished (the last step of `prepare`).
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { filesBelow } from './import-graph.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const stamp = `${root}node_modules/.qasid-setup`;

function fail(error, hint) {
  console.error(`qasid: error: ${error}`);
  console.error(`qasid: hint: ${hint}`);
  process.exit(2);
}

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  fail(
    `Node ${process.versions.node} is too old`,
    'install Node 20.19 or newer and run the command again',
  );
}

/** What an installation depends on. Compiled addons belong to one Node version. */
function wanted() {
  const hash = createHash('sha256');
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', '.taprc']) {
    hash.update(readFileSync(`${root}${file}`));
  }
  return hash.update(process.version).update(process.arch).digest('hex');
}

function run(command, args) {
  // stdout of `npm start` and `npm test` is theirs; what this prints is progress.
  const done = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (done.error) fail(`cannot start ${command}: ${done.error.code}`, 'is npm installed?');
  if (done.status !== 0) process.exit(done.status ?? 1);
}

/** A compiled file whose source is gone would still be run, or found by an import. */
function removeStale() {
  const projects = [];
  for (const name of ['protocol', 'relay', 'client-sdk', 'cli']) {
    projects.push([`packages/${name}/src`, `packages/${name}/dist`]);
    projects.push([`packages/${name}/test`, `packages/${name}/dist-test`]);
  }
  projects.push(['interop/src', 'interop/dist'], ['bench/src', 'bench/dist']);
  for (const [sources, built] of projects) {
    for (const file of filesBelow(`${root}${built}`, (path) =>
      /\.(js|d\.ts)(\.map)?$/.test(path),
    )) {
      const stem = file.replace(/\.(js|d\.ts)(\.map)?$/, '');
      if (!['.ts', '.js', '.d.ts'].some((end) => existsSync(`${root}${sources}/${stem}${end}`))) {
        rmSync(`${root}${built}/${file}`);
      }
    }
  }
}

if (process.argv.includes('--done')) {
  writeFileSync(stamp, wanted());
} else if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted()) {
  removeStale();
  run(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-b']);
} else {
  console.error('qasid: installing dependencies and building; this is done once');
  // `prepare` builds, and notes that it is done, as part of the installation.
  run('npm', ['run', '--silent', 'setup']);
  if (!existsSync(stamp)) run('npm', ['run', '--silent', 'prepare']);
}
