// 13 §8: going down in slices, told, flushed, and hurried when somebody asks twice.
import t from 'tap';
import { newPerson, part, sendOp } from '../support/client.js';
import { benchRelay, settle } from '../support/bench-relay.js';

t.test('a drain tells, refuses, confirms what is under way, and closes in slices', async (t) => {
  const { relay, clock, connect, register } = await benchRelay({});
  const alice = newPerson();
  const a = await register(alice);
  const others = await Promise.all(Array.from({ length: 119 }, () => connect()));
  const all = [a, ...others];
  const underWay = a.ask(sendOp(alice, part(alice, new Uint8Array(8))));
  const ended = relay.drain();
  t.equal(relay.drain(), ended, 'asked twice, done once');
  await settle();
  await underWay;
  const told = all.map((socket) => socket.events.find(({ kind }) => kind === 'draining'));
  const waits = told.map((event) => (event?.kind === 'draining' ? event.afterMs : -1));
  t.ok(
    waits.every((ms) => ms >= 0 && ms <= 1_200),
    'all are told, spread over 10 ms each',
  );
  t.ok(new Set(waits).size > 20, 'not all at the same time');
  const closedNow = (): number => all.filter(({ closed }) => closed?.code === 1012).length;
  await settle();
  t.equal(closedNow(), 50, 'the first slice');
  const last = all.find((socket) => socket.closed === undefined);
  t.match(await last?.ask({ kind: 'ping' }), { code: 'CONFIRMED' }, 'the others are served');
  await clock.pass(1_000);
  await settle();
  t.equal(closedNow(), 100);
  await clock.pass(1_000);
  await settle();
  t.equal(closedNow(), 120);
  await ended;
});

t.test('no new sends while it drains', async (t) => {
  const { relay, connect, register } = await benchRelay({});
  await Promise.all(Array.from({ length: 80 }, () => connect()));
  const bob = newPerson();
  const sender = await register(newPerson());
  const receiver = await register(bob);
  const ended = relay.drain();
  await settle();
  const open = [sender, receiver].find((socket) => socket.closed === undefined);
  t.match(await open?.ask(sendOp(bob, part(bob, new Uint8Array(8)))), { code: 'DRAINING' });
  const closing = relay.close();
  await settle();
  t.equal(open?.closed?.code, 1012, 'close() cuts the slices short');
  await Promise.all([ended, closing]);
});

t.test('a drain has a hard limit', async (t) => {
  const { relay, clock, connect } = await benchRelay({ drainLimitMs: 1_500 });
  const all = await Promise.all(Array.from({ length: 500 }, () => connect()));
  const ended = relay.drain();
  await settle();
  await clock.pass(1_500);
  await settle();
  t.ok(all.every(({ closed }) => closed?.code === 1012));
  await ended;
});
