// Conversations of two devices: reordered, lost, crossing, restarted, stale, and both sides of every limit.
import t from 'tap';
import { defaultCrypto as crypto, utf8, type EncryptedMessage } from '@qasid/protocol';
import {
  MAX_ARCHIVED_SESSIONS,
  MAX_FORWARD_JUMPS,
  MAX_FORWARD_JUMPS_SELF,
  MAX_RECEIVER_CHAINS,
  MAX_SKIPPED_KEYS,
  UNACKNOWLEDGED_SESSION_MAX_MS,
} from '#src/limits.js';
import type { ReceiverChain, SkippedKey } from '#src/double-ratchet.js';
import { StoredSpqr } from '#src/session.js';
import { EMPTY_SPQR_STATE } from '#src/spqr/index.js';
import { deriveMessageKeys } from '#src/triple-ratchet.js';
import { sound } from '#src/wire/records.js';
import {
  expectUnchanged,
  introduce,
  loseMessages,
  open,
  outcome,
  rewriteRecord,
  send,
  storedRecord,
} from '../support/conversation.js';
import { makeParty, NOW_MS, serviceId, type Party } from '../support/party.js';

const pair = (): [Party, Party] => [makeParty(crypto), makeParty(crypto)];

t.test('messages arrive in any order, get lost, and come twice', async (t) => {
  const [a, b] = pair();
  await introduce(a, b);
  const sent: EncryptedMessage[] = [];
  for (let i = 0; i < 8; i++) sent.push(await send(a, b, `m${i}`));
  for (const i of [3, 0, 7, 1, 2]) t.equal(await open(b, a, sent[i]!), `m${i}`);
  t.equal(await outcome(b, a, sent[3]!), 'STATE_DUPLICATE_MESSAGE');
  // A new chain while 4, 5 and 6 are still under way.
  await open(a, b, await send(b, a, 'answer'));
  t.equal(await open(b, a, await send(a, b, 'next')), 'next');
  for (const i of [6, 4]) t.equal(await open(b, a, sent[i]!), `m${i}`, 'of the older chain');
  t.equal(await outcome(b, a, sent[6]!), 'STATE_DUPLICATE_MESSAGE');
  t.equal(await open(b, a, sent[5]!), 'm5');
});

t.test('the first flight arrives in any order, and needs prekeys once', async (t) => {
  const [a, b] = pair();
  const first = await send(a, b, 'one', {});
  const second = await send(a, b, 'two');
  const third = await send(a, b, 'three');
  t.strictSame(
    [first.type, second.type, third.type],
    [3, 3, 3],
    'unanswered: all carry the handshake',
  );
  t.equal(await open(b, a, third), 'three');
  t.equal(await b.store.loadPreKey(1), undefined, 'the one-time prekey is gone');
  t.equal(await b.store.loadKemPreKey(1), undefined, 'the KEM prekey too');
  t.equal(await open(b, a, first), 'one', 'late prekey messages need no prekeys');
  t.equal(await open(b, a, second), 'two');
  t.equal(await outcome(b, a, second), 'STATE_DUPLICATE_MESSAGE');
  t.equal((await send(b, a, 'answer')).type, 2);
});

t.test('a session without a one-time prekey works the same', async (t) => {
  const [a, b] = pair();
  t.equal(await open(b, a, await send(a, b, 'hello', { preKey: false })), 'hello');
  t.equal(await open(a, b, await send(b, a, 'hi')), 'hi');
});

t.test('long conversations pass SPQR epochs and stay readable', async (t) => {
  const [a, b] = pair();
  await introduce(a, b);
  for (let i = 0; i < 200; i++) {
    const [from, to] = i % 2 === 0 ? [a, b] : [b, a];
    if ((await open(to, from, await send(from, to, `m${i}`))) !== `m${i}`) t.fail(`m${i}`);
  }
  t.pass('200 messages, over two epochs');
});

