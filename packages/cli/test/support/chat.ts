/** Long-lived senders and receivers that can be killed and started again, and remember what they saw. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

import { environment, MAIN } from './processes.js';

/** Lines typed and not confirmed yet, per sender. */
const WINDOW = 4;

/** Pause before the next line; the relay's quota is a burst of 120 sends and 2 per second after that. */
const PACE_MS = 500;

/** Types numbered lines into `qasid send bob --lines`, never the same one twice, and notes the answers. */
export class Sender {
  readonly queued = new Set<string>();
  readonly confirmed = new Set<string>();
  readonly written = new Set<string>();
  readonly name: string;
  readonly #home: string;
  #child: ChildProcess | undefined;
  #next = 0;
  stderr = '';

  constructor(home: string, name: string) {
    this.#home = home;
    this.name = name;
  }

  start(): void {
    const child = spawn(
      process.execPath,
      [MAIN, '--profile', this.name, 'send', 'bob', '--lines', '--json', '--timeout', '60'],
      { env: environment(this.#home), stdio: ['pipe', 'pipe', 'pipe'] },
    );
    this.#child = child;
    const typed: string[] = [];
    const type = (): void => {
      const text = `${this.name}-${String(++this.#next).padStart(6, '0')}`;
      this.written.add(text);
      typed.push(text);
      child.stdin.write(`${text}\n`);
    };
    child.stdin.on('error', () => {}); // killed while we were typing
    child.stderr.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      const event: { state: string; line: number } = JSON.parse(line);
      const text = typed[event.line - 1] ?? 'nothing was typed';
      if (event.state === 'queued') this.queued.add(text);
      else {
        this.confirmed.add(text);
        setTimeout(type, PACE_MS);
      }
    });
    // A window of lines under way: some are always in each state when the blow falls.
    for (let line = 0; line < WINDOW; line++) type();
  }

  get state(): string {
    return stateOf(this.#child);
  }

  async kill(): Promise<void> {
    await gone(this.#child, 'SIGKILL');
  }

  /** No more lines; let what was typed be confirmed. */
  async end(): Promise<number | null> {
    const child = this.#child;
    if (child === undefined) return null;
    const exit = new Promise<number | null>((resolve) => child.on('exit', resolve));
    child.stdin?.end();
    return exit;
  }
}

/** One message as `receive --json` prints it. */
export interface ShownMessage {
  readonly id: string;
  readonly seq: number;
  readonly from: string;
  readonly text: string;
}

/** `qasid receive --follow`, appending to a file or writing into a pipe. */
export class Receiver {
  readonly name = 'bob';
  readonly file: string;
  readonly #home: string;
  readonly #into: 'file' | 'pipe';
  #child: ChildProcess | undefined;
  #piped = '';
  stderr = '';

  constructor(home: string, into: 'file' | 'pipe' = 'file') {
    this.#home = home;
    this.#into = into;
    this.file = `${home}/shown.jsonl`;
  }

  start(): void {
    const out = this.#into === 'file' ? openSync(this.file, 'a') : undefined;
    const child = spawn(
      process.execPath,
      [MAIN, '--profile', 'bob', 'receive', '--follow', '--json'],
      { env: environment(this.#home), stdio: ['ignore', out ?? 'pipe', 'pipe'] },
    );
    if (out !== undefined) closeSync(out);
    child.stdout?.on('data', (chunk: Buffer) => {
      this.#piped += chunk.toString();
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    this.#child = child;
  }

  get state(): string {
    return stateOf(this.#child);
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
    return gone(this.#child, signal);
  }

  /** Every line so far; throws when one is torn. */
  shown(): readonly ShownMessage[] {
    const text = this.#into === 'file' ? readFileSync(this.file, 'utf8') : this.#piped;
    const lines = text.split('\n');
    lines.pop();
    return lines.map((line) => JSON.parse(line));
  }
}

function stateOf(child: ChildProcess | undefined): string {
  return `exit ${child?.exitCode}, signal ${child?.signalCode}`;
}

async function gone(
  child: ChildProcess | undefined,
  signal: NodeJS.Signals,
): Promise<number | null> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) {
    return child?.exitCode ?? null;
  }
  const exit = new Promise<number | null>((resolve) => child.on('close', resolve));
  child.kill(signal);
  return exit;
}
