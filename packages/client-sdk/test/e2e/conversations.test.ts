// Conversations between real clients over a real relay: what people do in them, on one device and on several.
import { MemoryStore, type Clock, type Message, type QasidClient } from '@qasid/client-sdk';
import { SqliteStore } from '@qasid/client-sdk/node';
import type { RunningRelay } from '@qasid/relay';
import t, { type Test } from 'tap';

import { tempDirectory } from '../support/temp.js';
import { Inbox, person, testClient, testRelay, until } from '../support/world.js';

const LONG = 45_000;

/** A clock whose timers run so many times faster. */
function fast(times: number): Clock {
  return {
    now: () => Date.now(),
    after(ms, action) {
      const handle = setTimeout(action, ms / times);
      return { cancel: () => clearTimeout(handle) };
    },
  };
}

/** Two people who have written to each other. */
async function pair(t: Test, relay: RunningRelay, times = 1) {
  const clock = fast(times);
  const alice = await person(t, relay, 'alice', { clock });
  const bob = await person(t, relay, 'bob', { clock });
  const sees = { alice: new Inbox(alice), bob: new Inbox(bob) };
  const toBob = await alice.conversation('bob');
  const toAlice = await bob.conversation('alice');
  await (await toBob.send('hello')).confirmed;
  await sees.bob.reach(1, LONG);
  await (await toAlice.send('hello yourself')).confirmed;
  await sees.alice.reach(1, LONG);
  return { alice, bob, toBob, toAlice, sees };
}

/** The message with this text, as a client has it now. */
async function find(client: QasidClient, text: string): Promise<Message> {
  const found = (await client.history()).find((message) => message.text === text);
  if (found === undefined) throw new Error(`no message ${text}`);
  return found;
}

/** Wait until a message of `client` is as it should be. */
async function becomes(
  client: QasidClient,
  id: string,
  condition: (message: Message) => boolean,
): Promise<Message> {
  let found: Message | undefined;
  await until(async () => {
    found = (await client.history()).find((message) => message.id === id);
    return found !== undefined && condition(found);
  }, LONG);
  return found!;
}

t.test('a text with all that may come with one', async (t) => {
  const relay = await testRelay(t);
  const { alice, bob, toBob, sees } = await pair(t, relay);
  const original = await find(alice, 'hello yourself');
  await toBob.send({
    text: 'hi @bob, look 🕌!',
    replyTo: original,
    styles: [{ start: 0, length: 2, style: 'bold' }],
    mentions: [{ start: 3, length: 4, account: bob.me.account! }],
  });
  await sees.bob.reach(2, LONG);
  const got = sees.bob.messages[1]!;
  t.equal(got.body?.kind, 'text');
  t.match(got.body, { styles: [{ style: 'bold' }], mentions: [{ start: 3 }] });
  t.strictSame(got.quote, {
    id: original.id,
    sender: { account: bob.me.account },
    text: 'hello yourself',
    original: 'known',
  });
  await t.rejects(toBob.send({ text: 'a', styles: [{ start: 0, length: 2, style: 'bold' }] }), {
    code: 'USAGE_ARGUMENT',
  });
  await t.rejects(toBob.send({ text: 'a', replyTo: { ...original, id: 'ab'.repeat(16) } }), {
    code: 'USAGE_ARGUMENT',
  });
  // ATK-J08: callers without a compiler.
  const loose = toBob as unknown as Record<string, (...all: unknown[]) => Promise<unknown>>;
  const wrong = { code: 'USAGE_ARGUMENT' };
  for (const bad of [undefined, 5, null, {}, { text: 7 }]) await t.rejects(loose.send!(bad), wrong);
  await t.rejects(loose.react!('an id', '👍'), wrong);
  await t.rejects(loose.react!(original, 5), wrong);
  await t.rejects(loose.markRead!({}), wrong);
  await toBob.sendContact({ name: 'Carol', username: 'carol' });
  await toBob.sendLocation({ latitude: 21.4224779, longitude: 39.8251832, label: 'Mecca' });
  await toBob.sendApp({ type: 'org.example.chess/move', data: new Uint8Array(3), fallback: 'e4' });
  await t.rejects(toBob.sendLocation({ latitude: 200, longitude: 0 }), { code: 'USAGE_ARGUMENT' });
  await t.rejects(toBob.sendApp({ type: 'move', data: new Uint8Array(3), fallback: '' }), {
    code: 'USAGE_ARGUMENT',
  });
  await sees.bob.reach(5, LONG);
  t.strictSame(
    sees.bob.messages.slice(2).map(({ kind, text }) => [kind, text]),
    [
      ['contact', 'Carol'],
      ['location', 'Mecca'],
      ['app', 'e4'],
    ],
  );
});

