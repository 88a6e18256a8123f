// 20 Linking: two devices meet, people compare, and the account has one more device.
import t from 'tap';
import { MemoryStore, type QasidClient } from '@qasid/client-sdk';
import { TestWorld } from '@qasid/client-sdk/testing';

import { linked, newDevice, settled } from '../support/linking.js';

const LONG = 30 * 60_000;

async function person(world: TestWorld, name: string): Promise<QasidClient> {
  const client = await world.client(name);
  await settled(world, client.register({ username: name }));
  return client;
}

async function texts(client: QasidClient): Promise<string[]> {
  const [conversation] = await client.conversations();
  if (conversation === undefined) return [];
  const chat = await client.conversation(conversation.id);
  return (await chat.messages({ limit: 500 })).map(({ text }) => text);
}

t.test('a new device scans, people compare, and everybody knows it (ATK-G03)', async (t) => {
  const world = await TestWorld.create({ seed: 7 });
  const alice = await person(world, 'alice');
  const bob = await person(world, 'bob');
  const desk = (await linked(world, alice, { name: 'desk' })).client;
  await settled(
    world,
    bob.send('alice', 'hello').then(({ confirmed }) => confirmed),
  );
  const changes: string[] = [];
  for (const [name, client] of [
    ['alice', alice],
    ['bob', bob],
    ['desk', desk],
  ] as const) {
    client.on('devices-changed', ({ own, added, removed, version }) => {
      changes.push(`${name} ${own ? 'own' : 'theirs'} +${added} -${removed} v${version}`);
    });
  }
  const { client: tablet, linking } = await linked(world, alice);
  t.match(await linking.request, { name: 'tablet', platform: 'test', code: /^\d{8}$/ });
  t.equal(await linking.code, (await linking.request).code);
  t.match(linking.qr?.text, /^qasid-link:[\w-]+$/);
  t.equal(tablet.me.account, alice.me.account);
  t.match(tablet.me, { device: 3, username: 'alice', registered: true });
  await settled(
    world,
    bob.send('alice', 'to three').then(({ confirmed }) => confirmed),
  );
  t.ok(await world.clock.until(() => changes.length === 3, LONG));
  t.strictSame([...changes].sort(), [
    'alice own +3 - v3',
    'bob theirs +3 - v3',
    'desk own +3 - v3',
  ]);
  const chat = await bob.conversation('alice');
  t.match((await chat.info()).devicesChanged, { added: [3], removed: [] });
  for (const client of [alice, desk, tablet]) {
    t.ok(await world.clock.until(async () => (await texts(client)).includes('to three'), LONG));
    const named = async (): Promise<string> =>
      (await client.devices.list()).map(({ device, name }) => `${device}${name}`).join();
    t.ok(await world.clock.until(async () => (await named()) === '1,2desk,3tablet', LONG));
  }
  for (const client of [alice, bob, desk, tablet]) await client.close();
});

t.test('the new device shows the code', async (t) => {
  const world = await TestWorld.create({ seed: 8 });
  const alice = await person(world, 'alice');
  let shown = '';
  const { client } = newDevice(world, { show: ({ qr }) => (shown = qr.text) });
  await world.clock.until(() => shown !== '');
  const linking = await alice.devices.link(shown);
  t.equal(linking.qr, undefined);
  await settled(world, linking.request);
  linking.confirm();
  await settled(world, Promise.all([client, linking.done]));
  t.equal((await client).me.account, alice.me.account);
  await (await client).close();
  await alice.close();
});

