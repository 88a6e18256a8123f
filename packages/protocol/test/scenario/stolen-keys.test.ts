// ATK-B10 as a model: every set of stolen keys, every direction, against the real handshake; what comes out is
// compared with the table in spec/90-threat-model.md.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import {
  decodeKemPreKeyRecord,
  decodePreKeyRecord,
  decodeSignedPreKeyRecord,
  defaultCrypto as crypto,
  generateKemPreKey,
  generatePreKey,
  generateSignedPreKey,
  utf8,
  type CryptoProvider,
  type EncryptedMessage,
  type KemKeyPair,
  type KeyPair,
  type PreKeyBundle,
} from '@qasid/protocol';
import { toHex } from '#src/bytes.js';
import {
  decryptPreKeyMessage,
  EMPTY_RECORD,
  encryptMessage,
  initiateSession,
} from '#src/session.js';
import type { PrivateKey, PublicKey } from '#src/types.js';
import { decodePreKeySignalMessage } from '#src/wire/messages.js';
import { makeParty, NOW_MS, type Party } from '../support/party.js';

/** Secrets of one device, as they take part in one handshake. */
const KINDS = ['identity', 'signed prekey', 'one-time prekey', 'KEM prekey'] as const;
type Kind = (typeof KINDS)[number];
type Stolen = ReadonlySet<string>;

interface Keys {
  readonly party: Party;
  readonly bundle: PreKeyBundle;
  readonly identity: KeyPair;
  readonly signed: KeyPair;
  readonly preKey: KeyPair;
  readonly kem: KemKeyPair;
}

async function keysOf(party: Party): Promise<Keys> {
  const bundle = await party.bundle();
  const { store, identity } = party;
  const [signed, preKey, kem] = [
    await store.loadSignedPreKey(bundle.signedPreKey.id),
    await store.loadPreKey(bundle.preKey?.id ?? 0),
    await store.loadKemPreKey(bundle.kemPreKey.id),
  ];
  if (!signed || !preKey || !kem) throw new Error('a prekey is missing');
  return {
    party,
    bundle,
    identity,
    signed: decodeSignedPreKeyRecord(signed).keyPair,
    preKey: decodePreKeyRecord(preKey).keyPair,
    kem: decodeKemPreKeyRecord(kem.record).keyPair,
  };
}

/** Stolen, or a guess under the true public key. */
const pair = (real: KeyPair, stolen: boolean): KeyPair =>
  stolen ? real : { public: real.public, secret: crypto.x25519KeyPair().secret };

/**
 * What an attacker computes with: an agreement of two public keys comes out right when one of the secrets is
 * known, whichever; else it is a guess.
 */
function attackerCrypto(ownPairs: readonly KeyPair[], known: readonly KeyPair[]): CryptoProvider {
  const publicOf = new Map<PrivateKey, PublicKey>(ownPairs.map((own) => [own.secret, own.public]));
  const secretOf = new Map(known.map((own) => [toHex(own.public), own.secret]));
  return {
    ...crypto,
    x25519(secret, theirs) {
      const ours = publicOf.get(secret);
      const other = secretOf.get(toHex(theirs));
      return ours !== undefined && other !== undefined
        ? crypto.x25519(other, ours)
        : crypto.x25519(secret, theirs);
    },
  };
}

/** The attacker writes first, as Alice to Bob. Whether Bob shows it as hers. */
async function writesFirst(alice: Keys, bob: Keys, stolen: Stolen): Promise<boolean> {
  const identity = pair(alice.identity, stolen.has('A identity'));
  const known = [
    ...(stolen.has('B identity') ? [bob.identity] : []),
    ...(stolen.has('B signed prekey') ? [bob.signed] : []),
    ...(stolen.has('B one-time prekey') ? [bob.preKey] : []),
  ];
  const attacker = attackerCrypto([identity], known);
  const ends = { local: alice.party.address, remote: bob.party.address };
  const started = initiateSession(attacker, EMPTY_RECORD, {
    ...ends,
    identity,
    localRegistrationId: alice.party.registrationId,
    bundle: bob.bundle,
    nowMs: NOW_MS,
  });
  const input = { ...ends, plaintext: utf8('it is I'), nowMs: NOW_MS };
  const { type, bytes } = encryptMessage(crypto, started.state, input).output;
  try {
    await bob.party.operations.decrypt(alice.party.address, type, bytes, NOW_MS);
    return true;
  } catch (error) {
    t.equal((error as { code?: unknown }).code, 'VERIFY_DECRYPTION');
    return false;
  }
}

