// The routes and services over ports: no network, no waiting.
import { StoreError } from '@qasid/protocol/envelope';
import { provider } from '@qasid/protocol/crypto/node';
import { DEFAULT_CONFIG, NO_QUOTAS } from '@qasid/relay';
import t from 'tap';
import { FatalStoreError } from '#src/store/port.js';
import { benchRelay, type FakeSocket, settle } from '../support/bench-relay.js';
import { fakePrekeys, newPerson, part, type Person, sendOp } from '../support/client.js';
import { diskFull, FaultyStore } from '../support/faulty.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const letter = (to: Person, text: string) => sendOp(to, part(to, bytes(text)));
const ack = (through: number, ...also: readonly number[]) =>
  ({ kind: 'ack', through, also }) as const;

/** A relay whose store fails on demand, with two people on it. */
async function faulty(options = {}) {
  let store: FaultyStore | undefined;
  const bench = await benchRelay(options, {
    wrapStore: (inner) => {
      store = new FaultyStore(inner);
      return store;
    },
  });
  const [alice, bob] = [newPerson(), newPerson()];
  const a = await bench.register(alice);
  const b = await bench.register(bob);
  return { ...bench, store: store!, alice, bob, a, b };
}

t.setTimeout(180_000);

t.test('a socket that proves nothing in 10 s is closed', async (t) => {
  const { connect, clock } = await benchRelay();
  const socket = await connect();
  t.match(socket.events, [{ kind: 'challenge', versionMin: 1, versionMax: 1 }]);
  await clock.pass(9_999);
  t.equal(socket.closed, undefined);
  await clock.pass(2);
  t.strictSame(socket.closed, { code: 4401, text: 'UNAUTHORISED' });
});

t.test('ATK-B02 a version the relay does not speak is refused as such', async (t) => {
  const { connect } = await benchRelay();
  const person = newPerson();
  for (const version of [0, 2]) {
    const socket = await connect();
    t.equal((await socket.ask({ ...socket.proof(person), version } as never)).code, 'UNSUPPORTED');
    t.equal(socket.closed?.code, 4401);
  }
});

t.test('answers of one turn leave in one frame', async (t) => {
  const { a, bob, b } = await faulty();
  const before = a.frames;
  const ids = a.post(letter(bob, '1'), letter(bob, '2'), letter(bob, '3'), { kind: 'ping' });
  await settle();
  t.ok(ids.every((id) => a.code(id) === 'CONFIRMED'));
  t.equal(a.frames - before, 2, 'the ping at once, the sends when they are durable');
  t.strictSame(b.bodies(), ['1', '2', '3']);
});

t.test('number 0 wants no answer', async (t) => {
  const { a, bob } = await faulty();
  const before = a.responses.size;
  a.handler?.message(
    (await import('@qasid/protocol/envelope')).encodeFrame([
      { kind: 'request', id: 0, op: letter(bob, 'x') },
    ]),
  );
  await settle();
  t.equal(a.responses.size, before);
});

t.test('ATK-D11 look-ups have a budget, and a miss says what any miss says', async (t) => {
  const { register, clock } = await benchRelay({
    quotas: { ...NO_QUOTAS, lookups: DEFAULT_CONFIG.quotas.lookups },
  });
  const a = await register(newPerson(), fakePrekeys(1), 'alice');
  const misses = [];
  for (let probe = 0; probe < 59; probe++) {
    misses.push(await a.ask({ kind: 'lookup', username: `name${probe}` }));
  }
  t.equal((await a.ask({ kind: 'lookup', username: 'alice' })).code, 'CONFIRMED');
  const first = misses[0]!;
  for (const miss of misses) t.same({ ...miss, id: 0 }, { ...first, id: 0 });
  t.equal(first.code, 'NOT_FOUND');
  t.equal(first.body.kind, 'none');
  let answered = 0;
  for (let probe = 0; probe < 500; probe++) {
    const { code, retryAfterMs } = await a.ask({ kind: 'lookup', username: `more${probe}` });
    if (code === 'RATE_LIMITED') t.ok(retryAfterMs > 0 && retryAfterMs <= 5_000);
    else answered++;
    if (probe % 10 === 0) await clock.pass(100);
  }
  t.ok(answered <= 2, `${answered} of 500 in 5 s`);
  const devices = await a.ask({ kind: 'devices', account: newPerson().account });
  t.equal(devices.code, 'RATE_LIMITED', 'the same budget for other accounts');
});

