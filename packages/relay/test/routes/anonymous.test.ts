// Sockets without an account: how they come to be, what they may ask for, and what refusals tell.
import { encodeItem, type RequestOp, toHex } from '@qasid/protocol/envelope';
import { provider } from '@qasid/protocol/crypto/node';
import { NO_QUOTAS } from '@qasid/relay';
import t from 'tap';
import { relayCrypto } from '#src/crypto.js';
import type { RelayStore } from '#src/store/port.js';
import { benchRelay, type FakeSocket } from '../support/bench-relay.js';
import { newPerson, part, sendOp } from '../support/client.js';
import { anonymous, entryFor, manyOp, newGrant, sealedOp } from '../support/sealed.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Bob, who gave out a token and an inlet, on a relay that anybody may write to. */
async function withBob(options: Parameters<typeof benchRelay>[0] = {}, parts = {}) {
  const bench = await benchRelay(options, parts);
  const bob = newPerson();
  const b = await bench.register(bob);
  const [token, inlet] = [newGrant(), newGrant({ isInlet: true })];
  for (const { put } of [token, inlet]) {
    const { code } = await b.ask(put);
    if (code !== 'CONFIRMED') throw new Error(code);
  }
  return { ...bench, bench, bob, b, token, inlet };
}

t.test('a socket with a token writes, asks for keys and devices, and has no name', async (t) => {
  const { bench, bob, b, token } = await withBob();
  const socket = await anonymous(bench);
  const letter = part(bob, bytes('nobody says hello'));
  t.equal((await socket.ask(sealedOp(bob.account, token, letter))).code, 'CONFIRMED');
  t.strictSame(b.bodies(), ['nobody says hello']);
  t.strictSame(Object.keys(b.delivered[0]!).sort(), [
    ...['attempt', 'body', 'clientId', 'kind', 'minute', 'seq'],
  ]);
  const { account } = bob;
  const taken = await socket.ask({
    kind: 'takePrekeys',
    account,
    devices: [],
    ...token.credential,
  });
  t.match(taken, { code: 'CONFIRMED', body: { bundles: [{ device: 1 }] } });
  const listed = await socket.ask({ kind: 'devices', account, ...token.credential });
  t.match(listed, { code: 'CONFIRMED', body: { devices: bob.devices } });
  const stale = { ...letter, clientId: provider.randomBytes(16), registrationId: 1 };
  t.match(await socket.ask(sealedOp(account, token, stale)), { code: 'DEVICES_STALE' });
  t.match(await socket.ask(sealedOp(account, token)), { code: 'DEVICES_MISMATCH' });
  const typing = { ...sealedOp(account, token, part(bob, bytes('…'))), ephemeral: true };
  t.equal((await socket.ask(typing)).code, 'CONFIRMED');
  t.equal(b.delivered.at(-1)?.seq, 0);
});

t.test('it outlives the deadline for a proof, and not being used', async (t) => {
  const { bench, clock, bob, token } = await withBob({ anonymousIdleMs: 60_000 });
  const [used, pinging, silent] = [
    await anonymous(bench),
    await anonymous(bench),
    await anonymous(bench),
  ];
  const unnamed = await bench.connect();
  for (let step = 0; step < 5; step++) {
    await clock.pass(30_000);
    await used.ask(sealedOp(bob.account, token, part(bob, bytes('x'))));
    if (!pinging.closed) await pinging.ask({ kind: 'ping' });
  }
  t.equal(used.closed, undefined, 'in use');
  t.strictSame(silent.closed, { code: 4407, text: 'IDLE' });
  t.equal(pinging.closed?.code, 4407, 'a ping is no use');
  t.equal(unnamed.closed?.code, 4401, 'and whoever says nothing has 10 s');
});

