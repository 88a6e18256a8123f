// Documents over a real relay: every size that has a border, what breaks on the way, and what is refused.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  describeFile,
  type Message,
  type MessageDocument,
  MemoryStore,
  type QasidClient,
} from '@qasid/client-sdk';
import { fileFromPath } from '@qasid/client-sdk/node';
import t, { type Test } from 'tap';

import {
  folder,
  pattern,
  patternSource,
  relayWithDisk,
  same,
  spyFetch,
} from '../support/documents.js';
import { Inbox, person, testRelay, until } from '../support/world.js';

t.setTimeout(300_000);

const MIB = 1_048_576;

/** Two people who have met. */
async function pair(
  t: Test,
  relay: { readonly url: string },
  options: Parameters<typeof person>[3] = {},
) {
  const alice = await person(t, relay, 'alice', options);
  const bob = await person(t, relay, 'bob');
  const chat = await alice.conversation('bob');
  return { alice, bob, chat, inbox: new Inbox(bob) };
}

async function only(inbox: Inbox, count = 1): Promise<MessageDocument> {
  await inbox.reach(count, 60_000);
  const document = inbox.messages[count - 1]?.attachments[0];
  if (document === undefined) throw new Error('no document');
  return document;
}

/** Files of blobs on the relay's disk. */
function blobs(relay: { readonly directory: string }): string[] {
  const root = join(relay.directory, 'blobs');
  return readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) =>
    statSync(join(root, file)).isFile(),
  );
}

for (const transport of ['uws', 'ws'] as const) {
  t.test(`${transport}: sizes around every border, and 20 MB`, async (t) => {
    const relay = await relayWithDisk(t, { transport });
    const { chat, inbox } = await pair(t, relay);
    // The MAC chunk of 64 KiB covers the blob, whose first 16 bytes are not plaintext.
    const sizes = [0, 1, 65_535 - 16, 65_536 - 16, 65_536, 65_537, MIB, 20_000_000];
    for (const [index, size] of sizes.entries()) {
      const bytes = pattern(size, index);
      const ratios: number[] = [];
      const sent = await chat.send(
        { file: bytes, caption: `${size}` },
        { onProgress: ({ ratio }) => ratios.push(ratio) },
      );
      await sent.confirmed;
      t.equal(ratios.at(-1), 1, 'told to the end');
      t.ok(
        ratios.every((ratio, at) => ratio >= (ratios[at - 1] ?? 0)),
        'rising',
      );
      const document = await only(inbox, index + 1);
      t.equal(inbox.messages[index]?.text, `${size}`);
      t.equal(document.size, size);
      const seen: number[] = [];
      const got = await document.bytes({ onProgress: ({ ratio }) => seen.push(ratio) });
      t.ok(same(got, bytes), `${size} bytes`);
      t.equal(seen.at(-1), size === 0 ? undefined : 1);
      if (size < 100_000) t.equal((await document.download()).size, size);
    }
    for (const [index, message] of await inbox.messages.entries()) {
      t.notMatch(JSON.stringify(message.attachments), /"key"/, `no key shows in ${index}`);
    }
  });
}

t.test('several files in one message, with what the app says of them', async (t) => {
  const relay = await relayWithDisk(t);
  const { chat, inbox, alice } = await pair(t, relay);
  const first = await chat.send('look at this');
  const directory = folder(t);
  const path = join(directory, 'picture.PNG');
  writeFileSync(path, pattern(300_000));
  const sent = await chat.send({
    file: [
      describeFile(await fileFromPath(path), {
        width: 640,
        height: 480,
        thumbnail: pattern(2_000),
        placeholder: 'LKO2?U%2Tw=w',
      }),
      new File([pattern(10)], 'note.txt', { type: 'text/plain' }),
      new Blob([pattern(70_000, 2)], { type: 'text/html' }),
    ],
    caption: 'three',
    replyTo: { id: first.id, sender: { account: alice.me.account ?? '' } },
  });
  await sent.confirmed;
  await inbox.reach(2);
  const message = inbox.messages[1] as Message;
  t.equal(message.quote?.text, 'look at this');
  const [picture, note, page] = message.attachments as [
    MessageDocument,
    MessageDocument,
    MessageDocument,
  ];
  t.match(picture, { name: 'picture.PNG', mediaType: 'image/png', width: 640, height: 480 });
  t.match(picture, { placeholder: 'LKO2?U%2Tw=w', size: 300_000 });
  t.ok(same(picture.thumbnail ?? new Uint8Array(), pattern(2_000)));
  t.match(note, { name: 'note.txt', mediaType: 'text/plain', size: 10 });
  t.equal((await note.download()).type, 'text/plain');
  t.match(page, { name: 'document', mediaType: 'text/html' });
  t.equal((await page.download()).type, 'application/octet-stream', 'ATK-H03 nothing runs');

  const target = join(directory, 'saved');
  await picture.saveTo(target);
  t.ok(same(readFileSync(target), pattern(300_000)));
  t.equal(statSync(target).mode & 0o777, 0o600);
  await t.rejects(picture.saveTo(target), { code: 'EEXIST' });
  t.strictSame(readdirSync(directory).sort(), ['picture.PNG', 'saved'], 'nothing is left over');
  const [again] = (await (await alice.conversation('bob')).messages()).slice(-1);
  t.ok(same((await again?.attachments[1]?.bytes()) ?? new Uint8Array(), pattern(10)), 'ours too');
});

