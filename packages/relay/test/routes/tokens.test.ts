// Delivery tokens and inlets as their owner has them, and the walls between accounts.
import { type RequestOp, toHex } from '@qasid/protocol/envelope';
import { provider } from '@qasid/protocol/crypto/node';
import { NO_QUOTAS } from '@qasid/relay';
import t from 'tap';
import { benchRelay, type FakeSocket } from '../support/bench-relay.js';
import {
  deviceEntry,
  fakePrekeys,
  newDevice,
  newPerson,
  part,
  signList,
} from '../support/client.js';
import { anonymous, newGrant, sealedOp } from '../support/sealed.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

async function idsOf(socket: FakeSocket): Promise<string[]> {
  const { body } = await socket.ask({ kind: 'listTokens' });
  if (body.kind !== 'tokens') throw new Error(body.kind);
  return body.tokens.map(({ id }) => toHex(id)).sort();
}

t.test('an account registers, lists, replaces and removes; its secrets stay with it', async (t) => {
  const bench = await benchRelay({ tokensMax: 3 });
  const bob = newPerson();
  const b = await bench.register(bob);
  const minute = Math.floor(bench.clock.nowMs() / 60_000);
  const [one, two] = [
    newGrant({ rate: 5 }),
    newGrant({ isInlet: true, mayFetchKeys: false, expiresMinute: minute + 9 }),
  ];
  for (const { put } of [one, two, one]) t.equal((await b.ask(put)).code, 'CONFIRMED');
  const { body } = await b.ask({ kind: 'listTokens' });
  const terms = ({ put: { kind: _, verifier: __, ...rest } }: typeof one) => rest;
  t.strictSame(
    body.kind === 'tokens' && [...body.tokens].sort((x, y) => x.rate - y.rate),
    [terms(two), terms(one)],
    'all but the verifier',
  );
  t.equal((await b.ask(newGrant({ expiresMinute: minute }).put)).code, 'BAD_REQUEST', 'expired');
  t.equal((await b.ask(newGrant().put)).code, 'CONFIRMED');
  t.equal((await b.ask(newGrant().put)).code, 'TOO_LARGE', 'as many as the relay takes');
  t.equal((await b.ask(one.put)).code, 'CONFIRMED', 'which counts what is new');
  const remove: RequestOp = { kind: 'removeToken', id: one.put.id };
  t.equal((await b.ask(remove)).code, 'CONFIRMED');
  t.equal((await b.ask(remove)).code, 'CONFIRMED', 'and again');
  t.equal((await idsOf(b)).length, 2);
  t.equal((await b.ask(newGrant().put)).code, 'CONFIRMED', 'there is room again');
  await bench.clock.pass(21 * 60_000);
  t.equal((await idsOf(b)).length, 2, 'the sweep takes what has expired');
});

t.test('changes are limited per account', async (t) => {
  const quotas = { ...NO_QUOTAS, tokens: { burst: 2, perSecond: 1 } };
  const bench = await benchRelay({ quotas });
  const b = await bench.register(newPerson());
  const codes = [];
  for (let n = 0; n < 3; n++) codes.push((await b.ask(newGrant().put)).code);
  t.strictSame(codes, ['CONFIRMED', 'CONFIRMED', 'RATE_LIMITED']);
  t.equal(
    (await b.ask({ kind: 'removeToken', id: provider.randomBytes(16) })).code,
    'RATE_LIMITED',
  );
});

