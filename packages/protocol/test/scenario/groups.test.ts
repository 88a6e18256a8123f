/** Stories of several members on sender keys. */
import t from 'tap';
import { nobleProvider as crypto } from '#src/crypto/noble.js';
import { QasidError } from '#src/errors.js';
import {
  createSenderKey,
  distributionMessage,
  EMPTY_SENDER_KEY_RECORD,
  encodeSenderKeyRecord,
  groupDecrypt,
  groupEncrypt,
  processDistributionMessage,
  type SenderKeyRecord,
} from '#src/sender-keys.js';
import { toHex, utf8 } from '#src/bytes.js';

const GROUP = new Uint8Array(16).fill(7);

function join(record: SenderKeyRecord): SenderKeyRecord {
  return processDistributionMessage(EMPTY_SENDER_KEY_RECORD, distributionMessage(record, GROUP))
    .state;
}

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof QasidError ? error.code : `not typed: ${error}`;
  }
  return 'no error';
}

t.test('messages arrive in any order, each opens once', async (t) => {
  let alice = createSenderKey(crypto);
  let bob = join(alice);
  const sent: Uint8Array[] = [];
  for (let i = 0; i < 12; i++) {
    const step = groupEncrypt(crypto, alice, GROUP, utf8(`message ${i}`));
    alice = step.state;
    sent.push(step.output);
  }
  for (const i of [3, 0, 11, 5, 1, 2, 10, 4, 9, 8, 7, 6]) {
    const step = groupDecrypt(crypto, bob, sent[i]!);
    bob = step.state;
    t.equal(new TextDecoder().decode(step.output), `message ${i}`);
  }
  for (const message of sent) {
    t.equal(
      code(() => groupDecrypt(crypto, bob, message)),
      'STATE_DUPLICATE_MESSAGE',
    );
  }
  t.equal(bob.states[0]!.skipped.length, 0, 'no key is left');
});

t.test('ATK-E02 a member cannot write in another member’s name', async (t) => {
  const alice = createSenderKey(crypto);
  const bob = join(alice);
  const genuine = groupEncrypt(crypto, alice, GROUP, utf8('pay 10')).output;
  // Mallory knows the chain key as every member does, but has another signing key.
  const mallory: SenderKeyRecord = {
    states: [{ ...alice.states[0]!, signing: crypto.x25519KeyPair() }],
  };
  const forged = groupEncrypt(crypto, mallory, GROUP, utf8('pay 99')).output;
  const before = toHex(encodeSenderKeyRecord(bob));
  t.equal(
    code(() => groupDecrypt(crypto, bob, forged)),
    'VERIFY_SIGNATURE',
  );
  for (let i = 0; i < genuine.length; i++) {
    const broken = genuine.slice();
    broken[i]! ^= 1;
    // The low nibble of the version byte is inside the signature, so it counts as well.
    t.not(
      code(() => groupDecrypt(crypto, bob, broken)),
      'no error',
      `byte ${i}`,
    );
  }
  t.equal(toHex(encodeSenderKeyRecord(bob)), before, 'nothing changed');
  t.equal(
    new TextDecoder().decode(groupDecrypt(crypto, bob, genuine).output),
    'pay 10',
    'the genuine one still opens',
  );
});

t.test('ATK-E03 a replayed distribution message never rewinds a chain', async (t) => {
  let alice = createSenderKey(crypto);
  const handed = distributionMessage(alice, GROUP);
  let bob = processDistributionMessage(EMPTY_SENDER_KEY_RECORD, handed).state;
  const first = groupEncrypt(crypto, alice, GROUP, utf8('one'));
  alice = first.state;
  bob = groupDecrypt(crypto, bob, first.output).state;
  const again = processDistributionMessage(bob, handed);
  t.equal(again.output.newChain, false);
  t.same(encodeSenderKeyRecord(again.state), encodeSenderKeyRecord(bob));
  t.equal(
    code(() => groupDecrypt(crypto, again.state, first.output)),
    'STATE_DUPLICATE_MESSAGE',
  );
  t.same(
    encodeSenderKeyRecord(
      processDistributionMessage(alice, distributionMessage(alice, GROUP)).state,
    ),
    encodeSenderKeyRecord(alice),
    'a sender that takes in its own keeps its signing key',
  );
});

