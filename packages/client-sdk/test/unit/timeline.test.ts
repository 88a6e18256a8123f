// The rules of the history: who may do what to which message, and what nobody may.
import { defaultCrypto } from '@qasid/protocol';
import t from 'tap';

import { contentDigest, withoutLink, type ContentBody } from '../../dist/content/index.js';
import { viewMessage } from '../../dist/message-view.js';
import { WAITING_BYTES_MAX, WAITING_MAX } from '../../dist/timeline/waiting.js';
import { ALICE, BOB, EVE, Reader, ref, Writer, type Sent } from '../support/timeline.js';

/** A message of Alice and one of Bob, as Bob's device has them, in their conversation. */
async function scene() {
  const bob = new Reader(BOB);
  const [alice, alice2, own, eve] = [
    new Writer(ALICE, 1),
    new Writer(ALICE, 2),
    new Writer(BOB, 2),
    new Writer(EVE),
  ];
  const hers = alice.text('hers');
  const his = own.text('his');
  await bob.take(hers, ALICE);
  await bob.take(his, ALICE);
  const look = async (sent: Sent) => {
    const row = (await bob.rows(ALICE)).find(({ id }) => id === sent.id)!;
    const sender = { account: row.author, username: undefined, device: row.device };
    const open = () => {
      throw new Error('no documents here');
    };
    return viewMessage({ store: bob.store, crypto: defaultCrypto, open }, row, sender, false);
  };
  return { bob, alice, alice2, own, eve, hers, his, look };
}

t.test('ATK-H07 who may change what: every author on every message', async (t) => {
  const bodies = (target: Sent): Record<string, ContentBody> => ({
    edit: { kind: 'edit', target: target.content.id, text: { kind: 'text', text: 'changed' } },
    delete: { kind: 'delete', target: target.content.id },
    reaction: { kind: 'reaction', target: ref(target), emoji: '👍', remove: false },
  });
  for (const kind of ['edit', 'delete', 'reaction']) {
    for (const whose of ['hers', 'his'] as const) {
      for (const who of ['alice', 'alice2', 'own', 'eve'] as const) {
        const s = await scene();
        const target = s[whose];
        // Eve writes in her own conversation with Bob: there is no other where her words can stand.
        const peer = who === 'eve' ? EVE : ALICE;
        await s.bob.take(s[who].write(bodies(target)[kind]!), peer);
        const after = await s.look(target);
        const isAuthor = target.author === s[who].author;
        const allowed = kind === 'reaction' ? who !== 'eve' : isAuthor;
        const changed = after.edited || after.deleted || after.reactions.length > 0;
        t.equal(changed, allowed, `${kind} of ${whose} by ${who}`);
        if (!allowed) t.equal(after.text, whose);
      }
    }
  }
});

