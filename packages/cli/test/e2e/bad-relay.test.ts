/** What goes wrong at the relay's end: one clear line for its operator, and nothing lost for its users. */
import { spawn } from 'node:child_process';
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import t from 'tap';

import {
  environment,
  type Finished,
  freePort,
  MAIN,
  qasid,
  RelayProcess,
  temporaryFolder,
} from '../support/processes.js';

t.setTimeout(600_000);

function started(home: string, relay: RelayProcess): Promise<Finished> {
  const listen = ['--listen', `127.0.0.1:${relay.port}`, '--data', relay.data];
  return qasid(home, ['relay', 'start', ...listen], { limitMs: 20_000 });
}

t.test('a damaged or occupied data folder', async (t) => {
  const home = temporaryFolder(t.teardown);
  const relay = new RelayProcess(home, join(home, 'relay-data'), await freePort());
  t.teardown(() => relay.stop('SIGKILL'));
  await relay.start();
  const other = new RelayProcess(home, relay.data, await freePort());
  const occupied = await started(home, other);
  t.equal(occupied.code, 1);
  t.match(
    occupied.stderr,
    /^qasid: error: another relay uses this data directory\nqasid: hint: .+\n$/,
  );
  t.equal(await relay.stop('SIGTERM'), 0, 'it ends cleanly on SIGTERM');

  const file = join(relay.data, 'relay.db');
  const bytes = readFileSync(file);
  const damage: Record<string, Buffer> = {
    'not a database': Buffer.from('hello'.repeat(2_000)),
    truncated: bytes.subarray(0, 4096 * 3),
    rubbish: Buffer.concat([
      bytes.subarray(0, 4096),
      Buffer.alloc(8192, 0xa5),
      bytes.subarray(12288),
    ]),
  };
  copyFileSync(file, `${file}.good`);
  for (const [what, content] of Object.entries(damage)) {
    for (const suffix of ['-wal', '-shm']) rmSync(`${file}${suffix}`, { force: true });
    writeFileSync(file, content);
    const done = await started(home, relay);
    t.equal(done.code, 1, `${what}: exit code`);
    t.match(done.stderr, /^qasid: error: the database is damaged\nqasid: hint: .+\n$/, what);
  }
  for (const suffix of ['-wal', '-shm']) rmSync(`${file}${suffix}`, { force: true });
  copyFileSync(`${file}.good`, file);
  await relay.start();
  t.pass('with the backup it starts again');
});

t.test('the disk of the relay is full: senders keep what it did not confirm', async (t) => {
  const home = temporaryFolder(t.teardown);
  const relay = new RelayProcess(home, join(home, 'relay-data'), await freePort());
  t.teardown(() => relay.stop('SIGKILL'));
  await relay.start();
  for (const name of ['alice', 'bob']) {
    const args = ['--profile', name, 'register', name, '--relay', relay.url, '--no-passphrase'];
    t.equal((await qasid(home, args)).code, 0, `${name} is registered`);
  }
  await relay.stop('SIGTERM');

  // A file size limit stands for the full disk: it may hold the accounts, and a few messages.
  const command = `ulimit -f 600; exec '${process.execPath}' '${MAIN}' relay start "$@"`;
  const address = ['--listen', `127.0.0.1:${relay.port}`, '--data', relay.data];
  const full = spawn('bash', ['-c', command, 'bash', ...address], {
    env: environment(home),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.teardown(() => full.kill('SIGKILL'));
  let said = '';
  full.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  await new Promise((resolve) => full.stdout.once('data', resolve));

  const confirmed: string[] = [];
  const sent: string[] = [];
  let refusal: Finished | undefined;
  for (let n = 0; n < 40 && refusal === undefined; n++) {
    const word = `${n}`.padStart(2, '0');
    sent.push(word);
    const text = `${word} ${'z'.repeat(50_000)}`;
    const done = await qasid(home, ['--profile', 'alice', '--timeout', '10', 'send', 'bob', text]);
    if (done.code === 0) confirmed.push(word);
    else refusal = done;
  }
  t.ok(confirmed.length > 0, `${confirmed.length} were confirmed before it was full`);
  t.equal(refusal?.code, 4, refusal?.stderr ?? 'it never was full');
  t.match(
    refusal?.stderr ?? '',
    /^qasid: error: .+\nqasid: hint: the message stays in the outbox.+\n$/,
  );
  t.comment(`the relay said: ${said}`);
  const lines = said.trimEnd().split('\n');
  t.ok(
    lines.every((line) => line.startsWith('qasid: ')),
    'the relay speaks as the program does',
  );
  t.match(said, /qasid: error: the store failed in the middle of a commit\nqasid: hint: /);
  full.kill('SIGKILL');

  await relay.start(); // with room again
  const last = await qasid(home, ['--profile', 'alice', 'send', 'bob', 'zz room again']);
  t.equal(last.code, 0, 'there is room again');
  const { stdout } = await qasid(home, ['--profile', 'bob', 'receive']);
  const got = stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.slice(7, 9));
  t.same(got, [...sent, 'zz'], 'all of them, once, in order');
});
