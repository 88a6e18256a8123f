// examples/vite-chat, built by Vite without configuration: two people in Chromium and one in Node, under a
// strict policy, with accessible names for everything; and its size.
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import type { Page } from 'playwright-core';
import t from 'tap';
import { build } from 'vite';

import { chromiumPath, launch, NO_CHROMIUM, openPage, serveFolder } from '../support/browser.js';
import { Inbox, person, testRelay } from '../support/world.js';

t.setTimeout(300_000);
const skip = chromiumPath === undefined ? NO_CHROMIUM : false;
const EXAMPLE = fileURLToPath(new URL('../../../../examples/vite-chat/', import.meta.url));

/**
 * What all scripts and styles of the page may take on the wire. Higher: slow on a phone. Lower: no room for
 * groups, linking and documents, which every client can receive and so cannot leave out.
 */
const GZIP_BYTES_MAX = 200_000;

/** A folder for pictures of what people see, to look at; none are made without it. */
const shots = process.env.QASID_SCREENSHOTS;
const shoot = async (page: Page, name: string) => {
  if (shots !== undefined) await page.screenshot({ path: join(shots, `${name}.png`) });
};

const LONG = { timeout: 60_000 };
const message = (page: Page, text: string) =>
  page.getByRole('log').getByRole('listitem').filter({ hasText: text });

async function enter(page: Page, relay: string, name: string, passphrase: string): Promise<void> {
  await page.getByLabel('Your name').fill(name);
  await page.getByLabel('Passphrase').fill(passphrase);
  await page.getByText('Relay', { exact: true }).click();
  await page.getByLabel('Address').fill(relay);
  await page.getByRole('button', { name: 'Open' }).click();
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel('Message', { exact: true }).fill(text);
  await page.getByRole('button', { name: 'Send' }).click();
}

t.test('the chat of examples/vite-chat', { skip }, async (t) => {
  const outDir = resolve(EXAMPLE, `dist/test-${process.pid}`);
  t.teardown(() => rmSync(outDir, { recursive: true, force: true }));
  await build({ root: EXAMPLE, configFile: false, logLevel: 'error', build: { outDir } });

  await t.test('is not larger than it may be', async (t) => {
    const assets = join(outDir, 'assets');
    const files = readdirSync(assets).map((name) => readFileSync(join(assets, name)));
    const raw = files.reduce((sum, file) => sum + file.length, 0);
    const gzip = files.reduce((sum, file) => sum + gzipSync(file).length, 0);
    t.comment(`bundle of a chat page: ${raw} bytes, ${gzip} with gzip`);
    t.ok(gzip <= GZIP_BYTES_MAX, `${gzip} of ${GZIP_BYTES_MAX} bytes`);
  });

  const relay = await testRelay(t);
  const policy = `default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src ${relay.url}; base-uri 'none'; form-action 'none'`;
  const url = await serveFolder(t, outDir, policy);
  const browser = await launch(t);

  await t.test('two people in Chromium and one in Node write to each other', async (t) => {
    const alice = await openPage(browser, url);
    const bob = await openPage(browser, url);
    await shoot(alice.page, 'welcome');
    await enter(bob.page, relay.url, 'bob', 'correct horse');
    await enter(alice.page, relay.url, 'alice', 'battery staple');
    for (const { page } of [alice, bob]) await page.getByText('connected').waitFor(LONG);

    await alice.page.getByLabel('Write to').fill('bob');
    await alice.page.getByRole('button', { name: 'Find' }).click();
    await alice.page.getByRole('heading', { name: 'bob' }).waitFor(LONG);
    await say(alice.page, 'salaam, Bob <img src=x onerror=alert(1)>');
    await bob.page.getByText('wants to write to you').waitFor(LONG);
    await message(bob.page, 'salaam, Bob <img src=x onerror=alert(1)>').waitFor(LONG);
    t.equal(await bob.page.locator('#messages img').count(), 0, 'text stays text');
    await shoot(bob.page, 'request');
    await bob.page.getByRole('button', { name: 'Accept' }).click();
    await say(bob.page, 'سلام، علیس');
    await message(alice.page, 'سلام، علیس').waitFor(LONG);
    await message(alice.page, 'delivered').first().waitFor(LONG);
    t.strictSame(
      await alice.page.locator('#messages .text').allTextContents(),
      ['salaam, Bob <img src=x onerror=alert(1)>', 'سلام، علیس'],
      'in the order they were said',
    );
    await shoot(alice.page, 'chat');

    const digits = async (page: Page) => {
      await page.getByRole('button', { name: 'Compare safety number' }).click();
      await page.getByRole('dialog', { name: 'Safety number' }).waitFor(LONG);
      const text = await page.locator('#digits').textContent();
      await shoot(page, 'safety-number');
      await page.getByRole('button', { name: 'Close' }).click();
      return text;
    };
    const ours = await digits(alice.page);
    t.match(ours, /^(\d{5} ){11}\d{5}$/);
    t.equal(await digits(bob.page), ours);

    const carol = await person(t, relay, 'carol');
    const inbox = new Inbox(carol);
    await alice.page.getByLabel('Write to').fill('carol');
    await alice.page.getByRole('button', { name: 'Find' }).click();
    await alice.page.getByRole('heading', { name: 'carol' }).waitFor(LONG);
    await say(alice.page, 'to Node');
    await inbox.reach(1, 60_000);
    t.strictSame(inbox.texts, ['to Node']);
    await (await carol.send('alice', 'from Node')).confirmed;
    await message(alice.page, 'from Node').waitFor(LONG);
    const contrast = () =>
      alice.page.evaluate(() => {
        const of = (id: string) => getComputedStyle(document.querySelector(id) as Element);
        return [of('#messages .sent').color, of('#messages .sent').backgroundColor];
      });
    const light = await contrast();
    t.not(light[0], light[1], 'to be seen');

    await alice.page.emulateMedia({ colorScheme: 'dark' });
    await shoot(alice.page, 'dark');
    t.notSame(await contrast(), light, 'dark where a person wants it dark');
    await alice.page.setViewportSize({ width: 360, height: 640 });
    await shoot(alice.page, 'phone');
    t.ok(
      await alice.page.evaluate(
        () => document.documentElement.scrollWidth <= document.documentElement.clientWidth,
      ),
      'nothing hangs over the edge of a phone',
    );
    for (const { check } of [alice, bob]) check();

    await t.test(
      'a page that comes back knows what was said; the passphrase must fit',
      async (t) => {
        await alice.page.reload();
        await enter(alice.page, relay.url, 'alice', 'not the one');
        await alice.page.getByRole('alert').filter({ hasText: 'not the passphrase' }).waitFor(LONG);
        await shoot(alice.page, 'wrong-passphrase');
        await alice.page.getByLabel('Passphrase').fill('battery staple');
        await alice.page.getByRole('button', { name: 'Open' }).click();
        await message(alice.page, 'from Node').waitFor(LONG);
        t.equal(await message(alice.page, 'from Node').count(), 1);
        alice.check();
      },
    );

    await t.test('everything a person can use has a name', async (t) => {
      const nameless = await alice.page.evaluate(() =>
        [...document.querySelectorAll('input, button')]
          .filter((it) => {
            const labels = (it as HTMLInputElement).labels?.length ?? 0;
            return labels === 0 && (it.textContent ?? '').trim() === '';
          })
          .map((it) => it.outerHTML),
      );
      t.strictSame(nameless, []);
    });
  });
});
