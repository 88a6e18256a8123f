// Several processes on one profile: who connects, who takes over, and that no key is used twice.
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { openNodeClient } from '@qasid/client-sdk/node';
import t, { type Test } from 'tap';

import { tempDirectory } from '../support/temp.js';
import { Inbox, person, testRelay, until } from '../support/world.js';

// Five processes on a busy machine take their time.
t.setTimeout(400_000);
const PATIENCE_MS = 60_000;

const WORKER = fileURLToPath(new URL('../support/worker.js', import.meta.url));

interface Line {
  readonly text?: string;
  readonly seq?: number;
  readonly stored?: string;
  readonly confirmed?: string;
  readonly status?: string;
  readonly ready?: boolean;
  readonly done?: boolean;
  readonly undecryptable?: string;
}

class Worker {
  readonly lines: Line[] = [];
  readonly process: ChildProcess;
  readonly exited: Promise<void>;
  #rest = '';

  constructor(t: Test, relay: string, directory: string, ...args: string[]) {
    this.process = spawn(process.execPath, [WORKER, relay, directory, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.process.stdout?.on('data', (chunk: Buffer) => {
      const parts = (this.#rest + chunk.toString()).split('\n');
      this.#rest = parts.pop() ?? '';
      for (const line of parts) this.lines.push(JSON.parse(line) as Line);
    });
    this.exited = new Promise((resolve) => this.process.once('exit', () => resolve()));
    t.teardown(() => this.process.kill('SIGKILL'));
  }

  has(check: (line: Line) => boolean): boolean {
    return this.lines.some(check);
  }

  values(key: 'text' | 'stored' | 'confirmed' | 'undecryptable'): string[] {
    return this.lines.flatMap((line) => line[key] ?? []);
  }

  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    await this.exited;
  }
}

function numbered(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`);
}

t.test('one listens, another sends: the listener sends for it', async (t) => {
  const relay = await testRelay(t);
  const directory = join(tempDirectory(t), 'bob');
  const alice = await person(t, relay, 'alice');
  const aliceSees = new Inbox(alice);
  await new Worker(t, relay.url, directory, 'register', 'bob').exited;
  const listener = new Worker(t, relay.url, directory, 'receive');
  await until(() => listener.has(({ status }) => status === 'open'), PATIENCE_MS);
  const sender = new Worker(t, relay.url, directory, 'send', 'alice', 'm', '20');
  await sender.exited;
  t.strictSame(sender.values('confirmed'), numbered('m', 20), 'it learns of every confirmation');
  t.notOk(
    sender.has(({ status }) => status === 'open'),
    'it never connected itself',
  );
  await aliceSees.reach(20, PATIENCE_MS);
  t.strictSame(aliceSees.texts, numbered('m', 20));
  await (await alice.send('bob', 'back')).confirmed;
  await until(() => listener.values('text').includes('back'), PATIENCE_MS);
  t.ok(
    listener.lines.filter(({ status }) => status === 'backing-off').length === 0,
    'nobody threw it out',
  );
});

t.test('ATK-C09 two processes and a listener use one session at once', async (t) => {
  const relay = await testRelay(t);
  const directory = join(tempDirectory(t), 'bob');
  const alice = await person(t, relay, 'alice');
  const aliceSees = new Inbox(alice);
  const failures: string[] = [];
  alice.on('undecryptable', ({ cause }) => failures.push(cause));
  await new Worker(t, relay.url, directory, 'register', 'bob').exited;
  const COUNT = 30;
  const listener = new Worker(t, relay.url, directory, 'receive');
  const senders = ['x', 'y'].map(
    (prefix) => new Worker(t, relay.url, directory, 'send', 'alice', prefix, `${COUNT}`),
  );
  const back = (async () => {
    // Answers keep the ratchet turning while both processes encrypt.
    let answered = 0;
    while (answered < 15) {
      await until(() => aliceSees.messages.length > answered * 4, PATIENCE_MS);
      await alice.send('bob', `r${answered++}`);
    }
  })();
  await Promise.all(senders.map(({ exited }) => exited));
  await aliceSees.reach(2 * COUNT, PATIENCE_MS);
  await back;
  t.strictSame(failures, []);
  for (const prefix of ['x', 'y']) {
    t.strictSame(
      aliceSees.texts.filter((text) => text.startsWith(prefix)),
      numbered(prefix, COUNT),
      'each once and in order',
    );
  }
  await until(() => listener.values('text').length === 15, PATIENCE_MS);
  t.strictSame(listener.values('text'), numbered('r', 15));
  t.strictSame(listener.values('undecryptable'), []);
});

t.test('ATK-C09 two processes encrypt for one session at the same moment', async (t) => {
  const relay = await testRelay(t);
  const directory = join(tempDirectory(t), 'bob');
  const alice = await person(t, relay, 'alice');
  const aliceSees = new Inbox(alice);
  const failures: string[] = [];
  alice.on('undecryptable', ({ cause }) => failures.push(cause));
  const before = await openNodeClient({ relay: relay.url, directory });
  await before.register({ username: 'bob' });
  await (await before.send('alice', 'hello')).confirmed;
  await aliceSees.reach(1);
  await before.close();
  // No relay in reach: each process encrypts for itself, from the same moment on.
  const COUNT = 50;
  const go = join(tempDirectory(t), 'go');
  const senders = ['x', 'y'].map(
    (prefix) =>
      new Worker(t, 'ws://127.0.0.1:1', directory, 'store', 'alice', prefix, `${COUNT}`, go),
  );
  await until(
    () => senders.every((sender) => sender.has(({ ready }) => ready === true)),
    PATIENCE_MS,
  );
  writeFileSync(go, '');
  await Promise.all(senders.map(({ exited }) => exited));
  const after = await openNodeClient({ relay: relay.url, directory });
  t.teardown(() => after.close());
  await after.flush({ timeoutMs: PATIENCE_MS });
  await aliceSees.reach(1 + 2 * COUNT, PATIENCE_MS);
  t.strictSame(failures, []);
  const order = aliceSees.texts.slice(1).map((text) => text[0]);
  t.ok(
    order.some((who, index) => index > 0 && who !== order[index - 1]),
    'they did take turns',
  );
  for (const prefix of ['x', 'y']) {
    t.strictSame(
      aliceSees.texts.filter((text) => text.startsWith(prefix)),
      numbered(prefix, COUNT),
      'each once and in order',
    );
  }
});

t.test('kill -9 of the connected process: another takes over, nothing is lost', async (t) => {
  const relay = await testRelay(t);
  const directory = join(tempDirectory(t), 'bob');
  const alice = await person(t, relay, 'alice');
  const aliceSees = new Inbox(alice);
  await new Worker(t, relay.url, directory, 'register', 'bob').exited;
  let owner = new Worker(t, relay.url, directory, 'receive');
  await until(() => owner.has(({ status }) => status === 'open'), PATIENCE_MS);
  const sender = new Worker(t, relay.url, directory, 'send', 'alice', 'm', '30');
  for (let round = 0; round < 3; round++) {
    const goal = (round + 1) * 8;
    await until(
      () => sender.values('confirmed').length >= goal || sender.process.exitCode !== null,
      PATIENCE_MS,
    );
    await owner.kill();
    await (await alice.send('bob', `r${round}`)).confirmed;
    owner = new Worker(t, relay.url, directory, 'receive');
    await until(() => owner.values('text').includes(`r${round}`), PATIENCE_MS);
  }
  await sender.exited;
  t.strictSame(sender.values('confirmed').sort(), numbered('m', 30).sort());
  await aliceSees.reach(30, PATIENCE_MS);
  t.strictSame(aliceSees.texts, numbered('m', 30), 'each once and in order');
  t.strictSame(owner.values('text'), numbered('r', 3));
  t.strictSame(owner.values('undecryptable'), []);
});

t.test('many processes make and open one store at the same moment', async (t) => {
  const relay = await testRelay(t);
  const directory = join(tempDirectory(t), 'bob');
  // All of them ask to register; whoever comes first does it, for the others it is done.
  const workers = Array.from(
    { length: 5 },
    () => new Worker(t, relay.url, directory, 'register', 'bob'),
  );
  await Promise.all(workers.map(({ exited }) => exited));
  t.equal(workers.filter((worker) => worker.has(({ done }) => done === true)).length, 5);
  t.equal((await relay.totals()).accounts, 1);
});

t.test('kill -9 of the sender right after it stored: the next process sends', async (t) => {
  const relay = await testRelay(t);
  const directory = join(tempDirectory(t), 'bob');
  const alice = await person(t, relay, 'alice');
  const aliceSees = new Inbox(alice);
  await new Worker(t, relay.url, directory, 'register', 'bob').exited;
  const stored: string[] = [];
  for (let round = 0; round < 3; round++) {
    const sender = new Worker(t, relay.url, directory, 'send', 'alice', `${round}-`, '1000');
    await until(() => sender.values('stored').length >= 3 + round, PATIENCE_MS);
    await sender.kill();
    stored.push(...sender.values('stored'));
  }
  const last = await openNodeClient({ relay: relay.url, directory });
  await last.flush({ timeoutMs: PATIENCE_MS });
  await last.close();
  await aliceSees.reach(stored.length, PATIENCE_MS);
  t.equal(new Set(aliceSees.texts).size, aliceSees.texts.length, 'nothing twice');
  t.strictSame(
    stored.filter((text) => !aliceSees.texts.includes(text)),
    [],
    'nothing lost',
  );
});