t.test('ATK-B11 both start at once: every interleaving converges, nothing is lost', async (t) => {
  /** All orders in which two queues of `n` and `m` can be delivered. */
  const interleavings = (n: number, m: number): string[] => {
    if (n === 0) return ['b'.repeat(m)];
    if (m === 0) return ['a'.repeat(n)];
    return [
      ...interleavings(n - 1, m).map((rest) => `a${rest}`),
      ...interleavings(n, m - 1).map((rest) => `b${rest}`),
    ];
  };
  for (const [fromA, fromB] of [
    [1, 1],
    [2, 1],
    [2, 2],
  ] as const) {
    for (const order of interleavings(fromA, fromB)) {
      const [a, b] = pair();
      const queueA: EncryptedMessage[] = [];
      const queueB: EncryptedMessage[] = [];
      for (let i = 0; i < fromA; i++)
        queueA.push(await send(a, b, `a${i}`, i === 0 ? {} : undefined));
      for (let i = 0; i < fromB; i++)
        queueB.push(await send(b, a, `b${i}`, i === 0 ? {} : undefined));
      const opened: string[] = [];
      for (const who of order) {
        opened.push(
          who === 'a' ? await outcome(b, a, queueA.shift()!) : await outcome(a, b, queueB.shift()!),
        );
      }
      t.equal(opened.length, new Set(opened).size);
      t.ok(
        opened.every((text) => /^[ab]\d$/.test(text)),
        `${order}: ${opened.join(' ')}`,
      );
      // Both send once more before either hears the other, then one round trip.
      const crossA = await send(a, b, 'cross a');
      const crossB = await send(b, a, 'cross b');
      t.equal(await outcome(b, a, crossA), 'cross a', order);
      t.equal(await outcome(a, b, crossB), 'cross b', order);
      t.equal(await outcome(b, a, await send(a, b, 'settle')), 'settle', order);
      t.equal(await outcome(a, b, await send(b, a, 'settled')), 'settled', order);
      const [one, other] = [await storedRecord(a, b), await storedRecord(b, a)];
      t.strictSame(one.current?.baseKey, other.current?.baseKey, `${order}: one session`);
    }
  }
});

t.test('a session is re-established; the old one still opens what was under way', async (t) => {
  const [a, b] = pair();
  await introduce(a, b);
  const underWay = await send(a, b, 'old session');
  const fresh = await send(a, b, 'new session', {});
  t.equal(fresh.type, 3);
  t.equal(await open(b, a, fresh), 'new session');
  t.equal((await storedRecord(b, a)).archived.length, 1);
  t.equal(await open(b, a, underWay), 'old session');
  t.equal(await open(a, b, await send(b, a, 'which one?')), 'which one?');
  t.equal(await open(b, a, await send(a, b, 'this one')), 'this one');
});

t.test(
  'ATK-C05 an archived session comes back when a message opens it (parity, spec 91)',
  async (t) => {
    const [a, b] = pair();
    await introduce(a, b);
    const old = (await storedRecord(b, a)).current?.baseKey;
    const underWay = await send(a, b, 'old session');
    await open(b, a, await send(a, b, 'new session', {}));
    t.notSame((await storedRecord(b, a)).current?.baseKey, old);
    await open(b, a, underWay);
    const record = await storedRecord(b, a);
    t.strictSame(record.current?.baseKey, old, 'as compatible peers do');
    t.equal(record.current?.pendingPreKey, undefined, 'it never resumes a handshake');
  },
);

t.test('archiving keeps receiving and stops sending; deleting forgets', async (t) => {
  const [a, b] = pair();
  await introduce(a, b);
  const underWay = await send(a, b, 'under way');
  await b.operations.archiveSession(a.address);
  t.equal(await b.operations.sessionInfo(a.address), undefined);
  t.equal(await b.operations.hasUsableSession(a.address, NOW_MS), false);
  await t.rejects(send(b, a, 'x'), { code: 'STATE_NO_SESSION' });
  t.equal(await open(b, a, underWay), 'under way');
  t.equal(await open(a, b, await send(b, a, 'back')), 'back', 'promoted by the message');
  const lost = await send(a, b, 'lost');
  await b.operations.deleteSession(a.address);
  t.equal(await outcome(b, a, lost), 'STATE_NO_SESSION');
  await t.rejects(send(b, a, 'x'), { code: 'STATE_NO_SESSION' });
});