t.test('ATK-I06 a socket is anonymous or authorised for its whole life', async (t) => {
  const { bench, bob, b, token, inlet, login, connect } = await withBob();
  const fresh = (): Promise<FakeSocket> => connect();
  const hello: RequestOp = { kind: 'anonymous', version: 1 };

  const hidden = await anonymous(bench);
  t.equal((await hidden.ask(hello)).code, 'CONFIRMED', 'saying so twice changes nothing');
  hidden.post(hidden.proof(bob));
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(hidden.closed?.code, 4401, 'no proof where nobody is to be known');
  const registering = await anonymous(bench);
  registering.post(registering.registration(newPerson()));
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(registering.closed?.code, 4401);

  const known = await login(bob);
  known.post(hello);
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(known.closed?.code, 4401, 'and no hiding where somebody is known');
  const racing = await fresh();
  racing.post(racing.proof(bob), hello);
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(racing.closed?.code, 4401, 'nor while a proof is being checked');

  const again = await login(bob);
  const { account } = bob;
  const withToken: RequestOp[] = [
    sealedOp(account, token, part(bob, bytes('x'))),
    sealedOp(inlet.put.id, inlet, part(bob, bytes('x'))),
    { kind: 'takePrekeys', account, devices: [], ...token.credential },
    { kind: 'devices', account, ...token.credential },
    manyOp([entryFor(bob)], [token.credential]),
  ];
  for (const op of withToken) {
    t.equal((await again.ask(op)).code, 'REFUSED', `${op.kind} with a token, by somebody known`);
    t.equal((await (await fresh()).ask(op)).code, 'REFUSED', `${op.kind} before the hello`);
  }
  t.equal(b.delivered.length + again.delivered.length, 0);

  const nameless = await anonymous(bench);
  const withoutToken: RequestOp[] = [
    sendOp(bob, part(bob, bytes('x'))),
    { kind: 'takePrekeys', account, devices: [] },
    { kind: 'devices', account },
    { kind: 'lookup', username: 'bob' },
    { kind: 'ack', through: 1e9, also: [] },
    { kind: 'putPrekeys', prekeys: { oneTime: [], kem: [] } },
    { kind: 'putDevices', devices: bob.devices },
    { kind: 'prekeyCount' },
    newGrant().put,
    { kind: 'listTokens' },
    { kind: 'removeToken', id: token.put.id },
  ];
  for (const op of withoutToken) {
    t.equal((await nameless.ask(op)).code, 'REFUSED', `${op.kind} by nobody`);
  }
  t.equal((await nameless.ask({ kind: 'ping' })).code, 'CONFIRMED');
  const future = await fresh();
  t.equal((await future.ask({ ...hello, version: 2 } as RequestOp)).code, 'UNSUPPORTED');
  t.equal(future.closed?.code, 4401);
});

t.test('ATK-I14 anonymous sockets of one network are bounded, and counted down', async (t) => {
  const { bench, clock, connect } = await withBob({ host: '0.0.0.0', anonymousSocketsMax: 2 });
  const hello = async (address: string) => {
    const socket = await connect(address);
    return { socket, code: (await socket.ask({ kind: 'anonymous', version: 1 })).code };
  };
  const first = await hello('192.0.2.1');
  t.equal((await hello('192.0.2.2')).code, 'CONFIRMED');
  const third = await hello('192.0.2.3');
  t.equal(third.code, 'RATE_LIMITED');
  t.equal(third.socket.closed?.code, 4401);
  t.equal((await hello('198.51.100.1')).code, 'CONFIRMED', 'another network');
  first.socket.close(1000, '');
  first.socket.handler?.closed(1000);
  t.equal((await hello('192.0.2.4')).code, 'CONFIRMED', 'one went, one may come');
  t.equal((await hello('192.0.2.5')).code, 'RATE_LIMITED', 'and only one');
  await clock.pass(200_000);
  t.equal((await hello('192.0.2.5')).code, 'CONFIRMED', 'those that were closed are gone');
  t.ok(bench);
});

