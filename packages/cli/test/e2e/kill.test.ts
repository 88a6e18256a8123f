/**
 * `kill -9` of the relay, both senders and the receiver at random points, again and again: nothing
 * confirmed is lost, nothing is shown twice, the order of each sender holds.
 *
 * QASID_KILL_ROUNDS rounds (100), seed QASID_KILL_SEED (printed). The receiver writes to a regular file,
 * so every line in it must be whole, and no message may need a hint.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

import t from 'tap';

import { seededRandom } from '../support/random.js';
import {
  environment,
  freePort,
  MAIN,
  qasid,
  RelayProcess,
  temporaryFolder,
} from '../support/processes.js';

t.setTimeout(0);

const rounds = Number(process.env.QASID_KILL_ROUNDS ?? '100');
const seed = Number(process.env.QASID_KILL_SEED ?? Math.floor(Math.random() * 2 ** 31));
const random = seededRandom(seed);
const below = (limit: number): number => Math.floor(random() * limit);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Lines typed and not confirmed yet, per sender. */
const WINDOW = 4;

/** Pause before the next line; the relay's quota is a burst of 120 sends and 2 per second after that. */
const PACE_MS = 500;

/** Types numbered lines into `qasid send bob --lines`, never the same one twice, and notes the answers. */
class Sender {
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

/** `qasid receive --follow` appending to a file. */
class Receiver {
  readonly name = 'bob';
  readonly file: string;
  readonly #home: string;
  #child: ChildProcess | undefined;
  stderr = '';

  constructor(home: string) {
    this.#home = home;
    this.file = `${home}/shown.jsonl`;
  }

  start(): void {
    const out = openSync(this.file, 'a');
    const child = spawn(
      process.execPath,
      [MAIN, '--profile', 'bob', 'receive', '--follow', '--json'],
      { env: environment(this.#home), stdio: ['ignore', out, 'pipe'] },
    );
    closeSync(out);
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

  /** Every line of the file; throws when one is torn. */
  shown(): readonly { id: string; seq: number; from: string; text: string }[] {
    const lines = readFileSync(this.file, 'utf8').split('\n');
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
  const exit = new Promise<number | null>((resolve) => child.on('exit', resolve));
  child.kill(signal);
  return exit;
}

async function until(what: string, limitMs: number, holds: () => boolean): Promise<void> {
  const end = performance.now() + limitMs;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`waited ${limitMs} ms until ${what}`);
    await pause(50);
  }
}

t.test(`${rounds} rounds of kill -9, QASID_KILL_SEED=${seed}`, { timeout: 0 }, async (t) => {
  const home = temporaryFolder(t.teardown);
  const relay = new RelayProcess(home, `${home}/relay-data`, await freePort());
  const senders = [new Sender(home, 'alice'), new Sender(home, 'carol')] as const;
  const receiver = new Receiver(home);
  t.teardown(async () => {
    await Promise.all([relay.stop('SIGKILL'), receiver.kill(), ...senders.map((s) => s.kill())]);
  });

  await relay.start();
  for (const name of ['alice', 'carol', 'bob']) {
    const args = ['--profile', name, 'register', name, '--relay', relay.url, '--no-passphrase'];
    t.equal((await qasid(home, args)).code, 0, `${name} is registered`);
  }
  receiver.start();
  for (const sender of senders) sender.start();

  const kills: Record<string, number> = {};
  const progress = (): number => senders.reduce((sum, s) => sum + s.confirmed.size, 0);
  let before = 0;
  for (let round = 1; round <= rounds; round++) {
    // Short waits hit a start-up, long ones a process at work.
    await pause(below(3) === 0 ? below(150) : 300 + below(900));
    const victim = ['relay', 'alice', 'carol', 'bob'][below(4)] ?? 'relay';
    kills[victim] = (kills[victim] ?? 0) + 1;
    const sender = senders.find((s) => s.name === victim);
    if (sender !== undefined) {
      await sender.kill();
      sender.start();
    } else if (victim === 'bob') {
      await receiver.kill();
      receiver.start();
    } else {
      await relay.stop('SIGKILL');
      relay.start().catch(() => {}); // killed again before it was ready
    }
    if (round % 10 === 0) {
      const what = `something is confirmed after round ${round}`;
      await until(what, 30_000, () => progress() > before).catch((error: unknown) => {
        t.comment(`relay ${relay.state}: ${relay.stderr.slice(-2_000)}`);
        for (const { name, state, stderr } of [...senders, receiver]) {
          t.comment(`${name} ${state}: ${stderr.slice(-2_000)}`);
        }
        throw error;
      });
      before = progress();
    }
  }
  t.comment(`kills: ${JSON.stringify(kills)}`);

  for (const sender of senders) {
    t.equal(await sender.end(), 0, `${sender.name} ends with everything confirmed`);
    const status = await qasid(home, ['--profile', sender.name, 'status', '--json']);
    t.equal(JSON.parse(status.stdout).outbox, 0, `the outbox of ${sender.name} is empty`);
  }
  const queued = new Set(senders.flatMap((s) => [...s.queued]));
  const texts = (): string[] => receiver.shown().map((message) => message.text);
  await until('every accepted message is shown', 30_000, () => {
    const now = new Set(texts());
    return [...queued].every((text) => now.has(text));
  }).catch((error: unknown) => t.comment(String(error)));
  t.equal(await receiver.kill('SIGTERM'), 0, 'the receiver ends cleanly');

  const shown = texts();
  const known = new Set(shown);
  const missing = (set: ReadonlySet<string>): string[] => [...set].filter((x) => !known.has(x));
  t.comment(`typed ${senders.reduce((sum, s) => sum + s.written.size, 0)}, shown ${shown.length}`);
  t.ok(progress() > rounds, `enough was confirmed to mean something: ${progress()}`);
  for (const sender of senders) {
    t.same(missing(sender.confirmed), [], `nothing confirmed to ${sender.name} is lost`);
    t.same(missing(sender.queued), [], `nothing accepted from ${sender.name} is lost`);
    const mine = receiver.shown().filter((message) => message.from === sender.name);
    const sorted = mine.map((message) => message.text).sort();
    t.same(
      mine.map((message) => message.text),
      sorted,
      `the order of ${sender.name} holds`,
    );
    t.ok(
      mine.every((message) => sender.written.has(message.text)),
      'nothing is invented',
    );
  }
  t.equal(known.size, shown.length, 'nothing is shown twice');
  t.equal(new Set(receiver.shown().map((message) => message.id)).size, shown.length, 'ids too');
  t.notMatch(receiver.stderr, /error|hint/, 'the receiver never doubted');
});