t.test('ATK-C02 25 000 messages ahead are opened, 25 001 are not', async (t) => {
  for (const [lost, expected] of [
    [MAX_FORWARD_JUMPS, 'after the gap'],
    [MAX_FORWARD_JUMPS + 1, 'VERIFY_DECRYPTION'],
  ] as const) {
    const [a, b] = pair();
    await introduce(a, b);
    // Known chain: one message has arrived on it.
    await open(b, a, await send(a, b, 'known chain'));
    await loseMessages(crypto, a, b, lost);
    const message = await send(a, b, 'after the gap');
    t.equal(await outcome(b, a, message), expected, `known chain, ${lost} lost`);
  }
  const [a, b] = pair();
  await introduce(a, b);
  await loseMessages(crypto, a, b, MAX_FORWARD_JUMPS + 1);
  const message = await send(a, b, 'unknown chain');
  await expectUnchanged(t, b, a, 'refused', async () => {
    t.equal(await outcome(b, a, message), 'VERIFY_DECRYPTION', 'unknown chain');
  });
});

t.test('ATK-C03 2 000 skipped keys are kept per chain, the oldest goes first', async (t) => {
  for (const extra of [0, 1]) {
    const [a, b] = pair();
    await introduce(a, b);
    const oldest = await send(a, b, 'oldest');
    const second = await send(a, b, 'second');
    await loseMessages(crypto, a, b, MAX_SKIPPED_KEYS - 2 + extra);
    t.equal(await open(b, a, await send(a, b, 'now')), 'now');
    const [receiver] = (await storedRecord(b, a)).current?.receivers.slice(-1) ?? [];
    t.equal(sound(receiver, 'chain').skipped.length, MAX_SKIPPED_KEYS);
    t.equal(await outcome(b, a, second), 'second');
    const expected = extra === 0 ? 'oldest' : 'STATE_DUPLICATE_MESSAGE';
    t.equal(await outcome(b, a, oldest), expected, `${MAX_SKIPPED_KEYS + extra} skipped`);
  }
});

t.test('five receiver chains are kept, the sixth pushes the oldest out', async (t) => {
  const [a, b] = pair();
  await introduce(a, b);
  const late: EncryptedMessage[] = [];
  for (let i = 0; i <= MAX_RECEIVER_CHAINS; i++) {
    late.push(await send(a, b, `late ${i}`));
    await open(b, a, await send(a, b, 'chain'));
    await open(a, b, await send(b, a, 'turn'));
  }
  // `late` holds one message of each of six chains; b knows the newest five.
  t.equal((await storedRecord(b, a)).current?.receivers.length, MAX_RECEIVER_CHAINS);
  t.equal(await outcome(b, a, late[0]!), 'VERIFY_DECRYPTION', 'sixth newest');
  for (let i = 1; i <= MAX_RECEIVER_CHAINS; i++)
    t.equal(await outcome(b, a, late[i]!), `late ${i}`);
});

t.test('ATK-C17 forty archived sessions are kept, the next pushes the oldest out', async (t) => {
  const [a, b] = pair();
  const second: EncryptedMessage[] = [];
  for (let i = 0; i < MAX_ARCHIVED_SESSIONS + 2; i++) {
    await open(b, a, await send(a, b, `first of ${i}`, {}));
    second.push(await send(a, b, `second of ${i}`));
  }
  t.equal((await storedRecord(b, a)).archived.length, MAX_ARCHIVED_SESSIONS);
  t.equal(await outcome(b, a, second[0]!), 'STATE_NO_PREKEY', 'forgotten session, used prekeys');
  t.equal(await outcome(b, a, second[1]!), 'second of 1', 'the oldest one kept');
});

