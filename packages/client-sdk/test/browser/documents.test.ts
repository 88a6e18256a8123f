// Documents between a Chromium page and Node, both ways, through a real relay, under a strict content policy.
import { createHash } from 'node:crypto';
import t from 'tap';

import { chromiumPath, launch, NO_CHROMIUM, openPage, serveApp } from '../support/browser.js';
import { pattern, relayWithDisk } from '../support/documents.js';
import { Inbox, person } from '../support/world.js';

t.setTimeout(300_000);
const skip = chromiumPath === undefined ? NO_CHROMIUM : false;
const SIZE = 5_000_000;

const digestOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

t.test('5 MB up from a page and down to it', { skip }, async (t) => {
  const relay = await relayWithDisk(t);
  const bob = await person(t, relay, 'bob');
  const inbox = new Inbox(bob);
  const http = relay.url.replace(/^ws/, 'http');
  const url = await serveApp(t, 'documents', `${relay.url} ${http}`);
  const { page, check } = await openPage(await launch(t), url);
  const given = { relay: relay.url, size: SIZE };
  const sent = await page.evaluate(({ relay, size }) => window.send(relay, 'bob', size), given);
  t.equal(sent.ratios.at(-1), 1);
  await inbox.reach(1, 60_000);
  const document = inbox.messages[0]?.attachments[0];
  t.match(document, { name: 'page.bin', mediaType: 'image/png', size: SIZE });
  t.equal(digestOf((await document?.bytes()) ?? new Uint8Array()), sent.digest);

  const back = pattern(SIZE, 3);
  const file = new File([back], '../evil\u202e.html', { type: 'text/html' });
  await (await (await bob.conversation('alice')).send({ file })).confirmed;
  const got = await page.evaluate(() => window.receive());
  t.strictSame(got, {
    digest: digestOf(back),
    size: SIZE,
    type: 'application/octet-stream',
    name: 'evil.html',
  });
  check();
});