t.test(
  'ATK-L06 records asked for without a name are on budgets: of a network, and of all',
  async (t) => {
    const twice = { burst: 2, perSecond: 0 };
    const get = { kind: 'recordGet', id: provider.randomBytes(32) } as const;
    const codes = async (socket: FakeSocket, count: number) => {
      const all: string[] = [];
      while (all.length < count) all.push((await socket.ask(get)).code);
      return all;
    };
    const limited = ['NOT_FOUND', 'NOT_FOUND', 'RATE_LIMITED'];
    const perNetwork = await benchRelay({
      host: '0.0.0.0',
      quotas: { ...NO_QUOTAS, recordReads: twice },
    });
    t.strictSame(await codes(await anonymous(perNetwork, '192.0.2.1'), 3), limited);
    t.strictSame(await codes(await anonymous(perNetwork, '192.0.2.9'), 1), ['RATE_LIMITED']);
    t.strictSame(await codes(await anonymous(perNetwork, '198.51.100.1'), 3), limited);
    const ofAll = await benchRelay({
      host: '0.0.0.0',
      quotas: { ...NO_QUOTAS, recordsAnonymous: twice },
    });
    t.strictSame(await codes(await anonymous(ofAll, '192.0.2.1'), 3), limited);
    t.strictSame(await codes(await anonymous(ofAll, '198.51.100.1'), 1), ['RATE_LIMITED']);
  },
);

/** Counts what a store and a crypto are asked for, in the order they are asked. */
function counting() {
  const calls: string[] = [];
  const wrapStore = (inner: RelayStore): RelayStore =>
    new Proxy(inner, {
      get: (target, name: keyof RelayStore) => {
        const method = target[name] as (...args: unknown[]) => unknown;
        return (...args: unknown[]) => {
          calls.push(`store.${name}`);
          return method.apply(target, args);
        };
      },
    });
  const crypto = Object.fromEntries(
    Object.entries(relayCrypto).map(([name, method]) => [
      name,
      (...args: unknown[]) => {
        calls.push(`crypto.${name}`);
        return (method as (...given: unknown[]) => unknown)(...args);
      },
    ]),
  ) as unknown as typeof relayCrypto;
  return { calls, parts: { wrapStore, crypto } };
}

t.test('ATK-D11 ATK-D12 TWIN: every refusal is the same bytes after the same work', async (t) => {
  const { calls, parts } = counting();
  const { bench, bob, b, token, inlet, clock } = await withBob({}, parts);
  const { account } = bob;
  const nobody = newPerson();
  const carol = newPerson();
  const c = await bench.register(carol);
  const minute = Math.floor(clock.nowMs() / 60_000);
  const short = { mayFetchKeys: true, expiresMinute: minute + 1 };
  const [revoked, expired, gone, late, replaced] = [
    newGrant(),
    newGrant(short),
    newGrant({ isInlet: true }),
    newGrant({ ...short, isInlet: true }),
    newGrant(),
  ];
  for (const { put } of [revoked, expired, gone, late, replaced]) await b.ask(put);
  await b.ask({ kind: 'removeToken', id: revoked.put.id });
  await b.ask({ kind: 'removeToken', id: gone.put.id });
  await b.ask(newGrant({ id: replaced.put.id }).put);
  const hers = newGrant();
  await c.ask(hers.put);
  await clock.pass(2 * 60_000);
  const wrong = { ...token.credential, token: provider.randomBytes(32) };
  const unknown = newGrant().credential;

  const refusals: Record<string, readonly [name: Uint8Array, credential: object]> = {
    'unknown account': [nobody.account, unknown],
    'unknown token': [account, unknown],
    'wrong token': [account, wrong],
    'removed token': [account, revoked.credential],
    'expired token': [account, expired.credential],
    'replaced token': [account, replaced.credential],
    "another's token": [account, hers.credential],
    'a good token for an unknown account': [nobody.account, token.credential],
    'a good token for another account': [carol.account, token.credential],
    'unknown inlet': [provider.randomBytes(16), { token: provider.randomBytes(32) }],
    'wrong token of an inlet': [inlet.put.id, { token: provider.randomBytes(32) }],
    'removed inlet': [gone.put.id, gone.credential],
    'expired inlet': [late.put.id, late.credential],
    'an inlet used as a token': [account, { ...inlet.credential, tokenId: inlet.put.id }],
    'an inlet under any name': [nobody.account, { ...inlet.credential, tokenId: inlet.put.id }],
    'a token used as an inlet': [token.put.id, { token: token.secret }],
    'an account used as an inlet': [account, { token: token.secret }],
  };
  const body = part(bob, bytes('x'));
  const ops = (name: Uint8Array, credential: object): Record<string, RequestOp> => ({
    send: sealedOp(name, { credential }, body),
    ephemeral: { ...sealedOp(name, { credential }, body), ephemeral: true },
    takePrekeys: { kind: 'takePrekeys', account: name as never, devices: [], ...credential },
    devices: { kind: 'devices', account: name as never, ...credential },
  });
  /** What came back on a socket of its own, and what was done for it. */
  const observe = async (op: RequestOp): Promise<string> => {
    const socket = await anonymous(bench);
    calls.length = 0;
    const answer = await socket.ask(op);
    const work = calls.join(' ');
    return `${toHex(encodeItem(answer))} ${work} ${socket.closed?.code}`;
  };
  for (const kind of ['send', 'ephemeral', 'takePrekeys', 'devices']) {
    const seen = new Map<string, string>();
    for (const [what, [name, credential]] of Object.entries(refusals)) {
      seen.set(what, await observe(ops(name, credential)[kind]!));
    }
    const [first = ''] = seen.values();
    t.match(first, /store\.token/, first);
    t.match(first, /crypto\.sha256 .*crypto\.equal/);
    for (const [what, observed] of seen) t.equal(observed, first, `${kind}: ${what}`);
    const good = await observe(ops(account, token.credential)[kind]!);
    t.not(good, first, `${kind}: and with a good token it is another answer`);
  }
  const noKeys = newGrant({ mayFetchKeys: false });
  await b.ask(noKeys.put);
  for (const kind of ['takePrekeys', 'devices'] as const) {
    const refused = await observe(ops(nobody.account, unknown)[kind]!);
    t.equal(await observe(ops(account, noKeys.credential)[kind]!), refused, `${kind}: no right`);
  }
  // In a message to many, each recipient is refused alike.
  const many = async (name: Uint8Array, credential: object): Promise<string> => {
    const answer = await observe(manyOp([entryFor(bob, name)], [credential]));
    return answer.replace(toHex(name), 'name');
  };
  const reference = await many(nobody.account, unknown);
  for (const [what, [name, credential]] of Object.entries(refusals)) {
    t.equal(await many(name, credential), reference, `sendMany: ${what}`);
  }
  t.equal(b.delivered.filter(({ seq }) => seq > 0).length, 1, 'nothing came through but the good');
});