t.test('ATK-C13 an unanswered session sends for exactly 30 days', async (t) => {
  const [a, b] = pair();
  await send(a, b, 'anyone there?', {});
  const created = Math.floor(NOW_MS / 1000) * 1000;
  const last = created + UNACKNOWLEDGED_SESSION_MAX_MS;
  const again = [{ remote: b.address, plaintext: utf8('again') }];
  t.equal(await a.operations.hasUsableSession(b.address, last), true);
  await t.resolves(a.operations.encrypt(again, last));
  t.equal(await a.operations.hasUsableSession(b.address, last + 1), false);
  await expectUnchanged(t, a, b, 'stale', () =>
    t.rejects(a.operations.encrypt(again, last + 1), { code: 'STATE_NO_SESSION' }),
  );
  t.equal(await a.operations.hasUsableSession(b.address, created - 1), true, 'clock set back');
});

t.test('an answered session does not go stale', async (t) => {
  const [a, b] = pair();
  await introduce(a, b);
  const years = NOW_MS + 100 * UNACKNOWLEDGED_SESSION_MAX_MS;
  t.equal(await a.operations.hasUsableSession(b.address, years), true);
});

t.test('two devices of one account have a session with themselves', async (t) => {
  const identity = crypto.x25519KeyPair();
  const name = serviceId();
  const one = makeParty(crypto, { name, identity, deviceId: 1 });
  const two = makeParty(crypto, { name, identity, deviceId: 2 });
  await introduce(one, two);
  await loseMessages(crypto, one, two, MAX_FORWARD_JUMPS + 1);
  t.equal(
    await outcome(two, one, await send(one, two, 'far')),
    'far',
    'beyond the limit for others',
  );
  await loseMessages(crypto, one, two, MAX_FORWARD_JUMPS_SELF);
  t.equal(await outcome(two, one, await send(one, two, 'farther')), 'farther');
  await loseMessages(crypto, one, two, MAX_FORWARD_JUMPS_SELF + 1);
  const message = await send(one, two, 'too far');
  t.equal(await outcome(two, one, message), 'VERIFY_DECRYPTION', 'ATK-C02 but not without end');
});

t.test('the same identity key under different names is an ordinary session', async (t) => {
  const identity = crypto.x25519KeyPair();
  const one = makeParty(crypto, { identity });
  const two = makeParty(crypto, { identity });
  await introduce(one, two);
  await loseMessages(crypto, one, two, MAX_FORWARD_JUMPS + 1);
  t.equal(await outcome(two, one, await send(one, two, 'far')), 'VERIFY_DECRYPTION');
});

t.test('names that are not service ids work, without the addresses field', async (t) => {
  const a = makeParty(crypto, { name: 'alice@example' });
  const b = makeParty(crypto, { name: 'bob@example' });
  await introduce(a, b);
  t.equal(await open(b, a, await send(a, b, 'plain names')), 'plain names');
});

t.test('empty and large plaintexts', async (t) => {
  const [a, b] = pair();
  await introduce(a, b);
  t.equal(await open(b, a, await send(a, b, '')), '');
  const large = 'x'.repeat(1_000_003);
  t.equal(await open(b, a, await send(a, b, large)), large);
});

t.test(
  'sending works while the receiving half is damaged, and not the other way round',
  async (t) => {
    const [a, b] = pair();
    await introduce(a, b);
    await rewriteRecord(a, b, (record) => {
      const { current } = record;
      if (current === undefined) throw new Error('no session');
      const rootKey = new Uint8Array(31) as never;
      return { ...record, current: { ...current, rootKey } };
    });
    t.equal(await open(b, a, await send(a, b, 'still sending')), 'still sending');
    t.equal(await outcome(a, b, await send(b, a, 'no')), 'VERIFY_DECRYPTION');
    await rewriteRecord(a, b, (record) => {
      const { current } = record;
      if (current === undefined) throw new Error('no session');
      return { ...record, current: { ...current, sender: undefined } };
    });
    await t.rejects(send(a, b, 'x'), { code: 'STATE_INVALID_SESSION' });
    t.equal(await a.operations.hasUsableSession(b.address, NOW_MS), false);
  },
);