t.test('ATK-D11 all devices together have one look-up budget', async (t) => {
  const { register } = await benchRelay({
    quotas: { ...NO_QUOTAS, lookupsTotal: { burst: 10, perSecond: 1 } },
  });
  const sockets = [await register(newPerson()), await register(newPerson())];
  const codes: string[] = [];
  for (let probe = 0; probe < 12; probe++) {
    codes.push((await sockets[probe % 2]!.ask({ kind: 'lookup', username: `name${probe}` })).code);
  }
  t.equal(codes.filter((code) => code === 'NOT_FOUND').length, 10);
  t.equal(codes.at(-1), 'RATE_LIMITED');
});

t.test('ATK-B05 many accounts cannot empty a stock of one-time prekeys', async (t) => {
  const { prekeysPerPair, prekeysPerTarget } = DEFAULT_CONFIG.quotas;
  const { register, clock } = await benchRelay({
    quotas: { ...NO_QUOTAS, prekeysPerPair, prekeysPerTarget },
  });
  const bob = newPerson();
  const b = await register(bob, fakePrekeys(100));
  const take = { kind: 'takePrekeys', account: bob.account, devices: [] } as const;
  const one = await register(newPerson());
  const codes = [];
  for (let index = 0; index < 8; index++) codes.push((await one.ask(take)).code);
  t.strictSame(codes, [...new Array(6).fill('CONFIRMED'), 'RATE_LIMITED', 'RATE_LIMITED']);
  let lastResort = 0;
  for (let prober = 0; prober < 100; prober++) {
    const { body } = await (await register(newPerson())).ask(take);
    if (body.kind === 'bundles' && body.bundles[0]?.kemLastResort) lastResort++;
  }
  t.equal(lastResort, 46, 'after 60 requests only the last resort goes out');
  t.match((await b.ask({ kind: 'prekeyCount' })).body, { oneTime: 40, kem: 40 });
  await clock.pass(60_000);
  const { body } = await (await register(newPerson())).ask(take);
  t.match(body, { bundles: [{ kemLastResort: false }] }, 'an honest sender a minute later');
});

t.test('ATK-B05 the owner is told of a low stock, once until it is filled', async (t) => {
  const { register, login } = await benchRelay({ prekeysLow: 3 });
  const bob = newPerson();
  const b = await register(bob, fakePrekeys(5));
  const a = await register(newPerson());
  const take = { kind: 'takePrekeys', account: bob.account, devices: [] } as const;
  const low = (socket: FakeSocket) => socket.events.filter(({ kind }) => kind === 'prekeysLow');
  await a.ask(take);
  await a.ask(take);
  t.equal(low(b).length, 0);
  await a.ask(take);
  t.match(low(b), [{ oneTime: 2, kem: 2 }]);
  await a.ask(take);
  t.equal(low(b).length, 1);
  t.equal(low(await login(bob)).length, 1, 'and again when it connects');
});

t.test('sends have a budget per device, with the time to wait', async (t) => {
  const { register, clock } = await benchRelay({
    quotas: { ...NO_QUOTAS, sends: { burst: 3, perSecond: 2 } },
  });
  const bob = newPerson();
  await register(bob);
  const a = await register(newPerson());
  const codes = [];
  for (let index = 0; index < 4; index++) codes.push(await a.ask(letter(bob, 'x')));
  t.match(codes.at(-2), { code: 'CONFIRMED' });
  t.match(codes.at(-1), { code: 'RATE_LIMITED', retryAfterMs: 500 });
  await clock.pass(500);
  t.equal((await a.ask(letter(bob, 'x'))).code, 'CONFIRMED');
});

