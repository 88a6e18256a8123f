/**
 * `qasid demo`: a private relay, two people, a post-quantum message each way, and what the relay has of it.
 *
 * Everything is done by real processes running the very commands shown, so that what works here works for
 * whoever types them. What the relay holds is read from its files, not asked from it.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Context } from '../context.js';
import { CliError, EXIT, type ExitCode } from '../exit-codes.js';
import { inertLine } from '../inert.js';
import { countIn, hexRows, type Occurrences } from '../relay-files.js';
import { pageOn, quoted, type Page } from '../page.js';

/** Run the command. */
export async function demo(
  context: Context,
  options: { readonly once: boolean; readonly data: string | undefined },
): Promise<ExitCode> {
  const page = pageOn(context.output);
  const folder = options.data === undefined ? temporary() : made(resolve(options.data));
  const stage = new Stage(folder, context);
  try {
    await play(stage, page);
    if (options.once) return EXIT.done;
    await invite(stage, page);
    await stage.untilStopped();
    return EXIT.done;
  } finally {
    await stage.close();
    if (options.data === undefined) rmSync(folder, { recursive: true, force: true });
  }
}

/** Message version in which both post-quantum parts are mandatory; spec 11. */
const POST_QUANTUM_VERSION = 4;

const FROM_ALICE = 'salaam Bob, this letter is sealed';
const FROM_BOB = 'wa alaikum salaam Alice, and so is this one';

async function play(stage: Stage, page: Page): Promise<void> {
  await page.title('qasid: a sealed letter, end to end');
  await page.text('Two people and a relay on this machine. Every command below is really run.');

  await page.step('The relay starts');
  await stage.startRelay(page);

  await page.step('Alice and Bob make their identities');
  for (const name of ['alice', 'bob']) {
    await stage.run(page, name, ['register', name, '--relay', stage.relay, '--no-passphrase']);
  }

  await page.step('Alice writes to Bob');
  const first = await letter(stage, page, 'alice', 'bob', FROM_ALICE);

  await page.step('Bob answers');
  const second = await letter(stage, page, 'bob', 'alice', FROM_BOB);

  await page.step('What was checked');
  await checkForm(page, first, second);
  await checkRelay(stage, page);
}

/** One message from `from` to `to`, with a look at the relay while it lies there. */
async function letter(
  stage: Stage,
  page: Page,
  from: string,
  to: string,
  text: string,
): Promise<Uint8Array> {
  await stage.run(page, from, ['send', to, text]);
  const letters = await stage.heldByRelay(1);
  const held = letters[0];
  if (held === undefined || letters.length > 1) {
    throw new CliError(EXIT.failed, `the relay holds ${letters.length} letters, not one`);
  }
  const bytes = new TextEncoder().encode(text).length;
  await page.text(
    `The relay stores one envelope of ${held.length} bytes for ${bytes} bytes of text:`,
  );
  for (const row of hexRows(held, page.columns, 3)) await page.sample(row);
  const shown = await stage.run(page, to, ['receive']);
  if (shown !== `${from}: ${text}`) {
    throw new CliError(EXIT.failed, `${to} saw another text than ${from} wrote`);
  }
  await page.answer(shown);
  return held;
}

/** Version 4 messages exist in the post-quantum form only; the version byte is not secret. */
async function checkForm(page: Page, first: Uint8Array, second: Uint8Array): Promise<void> {
  const { decodeEnvelope } = await import('@qasid/protocol/envelope');
  const [opening, answer] = [decodeEnvelope(first), decodeEnvelope(second)];
  const versions = [opening, answer].map(({ message }) => (message[0] ?? 0) >> 4);
  const isPostQuantum = versions.every((version) => version === POST_QUANTUM_VERSION);
  if (!isPostQuantum || opening.type !== 3 || answer.type !== 2) {
    throw new CliError(EXIT.notVerified, 'the letters are not of the post-quantum form');
  }
  await page.check(
    'the first letter brings a PQXDH handshake with Kyber1024, and both are sealed by the ' +
      'post-quantum Triple Ratchet (message version 4)',
  );
}

/** The claim of the whole project, checked on the relay's own files. */
async function checkRelay(stage: Stage, page: Page): Promise<void> {
  for (const text of [FROM_ALICE, FROM_BOB]) {
    const found = stage.searchRelay(text);
    if (found.times > 0) {
      throw new CliError(EXIT.notVerified, `the relay's files hold the text "${text}"`);
    }
    const size = `${found.files} files, ${Math.ceil(found.bytes / 1024)} KiB`;
    await page.check(`"${text}" is nowhere in the relay's files (${size})`);
  }
  // The search itself must be able to find something, or the two lines above mean nothing.
  const control = stage.searchRelay('alice');
  if (control.times === 0) throw new CliError(EXIT.failed, 'the search of the files does not work');
  await page.check(`the same search finds the username "alice", which a relay does know`);
  if ((await stage.heldByRelay(0)).length > 0) {
    throw new CliError(EXIT.failed, 'the relay kept a letter that was received');
  }
  await page.check('the relay deleted both letters once they were received');
  const numbers = await stage.safetyNumbers();
  if (numbers[0] !== numbers[1]) throw new CliError(EXIT.notVerified, 'the safety numbers differ');
  await page.check('Alice and Bob have the same safety number: nobody is in between');
}

