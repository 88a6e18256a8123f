// What handshakes that fail may cost, counted in KEM operations rather than seconds.
import t from 'tap';
import { defaultCrypto, type CryptoProvider, type EncryptedMessage } from '@qasid/protocol';
import { copyBytes } from '#src/bytes.js';
import { HANDSHAKE_BUDGET_SENDER, HANDSHAKE_BUDGET_STRANGERS } from '#src/limits.js';
import type { Address } from '#src/types.js';
import { decodePreKeySignalMessage, encodePreKeySignalMessage } from '#src/wire/messages.js';
import { introduce, open, send } from '../support/conversation.js';
import { makeParty, NOW_MS, serviceId, type Party } from '../support/party.js';

/** A provider that counts what a handshake costs its receiver. */
function counting(): { readonly crypto: CryptoProvider; count(): number } {
  let decapsulations = 0;
  const crypto: CryptoProvider = {
    ...defaultCrypto,
    kyber1024Decapsulate(secret, ciphertext) {
      decapsulations++;
      return defaultCrypto.kyber1024Decapsulate(secret, ciphertext);
    },
  };
  return { crypto, count: () => decapsulations };
}

/** A first message whose prekeys exist and whose MAC is wrong: it fails as late as possible. */
async function bogus(to: Party): Promise<EncryptedMessage> {
  const message = await send(makeParty(defaultCrypto), to, 'junk', {});
  const fields = decodePreKeySignalMessage(message.bytes);
  const mac = copyBytes(fields.message.mac);
  mac[0] = (mac[0] ?? 0) ^ 1;
  return {
    ...message,
    bytes: encodePreKeySignalMessage({ ...fields, message: { ...fields.message, mac } }),
  };
}

async function answer(
  to: Party,
  from: Address,
  message: EncryptedMessage,
  nowMs = NOW_MS,
): Promise<string> {
  try {
    const opened = await to.operations.decrypt(from, message.type, message.bytes, nowMs);
    return new TextDecoder().decode(opened.plaintext);
  } catch (error) {
    return String((error as { code?: unknown }).code);
  }
}

const strangers = (): Address => ({ name: serviceId(), deviceId: 1 });

t.test(
  'ATK-B15 1 000 false handshakes of one account cost as many KEM operations as its budget',
  async (t) => {
    const { crypto, count } = counting();
    const bob = makeParty(crypto);
    const message = await bogus(bob);
    const mallory = strangers();
    const answers: string[] = [];
    for (let i = 0; i < 1000; i++) {
      // Another device number is no other account.
      answers.push(await answer(bob, { ...mallory, deviceId: 1 + (i % 127) }, message));
    }
    t.equal(count(), HANDSHAKE_BUDGET_SENDER);
    t.equal(answers[HANDSHAKE_BUDGET_SENDER - 1], 'VERIFY_DECRYPTION');
    t.equal(answers[HANDSHAKE_BUDGET_SENDER], 'LIMIT_HANDSHAKES');
    t.equal(new Set(answers.slice(HANDSHAKE_BUDGET_SENDER)).size, 1);
    // A minute forgives six; a clock set back forgives none.
    t.equal(await answer(bob, mallory, message, NOW_MS - 3_600_000), 'LIMIT_HANDSHAKES');
    t.equal(await answer(bob, mallory, message, NOW_MS + 60_000), 'VERIFY_DECRYPTION');
    const alice = makeParty(defaultCrypto);
    t.equal(
      await open(bob, alice, await send(alice, bob, 'another stranger', {})),
      'another stranger',
    );
  },
);

t.test(
  'ATK-B15 1 000 false handshakes of 1 000 accounts do not starve honest people',
  async (t) => {
    const { crypto, count } = counting();
    const bob = makeParty(crypto);
    const [friend, newcomer] = [makeParty(defaultCrypto), makeParty(defaultCrypto)];
    await introduce(friend, bob);
    const late = await send(newcomer, bob, 'we have not met', {});
    const message = await bogus(bob);
    const before = count();
    for (let i = 0; i < 1000; i++) {
      await answer(bob, strangers(), message);
      if (i % 100 === 99) {
        t.equal(await open(bob, friend, await send(friend, bob, `text ${i}`)), `text ${i}`);
      }
    }
    t.equal(count() - before, HANDSHAKE_BUDGET_STRANGERS);
    t.equal(
      await open(bob, friend, await send(friend, bob, 'a new session', {})),
      'a new session',
      'who is known does not wait',
    );
    t.equal(await answer(bob, newcomer.address, late), 'LIMIT_HANDSHAKES', 'a stranger waits');
    t.equal(await bob.store.loadIdentity(newcomer.address.name), undefined, 'nothing was stored');
    t.equal(
      await answer(bob, newcomer.address, late, NOW_MS + 60_000),
      'we have not met',
      'the same message opens later: its prekeys are still there',
    );
  },
);

t.test('ATK-B15 what fails a cheap check costs no KEM operation and no budget', async (t) => {
  const { crypto, count } = counting();
  const bob = makeParty(crypto);
  const good = await bogus(bob);
  const fields = decodePreKeySignalMessage(good.bytes);
  const mallory = strangers();
  const absent: EncryptedMessage = {
    ...good,
    bytes: encodePreKeySignalMessage({ ...fields, signedPreKeyId: 999_999 }),
  };
  for (let i = 0; i < 50; i++) {
    t.equal(await answer(bob, mallory, absent), 'STATE_NO_PREKEY');
    t.match(
      await answer(bob, mallory, { ...good, bytes: good.bytes.subarray(0, 40 + i) }),
      /^DECODE_/,
    );
  }
  t.equal(count(), 0);
  t.equal(await answer(bob, mallory, good), 'VERIFY_DECRYPTION', 'the budget is whole');
  t.equal(count(), 1);
});