t.test('reactions, edits, deletions, polls', async (t) => {
  const relay = await testRelay(t);
  const { alice, bob, toBob, toAlice, sees } = await pair(t, relay);
  const changed: Message[] = [];
  bob.on('message-changed', (message) => changed.push(message));
  const { id } = await toBob.send('frist');
  await sees.bob.reach(2, LONG);
  await toBob.edit(await find(alice, 'frist'), 'first');
  const edited = await becomes(bob, id, ({ text }) => text === 'first');
  t.equal(edited.edited, true);
  t.equal((await find(alice, 'first')).edited, true, 'here at once');
  await until(() => changed.some(({ text }) => text === 'first'), LONG);
  await toAlice.react(edited, '👍');
  await toBob.react(await find(alice, 'first'), '🎉');
  const both = [
    { emoji: '👍', by: [bob.me.account] },
    { emoji: '🎉', by: [alice.me.account] },
  ];
  for (const client of [alice, bob]) {
    const { reactions } = await becomes(client, id, (one) => one.reactions.length === 2);
    t.strictSame(
      [...reactions].sort((a, b) => (a.emoji > b.emoji ? -1 : 1)),
      [...both].sort((a, b) => (a.emoji > b.emoji ? -1 : 1)),
    );
  }
  await toAlice.react(edited, undefined);
  await becomes(alice, id, ({ reactions }) => reactions.length === 1);
  await t.rejects(toAlice.edit(edited, 'forged'), { code: 'USAGE_ARGUMENT' });
  await t.rejects(toAlice.delete(edited), { code: 'USAGE_ARGUMENT' });
  await toBob.delete(await find(alice, 'first'));
  const gone = await becomes(bob, id, ({ deleted }) => deleted);
  t.strictSame([gone.text, gone.body, gone.reactions], ['', undefined, []]);
  t.equal(sees.bob.messages.length, 2, 'changes are no messages');
  const poll = await toBob.poll('When?', ['now', 'later']);
  await sees.bob.reach(3, LONG);
  await toAlice.vote(sees.bob.messages[2]!, 1);
  const counted = await becomes(alice, poll.id, ({ results }) => results[1]?.by.length === 1);
  t.strictSame(counted.results, [
    { option: 'now', by: [] },
    { option: 'later', by: [bob.me.account] },
  ]);
  await toAlice.vote(sees.bob.messages[2]!, 0);
  await becomes(alice, poll.id, ({ results }) => results[0]?.by.length === 1);
  await alice.flush({ timeoutMs: LONG });
});

t.test('receipts, unread counts and typing between contacts', async (t) => {
  const relay = await testRelay(t);
  const { alice, bob, toBob, toAlice, sees } = await pair(t, relay, 100);
  const events: string[] = [];
  alice.on('receipt', ({ receipt, ids }) => events.push(...ids.map(() => receipt)));
  const { id } = await toBob.send('one');
  await toBob.send('two');
  await sees.bob.reach(3, LONG);
  t.equal((await toAlice.info()).unread, 3, 'answering is not reading');
  await becomes(alice, id, ({ receipts }) => receipts[0]?.deliveredAtMs !== undefined);
  await toAlice.markRead();
  t.equal((await toAlice.info()).unread, 0);
  await becomes(alice, id, ({ receipts }) => receipts[0]?.readAtMs !== undefined);
  t.ok(events.includes('read'));
  let typing = 0;
  bob.on('typing', ({ account, started }) => {
    if (account === alice.me.account && started) typing++;
  });
  await toBob.typing();
  await toBob.typing();
  await until(() => typing === 1, LONG);
  t.equal((await relay.totals()).envelopes < 5, true);
  await toBob.typing(false);
});

