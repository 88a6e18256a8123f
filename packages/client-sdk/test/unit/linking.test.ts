// 20 Linking §2, §3, §6: the code, the three messages, the digits, and the parts of a transfer.
import t from 'tap';
import { MemoryStore, type Profile } from '@qasid/client-sdk';
import { seededCrypto, SeededRandom, VirtualClock } from '@qasid/client-sdk/testing';
import { generateIdentityKeyPair, toHex } from '@qasid/protocol';

import {
  linkBase,
  openStep,
  ScanningSide,
  sealStep,
  ShowingSide,
} from '../../dist/linking/handshake.js';
import { linkText, parseLinkText, type LinkCode } from '../../dist/linking/link-text.js';
import { nextPart, type MadePart } from '../../dist/linking/sending-parts.js';
import { takePart } from '../../dist/linking/taking-parts.js';
import {
  ARRIVAL,
  decodeArrival,
  encodeArrival,
  type Departure,
} from '../../dist/linking/transfer-state.js';
import { decodeContent } from '../../dist/content/index.js';
import { partKey, PART_SPACE } from '../../dist/timeline/sync-devices.js';
import type { Platform } from '../../dist/engine.js';

const crypto = seededCrypto(new SeededRandom(1));
const text = (value: string): Uint8Array<ArrayBuffer> =>
  new Uint8Array(new TextEncoder().encode(value));

function shown() {
  const keyPair = crypto.x25519KeyPair();
  const code: LinkCode = {
    shownBy: 'account',
    createdAtMs: 1_790_000_000_000,
    seed: crypto.randomBytes(32),
    key: keyPair.public,
    relay: 'wss://relay.example',
  };
  return { code, keyPair, base: linkBase(crypto, code) };
}

t.test('a code is read as it was written, and nothing else is', async (t) => {
  const { code } = shown();
  const written = linkText(code);
  t.match(written, /^qasid-link:[\w-]{100,160}$/);
  t.same(parseLinkText(` ${written}\n`, 'account'), code);
  t.throws(() => parseLinkText(written, 'new-device'), { code: 'LINK_DIRECTION' });
  for (let length = 0; length < 11 + 95; length++) {
    t.throws(() => parseLinkText(written.slice(0, length), 'account'), { code: 'LINK_INVALID' });
  }
  for (const wrong of [
    `${written}=`,
    `${written}!`,
    written.replace('link:A', 'link:B'),
    'qasid-invite:x',
  ]) {
    t.throws(() => parseLinkText(wrong, 'account'), { code: 'LINK_INVALID' });
  }
  const elsewhere = linkText({ ...code, relay: 'https://relay.example' });
  t.throws(() => parseLinkText(elsewhere, 'account'), { code: 'LINK_INVALID' });
});

t.test('both sides come to the same keys, the same digits, and hear each other', async (t) => {
  const { code, keyPair, base } = shown();
  const shows = new ShowingSide(crypto, code, base, keyPair, text('shows'));
  const scans = new ScanningSide(crypto, code, base, text('scans'));
  const answer = shows.answer(scans.commit());
  const there = scans.reveal(answer);
  const here = shows.finish(there.message);
  t.same(here.keys, there.keys);
  t.match(here.keys.code, /^\d{8}$/);
  t.same([here.payload, there.payload], [text('scans'), text('shows')]);
  for (const step of [4, 5] as const) {
    const sealed = sealStep(crypto, here.keys, step, text('secret'));
    t.same(openStep(crypto, there.keys, step, sealed), text('secret'));
    const other = step === 4 ? 5 : 4;
    t.throws(() => openStep(crypto, there.keys, other, sealed), { code: 'LINK_ALTERED' });
  }
  t.equal(
    new Set(base.slots.map(toHex)).size,
    5,
    'the relay sees five names that have nothing in common',
  );
});

t.test('ATK-G05 no message can be altered, swapped or brought from another linking', async (t) => {
  const { code, keyPair, base } = shown();
  const shows = new ShowingSide(crypto, code, base, keyPair, text('shows'));
  const scans = new ScanningSide(crypto, code, base, text('scans'));
  const refused = { code: 'LINK_ALTERED' };
  const flipped = (message: Uint8Array, at: number): Uint8Array =>
    message.map((byte, index) => (index === at ? byte ^ 1 : byte));
  const commit = scans.commit();
  for (let at = 0; at < commit.length; at++) {
    t.throws(() => shows.answer(flipped(commit, at)), refused);
  }
  const answer = shows.answer(commit);
  for (let at = 0; at < answer.length; at++) {
    t.throws(() => scans.reveal(flipped(answer, at)), refused);
    t.throws(() => scans.reveal(answer.subarray(0, at)), refused);
  }
  t.throws(() => scans.reveal(commit), refused, 'one message for another');
  const { message } = scans.reveal(answer);
  for (let at = 0; at < message.length; at++) {
    t.throws(() => shows.finish(flipped(message, at)), refused);
  }
  const other = shown();
  const elsewhere = new ScanningSide(crypto, other.code, other.base, text('scans'));
  t.throws(() => shows.answer(elsewhere.commit()), refused, 'of another linking');
});