t.test('ATK-I06 tenant matrix: no token opens anything but what it was made for', async (t) => {
  const bench = await benchRelay();
  const people = [newPerson(), newPerson()];
  const sockets: FakeSocket[] = [];
  const rights: { of: number; name: Uint8Array; grant: ReturnType<typeof newGrant> }[] = [];
  for (const [of, person] of people.entries()) {
    const socket = await bench.register(person, fakePrekeys(50));
    sockets.push(socket);
    for (const isInlet of [false, false, true, true]) {
      const grant = newGrant({ isInlet });
      await socket.ask(grant.put);
      rights.push({ of, name: isInlet ? grant.put.id : person.account, grant });
    }
  }
  const nobody = await anonymous(bench);
  const names = [...people.map(({ account }) => account), ...rights.map(({ name }) => name)];
  let opened = 0;
  for (const { of, name, grant } of rights) {
    for (const other of names) {
      const isOwn = toHex(other) === toHex(name);
      const expected = isOwn ? 'CONFIRMED' : 'REFUSED';
      const letter = sealedOp(other, grant, part(people[of]!, bytes('x')));
      t.equal((await nobody.ask(letter)).code, expected);
      const account = other as typeof letter.dest;
      const { credential } = grant;
      const keys = { kind: 'takePrekeys', account, devices: [], ...credential } as const;
      t.equal((await nobody.ask(keys)).code, expected);
      const list = await nobody.ask({ kind: 'devices', account, ...credential });
      t.equal(list.code, expected);
      if (!isOwn) continue;
      opened++;
      t.match(list.body, { devices: people[of]!.devices });
    }
    // A token under the name of every other token.
    for (const { grant: stranger } of rights) {
      if (stranger === grant) continue;
      const credential = { ...grant.credential, tokenId: stranger.put.id };
      const { code } = await nobody.ask(
        sealedOp(name, { credential }, part(people[of]!, bytes('x'))),
      );
      t.equal(code, 'REFUSED');
    }
  }
  t.ok(opened >= rights.length, `${opened} doors opened, each with its key`);
  for (const [of, socket] of sockets.entries()) {
    t.equal(socket.delivered.length, opened / 2, `account ${of} got what was sent to it`);
  }

  // And no account touches another's.
  const [a, b] = sockets as [FakeSocket, FakeSocket];
  const before = [await idsOf(a), await idsOf(b)];
  const bobs = rights.filter(({ of }) => of === 1);
  for (const { grant } of bobs) {
    const stolen = newGrant({ id: grant.put.id, isInlet: grant.put.isInlet });
    t.equal((await a.ask(stolen.put)).code, 'REFUSED', 'an id cannot be taken over');
    t.equal((await a.ask({ kind: 'removeToken', id: grant.put.id })).code, 'CONFIRMED');
  }
  t.strictSame([await idsOf(a), await idsOf(b)], before, 'nothing has changed');
  for (const { name, grant } of bobs) {
    const letter = sealedOp(name, grant, part(people[1]!, bytes('y')));
    t.equal((await nobody.ask(letter)).code, 'CONFIRMED', 'and all of them still work');
  }
});

t.test(
  'an inlet is an address: it leads to the account, and one can be closed alone',
  async (t) => {
    const bench = await benchRelay();
    const bob = newPerson();
    const b = await bench.register(bob);
    const [friend, nuisance] = [newGrant({ isInlet: true }), newGrant({ isInlet: true })];
    for (const { put } of [friend, nuisance]) await b.ask(put);
    const tablet = newDevice(bob, 2);
    await b.ask({ kind: 'putDevices', devices: signList(bob, 2, [bob, tablet].map(deviceEntry)) });
    const second = await bench.login(tablet);
    const nobody = await anonymous(bench);
    const to = (grant: typeof friend, ...parts: Parameters<typeof sealedOp>[2][]) =>
      nobody.ask(sealedOp(grant.put.id, grant, ...parts));
    t.match(await to(friend, part(bob, bytes('only one'))), {
      code: 'DEVICES_MISMATCH',
      body: { missing: [2], extra: [] },
    });
    const both = [part(bob, bytes('hi')), part(tablet, bytes('hi'))];
    t.equal((await to(friend, ...both)).code, 'CONFIRMED');
    t.strictSame([b.bodies(), second.bodies()], [['hi'], ['hi']]);
    await b.ask({ kind: 'removeToken', id: nuisance.put.id });
    t.equal((await to(nuisance, ...both)).code, 'REFUSED');
    t.equal(
      (await to(friend, part(bob, bytes('more')), part(tablet, bytes('more')))).code,
      'CONFIRMED',
    );
  },
);

t.test('ATK-D12 blocking: the old token fails at once, the new one works', async (t) => {
  const bench = await benchRelay();
  const bob = newPerson();
  const b = await bench.register(bob);
  const old = newGrant();
  await b.ask(old.put);
  const nobody = await anonymous(bench);
  const send = async (grant: typeof old) =>
    (await nobody.ask(sealedOp(bob.account, grant, part(bob, bytes('x'))))).code;
  t.equal(await send(old), 'CONFIRMED');
  const fresh = newGrant({ id: old.put.id });
  await b.ask(fresh.put);
  t.strictSame([await send(old), await send(fresh)], ['REFUSED', 'CONFIRMED']);
});