t.test('ATK-D05 a stranger learns nothing: no receipt, no typing, until accepted', async (t) => {
  const relay = await testRelay(t);
  const clock = fast(200);
  const bob = await person(t, relay, 'bob', { clock });
  const eve = await person(t, relay, 'eve', { clock });
  const requests: string[] = [];
  bob.on('request', ({ username }) => requests.push(username ?? ''));
  const sees = new Inbox(bob);
  const eveSees = new Inbox(eve);
  let receipts = 0;
  let typing = 0;
  eve.on('receipt', () => receipts++);
  eve.on('typing', () => typing++);
  const toBob = await eve.conversation('bob');
  const { id } = await toBob.send('are you there?');
  await sees.reach(1, LONG);
  t.equal(sees.messages[0]?.request, true);
  await until(() => requests.length === 1, LONG);
  const toEve = await bob.conversation('eve');
  await toEve.markRead();
  await toEve.typing();
  await toBob.send('hello?');
  await sees.reach(2, LONG);
  // More than two intervals of the fast clock.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  t.equal(receipts + typing, 0);
  t.equal((await relay.totals()).envelopes, 0, 'nothing went out');
  await toEve.accept();
  t.equal((await toEve.info()).status, 'accepted');
  await toBob.send('thank you');
  await sees.reach(3, LONG);
  t.equal(sees.messages[2]?.request, false);
  await until(() => receipts > 0, LONG);
  t.equal((await becomes(eve, id, () => true)).receipts.length, 0, 'nor afterwards about before');
  await toEve.block();
  await (await toBob.send('one more thing')).confirmed;
  await until(async () => (await relay.totals()).envelopes === 0, LONG);
  t.equal(sees.messages.length, 3, 'a blocked account is not heard');
  await t.rejects(toEve.send('go away'), { code: 'ACCOUNT_BLOCKED' });
  await toEve.unblock();
  await toEve.send('again');
  await eveSees.reach(1, LONG);
  const carol = await person(t, relay, 'carol', { clock });
  await (await carol.send('bob', 'spam')).confirmed;
  await sees.reach(4, LONG);
  const toCarol = await bob.conversation('carol');
  await toCarol.decline();
  t.strictSame(await toCarol.messages(), []);
  t.notOk((await bob.conversations()).some(({ username }) => username === 'carol'));
});

t.test('ATK-D05 probes: one receipt an interval, and none for what nobody sees', async (t) => {
  const relay = await testRelay(t);
  const times = 40;
  const { alice, bob, toBob, sees } = await pair(t, relay, times);
  // Her clock runs fast, and so do her limits.
  let receipts = 0;
  const told = new Set<string>();
  alice.on('receipt', ({ ids }) => {
    receipts++;
    for (const id of ids) told.add(id);
  });
  await alice.flush({ timeoutMs: LONG * times });
  const real = sees.alice.messages[0]!;
  for (let probe = 0; probe < 40; probe++) {
    await toBob.react(real, probe % 2 === 0 ? '👍' : undefined);
  }
  await alice.flush({ timeoutMs: LONG * times });
  await until(async () => (await relay.totals()).envelopes === 0, LONG);
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  t.equal(receipts, 0, 'forty reactions');
  const started = Date.now();
  const probe = async (count: number): Promise<void> => {
    const ids: string[] = [];
    for (let at = 0; at < count; at++) ids.push((await toBob.send(`probe ${at}`)).id);
    await until(() => ids.every((id) => told.has(id)), LONG);
  };
  await probe(60);
  // On a quick machine one receipt tells of all sixty. Each of the next comes only an interval after the one before.
  for (let round = 0; round < 3; round++) await probe(1);
  t.ok(receipts >= 4, `${receipts} receipts`);
  const intervals = Math.floor(((Date.now() - started) * times) / 60_000) + 2;
  t.ok(receipts <= intervals, `${receipts} receipts in ${intervals} intervals`);
  t.ok(bob.status === 'open');
});