t.test('ATK-G05 who has seen the code cannot choose the digits', async (t) => {
  const { code, keyPair, base } = shown();
  const shows = new ShowingSide(crypto, code, base, keyPair, text(''));
  // The thief commits, sees the other number, and would now take another key.
  const first = new ScanningSide(crypto, code, base, text('thief'));
  const answer = shows.answer(first.commit());
  const second = new ScanningSide(crypto, code, base, text('thief'));
  t.throws(() => shows.finish(second.reveal(answer).message), { code: 'LINK_ALTERED' });
  // In the middle, with a code of his own for the new device: both sides show digits, and not the same.
  const own = shown();
  const victim = new ScanningSide(crypto, own.code, own.base, text('victim'));
  const fake = new ShowingSide(crypto, own.code, own.base, own.keyPair, text(''));
  const onVictim = victim.reveal(fake.answer(victim.commit())).keys.code;
  const onAccount = shows.finish(first.reveal(answer).message).keys.code;
  t.not(onVictim, onAccount);
});

function departure(store: MemoryStore, clock: VirtualClock) {
  const platform = { crypto, store, clock } as unknown as Platform;
  const account = '00000000-0000-4000-8000-000000000001';
  const identity = generateIdentityKeyPair(crypto);
  const profile = { account, username: undefined, device: 1, identity } as unknown as Profile;
  const state: Departure = {
    id: crypto.randomBytes(16),
    key: crypto.randomBytes(32),
    device: 2,
    history: true,
    messagesAtMs: 0,
    ready: true,
    conversation: 0,
    message: 0,
    through: 0,
    stage: 'devices',
    next: 0,
    hash: new Uint8Array(32),
    arrived: 0,
    rest: new Uint8Array(0),
    messages: 0,
  };
  return { platform, profile, state };
}

async function partsOf(count: number) {
  const clock = new VirtualClock();
  const store = new MemoryStore();
  const from = departure(store, clock);
  const peer = '00000000-0000-4000-8000-000000000002';
  await store.commit({
    extra: {
      messagesAdded: Array.from({ length: count }, (_, index) => ({
        id: index.toString(16).padStart(32, '0'),
        kind: 'text' as const,
        direction: 'received' as const,
        arrived: true,
        peer,
        author: peer,
        peerName: undefined,
        device: 1,
        text: `${index} ${'y'.repeat(900)}`,
        raw: undefined,
        state: undefined,
        expiresAtMs: undefined,
        sentAtMs: index,
        receivedAtMs: index,
        status: 'received' as const,
        cause: undefined,
      })),
    },
  });
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let state = from.state;
  for (let made: MadePart | undefined; ; state = made.state) {
    made = await nextPart(from.platform, from.profile, state);
    if (made === undefined) break;
    const { body } = decodeContent(made.content);
    if (body.kind !== 'sync' || body.action.kind !== 'part') throw new Error('no part');
    parts.push(body.action.data);
  }
  return { parts, from, peer };
}

async function receiver(from: ReturnType<typeof departure>, device: number) {
  const store = new MemoryStore();
  const { id, key } = from.state;
  const value = encodeArrival({
    id,
    key,
    next: 0,
    hash: new Uint8Array(32),
    place: 0,
    messages: 0,
    total: 0,
    done: false,
  });
  const records = [{ space: 'meta', key: ARRIVAL, value, expectedVersion: 0 }];
  await store.commit({ extra: { records } });
  const platform = { ...from.platform, store } as Platform;
  const profile = { ...from.profile, device } as Profile;
  /** Take these bytes as the next part. */
  const take = async (data: Uint8Array<ArrayBuffer>) => {
    const row = (await store.loadRecord('meta', ARRIVAL))!;
    const arrival = decodeArrival(row.value);
    const name = partKey(arrival.next);
    const before = await store.loadRecord(PART_SPACE, name);
    const expectedVersion = before?.version ?? 0;
    const put = { space: PART_SPACE, key: name, value: data, expectedVersion };
    await store.commit({ extra: { records: [put] } });
    const part = (await store.loadRecord(PART_SPACE, name))!;
    return (await takePart(platform, profile, { arrival, row, part })).arrival;
  };
  return { store, take };
}

t.test(
  'ATK-G08 parts of a history are taken whole, in order, by their device, or not',
  async (t) => {
    const { parts, from, peer } = await partsOf(200);
    t.ok(parts.length >= 4, `${parts.length} parts`);
    const good = await receiver(from, 2);
    let last: unknown;
    for (const part of parts) last = await good.take(part);
    t.match(last, { done: true, messages: 200 });
    const rows = await good.store.loadConversation({ peer, limit: 500 });
    t.strictSame(
      rows.map(({ sentAtMs }) => sentAtMs).reverse(),
      Array.from({ length: 200 }, (_, i) => i),
    );
    t.ok(rows.every(({ arrived, place }) => !arrived && place > 0 && place < 1_048_576));

    const refused = async (
      device: number,
      sequence: readonly Uint8Array<ArrayBuffer>[],
      what: string,
    ) => {
      const { store, take } = await receiver(from, device);
      for (const part of sequence.slice(0, -1)) await take(part);
      const before = await store.lastSeq();
      await t.rejects(take(sequence.at(-1)!), { code: 'VERIFY_SIGNATURE' }, what);
      t.equal(await store.lastSeq(), before, `${what}: nothing was taken`);
    };
    const [first, second, third] = parts as [
      Uint8Array<ArrayBuffer>,
      Uint8Array<ArrayBuffer>,
      Uint8Array<ArrayBuffer>,
    ];
    await refused(3, [first], 'for another device');
    await refused(2, [second], 'the second first');
    await refused(2, [first, first], 'repeated');
    await refused(2, [first, third], 'one left out');
    await refused(2, [first, second.map((byte, at) => (at === 20 ? byte ^ 1 : byte))], 'altered');
    const other = await partsOf(200);
    await refused(2, [first, other.parts[1]!], 'of another transfer');
  },
);