t.test('ATK-H07 votes, timers, receipts and copies', async (t) => {
  const s = await scene();
  const poll = s.alice.write({ kind: 'poll', question: '?', options: ['a', 'b'], multiple: false });
  await s.bob.take(poll, ALICE);
  const vote = (options: number[]): ContentBody => ({ kind: 'vote', target: ref(poll), options });
  await s.bob.take(s.own.write(vote([1])), ALICE);
  await s.bob.take(s.alice.write(vote([0, 1])), ALICE);
  await s.bob.take(s.alice2.write(vote([7])), ALICE);
  await s.bob.take(s.eve.write(vote([0])), EVE);
  t.strictSame(
    (await s.look(poll)).results.map(({ by }) => by),
    [[], [BOB]],
  );
  // A receipt is about messages of ours: Alice confirms neither her own nor one of another conversation.
  const receipt = (target: Sent): ContentBody => ({
    kind: 'receipt',
    delivered: [],
    read: [target.content.id],
    viewed: [],
  });
  await s.bob.take(s.alice.write(receipt(s.hers)), ALICE);
  await s.bob.take(s.eve.write(receipt(s.his)), EVE);
  t.strictSame((await s.look(s.his)).receipts, []);
  t.strictSame((await s.look(s.hers)).receipts, []);
  await s.bob.take(s.alice.write(receipt(s.his)), ALICE);
  t.match((await s.look(s.his)).receipts, [{ account: ALICE, readAtMs: s.bob.nowMs }]);
  const timer = (writer: Writer, seconds: number, version: number) =>
    writer.write({ kind: 'timer' }, { timer: { seconds, version } });
  const seconds = async (): Promise<number> => {
    const { Batch } = await import('../../dist/timeline/batch.js');
    return (await new Batch(s.bob.store).conversation(ALICE))!.timer.seconds;
  };
  await s.bob.take(timer(s.alice, 60, 2), ALICE);
  t.equal(await seconds(), 60);
  await s.bob.take(timer(s.own, 30, 1), ALICE);
  t.equal(await seconds(), 60, 'an older one');
  await s.bob.take(timer(s.eve, 5, 9), EVE);
  t.equal(await seconds(), 60, 'of another conversation');
  // What only our own devices may say, said by somebody else.
  const read: ContentBody = {
    kind: 'sync',
    conversation: ref(s.hers).author,
    action: { kind: 'cleared' },
  };
  await s.bob.take(s.alice.write(read), ALICE);
  t.equal((await s.bob.rows(ALICE)).length, 3, 'nothing was cleared');
});

t.test('ATK-H09 false quotes are marked, and their words are not the author’s', async (t) => {
  const s = await scene();
  const digest = contentDigest(defaultCrypto, withoutLink(s.his.bytes, s.his.content));
  const quoting = async (quote: object) => {
    const body = {
      kind: 'text',
      text: 'see',
      quote: { ...ref(s.his), digest, text: 'his', ...quote },
    };
    const sent = s.alice.write(body as ContentBody);
    await s.bob.take(sent, ALICE);
    return (await s.look(sent)).quote;
  };
  t.match(await quoting({}), { original: 'known', text: 'his' });
  t.match(await quoting({ text: 'I owe you' }), { original: 'known', text: 'his' }, 'our words');
  t.match(await quoting({ digest: new Uint8Array(32) }), { original: 'mismatch', text: '' });
  t.match(await quoting({ id: new Uint8Array(16) }), { original: 'unknown' });
  t.match(await quoting({ author: ref(s.hers).author }), { original: 'unknown' }, 'not her id');
});

t.test('ATK-H09 times are moved into what can be true', async (t) => {
  const s = await scene();
  const DAY = 86_400_000;
  const shown = async (sentAtMs: number): Promise<number> => {
    const sent = s.alice.text('when', { sentAtMs });
    await s.bob.take(sent, ALICE);
    return (await s.look(sent)).sentAtMs;
  };
  const now = s.bob.nowMs;
  t.equal(await shown(now - 3_000), now - 3_000);
  t.equal(await shown(0), now - 45 * DAY);
  t.equal(await shown(8_640_000_000_000_000), now + 5 * 60_000);
});

t.test('ATK-I02 shown in the order they were written, in whatever order they come', async (t) => {
  for (const order of ['012345', '540123', '501423', '024135', '531420', '053421', '154320']) {
    const bob = new Reader(BOB);
    const alice = new Writer(ALICE);
    const sent = ['0', '1', '2', '3', '4', '5'].map((text) => alice.text(text));
    for (const at of order) await bob.take(sent[Number(at)]!, ALICE);
    const texts = (await bob.rows(ALICE)).map(({ text }) => text);
    t.strictSame(texts.join(''), '012345', order);
  }
});

t.test('ATK-I02 also between changes that are not shown', async (t) => {
  const bob = new Reader(BOB);
  const alice = new Writer(ALICE);
  const first = alice.text('0');
  const react: ContentBody = { kind: 'reaction', target: ref(first), emoji: '👍', remove: false };
  const sent = [
    first,
    alice.write(react),
    alice.text('1'),
    alice.write(react),
    alice.text('2'),
    alice.write(react),
    alice.text('3'),
  ];
  for (const at of [0, 6, 5, 1, 4, 3, 2]) await bob.take(sent[at]!, ALICE);
  const texts = (await bob.rows(ALICE)).map(({ text }) => text);
  t.strictSame(texts, ['0', '1', '2', '3']);
  t.equal(bob.happenings.filter(({ kind }) => kind === 'gap').length, 6, 'one gap, five healings');
});