t.test(
  'ATK-I10 uploads have a budget per device: they are the dearest work there is',
  async (t) => {
    const { register, clock } = await benchRelay({
      quotas: { ...NO_QUOTAS, uploads: { burst: 2, perSecond: 0.1 } },
    });
    const bob = newPerson();
    const b = await register(bob);
    const put = { kind: 'putPrekeys', prekeys: { oneTime: [], kem: [] } } as const;
    t.equal((await b.ask(put)).code, 'CONFIRMED');
    t.equal((await b.ask({ kind: 'putDevices', devices: bob.devices })).code, 'CONFIRMED');
    t.match(await b.ask(put), { code: 'RATE_LIMITED', retryAfterMs: 10_000 });
    t.equal((await b.ask({ kind: 'putDevices', devices: bob.devices })).code, 'RATE_LIMITED');
    await clock.pass(10_000);
    t.equal((await b.ask(put)).code, 'CONFIRMED');
  },
);

t.test('registrations are limited per address prefix, unless all peers are local', async (t) => {
  const quotas = { ...NO_QUOTAS, registrations: { burst: 2, perSecond: 0.001 } };
  for (const [host, expected] of [
    ['0.0.0.0', 'RATE_LIMITED'],
    ['127.0.0.1', 'CONFIRMED'],
  ] as const) {
    const { connect } = await benchRelay({ host, quotas, registrationWork: 'off' });
    const codes = [];
    for (const address of ['192.0.2.1', '192.0.2.2', '192.0.2.3', '198.51.100.1']) {
      const socket = await connect(address);
      codes.push((await socket.ask(socket.registration(newPerson()))).code);
    }
    t.strictSame(codes, ['CONFIRMED', 'CONFIRMED', expected, 'CONFIRMED'], host);
  }
});

t.test('ATK-I14 failed proofs lock out whoever fails, not the owner', async (t) => {
  const { register, connect, login } = await benchRelay({
    quotas: { ...NO_QUOTAS, failedAuth: { burst: 3, perSecond: 0.001 } },
  });
  const bob = newPerson();
  await register(bob);
  const codes = [];
  for (let index = 0; index < 5; index++) {
    const socket = await connect('203.0.113.5');
    const wrong = { ...bob, auth: provider.ed25519KeyPair() };
    codes.push((await socket.ask(socket.proof(wrong))).code);
  }
  t.strictSame(codes.slice(2), ['REFUSED', 'RATE_LIMITED', 'RATE_LIMITED']);
  t.ok(await login(bob), 'from elsewhere the owner gets in');
});

t.test('ATK-I10 credit: sends beyond it are turned away, and far beyond it close', async (t) => {
  const { a, bob, store } = await faulty({ creditParts: 4 });
  let go: () => void = () => undefined;
  store.before = () => new Promise((resolve) => (go = resolve));
  const ids = a.post(...Array.from({ length: 6 }, (_, index) => letter(bob, `${index}`)));
  await settle();
  t.strictSame(
    ids.map((id) => a.code(id)),
    [undefined, undefined, undefined, undefined, 'BUSY', 'BUSY'],
  );
  store.before = () => undefined;
  go();
  await settle();
  t.strictSame(
    ids.slice(0, 4).map((id) => a.code(id)),
    new Array(4).fill('CONFIRMED'),
  );
});

t.test(
  'ATK-I10 the window closes, opens with acknowledgements, and a silent reader is closed',
  async (t) => {
    const { a, bob, b, clock } = await faulty({ windowEnvelopes: 4 });
    for (let index = 0; index < 9; index++) await a.ask(letter(bob, `${index}`));
    t.strictSame(b.bodies(), ['0', '1', '2', '3']);
    b.post(ack(b.delivered[1]!.seq));
    await settle();
    t.strictSame(b.bodies(), ['0', '1', '2', '3', '4', '5']);
    b.post(ack(0, b.delivered[4]!.seq, 999_999));
    await settle();
    t.equal(b.bodies().length, 7, 'one more for one out of turn');
    await clock.pass(59_000);
    t.equal(b.closed, undefined);
    await clock.pass(2_000);
    t.equal(b.closed?.code, 4408);
  },
);

t.test('ATK-I10 a slow socket pauses its own mailbox only, and nothing is lost', async (t) => {
  const { a, bob, b, alice } = await faulty();
  b.bufferedBytes = 1e6;
  for (let index = 0; index < 5; index++) await a.ask(letter(bob, `${index}`));
  t.equal(b.delivered.length, 0);
  t.equal((await b.ask(letter(alice, 'back'))).code, 'CONFIRMED');
  t.strictSame(a.bodies(), ['back']);
  b.bufferedBytes = 0;
  b.handler?.drained();
  await settle();
  t.strictSame(b.bodies(), ['0', '1', '2', '3', '4']);
});

