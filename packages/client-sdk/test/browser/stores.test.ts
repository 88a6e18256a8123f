// The store of a browser in a real one: its contract, passphrases, eviction, no space, private windows, and
// what a script in the page can do.
import type { Page } from 'playwright-core';
import t from 'tap';

import { chromiumPath, launch, NO_CHROMIUM, openPage, serveApp } from '../support/browser.js';

t.setTimeout(300_000);
const skip = chromiumPath === undefined ? NO_CHROMIUM : false;

t.test('the store in Chromium', { skip }, async (t) => {
  const url = await serveApp(t, 'stores', '');
  const browser = await launch(t);
  const fresh = () => openPage(browser, url);
  const make = (page: Page, ...given: [string, string?]) =>
    page.evaluate(([profile, passphrase]) => window.make(profile ?? '', passphrase), given);

  await t.test('keeps its contract, with a passphrase and without', async (t) => {
    const { page, check } = await fresh();
    for (const passphrase of [undefined, 'correct horse']) {
      const results = await page.evaluate((given) => window.contract(given), passphrase);
      t.ok(results.length > 10);
      for (const { name, error } of results) t.equal(error, undefined, name);
    }
    check();
    await page.context().close();
  });

  await t.test('passphrases: wrong, missing, needless', async (t) => {
    const { page } = await fresh();
    t.equal(await make(page, 'locked', 'right'), 'new');
    t.equal(await make(page, 'locked', 'wrong'), 'STORE_PASSPHRASE');
    t.equal(await make(page, 'locked'), 'STORE_PASSPHRASE');
    t.equal(await make(page, 'locked', 'right'), 'there', 'nothing was harmed');
    t.equal(await make(page, 'free'), 'new');
    t.equal(await make(page, 'free', 'x'), 'STORE_PASSPHRASE');
    await page.context().close();
  });

  await t.test('ATK-J02 evicted storage is told, and forgotten only when asked', async (t) => {
    const { page } = await fresh();
    t.equal(await make(page, 'evicted'), 'new');
    const session = await page.context().newCDPSession(page);
    await session.send('Storage.clearDataForOrigin', {
      origin: new URL(url).origin,
      storageTypes: 'indexeddb',
    });
    await page.reload();
    t.equal(await make(page, 'evicted'), 'STORE_LOST');
    t.equal(await make(page, 'evicted'), 'STORE_LOST', 'also when asked again');
    await page.evaluate(() => window.forget('evicted'));
    t.equal(await make(page, 'evicted'), 'new');
    await page.context().close();
  });

  await t.test(
    'no space left: a typed error, what was committed stays, and it goes on',
    async (t) => {
      const { page } = await fresh();
      const session = await page.context().newCDPSession(page);
      const { origin } = new URL(url);
      // Before the first write: Chromium remembers for a while how much space there was.
      await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 2_000_000 });
      t.strictSame(await page.evaluate(() => window.fill('full', 1_000, 3)), ['', 3]);
      const [code, written] = await page.evaluate(() => window.fill('full', 65_536, 400));
      t.equal(code, 'STORE_FULL');
      t.equal(await page.evaluate(() => window.count('full')), written + 3, 'all and nothing else');
      await session.send('Storage.overrideQuotaForOrigin', { origin });
      t.strictSame(await page.evaluate(() => window.fill('full', 1_000, 3)), ['', 3]);
      t.equal(await page.evaluate(() => window.count('full')), written + 6);
      await page.context().close();
    },
  );

  await t.test('a private window works, and leaves nothing to the next', async (t) => {
    // Contexts that are not persistent are what private windows are.
    const one = await fresh();
    t.equal(await make(one.page, 'private'), 'new');
    await one.page.reload();
    t.equal(await make(one.page, 'private'), 'there');
    await one.page.context().close();
    const two = await fresh();
    t.equal(await make(two.page, 'private'), 'new', 'a new window is a new device');
    await two.page.context().close();
  });

  await t.test('a database of a newer version is refused and kept', async (t) => {
    const { page } = await fresh();
    t.equal(await make(page, 'newer'), 'new');
    const bump = (version: number) =>
      page.evaluate(
        (version) =>
          new Promise<number>((resolve, reject) => {
            const asked = indexedDB.open('qasid/newer', version);
            asked.onsuccess = () => {
              resolve(asked.result.objectStoreNames.length);
              asked.result.close();
            };
            asked.onerror = () => reject(asked.error);
          }),
        version,
      );
    const tables = await bump(99);
    t.equal(await make(page, 'newer'), 'STORE_CORRUPT');
    t.equal(await bump(99), tables, 'untouched');
    await page.context().close();
  });

  await t.test(
    'ATK-J01 a script in the page exports no key; with a passphrase it opens nothing',
    async (t) => {
      const { page } = await fresh();
      await make(page, 'free');
      t.strictSame(
        await page.evaluate(() => window.steal('free')),
        ['opened the profile'],
        'it may use the keys of a store without passphrase: SECURITY.md says so',
      );
      await make(page, 'locked', 'right');
      t.strictSame(await page.evaluate(() => window.steal('locked')), []);
      await page.context().close();
    },
  );
});
