// The whole relay over real sockets, on both transports.
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  encodeFrame,
  MAX_ENVELOPE_BYTES,
  MAX_FRAME_BYTES,
  request,
  type RequestOp,
} from '@qasid/protocol/envelope';
import { provider } from '@qasid/protocol/crypto/node';
import { NO_QUOTAS, type RelayOptions, type RunningRelay, startRelay } from '@qasid/relay';
import t, { type Test } from 'tap';
import {
  deviceEntry,
  fakePrekeys,
  newDevice,
  newPerson,
  part,
  sendOp,
  signList,
  TestClient,
} from '../support/client.js';

async function relayFor(t: Test, options: RelayOptions = {}): Promise<RunningRelay> {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-relay-'));
  const relay = await startRelay({
    port: 0,
    directory,
    quotas: NO_QUOTAS,
    logLevel: 'silent',
    requirePadding: false,
    ...options,
  });
  t.teardown(async () => {
    await relay.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return relay;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const text = (length: number): string => 'x'.repeat(length);

async function get(url: string, path: string): Promise<number> {
  return (await fetch(url.replace('ws:', 'http:') + path)).status;
}

function scenarios(t: Test, options: RelayOptions): void {
  t.test('a letter, end to end, and gone when it was acknowledged', async (t) => {
    const relay = await relayFor(t, options);
    const [alice, bob] = [newPerson(), newPerson()];
    const a = await TestClient.register(relay.url, alice, { username: 'alice' });
    const b = await TestClient.register(relay.url, bob, { username: 'bob' });
    const found = await a.ask({ kind: 'lookup', username: 'bob' });
    t.strictSame(found.body, { kind: 'found', account: bob.account });
    const taken = await a.ask({ kind: 'takePrekeys', account: bob.account, devices: [] });
    t.match(taken, { code: 'CONFIRMED', body: { bundles: [{ device: 1, kemLastResort: false }] } });
    const devices = await a.ask({ kind: 'devices', account: bob.account });
    t.match(devices, { code: 'CONFIRMED', body: { devices: bob.devices, username: 'bob' } });
    t.equal((await a.send(bob, 'salaam')).code, 'CONFIRMED');
    await b.until(() => b.delivered.length === 1);
    t.strictSame(b.bodies(), ['salaam']);
    t.equal((await relay.totals()).envelopes, 1, 'kept until acknowledged');
    b.ack(b.delivered[0]!.seq);
    await pause(150);
    t.equal((await relay.totals()).envelopes, 0);
  });

  t.test('backlog in order, then QueueEmpty, then live', async (t) => {
    const relay = await relayFor(t, options);
    const [alice, bob] = [newPerson(), newPerson()];
    const a = await TestClient.register(relay.url, alice);
    await (await TestClient.register(relay.url, bob)).close();
    const texts = Array.from({ length: 350 }, (_, index) => `message ${index}`);
    const codes = await Promise.all(texts.slice(0, 60).map((body) => a.send(bob, body)));
    t.ok(codes.every(({ code }) => code === 'CONFIRMED'));
    for (const body of texts.slice(60)) await a.send(bob, body);
    const b = await TestClient.connect(relay.url);
    await b.auth(bob);
    await b.until(() => b.delivered.length >= 256);
    await pause(100);
    t.equal(b.delivered.length, 256, 'the window is full');
    t.notOk(b.events.some(({ kind }) => kind === 'queueEmpty'));
    b.ack(b.delivered[99]!.seq);
    await b.until(() => b.delivered.length === 350);
    await b.until(() => b.events.some(({ kind }) => kind === 'queueEmpty'));
    b.ack(b.delivered.at(-1)!.seq);
    await a.send(bob, 'live');
    await b.until(() => b.delivered.length === 351);
    t.strictSame(b.bodies(), [...texts, 'live']);
    const kinds = b.events.map(({ kind }) => kind).filter((kind) => kind !== 'prekeysLow');
    t.equal(kinds.indexOf('queueEmpty'), kinds.length - 2, 'said once, before what is new');
    t.ok(b.delivered.every(({ attempt }) => attempt === 0));
  });

  t.test('ATK-I03 what was not acknowledged comes again, in order, and says so', async (t) => {
    const relay = await relayFor(t, options);
    const [alice, bob] = [newPerson(), newPerson()];
    const a = await TestClient.register(relay.url, alice);
    const b = await TestClient.register(relay.url, bob);
    for (const body of ['1', '2', '3']) await a.send(bob, body);
    await b.until(() => b.delivered.length === 3);
    b.ack(b.delivered[0]!.seq);
    await pause(20);
    b.kill();
    // Until the relay has noticed, '4' would be sent into the dead socket and count as an attempt.
    await pause(100);
    await a.send(bob, '4');
    const again = await TestClient.login(relay.url, bob);
    await again.until(() => again.delivered.length === 3);
    t.strictSame(
      again.delivered.map(({ attempt }, index) => [again.bodies()[index], attempt]),
      [
        ['2', 1],
        ['3', 1],
        ['4', 0],
      ],
    );
    again.ack(again.delivered.at(-1)!.seq);
    await pause(150);
    t.equal((await relay.totals()).envelopes, 0);
  });

  t.test('a newer socket of a device takes over', async (t) => {
    const relay = await relayFor(t, options);
    const bob = newPerson();
    const first = await TestClient.register(relay.url, bob);
    const second = await TestClient.login(relay.url, bob);
    await first.until(() => first.closeCode !== undefined);
    t.equal(first.events.at(-1)?.kind, 'replaced');
    t.equal(first.closeCode, 4409);
    t.equal((await second.ask({ kind: 'ping' })).code, 'CONFIRMED');
  });

  t.test('ATK-I08 wrong devices are named in the answer', async (t) => {
    const relay = await relayFor(t, options);
    const [alice, bob] = [newPerson(), newPerson()];
    const tablet = newDevice(bob, 2);
    const a = await TestClient.register(relay.url, alice);
    const b = await TestClient.register(relay.url, bob);
    const list = signList(bob, 2, [deviceEntry(bob), deviceEntry(tablet)]);
    t.equal((await b.ask({ kind: 'putDevices', devices: list })).code, 'CONFIRMED');
    t.match(await a.send(bob, 'x'), {
      code: 'DEVICES_MISMATCH',
      body: { kind: 'mismatch', missing: [2], extra: [] },
    });
    const body = new Uint8Array(3);
    t.match(
      await a.ask(sendOp(bob, part(bob, body), part({ ...tablet, registrationId: 1 }, body))),
      {
        code: 'DEVICES_STALE',
        body: { kind: 'stale', devices: [2] },
      },
    );
    t.equal((await a.ask(sendOp(bob, part(bob, body), part(tablet, body)))).code, 'CONFIRMED');
    t.equal((await b.ask(sendOp(bob, part(tablet, body)))).code, 'CONFIRMED', 'to one’s own');
    t.equal((await a.send(newPerson(), 'x')).code, 'NOT_FOUND');
    // The tablet reads what came, and goes.
    const onTablet = await TestClient.login(relay.url, tablet);
    await onTablet.until(() => onTablet.delivered.length === 2);
    const without = signList(bob, 3, [deviceEntry(bob)]);
    t.equal((await b.ask({ kind: 'putDevices', devices: without })).code, 'CONFIRMED');
    await onTablet.until(() => onTablet.closeCode !== undefined);
    t.equal(onTablet.closeCode, 4410);
    await t.rejects(TestClient.login(relay.url, tablet), 'a device that was removed cannot return');
  });

  t.test('ATK-G01 ATK-B13 ATK-G04 only the account itself changes its devices', async (t) => {
    const relay = await relayFor(t, options);
    const bob = newPerson();
    const b = await TestClient.register(relay.url, bob);
    const ghost = newDevice(bob, 2);
    const entries = [deviceEntry(bob), deviceEntry(ghost)];
    const forged = signList({ ...newPerson(), account: bob.account }, 2, entries);
    const put = async (devices: typeof forged): Promise<string> =>
      (await b.ask({ kind: 'putDevices', devices })).code;
    t.equal(await put(forged), 'REFUSED');
    t.equal(await put(signList({ ...bob, account: newPerson().account }, 2, entries)), 'REFUSED');
    t.equal(await put(signList(bob, 1, entries)), 'VERSION_CONFLICT');
    t.equal(await put(signList(bob, 3, entries)), 'VERSION_CONFLICT');
    t.equal(await put(signList(bob, 2, entries)), 'CONFIRMED');
    t.equal(await put(bob.devices), 'VERSION_CONFLICT', 'the first list again is a rollback');
    const many = Array.from({ length: 9 }, (_, index) => deviceEntry(newDevice(bob, index + 1)));
    t.equal(await put(signList(bob, 3, many)), 'TOO_LARGE');
  });

  t.test('registration: names, repeats, wrong proofs', async (t) => {
    const relay = await relayFor(t, options);
    const [alice, bob] = [newPerson(), newPerson()];
    const a = await TestClient.register(relay.url, alice, { username: 'alice' });
    t.equal((await a.auth(alice)).code, 'CONFIRMED', 'asked to prove what is proven');
    const b = await TestClient.connect(relay.url);
    t.equal((await b.registerAs(bob, { username: 'alice' })).code, 'USERNAME_TAKEN');
    await b.until(() => b.events.filter(({ kind }) => kind === 'challenge').length === 2);
    t.equal((await b.registerAs(bob, { username: 'bob' })).code, 'CONFIRMED');
    // The answer was lost: the client does it again from the start.
    const again = await TestClient.register(relay.url, bob, { username: 'bob' });
    const counts = await again.ask({ kind: 'prekeyCount' });
    t.match(counts.body, { oneTime: 3, kem: 3, signedId: 900_001, lastResortKemId: 900_002 });
    // Somebody else with the same account id.
    const thief = await TestClient.connect(relay.url);
    const stolen = { ...newPerson(), account: bob.account };
    const entries = [deviceEntry(stolen)];
    const answer = await thief.registerAs({ ...stolen, devices: signList(stolen, 1, entries) });
    t.equal(answer.code, 'REFUSED');
    // A device list that somebody else signed.
    const forged = await TestClient.connect(relay.url);
    t.equal((await forged.registerAs({ ...newPerson(), devices: bob.devices })).code, 'REFUSED');
    await forged.until(() => forged.closeCode === 4401);
    const bare = await TestClient.connect(relay.url);
    const nothing = await bare.registerAs(newPerson(), { prekeys: { oneTime: [], kem: [] } });
    t.equal(nothing.code, 'BAD_REQUEST', 'without signed prekeys nobody could write');
  });

  t.test('ATK-I06 proofs are for one socket, one device, once', async (t) => {
    const relay = await relayFor(t, options);
    const bob = newPerson();
    await (await TestClient.register(relay.url, bob)).close();
    const refuse = async (name: string, person: typeof bob): Promise<void> => {
      const client = await TestClient.connect(relay.url);
      t.equal((await client.auth(person)).code, 'REFUSED', name);
      await client.until(() => client.closeCode !== undefined);
      t.equal(client.closeCode, 4401, name);
    };
    await refuse('another key', { ...bob, auth: provider.ed25519KeyPair() });
    await refuse('another device', { ...bob, device: 2 });
    await refuse('nobody', newPerson());
    const one = await TestClient.connect(relay.url);
    const two = await TestClient.connect(relay.url);
    two.events.length = 0;
    two.events.push(one.challenge!);
    t.equal((await two.auth(bob)).code, 'REFUSED', 'the nonce of another socket');
    const early = await TestClient.connect(relay.url);
    for (const op of [
      sendOp(bob, part(bob, new Uint8Array(1))),
      { kind: 'lookup', username: 'bob' },
      { kind: 'devices', account: bob.account },
      { kind: 'takePrekeys', account: bob.account, devices: [] },
      { kind: 'ack', through: 5, also: [] },
    ] satisfies RequestOp[]) {
      t.equal((await early.ask(op)).code, 'REFUSED', `${op.kind} before the proof`);
    }
    t.equal((await early.ask({ kind: 'ping' })).code, 'CONFIRMED');
    t.equal((await early.auth(bob)).code, 'CONFIRMED');
    await early.auth(newPerson()).catch(() => undefined);
    await early.until(() => early.closeCode === 4401);
  });

  t.test('limits answer with a code, on both sides', async (t) => {
    const relay = await relayFor(t, { ...options, mailboxEnvelopesMax: 3 });
    const [alice, bob] = [newPerson(), newPerson()];
    const a = await TestClient.register(relay.url, alice);
    await (await TestClient.register(relay.url, bob)).close();
    t.equal((await a.send(bob, text(MAX_ENVELOPE_BYTES))).code, 'CONFIRMED');
    t.equal((await a.send(bob, text(MAX_ENVELOPE_BYTES + 1))).code, 'TOO_LARGE');
    const id = provider.randomBytes(16);
    t.equal((await a.send(bob, 'same', id)).code, 'CONFIRMED');
    t.equal((await a.send(bob, 'same', id)).code, 'CONFIRMED', 'a retry');
    t.equal((await a.send(bob, 'other', id)).code, 'BAD_REQUEST', 'not a retry');
    t.equal((await a.send(bob, 'third')).code, 'CONFIRMED');
    t.equal((await a.send(bob, 'fourth')).code, 'MAILBOX_FULL');
    t.equal((await relay.totals()).envelopes, 3);
  });

  t.test('ephemeral envelopes reach who is online and are never stored', async (t) => {
    const relay = await relayFor(t, options);
    const [alice, bob] = [newPerson(), newPerson()];
    const a = await TestClient.register(relay.url, alice);
    const b = await TestClient.register(relay.url, bob);
    const ring = (): RequestOp => ({
      ...(sendOp(bob, part(bob, new Uint8Array([7]))) as RequestOp & { kind: 'send' }),
      ephemeral: true,
    });
    t.equal((await a.ask(ring())).code, 'CONFIRMED');
    await b.until(() => b.delivered.length === 1);
    t.equal(b.delivered[0]!.seq, 0);
    t.equal((await relay.totals()).envelopes, 0);
    await b.close();
    t.equal((await a.ask(ring())).code, 'CONFIRMED');
    const later = await TestClient.login(relay.url, bob);
    await later.until(() => later.events.some(({ kind }) => kind === 'queueEmpty'));
    t.equal(later.delivered.length, 0);
  });

  t.test('prekeys: counted, low stock told once, taken by many at once', async (t) => {
    const relay = await relayFor(t, options);
    const bob = newPerson();
    const b = await TestClient.register(relay.url, bob, { prekeys: fakePrekeys(20) });
    const takers = await Promise.all(
      Array.from({ length: 3 }, () => TestClient.register(relay.url, newPerson())),
    );
    const low = () => b.events.filter(({ kind }) => kind === 'prekeysLow');
    const op = { kind: 'takePrekeys', account: bob.account, devices: [1] } as const;
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, index) => takers[index % 3]!.ask(op)),
    );
    const bundles = answers.map(({ body }) => (body.kind === 'bundles' ? body.bundles[0]! : null));
    const ids = bundles.flatMap((bundle) => bundle?.oneTime?.id ?? []);
    const kem = bundles.filter((bundle) => bundle?.kemLastResort === false).map((x) => x!.kem.id);
    t.equal(new Set(ids).size, 20, 'ATK-I07 each one-time key once');
    t.equal(ids.length, 20);
    t.equal(new Set(kem).size, 20);
    t.equal(bundles.filter((bundle) => bundle?.kemLastResort).length, 4);
    await b.until(() => low().length > 0);
    t.equal(low().length, 1, 'told once');
    t.equal((await b.ask({ kind: 'putPrekeys', prekeys: fakePrekeys(30, 50) })).code, 'CONFIRMED');
    t.match((await b.ask({ kind: 'prekeyCount' })).body, { oneTime: 30, kem: 30 });
  });

  t.test('ATK-I10 hostile bytes close their socket and nothing else', async (t) => {
    const relay = await relayFor(t, options);
    const [alice, bob] = [newPerson(), newPerson()];
    const a = await TestClient.register(relay.url, alice);
    const b = await TestClient.register(relay.url, bob);
    const hostile: Record<string, [Uint8Array | string, readonly number[]]> = {
      'not protobuf': [new Uint8Array([0xff, 0xff, 0xff]), [4400]],
      text: ['hello', [4400]],
      'an event': [encodeFrame([{ kind: 'event', event: { kind: 'queueEmpty' } }]), [4400]],
      'too large': [new Uint8Array(MAX_FRAME_BYTES + 1), [1006, 1009]],
    };
    for (const [name, [frame, codes]] of Object.entries(hostile)) {
      const client = await TestClient.connect(relay.url);
      client.raw(frame);
      await client.until(() => client.closeCode !== undefined);
      t.ok(codes.includes(client.closeCode!), `${name}: ${client.closeCode}`);
    }
    const future = await a.ask({ kind: 'ping' }).then(() => {
      const item = encodeFrame([request(77, { kind: 'ping' })]);
      // Field 15 (ping) becomes field 60 of the request: an operation nobody knows yet.
      const at = item.lastIndexOf(0x7a);
      return [...item.slice(0, at), 0xe2, 0x03, ...item.slice(at + 1)];
    });
    const lengths = Uint8Array.from(future);
    lengths[1] = lengths[1]! + 1;
    lengths[3] = lengths[3]! + 1;
    a.raw(lengths);
    t.equal((await a.ask({ kind: 'ping' })).code, 'CONFIRMED', 'an unknown operation is survived');
    t.equal((await a.send(bob, 'still here')).code, 'CONFIRMED');
    await b.until(() => b.bodies().includes('still here'));
  });

  t.test('ATK-I10 a reader that stops reading holds up nobody, and misses nothing', async (t) => {
    // A window far above what the system buffers, so that the socket's own limit is what holds.
    const relay = await relayFor(t, { ...options, windowBytes: 2 ** 26 });
    const [alice, bob, carol] = [newPerson(), newPerson(), newPerson()];
    const a = await TestClient.register(relay.url, alice);
    const b = await TestClient.register(relay.url, bob);
    const c = await TestClient.register(relay.url, carol);
    b.pause();
    const bodies = Array.from({ length: 200 }, (_, index) => `${index} ${text(60_000)}`);
    for (const body of bodies) t.equal((await a.send(bob, body)).code, 'CONFIRMED');
    t.equal((await a.send(carol, 'meanwhile')).code, 'CONFIRMED');
    await c.until(() => c.bodies().includes('meanwhile'));
    t.equal(b.closeCode, undefined, 'still connected');
    t.equal((await relay.totals()).envelopes, 201);
    b.autoAck = true;
    b.resume();
    await b.until(() => b.delivered.length === bodies.length);
    t.strictSame(
      b.bodies().map((body) => Number.parseInt(body, 10)),
      bodies.map((_, index) => index),
    );
    t.ok(
      b.delivered.every(({ attempt }) => attempt === 0),
      'each once',
    );
  });

  t.test('ATK-D08 two health pages, and no other', async (t) => {
    const relay = await relayFor(t, options);
    t.equal(await get(relay.url, '/livez'), 200);
    t.equal(await get(relay.url, '/readyz'), 200);
    for (const path of ['/', '/metrics', '/debug', '/debug/pprof', '/json', '/admin', '/livez/x']) {
      const status = await get(relay.url, path);
      t.ok(status === 404 || status === 426 || status === 400, `${path}: ${status}`);
    }
    await t.rejects(TestClient.connect(`${relay.url}/other`), 'no socket elsewhere');
  });

  t.test('closing tells clients, keeps what is queued, and frees the port', async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'qasid-relay-'));
    t.teardown(() => rmSync(directory, { recursive: true, force: true }));
    const start = (port = 0): Promise<RunningRelay> =>
      startRelay({
        requirePadding: false,
        ...options,
        port,
        directory,
        quotas: NO_QUOTAS,
        logLevel: 'silent',
      });
    const relay = await start();
    const [alice, bob] = [newPerson(), newPerson()];
    const a = await TestClient.register(relay.url, alice);
    await (await TestClient.register(relay.url, bob)).close();
    const sends = Array.from({ length: 50 }, (_, index) => a.send(bob, `n${index}`));
    const closed = relay.close();
    const codes = (await Promise.allSettled(sends)).map((sent) =>
      sent.status === 'fulfilled' ? sent.value.code : 'LOST',
    );
    await closed;
    await relay.close();
    await a.until(() => a.closeCode !== undefined);
    t.equal(a.closeCode, 1012);
    t.ok(a.events.some(({ kind }) => kind === 'draining'));
    const again = await start(relay.port);
    t.teardown(() => again.close());
    t.strictSame(again.relayId, relay.relayId, 'the same relay');
    const b = await TestClient.login(again.url, bob);
    await b.until(() => b.events.some(({ kind }) => kind === 'queueEmpty'));
    const confirmed = codes.flatMap((code, index) => (code === 'CONFIRMED' ? [`n${index}`] : []));
    for (const body of confirmed) t.ok(b.bodies().includes(body), body);
    for (const name of readdirSync(directory)) {
      const { mode } = statSync(join(directory, name));
      const isDirectory = statSync(join(directory, name)).isDirectory();
      t.equal(mode & 0o777, isDirectory ? 0o700 : 0o600, name);
    }
    t.equal(statSync(directory).mode & 0o777, 0o700);
  });
}

for (const options of [
  { transport: 'uws', storeThread: 'main' },
  { transport: 'ws', storeThread: 'main' },
  { transport: 'uws', storeThread: 'worker' },
] as const) {
  t.test(`over ${options.transport}, store on ${options.storeThread}`, async (t) => {
    scenarios(t, options);
  });
}