/** As a record from before SPQR: version 3 and no SPQR state. */
async function makeOld(party: Party, peer: Party): Promise<void> {
  await rewriteRecord(party, peer, (record) => {
    const { current } = record;
    if (current === undefined) throw new Error('no session');
    const spqr = StoredSpqr.fromState(EMPTY_SPQR_STATE);
    return { ...record, current: { ...current, version: 3, spqr } };
  });
}

t.test('imported version 3 sessions go on, and applications are told to move on', async (t) => {
  const [a, b] = pair();
  await introduce(a, b);
  await makeOld(a, b);
  await makeOld(b, a);
  for (let i = 0; i < 6; i++) {
    const [from, to] = i % 2 === 0 ? [a, b] : [b, a];
    const message = await send(from, to, `old ${i}`);
    t.equal(message.bytes[0], 0x34);
    t.equal(await open(to, from, message), `old ${i}`);
  }
  t.equal(await a.operations.hasUsableSession(b.address, NOW_MS), false);
});

t.test('a first flight of version 3 opens only on a session that exists', async (t) => {
  const [a, b] = pair();
  await open(b, a, await send(a, b, 'hello', {}));
  await makeOld(a, b);
  await makeOld(b, a);
  const message = await send(a, b, 'second');
  t.strictSame([message.type, message.bytes[0]], [3, 0x34]);
  const stranger = makeParty(crypto);
  t.equal(await outcome(stranger, a, message), 'VERIFY_DOWNGRADE');
  t.equal(await open(b, a, message), 'second');
});

t.test(
  'finished keys out of an old record are used, but never to ignore an SPQR key',
  async (t) => {
    for (const old of [true, false]) {
      const [a, b] = pair();
      await introduce(a, b);
      if (old)
        for (const [party, peer] of [
          [a, b],
          [b, a],
        ] as const)
          await makeOld(party, peer);
      const late = await send(a, b, 'late');
      await open(b, a, await send(a, b, 'now'));
      await rewriteRecord(b, a, (record) => {
        const { current } = record;
        if (current === undefined) throw new Error('no session');
        const receivers = current.receivers.map((stored): ReceiverChain => {
          const receiver = sound(stored, 'chain');
          return { ...receiver, skipped: receiver.skipped.map(finished) };
        });
        return { ...record, current: { ...current, receivers } };
      });
      t.equal(
        await outcome(b, a, late),
        old ? 'late' : 'VERIFY_DECRYPTION',
        `version ${old ? 3 : 4}`,
      );
    }
  },
);

function finished({ index, source }: SkippedKey): SkippedKey {
  if (source.kind !== 'seed') throw new Error('not a seed');
  const keys = deriveMessageKeys(crypto, source.seed, undefined);
  return { index, source: { kind: 'finished', ...keys } };
}

t.test('a session that lost its SPQR state on one side cannot be used by either', async (t) => {
  const [a, b] = pair();
  await introduce(a, b);
  await rewriteRecord(a, b, (record) => {
    const { current } = record;
    if (current === undefined) throw new Error('no session');
    return { ...record, current: { ...current, spqr: StoredSpqr.fromState(EMPTY_SPQR_STATE) } };
  });
  t.equal(await outcome(b, a, await send(a, b, 'x')), 'VERIFY_DECRYPTION');
  t.equal(await outcome(a, b, await send(b, a, 'y')), 'VERIFY_DECRYPTION');
  t.equal(await open(b, a, await send(a, b, 'healed', {})), 'healed', 'a new session heals it');
});