t.test('a leaked inlet does not name the account', async (t) => {
  const bench = await benchRelay();
  const bob = newPerson();
  const b = await bench.register(bob);
  const inlet = newGrant({ isInlet: true, mayFetchKeys: false });
  await b.ask(inlet.put);
  const nobody = await anonymous(bench);
  const raw: string[] = [];
  const send = nobody.send.bind(nobody);
  nobody.send = (frame) => {
    raw.push(toHex(frame));
    return send(frame);
  };
  const account = inlet.put.id as typeof bob.account;
  await nobody.ask(sealedOp(account, inlet));
  await nobody.ask(sealedOp(account, inlet, part(bob, bytes('x'))));
  await nobody.ask({ kind: 'devices', account, ...inlet.credential });
  await nobody.ask({ kind: 'takePrekeys', account, devices: [], ...inlet.credential });
  t.equal(raw.length, 4);
  for (const secret of [bob.account, bob.identity.public, bob.auth.public]) {
    t.notOk(raw.some((frame) => frame.includes(toHex(secret))));
  }
  t.match(nobody.responses.get(2), { code: 'DEVICES_MISMATCH' });
});

t.test('a device takes the tokens it registered with it when it goes', async (t) => {
  const bench = await benchRelay();
  const bob = newPerson();
  const b = await bench.register(bob);
  const tablet = newDevice(bob, 2);
  await b.ask({ kind: 'putDevices', devices: signList(bob, 2, [bob, tablet].map(deviceEntry)) });
  const second = await bench.login(tablet);
  const [phones, tablets, adopted] = [newGrant(), newGrant(), newGrant()];
  await b.ask(phones.put);
  await second.ask(tablets.put);
  await second.ask(adopted.put);
  await b.ask(adopted.put);
  t.equal((await idsOf(b)).length, 3, 'every device sees all of them');
  await b.ask({ kind: 'putDevices', devices: signList(bob, 3, [deviceEntry(bob)]) });
  t.strictSame(await idsOf(b), [phones, adopted].map(({ put }) => toHex(put.id)).sort());
  const nobody = await anonymous(bench);
  const letter = (grant: typeof phones) => sealedOp(bob.account, grant, part(bob, bytes('x')));
  t.equal((await nobody.ask(letter(tablets))).code, 'REFUSED');
  t.equal((await nobody.ask(letter(adopted))).code, 'CONFIRMED');
});

t.test(
  'ATK-I12 nobody suppresses a message with its client id, whatever token they have',
  async (t) => {
    const bench = await benchRelay();
    const bob = newPerson();
    const b = await bench.register(bob);
    const [shared, other] = [newGrant(), newGrant({ isInlet: true })];
    for (const { put } of [shared, other]) await b.ask(put);
    const [one, two] = [await anonymous(bench), await anonymous(bench)];
    const clientId = provider.randomBytes(16);
    const letter = (text: string) => part(bob, bytes(text), clientId);
    const viaToken = (socket: FakeSocket, text: string) =>
      socket.ask(sealedOp(bob.account, shared, letter(text)));
    t.equal((await viaToken(one, 'forged first')).code, 'CONFIRMED');
    t.equal((await viaToken(two, 'genuine')).code, 'CONFIRMED', 'the same token, other content');
    t.equal((await viaToken(two, 'genuine')).code, 'CONFIRMED', 'a repeat');
    t.equal((await viaToken(one, 'genuine')).code, 'CONFIRMED', 'on another socket as well');
    const viaInlet = await two.ask(sealedOp(other.put.id, other, letter('genuine')));
    t.equal(viaInlet.code, 'CONFIRMED', 'another token');
    t.strictSame(b.bodies(), ['forged first', 'genuine', 'genuine']);
    b.post({ kind: 'ack', through: b.delivered.at(-1)!.seq, also: [] });
    await bench.clock.pass(1_000);
    t.equal((await viaToken(two, 'genuine')).code, 'CONFIRMED', 'acknowledged meanwhile');
    t.equal(b.delivered.length, 3, 'and still known');
  },
);
