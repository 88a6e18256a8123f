// What a program meets in real life: taken names, strangers, restarts, wrong clocks, several devices.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

import { StoreError } from '@qasid/protocol';
import { NO_QUOTAS, startRelay, type RunningRelay } from '@qasid/relay';
import { MemoryStore, QasidClient, type Clock } from '@qasid/client-sdk';
import { nodeDial, openNodeClient } from '@qasid/client-sdk/node';
import t from 'tap';

import { tempDirectory } from '../support/temp.js';
import { Inbox, person, testClient, testRelay, until } from '../support/world.js';

function fileRelay(directory: string, port = 0): Promise<RunningRelay> {
  return startRelay({ directory, port, quotas: NO_QUOTAS, logLevel: 'error' });
}

t.test('registering: again, taken, invalid, another name', async (t) => {
  const relay = await testRelay(t);
  const alice = await person(t, relay, 'alice');
  const { account } = alice.me;
  await alice.register({ username: 'alice' });
  t.equal(alice.me.account, account, 'the same account');
  await t.rejects(alice.register({ username: 'alicia' }), { code: 'ACCOUNT_EXISTS' });
  const store = new MemoryStore();
  const eve = await testClient(t, relay, { store });
  await t.rejects(eve.register({ username: 'Alice!' }), { code: 'ACCOUNT_NAME_INVALID' });
  await t.rejects(eve.send('alice', 'x'), { code: 'ACCOUNT_NOT_REGISTERED' });
  await t.rejects(eve.register({ username: 'alice' }), { code: 'ACCOUNT_NAME_TAKEN' });
  const identity = (await store.loadProfile())?.identity;
  await eve.register({ username: 'eve' });
  t.equal((await store.loadProfile())?.identity, identity, 'the identity made first is kept');
  const sees = new Inbox(eve);
  await (await alice.send('eve', 'hello')).confirmed;
  await sees.reach(1);
});

t.test('two clients of one profile register at once and stay', async (t) => {
  const relay = await testRelay(t);
  const store = new MemoryStore();
  const [one, two] = [await testClient(t, relay, { store }), await testClient(t, relay, { store })];
  await Promise.all([one.register({ username: 'alice' }), two.register({ username: 'alice' })]);
  t.equal(one.me.account, two.me.account);
  t.equal((await relay.totals()).accounts, 1);
  const bob = await person(t, relay, 'bob');
  const sees = new Inbox(bob);
  await Promise.all([one, two].map(async (client) => (await client.send('bob', 'hi')).confirmed));
  await sees.reach(2);
});

t.test('a client that registered and closed leaves nothing running', async (t) => {
  const relay = await testRelay(t);
  for (const username of ['ann', 'ben', 'cid']) {
    const store = new MemoryStore();
    const client = await person(t, relay, username, { store });
    await client.close();
    // Whatever still ran would take the connection now.
    await new Promise((resolve) => setTimeout(resolve, 400));
    t.ok(await store.ownConnection(), username);
  }
});

t.test('registering over a relay that dies at any moment', async (t) => {
  const relay = await testRelay(t);
  for (let allowed = 0; allowed < 4; allowed++) {
    // Lets through so many frames of the first connection, then cuts it.
    let left = allowed;
    const store = new MemoryStore();
    const username = `user${allowed}`;
    const first = await QasidClient.open({
      relay: relay.url,
      store,
      socket: (url, events) => {
        const socket = nodeDial(url, {
          ...events,
          received: (message) => {
            if (left-- > 0) events.received(message);
            else {
              socket.close();
            }
          },
        });
        return socket;
      },
    });
    const outcome = first.register({ username }).then(
      () => 'done',
      () => 'failed',
    );
    await until(async () => left < 0 || (await store.loadProfile())?.registration === 'registered');
    await first.close();
    await outcome;
    const second = await testClient(t, relay, { store });
    await second.register({ username });
    t.equal(second.me.registered, true, `after ${allowed} frames`);
    const peer = await person(t, relay, `peer${allowed}`);
    const sees = new Inbox(second);
    await (await peer.send(username, 'hello')).confirmed;
    await sees.reach(1);
  }
});

