// Parts of groups that are bytes: vectors, what is stored, what strangers send.
import { readFileSync } from 'node:fs';
import { defaultCrypto, toHex, type Bytes } from '@qasid/protocol';
import t from 'tap';

import { headOf, takeEntry } from '../../dist/groups/chain.js';
import { epochCommitment } from '../../dist/groups/entry.js';
import { mustRotate } from '../../dist/groups/keys.js';
import { formatLink, parseLink } from '../../dist/groups/link.js';
import { decodePacket, encodePacket } from '../../dist/groups/packet.js';
import { openRecord, recordKeysOf, sealRecord } from '../../dist/groups/secrets.js';
import { decodeSignal, encodeSignal } from '../../dist/groups/signals.js';
import {
  decodeGroup,
  decodeHolders,
  encodeGroup,
  encodeHolders,
  secretOf,
  withSecret,
  type GroupData,
} from '../../dist/groups/stored.js';
import { GROUP_VECTORS, groupVectors } from '../support/group-vectors.js';
import { chainOf, directoryOf, entryAfter, foundGroup, people } from '../support/group-people.js';

interface Signals {
  readonly link: string;
  readonly cases: readonly { readonly name: string; readonly signal: string }[];
}

const bytes = (hex: string): Bytes => Uint8Array.from(Buffer.from(hex, 'hex'));

t.test('the vectors are what this code makes', async (t) => {
  for (const [name, text] of groupVectors()) {
    t.equal(readFileSync(GROUP_VECTORS + name, 'utf8'), text, name);
  }
});

t.test('signals: round trip, truncated, damaged', async (t) => {
  const { cases, link } = JSON.parse(groupVectors().get('signals.json')!) as Signals;
  for (const { name, signal } of cases) {
    t.equal(toHex(encodeSignal(decodeSignal(bytes(signal)))), signal, name);
    const whole = bytes(signal);
    for (let length = 0; length < whole.length; length += 1 + (whole.length >> 6)) {
      try {
        decodeSignal(whole.subarray(0, length));
      } catch (error) {
        const { code } = error as { code?: string };
        if (!/^DECODE_/.test(`${code}`)) t.fail(`${name} at ${length}: ${error}`);
      }
    }
  }
  t.equal(formatLink(parseLink(link)), link);
  for (const bad of ['', 'qasid-group:1:', `${link}A`, link.slice(0, -2), 'qasid-group:1:%%%']) {
    t.throws(() => parseLink(bad), { code: 'GROUP_LINK_INVALID' }, bad);
  }
});

t.test('ATK-E10 a record is opened by its epoch alone, and whole', async (t) => {
  const [alice, bob] = people(2);
  const founding = foundGroup(alice!, [bob!]);
  const chain = chainOf(founding, [alice!, bob!]);
  const { state } = headOf(chain);
  const keys = recordKeysOf(defaultCrypto, defaultCrypto.randomBytes(32));
  const value = sealRecord(defaultCrypto, keys, { entries: [founding], state });
  t.equal(value.length, 2_048);
  t.strictSame(openRecord(defaultCrypto, keys, value).state, state);
  const other = recordKeysOf(defaultCrypto, defaultCrypto.randomBytes(32));
  t.throws(() => openRecord(defaultCrypto, other, value), { code: 'VERIFY_GROUP' });
  // The record of one group in the place of another.
  const moved = { ...keys, id: other.id };
  t.throws(() => openRecord(defaultCrypto, moved, value), { code: 'VERIFY_GROUP' });
  for (const at of [0, 20, 1_000, 2_047]) {
    const flipped = value.slice();
    flipped[at]! ^= 1;
    t.throws(() => openRecord(defaultCrypto, keys, flipped), { code: 'VERIFY_GROUP' });
  }
  for (const length of [0, 16, 48, 49, 2_047]) {
    const cut = value.subarray(0, length);
    t.throws(() => openRecord(defaultCrypto, keys, cut), { code: 'VERIFY_GROUP' });
  }
});