/** Bob writes first, to Alice, over a relay that is the attacker's. Whether the attacker reads it, and so can answer. */
async function answers(alice: Keys, bob: Party, stolen: Stolen): Promise<boolean> {
  const has = (kind: Kind): boolean => stolen.has(`A ${kind}`);
  const identity = pair(alice.identity, has('identity'));
  let { signed, preKey, kem, bundle } = alice;
  if (has('identity')) {
    // Whoever can sign prekeys serves prekeys of their own.
    const made = generateSignedPreKey(crypto, identity, 77, NOW_MS);
    const madeKem = generateKemPreKey(crypto, identity, 77, NOW_MS);
    const oneTime = generatePreKey(crypto, 77);
    [signed, preKey, kem] = [made.keyPair, oneTime.keyPair, madeKem.keyPair];
    bundle = {
      ...bundle,
      signedPreKey: { id: 77, public: signed.public, signature: made.signature },
      preKey: { id: 77, public: preKey.public },
      kemPreKey: { id: 77, public: kem.public, signature: madeKem.signature },
    };
  } else {
    signed = pair(signed, has('signed prekey'));
    preKey = pair(preKey, has('one-time prekey'));
    if (!has('KEM prekey')) kem = { public: kem.public, secret: crypto.kyber1024KeyPair().secret };
  }
  const target = { remote: alice.party.address, plaintext: utf8('for Alice'), bundle };
  const [message] = (await bob.operations.encrypt([target], NOW_MS)) as [EncryptedMessage];
  const attacker = attackerCrypto(
    [identity, signed, preKey],
    stolen.has('B identity') ? [bob.identity] : [],
  );
  try {
    decryptPreKeyMessage(attacker, EMPTY_RECORD, {
      local: alice.party.address,
      remote: bob.address,
      message: decodePreKeySignalMessage(message.bytes),
      accept: {
        identity,
        localRegistrationId: alice.party.registrationId,
        signedPreKey: signed,
        preKey,
        kemPreKey: kem,
      },
    });
    return true;
  } catch (error) {
    t.equal((error as { code?: unknown }).code, 'VERIFY_DECRYPTION');
    return false;
  }
}

function* subsets(names: readonly string[]): Generator<Stolen> {
  for (let mask = 0; mask < 1 << names.length; mask++) {
    yield new Set(names.filter((_, i) => (mask >> i) & 1));
  }
}

/** Those of `sets` that contain no other of them, as texts in order. */
function smallest(sets: readonly Stolen[]): string[] {
  const within = (one: Stolen, other: Stolen) => [...one].every((name) => other.has(name));
  return sets
    .filter((set) => !sets.some((other) => other !== set && within(other, set)))
    .map((set) => [...set].join(' + '))
    .sort();
}

/** Rows `| direction | keys |` of the table below the marker in spec/90. */
function claimed(direction: string): string[] {
  const path = fileURLToPath(new URL('../../../../spec/90-threat-model.md', import.meta.url));
  const section = readFileSync(path, 'utf8').split('### K: ')[1]?.split('\n### ')[0] ?? '';
  const rows = section.split('\n').map((line) => line.split('|').map((cell) => cell.trim()));
  return rows.filter((cells) => cells[1] === direction).map((cells) => cells[2] ?? '');
}

t.test(
  'ATK-B10 stolen keys let their thief pose as whom the threat model says, and as nobody else',
  async (t) => {
    const [alice, bob] = [await keysOf(makeParty(crypto)), makeParty(crypto)];
    const first: Stolen[] = [];
    const ofBob = KINDS.map((kind) => `B ${kind}`);
    for (const stolen of subsets(['A identity', ...ofBob])) {
      // Bob is new each time: failed handshakes of one account are limited, and a one-time prekey serves once.
      if (await writesFirst(alice, await keysOf(makeParty(crypto)), stolen)) first.push(stolen);
    }
    t.strictSame(smallest(first), claimed('the thief, as A to B'), 'who writes first');
    t.equal(first.length, 24, 'and every larger set');

    const second: Stolen[] = [];
    for (const stolen of subsets([...KINDS.map((kind) => `A ${kind}`), 'B identity'])) {
      if (await answers(alice, makeParty(crypto), stolen)) second.push(stolen);
    }
    t.strictSame(smallest(second), claimed('B, and the thief answers as A'), 'who answers');
    t.equal(second.length, 16);
    t.equal(await answers(alice, bob, new Set()), false);
  },
);

t.test('ATK-B10 a signed prekey that was dropped opens no door any more', async (t) => {
  const [alice, bob] = [await keysOf(makeParty(crypto)), await keysOf(makeParty(crypto))];
  await bob.party.store.commit({ removedSignedPreKeys: [bob.bundle.signedPreKey.id] });
  const stolen = pair(alice.identity, false);
  const attacker = attackerCrypto([stolen], [bob.signed]);
  const ends = { local: alice.party.address, remote: bob.party.address };
  const started = initiateSession(attacker, EMPTY_RECORD, {
    ...ends,
    identity: stolen,
    localRegistrationId: 1,
    bundle: bob.bundle,
    nowMs: NOW_MS,
  });
  const input = { ...ends, plaintext: utf8('it is I'), nowMs: NOW_MS };
  const { type, bytes } = encryptMessage(crypto, started.state, input).output;
  await t.rejects(bob.party.operations.decrypt(alice.party.address, type, bytes, NOW_MS), {
    code: 'STATE_NO_PREKEY',
  });
});
