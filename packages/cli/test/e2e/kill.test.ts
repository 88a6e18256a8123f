/**
 * `kill -9` of the relay, both senders and the receiver at random points, again and again: nothing
 * confirmed is lost, nothing is shown twice, the order of each sender holds.
 *
 * QASID_KILL_ROUNDS rounds (100), seed QASID_KILL_SEED (printed). The receiver writes to a regular file,
 * so every line in it must be whole, and no message may need a hint.
 */
import t from 'tap';

import { Receiver, Sender } from '../support/chat.js';
import { seededRandom } from '../support/random.js';
import { freePort, pause, qasid, RelayProcess, temporaryFolder } from '../support/processes.js';

const rounds = Number(process.env.QASID_KILL_ROUNDS ?? '100');
t.setTimeout(Math.max(900_000, rounds * 6_000));
const seed = Number(process.env.QASID_KILL_SEED ?? Math.floor(Math.random() * 2 ** 31));
const random = seededRandom(seed);
const below = (limit: number): number => Math.floor(random() * limit);

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

  const began = performance.now();
  await relay.start();
  for (const name of ['alice', 'carol', 'bob']) {
    const args = ['--profile', name, 'register', name, '--relay', relay.url, '--no-passphrase'];
    t.equal((await qasid(home, args)).code, 0, `${name} is registered`);
  }
  // Four programs were started and ended. On a busy machine everything takes longer: so do the pauses, or
  // nothing would ever get past its start-up.
  const startMs = Math.max(600, (performance.now() - began) / 4);
  receiver.start();
  for (const sender of senders) sender.start();

  const kills: Record<string, number> = {};
  const progress = (): number => senders.reduce((sum, s) => sum + s.confirmed.size, 0);
  let before = 0;
  for (let round = 1; round <= rounds; round++) {
    // Short waits hit a start-up, long ones a process at work.
    await pause(below(3) === 0 ? below(startMs / 4) : startMs / 2 + below(startMs * 1.5));
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
  t.ok(progress() > rounds / 2, `enough was confirmed to mean something: ${progress()}`);
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
