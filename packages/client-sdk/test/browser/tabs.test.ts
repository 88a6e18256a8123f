// Clients in tabs and workers of a real browser, against a relay and a person in Node.
import type { BrowserContext, Page } from 'playwright-core';
import t from 'tap';

import { chromiumPath, launch, NO_CHROMIUM, openPage, serveApp } from '../support/browser.js';
import { Inbox, person, testRelay, until } from '../support/world.js';

const skip = chromiumPath === undefined ? NO_CHROMIUM : false;
/** Messages of each tab; the nightly run sends 1 000. */
const EACH = Number(process.env.QASID_TAB_SENDS ?? 100);
const LONG = 120_000 + 300 * EACH;
t.setTimeout(300_000 + 600 * EACH);

function numbered(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix} ${index}`);
}

function only(texts: readonly string[], prefix: string): string[] {
  return texts.filter((text) => text.startsWith(`${prefix} `));
}

t.test('clients in a browser', { skip }, async (t) => {
  const relay = await testRelay(t);
  const url = await serveApp(t, 'tabs', relay.url);
  const browser = await launch(t);
  const tab = async (context: BrowserContext): Promise<Page> => {
    const page = await context.newPage();
    page.on('pageerror', (error) => t.fail(error.message));
    await page.goto(url);
    return page;
  };
  const enter = (page: Page, profile: string, passphrase?: string) =>
    page.evaluate((options) => window.enter(options), {
      relay: relay.url,
      profile,
      ...(passphrase !== undefined && { passphrase }),
    });

  const bob = await person(t, relay, 'bob');
  const inbox = new Inbox(bob);
  const wrong: string[] = [];
  bob.on('undecryptable', ({ cause }) => wrong.push(cause));
  bob.on('gap', ({ cause }) => wrong.push(cause));

  await t.test('ATK-C09 ATK-J03 two tabs of one profile send and receive at once', async (t) => {
    const context = await browser.newContext();
    const [one, two] = [await tab(context), await tab(context)];
    t.strictSame(await Promise.all([enter(one, 'tabs'), enter(two, 'tabs')]), ['in', 'in']);
    const answers = (async () => {
      await inbox.reach(1, LONG);
      for (const text of numbered('bob', 100)) await bob.send('tabs', text);
    })();
    const sent = [one, two].map((page, index) =>
      page.evaluate(([prefix, count]) => window.sendMany(prefix, count), [
        index === 0 ? 'one' : 'two',
        EACH,
      ] as const),
    );
    t.strictSame(await Promise.all(sent), ['sent', 'sent']);
    await inbox.reach(2 * EACH, LONG);
    await answers;
    t.equal(inbox.texts.length, 2 * EACH);
    t.strictSame(only(inbox.texts, 'one'), numbered('one', EACH), 'each once, in order');
    t.strictSame(only(inbox.texts, 'two'), numbered('two', EACH), 'each once, in order');
    for (const page of [one, two]) {
      await page.waitForFunction(() => window.shown.length >= 100, undefined, { timeout: LONG });
      t.strictSame(await page.evaluate(() => window.shown), numbered('bob', 100));
      t.strictSame(await page.evaluate(() => window.wrong), []);
    }
    t.strictSame(wrong, [], 'no counter was used twice, none is missing');

    const status = (page: Page) => page.evaluate(() => window.client?.status);
    const [leader, other] = (await status(one)) === 'open' ? [one, two] : [two, one];
    t.equal(await status(leader), 'open');
    t.not(await status(other), 'open', 'one connection for both');
    // Killed while it sends: what it had committed goes out through the other one.
    void leader.evaluate(() => window.sendMany('last', 1_000)).catch(() => undefined);
    await until(() => only(inbox.texts, 'last').length > 5, LONG);
    await leader.close({ runBeforeUnload: false });
    await bob.send('tabs', 'still there?');
    await other.waitForFunction(() => window.shown.includes('still there?'), undefined, {
      timeout: LONG,
    });
    t.equal(await status(other), 'open', 'took over');
    t.equal(await other.evaluate(() => window.sendMany('after', 5)), 'sent');
    t.equal(await other.evaluate((ms) => window.confirmed(ms), LONG), 'confirmed');
    await until(() => only(inbox.texts, 'after').length === 5, LONG);
    const committed = only(await other.evaluate(() => window.texts()), 'last');
    t.strictSame(only(inbox.texts, 'last'), committed, 'what was committed arrived, once');
    t.strictSame(committed, numbered('last', committed.length));
    t.strictSame(wrong, []);
    t.equal((await other.evaluate(() => window.shown)).length, 101);
    await context.close();
  });

  await t.test('a tab with a newer SDK takes the store: a typed error, nothing lost', async (t) => {
    const context = await browser.newContext();
    const page = await tab(context);
    t.equal(await enter(page, 'older'), 'in');
    t.equal(await page.evaluate(() => window.sendMany('before', 3)), 'sent');
    t.equal(await page.evaluate((ms) => window.confirmed(ms), LONG), 'confirmed');
    const newer = await context.newPage();
    await newer.goto(url);
    await newer.evaluate(
      () =>
        new Promise<void>((resolve, reject) => {
          // What a migration of a later version does first.
          const asked = indexedDB.open('qasid/older', 2);
          asked.onsuccess = () => {
            asked.result.close();
            resolve();
          };
          asked.onerror = () => reject(asked.error);
        }),
    );
    t.equal(await page.evaluate(() => window.sendMany('too late', 1)), 'STORE_LOCKED');
    await page.reload();
    t.equal(await enter(page, 'older'), 'STORE_CORRUPT', 'until the page is the newer one too');
    t.strictSame(only(inbox.texts, 'before'), numbered('before', 3));
    t.strictSame(only(inbox.texts, 'too late'), []);
    await context.close();
  });

  await t.test('offline and back: what was written meanwhile arrives', async (t) => {
    const context = await browser.newContext();
    const page = await tab(context);
    t.equal(await enter(page, 'offline', 'a passphrase'), 'in');
    t.equal(await page.evaluate(() => window.sendMany('online', 1)), 'sent');
    t.equal(await page.evaluate((ms) => window.confirmed(ms), LONG), 'confirmed');
    await context.setOffline(true);
    // Offline emulation leaves open sockets alone; a new one is refused.
    await page.reload().catch(() => undefined);
    await context.setOffline(false);
    await page.goto(url);
    await context.setOffline(true);
    const entering = page.evaluate((options) => window.enter(options), {
      relay: relay.url,
      profile: 'offline',
      passphrase: 'a passphrase',
    });
    t.equal(await entering, 'in', 'a registered profile opens offline');
    t.equal(await page.evaluate(() => window.sendMany('meanwhile', 3)), 'sent');
    t.match(await page.evaluate(() => window.confirmed(500)), /^NET_/);
    await context.setOffline(false);
    await until(() => only(inbox.texts, 'meanwhile').length === 3, LONG);
    t.strictSame(only(inbox.texts, 'meanwhile'), numbered('meanwhile', 3));
    await context.close();
  });

  await t.test('the SDK in a Web Worker', async (t) => {
    const { page, check } = await openPage(browser, url);
    const account = await page.evaluate((options) => window.work(options), {
      relay: relay.url,
      profile: 'worker',
      passphrase: 'kept off the page',
    });
    t.match(account, /^[0-9a-f]{8}-/);
    await bob.send('worker', 'hello');
    await until(() => inbox.texts.includes('the worker heard: hello'), LONG);
    check();
    t.pass('no document, no localStorage, no polyfill');
    await page.context().close();
  });
});