t.test(
  'ATK-D12 ATK-I14 sends are limited per token and per network, guesses by network',
  async (t) => {
    const quotas = {
      ...NO_QUOTAS,
      sealedPerToken: { burst: 6, perSecond: 1 },
      sealedPerAddress: { burst: 12, perSecond: 1 },
    };
    const { bench, bob, b, token, clock } = await withBob({ host: '0.0.0.0', quotas });
    const slow = newGrant({ rate: 2 });
    await b.ask(slow.put);
    const send = (socket: FakeSocket, credential: object) =>
      socket.ask(sealedOp(bob.account, { credential }, part(bob, bytes('x'))));
    const codes = async (socket: FakeSocket, credential: object, count: number) => {
      const all: string[] = [];
      for (let n = 0; n < count; n++) all.push((await send(socket, credential)).code);
      return all.map((code) => code[0]).join('');
    };
    const [one, two] = [
      await anonymous(bench, '192.0.2.1'),
      await anonymous(bench, '198.51.100.1'),
    ];
    t.equal(await codes(one, token.credential, 8), 'CCCCCCRR', 'six at once with one token');
    t.match(await send(one, token.credential), { code: 'RATE_LIMITED', retryAfterMs: 1_000 });
    await clock.pass(1_000);
    t.equal(await codes(two, token.credential, 2), 'CR', 'wherever they come from');
    t.equal(await codes(two, slow.credential, 3), 'CCR', 'a rate of its own');
    await clock.pass(60_000);

    // Guessing uses up the guesser's budget and nobody else's.
    const wrong = { ...token.credential, token: provider.randomBytes(32) };
    const guesser = await anonymous(bench, '203.0.113.1');
    const guesses = [];
    for (let n = 0; n < 14; n++) guesses.push((await send(guesser, wrong)).code);
    t.strictSame(new Set(guesses), new Set(['REFUSED', 'RATE_LIMITED']));
    t.equal(guesses.filter((code) => code === 'REFUSED').length, 11, 'the hello cost one');
    t.equal(
      await codes(two, token.credential, 6),
      'CCCCCC',
      'the owner of the token is not locked out',
    );
  },
);
