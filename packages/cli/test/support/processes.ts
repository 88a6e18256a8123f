/** Real processes for the end-to-end tests: what is tested is what a person starts. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The program, as compiled. */
export const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

/** Preloaded into a process whose clock should be wrong. */
export const CLOCK_HOOK = fileURLToPath(new URL('./clock-hook.js', import.meta.url));

/** What a finished process left behind. `code` is undefined when a signal ended it. */
export interface Finished {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number | undefined;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly cwd?: string;
  /** Options for node itself. */
  readonly node?: readonly string[];
  readonly limitMs?: number;
}

/** Wait. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A folder that goes away with the test. */
export function temporaryFolder(teardown: (clean: () => void) => void): string {
  const path = mkdtempSync(join(tmpdir(), 'qasid-test-'));
  teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Environment of a test process: nothing of the caller's profile shines through. */
export function environment(home: string, more: Readonly<Record<string, string>> = {}) {
  return { PATH: process.env.PATH ?? '', HOME: home, QASID_HOME: join(home, 'qasid'), ...more };
}

/** Run `qasid` with these arguments until it ends. */
export function qasid(
  home: string,
  args: readonly string[],
  o: RunOptions = {},
): Promise<Finished> {
  const child = spawn(process.execPath, [...(o.node ?? []), MAIN, ...args], {
    env: environment(home, o.env),
    cwd: o.cwd ?? home,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  return finish(child, o);
}

/** Run a script in bash, in which `qasid` is the program under test. */
export function shell(home: string, script: string, o: RunOptions = {}): Promise<Finished> {
  const PATH = `${programFolder()}:${process.env.PATH ?? ''}`;
  const child = spawn('bash', ['-c', script], {
    env: { ...environment(home, o.env), PATH },
    cwd: o.cwd ?? home,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  return finish(child, o);
}

let folderOfProgram: string | undefined;

/** A folder with an executable `qasid` and nothing else, for PATH; gone with this process. */
function programFolder(): string {
  if (folderOfProgram !== undefined) return folderOfProgram;
  const folder = mkdtempSync(join(tmpdir(), 'qasid-bin-'));
  const text = `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`;
  writeFileSync(join(folder, 'qasid'), text, { mode: 0o755 });
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  folderOfProgram = folder;
  return folder;
}

function finish(child: ChildProcess, o: RunOptions): Promise<Finished> {
  const stdout: Uint8Array[] = [];
  const stderr: Uint8Array[] = [];
  child.stdout?.on('data', (chunk: Uint8Array) => stdout.push(chunk));
  child.stderr?.on('data', (chunk: Uint8Array) => stderr.push(chunk));
  child.stdin?.on('error', () => {}); // it may end before it has read everything
  child.stdin?.end(o.input ?? '');
  const limit = setTimeout(() => child.kill('SIGKILL'), o.limitMs ?? 60_000);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(limit);
      const text = (chunks: Uint8Array[]): string => Buffer.concat(chunks).toString('utf8');
      resolve({ stdout: text(stdout), stderr: text(stderr), code: code ?? undefined });
    });
  });
}

/**
 * A port nobody listens on now, outside the range from which outgoing connections take theirs: a relay
 * that is killed and started again must find it free.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/** A relay process that can be killed and started again on the same port and folder. */
export class RelayProcess {
  readonly home: string;
  readonly data: string;
  readonly port: number;
  #child: ChildProcess | undefined;
  stderr = '';

  constructor(home: string, data: string, port: number) {
    this.home = home;
    this.data = data;
    this.port = port;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}`;
  }

  get state(): string {
    return `exit ${this.#child?.exitCode}, signal ${this.#child?.signalCode}`;
  }

  /** Start it; resolves when it has printed its address. */
  async start(): Promise<void> {
    const address = `127.0.0.1:${this.port}`;
    const child = spawn(
      process.execPath,
      [MAIN, 'relay', 'start', '--listen', address, '--data', this.data],
      { env: environment(this.home), stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#child = child;
    child.stderr.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    await new Promise<void>((resolve, reject) => {
      let seen = '';
      child.stdout.on('data', (chunk: Buffer) => {
        seen += chunk.toString();
        if (seen.includes('\n')) resolve();
      });
      child.on('exit', (code) => reject(new Error(`relay ended (${code}): ${this.stderr}`)));
    });
  }

  /** Stop it with `signal`; resolves with its exit code when it is gone. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | undefined> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null)
      return undefined;
    const gone = new Promise<number | undefined>((resolve) =>
      child.on('exit', (code) => resolve(code ?? undefined)),
    );
    child.kill(signal);
    return gone;
  }
}