t.test('contacts, settings, read state and the history come along, in order', async (t) => {
  const world = await TestWorld.create({ seed: 9 });
  const alice = await person(world, 'alice');
  const bob = await person(world, 'bob');
  for (let i = 0; i < 120; i++)
    await settled(world, bob.send('alice', `m${i} ${'x'.repeat(1_500)}`));
  await settled(world, bob.flush());
  await world.clock.until(async () => (await alice.history()).length === 120, LONG);
  const chat = await alice.conversation('bob');
  await chat.accept();
  const page = await chat.messages({ limit: 500 });
  await chat.markRead(page[99]);
  await chat.mute(world.clock.now() + 1_000_000);
  const { client: tablet } = await linked(world, alice, {
    choices: { history: true, historyAfterMs: 60_000 },
  });
  const progress: number[] = [];
  let done = false;
  tablet.on('transfer', ({ messages, done: isDone }) => {
    progress.push(messages);
    done ||= isDone;
  });
  t.ok(await world.clock.until(async () => (await tablet.conversations()).length === 1, 30_000));
  t.strictSame(await texts(tablet), [], 'messages wait for the time to change one’s mind');
  await settled(
    world,
    bob.send('alice', 'while it waits').then(({ confirmed }) => confirmed),
  );
  t.ok(await world.clock.until(() => done, LONG));
  t.ok(progress.length > 2, 'in parts');
  const all = await texts(tablet);
  t.strictSame(all, await texts(alice), 'the same, in the same order');
  t.equal(all.length, 121);
  const [info] = await tablet.conversations();
  t.match(info, { status: 'accepted', unread: 21, username: 'bob' });
  t.ok((info?.mutedUntilMs ?? 0) > 0);
  t.equal((await tablet.search('m17')).length, 1);
  const number = async (client: QasidClient) => (await client.safetyNumber('bob')).digits;
  t.equal(await number(tablet), await number(alice), 'the key that was trusted');
  for (const client of [alice, bob, tablet]) await client.close();
});

t.test('a device is renamed and removed; what lies on it stays', async (t) => {
  const world = await TestWorld.create({ seed: 10 });
  const alice = await person(world, 'alice');
  const bob = await person(world, 'bob');
  const { client: tablet, store } = await linked(world, alice);
  await settled(
    world,
    bob.send('alice', 'to both').then(({ confirmed }) => confirmed),
  );
  t.ok(await world.clock.until(async () => (await texts(tablet)).length === 1, LONG));
  await alice.devices.rename(2, 'kitchen');
  const name = async (client: QasidClient) => (await client.devices.list())[1]?.name;
  t.ok(await world.clock.until(async () => (await name(tablet)) === 'kitchen', LONG));
  await t.rejects(alice.devices.rename(9, 'nobody'), { code: 'USAGE_ARGUMENT' });
  await t.rejects(alice.devices.rename(1, 'x'.repeat(65)), { code: 'USAGE_ARGUMENT' });
  const seen: string[] = [];
  bob.on('devices-changed', ({ removed }) => seen.push(`-${removed}`));
  await settled(world, alice.devices.remove(2));
  t.ok(await world.clock.until(() => tablet.status === 'removed', LONG));
  await settled(
    world,
    bob.send('alice', 'not to the tablet').then(({ confirmed }) => confirmed),
  );
  t.ok(await world.clock.until(() => seen.length > 0, LONG));
  t.strictSame(seen, ['-2']);
  t.ok(await world.clock.until(async () => (await texts(alice)).length === 2, LONG));
  t.strictSame(await texts(tablet), ['to both']);
  await tablet.close();
  const again = await world.client('tablet', { store });
  t.ok(await world.clock.until(() => again.status === 'removed', LONG), 'also when opened again');
  t.strictSame(await texts(again), ['to both']);
  const last = alice.devices.remove(1);
  await settled(world, last);
  await t.rejects(last, { code: 'USAGE_ARGUMENT' }, 'the last one');
  for (const client of [alice, bob, again]) await client.close();
});

