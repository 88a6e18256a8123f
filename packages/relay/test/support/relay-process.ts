// A relay in a process of its own, for killing.
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { RelayOptions } from '@qasid/relay';

/** What a relay says of itself, see quota-free.ts. */
export interface RelayStats {
  readonly lagP99Ms: number;
  readonly lagMaxMs: number;
  readonly rssBytes: number;
}

/** A relay started by `main.js`. */
export interface RelayProcess {
  readonly url: string;
  readonly child: ChildProcess;
  /** Kill without warning, and wait until the process is gone. */
  kill(): Promise<void>;
  /** How it is doing since the last time it was asked. */
  stats(): Promise<RelayStats>;
  /** Ask to stop; resolves with the exit code. */
  stop(): Promise<number | null>;
}

/** `main.js` in the tests runs without quotas: see quota-free.ts. */
export async function startProcess(
  directory: string,
  options: {
    port?: number;
    storeThread?: 'main' | 'worker';
    transport?: 'uws' | 'ws';
    eagerPush?: boolean;
    env?: NodeJS.ProcessEnv;
    more?: RelayOptions;
  } = {},
): Promise<RelayProcess> {
  const child = spawn(
    process.execPath,
    [
      fileURLToPath(new URL('./quota-free.js', import.meta.url)),
      JSON.stringify({
        directory,
        port: options.port ?? 0,
        storeThread: options.storeThread ?? 'main',
        transport: options.transport ?? 'auto',
        eagerPush: options.eagerPush ?? false,
        logLevel: 'silent',
        ...options.more,
      }),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...options.env } },
  );
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const url = await new Promise<string>((resolve, reject) => {
    let out = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      out += chunk.toString();
      if (out.includes('\n')) resolve(out.trim());
    });
    void exited.then((code) => reject(new Error(`relay exited with ${code}`)));
  });
  return {
    url,
    child,
    stats: () =>
      new Promise((resolve) => {
        child.stdout?.once('data', (chunk: Buffer) => resolve(JSON.parse(chunk.toString())));
        child.kill('SIGUSR2');
      }),
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
    stop: () => {
      child.kill('SIGTERM');
      return exited;
    },
  };
}