t.test('pages, search, drafts, settings', async (t) => {
  const relay = await testRelay(t);
  const store = await SqliteStore.open({
    directory: tempDirectory(t),
    passphrase: 'right',
    scryptLog2N: 4,
  });
  const alice = await person(t, relay, 'alice', { store });
  await person(t, relay, 'bob');
  await person(t, relay, 'carol');
  const toBob = await alice.conversation('bob');
  for (let at = 0; at < 25; at++) await toBob.send(`message number ${at}`);
  await (await alice.conversation('carol')).send('Café number 7');
  const newest = await toBob.messages({ limit: 10 });
  t.strictSame([newest[0]?.text, newest.at(-1)?.text], ['message number 15', 'message number 24']);
  const older = await toBob.messages({ before: newest[0]!, limit: 10 });
  t.strictSame([older[0]?.text, older.at(-1)?.text], ['message number 5', 'message number 14']);
  const again = await toBob.messages({ after: older.at(-1)!, limit: 10 });
  t.strictSame(
    again.map(({ id }) => id),
    newest.map(({ id }) => id),
  );
  t.strictSame(
    (await alice.search('NUMBER 7')).map(({ text }) => text),
    ['Café number 7', 'message number 7'],
  );
  t.strictSame(
    (await toBob.search('number 7')).map(({ text }) => text),
    ['message number 7'],
  );
  t.equal((await alice.search('cafe')).length, 1);
  t.equal((await alice.search('')).length, 0);
  t.equal((await alice.search('numb')).length, 0, 'whole words');
  const infos: string[] = [];
  alice.on('conversation-changed', ({ draft }) => infos.push(draft));
  await toBob.setDraft('I think that');
  await toBob.mute(4_000_000_000_000);
  await toBob.archive();
  t.match(await toBob.info(), {
    draft: 'I think that',
    mutedUntilMs: 4_000_000_000_000,
    archived: true,
    status: 'accepted',
  });
  await until(() => infos.includes('I think that'), LONG);
  t.strictSame(
    (await alice.conversations()).map(({ username }) => username),
    ['carol', 'bob'],
    'the last message first',
  );
  await toBob.remove(newest[0]!);
  t.equal(
    (await toBob.messages({ limit: 10 })).some(({ id }) => id === newest[0]!.id),
    false,
  );
  await toBob.clear();
  t.strictSame(await toBob.messages(), []);
  t.equal((await alice.search('number')).length, 1, 'the words went too');
});

t.test(
  'ATK-H11 messages disappear on both sides, and view-once ones when they were seen',
  async (t) => {
    const relay = await testRelay(t);
    const { alice, bob, toBob, toAlice, sees } = await pair(t, relay);
    const removed: string[] = [];
    bob.on('message-removed', ({ ids }) => removed.push(...ids));
    await toBob.setTimer(2);
    await until(async () => (await toAlice.info()).timerSeconds === 2, LONG);
    const { id } = await toBob.send('gone soon');
    await sees.bob.reach(2, LONG);
    t.equal(sees.bob.messages[1]?.expiresAtMs, undefined, 'not before it is read');
    await until(async () => !(await alice.history()).some((one) => one.id === id), LONG);
    t.ok(await becomes(bob, id, () => true), 'the reader has time');
    await toAlice.markRead();
    await until(async () => !(await bob.history()).some((one) => one.id === id), LONG);
    await until(() => removed.includes(id), LONG);
    t.equal((await bob.search('soon')).length, 0);
    const { timerSeconds } = await toAlice.info();
    await toAlice.setTimer(0);
    t.equal(timerSeconds, 2);
    const once = await toBob.send({ text: 'burn after reading', viewOnce: true });
    await sees.bob.reach(3, LONG);
    const secret = sees.bob.messages.find((message) => message.id === once.id)!;
    t.strictSame([secret.text, secret.body, secret.viewOnce], ['', undefined, 'unopened']);
    t.equal((await bob.search('burn')).length, 0);
    t.equal((await toAlice.view(secret)).text, 'burn after reading');
    await t.rejects(toAlice.view(secret), { code: 'USAGE_ARGUMENT' });
    t.equal((await becomes(bob, once.id, () => true)).viewOnce, 'opened');
  },
);