t.test('an outage in the middle: the upload goes on where the relay stands', async (t) => {
  const relay = await relayWithDisk(t);
  const sentBytes: number[] = [];
  let failures = 0;
  const flaky = spyFetch(async ({ method, body, pass }) => {
    if (method !== 'PATCH') return pass();
    sentBytes.push(body?.length ?? 0);
    if (sentBytes.length % 3 === 2) {
      failures++;
      // The relay took it, and the answer got lost.
      await pass();
      throw new TypeError('fetch failed');
    }
    return pass();
  });
  const { chat, inbox } = await pair(t, relay, { fetch: flaky });
  const bytes = pattern(9 * MIB);
  await (await chat.send({ file: bytes })).confirmed;
  t.ok(failures > 0, `${failures} answers were lost`);
  const total = sentBytes.reduce((sum, length) => sum + length, 0);
  t.ok(total < 1.1 * bytes.length, 'nothing was sent twice');
  t.ok(same(await (await only(inbox)).bytes(), bytes));
});

t.test('a download over broken connections', async (t) => {
  const relay = await relayWithDisk(t);
  const { chat } = await pair(t, relay);
  const ranges: (string | null)[] = [];
  const flaky = spyFetch(async ({ method, headers, pass }) => {
    if (method !== 'GET') return pass();
    ranges.push(headers.get('range'));
    const response = await pass();
    if (ranges.length > 4) return response;
    const reader = response.body!.getReader();
    let left = 2 * MIB;
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        const { value } = await reader.read();
        left -= value?.length ?? 0;
        if (left < 0 || value === undefined) return controller.error(new TypeError('terminated'));
        controller.enqueue(value);
      },
    });
    return new Response(body, { status: response.status, headers: response.headers });
  });
  const carol = await person(t, relay, 'carol', { fetch: flaky });
  const inbox = new Inbox(carol);
  const alice = await chat.send('hello');
  await alice.confirmed;
  const bytes = pattern(10_000_000);
  const dave = await person(t, relay, 'dave');
  await (await (await dave.conversation('carol')).send({ file: bytes })).confirmed;
  const document = await only(inbox);
  t.ok(same(await document.bytes(), bytes));
  t.equal(ranges.length, 5);
  t.equal(ranges[0], null);
  t.ok(
    ranges.slice(1).every((range) => /^bytes=[1-9]\d*-$/.test(range ?? '')),
    ranges.join(' '),
  );
});

t.test('a program that ends in the middle goes on in its next run, and sends once', async (t) => {
  const relay = await relayWithDisk(t);
  const bob = await person(t, relay, 'bob');
  const inbox = new Inbox(bob);
  const store = new MemoryStore();
  const keep = Object.assign(Object.create(store) as MemoryStore, { close: async () => undefined });
  const open = (fetch?: typeof globalThis.fetch): Promise<QasidClient> =>
    person(t, relay, 'alice', { store: bind(keep, store), ...(fetch && { fetch }) });
  let parts = 0;
  const stuck = spyFetch(async ({ method, pass }) => {
    if (method === 'PATCH' && ++parts > 2) return new Promise(() => undefined);
    return pass();
  });
  const first = await open(stuck);
  const path = join(folder(t), 'large.bin');
  const bytes = pattern(12 * MIB);
  writeFileSync(path, bytes);
  const upload = await (await first.conversation('bob')).upload({
    file: [pattern(5), await fileFromPath(path)],
    caption: 'slow',
  });
  await until(() => parts > 2, 60_000);
  await first.close();
  await t.rejects(upload.sent, { code: 'NET_CLOSED' });

  let resent = 0;
  const counting = spyFetch(async ({ method, body, pass }) => {
    if (method === 'PATCH') resent += body?.length ?? 0;
    return pass();
  });
  const second = await open(counting);
  const [pending] = await second.documents.pending();
  t.match(pending, { id: upload.id, running: false, to: bob.me.account });
  t.match(pending?.files, [
    { size: 5, done: true },
    { size: bytes.length, path, done: false },
  ]);
  writeFileSync(path, pattern(12 * MIB, 99));
  await t.rejects((await second.documents.resume(upload.id)).sent, { code: 'DOCUMENT_CHANGED' });
  t.equal(resent, 0, 'nothing of another file leaves');
  await t.rejects(second.documents.resume(upload.id, { files: [undefined, pattern(7)] }), {
    code: 'DOCUMENT_CHANGED',
  });
  writeFileSync(path, bytes);
  const sent = await (await second.documents.resume(upload.id)).sent;
  await sent.confirmed;
  t.equal(sent.id, upload.id);
  t.ok(resent < 12 * MIB, `${resent} bytes in the second run`);
  t.strictSame(await second.documents.pending(), []);
  await t.rejects(second.documents.resume(upload.id), { code: 'DOCUMENT_CANCELLED' });
  await inbox.reach(1);
  const [, large] = inbox.messages[0]?.attachments ?? [];
  t.ok(same((await large?.bytes()) ?? new Uint8Array(), bytes));
  t.equal(inbox.messages.length, 1);
});

