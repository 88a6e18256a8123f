/**
 * The servers as processes: started with what they need, measured through /proc, ended by their id.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fault } from './faults.js';

/** A process that was started here, with everything it started itself. */
export interface Managed {
  readonly child: ChildProcess;
  /** Processor time of the whole tree, microseconds. */
  cpuUs(): number;
  /** Resident memory of the whole tree, bytes. */
  memoryBytes(): number;
  stop(): Promise<void>;
}

/** Absolute path of a program, looked for where Debian puts servers as well. */
export function findProgram(name: string): string | undefined {
  const places = [
    ...(process.env.PATH ?? '').split(delimiter),
    '/usr/sbin',
    '/usr/lib/rabbitmq/bin',
  ];
  return places.map((place) => join(place, name)).find((file) => existsSync(file));
}

/** A port nobody listens on now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/** A directory for one server; gone at the end, if it is not before. */
export function scratch(name: string): string {
  const parent = process.env.QASID_BENCH_DIR ?? tmpdir();
  const directory = mkdtempSync(join(parent, `qasid-bench-${name}-`));
  directories.push(directory);
  return directory;
}

/** Start a program; its output goes to `log` in `directory`. */
export function startProcess(
  command: string,
  args: readonly string[],
  directory: string,
  env: Readonly<Record<string, string>> = {},
): Managed {
  const log = openSync(join(directory, 'log'), 'a');
  const child = spawn(command, args, {
    cwd: directory,
    env: { ...process.env, ...env },
    stdio: ['ignore', log, log],
  });
  return manage(child);
}

/** Measure and end a process that was started elsewhere. */
export function manage(child: ChildProcess): Managed {
  let isStopping = false;
  const exited = new Promise<void>((resolve) =>
    child.once('exit', (code, signal) => {
      running.delete(child);
      if (!isStopping) fault(new Error(`the server exited with ${code ?? signal}`));
      resolve();
    }),
  );
  running.add(child);
  return {
    child,
    cpuUs: () => sum(treeOf(child.pid ?? 0), cpuOf),
    memoryBytes: () => sum(treeOf(child.pid ?? 0), memoryOf),
    stop: async () => {
      isStopping = true;
      if (!running.has(child)) return;
      const tree = treeOf(child.pid ?? 0);
      child.kill('SIGTERM');
      const timer = setTimeout(() => {
        for (const pid of tree) kill(pid);
      }, 15_000);
      await exited;
      clearTimeout(timer);
      for (const pid of tree) if (pid !== child.pid) kill(pid);
    },
  };
}

/** Resolves when `port` takes connections. */
export async function listening(port: number, managed: Managed, seconds = 60): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    if (managed.child.exitCode !== null) throw new Error(`exited with ${managed.child.exitCode}`);
    const isUp = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
    if (isUp) return;
    if (Date.now() > deadline) throw new Error(`nothing listens after ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Count calls that force data to disk while `work` runs; undefined without strace. */
export async function countSyncs(
  managed: Managed,
  work: () => Promise<void>,
): Promise<number | undefined> {
  const strace = findProgram('strace');
  if (strace === undefined) {
    await work();
    return undefined;
  }
  const directory = scratch('strace');
  const file = join(directory, 'trace');
  const calls = 'trace=fsync,fdatasync,sync_file_range,msync';
  const pids = treeOf(managed.child.pid ?? 0).flatMap((pid) => ['-p', String(pid)]);
  const tracer = spawn(strace, ['-f', '-q', '-e', calls, '-o', file, ...pids], { stdio: 'ignore' });
  const ended = new Promise((resolve) => tracer.once('exit', resolve));
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  try {
    await work();
  } finally {
    await new Promise((resolve) => setTimeout(resolve, 200));
    tracer.kill('SIGINT');
    await ended;
  }
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  rmSync(directory, { recursive: true, force: true });
  return text.split('\n').filter((line) => /\b(fsync|fdatasync|msync)\(/.test(line)).length;
}

/** Let the system write everything that waits to be written, for a minute at most. */
export async function writeBack(): Promise<void> {
  const child = spawn('sync', { stdio: 'ignore', timeout: 60_000 });
  await new Promise((resolve) => child.once('exit', resolve).once('error', resolve));
}

function treeOf(root: number): number[] {
  const parents = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const fields = statFields(Number(name));
    const parent = Number(fields?.[1] ?? 0);
    parents.set(parent, [...(parents.get(parent) ?? []), Number(name)]);
  }
  const tree = [root];
  for (let at = 0; at < tree.length; at++) tree.push(...(parents.get(tree[at]!) ?? []));
  return tree;
}

/** Fields of /proc/PID/stat after the name, which may hold anything. */
function statFields(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

function cpuOf(pid: number): number {
  // Nanoseconds on a processor where the kernel keeps them, for every thread: ticks are 10 ms.
  try {
    let ns = 0;
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      ns += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ', 1)[0]);
    }
    if (ns > 0) return ns / 1000;
  } catch {
    // Fall through to the ticks.
  }
  const fields = statFields(pid);
  return (Number(fields?.[11] ?? 0) + Number(fields?.[12] ?? 0)) * tickUs();
}

let tick = 0;
function tickUs(): number {
  tick ||= 1e6 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  return tick;
}

function memoryOf(pid: number): number {
  return Number(statFields(pid)?.[21] ?? 0) * 4096;
}

function sum(pids: readonly number[], of: (pid: number) => number): number {
  return pids.reduce((total, pid) => total + of(pid), 0);
}

/** Whatever ends the driver ends what it started. */
const running = new Set<ChildProcess>();
const directories: string[] = [];
process.on('exit', () => {
  for (const { pid } of running) if (pid !== undefined) for (const one of treeOf(pid)) kill(one);
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}
