// What a network or a peer may do to messages of a session that exists.
import t from 'tap';
import { defaultCrypto as crypto, utf8, type EncryptedMessage } from '@qasid/protocol';
import { concatBytes, copyBytes, type Bytes } from '#src/bytes.js';
import type { CryptoProvider } from '#src/crypto/provider.js';
import { QasidError } from '#src/errors.js';
import {
  FORWARD_BUDGET_REFILL_PER_SECOND,
  FORWARD_BUDGET_STEPS,
  FORWARD_STEPS_ALWAYS,
} from '#src/limits.js';
import { Operations } from '#src/operations.js';
import { ForwardBudget } from '#src/operations-budget.js';
import { decryptMessage, encryptMessage, StoredSpqr, type SessionRecord } from '#src/session.js';
import { encodeSessionRecord } from '#src/session-record.js';
import { deriveMessageKeys, messageMac } from '#src/triple-ratchet.js';
import {
  decodePreKeySignalMessage,
  decodeSignalMessage,
  encodePreKeySignalMessage,
  encodeSignalMessage,
  encodeSignalMessageBody,
  type SignalMessage,
} from '#src/wire/messages.js';
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
import { makeParty, NOW_MS, type Party } from '../support/party.js';

const pair = async (): Promise<[Party, Party]> => {
  const parties: [Party, Party] = [makeParty(crypto), makeParty(crypto)];
  await introduce(...parties);
  return parties;
};

/** What decrypting one message with `record` says; `opened` when it worked. */
function verdict(
  provider: CryptoProvider,
  record: SessionRecord,
  ends: { local: Party; remote: Party },
  message: SignalMessage,
): string {
  try {
    const input = { local: ends.local.address, remote: ends.remote.address, message };
    decryptMessage(provider, record, input);
    return 'opened';
  } catch (error) {
    if (!(error instanceof QasidError)) throw error;
    return `${error.name} ${error.code} ${error.message} ${error.cause === undefined ? '' : 'cause'}`;
  }
}

