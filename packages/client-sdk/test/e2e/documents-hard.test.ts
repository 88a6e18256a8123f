// Documents when the relay is killed, and in constant memory. QASID_BLOB_MIB sets the size; nightly it is 2 GiB.
import { createHash } from 'node:crypto';
import { DOCUMENT_BYTES_MAX } from '@qasid/client-sdk';
import t from 'tap';

import { startProcess } from '../../../relay/dist-test/support/relay-process.js';
import { folder, pattern, patternSource, same, spyFetch } from '../support/documents.js';
import { Inbox, person } from '../support/world.js';

t.setTimeout(3_600_000);

const MIB = 1_048_576;
const size = Math.min(Number(process.env.QASID_BLOB_MIB ?? 96) * MIB, DOCUMENT_BYTES_MAX);
/** Far below the size, well above what parts, chunks and a lazy garbage collector need. */
const GROWTH_MAX = 160 * MIB;

for (const transport of ['uws', 'ws'] as const) {
  t.test(`${transport}: the relay is killed in the middle, both ways`, async (t) => {
    const directory = folder(t);
    let relay = await startProcess(directory, { transport });
    t.teardown(() => relay.kill());
    const port = Number(new URL(relay.url).port);
    let kills = 0;
    let requests = 0;
    const killing = spyFetch(async ({ method, pass }) => {
      const isTurn = (method === 'PATCH' || method === 'GET') && ++requests % 2 === 1;
      if (!isTurn || kills >= 3) return pass();
      kills++;
      const asked = pass();
      asked.catch(() => undefined);
      await relay.kill();
      relay = await startProcess(directory, { transport, port });
      return asked;
    });
    const alice = await person(t, relay, 'alice', { fetch: killing });
    const bob = await person(t, relay, 'bob', { fetch: killing });
    const inbox = new Inbox(bob);
    const bytes = pattern(6 * MIB);
    const chat = await alice.conversation('bob');
    await (await chat.send({ file: bytes })).confirmed;
    t.ok(kills >= 2, `${kills} kills during the upload`);
    await inbox.reach(1, 120_000);
    kills = 2;
    requests = 0;
    t.ok(same((await inbox.messages[0]?.attachments[0]?.bytes()) ?? new Uint8Array(), bytes));
    t.equal(kills, 3, 'and one during the download');
  });
}

t.test(`${Math.round(size / MIB)} MiB up and down in constant memory`, async (t) => {
  const relay = await startProcess(folder(t));
  t.teardown(() => relay.kill());
  const alice = await person(t, relay, 'alice');
  const bob = await person(t, relay, 'bob');
  const inbox = new Inbox(bob);
  const chat = await alice.conversation('bob');
  const source = patternSource(size);
  // Warm up with what every document needs once.
  await (await chat.send({ file: patternSource(20 * MIB) })).confirmed;
  const before = process.memoryUsage().rss;
  let peak = before;
  const look = (): void => {
    peak = Math.max(peak, process.memoryUsage().rss);
  };
  const sent = await chat.send({ file: source }, { onProgress: look });
  await sent.confirmed;
  await inbox.reach(2, 120_000);
  const digest = createHash('sha256');
  const reader = inbox.messages[1]!.attachments[0]!.stream().getReader();
  for (let step = await reader.read(); !step.done; step = await reader.read()) {
    digest.update(step.value);
    look();
  }
  const expected = createHash('sha256');
  const again = source.stream().getReader();
  for (let step = await again.read(); !step.done; step = await again.read()) {
    expected.update(step.value);
  }
  t.equal(digest.digest('hex'), expected.digest('hex'));
  const growth = peak - before;
  t.comment(`${Math.round(growth / MIB)} MiB more than before, for ${Math.round(size / MIB)}`);
  t.ok(growth < GROWTH_MAX);
});
