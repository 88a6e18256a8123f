// ATK-J08: the wrong call does not compile, and where types cannot see it, it throws. Lines that expect a
// compiler error are the test: the build fails when one of them begins to compile.
import t from 'tap';
import { nobleProvider } from '#src/crypto/noble.js';
import { nodeProvider } from '#src/crypto/node.js';
import { ratchetChain } from '#src/double-ratchet.js';
import { QasidError } from '#src/errors.js';
import {
  toAddress,
  toChainKey,
  toKemPublicKey,
  toPrivateKey,
  toPublicKey,
  toRootKey,
  toSignature,
  toU32,
} from '#src/types.js';
import type { ChainKey, MessageKeySeed, PrivateKey, PublicKey, RootKey } from '#src/types.js';
import { makeParty, NOW_MS } from '../support/party.js';

const crypto = nobleProvider;

t.test('ATK-J08 keys of different kinds are different types', async (t) => {
  const pair = crypto.x25519KeyPair();
  const seed = crypto.randomBytes(32) as unknown as MessageKeySeed;
  const chainKey = toChainKey(crypto.randomBytes(32));
  const wrong = (): unknown[] => {
    // @ts-expect-error raw bytes are no public key
    const one: PublicKey = new Uint8Array(33);
    // @ts-expect-error a message key seed is no chain key
    const two: ChainKey = seed;
    // @ts-expect-error a chain key is no root key
    const three: RootKey = chainKey;
    // @ts-expect-error a public key is no private key
    const four: PrivateKey = pair.public;
    // @ts-expect-error public and private are not interchangeable
    crypto.x25519(pair.public, pair.secret);
    // @ts-expect-error an address is not a text
    const five: Parameters<typeof makeParty>[1] = { name: 7 };
    // @ts-expect-error a root key comes first
    ratchetChain(crypto, chainKey, pair, pair.public);
    return [one, two, three, four, five];
  };
  t.type(wrong, 'function', 'it is the compiler that looks at it');
});

t.test('ATK-J08 operations take bytes, addresses and known types only', async (t) => {
  const alice = makeParty(crypto);
  const bob = makeParty(crypto);
  const wrong = async (): Promise<void> => {
    // @ts-expect-error a text is not bytes
    await alice.operations.encrypt([{ remote: bob.address, plaintext: 'salaam' }], NOW_MS);
    // @ts-expect-error an address has a device
    await alice.operations.decrypt({ name: bob.address.name }, 2, new Uint8Array(1), NOW_MS);
    // @ts-expect-error there is no message type 7 here
    await alice.operations.decrypt(bob.address, 7, new Uint8Array(1), NOW_MS);
    const [sent] = await alice.operations.encrypt([], NOW_MS);
    // @ts-expect-error there may be none
    sent.bytes;
    // @ts-expect-error what was encrypted is not changed
    (await alice.operations.encrypt([], NOW_MS)).pop();
  };
  t.type(wrong, 'function', 'it is the compiler that looks at it');
});

t.test('ATK-J08 ATK-G07 what types cannot see throws a typed error', async (t) => {
  const failing: Record<string, () => unknown> = {
    'short public key': () => toPublicKey(new Uint8Array(32)),
    'public key of another type': () => toPublicKey(new Uint8Array(33).fill(8)),
    'short private key': () => toPrivateKey(new Uint8Array(31)),
    'short KEM key': () => toKemPublicKey(new Uint8Array(1568).fill(8)),
    'long root key': () => toRootKey(new Uint8Array(33)),
    'short chain key': () => toChainKey(new Uint8Array(0)),
    'long signature': () => toSignature(new Uint8Array(65)),
    'device 0': () => toAddress('a', 0),
    'device 128': () => toAddress('a', 128),
    'device 1.5': () => toAddress('a', 1.5),
    'device NaN': () => toAddress('a', Number.NaN),
    'negative id': () => toU32(-1, 'id'),
    'id of 33 bits': () => toU32(2 ** 32, 'id'),
    'half an id': () => toU32(0.5, 'id'),
    'signature without randomness': () =>
      crypto.xeddsaSign(crypto.x25519KeyPair().secret, new Uint8Array(0), new Uint8Array(1)),
  };
  for (const [name, run] of Object.entries(failing)) {
    try {
      run();
      t.fail(`${name} was accepted`);
    } catch (error) {
      t.ok(error instanceof QasidError, `${name}: ${error}`);
    }
  }
  t.equal(toAddress('a', 1).deviceId, 1);
  t.equal(toAddress('a', 127).deviceId, 127);
  t.equal(toU32(2 ** 32 - 1, 'id'), 4294967295);
});

t.test('ATK-J08 a text where bytes belong is refused and nothing is stored', async (t) => {
  for (const provider of [nobleProvider, nodeProvider]) {
    const alice = makeParty(provider);
    const bob = makeParty(provider);
    const bundle = await bob.bundle();
    // JavaScript callers have no compiler.
    const target = { remote: bob.address, plaintext: 'salaam' as unknown as Uint8Array, bundle };
    try {
      await alice.operations.encrypt([target], NOW_MS);
      t.fail(`${provider.name} accepted it`);
    } catch (error) {
      t.equal((error as QasidError).code, 'USAGE_ARGUMENT', provider.name);
    }
    const nothing = (await alice.store.loadSession(bob.address)) === undefined;
    t.ok(nothing, 'nothing was stored');
    const text = 'RAoh' as unknown as Uint8Array;
    await t.rejects(bob.operations.decrypt(alice.address, 2, text, NOW_MS), {
      code: 'USAGE_ARGUMENT',
    });
  }
});
