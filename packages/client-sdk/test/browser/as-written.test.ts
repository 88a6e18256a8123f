// The code block of issue 5 runs as written: in Node, and in Chromium in a Vite project without configuration,
// under a strict content policy.
import t from 'tap';

import { asWritten, firstOf } from '../support/as-written.js';
import { chromiumPath, launch, NO_CHROMIUM, openPage, serveApp } from '../support/browser.js';
import { tempDirectory } from '../support/temp.js';
import { Inbox, person, testRelay, until } from '../support/world.js';

t.setTimeout(300_000);

t.test('in Node', async (t) => {
  process.env.QASID_HOME = tempDirectory(t);
  const relay = await testRelay(t);
  const bob = await person(t, relay, 'bob');
  const inbox = new Inbox(bob);
  const rendered: string[] = [];
  const { alice, chat, n } = await asWritten({
    relay: relay.url,
    passphrase: 'correct horse battery staple',
    render: ({ username }, text) => rendered.push(`${username}: ${text}`),
  });
  t.teardown(() => alice.close());
  const first = firstOf(alice);
  await inbox.reach(1, 60_000);
  t.strictSame(inbox.texts, ['salaam']);
  t.equal((await bob.safetyNumber('alice')).digits, n.digits);
  await (await bob.send('alice', 'wa alaikum salaam')).confirmed;
  await until(() => rendered.length > 0, 60_000);
  t.strictSame(rendered, ['bob: wa alaikum salaam']);
  t.equal(await first, 'wa alaikum salaam');
  t.equal((await chat.messages()).length, 2);
});

t.test('in Chromium', { skip: chromiumPath === undefined ? NO_CHROMIUM : false }, async (t) => {
  const relay = await testRelay(t);
  const bob = await person(t, relay, 'bob');
  const inbox = new Inbox(bob);
  const url = await serveApp(t, 'written', relay.url);
  const { page, check } = await openPage(await launch(t), url);
  const digits = await page.evaluate((address) => window.write(address), relay.url);
  await inbox.reach(1, 60_000);
  t.strictSame(inbox.texts, ['salaam']);
  t.equal((await bob.safetyNumber('alice')).digits, digits);
  await (await bob.send('alice', 'wa alaikum salaam')).confirmed;
  await page.waitForFunction(() => window.rendered.length > 0, undefined, { timeout: 60_000 });
  t.strictSame(await page.evaluate(() => window.rendered), ['bob: wa alaikum salaam']);
  t.equal(await page.evaluate(() => window.first), 'wa alaikum salaam');
  check();
});