/** Methods of a store that outlives its client. */
function bind(keep: MemoryStore, store: MemoryStore): MemoryStore {
  return new Proxy(keep, {
    get: (target, name) => {
      if (name === 'close') return target.close;
      const value = (store as never)[name] as unknown;
      return typeof value === 'function' ? value.bind(store) : value;
    },
  });
}

t.test('cancelling deletes what was uploaded, by a signal or by hand', async (t) => {
  const relay = await relayWithDisk(t);
  let parts = 0;
  const stuck = spyFetch(async ({ method, pass }) => {
    if (method === 'PATCH' && ++parts % 2 === 0) return new Promise(() => undefined);
    return pass();
  });
  const { chat, inbox, alice } = await pair(t, relay, { fetch: stuck });
  const control = new AbortController();
  const sending = chat.send({ file: pattern(4 * MIB) }, { signal: control.signal });
  await until(() => parts === 2, 60_000);
  t.equal(blobs(relay).length, 1);
  control.abort();
  await t.rejects(sending, { code: 'DOCUMENT_CANCELLED' });
  await until(() => blobs(relay).length === 0, 60_000);

  const upload = await chat.upload({ file: pattern(4 * MIB) });
  await until(() => parts === 4, 60_000);
  await upload.cancel();
  await t.rejects(upload.sent, { code: 'DOCUMENT_CANCELLED' });
  await until(() => blobs(relay).length === 0, 60_000);
  t.strictSame(await alice.documents.pending(), []);
  t.equal(inbox.messages.length, 0, 'and no message');
  const early = new AbortController();
  early.abort();
  await t.rejects(chat.send({ file: pattern(5) }, { signal: early.signal }), {
    code: 'DOCUMENT_CANCELLED',
  });
  const document = alice.documents.open({
    id: new Uint8Array(32),
    key: new Uint8Array(64),
    digest: new Uint8Array(32),
    size: 5,
    mediaType: 'a/b',
  });
  await t.rejects(document.bytes({ signal: early.signal }), { code: 'DOCUMENT_CANCELLED' });
  await t.rejects(document.bytes(), { code: 'DOCUMENT_GONE' });
});

t.test('what the relay has no room for is said before and by code', async (t) => {
  const relay = await relayWithDisk(t, { blobQuotaBytes: 100_000, blobBytesMax: 80_000 });
  const { chat, alice } = await pair(t, relay);
  await t.rejects(chat.send({ file: pattern(90_000) }), { code: 'LIMIT_FILE_SIZE' });
  await (await chat.send({ file: pattern(60_000) })).confirmed;
  await t.rejects(chat.send({ file: pattern(60_000) }), { code: 'LIMIT_QUOTA' });
  const pending = await alice.documents.pending();
  t.equal(pending.length, 2, 'kept until somebody decides');
  for (const { id } of pending) await alice.documents.cancel(id);
  t.strictSame(await alice.documents.pending(), []);
  await t.rejects(chat.send({ file: patternSource(2 ** 31) }), { code: 'LIMIT_FILE_SIZE' });
  await t.rejects(chat.send({ file: [] }), { code: 'USAGE_ARGUMENT' });
  await t.rejects(chat.send({ file: {} as never }), { code: 'USAGE_ARGUMENT' });
  const large = describeFile(pattern(5), { thumbnail: new Uint8Array(20_000) });
  await t.rejects(chat.send({ file: large }), { code: 'USAGE_ARGUMENT' }, 'no reader takes it');
  const without = await testRelay(t);
  const other = await pair(t, without);
  await t.rejects(other.chat.send({ file: pattern(5) }), { code: 'DOCUMENT_UNSUPPORTED' });
});

