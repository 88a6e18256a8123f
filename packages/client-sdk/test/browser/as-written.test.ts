// The code block of issue 5 runs as written: in Node, and in Chromium in a Vite project without configuration,
// under a strict content policy.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FileInput, QasidClient } from '@qasid/client-sdk';
import { fileFromPath } from '@qasid/client-sdk/node';
import type { Test } from 'tap';
import t from 'tap';

import {
  asNewDevice,
  asWritten,
  compared,
  firstOf,
  shownBy,
  type Surroundings,
} from '../support/as-written.js';
import { chromiumPath, launch, NO_CHROMIUM, openPage, serveApp } from '../support/browser.js';
import { pattern, relayWithDisk, same } from '../support/documents.js';
import { tempDirectory } from '../support/temp.js';
import { Inbox, person, until } from '../support/world.js';
import type { Compared, Written } from './app/written.js';

t.setTimeout(300_000);

const PASSPHRASE = 'correct horse battery staple';
const CONTRACT = pattern(300_000);

/** Alice's first device, wherever it is, and her second. */
interface Alice {
  write(given: Pick<Surroundings, 'relay' | 'passphrase'>): Promise<Written>;
  compare(scanned: Uint8Array): Promise<Compared>;
  /** The eight digits; resolves when the new device is part of the account. */
  agree(): Promise<string>;
  rendered(count: number): Promise<readonly string[]>;
  first(): Promise<string>;
  /** The eight digits that the new device showed. */
  become(scanned: string): Promise<string>;
  /** What the new device rendered. */
  seconds(count: number): Promise<readonly string[]>;
}

/** What must come of it, wherever alice is. */
async function story(t: Test, alice: Alice, name: string, mediaType: string): Promise<void> {
  const relay = await relayWithDisk(t);
  const bob = await person(t, relay, 'bob');
  const carol = await person(t, relay, 'carol');
  const [bobs, carols] = [new Inbox(bob), new Inbox(carol)];
  const { scanned, ratios } = await alice.write({ relay: relay.url, passphrase: PASSPHRASE });
  await bobs.reach(3, 60_000);
  await carols.reach(1, 60_000);
  t.strictSame(bobs.texts, ['salaam', 'the contract', 'first item']);
  t.strictSame(carols.texts, ['first item']);

  t.equal(ratios.at(-1), 1, 'the bar is full');
  t.strictSame(
    ratios,
    [...ratios].sort((a, b) => a - b),
    'and never went back',
  );
  const document = bobs.messages[1]?.attachments[0];
  t.match(document, { name, mediaType, size: CONTRACT.length });
  t.ok(same((await document?.bytes()) ?? new Uint8Array(), CONTRACT), 'the file, as it was');

  const his = await bob.safetyNumber('alice');
  const hers = await alice.compare(his.qr);
  t.strictSame([hers.digits, hers.result], [his.digits, 'match']);
  t.equal(his.compare(Uint8Array.from(hers.held)), 'match', 'the other way round as well');
  const others = await carol.safetyNumber('alice');
  t.equal((await alice.compare(others.qr)).result, 'mismatch', 'the code of somebody else');

  await (await bob.send('alice', 'wa alaikum salaam')).confirmed;
  t.ok((await alice.rendered(1)).includes('bob: wa alaikum salaam'));
  t.equal(await alice.first(), 'wa alaikum salaam');

  const [code, shown] = await Promise.all([alice.agree(), alice.become(scanned)]);
  t.match(code, /^[\d ]{8,9}$/);
  t.equal(shown, code, 'the same digits on both screens');
  await (await bob.send('alice', 'to both of yours')).confirmed;
  t.strictSame(await alice.seconds(1), ['bob: to both of yours']);
  t.strictSame(await alice.rendered(2), ['bob: wa alaikum salaam', 'bob: to both of yours']);
}

/** The story in this process. */
async function inNode(t: Test, file: FileInput, name: string, mediaType: string): Promise<void> {
  process.env.QASID_HOME = tempDirectory(t);
  const [texts, seconds, ratios]: [string[], string[], number[]] = [[], [], []];
  let made: Awaited<ReturnType<typeof asWritten>> | undefined;
  let first: Promise<string> | undefined;
  const must = () => {
    if (made === undefined) throw new Error('not written yet');
    return made;
  };
  const reach = async (shown: readonly string[], count: number) => {
    await until(() => shown.length >= count);
    return shown;
  };
  const closing = (client: QasidClient) => t.teardown(() => client.close());
  const alice: Alice = {
    async write(given) {
      made = await asWritten({
        ...given,
        file,
        bar: { update: (ratio) => ratios.push(ratio) },
        render: ({ username }, text) => texts.push(`${username}: ${text}`),
      });
      closing(made.alice);
      first = firstOf(made.alice);
      return { scanned: (await shownBy(made.link)).scanned, ratios };
    },
    async compare(scanned) {
      const { digits, held, result } = compared(must().n, scanned);
      return { digits, held: [...held], result };
    },
    async agree() {
      const { link } = must();
      const code = await link.code;
      link.confirm();
      await link.done;
      return code;
    },
    rendered: (count) => reach(texts, count),
    first: async () => first ?? '',
    async become(scanned) {
      let shown = '';
      const device = await asNewDevice(scanned, PASSPHRASE, (code) => {
        shown = code;
        return true;
      });
      closing(device);
      device.on('message', ({ sender, text }) => seconds.push(`${sender.username}: ${text}`));
      return shown;
    },
    seconds: (count) => reach(seconds, count),
  };
  await story(t, alice, name, mediaType);
}

t.test('in Node, with a file of the disk', async (t) => {
  const path = join(tempDirectory(t), 'contract.pdf');
  writeFileSync(path, CONTRACT);
  await inNode(t, await fileFromPath(path), 'contract.pdf', 'application/pdf');
});

t.test('in Node, with a Blob', async (t) => {
  // A Blob has no name: who gets it sees one that the SDK chooses.
  await inNode(t, new Blob([CONTRACT], { type: 'image/png' }), 'document', 'image/png');
});

t.test('in Chromium', { skip: chromiumPath === undefined ? NO_CHROMIUM : false }, async (t) => {
  // The policy names the relay's address, which is known only when it runs: any on this machine.
  const url = await serveApp(t, 'written', 'ws://127.0.0.1:* http://127.0.0.1:*');
  const browser = await launch(t);
  const { page, check } = await openPage(browser, url);
  const second = await openPage(browser, url);
  const reach = async (on: typeof page, count: number) => {
    await on.waitForFunction((wanted) => window.rendered.length >= wanted, count, {
      timeout: 60_000,
    });
    return on.evaluate(() => window.rendered);
  };
  const alice: Alice = {
    async write(given) {
      const written = await page.evaluate((all) => window.write(all), {
        ...given,
        bytes: [...CONTRACT],
      });
      const size = await page.locator('#qr svg').boundingBox();
      t.ok((size?.width ?? 0) > 100, 'link.qr is a picture');
      return written;
    },
    compare: (scanned) => page.evaluate((bytes) => window.compare(bytes), [...scanned]),
    agree: () => page.evaluate(() => window.agree()),
    rendered: (count) => reach(page, count),
    first: () => page.evaluate(async () => (await window.first) ?? ''),
    become: (scanned) =>
      second.page.evaluate(
        ([link = '', passphrase = '']) => window.become(link, passphrase),
        [scanned, PASSPHRASE],
      ),
    seconds: (count) => reach(second.page, count),
  };
  await story(t, alice, 'contract.pdf', 'application/pdf');
  check();
  second.check();
});