t.test('three devices of one account agree', async (t) => {
  const relay = await testRelay(t);
  const alice = await person(t, relay, 'alice');
  const phone = await person(t, relay, 'bob');
  const others = [await testClient(t, relay), await testClient(t, relay)];
  for (const other of others) {
    const grant = await phone.devices.authorise(await other.devices.request());
    await other.devices.accept(grant);
    await until(() => other.status === 'open', LONG);
  }
  const bobs = [phone, ...others];
  const inboxes = bobs.map((client) => new Inbox(client));
  const toBob = await alice.conversation('bob');
  const { id } = await toBob.send('to all of you');
  for (const inbox of inboxes) await inbox.reach(1, LONG);
  const chats = await Promise.all(bobs.map((client) => client.conversation('alice')));
  await chats[0]!.accept();
  for (const chat of chats) {
    await until(async () => (await chat.info()).status === 'accepted', LONG);
  }
  await chats[1]!.markRead();
  for (const chat of chats) await until(async () => (await chat.info()).unread === 0, LONG);
  await chats[2]!.react(inboxes[2]!.messages[0]!, '👍');
  const sent = await chats[1]!.send('from the second');
  for (const client of [alice, ...bobs]) {
    await becomes(client, id, ({ reactions }) => reactions.length === 1);
    await becomes(client, sent.id, () => true);
  }
  // Any device of the author may change what another one wrote.
  const there = await becomes(bobs[0]!, sent.id, () => true);
  await chats[0]!.edit(there, 'from the first');
  for (const client of [alice, ...bobs]) {
    await becomes(client, sent.id, ({ text }) => text === 'from the first');
  }
  await chats[2]!.archive();
  for (const chat of chats) await until(async () => (await chat.info()).archived, LONG);
  await chats[0]!.remove(await becomes(bobs[0]!, id, () => true));
  for (const client of bobs) {
    await until(async () => !(await client.history()).some((one) => one.id === id), LONG);
  }
  t.ok(await becomes(alice, id, () => true), 'the other side keeps it');
  await chats[1]!.clear();
  for (const chat of chats) {
    await until(async () => (await chat.messages()).length === 0, LONG);
  }
  for (const client of bobs) await client.flush({ timeoutMs: LONG });
});

t.test('a history of an older version gets its conversations', async (t) => {
  const relay = await testRelay(t);
  const store = new MemoryStore();
  const first = await person(t, relay, 'alice', { store });
  await person(t, relay, 'bob');
  await (await first.send('bob', 'from before')).confirmed;
  await first.close();
  // As a store of the first version: rows, but no records and no words.
  for (const space of ['conversation', 'meta']) {
    for (const { key, version } of await store.loadRecords(space)) {
      const gone = { space, key, value: undefined, expectedVersion: version };
      await store.commit({ extra: { records: [gone] } });
    }
  }
  const [row] = await store.loadMessages({});
  await store.commit({ extra: { messagesReplaced: [{ row: row!, terms: [] }] } });
  const alice = await testClient(t, relay, { store });
  await until(async () => (await alice.conversations()).length === 1, LONG);
  const [info] = await alice.conversations();
  t.match(info, { username: 'bob', status: 'accepted', unread: 0 });
  t.equal((await alice.search('before')).length, 1);
});
