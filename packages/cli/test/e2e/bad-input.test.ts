/**
 * Damage and wrong circumstances that a shell cannot bring about alone: one clear line, the documented exit
 * code, and afterwards everything goes on where it was.
 */
import { spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';

import t from 'tap';

import { countIn } from '#src/relay-files.js';
import {
  CLOCK_HOOK,
  environment,
  type Finished,
  freePort,
  MAIN,
  qasid,
  RelayProcess,
  shell,
  temporaryFolder,
} from '../support/processes.js';

t.setTimeout(600_000);

/** One error line, at most two hints, and the exit code; nothing on stdout. */
function refused(t: Tap, done: Finished, code: number, error: RegExp, what: string): void {
  const lines = done.stderr.trimEnd().split('\n');
  const errors = lines.filter((line) => line.startsWith('qasid: error: '));
  t.equal(errors.length, 1, `${what}: one error line in ${JSON.stringify(done.stderr)}`);
  t.match(errors[0] ?? '', error, `${what}: it says what is wrong`);
  t.ok(
    lines.every((line) => line.startsWith('qasid: ')),
    `${what}: no stack, no other noise`,
  );
  t.equal(done.code, code, `${what}: exit code`);
}

type Tap = {
  equal(a: unknown, b: unknown, m: string): unknown;
  match(a: unknown, b: unknown, m: string): unknown;
  ok(a: unknown, m: string): unknown;
};

/** A relay and two people who have exchanged a message each way. */
async function scene(t: Tap & { teardown(clean: () => unknown): void }) {
  const home = temporaryFolder(t.teardown);
  const relay = new RelayProcess(home, join(home, 'relay-data'), await freePort());
  t.teardown(() => relay.stop('SIGKILL'));
  await relay.start();
  const as = (name: string, args: readonly string[], o = {}): Promise<Finished> =>
    qasid(home, ['--profile', name, ...args], o);
  for (const name of ['alice', 'bob']) {
    await as(name, ['register', name, '--relay', relay.url, '--no-passphrase']);
  }
  /** Send, receive, compare; proves that nothing was lost before. */
  const talk = async (from: string, to: string, text: string): Promise<void> => {
    t.equal((await as(from, ['send', to, text])).code, 0, `${from} sends "${text}"`);
    const got = await as(to, ['receive']);
    t.equal(got.stdout, `${from}: ${text}\n`, `${to} receives it, and only it`);
  };
  await talk('alice', 'bob', 'first');
  await talk('bob', 'alice', 'first answer');
  const folder = (name: string): string => join(home, 'qasid', 'profiles', name);
  return { home, relay, as, talk, folder };
}

t.test('a damaged database is named, left alone, and a backup goes on', async (t) => {
  const { as, talk, folder } = await scene(t);
  const original = join(folder('alice'), 'store.sqlite');
  for (const suffix of ['-wal', '-shm']) {
    t.notOk(readdirSync(folder('alice')).includes(`store.sqlite${suffix}`), 'closed cleanly');
  }
  copyFileSync(original, `${original}.backup`);
  const bytes = readFileSync(original);
  const damage: Record<string, (copy: Buffer) => Buffer> = {
    'not a database': () => Buffer.from('hello, I am not a database'.repeat(200)),
    'a header of zeros': (copy) => copy.fill(0, 0, 100),
    'truncated in the middle': (copy) => copy.subarray(0, Math.floor(copy.length / 8192) * 4096),
    'pages of rubbish': (copy) => copy.fill(0xa5, 4096, 4096 * 3),
  };
  for (const [what, change] of Object.entries(damage)) {
    const damaged = change(Buffer.from(bytes));
    writeFileSync(original, damaged);
    refused(t, await as('alice', ['send', 'bob', 'x']), 1, /damaged/, what);
    t.ok(readFileSync(original).equals(damaged), `${what}: the file is as it was`);
  }
  copyFileSync(`${original}.backup`, original);
  await talk('alice', 'bob', 'back again');
});

t.test('damaged settings and a damaged record of shown messages', async (t) => {
  const { as, talk, folder } = await scene(t);
  const settings = join(folder('bob'), 'profile.json');
  const good = readFileSync(settings);
  for (const text of ['', '{', 'null', '{"version":2}', '{"version":1,"relay":7}']) {
    writeFileSync(settings, text);
    refused(t, await as('bob', ['receive']), 1, /profile bob is damaged/, `settings ${text}`);
  }
  writeFileSync(settings, good);
  const record = join(folder('bob'), 'shown.log');
  const before = readFileSync(record);
  writeFileSync(record, 'nonsense\n');
  refused(t, await as('bob', ['receive']), 1, /record of shown messages is damaged/, 'record');
  writeFileSync(record, before);
  appendFileSync(record, 'intent 99 1'); // torn by a crash: no end of line
  await talk('alice', 'bob', 'all well');
});

t.test('a full disk: nothing half done, and all is well once there is space', async (t) => {
  const { home, as, talk } = await scene(t);
  // A file size limit is the full disk that needs no root; the database cannot grow beyond it.
  const confirmed: string[] = [];
  const filler = 'y'.repeat(20_000);
  const text = `last ${filler}`;
  for (const blocks of [1, 40, 120, 200]) {
    const command = `qasid --profile alice --timeout 10 send bob '${blocks} ${filler}'`;
    const done = await shell(home, `ulimit -f ${blocks}; ${command}`);
    if (done.code === 0) confirmed.push(`${blocks}`);
    else refused(t, done, 1, /no space left|cannot be used|cannot write/, `send at ${blocks} KiB`);
  }
  // One that was refused may still have got out before the disk was full, or go now: but only once.
  t.equal((await as('alice', ['send', 'bob', 'room again'])).code, 0, 'alice has room again');
  const got = (await as('bob', ['receive'])).stdout.split('\n').map((line) => line.slice(7, 17));
  const arrived = got.map((line) => line.replace(/ y.*/, '')).slice(0, -1);
  t.ok(
    confirmed.every((word) => arrived.includes(word)),
    `${confirmed} among ${arrived}`,
  );
  t.equal(new Set(arrived).size, arrived.length, 'nothing twice');
  t.equal(arrived.at(-1), 'room again', 'and the next one is the last');

  // The reader's side: the message stays at the relay until there is room for it.
  t.equal((await as('alice', ['send', 'bob', text])).code, 0, 'one more');
  const full = await shell(home, 'ulimit -f 1; qasid --profile bob --timeout 10 receive > out.txt');
  refused(t, full, 1, /no space left|cannot be used|cannot write/, 'receive without room');
  const later = await as('bob', ['receive']);
  t.equal(later.stdout, `alice: ${text}\n`, 'shown when there is room');
  await talk('bob', 'alice', 'after the flood');
  await talk('alice', 'bob', 'same here');
});

t.test('output that is cut short is completed in the same file, not repeated', async (t) => {
  const { home, as } = await scene(t);
  const text = 'z'.repeat(3_000);
  for (const word of ['one', 'two']) {
    t.equal((await as('alice', ['send', 'bob', `${word} ${text}`])).code, 0, word);
  }
  // Room for the database (it is small) but not for the whole line in the output file.
  const script = (limit: string): string =>
    `${limit} qasid --profile bob --timeout 20 receive >> out.txt`;
  writeFileSync(join(home, 'out.txt'), `${'#'.repeat(1_047_000)}\n`);
  const cut = await shell(home, script('ulimit -f 1024;'));
  refused(t, cut, 1, /no space left|file size limit/, 'output file full');
  const size = statSync(join(home, 'out.txt')).size;
  t.equal(size, 1_048_576, 'a part of the line is in the file');
  t.equal((await shell(home, script(''))).code, 0, 'with room it goes on');
  const lines = readFileSync(join(home, 'out.txt'), 'utf8').split('\n');
  t.same(lines.slice(1), [`alice: one ${text}`, `alice: two ${text}`, ''], 'each line once, whole');
});

t.test('a folder that cannot be used', async (t) => {
  const home = temporaryFolder(t.teardown);
  writeFileSync(join(home, 'file'), '');
  const env = { QASID_HOME: join(home, 'file', 'below') };
  const args = ['register', 'alice', '--relay', 'ws://127.0.0.1:9', '--no-passphrase'];
  refused(t, await qasid(home, args, { env }), 1, /cannot (read|write) the profile folder/, 'home');
  refused(t, await qasid(home, ['status'], { env }), 1, /cannot read the profile folder/, 'status');
  const listen = ['relay', 'start', '--listen', '127.0.0.1:0', '--data', join(home, 'file', 'x')];
  const relay = await qasid(home, listen, { limitMs: 20_000 });
  refused(t, relay, 1, /./, 'relay folder');
  // Root may write anywhere, so permissions can only be tried as somebody else.
  if (process.getuid?.() === 0) {
    mkdirSync(join(home, 'closed'), { mode: 0o700 });
    const nobody = spawnSync('setpriv', ['--reuid=65534', '--clear-groups', 'true']);
    if (nobody.status !== 0) return;
    const done = await shell(
      home,
      `chmod 755 . && qasid() { setpriv --reuid=65534 --clear-groups "$NODE" "$MAIN" "$@"; }
       QASID_HOME="$PWD/closed/q" qasid status`,
      { env: { NODE: process.execPath, MAIN } },
    );
    // Where the program itself lies out of reach of others, this says nothing.
    if (/qasid: /.test(done.stderr)) {
      refused(t, done, 1, /permission denied/, 'permissions');
    }
  }
});

t.test('what answers is no relay', async (t) => {
  const home = temporaryFolder(t.teardown);
  const http = createHttpServer((_request, response) => response.end('hello'));
  const rude = createServer((socket) => {
    socket.on('error', () => {});
    socket.end('220 mail.example ESMTP\r\n');
  });
  const silent = createServer((socket) => socket.on('error', () => {}));
  for (const [what, server] of Object.entries({ http, rude, silent })) {
    await new Promise<void>((resolve) => (server as Server).listen(0, '127.0.0.1', resolve));
    t.teardown(() => server.close());
    const { port } = server.address() as AddressInfo;
    const args = ['register', 'alice', '--relay', `ws://127.0.0.1:${port}`, '--no-passphrase'];
    const done = await qasid(home, ['--timeout', '3', ...args]);
    refused(t, done, 4, /relay/, what);
    t.ok(!/cannot be reached/.test(done.stderr) || what !== 'http', `${what}: it says so`);
  }
});

t.test('a clock that is wrong by a day harms nothing', async (t) => {
  const { as, talk } = await scene(t);
  const day = 24 * 60 * 60 * 1_000;
  for (const offset of [day, -day]) {
    const o = { node: ['--import', CLOCK_HOOK], env: { QASID_TEST_CLOCK_OFFSET_MS: `${offset}` } };
    const sent = await as('alice', ['send', 'bob', `at ${offset}`], o);
    t.equal(sent.code, 0, `sending at ${offset}`);
    t.equal((await as('bob', ['receive'])).stdout, `alice: at ${offset}\n`, 'read on time');
    t.equal((await as('bob', ['send', 'alice', `to ${offset}`])).code, 0, 'answered');
    t.equal((await as('alice', ['receive'], o)).stdout, `bob: to ${offset}\n`, `read at ${offset}`);
    t.match(sent.stderr, /hint: the clock of this computer/, 'the sender is told');
  }
  await talk('alice', 'bob', 'back on time');
});

t.test('ATK-A11 a passphrase is in no argument, environment, output or file', async (t) => {
  const home = temporaryFolder(t.teardown);
  const relay = new RelayProcess(home, join(home, 'relay-data'), await freePort());
  t.teardown(() => relay.stop('SIGKILL'));
  await relay.start();
  const secret = 'pomegranate-Zugspitze-7431';
  const wrong = 'not-the-right-one-2210';
  writeFileSync(join(home, 'good'), `${secret}\n`, { mode: 0o600 });
  writeFileSync(join(home, 'bad'), `${wrong}\n`, { mode: 0o600 });
  const env = { QASID_DEBUG: '1' };
  const as = (file: string, args: readonly string[]): Promise<Finished> =>
    qasid(home, ['--profile', 'alice', '--passphrase-file', join(home, file), ...args], { env });
  const said: Finished[] = [
    await as('good', ['register', 'alice', '--relay', relay.url]),
    await as('bad', ['status']),
    await as('good', ['status', '--json']),
    await as('good', ['send', 'nobody', 'x']),
    await as('good', ['register', 'bob', '--relay', relay.url]),
    // Someone tries it the wrong way: it is refused, and not repeated for everyone to read.
    await qasid(home, ['--passphrase', secret, 'status'], { env }),
    await qasid(home, [`--passphrase=${secret}`, 'status'], { env }),
  ];
  t.same(
    said.map(({ code }) => code),
    [0, 1, 0, 1, 1, 2, 2],
  );
  for (const { stdout, stderr } of said) {
    t.notOk(`${stdout}${stderr}`.includes(secret), `not in ${JSON.stringify(stderr.slice(0, 80))}`);
    t.notOk(`${stdout}${stderr}`.includes(wrong), 'nor the wrong one');
  }
  t.equal(countIn(join(home, 'qasid'), secret).times, 0, 'in no file of the profile');
  t.equal(countIn(join(home, 'qasid'), wrong).times, 0);

  if (!existsSync('/proc/self/cmdline')) return;
  const follow = spawn(
    process.execPath,
    [MAIN, '--profile', 'alice', '--passphrase-file', 'good', 'receive', '--follow'],
    { cwd: home, env: environment(home), stdio: 'ignore' },
  );
  t.teardown(() => follow.kill('SIGKILL'));
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  for (const file of ['cmdline', 'environ']) {
    const text = readFileSync(`/proc/${follow.pid}/${file}`, 'latin1');
    t.ok(text.length > 0 && !text.includes(secret), `not in ${file} of a running process`);
  }
});