t.test('a stored group is the group', async (t) => {
  const [alice, bob] = people(2);
  const known = [alice!, bob!];
  let chain = chainOf(foundGroup(alice!, [bob!]), known);
  for (const title of ['one', 'two', 'three']) {
    const signed = entryAfter(headOf(chain), alice!, [{ kind: 'title', title }]);
    ({ chain } = takeEntry(defaultCrypto, chain, signed, directoryOf(known), 5));
  }
  const secret = defaultCrypto.randomBytes(32);
  const [link] = chain.line;
  const data: GroupData = {
    chain: { ...chain, orphans: [link!.signed], rejected: ['ab'.repeat(32)] },
    secrets: [],
    pending: { signed: link!.signed, secret },
    welcomedBy: bob!.account,
  };
  t.strictSame(decodeGroup(defaultCrypto, encodeGroup(data)), data);
  const holders = { handed: [bytes('0102')], devices: new Map([['a/1/2', 0]]) };
  t.strictSame(decodeHolders(encodeHolders(holders)), holders);
  t.strictSame(decodeHolders(undefined).devices.size, 0);
  const sealed = {
    distributionId: defaultCrypto.randomBytes(16),
    body: bytes('09'),
    seed: secret,
    handOut: bytes('07'),
  };
  const content = bytes('aabb');
  t.strictSame(decodePacket(encodePacket(content, sealed)), { content, sealed });
  t.strictSame(decodePacket(encodePacket(content)), { content, sealed: undefined });
});

t.test(
  'the secret of the present epoch is not pushed out by those of entries that came to nothing',
  async (t) => {
    const [alice] = people(1);
    const founding = foundGroup(alice!, []);
    const secret = defaultCrypto.randomBytes(32);
    const before = chainOf(founding, [alice!]);
    const commitment = epochCommitment(defaultCrypto, secret);
    const signed = entryAfter(headOf(before), alice!, [{ kind: 'epoch', commitment }]);
    const { chain } = takeEntry(defaultCrypto, before, signed, directoryOf([alice!]), 0);
    let data: GroupData = { chain, secrets: [], pending: undefined, welcomedBy: '' };
    data = withSecret(defaultCrypto, data, secret);
    for (let count = 0; count < 20; count++) {
      data = withSecret(defaultCrypto, data, defaultCrypto.randomBytes(32));
    }
    t.strictSame(secretOf(data, headOf(chain).state), secret);
    t.equal(data.secrets.length, 8);
  },
);

t.test('ATK-E04 ATK-E09 when a sender key may not be used again', async (t) => {
  const day = 86_400_000;
  const key = {
    ...{ distributionId: bytes('00'), epoch: 3, createdAtMs: 100 * day, count: 5, ownDevices: 2 },
    record: bytes('00'),
  };
  const holders = { handed: [], devices: new Map([['a/1/7', 0]]) };
  const recipients = new Map([
    ['a/1/7', 0],
    ['b/1/9', 0],
  ]);
  const now = { recipients, epoch: 3, ownDevices: 2, nowMs: 101 * day };
  t.equal(mustRotate(key, holders, now), false, 'nothing happened; somebody joined');
  t.equal(mustRotate(key, holders, { ...now, recipients: new Map([['b/1/9', 0]]) }), true);
  t.equal(mustRotate(key, holders, { ...now, recipients: new Map([['a/1/8', 0]]) }), true);
  t.equal(mustRotate(key, holders, { ...now, epoch: 4 }), true);
  t.equal(mustRotate(key, holders, { ...now, ownDevices: 3 }), true);
  t.equal(mustRotate(key, holders, { ...now, nowMs: 107 * day - 1 }), false);
  t.equal(mustRotate(key, holders, { ...now, nowMs: 107 * day }), true);
  t.equal(mustRotate(key, holders, { ...now, nowMs: 99 * day }), true, 'the clock was set back');
  t.equal(mustRotate({ ...key, count: 999 }, holders, now), false);
  t.equal(mustRotate({ ...key, count: 1_000 }, holders, now), true);
});
