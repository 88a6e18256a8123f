// A relay in a process of its own, for killing.
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** A relay started by `main.js`. */
export interface RelayProcess {
  readonly url: string;
  readonly child: ChildProcess;
  /** Kill without warning, and wait until the process is gone. */
  kill(): Promise<void>;
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
      }),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
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
