// ATK-A10: a signature made for one purpose is refused for every other, under the same key.
import t from 'tap';
import { concatBytes, utf8 } from '#src/bytes.js';
import { nobleProvider as crypto } from '#src/crypto/noble.js';
import {
  isAccountDeletion,
  isLinkGrant,
  linkSigningInput,
  signAccountDeletion,
  signLinkGrant,
} from '#src/envelope/account-requests.js';
import { signDeviceList, verifyDeviceList } from '#src/envelope/devices.js';
import {
  authSigningInput,
  generateAccountId,
  registerSigningInput,
  relayIdOf,
} from '#src/envelope/mailbox.js';
import {
  generateIdentityKeyPair,
  signAlternateIdentity,
  verifyAlternateIdentity,
} from '#src/identity.js';
import {
  generateKemPreKey,
  generatePreKey,
  generateSignedPreKey,
  verifyBundle,
  type PreKeyBundle,
} from '#src/prekeys.js';

const identity = generateIdentityKeyPair(crypto);
const other = generateIdentityKeyPair(crypto);
const account = generateAccountId(crypto);
const signed = generateSignedPreKey(crypto, identity, 1, 0);
const kem = generateKemPreKey(crypto, identity, 1, 0);
const list = signDeviceList(crypto, identity.secret, crypto.randomBytes(64), {
  account,
  version: 1,
  devices: [{ device: 1, registrationId: 7, authKey: crypto.ed25519KeyPair().public }],
});

const claim = {
  relayId: relayIdOf(crypto, crypto.ed25519KeyPair().public),
  nonce: crypto.randomBytes(32),
  account,
  device: 1,
};
const grant = signLinkGrant(crypto, identity.secret, crypto.randomBytes(64), list, 1_000);

function bundleWith(change: Partial<PreKeyBundle>): PreKeyBundle {
  return {
    registrationId: 1,
    deviceId: 1,
    identityKey: identity.public,
    preKey: { id: 1, public: generatePreKey(crypto, 1).keyPair.public },
    signedPreKey: { id: 1, public: signed.keyPair.public, signature: signed.signature },
    kemPreKey: { id: 1, public: kem.keyPair.public, signature: kem.signature },
    ...change,
  };
}

function accepts(run: () => unknown): boolean {
  try {
    return run() !== false;
  } catch {
    return false;
  }
}

/** Every use of an identity key: a signature for it, and whether a signature passes for it. */
const uses: Record<
  string,
  { readonly signature: Uint8Array; readonly accepts: (signature: Uint8Array) => boolean }
> = {
  'signed prekey': {
    signature: signed.signature,
    accepts: (signature) =>
      accepts(() =>
        verifyBundle(
          crypto,
          bundleWith({
            signedPreKey: { id: 1, public: signed.keyPair.public, signature: signature as never },
          }),
        ),
      ),
  },
  'KEM prekey': {
    signature: kem.signature,
    accepts: (signature) =>
      accepts(() =>
        verifyBundle(
          crypto,
          bundleWith({
            kemPreKey: { id: 1, public: kem.keyPair.public, signature: signature as never },
          }),
        ),
      ),
  },
  'alternate identity': {
    signature: signAlternateIdentity(crypto, identity, other.public),
    accepts: (signature) =>
      verifyAlternateIdentity(crypto, identity.public, other.public, signature),
  },
  'alternate identity that is the signed prekey': {
    signature: signAlternateIdentity(crypto, identity, signed.keyPair.public),
    accepts: (signature) =>
      verifyAlternateIdentity(crypto, identity.public, signed.keyPair.public, signature),
  },
  'device list': {
    signature: list.signature,
    accepts: (signature) =>
      accepts(() =>
        verifyDeviceList(
          crypto,
          { list: list.list, signature: signature as never },
          { account, identityKey: identity.public, versionMin: 1 },
        ),
      ),
  },
  'link grant': {
    signature: grant.signature,
    accepts: (signature) =>
      isLinkGrant(crypto, identity.public, list, { ...grant, signature: signature as never }),
  },
  'account deletion': {
    signature: signAccountDeletion(crypto, identity.secret, crypto.randomBytes(64), claim),
    accepts: (signature) => isAccountDeletion(crypto, identity.public, claim, signature),
  },
};

t.test('ATK-G05 a link grant is for one list and one time', async (t) => {
  t.ok(isLinkGrant(crypto, identity.public, list, grant));
  t.notOk(isLinkGrant(crypto, identity.public, list, { ...grant, expiresAtSeconds: 1_001 }));
  const bent = Uint8Array.from(list.list);
  bent[bent.length - 1]! ^= 1;
  t.notOk(isLinkGrant(crypto, identity.public, { ...list, list: bent }, grant));
  t.notOk(isLinkGrant(crypto, other.public, list, grant));
  t.throws(() => signLinkGrant(crypto, identity.secret, crypto.randomBytes(64), list, 0.5), {
    code: 'USAGE_RANGE',
  });
});

t.test('ATK-A10 a signature of an identity key counts for one purpose', async (t) => {
  for (const [made, { signature }] of Object.entries(uses)) {
    for (const [asked, use] of Object.entries(uses)) {
      t.equal(use.accepts(signature), made === asked, `made for ${made}, shown as ${asked}`);
    }
  }
});

t.test('ATK-A10 the bytes of a device list are signed as a list only', async (t) => {
  const bare = crypto.xeddsaSign(identity.secret, crypto.randomBytes(64), list.list);
  t.notOk(uses['device list']!.accepts(bare), 'without the label');
  const key = crypto.xeddsaSign(identity.secret, crypto.randomBytes(64), other.public);
  t.notOk(uses['alternate identity']!.accepts(key), 'a key without the label');
});

t.test('ATK-A10 a device proves one thing to one relay with one signature', async (t) => {
  const device = crypto.ed25519KeyPair();
  const relayId = relayIdOf(crypto, crypto.ed25519KeyPair().public);
  const otherRelay = relayIdOf(crypto, crypto.ed25519KeyPair().public);
  const claim = { relayId, nonce: crypto.randomBytes(32), account, device: 1 };
  const inputs: Record<string, Uint8Array> = {
    auth: authSigningInput(claim),
    register: registerSigningInput(crypto, { ...claim, devices: list }),
    link: linkSigningInput(crypto, { ...claim, devices: list }),
    'another relay': authSigningInput({ ...claim, relayId: otherRelay }),
    'another challenge': authSigningInput({ ...claim, nonce: crypto.randomBytes(32) }),
    'another account': authSigningInput({ ...claim, account: generateAccountId(crypto) }),
    'another device': authSigningInput({ ...claim, device: 2 }),
    'another list': registerSigningInput(crypto, {
      ...claim,
      devices: { ...list, list: concatBytes(list.list, utf8('x')) },
    }),
  };
  for (const [made, message] of Object.entries(inputs)) {
    const signature = crypto.ed25519Sign(device.secret, message);
    for (const [asked, input] of Object.entries(inputs)) {
      const valid = crypto.ed25519Verify(device.public, input, signature);
      t.equal(valid, made === asked, `made for ${made}, shown as ${asked}`);
    }
  }
});
