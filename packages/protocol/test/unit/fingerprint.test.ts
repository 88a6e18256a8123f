// ATK-F02: a safety number is long, bound to both accounts and both keys, and dies with the key.
import t from 'tap';
import { nobleProvider as crypto } from '#src/crypto/noble.js';
import { generateAccountId } from '#src/envelope/mailbox.js';
import { QasidError } from '#src/errors.js';
import {
  compareScannable,
  createFingerprint,
  FINGERPRINT_ITERATIONS,
  FINGERPRINT_VERSION,
  type FingerprintParty,
} from '#src/fingerprint.js';
import { generateIdentityKeyPair } from '#src/identity.js';

function party(): FingerprintParty {
  return {
    identifier: generateAccountId(crypto),
    identityKey: generateIdentityKeyPair(crypto).public,
  };
}

const alice = party();
const bob = party();

/** Fewer rounds where the rounds are not what is tested. */
const FEW = 2;

t.test('ATK-F02 sixty digits of 5200 rounds, the same on both sides', async (t) => {
  t.equal(FINGERPRINT_ITERATIONS, 5200);
  const [ours, theirs] = [
    createFingerprint(crypto, alice, bob),
    createFingerprint(crypto, bob, alice),
  ];
  t.match(ours.digits, /^\d{60}$/);
  t.equal(ours.digits, theirs.digits);
  t.ok(compareScannable(ours.scannable, theirs.scannable));
  t.ok(compareScannable(theirs.scannable, ours.scannable));
  const fewer = createFingerprint(crypto, alice, bob, FINGERPRINT_VERSION, 5199);
  t.not(fewer.digits, ours.digits, 'one round less is another number');
});

t.test('ATK-F02 another key or another account on either side is another number', async (t) => {
  const honest = createFingerprint(crypto, alice, bob, FINGERPRINT_VERSION, FEW);
  const others: Record<string, readonly [FingerprintParty, FingerprintParty]> = {
    'our key': [{ ...alice, identityKey: party().identityKey }, bob],
    'their key': [alice, { ...bob, identityKey: party().identityKey }],
    'our account': [{ ...alice, identifier: party().identifier }, bob],
    'their account': [alice, { ...bob, identifier: party().identifier }],
    'accounts exchanged': [
      { ...alice, identifier: bob.identifier },
      { ...bob, identifier: alice.identifier },
    ],
  };
  for (const [name, [one, other]] of Object.entries(others)) {
    const changed = createFingerprint(crypto, one, other, FINGERPRINT_VERSION, FEW);
    t.not(changed.digits, honest.digits, name);
    const scanned = createFingerprint(crypto, other, one, FINGERPRINT_VERSION, FEW);
    t.notOk(compareScannable(honest.scannable, scanned.scannable), `${name}, scanned`);
  }
});

t.test(
  'ATK-F02 a code that is one’s own, shortened, or of another version does not compare',
  async (t) => {
    const ours = createFingerprint(crypto, alice, bob, FINGERPRINT_VERSION, FEW);
    const theirs = createFingerprint(crypto, bob, alice, FINGERPRINT_VERSION, FEW);
    t.notOk(compareScannable(ours.scannable, ours.scannable), 'one’s own code held to the camera');
    const other = createFingerprint(crypto, bob, alice, FINGERPRINT_VERSION + 1, FEW);
    t.throws(() => compareScannable(ours.scannable, other.scannable), {
      code: 'DECODE_FINGERPRINT_VERSION',
    });
    for (let length = 0; length < theirs.scannable.length; length++) {
      try {
        const equal = compareScannable(ours.scannable, theirs.scannable.subarray(0, length));
        if (equal) t.fail(`the first ${length} bytes were enough`);
      } catch (error) {
        if (!(error instanceof QasidError)) throw error;
      }
    }
    for (let at = 0; at < theirs.scannable.length; at++) {
      const flipped = theirs.scannable.slice();
      flipped[at] = (flipped[at] as number) ^ 1;
      try {
        if (compareScannable(ours.scannable, flipped)) t.fail(`byte ${at} does not count`);
      } catch (error) {
        if (!(error instanceof QasidError)) throw error;
      }
    }
  },
);
