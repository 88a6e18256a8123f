// The bus carries hints and nothing else: whatever it drops, repeats or shuffles, mail arrives, in order.
import { toHex } from '@qasid/protocol/envelope';
import { createLocalBus } from '#src/bus.js';
import t from 'tap';
import { benchRelay, settle } from '../support/bench-relay.js';
import { Checker, inWords } from '../support/checker.js';
import { newPerson, part, sendOp } from '../support/client.js';
import { type BusFaults, FaultyBus } from '../support/faulty.js';
import { seededRandom } from '../support/random.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const quiet: BusFaults = { drop: 0, repeat: 0, delay: 0 };

t.test('ATK-I13 an envelope whose hint was lost is not acknowledged away', async (t) => {
  const bus = new FaultyBus(createLocalBus(), () => 0.5, quiet);
  const { register, relay } = await benchRelay({}, { bus });
  t.teardown(() => relay.close());
  const [alice, bob] = [newPerson(), newPerson()];
  const a = await register(alice);
  const b = await register(bob);
  await a.ask(sendOp(bob, part(bob, bytes('zero'))));
  bus.faults = { ...quiet, drop: 1 };
  await a.ask(sendOp(bob, part(bob, bytes('one, and nobody hints'))));
  t.strictSame(b.bodies(), ['zero']);
  bus.faults = quiet;
  await a.ask(sendOp(bob, part(bob, bytes('two'))));
  t.strictSame(b.bodies(), ['zero', 'one, and nobody hints', 'two'], 'the next hint brings both');
  b.post({ kind: 'ack', through: b.delivered.at(-1)!.seq, also: [] });
  await settle();
});

t.test('an envelope that nobody hinted at comes all the same, soon', async (t) => {
  const lines: string[] = [];
  const log = { write: (_level: string, event: string) => void lines.push(event) };
  const bus = new FaultyBus(createLocalBus(), () => 0.5, { ...quiet, drop: 1 });
  const { register, clock, relay } = await benchRelay({}, { bus, log });
  t.teardown(() => relay.close());
  const [alice, bob] = [newPerson(), newPerson()];
  const a = await register(alice);
  const b = await register(bob);
  await clock.pass(6_000);
  await a.ask(sendOp(bob, part(bob, bytes('lonely'))));
  t.strictSame(b.bodies(), []);
  await clock.pass(10_100);
  t.strictSame(b.bodies(), ['lonely']);
  t.equal(lines.filter((event) => event === 'HINTS_LOST').length, 1);
  await clock.pass(60_000);
  t.strictSame(b.bodies(), ['lonely'], 'once');
  t.equal(lines.filter((event) => event === 'HINTS_LOST').length, 1, 'found once, told once');
});

for (const [name, faults] of Object.entries({
  'no hint at all': { drop: 1, repeat: 0, delay: 0 },
  'hints lost, twice, late and shuffled': { drop: 0.3, repeat: 0.3, delay: 0.4 },
})) {
  t.test(`ATK-I13 ${name}: nothing lost, nothing twice, in order`, async (t) => {
    const random = seededRandom(77);
    const bus = new FaultyBus(createLocalBus(), random, faults);
    const { register, login, clock, relay } = await benchRelay({ windowEnvelopes: 20 }, { bus });
    t.teardown(() => relay.close());
    const book = new Checker();
    const alice = await register(newPerson());
    const people = [newPerson(), newPerson(), newPerson()];
    const sockets = await Promise.all(people.map((person) => register(person)));
    const at = people.map(() => 0);
    const look = (index: number, isAcking: boolean): void => {
      const socket = sockets[index]!;
      for (const { clientId, seq } of socket.delivered.slice(at[index])) {
        book.delivered(String(index), toHex(clientId), seq);
      }
      at[index] = socket.delivered.length;
      const through = socket.delivered.at(-1)?.seq;
      if (isAcking && through) socket.post({ kind: 'ack', through, also: [] });
    };
    for (let n = 0; n < 400; n++) {
      const index = Math.floor(random() * people.length);
      const to = people[index]!;
      const piece = part(to, bytes(`${n}`));
      book.attempted(toHex(piece.clientId));
      const [id] = alice.post(sendOp(to, piece));
      await settle(3);
      if (alice.code(id) === 'CONFIRMED') book.confirmed(toHex(piece.clientId));
      else t.fail(`${alice.code(id)}`);
      look(index, random() < 0.5);
      if (random() < 0.02) await clock.pass(6_000);
      if (random() < 0.02) {
        sockets[index] = await login(to);
        at[index] = 0;
        look(index, false);
      }
    }
    for (let round = 0; round < 40 && book.missing.length > 0; round++) {
      await clock.pass(6_000);
      for (const index of people.keys()) look(index, true);
    }
    t.strictSame(book.verdict().problems, []);
    t.match(book.verdict(), { confirmed: 400, shown: 400 });
    await clock.pass(1_000);
    t.equal((await relay.totals()).envelopes, 0, 'nothing is left');
    t.comment(`${inWords(book.verdict())}; hints: ${JSON.stringify(bus.done)}`);
  });
}
