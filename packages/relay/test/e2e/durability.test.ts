// Confirmed means synced. Seen from outside the process: system calls in order, and a disk that fails.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { newPerson, TestClient } from '../support/client.js';

function fresh(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-durable-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Why a test is skipped, or `false`: both tools come with any Linux distribution. */
function missing(tool: string): string | false {
  try {
    execFileSync(tool, ['--version'], { stdio: 'ignore' });
    return false;
  } catch {
    return `${tool} is not installed`;
  }
}

/** Start a program that prints the relay's address first. */
async function start(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(command, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let err = '';
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString().trim()));
    void exited.then((code) => reject(new Error(`exited with ${code}: ${err}`)));
  });
  return { child, url, exited, stderr: () => err };
}

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const quotaFree = fileURLToPath(new URL('../support/quota-free.js', import.meta.url));

interface Trace {
  readonly syncs: number;
  readonly sends: number;
  /** Sends that left while something in the log was not synced. */
  readonly early: number;
}

/** Walk over the system calls of a relay that commits on its only busy thread. */
function readTrace(file: string): Trace {
  let isDirty = false;
  let syncs = 0;
  let sends = 0;
  let early = 0;
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const call = /^\d+\s+(\w+)\(\d+<([^>]*)>/.exec(line);
    if (!call) continue;
    const [, name = '', target = ''] = call;
    if (target.endsWith('relay.db-wal')) {
      if (name === 'fsync' || name === 'fdatasync') {
        isDirty = false;
        syncs++;
      } else isDirty = true;
    } else if (target.startsWith('TCP') || target.startsWith('socket')) {
      sends++;
      if (isDirty) early++;
    }
  }
  return { syncs, sends, early };
}

const noStrace = missing('strace');
t.test(
  'ATK-I13 no answer leaves before what it confirms is synced',
  { skip: noStrace },
  async (t) => {
    const run = async (synchronous: 'FULL' | 'NORMAL'): Promise<Trace> => {
      const directory = fresh(t);
      const trace = join(directory, 'trace');
      const options = {
        directory: join(directory, 'data'),
        port: 0,
        synchronous,
        logLevel: 'silent',
      };
      const calls = 'trace=fsync,fdatasync,write,pwrite64,writev,pwritev,send,sendto,sendmsg';
      const relay = await start('strace', [
        ...['-D', '-f', '-y', '-s', '0', '-e', calls, '-o', trace],
        ...[process.execPath, quotaFree, JSON.stringify(options)],
      ]);
      const [alice, bob] = [newPerson(), newPerson()];
      const a = await TestClient.register(relay.url, alice);
      const b = await TestClient.register(relay.url, bob);
      b.autoAck = true;
      for (let n = 0; n < 30; n++) t.equal((await a.send(bob, `letter ${n}`)).code, 'CONFIRMED');
      await b.until(() => b.delivered.length === 30);
      await a.close();
      await b.close();
      relay.child.kill('SIGTERM');
      await relay.exited;
      return readTrace(trace);
    };
    // With -D the relay itself is our child, and takes the signal.
    const full = await run('FULL');
    t.ok(full.syncs >= 32, `${full.syncs} syncs`);
    t.ok(full.sends >= 64, `${full.sends} sends`);
    t.equal(full.early, 0, 'nothing left early');
    const normal = await run('NORMAL');
    t.ok(normal.early > 30, `and the trace would show it: ${normal.early} without FULL`);
  },
);

/** A relay with default options takes bodies of certain sizes only. */
const padded = (text: string): string => text.padEnd(512);

const noCompiler = missing('gcc');
t.test('a disk that fails to sync ends the relay, unconfirmed', { skip: noCompiler }, async (t) => {
  for (const thread of ['main', 'worker']) {
    const directory = fresh(t);
    const shim = join(directory, 'eio.so');
    const source = fileURLToPath(new URL('../../test/support/disk.c', import.meta.url));
    execFileSync('gcc', ['-shared', '-fPIC', '-o', shim, source, '-ldl']);
    const data = join(directory, 'data');
    const args = [main, '--listen', '127.0.0.1:0', '--data', data, '--store-thread', thread];
    const flag = join(directory, 'fail-now');
    const env = { LD_PRELOAD: shim, QASID_EIO_FILE: flag };
    const relay = await start(process.execPath, args, env);
    const [alice, bob] = [newPerson(), newPerson()];
    const a = await TestClient.register(relay.url, alice);
    await (await TestClient.register(relay.url, bob)).close();
    t.equal((await a.send(bob, padded('before'))).code, 'CONFIRMED');
    writeFileSync(flag, '');
    const during = await a.send(bob, padded('during')).then(
      ({ code }) => code,
      () => 'LOST',
    );
    t.not(during, 'CONFIRMED', thread);
    t.equal(await relay.exited, 1);
    t.match(relay.stderr(), /RELAY_STORE_FAILED.*\n.*hint/);
    rmSync(flag);
    const again = await start(process.execPath, args, env);
    const b = await TestClient.login(again.url, bob);
    await b.until(() => b.events.some(({ kind }) => kind === 'queueEmpty'));
    t.ok(b.bodies().includes(padded('before')), 'what was confirmed is there');
    again.child.kill('SIGTERM');
    t.equal(await again.exited, 0);
  }
});
