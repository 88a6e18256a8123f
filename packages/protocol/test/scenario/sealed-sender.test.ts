/** Sealed sender between people, and what a liar gets. */
import t from 'tap';
import { nobleProvider as crypto } from '#src/crypto/noble.js';
import { splitSealedForMany } from '#src/envelope/multi-recipient.js';
import { QasidError } from '#src/errors.js';
import { ENVELOPE_BUCKETS } from '#src/limits.js';
import {
  encodeSealedContent,
  issueSenderCertificate,
  issueServerCertificate,
  openSealed,
  padSealedContent,
  sealForMany,
  sealV1,
  sealV2,
  type SenderCertificate,
} from '#src/sealed-sender/index.js';
import { utf8 } from '#src/bytes.js';
import type { KeyPair } from '#src/types.js';

const NOW = 1_700_000_000_000;
const root = crypto.x25519KeyPair();
const serverKey = crypto.x25519KeyPair();
const server = issueServerCertificate(crypto, { id: 5, key: serverKey.public }, root.secret);
const policy = { trustRoots: [root.public] };
const alice = crypto.x25519KeyPair();
const bob = crypto.x25519KeyPair();
const ALICE = '9d0652a3-dcc3-4d11-975f-74d61598733f';
const BOB = '796abedb-ca4e-4f18-8803-1fde5b921f9f';
const bobSelf = { identity: bob, address: { name: BOB, deviceId: 1 } };

function certificate(identity: KeyPair, device = 1, expiresMs = NOW + 1000): SenderCertificate {
  return issueSenderCertificate(
    crypto,
    { name: ALICE, device, identityKey: identity.public, expiresMs },
    server,
    serverKey.secret,
  );
}

function content(senderCertificate: SenderCertificate): Uint8Array {
  return encodeSealedContent({
    type: 2,
    senderCertificate,
    content: utf8('inner'),
    contentHint: 1,
    groupId: undefined,
  });
}

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof QasidError ? error.code : `not typed: ${error}`;
  }
  return 'no error';
}

const seals: Record<string, (identity: KeyPair, bytes: Uint8Array) => Uint8Array> = {
  v1: (identity, bytes) => sealV1(crypto, identity, bob.public, bytes, crypto.x25519KeyPair()),
  v2: (identity, bytes) => sealV2(crypto, identity, bob.public, bytes, crypto.randomBytes(32)),
};

for (const [version, seal] of Object.entries(seals)) {
  t.test(`${version}: opens, names the sender and carries the content`, async (t) => {
    const opened = openSealed(
      crypto,
      bobSelf,
      seal(alice, content(certificate(alice))),
      policy,
      NOW,
    );
    t.same(opened.sender, { name: ALICE, deviceId: 1 });
    t.same(opened.identityKey, alice.public);
    t.equal(new TextDecoder().decode(opened.content), 'inner');
    t.equal(opened.contentHint, 1);
  });

  t.test(
    `ATK-D01 ${version}: expired, foreign and rootless certificates are refused`,
    async (t) => {
      const sealed = seal(alice, content(certificate(alice)));
      t.equal(
        code(() => openSealed(crypto, bobSelf, sealed, policy, NOW + 1000)),
        'no error',
      );
      t.equal(
        code(() => openSealed(crypto, bobSelf, sealed, policy, NOW + 1001)),
        'VERIFY_CERTIFICATE',
      );
      t.equal(
        code(() => openSealed(crypto, bobSelf, sealed, { trustRoots: [] }, NOW)),
        'VERIFY_CERTIFICATE',
      );
      t.equal(
        code(() => openSealed(crypto, bobSelf, sealed, { trustRoots: [serverKey.public] }, NOW)),
        'VERIFY_CERTIFICATE',
      );
      t.equal(
        code(() =>
          openSealed(crypto, bobSelf, sealed, { ...policy, revokedServerCertificateIds: [5] }, NOW),
        ),
        'VERIFY_CERTIFICATE',
      );
    },
  );

  t.test(`ATK-D02 ${version}: somebody else’s certificate does not help Mallory`, async (t) => {
    const mallory = crypto.x25519KeyPair();
    const sealed = seal(mallory, content(certificate(alice)));
    t.equal(
      code(() => openSealed(crypto, bobSelf, sealed, policy, NOW)),
      'VERIFY_SEALED_SENDER',
    );
  });

  t.test(`ATK-D03 ${version}: our own device's message is not ours to open`, async (t) => {
    const sealed = seal(alice, content(certificate(alice)));
    const self = { identity: bob, address: { name: ALICE, deviceId: 1 } };
    t.equal(
      code(() => openSealed(crypto, self, sealed, policy, NOW)),
      'STATE_SELF_SEND',
    );
    const other = { identity: bob, address: { name: ALICE, deviceId: 2 } };
    t.equal(
      code(() => openSealed(crypto, other, sealed, policy, NOW)),
      'no error',
    );
  });

  t.test(`${version}: every flipped bit is refused with a typed error`, async (t) => {
    const sealed = seal(alice, content(certificate(alice)));
    for (let i = 1; i < sealed.length; i++) {
      const broken = sealed.slice();
      broken[i]! ^= 1 << (i % 8);
      const got = code(() => openSealed(crypto, bobSelf, broken, policy, NOW));
      if (!/^(VERIFY|DECODE)_/.test(got)) t.fail(`byte ${i}: ${got}`);
    }
    t.pass(`${sealed.length - 1} positions`);
  });
}

