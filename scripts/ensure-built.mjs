// Installs when node_modules does not match the lockfile, then builds. Called by `npm start` and `npm test`.
//
// With `--done` it only notes that an installation finished (the last step of `prepare`).
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { filesBelow } from './import-graph.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const stamp = `${root}node_modules/.qasid-setup`;
const lock = `${root}.qasid/setup.lock`;

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

/** Whether the installation is complete and belongs to this lockfile and this Node. */
function isInstalled() {
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted();
}

/**
 * One installation at a time: two of them break each other. Returns whether the last one was cut short, which
 * leaves packages half written that no second run repairs.
 */
function lockSetup() {
  mkdirSync(dirname(lock), { recursive: true });
  let interrupted = false;
  for (let waited = false; ; ) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      return interrupted;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    if (isAlive(Number(readFileSync(lock, 'utf8')))) {
      if (!waited) console.error('qasid: waiting for another installation in this folder');
      waited = true;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
    } else {
      rmSync(lock, { force: true });
      interrupted = true;
    }
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return pid > 0;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function install() {
  console.error('qasid: installing dependencies and building; this is done once');
  // `prepare` builds, and notes that it is done, as part of the installation.
  run('npm', ['run', '--silent', 'setup']);
  if (!existsSync(stamp)) run('npm', ['run', '--silent', 'prepare']);
}

if (process.argv.includes('--done')) {
  writeFileSync(stamp, wanted());
} else if (isInstalled()) {
  removeStale();
  run(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-b']);
} else {
  const interrupted = lockSetup();
  // A failed step exits with its own code; only a killed process leaves the lock behind.
  process.on('exit', () => rmSync(lock, { force: true }));
  if (interrupted && !isInstalled()) {
    console.error('qasid: the last installation was cut short: starting over');
    rmSync(`${root}node_modules`, { recursive: true, force: true });
  }
  if (!isInstalled()) install();
}