t.test('ATK-A07 only the whole tag of eight bytes passes', async (t) => {
  const [a, b] = await pair();
  const sent = await send(a, b, 'tagged');
  const message = decodeSignalMessage(sent.bytes);
  const record = await storedRecord(b, a);
  const ends = { local: b, remote: a };
  for (let length = 0; length <= 9; length++) {
    const mac = new Uint8Array(length);
    mac.set(message.mac.subarray(0, length));
    const expected = length === 8 ? /^opened$/ : /VERIFY_DECRYPTION/;
    t.match(
      verdict(crypto, record, ends, { ...message, mac }),
      expected,
      `${length} bytes of the tag`,
    );
    const whole = encodeSignalMessage({ authenticated: message.authenticated, mac });
    if (length !== 8) {
      const cut = { ...sent, bytes: whole };
      await expectUnchanged(t, b, a, `${length} bytes on the wire`, async () => {
        t.match(await outcome(b, a, cut), /^(VERIFY_DECRYPTION|DECODE_\w+|STATE_\w+)$/);
      });
    }
  }
  for (let bit = 0; bit < 64; bit++) {
    const mac = copyBytes(message.mac);
    mac[bit >> 3] = (mac[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    t.match(verdict(crypto, record, ends, { ...message, mac }), /VERIFY_DECRYPTION/, `bit ${bit}`);
  }
  t.equal(await open(b, a, sent), 'tagged');
});

/** A message of `from` that is authentic, with a ciphertext of the caller's choice. */
async function authentic(
  from: Party,
  to: Party,
  choose: (keys: { cipherKey: Uint8Array; iv: Uint8Array }) => Bytes,
): Promise<SignalMessage> {
  let keys: { cipherKey: Uint8Array; iv: Uint8Array; macKey: Uint8Array } | undefined;
  const watching: CryptoProvider = {
    ...crypto,
    aesCbcEncrypt: (cipherKey, iv) => {
      keys = { cipherKey, iv, macKey: new Uint8Array(0) };
      return choose({ cipherKey, iv });
    },
  };
  const { output } = encryptMessage(watching, await storedRecord(from, to), {
    local: from.address,
    remote: to.address,
    plaintext: utf8('x'),
    nowMs: NOW_MS,
  });
  t.ok(keys, 'the cipher was asked');
  return decodeSignalMessage(output.bytes);
}

t.test(
  'ATK-A08 bad MAC and bad padding look the same, and nothing is decrypted before the MAC',
  async (t) => {
    const [a, b] = await pair();
    const record = await storedRecord(b, a);
    const ends = { local: b, remote: a };
    let decryptions = 0;
    const spy: CryptoProvider = {
      ...crypto,
      aesCbcDecrypt: (key, iv, ciphertext) => {
        decryptions += 1;
        return crypto.aesCbcDecrypt(key, iv, ciphertext);
      },
    };
    const good = decodeSignalMessage((await send(a, b, 'good')).bytes);
    const badMac = { ...good, mac: new Uint8Array(8) };
    const answer = verdict(spy, record, ends, badMac);
    t.match(answer, /^VerificationError VERIFY_DECRYPTION decryption failed $/);
    t.equal(decryptions, 0, 'no decryption on a bad MAC');
    const addressed = decodeSignalMessage(
      encodeSignalMessage({
        mac: good.mac,
        authenticated: encodeSignalMessageBody({ ...good, addresses: new Uint8Array(36) }),
      }),
    );
    t.equal(verdict(spy, record, ends, addressed), answer, 'addresses');
    t.equal(decryptions, 0, 'nor on bad addresses');
    const block = (last: number): Uint8Array => new Uint8Array(16).fill(last, 15);
    for (const [name, padded] of [
      ['padding 0', block(0)],
      ['padding 17', block(17)],
      ['padding not repeated', block(2)],
    ] as const) {
      const message = await authentic(a, b, ({ cipherKey, iv }) => {
        // With one more block of padding cut off, the chosen block is the last one.
        return crypto.aesCbcEncrypt(cipherKey, iv, padded).slice(0, 16);
      });
      const before = decryptions;
      t.equal(verdict(spy, record, ends, message), answer, name);
      t.equal(decryptions, before + 1, `${name}: the MAC was good`);
    }
    for (const length of [0, 15, 17]) {
      const message = await authentic(a, b, () => new Uint8Array(length));
      t.equal(verdict(spy, record, ends, message), answer, `ciphertext of ${length} bytes`);
    }
    const spqr = { ...good, spqr: new Uint8Array([1, 0]) };
    t.equal(verdict(spy, record, ends, spqr), answer, 'SPQR');
    t.equal(verdict(spy, record, ends, { ...good, version: 3 }), answer, 'version');
    t.equal(verdict(spy, record, ends, { ...good, counter: 30_000 }), answer, 'too far ahead');
  },
);

t.test('ATK-C01 a repeated message is told as a duplicate, also after a restart', async (t) => {
  const [a, b] = await pair();
  const message = await send(a, b, 'once');
  t.equal(await open(b, a, message), 'once');
  const restarted: Party = {
    ...b,
    operations: new Operations({ crypto, store: b.store, local: b.address }),
  };
  await expectUnchanged(t, b, a, 'replays', async () => {
    for (let i = 0; i < 50; i++) {
      if ((await outcome(b, a, message)) !== 'STATE_DUPLICATE_MESSAGE') t.fail(`replay ${i}`);
      if ((await outcome(restarted, a, message)) !== 'STATE_DUPLICATE_MESSAGE')
        t.fail(`after restart ${i}`);
    }
  });
  t.strictSame(await Promise.all([outcome(b, a, message), outcome(b, a, message)]), [
    'STATE_DUPLICATE_MESSAGE',
    'STATE_DUPLICATE_MESSAGE',
  ]);
});

t.test('ATK-C01 of two deliveries at the same time one opens', async (t) => {
  const [a, b] = await pair();
  const message = await send(a, b, 'once');
  const results = await Promise.all([
    outcome(b, a, message),
    outcome(b, a, message),
    outcome(b, a, message),
  ]);
  t.strictSame([...results].sort(), ['STATE_DUPLICATE_MESSAGE', 'STATE_DUPLICATE_MESSAGE', 'once']);
});

t.test('a duplicate of an archived session stops the search', async (t) => {
  const [a, b] = await pair();
  const old = await send(a, b, 'old');
  await open(b, a, old);
  await open(b, a, await send(a, b, 'new session', {}));
  await expectUnchanged(t, b, a, 'duplicate', async () => {
    t.equal(await outcome(b, a, old), 'STATE_DUPLICATE_MESSAGE');
  });
});

t.test('a duplicate is told before SPQR is looked at', async (t) => {
  const [a, b] = await pair();
  const sent = await send(a, b, 'once');
  await open(b, a, sent);
  await rewriteRecord(b, a, (record) => {
    const { current } = record;
    if (current === undefined) throw new Error('no session');
    const spqr = StoredSpqr.fromBytes(new Uint8Array([0xff]));
    return { ...record, current: { ...current, spqr } };
  });
  t.equal(await outcome(b, a, sent), 'STATE_DUPLICATE_MESSAGE');
  t.equal(await outcome(b, a, await send(a, b, 'next')), 'VERIFY_DECRYPTION', 'damaged');
  await t.rejects(send(b, a, 'x'), { code: 'STATE_INVALID_SESSION' });
});

t.test('ATK-C11 SPQR fields of far epochs and indices are refused and cost no state', async (t) => {
  const [a, b] = await pair();
  const record = await storedRecord(b, a);
  const before = encodeSessionRecord(record);
  const good = decodeSignalMessage((await send(a, b, 'good')).bytes);
  const varint = (value: number): number[] => {
    const out: number[] = [];
    let rest = value;
    while (rest > 127) {
      out.push((rest % 128) + 128);
      rest = Math.floor(rest / 128);
    }
    return [...out, rest];
  };
  for (const epoch of [0, 2, 3, 1000, 2 ** 32, 2 ** 52]) {
    for (const index of [0, 1, 25_001, 2 ** 31, 2 ** 32 - 1]) {
      const spqr = new Uint8Array([1, ...varint(epoch), ...varint(index), 0]);
      const answer = verdict(crypto, record, { local: b, remote: a }, { ...good, spqr });
      t.match(answer, /VERIFY_DECRYPTION/, `epoch ${epoch}, index ${index}`);
    }
  }
  t.strictSame(encodeSessionRecord(record), before);
  t.match(verdict(crypto, record, { local: b, remote: a }, good), /^opened$/);
});

t.test('ATK-C02 a forged jump keeps no keys before its MAC', async (t) => {
  const [a, b] = await pair();
  const record = await storedRecord(b, a);
  const good = decodeSignalMessage((await send(a, b, 'good')).bytes);
  let seeds = 0;
  const counting: CryptoProvider = {
    ...crypto,
    hmacSha256: (key, ...parts) => {
      if (parts.length === 1 && parts[0]?.length === 1 && parts[0][0] === 1) seeds += 1;
      return crypto.hmacSha256(key, ...parts);
    },
  };
  const forged = { ...good, counter: 25_000, mac: new Uint8Array(8) };
  t.match(verdict(counting, record, { local: b, remote: a }, forged), /VERIFY_DECRYPTION/);
  t.equal(seeds, 1, 'one seed, that of the message itself');
});

t.test('a non-canonical alias of a known ratchet key is another chain', async (t) => {
  const [a, b] = await pair();
  await open(b, a, await send(a, b, 'known chain'));
  const sent = await send(a, b, 'aliased');
  const message = decodeSignalMessage(sent.bytes);
  const ratchetKey = copyBytes(message.ratchetKey);
  ratchetKey[32] = (ratchetKey[32] ?? 0) | 0x80;
  const body = encodeSignalMessageBody({ ...message, ratchetKey: ratchetKey as never });
  const aliased: EncryptedMessage = { ...sent, bytes: concatBytes(body, message.mac) };
  await expectUnchanged(t, b, a, 'alias', async () => {
    t.equal(await outcome(b, a, aliased), 'VERIFY_DECRYPTION');
  });
  t.equal(await open(b, a, sent), 'aliased');
});

t.test('message keys: no SPQR key and 32 zero bytes mix alike', async (t) => {
  const seed = new Uint8Array(32).fill(1);
  const one = deriveMessageKeys(crypto, seed, undefined);
  t.strictSame(deriveMessageKeys(crypto, seed, new Uint8Array(32)), one);
  t.notSame(deriveMessageKeys(crypto, seed, new Uint8Array(32).fill(1)), one);
  const { public: sender } = crypto.x25519KeyPair();
  const { public: recipient } = crypto.x25519KeyPair();
  const mac = messageMac(crypto, one.macKey, sender, recipient, utf8('body'));
  t.equal(mac.length, 8);
  t.notSame(
    messageMac(crypto, one.macKey, recipient, sender, utf8('body')),
    mac,
    'direction counts',
  );
});

/** A message of `from` that asks for `counter` chain steps on every session, and opens on none. */
async function forgedJump(from: Party, to: Party, counter: number): Promise<EncryptedMessage> {
  const sent = await send(from, to, 'forged');
  const message = decodeSignalMessage(sent.bytes);
  const ratchetKey = crypto.x25519KeyPair().public;
  const authenticated = encodeSignalMessageBody({ ...message, ratchetKey, counter });
  return { ...sent, bytes: encodeSignalMessage({ authenticated, mac: message.mac }) };
}

t.test('ATK-C02 forged jumps run into a budget; what is honest and near still opens', async (t) => {
  let steps = 0;
  const counting: CryptoProvider = {
    ...crypto,
    hmacSha256: (key, ...parts) => {
      if (parts.length === 1 && parts[0]?.length === 1 && parts[0][0] === 2) steps += 1;
      return crypto.hmacSha256(key, ...parts);
    },
  };
  const a = makeParty(crypto);
  const b = makeParty(counting);
  await introduce(a, b);
  // Three sessions, so that each forgery costs 75 000 steps.
  for (let i = 0; i < 2; i++) await open(b, a, await send(a, b, 'again', {}));
  await open(a, b, await send(b, a, 'answer'));
  const flood: EncryptedMessage[] = [];
  for (let i = 0; i < 18; i++) flood.push(await forgedJump(a, b, 25_000));
  steps = 0;
  const answers: string[] = [];
  for (const message of flood) answers.push(await outcome(b, a, message));
  t.equal(answers[0], 'VERIFY_DECRYPTION');
  t.equal(answers.at(-1), 'LIMIT_FORWARD_JUMPS');
  t.ok(steps <= FORWARD_BUDGET_STEPS + 1_000, `${steps} steps in all`);
  t.equal(await open(b, a, await send(a, b, 'near')), 'near', 'ordinary messages open');
  await loseMessages(crypto, a, b, 10_000);
  const far = await send(a, b, 'far');
  t.equal(await outcome(b, a, far), 'LIMIT_FORWARD_JUMPS', 'a far one is refused for now');
  const later = NOW_MS + 2_000;
  const opened = await b.operations.decrypt(a.address, far.type, far.bytes, later);
  t.equal(new TextDecoder().decode(opened.plaintext), 'far', 'and opens when the budget is back');
});

t.test('ATK-C02 forged jumps in prekey messages run into the same budget', async (t) => {
  const [a, b] = [makeParty(crypto), makeParty(crypto)];
  const first = await send(a, b, 'first', {});
  const forged = (of: EncryptedMessage, counter = 25_000): EncryptedMessage => {
    const fields = decodePreKeySignalMessage(of.bytes);
    const body = encodeSignalMessageBody({ ...fields.message, counter });
    const message = { ...fields.message, authenticated: body };
    return { ...of, bytes: encodePreKeySignalMessage({ ...fields, message }) };
  };
  const flood = async (of: EncryptedMessage, times: number): Promise<string[]> => {
    const answers = [];
    for (let i = 0; i < times; i++) answers.push(await outcome(b, a, forged(of)));
    return answers;
  };
  for (let i = 0; i < 3; i++) {
    const absurd = await outcome(b, a, forged(first, 2 ** 32 - 1));
    t.equal(absurd, 'VERIFY_DECRYPTION', 'refused without a step, and costs nothing');
  }
  // A stranger's handshakes have a budget of their own (ATK-B15), and it is used up first.
  const fresh = await flood(first, 42);
  t.strictSame([fresh[0], fresh.at(-1)], ['VERIFY_DECRYPTION', 'LIMIT_HANDSHAKES']);
  const later = NOW_MS + 60_000;
  const opened = await b.operations.decrypt(a.address, first.type, first.bytes, later);
  t.equal(new TextDecoder().decode(opened.plaintext), 'first', 'the honest one opens, later');
  const known = await flood(await send(a, b, 'second'), 42);
  t.equal(known.at(-1), 'LIMIT_FORWARD_JUMPS', 'who is known runs into that of jumps');
});

t.test('ATK-C02 the budget charges only what did not open, and refills with time', async (t) => {
  const budget = new ForwardBudget();
  t.equal(budget.available(0), FORWARD_BUDGET_STEPS);
  budget.spend(FORWARD_STEPS_ALWAYS);
  t.equal(budget.available(0), FORWARD_BUDGET_STEPS, 'near misses are free');
  budget.spend(FORWARD_STEPS_ALWAYS + 1);
  t.equal(budget.available(0), FORWARD_BUDGET_STEPS - FORWARD_STEPS_ALWAYS - 1);
  budget.spend(FORWARD_BUDGET_STEPS * 2);
  t.equal(budget.available(0), FORWARD_STEPS_ALWAYS, 'never below what is always allowed');
  t.equal(budget.available(1_000), FORWARD_BUDGET_REFILL_PER_SECOND);
  t.equal(
    budget.available(500),
    FORWARD_BUDGET_REFILL_PER_SECOND,
    'a clock set back gives nothing',
  );
  t.equal(budget.available(10 ** 9), FORWARD_BUDGET_STEPS, 'and never above the whole');
});