t.test('ATK-D14 each of 200 recipients opens its own view and sees nobody else', async (t) => {
  const m = crypto.randomBytes(32);
  const people = Array.from({ length: 200 }, (_, i) => ({
    identity: crypto.x25519KeyPair(),
    serviceId: Uint8Array.from([0, ...crypto.randomBytes(16)]),
    devices: [
      { deviceId: 1, registrationId: i },
      ...(i % 3 === 0 ? [{ deviceId: 2, registrationId: 16_383 }] : []),
    ],
  }));
  const excluded = Uint8Array.from([1, ...crypto.randomBytes(16)]);
  const sent = sealForMany(
    crypto,
    alice,
    people.map((p) => ({ ...p, identityKey: p.identity.public })),
    [excluded],
    content(certificate(alice)),
    m,
  );
  const split = splitSealedForMany(sent);
  t.equal(split.recipients.length, 200);
  t.same(split.excluded, [excluded]);
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
  for (const [i, view] of split.recipients.entries()) {
    const person = people[i]!;
    t.same(view.devices, person.devices);
    const text = hex(view.message);
    if (people.some((p) => text.includes(hex(p.serviceId.subarray(1)))))
      t.fail(`view ${i} names somebody`);
    if (i % 20 !== 0) continue; // opening costs three agreements
    const self = { identity: person.identity, address: { name: BOB, deviceId: 1 } };
    t.same(openSealed(crypto, self, view.message, policy, NOW).sender.name, ALICE);
    const wrong = { identity: people[i + 1]!.identity, address: { name: BOB, deviceId: 1 } };
    t.equal(
      code(() => openSealed(crypto, wrong, view.message, policy, NOW)),
      'VERIFY_SEALED_SENDER',
    );
  }
});

t.test(
  'ATK-D06 ATK-D14 padded content: every view has one of the sizes relays take, and opens',
  async (t) => {
    const sender = certificate(alice);
    const carol = crypto.x25519KeyPair();
    const people = [bob, carol];
    const serviceIds = [1, 2].map((fill) => new Uint8Array(17).fill(fill, 1));
    for (const length of [0, 1, 90, 200, 300, 700, 1_000, 40_000]) {
      const inner = new Uint8Array(length).fill(9);
      const encoded = encodeSealedContent({
        type: 7,
        senderCertificate: sender,
        content: inner,
        contentHint: 0,
        groupId: undefined,
      });
      const padded = padSealedContent(encoded);
      const one = sealV2(crypto, alice, bob.public, padded, crypto.randomBytes(32));
      t.ok(ENVELOPE_BUCKETS.includes(one.length), `${length} gives ${one.length}`);
      const recipients = people.map((identity, at) => ({
        serviceId: serviceIds[at] as Uint8Array,
        identityKey: identity.public,
        devices: [{ deviceId: 1, registrationId: 5 }],
      }));
      const sent = sealForMany(crypto, alice, recipients, [], padded, crypto.randomBytes(32));
      const { recipients: views } = splitSealedForMany(sent);
      for (const [at, { message }] of views.entries()) {
        t.equal(message.length, one.length);
        const self = { identity: people[at] as KeyPair, address: { name: BOB, deviceId: 1 } };
        t.strictSame(openSealed(crypto, self, message, policy, NOW).content, inner);
      }
    }
    const [full, short] = [512 - 97, 512 - 97 - 3];
    t.equal(padSealedContent(new Uint8Array(full)).length, full, 'what fits needs no filler');
    t.equal(padSealedContent(new Uint8Array(short)).length, 1_024 - 97, 'a gap below the filler');
    t.throws(() => padSealedContent(new Uint8Array(65_536)), { code: 'LIMIT_ENVELOPE_SIZE' });
  },
);
