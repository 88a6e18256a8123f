/** Small formats: what an attacker in the middle of them gets. */
import t from 'tap';
import { toHex, utf8 } from '#src/bytes.js';
import { nobleProvider as crypto } from '#src/crypto/noble.js';
import { QasidError } from '#src/errors.js';
import { hpkeOpen, hpkeSeal } from '#src/hpke.js';
import { openProvisioning, sealProvisioning } from '#src/provisioning.js';
import { describeFailure, encodeDecryptionError, encodePlaintextContent } from '#src/repair.js';
import { openUsernameLink, sealUsernameLink } from '#src/usernames.js';
import { encodeSignalMessage, encodeSignalMessageBody } from '#src/wire/messages.js';

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof QasidError ? error.code : `not typed: ${error}`;
  }
  return 'no error';
}

/** Every byte flipped in turn: each must be refused, with a typed error. */
function flipEach(bytes: Uint8Array, open: (broken: Uint8Array) => unknown): string[] {
  const opened: string[] = [];
  for (let i = 0; i < bytes.length; i++) {
    const broken = bytes.slice();
    broken[i]! ^= 1;
    const got = code(() => open(broken));
    if (!/^(VERIFY|DECODE)_/.test(got)) opened.push(`byte ${i}: ${got}`);
  }
  return opened;
}

t.test(
  'ATK-G05 a provisioning message that was altered or opened by another is refused',
  async (t) => {
    const device = crypto.x25519KeyPair();
    const sealed = sealProvisioning(crypto, device.public, utf8('secret'), crypto.x25519KeyPair());
    t.equal(new TextDecoder().decode(openProvisioning(crypto, device, sealed)), 'secret');
    t.strictSame(
      flipEach(sealed, (broken) => openProvisioning(crypto, device, broken)),
      [],
    );
    t.equal(
      code(() => openProvisioning(crypto, crypto.x25519KeyPair(), sealed)),
      'VERIFY_PROVISIONING',
    );
    for (let length = 0; length < sealed.length; length++) {
      const got = code(() => openProvisioning(crypto, device, sealed.slice(0, length)));
      if (!/^(VERIFY|DECODE)_/.test(got)) t.fail(`${length} bytes: ${got}`);
    }
  },
);

t.test('HPKE and username links: no flipped byte opens', async (t) => {
  const owner = crypto.x25519KeyPair();
  const [info, data] = [utf8('info'), utf8('data')];
  const sealed = hpkeSeal(crypto, owner.public, utf8('x'), info, data, crypto.x25519KeyPair());
  t.strictSame(
    flipEach(sealed, (broken) => hpkeOpen(crypto, owner, broken, info, data)),
    [],
  );
  const entropy = crypto.randomBytes(32);
  const link = sealUsernameLink(crypto, 'alice.01', entropy);
  t.equal(link.length, 112);
  t.strictSame(
    flipEach(link, (broken) => openUsernameLink(crypto, broken, entropy)),
    [],
  );
});

t.test('ATK-C14 a decryption error says which message failed, and never why', async (t) => {
  const ratchetKey = crypto.x25519KeyPair().public;
  const message = (ciphertext: Uint8Array, mac: Uint8Array): Uint8Array => {
    const fields = {
      version: 4,
      ratchetKey,
      counter: 3,
      previousCounter: 0,
      ciphertext: ciphertext.slice(),
      spqr: new Uint8Array(0),
      addresses: undefined,
    };
    return encodeSignalMessage({
      authenticated: encodeSignalMessageBody(fields),
      mac: mac.slice(),
    });
  };
  // The same message failing for different causes: MAC, padding, length, an unknown session.
  const causes = [
    message(new Uint8Array(16), new Uint8Array(8)),
    message(new Uint8Array(16), crypto.randomBytes(8)),
    message(new Uint8Array(15), new Uint8Array(8)),
    message(new Uint8Array(0), new Uint8Array(8)),
  ];
  const answers = causes.map((bytes) =>
    toHex(encodePlaintextContent(encodeDecryptionError(describeFailure(bytes, 2, 1_700, 1)))),
  );
  t.equal(new Set(answers).size, 1, 'the same bytes for every cause');
  const group = encodeDecryptionError(describeFailure(new Uint8Array(0), 7, 1_700, 1));
  t.equal(toHex(group), '10a40d1801', 'a group message: timestamp and device, nothing else');
});
