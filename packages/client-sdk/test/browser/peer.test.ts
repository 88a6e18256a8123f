// The media path between two Chromium pages with fake devices: direct, through coturn only, tampered with,
// and across an outage. Signalling goes through this test; calls.test.ts takes the real way.
import type { Page } from 'playwright-core';
import t from 'tap';

import {
  chromiumPath,
  FAKE_MEDIA,
  launch,
  NO_CHROMIUM,
  openPage,
  serveApp,
} from '../support/browser.js';
import { hasTurn, NO_TURN, Turn, type TurnServer } from '../support/turn.js';
import type { Report } from './app/peer.js';

t.setTimeout(300_000);
interface Teardown {
  teardown(run: () => unknown): void;
}

const skip = chromiumPath === undefined ? NO_CHROMIUM : false;

/** Two pages whose signals reach each other through `change`. */
async function pair(
  t: Teardown,
  options: {
    readonly relayOnly?: boolean;
    readonly servers?: readonly TurnServer[];
    readonly change?: (message: string) => string;
  } = {},
) {
  const { relayOnly = false, servers = [], change = (message: string) => message } = options;
  const url = await serveApp(t, 'peer', '');
  const browser = await launch(t, FAKE_MEDIA);
  const one = await openPage(browser, url);
  const two = await openPage(browser, url);
  const carry = (to: Page) => (message: string) =>
    to.evaluate((said) => window.hear(said), change(message)).catch(() => undefined);
  await one.page.exposeFunction('said', carry(two.page));
  await two.page.exposeFunction('said', carry(one.page));
  const begin = (page: Page, isCaller: boolean) =>
    page.evaluate((given) => window.begin(given), { isCaller, relayOnly, iceServers: servers });
  await begin(two.page, false);
  await begin(one.page, true);
  return { one, two };
}

async function told(page: Page, what: string, timeoutMs = 60_000): Promise<void> {
  await page.waitForFunction((wanted) => window.told.includes(wanted), what, {
    timeout: timeoutMs,
  });
}

async function report(page: Page): Promise<Report> {
  return page.evaluate(() => window.report());
}

/** Wait until both sound and pictures have arrived. */
async function flowing(page: Page): Promise<Report> {
  for (let wait = 0; wait < 300; wait++) {
    const now = await report(page);
    if (now.audioPackets > 50 && now.videoFrames > 10) return now;
    await page.waitForTimeout(200);
  }
  throw new Error(`nothing flows: ${JSON.stringify(await report(page))}`);
}

t.test('sound and pictures both ways, no polyfill, strict policy', { skip }, async (t) => {
  const { one, two } = await pair(t);
  for (const { page } of [one, two]) await told(page, 'open');
  for (const side of [one, two]) {
    const { audioPackets, videoFrames } = await flowing(side.page);
    t.comment(`${audioPackets} packets of sound, ${videoFrames} frames`);
    side.check();
  }
  await one.page.evaluate(() => window.finish());
  await two.page.waitForFunction(() => window.told.some((line) => line.startsWith('failed')));
});

t.test(
  'ATK-M05 relay only: both ends go through TURN',
  { skip: skip || (hasTurn ? false : NO_TURN) },
  async (t) => {
    const turn = await Turn.start(t);
    const { one, two } = await pair(t, { relayOnly: true, servers: [turn.credentials()] });
    for (const { page } of [one, two]) {
      await told(page, 'open');
      await flowing(page);
      const { pair: kinds } = await report(page);
      t.ok(kinds.length >= 2 && kinds.every((kind) => kind === 'relay'), `${kinds}`);
    }
  },
);

t.test(
  'expired and forged TURN credentials open nothing',
  { skip: skip || (hasTurn ? false : NO_TURN) },
  async (t) => {
    const turn = await Turn.start(t);
    for (const wrong of [turn.credentials(turn.secret, -10), turn.credentials('not the secret')]) {
      const { one } = await pair(t, { relayOnly: true, servers: [wrong] });
      await one.page.waitForFunction(
        () => window.report().then(({ errors }) => errors.includes(401)),
        undefined,
        {
          timeout: 60_000,
        },
      );
      t.notOk(await one.page.evaluate(() => window.told.includes('open')));
    }
  },
);

t.test('one byte of a fingerprint changed on the way: no media at all', { skip }, async (t) => {
  const change = (message: string) =>
    message.replace(
      /sha-256 ([0-9A-F]{2})/g,
      (_, byte: string) =>
        `sha-256 ${(Number.parseInt(byte, 16) ^ 1).toString(16).padStart(2, '0').toUpperCase()}`,
    );
  const { one, two } = await pair(t, { change });
  // DTLS refuses: the connection fails on both sides, and no packet was played.
  await one.page.waitForTimeout(5_000);
  for (const { page } of [one, two]) {
    t.notOk(await page.evaluate(() => window.told.includes('open')));
    const { audioPackets, videoFrames } = await report(page);
    t.equal(videoFrames, 0);
    t.equal(audioPackets, 0);
  }
});

t.test(
  'an outage of the only path: the call comes back by itself',
  { skip: skip || (hasTurn ? false : NO_TURN) },
  async (t) => {
    const turn = await Turn.start(t);
    const { one, two } = await pair(t, { relayOnly: true, servers: [turn.credentials()] });
    for (const { page } of [one, two]) await told(page, 'open');
    await flowing(two.page);
    await turn.stop();
    await told(one.page, 'interrupted', 90_000);
    await one.page.waitForTimeout(5_000);
    await turn.run();
    await told(one.page, 'back', 90_000);
    const before = await report(two.page);
    for (let wait = 0; wait < 150; wait++) {
      const now = await report(two.page);
      if (now.videoFrames > before.videoFrames + 10) return t.pass('pictures move again');
      await two.page.waitForTimeout(200);
    }
    t.fail('no pictures after the outage');
  },
);
