/** What a visitor sees first: `npm start`, and the commands it invites them to try. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import t from 'tap';

import { inertLine } from '#src/inert.js';
import { countIn, hexRows } from '#src/relay-files.js';
import { wrap } from '#src/page.js';
import { environment, MAIN, qasid, temporaryFolder } from '../support/processes.js';

t.setTimeout(600_000);

const start = fileURLToPath(new URL('../../../../scripts/start.mjs', import.meta.url));

function startScript(home: string, args: readonly string[], program = start): ChildProcess {
  return spawn(process.execPath, [program, ...args], {
    env: environment(home, { TMPDIR: home }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function until(holds: () => boolean, limitMs: number): Promise<boolean> {
  const end = performance.now() + limitMs;
  while (!holds() && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return holds();
}

t.test('npm start -- --once shows everything and ends', async (t) => {
  const home = temporaryFolder(t.teardown);
  const child = startScript(home, ['--once']);
  let text = '';
  let complaints = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    complaints += chunk.toString();
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  t.equal(code, 0, complaints);
  t.equal(complaints, '', 'stderr is quiet');
  t.match(text, /> alice: salaam Bob, this letter is sealed\n/);
  t.match(text, /> bob: wa alaikum salaam Alice, and so is this one\n/);
  t.equal(text.match(/^ {3}ok {2}/gm)?.length, 6, 'six things were checked');
  t.equal(text.match(/^ {5}([0-9a-f]{2} ?)+$/gm)?.length, 6, 'ciphertext is shown');
  t.match(text, /one envelope of 4096 bytes/, 'the handshake is in the first one');
  t.match(text, /one envelope of 512 bytes/);
  for (const line of text.split('\n')) t.ok(line.length <= 80, 'no line is longer than 80');
  t.equal(inertLine(text.replaceAll('\n', '')), text.replaceAll('\n', ''), 'no colours in a pipe');
  t.same(readdirSync(home), [], 'nothing is left behind');
});

t.test('without --once the commands it prints work, and Ctrl-C ends it', async (t) => {
  const home = temporaryFolder(t.teardown);
  // A path with a space: the commands must survive it.
  symlinkSync(join(MAIN, '../../../..'), join(home, 'my copy'));
  const child = startScript(home, [], join(home, 'my copy', 'scripts/start.mjs'));
  t.teardown(() => child.kill('SIGKILL'));
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const ended = new Promise((resolve) => child.on('exit', resolve));
  t.ok(await until(() => text.includes('Ctrl-C ends'), 60_000), 'it invites');

  const blocks = [...text.matchAll(/\n\n((?:[a-z][^\n]*\n)+)\n/g)].map((match) => match[1] ?? '');
  t.equal(blocks.length, 2, 'two terminals');
  const bob = bash(home, blocks[0] ?? '', 'pipe');
  t.teardown(() => bob.stop('SIGKILL'));
  // --lines reads the terminal until Ctrl-D.
  const alice = bash(home, blocks[1] ?? '', 'typed by hand\n');
  t.equal(await alice.ended, 0, alice.text());
  t.match(alice.text(), /(\d{5} ?){4}/, 'a safety number');
  t.match(alice.text(), /\d {2}alice: typed by hand/, 'the history');
  const wanted = 'alice: hello\nalice: typed by hand\n';
  t.ok(await until(() => bob.text().includes(wanted), 20_000), bob.text());

  const relayPort = Number(/ws:\/\/127\.0\.0\.1:(\d+)/.exec(text)?.[1]);
  child.kill('SIGINT');
  child.kill('SIGINT'); // npm passes on what the terminal has sent already
  t.equal(await ended, 0, 'it ends cleanly');
  bob.stop('SIGTERM');
  await bob.ended;
  t.same(
    readdirSync(home).filter((name) => name.startsWith('qasid-demo')),
    [],
    'its folder is gone',
  );
  const args = ['register', 'late', '--relay', `ws://127.0.0.1:${relayPort}`, '--no-passphrase'];
  t.equal((await qasid(home, ['--timeout', '1', ...args])).code, 4, 'and so is the relay');
});

t.test('with --data everything stays', async (t) => {
  const home = temporaryFolder(t.teardown);
  const data = join(home, 'kept');
  t.equal((await qasid(home, ['demo', '--once', '--data', data])).code, 0);
  t.ok(existsSync(join(data, 'relay', 'relay.db')));
  const history = await qasid(home, ['--profile', 'bob', 'history'], { env: { QASID_HOME: data } });
  t.match(history.stdout, /alice: salaam Bob/);
  const again = await qasid(home, ['demo', '--once', '--data', data]);
  t.equal(again.code, 1, 'a second time in the same folder is refused');
  t.match(again.stderr, /^qasid: error: .*\nqasid: hint: /);
});

t.test('the search finds a text in every form, and counts', async (t) => {
  const home = temporaryFolder(t.teardown);
  const { writeFileSync, mkdirSync } = await import('node:fs');
  mkdirSync(join(home, 'deep'));
  const secret = 'sealed letter';
  const forms = [
    Buffer.from(secret),
    Buffer.from(secret, 'utf16le'),
    Buffer.from(Buffer.from(secret).toString('hex')),
    ...[0, 1, 2].map((n) => Buffer.from(Buffer.from('x'.repeat(n) + secret).toString('base64'))),
  ];
  for (const [at, form] of forms.entries()) {
    writeFileSync(join(home, 'deep', 'file'), Buffer.concat([Buffer.alloc(at), form]));
    t.equal(countIn(home, secret).times, 1, `form ${at}`);
  }
  t.equal(countIn(home, 'another text').times, 0);
  t.equal(countIn(home, secret).files, 1);
});

t.test('lines fit narrow terminals', async (t) => {
  t.same(wrap('one two three', 7), ['one two', 'three']);
  t.same(wrap('averylongword in', 5), ['averylongword', 'in']);
  for (const columns of [20, 40, 80, 200]) {
    for (const row of hexRows(new Uint8Array(100), columns, 3)) {
      t.ok(row.length + 5 <= columns, `${columns} columns`);
    }
  }
});

function bash(home: string, script: string, input: string) {
  const child = spawn('bash', ['-O', 'expand_aliases', '-c', `set -e\neval "$0"`, script], {
    env: environment(home),
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
  }
  if (input !== 'pipe') child.stdin.end(input);
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  /** Bash and what runs in it. */
  const stop = (signal: NodeJS.Signals): void => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      process.kill(-child.pid, signal);
    }
  };
  return { stop, ended, text: () => text };
}
