// Messages between real processes, over a real relay, while everything is killed, frozen and cut off at random: each is
// in the end where it belongs, once and in order. QASID_HAUL_MESSAGES sets the size: the nightly run sends 10 000.
import t from 'tap';

import { chromiumPath, NO_CHROMIUM, serveApp } from '../support/browser.js';
import { Book, type Device } from '../support/haul/book.js';
import { Haul, type Seat } from '../support/haul/haul.js';
import type { Row } from '../support/haul/orders.js';
import { Chromium, tabsOf } from '../support/haul/pages.js';
import { tempDirectory } from '../support/temp.js';

t.setTimeout(0);

const MESSAGES = Number(process.env.QASID_HAUL_MESSAGES ?? 150);
const CROWD = Number(process.env.QASID_HAUL_CROWD ?? 2);
const FAULTS = Number(process.env.QASID_HAUL_FAULTS ?? Math.max(7, Math.ceil(MESSAGES / 100)));
const CHURNS = Number(process.env.QASID_HAUL_CHURNS ?? Math.max(3, Math.ceil(MESSAGES / 1_000)));
const SEED = Number(process.env.QASID_HAUL_SEED ?? 1);

/** Long runs have a person in two tabs as well. */
const BROWSER = (process.env.QASID_HAUL_BROWSER ?? (MESSAGES >= 1_000 ? '1' : '')) !== '';
/** With nothing arriving any more. */
const PATIENCE_MS = 60_000;

t.test(`${MESSAGES} messages over kills: none lost, none twice, none out of order`, async (t) => {
  const started = Date.now();
  const minutes = () => ((Date.now() - started) / 60_000).toFixed(2);
  const haul = new Haul({
    seed: SEED,
    messages: MESSAGES,
    crowd: CROWD,
    faults: FAULTS,
    churns: CHURNS,
    // A message to a group of 50 is work for 52 devices.
    groupShare: CROWD > 10 ? 0.05 : 0.15,
    root: tempDirectory(t),
    comment: (words) => t.comment(`${minutes()} min: ${words}`),
  });
  t.teardown(() => haul.end());
  await haul.startRelay();
  const pages: Seat[] = [];
  if (BROWSER) {
    if (chromiumPath === undefined) return t.fail(NO_CHROMIUM);
    const url = await serveApp(t, 'haul', haul.relayUrl);
    pages.push(...tabsOf(new Chromium(tempDirectory(t), url), 'dave', 'd1'));
  }
  await haul.begin(pages);
  t.comment(`${minutes()} min: ${haul.book.devices.length} devices, seed ${SEED}`);
  await haul.run();
  t.comment(`${minutes()} min: all is written`);
  const { said, ...sum } = await haul.finish(PATIENCE_MS);
  t.comment(`${minutes()} min: ${JSON.stringify(sum)}`);
  t.comment(`faults: ${JSON.stringify(Object.fromEntries(haul.kills))}`);
  t.comment(`told on the way: ${JSON.stringify(Object.fromEntries(haul.book.troubles))}`);
  for (const words of [...said, ...haul.book.problems].slice(0, 20)) t.comment(words);
  t.ok(sum.sent >= MESSAGES, 'all were written');
  t.equal(sum.confirmed + sum.refused, sum.sent, 'the relay had every one');
  t.match(sum, { lost: 0, twice: 0, outOfOrder: 0, wrong: 0 });
  t.ok(sum.delivered > sum.sent, 'each to another device at least, many to several');
  t.strictSame(haul.book.problems, [], 'no window showed anything twice or out of order');
  t.strictSame(await haul.missing(), [], 'no chain misses anything, and everything was opened');
  const kills = (haul.kills.get('relay') ?? 0) + (haul.kills.get('client') ?? 0);
  t.ok(kills >= 3, `${kills} kills`);
});

t.test('the book sees what it is for', async (t) => {
  const book = new Book();
  const [a1, a2, b1, c1] = ['a1', 'a2', 'b1', 'c1'].map((name) => {
    const username = { a: 'alice', b: 'bob', c: 'carol' }[name[0] ?? ''] ?? '';
    return { name, username, streams: [name], account: username };
  }) as unknown as [Device, Device, Device, Device];
  book.devices.push(a1, a2, b1, c1);
  for (const { account } of book.devices) book.belongs(account, account !== 'carol', 1);
  const row = (text: string, seq: number, change: Partial<Row> = {}): Row => {
    const peer = text.endsWith('group') ? 'group' : 'bob';
    const base = {
      text,
      seq,
      place: seq,
      peer,
      direction: 'received',
      status: 'received',
    } as const;
    return { ...base, cause: undefined, author: 'alice', ...change };
  };
  const own = { direction: 'sent', status: 'confirmed' } as const;
  const texts = ['a1 0 bob', 'a1 1 bob', 'a1 0 group'];
  for (const stored of texts) book.hear('a1', { who: 'a1', stored, version: 1 });
  const sent = texts.map((text, seq) => row(text, seq, own));
  const got = texts.map((text, seq) => row(text, seq));
  const check = (a: readonly Row[], b: readonly Row[], c: readonly Row[] = [], d = sent) => {
    const histories = [a, d, b, c];
    return book.check(new Map(book.devices.map((one, index) => [one, histories[index]!])), 'group');
  };
  const well = { lost: 0, twice: 0, outOfOrder: 0, wrong: 0 };
  t.match(check(sent, got), { ...well, sent: 3, confirmed: 3, delivered: 6, said: [] });
  t.match(check(sent.slice(1), got), { ...well, lost: 1 }, 'lost where it was written');
  t.match(check(sent, got.slice(1)), { ...well, lost: 1 }, 'lost on the way');
  t.match(check(sent, got, [], sent.slice(1)), { ...well, lost: 1 }, 'another device never knew');
  t.match(check(sent, [...got, row('a1 1 bob', 9)]), { ...well, twice: 1 });
  const late = { seq: 5, place: 0 };
  t.match(check(sent, [got[1]!, got[2]!, { ...got[0]!, ...late }]), { ...well, outOfOrder: 1 });
  t.match(check(sent, got, got.slice(2)), { ...well, wrong: 1 }, 'a stranger to the group');
  t.match(check(sent, got, [row('a1 1 bob', 1)]), { ...well, wrong: 2 }, 'misdelivered');
  t.match(check(sent, [...got.slice(1), row('a1 0 bob', 0, { author: 'carol' })]), { wrong: 1 });
  t.match(check([...sent.slice(1), row(texts[0]!, 0, { ...own, status: 'failed' })], got), {
    confirmed: 2,
    refused: 0,
  });
  for (const shown of ['a1 1 bob', 'a1 0 bob', 'a1 0 bob']) book.hear('b1', { who: 'b1', shown });
  t.equal(book.problems.length, 2, 'out of order, then twice');
});
