// Two profiles become two devices of one account, as a person would do it; a script types the digits.
import { spawn, type ChildProcess } from 'node:child_process';

import t from 'tap';

import {
  environment,
  freePort,
  MAIN,
  pause,
  qasid,
  RelayProcess,
  temporaryFolder,
} from '../support/processes.js';

t.setTimeout(240_000);

/** A process whose lines are read while it runs. */
class Talking {
  stdout = '';
  stderr = '';
  readonly #child: ChildProcess;
  readonly ended: Promise<number>;

  constructor(home: string, args: readonly string[]) {
    const child = spawn(process.execPath, [MAIN, ...args], {
      env: environment(home),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child = child;
    child.stdout.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    child.stdin.on('error', () => {});
    this.ended = new Promise((resolve) => child.on('close', (code) => resolve(code ?? -1)));
  }

  type(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** Wait for text on stdout. */
  async says(pattern: RegExp): Promise<string> {
    for (let waited = 0; waited < 60_000; waited += 50) {
      const found = pattern.exec(this.stdout)?.[0];
      if (found !== undefined) return found;
      await pause(50);
    }
    throw new Error(`waited in vain for ${pattern}: ${this.stdout} ${this.stderr}`);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

const DIGITS = /^\d{4} \d{4}$/m;

t.test('link, list, rename, remove', async (t) => {
  const home = temporaryFolder(t.teardown);
  const relay = new RelayProcess(home, `${home}/relay-data`, await freePort());
  t.teardown(() => relay.stop('SIGKILL'));
  await relay.start();
  const as = (profile: string, ...args: string[]) =>
    qasid(home, ['--timeout', '30', '--profile', profile, ...args]);
  for (const name of ['alice', 'bob']) {
    await as(name, 'register', name, '--relay', relay.url, '--no-passphrase');
  }
  await as('bob', 'send', 'alice', 'from before');
  await as('alice', 'receive');
  const open = (profile: string, ...args: string[]): Talking => {
    const talking = new Talking(home, ['--timeout', '30', '--profile', profile, 'device', ...args]);
    t.teardown(() => talking.kill());
    return talking;
  };

  // Somebody in between: other digits.
  const first = open('alice', 'link', '--no-qr');
  const wrong = open('wrong', 'join', '--name', 'wrong', '--no-passphrase');
  wrong.type(await first.says(/qasid-link:[\w-]+/));
  await wrong.says(DIGITS);
  wrong.type('0000 0000');
  t.equal(await wrong.ended, 3);
  t.match(wrong.stderr, /not the same digits/);
  t.equal(await first.ended, 3);
  t.match(first.stderr, /wrong \(qasid on linux\) asks to join/);

  const link = open('alice', 'link', '--history', '--history-after', '0');
  const join = open('tablet', 'join', '-', '--name', 'tablet', '--no-passphrase');
  const code = await link.says(/qasid-link:[\w-]+/);
  t.match(link.stdout, /[█▀▄]{8}/, 'a code to scan');
  join.type(code);
  const [here, there] = [await link.says(DIGITS), await join.says(DIGITS)];
  t.equal(here, there);
  link.type(there);
  join.type(here);
  t.strictSame([await link.ended, await join.ended], [0, 0], link.stderr + join.stderr);
  t.match(link.stderr, /device 2 is part of this account: tablet/);
  t.match(join.stderr, /this is device 2 of alice now/);
  t.match((await as('tablet', 'history')).stdout, /bob: from before/);

  await as('bob', 'send', 'alice', 'to both');
  t.match((await as('tablet', 'receive')).stdout, /bob: to both\n$/);
  t.match((await as('alice', 'receive')).stdout, /bob: to both/);

  t.equal((await as('alice', 'device', 'rename', '2', 'kitchen')).code, 0);
  const listed = await as('alice', 'device', 'list');
  t.match(listed.stdout, /^1 {2}-.*\(this one\)\n2 {2}kitchen {2}joined \d{4}-\d\d-\d\d {2}seen/);
  t.equal((await as('alice', 'device', 'rename', '7', 'nobody')).code, 2);

  const removed = await as('alice', 'device', 'remove', '2');
  t.equal(removed.code, 0, removed.stderr);
  const after = await qasid(home, ['--timeout', '5', '--profile', 'tablet', 'receive']);
  t.equal(after.code, 4, after.stderr);

  const invite = await qasid(home, [
    '--profile',
    'x',
    'device',
    'join',
    'qasid-invite:aaaa',
    '--name',
    'x',
  ]);
  t.equal(invite.code, 2, 'ATK-G02 an invite links nothing');
  t.match(invite.stderr, /this is an invite/);
});
