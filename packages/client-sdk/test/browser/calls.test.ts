// Calls the whole way: two Chromium pages with fake devices, signalling through sessions over a real relay,
// media through a real coturn with credentials of the relay, a second device that rings too.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { MemoryStore, QasidClient } from '@qasid/client-sdk';
import { Calls } from '@qasid/client-sdk/calls';
import { nodeDial } from '@qasid/client-sdk/node';
import { NO_QUOTAS, startRelay, type RunningRelay } from '@qasid/relay';
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
import { tempDirectory } from '../support/temp.js';
import { hasTurn, NO_TURN, Turn } from '../support/turn.js';
import { until } from '../support/world.js';
import type { Flow } from './app/caller.js';

t.setTimeout(300_000);
const skip = chromiumPath === undefined ? NO_CHROMIUM : hasTurn ? false : NO_TURN;

interface Test {
  teardown(run: () => unknown): void;
}

/** A relay that hands out credentials for a coturn. */
async function relayWithTurn(t: Test): Promise<RunningRelay> {
  const turn = await Turn.start(t);
  const turnSecretFile = join(tempDirectory(t), 'turn-secret');
  writeFileSync(turnSecretFile, turn.secret, { mode: 0o600 });
  const relay = await startRelay({
    store: 'memory',
    port: 0,
    quotas: NO_QUOTAS,
    logLevel: 'error',
    turnUrls: [`turn:127.0.0.1:${turn.port}?transport=udp`],
    turnSecretFile,
  });
  t.teardown(() => relay.close());
  return relay;
}

/** Wait until the page was told `what`. */
async function said(page: Page, what: string): Promise<void> {
  for (let wait = 0; wait < 450; wait++) {
    if (await page.evaluate((wanted) => window.heard.includes(wanted), what)) return;
    await page.waitForTimeout(200);
  }
  const heard = await page.evaluate(() => window.heard.join('; '));
  throw new Error(`not told "${what}" but: ${heard}`);
}

/** Alice and Bob, each on a page of their own, who have written to each other. */
async function friends(t: Test, relay: RunningRelay, relayOnly: 'always' | 'never') {
  const url = await serveApp(t, 'caller', relay.url);
  const browser = await launch(t, FAKE_MEDIA);
  const alice = await openPage(browser, url);
  const bob = await openPage(browser, url);
  const names = [
    [alice.page, 'alice'],
    [bob.page, 'bob'],
  ] as const;
  for (const [page, name] of names) {
    const given = [relay.url, name, relayOnly] as const;
    await page.evaluate(([to, who, how]) => window.join(to, who, how), given);
  }
  await alice.page.evaluate(() => window.befriend('bob'));
  await said(bob.page, 'message: salaam');
  await bob.page.evaluate(() => window.befriend('alice'));
  await said(alice.page, 'message: salaam');
  return { alice, bob };
}

/** Wait until sound and pictures go both ways. */
async function flowing(page: Page): Promise<Flow> {
  for (let wait = 0; wait < 300; wait++) {
    const flow = await page.evaluate(() => window.flow());
    const { audioIn, audioOut, framesIn, framesOut } = flow;
    if (audioIn > 50 && audioOut > 50 && framesIn > 10 && framesOut > 10) return flow;
    await page.waitForTimeout(200);
  }
  throw new Error(`nothing flows: ${JSON.stringify(await page.evaluate(() => window.flow()))}`);
}

t.test(
  'a call through TURN only; the callee’s second device stops ringing',
  { skip },
  async (t) => {
    const relay = await relayWithTurn(t);
    const { alice, bob } = await friends(t, relay, 'always');
    // Bob's second device: no browser, but it rings.
    const second = await QasidClient.open({
      relay: relay.url,
      store: new MemoryStore(),
      socket: nodeDial,
    });
    t.teardown(() => second.close());
    const request = await second.devices.request();
    const grant = await bob.page.evaluate(
      async ([registrationId, authKey]) => window.authorise(registrationId, authKey),
      [request.registrationId, [...request.authKey]] as const,
    );
    await second.devices.accept(fromPlain(grant));
    await second.caughtUp({ timeoutMs: 30_000 });
    const calls = new Calls(second);
    t.teardown(() => calls.close());
    const heard: string[] = [];
    calls.on('incoming', (call) => {
      heard.push('incoming');
      call.on('ended', (reason) => heard.push(reason));
    });
    await alice.page.evaluate(() => window.dial('bob'));
    await said(alice.page, 'it rings there');
    await said(bob.page, 'incoming');
    await until(() => heard.includes('incoming'), 60_000);
    await bob.page.evaluate(() => window.take());
    await until(() => heard.includes('answered-elsewhere'), 60_000);
    for (const { page } of [alice, bob]) await said(page, 'connected');
    for (const { page, check } of [alice, bob]) {
      const flow = await flowing(page);
      t.comment(JSON.stringify(flow));
      t.ok(flow.kinds.length >= 2 && flow.kinds.every((kind) => kind === 'relay'), `${flow.kinds}`);
      check();
    }
    await bob.page.evaluate(() => window.end());
    await said(alice.page, 'ended: hangup');
    await said(bob.page, 'ended: hangup');
  },
);

t.test('a direct call, hung up by the caller; a call that nobody takes', { skip }, async (t) => {
  const relay = await relayWithTurn(t);
  const { alice, bob } = await friends(t, relay, 'never');
  await alice.page.evaluate(() => window.dial('bob'));
  await said(bob.page, 'incoming');
  await bob.page.evaluate(() => window.take());
  for (const { page } of [alice, bob]) {
    await said(page, 'connected');
    await flowing(page);
  }
  await alice.page.evaluate(() => window.end());
  await said(bob.page, 'ended: hangup');
  await bob.page.evaluate(() => {
    window.heard = [];
  });
  await alice.page.evaluate(() => window.dial('bob'));
  await said(bob.page, 'incoming');
  await alice.page.evaluate(() => window.end());
  await said(bob.page, 'ended: missed');
  for (const { check } of [alice, bob]) check();
});

/** Byte arrays that came through JSON. */
function fromPlain(grant: string): Parameters<QasidClient['devices']['accept']>[0] {
  return JSON.parse(grant, (_, value: unknown) =>
    typeof value === 'object' && value !== null && 'bytes' in value
      ? Uint8Array.from(value.bytes as number[])
      : value,
  );
}