t.test('ATK-H04 a document that was taken back is gone from the relay', async (t) => {
  const relay = await relayWithDisk(t, { blobQuotaBytes: 100_000 });
  const { chat, bob, inbox } = await pair(t, relay);
  const sent = await chat.send({ file: pattern(60_000) });
  const document = await only(inbox);
  t.ok(same(await document.bytes(), pattern(60_000)));
  const [ours] = await chat.messages();
  await chat.delete(ours!);
  await until(() => blobs(relay).length === 0, 60_000);
  await t.rejects(document.bytes(), { code: 'DOCUMENT_GONE' });
  const from = await bob.conversation('alice');
  await until(async () => (await from.messages())[0]?.deleted === true);
  t.strictSame((await from.messages())[0]?.attachments, [], 'and its key with it');
  t.equal((await bob.history())[0]?.id, sent.id);
  await (await chat.send({ file: pattern(60_000) })).confirmed;
});

t.test('ATK-D10 ATK-H12 receiving, showing and searching fetch nothing', async (t) => {
  const relay = await relayWithDisk(t);
  let requests = 0;
  const counting = spyFetch(async ({ pass }) => {
    requests++;
    return pass();
  });
  const carol = await person(t, relay, 'carol', { fetch: counting });
  const inbox = new Inbox(carol);
  const dave = await person(t, relay, 'dave');
  const to = await dave.conversation('carol');
  await to.send({ file: pattern(5_000), caption: 'https://evil.example/page' });
  await to.send('https://evil.example/picture.png');
  await inbox.reach(2);
  const from = await carol.conversation('dave');
  await from.typing();
  await from.setDraft('https://evil.example/draft');
  await from.markRead();
  await carol.search('evil');
  await from.messages();
  t.equal(requests, 0);
  await inbox.messages[0]?.attachments[0]?.bytes();
  t.equal(requests, 1, 'until somebody asks');
});

t.test(
  'two programs of one profile: the one that is not connected sends and reads too',
  async (t) => {
    const relay = await relayWithDisk(t, { blobReadTicket: true });
    const bob = await person(t, relay, 'bob');
    const inbox = new Inbox(bob);
    const store = new MemoryStore();
    const shared = (): MemoryStore =>
      bind(
        Object.assign(Object.create(store), { close: async () => undefined }) as MemoryStore,
        store,
      );
    const owner = await person(t, relay, 'alice', { store: shared() });
    const { testClient } = await import('../support/world.js');
    const second = await testClient(t, relay, { store: shared() });
    await until(() => owner.status === 'open');
    t.not(second.status, 'open');
    const sent = await (await second.conversation('bob')).send({ file: pattern(2_000_000) });
    await sent.confirmed;
    t.ok(same(await (await only(inbox)).bytes(), pattern(2_000_000)), 'with a ticket to read');
    const [ours] = (await second.history()).slice(-1);
    t.ok(same((await ours?.attachments[0]?.bytes()) ?? new Uint8Array(), pattern(2_000_000)));
  },
);

t.test(
  'view once: the key is gone when it was seen; the bytes come from what was shown',
  async (t) => {
    const relay = await relayWithDisk(t);
    const { chat, inbox, bob, alice } = await pair(t, relay);
    await (await chat.send({ file: pattern(1_000), viewOnce: true })).confirmed;
    await inbox.reach(1);
    const [message] = inbox.messages as [Message];
    t.strictSame(message.attachments, [], 'nothing to open before it is viewed');
    const from = await bob.conversation('alice');
    const body = await from.view(message);
    const [attachment] = body.attachments ?? [];
    t.ok(attachment);
    t.ok(same(await bob.documents.open(attachment!).bytes(), pattern(1_000)));
    const [after] = (await from.messages()).slice(-1);
    t.equal(after?.viewOnce, 'opened');
    t.strictSame(after?.attachments, []);
    const [ours] = (await chat.messages()).slice(-1);
    const record = (await chat.messages()).at(-1);
    t.strictSame(ours?.attachments, [], 'nor by who sent it');
    t.ok(record);
    await alice.documents.keep(attachment!, 90);
    await t.rejects(bob.documents.keep(attachment!, 90), { code: 'USAGE_ARGUMENT' });
  },
);

t.test('in a group: one upload for everybody, once, and gone for everybody', async (t) => {
  const relay = await relayWithDisk(t);
  const { alice, inbox } = await pair(t, relay);
  const team = await alice.createGroup({ title: 'Ministry', members: ['bob'] });
  await (await team.send({ file: pattern(80_000), caption: 'minutes' })).confirmed;
  const document = await only(inbox);
  t.ok(same(await document.bytes(), pattern(80_000)));
  t.strictSame(await alice.documents.pending(), [], 'the upload ended with its message');
  const ours = (await team.messages()).find(({ text }) => text === 'minutes');
  await team.delete(ours!);
  await until(() => blobs(relay).length === 0, 60_000);
});