t.test('ATK-E05 a newcomer reads nothing from before', async (t) => {
  let alice = createSenderKey(crypto);
  const early = groupEncrypt(crypto, alice, GROUP, utf8('before'));
  alice = early.state;
  const carol = join(alice);
  t.equal(
    code(() => groupDecrypt(crypto, carol, early.output)),
    'STATE_DUPLICATE_MESSAGE',
  );
  const late = groupEncrypt(crypto, alice, GROUP, utf8('after'));
  t.equal(new TextDecoder().decode(groupDecrypt(crypto, carol, late.output).output), 'after');
});

t.test('ATK-E04 who was left out of a new chain opens nothing on it', async (t) => {
  const carol = join(createSenderKey(crypto));
  const rotated = createSenderKey(crypto);
  const message = groupEncrypt(crypto, rotated, GROUP, utf8('without carol')).output;
  t.equal(
    code(() => groupDecrypt(crypto, carol, message)),
    'STATE_NO_SENDER_KEY',
  );
});

t.test('ATK-E06 a message of one group opens in no other', async (t) => {
  const first = createSenderKey(crypto);
  const second = createSenderKey(crypto);
  const inFirst = groupEncrypt(crypto, first, GROUP, utf8('for the first')).output;
  const member = join(second);
  const before = toHex(encodeSenderKeyRecord(member));
  t.equal(
    code(() => groupDecrypt(crypto, member, inFirst)),
    'STATE_NO_SENDER_KEY',
  );
  t.equal(toHex(encodeSenderKeyRecord(member)), before);
  // Nor does it open when the relay writes another distribution id into it: that is signed.
  const moved = inFirst.slice();
  moved.set(new Uint8Array(16).fill(9), 3);
  t.equal(
    code(() => groupDecrypt(crypto, join(first), moved)),
    'VERIFY_SIGNATURE',
  );
});

t.test('ATK-E08 a flood of distribution messages keeps five chains, the newest', async (t) => {
  let bob = EMPTY_SENDER_KEY_RECORD;
  const chains = Array.from({ length: 8 }, () => createSenderKey(crypto));
  for (const chain of chains) {
    bob = processDistributionMessage(bob, distributionMessage(chain, GROUP)).state;
  }
  t.same(
    bob.states.map((state) => state.chainId),
    chains
      .slice(3)
      .reverse()
      .map((chain) => chain.states[0]!.chainId),
  );
});

t.test(
  'ATK-C02 the jump limit holds on both sides of it, and is behind the signature',
  async (t) => {
    const alice = createSenderKey(crypto);
    const bob = join(alice);
    const at = (iteration: number): SenderKeyRecord => ({
      states: [{ ...alice.states[0]!, chain: { ...alice.states[0]!.chain!, iteration } }],
    });
    const beyond = groupEncrypt(crypto, at(25_001), GROUP, utf8('x')).output;
    t.equal(
      code(() => groupDecrypt(crypto, bob, beyond)),
      'STATE_TOO_FAR_AHEAD',
    );
    let derivations = 0;
    const counting = {
      ...crypto,
      hmacSha256: (key: Uint8Array, ...parts: readonly Uint8Array[]) => {
        derivations++;
        return crypto.hmacSha256(key, ...parts);
      },
    };
    const unsigned = groupEncrypt(crypto, at(25_000), GROUP, utf8('x')).output;
    unsigned[unsigned.length - 1]! ^= 1;
    t.equal(
      code(() => groupDecrypt(counting, bob, unsigned)),
      'VERIFY_SIGNATURE',
    );
    t.equal(derivations, 0, 'a forged jump derives nothing');
  },
);

t.test('what a step consumed can be wiped without hurting the new state', async (t) => {
  let alice = createSenderKey(crypto);
  let bob = join(alice);
  for (let i = 0; i < 5; i++) {
    const sent = groupEncrypt(crypto, alice, GROUP, utf8(`m${i}`));
    for (const secret of sent.consumed) secret.fill(0);
    alice = sent.state;
    const got = groupDecrypt(crypto, bob, sent.output);
    for (const secret of got.consumed) secret.fill(0);
    bob = got.state;
    t.equal(new TextDecoder().decode(got.output), `m${i}`);
  }
});
