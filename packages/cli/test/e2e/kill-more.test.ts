/**
 * More `kill -9`: a receiver whose output goes into a pipe, where nobody can tell whether the last line was
 * seen, and registrations that are cut short.
 *
 * QASID_KILL_ROUNDS scales both (a tenth of it each, at least 10); seed QASID_KILL_SEED (printed).
 */
import t from 'tap';

import { Receiver, Sender } from '../support/chat.js';
import { seededRandom } from '../support/random.js';
import { freePort, pause, qasid, RelayProcess, temporaryFolder } from '../support/processes.js';

const rounds = Math.max(10, Math.floor(Number(process.env.QASID_KILL_ROUNDS ?? '100') / 10));
t.setTimeout(Math.max(900_000, rounds * 30_000));
const seed = Number(process.env.QASID_KILL_SEED ?? Math.floor(Math.random() * 2 ** 31));
const random = seededRandom(seed);
const below = (limit: number): number => Math.floor(random() * limit);

t.test(`into a pipe: nothing twice, what is in doubt is named, seed ${seed}`, async (t) => {
  const home = temporaryFolder(t.teardown);
  const relay = new RelayProcess(home, `${home}/relay-data`, await freePort());
  const sender = new Sender(home, 'alice');
  const receiver = new Receiver(home, 'pipe');
  t.teardown(() => Promise.all([relay.stop('SIGKILL'), receiver.kill(), sender.kill()]));
  await relay.start();
  for (const name of ['alice', 'bob']) {
    const args = ['--profile', name, 'register', name, '--relay', relay.url, '--no-passphrase'];
    t.equal((await qasid(home, args)).code, 0, `${name} is registered`);
  }
  receiver.start();
  sender.start();
  for (let round = 0; round < rounds; round++) {
    await pause(800 + below(900));
    await receiver.kill();
    receiver.start();
  }
  t.equal(await sender.end(), 0, 'everything is confirmed');
  const seen = (): ReadonlySet<string> => new Set(receiver.shown().map(({ text }) => text));
  /** Messages that hints name, by their number. */
  const inDoubt = async (): Promise<readonly string[]> => {
    const numbers = [...receiver.stderr.matchAll(/hint: message (\d+) from alice may not/g)];
    const texts: string[] = [];
    for (const [, seq] of numbers) {
      const args = ['history', '--after', String(Number(seq) - 1), '--limit', '1', '--json'];
      const { stdout } = await qasid(home, ['--profile', 'bob', ...args]);
      texts.push(JSON.parse(stdout).text);
    }
    return texts;
  };
  for (let wait = 0; wait < 100; wait++) {
    if (seen().size + (await inDoubt()).length >= sender.queued.size) break;
    await pause(300);
  }
  // A receiver that was started a moment ago cannot end cleanly yet: one more message shows that it is up.
  t.equal((await qasid(home, ['--profile', 'alice', 'send', 'bob', 'the end'])).code, 0);
  for (let wait = 0; wait < 200 && !seen().has('the end'); wait++) await pause(300);
  t.equal(await receiver.kill('SIGTERM'), 0, 'the receiver ends cleanly');
  const named = await inDoubt();
  t.comment(`${rounds} kills, ${seen().size} shown, ${named.length} in doubt`);
  t.equal(seen().size, receiver.shown().length, 'nothing is shown twice');
  const lost = [...sender.queued].filter((text) => !seen().has(text) && !named.includes(text));
  t.same(lost, [], 'nothing is lost without a word');
});

t.test(`registrations cut short are finished by the next one, seed ${seed}`, async (t) => {
  const home = temporaryFolder(t.teardown);
  const relay = new RelayProcess(home, `${home}/relay-data`, await freePort());
  t.teardown(() => relay.stop('SIGKILL'));
  await relay.start();
  const register = (name: string, limitMs?: number) =>
    qasid(
      home,
      ['--profile', name, 'register', name, '--relay', relay.url, '--no-passphrase'],
      limitMs === undefined ? {} : { limitMs },
    );
  const began = performance.now();
  t.equal((await register('first')).code, 0);
  const normalMs = performance.now() - began;
  let interrupted = 0;
  for (let round = 0; round < rounds; round++) {
    const name = `guest${round}`;
    const killed = await register(name, below(normalMs));
    if (killed.code === undefined) interrupted += 1;
    const finished = await register(name);
    t.equal(finished.code, 0, `${name}: ${finished.stderr}`);
    const sent = await qasid(home, ['--profile', name, 'send', 'first', `from ${name}`]);
    t.equal(sent.code, 0, `${name} sends: ${sent.stderr}`);
  }
  t.comment(`${interrupted} of ${rounds} were interrupted`);
  t.ok(interrupted > 0, 'some were');
  const { stdout } = await qasid(home, ['--profile', 'first', 'receive']);
  t.equal(stdout.split('\n').length - 1, rounds, 'every guest got through, once');
});