t.test('a frame the transport dropped closes the socket, and comes again', async (t) => {
  const { a, bob, b, login } = await faulty();
  b.outcome = 'dropped';
  t.equal((await a.ask(letter(bob, 'one'))).code, 'CONFIRMED');
  t.equal(b.closed?.code, 4408);
  const again = await login(bob);
  t.strictSame(again.bodies(), ['one']);
  t.equal(again.delivered[0]?.attempt, 1);
});

t.test('a device cannot acknowledge what it was never sent', async (t) => {
  const { a, bob, b, relay, clock, login } = await faulty({ windowEnvelopes: 2 });
  for (let index = 0; index < 4; index++) await a.ask(letter(bob, `${index}`));
  b.post(ack(1e9));
  await settle();
  await clock.pass(100);
  t.strictSame(b.bodies(), ['0', '1', '2', '3']);
  t.equal((await relay.totals()).envelopes, 2, 'only the two that had been sent are gone');
  b.post(ack(1e9));
  b.handler?.closed(1006);
  await settle();
  await clock.pass(100);
  t.equal((await relay.totals()).envelopes, 0);
  t.strictSame((await login(bob)).bodies(), []);
});

t.test('a full disk turns sends away, and deletions go on', async (t) => {
  const { a, bob, b, store, relay, clock } = await faulty();
  await a.ask(letter(bob, 'before'));
  store.before = (writes) => {
    if (writes.some(({ kind }) => kind !== 'ack')) throw diskFull();
  };
  b.post(ack(b.delivered[0]!.seq));
  t.match(await a.ask(letter(bob, 'full')), { code: 'UNAVAILABLE', retryAfterMs: 5_000 });
  await clock.pass(100);
  t.equal((await relay.totals()).envelopes, 0);
  store.before = () => undefined;
  t.equal((await a.ask(letter(bob, 'after'))).code, 'CONFIRMED', 'it recovers by itself');
  t.strictSame(b.bodies(), ['before', 'after']);
});

t.test('one change that fails does not take its neighbours down', async (t) => {
  const { a, bob, b, store } = await faulty();
  const isBad = (write: { kind: string; parts?: readonly { body: Uint8Array }[] }): boolean =>
    write.parts?.some(({ body }) => body.length === 3) ?? false;
  store.before = (writes) => {
    if (writes.some(isBad)) throw new StoreError('STORE_FAILED', 'constraint');
  };
  const ids = a.post(letter(bob, '1'), letter(bob, 'bad'), letter(bob, '2'));
  await settle();
  t.strictSame(
    ids.map((id) => a.code(id)),
    ['CONFIRMED', 'UNAVAILABLE', 'CONFIRMED'],
  );
  t.strictSame(b.bodies(), ['1', '2']);
});

t.test('a commit whose answer got lost is not stored twice, and is delivered', async (t) => {
  const { a, bob, b, store, relay } = await faulty();
  let failures = 1;
  store.after = () => {
    if (failures-- > 0) throw new StoreError('STORE_FAILED', 'connection lost');
  };
  const op = letter(bob, 'once');
  const first = await a.ask(op);
  t.equal(first.code, 'UNAVAILABLE', 'nobody knows: not confirmed');
  t.equal((await a.ask(op)).code, 'CONFIRMED');
  t.strictSame(b.bodies(), ['once']);
  t.equal((await relay.totals()).envelopes, 1);
});

t.test('a slow disk delays confirmations and nothing else', async (t) => {
  const { a, bob, b, store } = await faulty();
  let go: () => void = () => undefined;
  store.before = () => new Promise((resolve) => (go = resolve));
  const [id] = a.post(letter(bob, 'slow'));
  await settle();
  t.equal(a.code(id), undefined, 'not confirmed before it is durable');
  t.equal(b.delivered.length, 0, 'and not shown');
  t.equal((await a.ask({ kind: 'ping' })).code, 'CONFIRMED');
  store.before = () => undefined;
  go();
  await settle();
  t.equal(a.code(id), 'CONFIRMED');
  t.strictSame(b.bodies(), ['slow']);
});