t.test('ATK-C07 a repeat is dropped, a fork is told and shown', async (t) => {
  const bob = new Reader(BOB);
  const [alice, clone] = [new Writer(ALICE), new Writer(ALICE)];
  const one = alice.text('one');
  await bob.take(one, ALICE);
  await bob.take(one, ALICE);
  t.equal((await bob.rows(ALICE)).length, 1);
  const two = alice.text('two');
  const false2 = clone.text('not two');
  // The clone has the state of the device: the same chain and counter, another content.
  const forged = { ...false2, content: { ...false2.content, link: two.content.link! } };
  await bob.take(two, ALICE);
  await bob.take(forged, ALICE);
  t.match(bob.happenings.at(-1), { kind: 'gap', cause: 'forked', from: 2, device: 1 });
  t.equal((await bob.rows(ALICE)).length, 3);
});

t.test('changes wait for their message, and not without end', async (t) => {
  const bob = new Reader(BOB);
  const alice = new Writer(ALICE);
  const message = alice.text('first');
  const edit = alice.write({
    kind: 'edit',
    target: message.content.id,
    text: { kind: 'text', text: 'second' },
  });
  const like = alice.write({ kind: 'reaction', target: ref(message), emoji: '👍', remove: false });
  await bob.take(edit, ALICE);
  await bob.take(like, ALICE);
  t.equal((await bob.rows(ALICE)).length, 0, 'a change makes no message');
  await bob.take(message, ALICE);
  const [row] = await bob.rows(ALICE);
  t.equal(row?.text, 'second');
  t.equal((await bob.store.searchMessages({ terms: ['second'], limit: 9 })).length, 1);
  t.equal((await bob.store.searchMessages({ terms: ['first'], limit: 9 })).length, 0);
  t.equal(await bob.store.loadRecord('waiting', ALICE), undefined);
  const size = async (): Promise<number> =>
    (await bob.store.loadRecord('waiting', ALICE))?.value.length ?? 0;
  for (let at = 0; at < WAITING_MAX + 20; at++) {
    const target = { author: ref(message).author, id: defaultCrypto.randomBytes(16) };
    await bob.take(alice.write({ kind: 'reaction', target, emoji: '👍', remove: false }), ALICE);
  }
  const full = await size();
  await bob.take(alice.write({ kind: 'delete', target: defaultCrypto.randomBytes(16) }), ALICE);
  t.ok((await size()) <= full);
  for (let at = 0; at < 10; at++) {
    const text = { kind: 'text', text: 'x'.repeat(50_000) } as const;
    await bob.take(
      alice.write({ kind: 'edit', target: defaultCrypto.randomBytes(16), text }),
      ALICE,
    );
  }
  t.ok((await size()) < WAITING_BYTES_MAX + 1_000);
});

t.test('a stranger’s changes and names make no conversation', async (t) => {
  const bob = new Reader(BOB);
  const eve = new Writer(EVE);
  await bob.take(eve.write({ kind: 'profile', name: 'The bank' }), EVE);
  await bob.take(eve.write({ kind: 'delete', target: new Uint8Array(16) }), EVE);
  await bob.take(eve.write({ kind: 'timer' }, { timer: { seconds: 5, version: 9 } }), EVE);
  t.equal(await bob.store.loadRecord('conversation', EVE), undefined);
  t.strictSame(await bob.store.loadRecords('receipts'), []);
  await bob.take(eve.text('hello'), EVE);
  t.equal(bob.happenings.at(-1)?.kind, 'request');
  t.strictSame(
    await bob.store.loadRecords('receipts'),
    [],
    'ATK-D05 nothing is owed to a stranger',
  );
});
