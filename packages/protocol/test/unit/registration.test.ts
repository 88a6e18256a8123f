// Invites as text, and the work of a registration.
import t from 'tap';
import fc from 'fast-check';
import { nobleProvider as crypto } from '#src/crypto/noble.js';
import {
  generateAccountId,
  INVITE_BYTES,
  inviteText,
  isWork,
  parseInviteText,
  relayIdOf,
  searchWork,
  WORK_BITS_MAX,
  workSeed,
} from '@qasid/protocol/envelope';
import { toHex } from '#src/bytes.js';

t.test('ATK-E13 ATK-G02 an invite has one text, and nothing else is one', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 20, maxLength: 20 }), (invite) => {
      const text = inviteText(invite);
      return (
        /^qasid-invite:[a-z2-7]{32}$/.test(text) && toHex(parseInviteText(text)!) === toHex(invite)
      );
    }),
  );
  // RFC 4648 §10 in lower case: five bytes are eight characters.
  t.equal(inviteText(new TextEncoder().encode('fooba')), 'qasid-invite:mzxw6ytb');
  const text = inviteText(crypto.randomBytes(INVITE_BYTES));
  t.ok(parseInviteText(` ${text}\n`), 'blanks around it are what copying adds');
  for (const wrong of [
    text.slice(13),
    text.toUpperCase(),
    text.replace('invite', 'link'),
    text.slice(0, -1),
    `${text}a`,
    `${text.slice(0, -1)}1`,
    '',
  ]) {
    t.equal(parseInviteText(wrong), undefined, wrong);
  }
});

t.test('work is found, holds, and is bound to relay, challenge and account', async (t) => {
  const claim = {
    relayId: relayIdOf(crypto, crypto.randomBytes(32)),
    nonce: crypto.randomBytes(32),
    account: generateAccountId(crypto),
  };
  const seed = workSeed(crypto, claim);
  const bits = 10;
  let from = 0;
  let work: Uint8Array | undefined;
  let slices = 0;
  while (work === undefined && slices < 10_000) {
    ({ work, next: from } = searchWork(crypto, seed, bits, from, 100));
    slices++;
  }
  t.ok(work && isWork(crypto, seed, bits, work), `${slices} slices`);
  const others = [
    { ...claim, nonce: crypto.randomBytes(32) },
    { ...claim, account: generateAccountId(crypto) },
    { ...claim, relayId: relayIdOf(crypto, crypto.randomBytes(32)) },
  ];
  // One of a thousand would do elsewhere too by chance: three together cannot.
  const elsewhere = others.filter((other) => isWork(crypto, workSeed(crypto, other), bits, work!));
  t.ok(elsewhere.length < 3, 'it does not hold elsewhere');
  t.notOk(isWork(crypto, seed, bits, work!.subarray(1)), 'another length');
  t.notOk(isWork(crypto, seed, 200, work!), 'more bits');
  t.ok(isWork(crypto, seed, 0, new Uint8Array(8)), 'nothing asked, anything does');
  t.throws(() => searchWork(crypto, seed, WORK_BITS_MAX + 1, 0, 1), { code: 'USAGE_RANGE' });
  const far = searchWork(crypto, seed, 1, 2 ** 40, 64);
  t.equal(toHex(far.work!).slice(0, 8), '00000100', 'numbers beyond 32 bits');
});