t.test('a disk that fails: nothing is confirmed any more, and the relay says why', async (t) => {
  const { a, bob, store, relay, get } = await faulty();
  store.before = () => {
    throw new FatalStoreError('STORE_FAILED', 'disk failed (SQLITE_IOERR_FSYNC)');
  };
  t.equal((await a.ask(letter(bob, 'x'))).code, 'UNAVAILABLE');
  store.before = () => undefined;
  t.equal((await a.ask(letter(bob, 'y'))).code, 'UNAVAILABLE', 'for good');
  t.equal(get('/readyz'), 503);
  t.equal(get('/livez'), 200);
  t.match(await relay.failed, { code: 'RELAY_STORE_FAILED', hint: /disk/ });
});

t.test('draining: told, refused, finished, closed', async (t) => {
  const { a, bob, store, relay, get } = await faulty();
  t.equal(get('/readyz'), 200);
  let go: () => void = () => undefined;
  store.before = () => new Promise((resolve) => (go = resolve));
  const [id] = a.post(letter(bob, 'under way'));
  await settle();
  const closed = relay.close();
  await settle();
  t.equal(get('/readyz'), 503);
  t.ok(a.events.some(({ kind }) => kind === 'draining'));
  t.equal((await a.ask(letter(bob, 'late'))).code, 'DRAINING');
  store.before = () => undefined;
  go();
  await closed;
  t.equal(a.code(id), 'CONFIRMED', 'what was under way is answered');
  t.equal(a.closed?.code, 1012);
});

t.test('a disk that hangs holds up the end for a minute at most', async (t) => {
  const { a, bob, store, relay, clock } = await faulty();
  store.before = () => new Promise(() => undefined);
  const [id] = a.post(letter(bob, 'never'));
  await settle();
  let isClosed = false;
  const closed = relay.close().then(() => {
    isClosed = true;
  });
  await clock.pass(59_000);
  t.equal(isClosed, false);
  await clock.pass(1_000);
  await closed;
  t.not(a.code(id), 'CONFIRMED');
});

t.test('a slow disk is not held against a proof that came in time', async (t) => {
  const { store, connect, clock } = await faulty();
  let go: () => void = () => undefined;
  store.before = () => new Promise((resolve) => (go = resolve));
  const socket = await connect();
  const [id] = socket.post(socket.registration(newPerson()));
  await clock.pass(30_000);
  t.equal(socket.closed, undefined);
  go();
  await settle();
  t.equal(socket.code(id), 'CONFIRMED');
  await clock.pass(30_000);
  t.equal(socket.closed, undefined);
});

t.test('a store that fails during a proof refuses it for now', async (t) => {
  const { store, bob, b, connect } = await faulty();
  const socket = await connect();
  const account = store.account;
  store.account = () => {
    throw new TypeError('a defect');
  };
  t.equal((await socket.ask(socket.proof(bob))).code, 'UNAVAILABLE');
  t.equal(socket.closed, undefined, 'nothing was wrong with the proof');
  store.account = account;
  t.equal((await socket.ask(socket.proof(bob))).code, 'CONFIRMED', 'with the new challenge');
  t.equal(b.closed?.code, 4409, 'and takes over');
});

t.test('ATK-I16 expiry: clamped, and no clock that jumps expires anything', async (t) => {
  const { a, bob, relay, clock, b } = await faulty({ retentionDays: 1 });
  b.handler?.closed(1006);
  const day = 24 * 60 * 60 * 1000;
  await a.ask({ ...letter(bob, 'for ever'), ttlSeconds: 0xffff_ffff } as never);
  await a.ask({ ...letter(bob, 'an hour'), ttlSeconds: 3_600 } as never);
  await clock.pass(2 * 60 * 60 * 1000);
  t.equal((await relay.totals()).envelopes, 1);
  clock.jump(10 * day);
  await clock.pass(60 * 60 * 1000);
  t.equal((await relay.totals()).envelopes, 1, 'the wall clock alone expires nothing');
  clock.jump(-10 * day);
  await clock.pass(day);
  t.equal((await relay.totals()).envelopes, 0);
});
