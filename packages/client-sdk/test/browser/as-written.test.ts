// The code block of issue 5 runs as written: in Node, and in Chromium in a Vite project without configuration,
// under a strict content policy.
import { MemoryStore, QasidClient } from '@qasid/client-sdk';
import type { Test } from 'tap';
import t from 'tap';

import { asWritten, firstOf } from '../support/as-written.js';
import { chromiumPath, launch, NO_CHROMIUM, openPage, serveApp } from '../support/browser.js';
import { tempDirectory } from '../support/temp.js';
import { Inbox, person, testRelay } from '../support/world.js';
import type { Written } from './app/written.js';

t.setTimeout(300_000);

interface Alice {
  write(relay: string): Promise<Written>;
  /** The eight digits that the new device shows; resolves when it is part of the account. */
  agree(): Promise<string>;
  rendered(count: number): Promise<readonly string[]>;
  first(): Promise<string>;
}

/** What must come of it, wherever alice is. */
async function story(t: Test, alice: Alice): Promise<void> {
  const relay = await testRelay(t);
  const bob = await person(t, relay, 'bob');
  const carol = await person(t, relay, 'carol');
  const [bobs, carols] = [new Inbox(bob), new Inbox(carol)];
  const { digits, qr } = await alice.write(relay.url);
  await bobs.reach(2, 60_000);
  await carols.reach(1, 60_000);
  t.strictSame(bobs.texts, ['salaam', 'first item']);
  t.strictSame(carols.texts, ['first item']);
  t.equal((await bob.safetyNumber('alice')).digits, digits);

  await (await bob.send('alice', 'wa alaikum salaam')).confirmed;
  t.ok((await alice.rendered(1)).includes('bob: wa alaikum salaam'));
  t.equal(await alice.first(), 'wa alaikum salaam');

  let shown = '';
  const joining = QasidClient.link({
    link: qr,
    name: 'a second device',
    store: new MemoryStore(),
    confirm: ({ code }) => {
      shown = code;
      return true;
    },
  });
  joining.catch(() => undefined);
  const code = await alice.agree();
  const second = await joining;
  t.teardown(() => second.close());
  t.match(code, /^[\d ]{8,9}$/);
  t.equal(shown, code, 'the same digits on both screens');
  const seconds = new Inbox(second);
  await (await bob.send('alice', 'to both of yours')).confirmed;
  await seconds.reach(1, 60_000);
  t.strictSame(seconds.texts, ['to both of yours']);
}

t.test('in Node', async (t) => {
  process.env.QASID_HOME = tempDirectory(t);
  const texts: string[] = [];
  let made: Awaited<ReturnType<typeof asWritten>> | undefined;
  let first: Promise<string> | undefined;
  const must = () => {
    if (made === undefined) throw new Error('not written yet');
    return made;
  };
  await story(t, {
    async write(relay) {
      made = await asWritten({
        relay,
        passphrase: 'correct horse battery staple',
        render: ({ username }, text) => texts.push(`${username}: ${text}`),
      });
      const { alice, link, n } = made;
      t.teardown(() => alice.close());
      first = firstOf(alice);
      return { digits: n.digits, qr: link.qr?.text ?? '' };
    },
    async agree() {
      const { link } = must();
      const code = await link.code;
      link.confirm();
      await link.done;
      return code;
    },
    async rendered(count) {
      while (texts.length < count) await new Promise((resolve) => setTimeout(resolve, 20));
      return texts;
    },
    first: async () => first ?? '',
  });
});

t.test('in Chromium', { skip: chromiumPath === undefined ? NO_CHROMIUM : false }, async (t) => {
  // The policy names the relay's address, which is known only when it runs: any on this machine.
  const url = await serveApp(t, 'written', 'ws://127.0.0.1:*');
  const { page, check } = await openPage(await launch(t), url);
  await story(t, {
    write: (relay) => page.evaluate((address) => window.write(address), relay),
    agree: () => page.evaluate(() => window.agree()),
    async rendered(count) {
      await page.waitForFunction((wanted) => window.rendered.length >= wanted, count, {
        timeout: 60_000,
      });
      return page.evaluate(() => window.rendered);
    },
    first: () => page.evaluate(async () => (await window.first) ?? ''),
  });
  check();
});