/** What to try next, ready to copy. */
async function invite(stage: Stage, page: Page): Promise<void> {
  await page.step('Now you');
  await page.text('The relay runs on. In a second terminal, Bob listens:');
  const program = [process.execPath, MAIN].map(quoted).join(' ');
  const here = [`alias qasid=${quoted(program)}`, `export QASID_HOME=${quoted(stage.home)}`];
  await page.copy([...here, 'qasid --profile bob receive --follow']);
  await page.text('In a third, Alice writes:');
  await page.copy([
    ...here,
    "qasid --profile alice send bob 'hello'",
    'qasid --profile alice send bob --lines',
    'qasid --profile alice safety-number bob',
    'qasid --profile alice history',
    'qasid relay show',
  ]);
  await page.text('Ctrl-C ends the demonstration.');
}

/** The processes of one demonstration, all in one folder. */
class Stage {
  readonly home: string;
  readonly #context: Context;
  #relay: ChildProcess | undefined;
  #address = '';

  constructor(home: string, context: Context) {
    this.home = home;
    this.#context = context;
  }

  get relay(): string {
    return this.#address;
  }

  async startRelay(page: Page): Promise<void> {
    const args = ['relay', 'start', '--listen', '127.0.0.1:0'];
    await page.command('qasid', args);
    const child = spawn(process.execPath, [MAIN, ...args], {
      env: this.#environment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#relay = child;
    let complaint = '';
    child.stderr.on('data', (chunk: Uint8Array) => {
      complaint += decode(chunk);
    });
    this.#address = await new Promise<string>((done, fail) => {
      let seen = '';
      child.stdout.on('data', (chunk: Uint8Array) => {
        seen += decode(chunk);
        if (seen.includes('\n')) done(seen.slice(0, seen.indexOf('\n')));
      });
      child.once('exit', () => fail(childFailed('the relay', complaint)));
    });
    await page.answer(this.#address);
  }

  /** Run a command as a person would, and give back what it printed as data. */
  async run(page: Page, profile: string, args: readonly string[]): Promise<string> {
    const all = ['--profile', profile, ...args];
    await page.command('qasid', all);
    return this.#run(all);
  }

  /** Ciphertexts that lie at the relay now. */
  /** The envelopes in the relay's files, after waiting a while for there to be `expected`. */
  async heldByRelay(expected: number): Promise<readonly Uint8Array[]> {
    const { storedEnvelopes } = await import('@qasid/relay');
    // An acknowledgement is not answered, so the reader is gone before the relay has deleted.
    for (let tries = 0; ; tries++) {
      const held = (storedEnvelopes(this.#data) ?? []).map(({ body }) => body);
      if (held.length === expected || tries === 200) return held;
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  searchRelay(text: string): Occurrences {
    return countIn(this.#data, text);
  }

  async safetyNumbers(): Promise<readonly string[]> {
    const numbers: string[] = [];
    for (const [me, other] of [['alice', 'bob'] as const, ['bob', 'alice'] as const]) {
      numbers.push(await this.#run(['--profile', me, 'safety-number', other]));
    }
    return numbers;
  }

  /** Until Ctrl-C; fails when the relay ends by itself. */
  untilStopped(): Promise<void> {
    return new Promise((done, fail) => {
      if (this.#context.stop.aborted) done();
      this.#context.stop.addEventListener('abort', () => done());
      this.#relay?.once('exit', () => {
        // Ctrl-C reaches the relay too, perhaps before us.
        setTimeout(() => fail(childFailed('the relay', '')), 500).unref();
        if (this.#context.stop.aborted) done();
      });
    });
  }

  async close(): Promise<void> {
    const child = this.#relay;
    this.#relay = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((done) => child.once('exit', () => done()));
    child.kill('SIGTERM');
    const impatient = setTimeout(() => child.kill('SIGKILL'), 5_000);
    await gone;
    clearTimeout(impatient);
  }

  get #data(): string {
    return join(this.home, 'relay');
  }

  #environment(): NodeJS.ProcessEnv {
    return { ...process.env, QASID_HOME: this.home };
  }

  #run(args: readonly string[]): Promise<string> {
    const child = spawn(process.execPath, [MAIN, ...args], {
      env: this.#environment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Uint8Array) => {
      stdout += decode(chunk);
    });
    child.stderr.on('data', (chunk: Uint8Array) => {
      stderr += decode(chunk);
    });
    return new Promise((done, fail) => {
      child.once('close', (code) => {
        if (code === 0) done(stdout.replace(/\n$/, ''));
        else fail(childFailed(`qasid ${args.join(' ')}`, stderr));
      });
    });
  }
}

function childFailed(what: string, stderr: string): CliError {
  const line = stderr.split('\n').find((text) => text.startsWith('qasid: error: '));
  const reason = line?.slice('qasid: error: '.length) ?? 'it ended';
  return new CliError(EXIT.failed, `${what}: ${inertLine(reason)}`);
}

function temporary(): string {
  return mkdtempSync(join(tmpdir(), 'qasid-demo-'));
}

function made(folder: string): string {
  if (existsSync(join(folder, 'profiles'))) {
    throw new CliError(EXIT.failed, 'there are profiles in this folder already', [
      'the demonstration needs a folder of its own: name a new one',
    ]);
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

function decode(chunk: Uint8Array): string {
  return new TextDecoder().decode(chunk);
}

const MAIN = fileURLToPath(new URL('../main.js', import.meta.url));