t.test('no relay, or something else at its address', async (t) => {
  const nowhere = await QasidClient.open({
    relay: 'ws://127.0.0.1:1',
    store: new MemoryStore(),
    socket: nodeDial,
  });
  await t.rejects(nowhere.register({ username: 'alice' }), { code: 'NET_UNREACHABLE' });
  await nowhere.close();
  const server = createServer((_, response) => response.end('hello'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const odd = await QasidClient.open({
    relay: `ws://127.0.0.1:${port}`,
    store: new MemoryStore(),
    socket: nodeDial,
  });
  await t.rejects(odd.register({ username: 'alice' }), { code: 'NET_NOT_A_RELAY' });
  await odd.close();
  const opening = { store: new MemoryStore(), socket: nodeDial };
  for (const nonsense of ['not a url', 'ws://not a url']) {
    const code = 'USAGE_ARGUMENT';
    await t.rejects(QasidClient.open({ ...opening, relay: nonsense }), { code }, nonsense);
  }
});

t.test('recipients nobody knows', async (t) => {
  const relay = await testRelay(t);
  const alice = await person(t, relay, 'alice');
  await t.rejects(alice.send('nobody', 'x'), { code: 'ACCOUNT_UNKNOWN' });
  await t.rejects(alice.send('No Body', 'x'), { code: 'ACCOUNT_NAME_INVALID' });
  await t.rejects(alice.send('ffffffff-ffff-ffff-ffff-ffffffffffff', 'x'), {
    code: 'ACCOUNT_UNKNOWN',
  });
  await t.rejects(alice.safetyNumber('nobody'), { code: 'ACCOUNT_UNKNOWN' });
  await t.rejects(alice.send('bob', 'x'.repeat(70_000)), { code: 'LIMIT_ENVELOPE_SIZE' });
  t.strictSame(await alice.pending(), [], 'nothing is left behind');
  const bob = await person(t, relay, 'bob');
  const sees = new Inbox(bob);
  const large = 'ق'.repeat(31_000);
  await (await alice.send('bob', large)).confirmed;
  await sees.reach(1);
  t.equal(sees.texts[0], large);
});

t.test('safety numbers agree, and need no session', async (t) => {
  const relay = await testRelay(t);
  const alice = await person(t, relay, 'alice');
  const bob = await person(t, relay, 'bob');
  const hers = await alice.safetyNumber('bob');
  const his = await bob.safetyNumber('alice');
  t.match(hers.digits, /^\d{60}$/);
  t.equal(hers.digits, his.digits);
  t.equal(hers.theirs.account, bob.me.account);
  t.equal(hers.changed, undefined);
  t.strictSame(await alice.pending(), []);
});

t.test('offline: queued, then sent in order when the relay is back', async (t) => {
  const directory = tempDirectory(t);
  let relay = await fileRelay(directory);
  const { port } = relay;
  const alice = await person(t, relay, 'alice');
  const bob = await person(t, relay, 'bob');
  const sees = new Inbox(bob);
  await (await alice.send('bob', '0')).confirmed;
  await sees.reach(1);
  await relay.close();
  const sent = [];
  for (const text of ['1', '2', '3']) sent.push(await alice.send('bob', text));
  const stranger = await alice.send('carol', 'who are you');
  t.equal((await alice.pending()).length, 4);
  await t.rejects(alice.flush({ timeoutMs: 50 }), { code: /^NET_/ });
  relay = await fileRelay(directory, port);
  t.teardown(() => relay.close());
  await Promise.all(sent.map(({ confirmed }) => confirmed));
  await sees.reach(4);
  t.strictSame(sees.texts, ['0', '1', '2', '3']);
  await t.rejects(stranger.confirmed, { code: 'ACCOUNT_UNKNOWN' });
});

t.test('closing in the middle of a send keeps the message', async (t) => {
  const relay = await testRelay(t);
  const store = new MemoryStore();
  await person(t, relay, 'bob').then((bob) => bob.close());
  // Hears nothing of the relay any more once `deaf`.
  let deaf = false;
  const first = await person(t, relay, 'alice', {
    store,
    socket: (url, events) =>
      nodeDial(url, { ...events, received: (frame) => void (deaf || events.received(frame)) }),
  });
  await (await first.send('bob', '1')).confirmed;
  deaf = true;
  const sent = await first.send('bob', '2');
  await new Promise((resolve) => setTimeout(resolve, 50));
  await first.close();
  await t.rejects(sent.confirmed, { code: 'NET_CLOSED' });
  t.equal((await store.loadSentMessage(sent.id))?.status, 'pending');
  const second = await testClient(t, relay, { store });
  t.equal((await second.pending()).length, 1);
  await second.flush({ timeoutMs: 5_000 });
  t.equal((await store.loadSentMessage(sent.id))?.status, 'confirmed');
});

t.test('closed at any moment of a send: it is in the outbox or was refused, typed', async (t) => {
  const relay = await testRelay(t);
  await person(t, relay, 'bob').then((bob) => bob.close());
  const directory = join(tempDirectory(t), 'alice');
  const open = () => openNodeClient({ relay: relay.url, directory });
  const first = await open();
  await first.register({ username: 'alice' });
  await (await first.send('bob', 'first')).confirmed;
  await first.close();
  const accepted: string[] = [];
  const codes = new Set<unknown>();
  const refused = (error: unknown): void => void codes.add((error as { code?: unknown }).code);
  for (let steps = 0; steps < 24; steps++) {
    const alice = await open();
    const text = `after ${steps} steps`;
    const sending = alice.send('bob', text).then(({ confirmed, id }) => {
      confirmed.catch(refused);
      accepted.push(id);
    }, refused);
    for (let step = 0; step < steps; step++) await Promise.resolve();
    if (steps > 16) await new Promise((resolve) => setTimeout(resolve, 4 * (steps - 16)));
    if (steps === 23) await sending;
    await Promise.all([alice.close(), sending]);
    await t.rejects(alice.send('bob', 'late'), { code: 'NET_CLOSED' });
    await t.rejects(alice.flush(), { code: 'NET_CLOSED' });
    await t.rejects(alice.pending(), { code: /^(STORE_FAILED|NET_CLOSED)$/ });
    await t.rejects(alice.history(), { code: /^(STORE_FAILED|NET_CLOSED)$/ });
  }
  t.ok(accepted.length > 0 && codes.size > 0, `${accepted.length} accepted, ${[...codes]}`);
  for (const code of codes) t.match(code, /^(NET_CLOSED|STORE_FAILED)$/);
  const last = await open();
  await last.flush({ timeoutMs: 60_000 });
  const sent = (await last.history()).filter(({ text }) => text.startsWith('after'));
  t.strictSame(
    sent.map(({ id, status }) => [id, status]),
    accepted.map((id) => [id, 'confirmed']),
    'what was accepted left, what was refused did not',
  );
  await last.close();
});

t.test('a full disk while messages arrive: nothing is acknowledged, nothing is lost', async (t) => {
  const relay = await testRelay(t);
  const alice = await person(t, relay, 'alice');
  const inner = new MemoryStore();
  let full = false;
  const store = new Proxy(inner, {
    get(target, name) {
      if (name === 'commit' && full) {
        return async () => {
          throw new StoreError('STORE_FULL', 'no space left for the store');
        };
      }
      const member = Reflect.get(target, name, target) as unknown;
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  const bob = await person(t, relay, 'bob', { store });
  const sees = new Inbox(bob);
  const troubles: unknown[] = [];
  bob.on('trouble', (error) => troubles.push('code' in error && error.code));
  await (await alice.send('bob', '1')).confirmed;
  await sees.reach(1);
  full = true;
  for (const text of ['2', '3']) await (await alice.send('bob', text)).confirmed;
  await until(() => troubles.length > 0);
  t.equal(troubles[0], 'STORE_FULL');
  await t.rejects(bob.send('alice', 'no room'), { code: 'STORE_FULL' });
  t.equal((await relay.totals()).envelopes, 2, 'the relay still has them');
  full = false;
  await sees.reach(3, 20_000);
  t.strictSame(sees.texts, ['1', '2', '3']);
  await until(async () => (await relay.totals()).envelopes === 0);
});

t.test('messages wait at the relay, also across its restart', async (t) => {
  const directory = tempDirectory(t);
  let relay = await fileRelay(directory);
  const { port } = relay;
  const alice = await person(t, relay, 'alice');
  const store = new MemoryStore();
  const before = await person(t, relay, 'bob', { store });
  await before.close();
  for (const text of ['1', '2', '3']) await (await alice.send('bob', text)).confirmed;
  await relay.close();
  relay = await fileRelay(directory, port);
  t.teardown(() => relay.close());
  const bob = await testClient(t, relay, { store });
  const sees = new Inbox(bob);
  await bob.caughtUp({ timeoutMs: 10_000 });
  t.equal((await bob.history()).length, 3);
  await sees.reach(3);
  t.strictSame(sees.texts, ['1', '2', '3']);
});

t.test('a clock that is wrong by a day, either way, and jumps', async (t) => {
  const relay = await testRelay(t);
  const DAY = 86_400_000;
  const skewed = (state: { offset: number }): Clock => ({
    now: () => Date.now() + state.offset,
    after(ms, action) {
      const handle = setTimeout(action, ms);
      return { cancel: () => clearTimeout(handle) };
    },
  });
  const behind = { offset: -DAY };
  const ahead = { offset: DAY };
  const alice = await person(t, relay, 'alice', { clock: skewed(behind) });
  const bob = await person(t, relay, 'bob', { clock: skewed(ahead) });
  const aliceSees = new Inbox(alice);
  const bobSees = new Inbox(bob);
  for (let round = 1; round <= 4; round++) {
    await (await alice.send('bob', `a${round}`)).confirmed;
    await (await bob.send('alice', `b${round}`)).confirmed;
    await aliceSees.reach(round);
    await bobSees.reach(round);
    [behind.offset, ahead.offset] = [ahead.offset, behind.offset];
  }
  t.strictSame(aliceSees.texts, ['b1', 'b2', 'b3', 'b4']);
});

t.test('messages() gives what is there and what comes, and ends with the client', async (t) => {
  const relay = await testRelay(t);
  const alice = await person(t, relay, 'alice');
  const bob = await person(t, relay, 'bob');
  await (await alice.send('bob', '1')).confirmed;
  await bob.caughtUp({ timeoutMs: 5_000 });
  await until(async () => (await bob.history()).length === 1);
  const got: string[] = [];
  const reading = (async () => {
    for await (const message of bob.messages({ after: 0 })) {
      got.push(message.text);
      await bob.moveCursor('reader', message.seq);
    }
  })();
  await (await alice.send('bob', '2')).confirmed;
  await until(() => got.length === 2);
  await bob.close();
  await reading;
  t.strictSame(got, ['1', '2']);
});

t.test('two devices of one account', async (t) => {
  const relay = await testRelay(t);
  const alice = await person(t, relay, 'alice');
  const phone = await person(t, relay, 'bob');
  const phoneSees = new Inbox(phone);
  await (await alice.send('bob', 'one device')).confirmed;
  await phoneSees.reach(1);
  const tablet = await testClient(t, relay);
  const tabletSees = new Inbox(tablet);
  const grant = await phone.devices.authorise(await tablet.devices.request());
  await tablet.devices.accept(grant);
  t.equal(tablet.me.account, phone.me.account);
  t.equal(tablet.me.device, 2);
  await until(() => tablet.status === 'open');
  await (await alice.send('bob', 'two devices')).confirmed;
  await phoneSees.reach(2);
  await tabletSees.reach(1);
  t.strictSame(tabletSees.texts, ['two devices']);
  const aliceSees = new Inbox(alice);
  await (await tablet.send('alice', 'from the tablet')).confirmed;
  await aliceSees.reach(1);
  t.strictSame(aliceSees.messages[0]?.sender, {
    account: phone.me.account,
    username: 'bob',
    device: 2,
  });
  await phoneSees.reach(3);
  const copy = phoneSees.messages[2];
  t.equal(copy?.text, 'from the tablet');
  t.equal(copy?.direction, 'sent', 'the phone knows that its account wrote it');
  t.equal(copy?.peer, alice.me.account);
  await (await phone.send('alice', 'from the phone')).confirmed;
  await aliceSees.reach(2);
  await tabletSees.reach(2);
  t.equal(tabletSees.messages[1]?.direction, 'sent');
  t.equal(aliceSees.messages.length, 2, 'each once');
  await phone.flush({ timeoutMs: 5_000 });
  await tablet.flush({ timeoutMs: 5_000 });
  t.equal((await phone.devices.list()).length, 2);
});