t.test('an account gets another name, and ends', async (t) => {
  const world = await TestWorld.create({ seed: 11 });
  const alice = await person(world, 'alice');
  const bob = await person(world, 'bob');
  await settled(world, alice.setUsername('alicia'));
  t.equal(alice.me.username, 'alicia');
  await t.rejects(alice.setUsername('A'), { code: 'ACCOUNT_NAME_INVALID' });
  let taken: unknown;
  const asked = alice.setUsername('bob').catch((error: unknown) => (taken = error));
  await settled(world, asked);
  t.match(taken, { code: 'ACCOUNT_NAME_TAKEN' });
  await settled(
    world,
    bob.send('alicia', 'hello').then(({ confirmed }) => confirmed),
  );
  await settled(world, alice.deleteAccount());
  t.ok(await world.clock.until(() => alice.status === 'removed', LONG));
  let unknown: unknown;
  await settled(
    world,
    bob
      .send('alicia', 'still there?')
      .then(({ confirmed }) => confirmed)
      .catch((e) => (unknown = e)),
  );
  t.match(unknown, { code: 'ACCOUNT_UNKNOWN' });
  await alice.close();
  await bob.close();
});

t.test('people who say no, give up, or come too late', async (t) => {
  const world = await TestWorld.create({ seed: 12 });
  const alice = await person(world, 'alice');
  const codes = async (promises: readonly Promise<unknown>[]): Promise<(string | undefined)[]> => {
    const all = Promise.allSettled(promises);
    await settled(world, all);
    return (await all).map((one) =>
      one.status === 'rejected' ? (one.reason as { code: string }).code : undefined,
    );
  };
  const first = await alice.devices.startLinking();
  const text = (linking: typeof first): string => linking.qr?.text ?? '';
  const sayingNo = newDevice(world, { link: text(first), confirm: () => false });
  t.strictSame(await codes([first.done, sayingNo.client]), ['LINK_REFUSED', 'LINK_CANCELLED']);
  const second = await alice.devices.startLinking();
  const waiting = newDevice(world, { link: text(second) });
  void second.request.then(() => second.cancel());
  t.strictSame(await codes([second.done, waiting.client]), ['LINK_CANCELLED', 'LINK_REFUSED']);
  const third = await alice.devices.startLinking();
  t.strictSame(await codes([third.done, third.request, third.code]), Array(3).fill('LINK_EXPIRED'));
  t.strictSame(await codes([newDevice(world, { link: text(third) }).client]), ['LINK_EXPIRED']);
  const fourth = await alice.devices.startLinking();
  const clients = [1, 2].map((n) => newDevice(world, { link: text(fourth), name: `n${n}` }).client);
  void fourth.request.then(() => fourth.confirm());
  const ends = await codes([fourth.done, ...clients]);
  t.equal(ends.filter((code) => code === 'LINK_USED').length, 1, 'one code, one device');
  t.equal((await alice.devices.list()).length, ends[0] === undefined ? 2 : 1);
  for (const client of clients) await client.then((c) => c.close()).catch(() => undefined);
  await alice.close();
});

t.test('ATK-G02 a code that links and an invite are never taken for each other', async (t) => {
  const world = await TestWorld.create({ seed: 13 });
  const alice = await person(world, 'alice');
  const { qr } = await alice.devices.startLinking();
  const mallory = await world.client('mallory');
  await t.rejects(mallory.register({ username: 'mallory', invite: qr?.text ?? '' }), {
    code: 'ACCOUNT_INVITE_INVALID',
    message: /links a device/,
  });
  const invite = `qasid-invite:${'a'.repeat(32)}`;
  await t.rejects(newDevice(world, { link: invite }).client, { code: 'LINK_INVALID' });
  await t.rejects(alice.devices.link(invite), { code: 'LINK_INVALID' });
  await t.rejects(alice.devices.link(qr?.text ?? ''), { code: 'LINK_DIRECTION' });
  let shown = '';
  const other = newDevice(world, { show: ({ qr }) => (shown = qr.text), store: new MemoryStore() });
  await world.clock.until(() => shown !== '');
  await t.rejects(newDevice(world, { link: shown }).client, { code: 'LINK_DIRECTION' });
  await settled(
    world,
    other.client.catch(() => undefined),
  );
  await mallory.close();
  await alice.close();
});
