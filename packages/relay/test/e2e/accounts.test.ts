// Accounts over real sockets: join, name, delete, meet in a rendezvous.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { provider } from '@qasid/protocol/crypto/node';
import { type Bytes, MAX_RENDEZVOUS_BYTES, signLinkGrant } from '@qasid/protocol/envelope';
import { NO_QUOTAS, type RelayOptions, type RunningRelay, startRelay } from '@qasid/relay';
import t, { type Test } from 'tap';
import {
  deviceEntry,
  fakePrekeys,
  newDevice,
  newPerson,
  part,
  type Person,
  sendOp,
  signList,
  TestClient,
} from '../support/client.js';

interface Running extends RunningRelay {
  readonly directory: string;
}

async function relayFor(t: Test, options: RelayOptions = {}): Promise<Running> {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-accounts-'));
  const relay = await startRelay({
    port: 0,
    directory,
    transport: 'ws',
    quotas: NO_QUOTAS,
    logLevel: 'silent',
    requirePadding: false,
    ...options,
  });
  t.teardown(async () => {
    await relay.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return { ...relay, directory };
}

const isClosed = (client: TestClient, code: number): Promise<void> =>
  client.until(() => client.closeCode === code, 30_000);

t.test('a device joins: its list and its prekeys are visible together', async (t) => {
  const relay = await relayFor(t);
  const [alice, bob] = [newPerson(), newPerson()];
  const tablet = newDevice(bob, 2);
  const a = await TestClient.register(relay.url, alice);
  const b = await TestClient.register(relay.url, bob);
  const list = signList(bob, 2, [deviceEntry(bob), deviceEntry(tablet)]);
  const c = await TestClient.connect(relay.url);
  t.equal((await c.linkAs(tablet, list)).code, 'CONFIRMED');
  await b.until(() => b.events.some(({ kind }) => kind === 'devicesChanged'), 30_000);
  t.match(await a.ask({ kind: 'takePrekeys', account: bob.account, devices: [] }), {
    code: 'CONFIRMED',
    body: { bundles: [{ device: 1 }, { device: 2 }] },
  });
  const body = new Uint8Array(3);
  t.equal((await a.ask(sendOp(bob, part(bob, body), part(tablet, body)))).code, 'CONFIRMED');
  await c.until(() => c.delivered.length === 1, 30_000);
  await c.close();
  // The answer might have been lost: the same once more, and a login.
  const again = await TestClient.connect(relay.url);
  t.equal((await again.linkAs(tablet, list)).code, 'CONFIRMED');
  await (await TestClient.login(relay.url, tablet)).close();
});

t.test('ATK-G01 ATK-G05 nobody joins without a grant for exactly this list, now', async (t) => {
  const relay = await relayFor(t);
  const bob = newPerson();
  await TestClient.register(relay.url, bob);
  const mallory = newPerson();
  const tablet = newDevice(bob, 2);
  const list = signList(bob, 2, [deviceEntry(bob), deviceEntry(tablet)]);
  const random = provider.randomBytes(64);
  const soon = Math.floor(Date.now() / 1000) + 100;
  const refuse = async (
    name: string,
    person: Person,
    devices = list,
    options: Parameters<TestClient['linkAs']>[2] = {},
  ): Promise<void> => {
    const client = await TestClient.connect(relay.url);
    t.equal((await client.linkAs(person, devices, options)).code, 'REFUSED', name);
    await isClosed(client, 4401);
  };
  await refuse('over', tablet, list, { seconds: -1 });
  await refuse('for too long', tablet, list, { seconds: 400 });
  await refuse('another key', { ...tablet, auth: provider.ed25519KeyPair() });
  await refuse('a device the list does not name', { ...tablet, device: 3 });
  await refuse('another account', { ...tablet, account: mallory.account });
  const foreign = signLinkGrant(provider, mallory.identity.secret, random, list, soon);
  await refuse('granted by a stranger', tablet, list, { grant: foreign });
  const other = signList(bob, 2, [deviceEntry(bob), deviceEntry(newDevice(bob, 3))]);
  const grant = signLinkGrant(provider, bob.identity.secret, random, other, soon);
  await refuse('a grant for another list', tablet, list, { grant });
  const forged = signList({ ...mallory, account: bob.account }, 2, [
    deviceEntry(bob),
    deviceEntry(tablet),
  ]);
  await refuse('a list a stranger signed', tablet, forged);
  const bare = await TestClient.connect(relay.url);
  const nothing = await bare.linkAs(tablet, list, { prekeys: { oneTime: [], kem: [] } });
  t.equal(nothing.code, 'BAD_REQUEST', 'without signed prekeys nobody could write');
  t.match(await relay.totals(), { devices: 1 }, 'nothing of all that has changed anything');
  const stale = await TestClient.connect(relay.url);
  const third = signList(bob, 3, [deviceEntry(bob), deviceEntry(tablet)]);
  t.equal((await stale.linkAs(tablet, third)).code, 'VERSION_CONFLICT');
  await stale.until(() => stale.events.filter(({ kind }) => kind === 'challenge').length === 2);
  t.equal((await stale.linkAs(tablet, list)).code, 'CONFIRMED', 'and with the right one it joins');
});

t.test('a name is set, changed and given up', async (t) => {
  const relay = await relayFor(t);
  const [alice, bob] = [newPerson(), newPerson()];
  const a = await TestClient.register(relay.url, alice);
  const b = await TestClient.register(relay.url, bob, { username: 'bob' });
  t.equal((await a.ask({ kind: 'setUsername', username: 'bob' })).code, 'USERNAME_TAKEN');
  t.equal((await a.ask({ kind: 'setUsername', username: 'alice' })).code, 'CONFIRMED');
  t.match(await b.ask({ kind: 'lookup', username: 'alice' }), { body: { account: alice.account } });
  t.equal((await b.ask({ kind: 'setUsername' })).code, 'CONFIRMED');
  t.equal((await a.ask({ kind: 'lookup', username: 'bob' })).code, 'NOT_FOUND');
  t.equal((await a.ask({ kind: 'setUsername', username: 'bob' })).code, 'USERNAME_TAKEN', 'rests');
});

t.test(
  'ATK-D11 trying names costs the budget of look-ups, and a miss costs what a hit costs',
  async (t) => {
    const relay = await relayFor(t, {
      quotas: { ...NO_QUOTAS, lookups: { burst: 4, perSecond: 1e-6 } },
    });
    const [alice, bob] = [newPerson(), newPerson()];
    const a = await TestClient.register(relay.url, alice);
    await TestClient.register(relay.url, bob, { username: 'bob' });
    t.equal((await a.ask({ kind: 'lookup', username: 'bob' })).code, 'CONFIRMED');
    t.equal((await a.ask({ kind: 'lookup', username: 'nobody' })).code, 'NOT_FOUND');
    t.equal((await a.ask({ kind: 'devices', account: bob.account })).code, 'CONFIRMED');
    t.equal((await a.ask({ kind: 'setUsername', username: 'bob' })).code, 'USERNAME_TAKEN');
    for (const op of [
      { kind: 'lookup', username: 'bob' },
      { kind: 'lookup', username: 'nobody' },
      { kind: 'devices', account: bob.account },
      { kind: 'setUsername', username: 'bob' },
      { kind: 'setUsername', username: 'nobody' },
    ] as const) {
      t.equal((await a.ask(op)).code, 'RATE_LIMITED', op.kind);
    }
  },
);

/** Every byte of every file of the relay. */
function filesOf(directory: string): Buffer {
  const files = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isFile());
  return Buffer.concat(files.map(({ name }) => readFileSync(join(directory, name))));
}

t.test('an account that is deleted leaves no byte in the files of the relay', async (t) => {
  for (const storeThread of ['main', 'worker'] as const) {
    const relay = await relayFor(t, { storeThread });
    const [alice, bob] = [newPerson(), newPerson()];
    const prekeys = fakePrekeys(40);
    const a = await TestClient.register(relay.url, alice);
    const b = await TestClient.register(relay.url, bob, { username: 'to-be-deleted', prekeys });
    const bodies = [300, 9_000].map((length) => provider.randomBytes(length));
    for (const body of bodies) {
      t.equal((await a.ask(sendOp(bob, part(bob, body)))).code, 'CONFIRMED');
    }
    const traces: Record<string, Uint8Array> = {
      account: bob.account,
      'identity key': bob.identity.public,
      'auth key': bob.auth.public,
      'list signature': bob.devices.signature,
      name: new TextEncoder().encode('to-be-deleted'),
      'signed prekey': prekeys.signed!.public,
      'one-time prekey': prekeys.oneTime[39]!.public,
      'KEM prekey': prekeys.kem[39]!.public.subarray(0, 64) as Bytes,
      'small envelope': bodies[0]!.subarray(0, 64),
      'start of a large envelope': bodies[1]!.subarray(0, 64),
      'end of a large envelope': bodies[1]!.subarray(8_900),
    };
    const before = filesOf(relay.directory);
    for (const [name, bytes] of Object.entries(traces)) {
      t.ok(before.includes(Buffer.from(bytes)), `${storeThread}: ${name} was there`);
    }
    const last = await TestClient.connect(relay.url);
    t.equal((await last.deleteAs(bob)).code, 'CONFIRMED');
    await isClosed(last, 4410);
    await isClosed(b, 4410);
    const after = filesOf(relay.directory);
    for (const [name, bytes] of Object.entries(traces)) {
      t.notOk(after.includes(Buffer.from(bytes)), `${storeThread}: ${name} is gone`);
    }
    t.equal((await a.send(bob, 'late')).code, 'NOT_FOUND');
    t.match(await relay.totals(), { accounts: 1, devices: 1, envelopes: 0 });
  }
});

t.test(
  'ATK-I06 an account is deleted by its identity key, on this socket, and by nothing else',
  async (t) => {
    const relay = await relayFor(t);
    const [bob, mallory] = [newPerson(), newPerson()];
    const b = await TestClient.register(relay.url, bob);
    const refuse = async (name: string, person: Person): Promise<void> => {
      const client = await TestClient.connect(relay.url);
      t.equal((await client.deleteAs(person)).code, 'REFUSED', name);
      await isClosed(client, 4401);
    };
    await refuse('by a stranger', { ...bob, identity: mallory.identity });
    await refuse('somebody unknown', mallory);
    const replayed = await TestClient.connect(relay.url);
    const earlier = replayed.challenge!;
    replayed.events.push({ ...earlier, nonce: provider.randomBytes(32) });
    t.equal((await replayed.deleteAs(bob)).code, 'REFUSED', 'for another challenge');
    t.equal((await b.ask({ kind: 'ping' })).code, 'CONFIRMED', 'it is still there');
  },
);

t.test('two devices meet in a rendezvous, once', async (t) => {
  const relay = await relayFor(t);
  const [here, there] = [provider.randomBytes(16), provider.randomBytes(16)];
  const fresh = await TestClient.connect(relay.url);
  const primary = await TestClient.connect(relay.url);
  const message = provider.randomBytes(MAX_RENDEZVOUS_BYTES);
  const waiting = fresh.ask({ kind: 'rendezvousTake', slot: here });
  t.equal((await primary.ask({ kind: 'rendezvousPut', slot: here, message })).code, 'CONFIRMED');
  t.strictSame((await waiting).body, { kind: 'rendezvous', message });
  const small = provider.randomBytes(5);
  const put = { kind: 'rendezvousPut', slot: there, message: small } as const;
  t.equal((await fresh.ask(put)).code, 'CONFIRMED');
  t.equal((await fresh.ask(put)).code, 'REFUSED', 'one message each way');
  const taken = await primary.ask({ kind: 'rendezvousTake', slot: there });
  t.strictSame(taken.body, { kind: 'rendezvous', message: small });
  for (const slot of [here, there]) {
    const again = await primary.ask({ kind: 'rendezvousTake', slot });
    t.equal(again.code, 'REFUSED', 'what was handed out is not there a second time');
    t.equal((await primary.ask({ ...put, slot })).code, 'REFUSED', 'and the name is used up');
  }
  // Whoever goes away stops waiting, and somebody else may.
  const slot = provider.randomBytes(16);
  const gone = await TestClient.connect(relay.url);
  void gone.ask({ kind: 'rendezvousTake', slot }).catch(() => undefined);
  await gone.ask({ kind: 'ping' });
  t.equal((await primary.ask({ kind: 'rendezvousTake', slot })).code, 'REFUSED', 'one waits');
  gone.kill();
  let answer = primary.ask({ kind: 'rendezvousTake', slot });
  const deadline = Date.now() + 30_000;
  for (;;) {
    const outcome = await Promise.race([answer, primary.ask({ kind: 'ping' })]);
    if (outcome.code !== 'REFUSED' || Date.now() > deadline) break;
    answer = primary.ask({ kind: 'rendezvousTake', slot });
  }
  await fresh.ask({ kind: 'rendezvousPut', slot, message: small });
  t.equal((await answer).code, 'CONFIRMED');
});

t.test('a rendezvous is for sockets that have proven nothing', async (t) => {
  const relay = await relayFor(t);
  const bob = newPerson();
  const b = await TestClient.register(relay.url, bob);
  const slot = provider.randomBytes(16);
  t.equal((await b.ask({ kind: 'rendezvousTake', slot })).code, 'REFUSED');
});

t.test('ATK-I14 meetings of strangers are limited altogether', async (t) => {
  const relay = await relayFor(t, {
    quotas: { ...NO_QUOTAS, rendezvousTotal: { burst: 3, perSecond: 1e-6 } },
  });
  const put = async (): Promise<string> => {
    const client = await TestClient.connect(relay.url);
    const op = {
      kind: 'rendezvousPut',
      slot: provider.randomBytes(16),
      message: new Uint8Array(1),
    };
    return (await client.ask(op as never)).code;
  };
  t.strictSame([await put(), await put(), await put()], ['CONFIRMED', 'CONFIRMED', 'CONFIRMED']);
  t.equal(await put(), 'RATE_LIMITED', 'also from another socket');
});
