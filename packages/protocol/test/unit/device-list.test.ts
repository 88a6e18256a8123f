// Account ids, the signed device list, and what devices sign for a relay.
import t from 'tap';
import { nobleProvider as crypto } from '#src/crypto/noble.js';
import { LABEL_RELAY_AUTH, LABEL_RELAY_REGISTER } from '#src/labels.js';
import { toHex } from '#src/bytes.js';
import {
  accountText,
  authSigningInput,
  type DeviceList,
  decodeDeviceList,
  deviceListHash,
  encodeDeviceList,
  followsDeviceList,
  generateAccountId,
  isUsername,
  parseAccountText,
  registerSigningInput,
  relayIdOf,
  signDeviceList,
  toAccountId,
  toRelayId,
  verifyDeviceList,
} from '@qasid/protocol/envelope';
import { ProtoWriter } from '#src/wire/protobuf.js';

const identity = crypto.x25519KeyPair();
const account = generateAccountId(crypto);
const entry = (device: number) => ({
  device,
  registrationId: device + 100,
  authKey: crypto.ed25519KeyPair().public,
});
const list: DeviceList = { account, version: 3, devices: [entry(1), entry(2), entry(127)] };
const random = (): Uint8Array => crypto.randomBytes(64);
const signed = signDeviceList(crypto, identity.secret, random(), list);
const expected = { account, identityKey: identity.public, versionMin: 1 };

t.test('ATK-J09 an account has one text', async (t) => {
  const id = toAccountId(Uint8Array.from({ length: 16 }, (_, i) => i * 17));
  t.equal(accountText(id), '00112233-4455-6677-8899-aabbccddeeff');
  t.strictSame(parseAccountText('00112233-4455-6677-8899-aabbccddeeff'), id);
  for (const text of [
    '00112233-4455-6677-8899-AABBCCDDEEFF',
    '00112233445566778899aabbccddeeff',
    '{00112233-4455-6677-8899-aabbccddeeff}',
    ' 00112233-4455-6677-8899-aabbccddeeff',
    '00112233-4455-6677-8899-aabbccddeefg',
    '',
  ]) {
    t.throws(() => parseAccountText(text), { code: 'DECODE_SERVICE_ID' }, text);
  }
  t.throws(() => toAccountId(new Uint8Array(15)), { code: 'USAGE_LENGTH' });
  t.throws(() => toRelayId(new Uint8Array(31)), { code: 'USAGE_LENGTH' });
});

t.test('user names', async (t) => {
  for (const name of ['bob', 'a-b_c.9', 'x'.repeat(32)]) t.equal(isUsername(name), true, name);
  for (const name of ['ab', 'Bob', 'x'.repeat(33), 'bo b', 'bób', '']) {
    t.equal(isUsername(name), false, name);
  }
});

t.test('a list that its account signed is the list', async (t) => {
  t.strictSame(verifyDeviceList(crypto, signed, expected), list);
  t.strictSame(decodeDeviceList(encodeDeviceList(list)), list);
});

t.test('ATK-G04 each list names the one before it', async (t) => {
  const next = {
    account,
    version: 4,
    previous: deviceListHash(crypto, signed),
    devices: [entry(1)],
  };
  const known = { version: 3, signed };
  t.strictSame(decodeDeviceList(encodeDeviceList(next)), next);
  t.ok(followsDeviceList(crypto, known, next));
  t.notOk(followsDeviceList(crypto, known, { ...next, version: 5 }), 'a gap');
  t.notOk(followsDeviceList(crypto, known, { version: 4 }), 'names none');
  t.notOk(followsDeviceList(crypto, known, { ...next, previous: crypto.randomBytes(32) }));
  t.throws(() => encodeDeviceList({ ...next, version: 1 }), { code: 'USAGE_ARGUMENT' });
  t.throws(() => encodeDeviceList({ ...next, previous: new Uint8Array(31) }), {
    code: 'USAGE_ARGUMENT',
  });
});

t.test('ATK-G01 ATK-B13 a list nobody signed, or somebody else, is refused', async (t) => {
  const refuse = (name: string, run: () => unknown): void => {
    t.throws(run, { code: 'VERIFY_DEVICE_LIST' }, name);
  };
  const extended = encodeDeviceList({ ...list, devices: [...list.devices.slice(0, 2), entry(9)] });
  refuse('a device swapped in', () =>
    verifyDeviceList(crypto, { ...signed, list: extended }, expected),
  );
  for (let at = 0; at < signed.list.length; at += 7) {
    const bent = Uint8Array.from(signed.list);
    bent[at] = (bent[at] ?? 0) ^ 1;
    refuse(`byte ${at} bent`, () => verifyDeviceList(crypto, { ...signed, list: bent }, expected));
  }
  const mallory = crypto.x25519KeyPair();
  const forged = signDeviceList(crypto, mallory.secret, random(), list);
  refuse('another identity', () => verifyDeviceList(crypto, forged, expected));
  refuse('another account with the same key', () =>
    verifyDeviceList(crypto, signed, { ...expected, account: generateAccountId(crypto) }),
  );
  // A signature over something else of the same account: a prekey, say.
  const prekey = crypto.xeddsaSign(identity.secret, random(), signed.list);
  refuse('no label', () => verifyDeviceList(crypto, { ...signed, signature: prekey }, expected));
});

t.test('ATK-G04 an older list is refused once a newer one is known', async (t) => {
  t.ok(verifyDeviceList(crypto, signed, { ...expected, versionMin: 3 }));
  t.throws(() => verifyDeviceList(crypto, signed, { ...expected, versionMin: 4 }), {
    code: 'VERIFY_DEVICE_LIST',
  });
});

t.test('ATK-G07 device ids are 1 to 127, ascending, none twice', async (t) => {
  const raw = (version: number, ...ids: readonly number[]): Uint8Array => {
    const writer = new ProtoWriter().bytes(1, account).uint32(2, version);
    for (const id of ids) {
      writer.bytes(
        3,
        new ProtoWriter().uint32(1, id).uint32(2, 7).bytes(3, new Uint8Array(32)).finish(),
      );
    }
    return writer.finish();
  };
  t.equal(decodeDeviceList(raw(1, 1, 5, 127)).devices.length, 3);
  const bad: readonly (readonly number[])[] = [[1, 0], [1, 128], [1, 2, 2], [1, 3, 2], [1], [0, 1]];
  for (const [version = 0, ...ids] of bad) {
    t.throws(
      () => decodeDeviceList(raw(version, ...ids)),
      { code: /^DECODE_/ },
      `${version}: ${ids}`,
    );
  }
  t.throws(() => encodeDeviceList({ ...list, devices: [entry(2), entry(1)] }), {
    code: 'USAGE_ARGUMENT',
  });
  t.throws(() => encodeDeviceList({ ...list, version: 0 }), { code: 'USAGE_ARGUMENT' });
});

t.test('ATK-I06 what a device signs names the relay, the nonce and the device', async (t) => {
  const relayId = relayIdOf(crypto, new Uint8Array(32).fill(9));
  const nonce = new Uint8Array(32).fill(7);
  const claim = { relayId, nonce, account, device: 2 };
  const auth = authSigningInput(claim);
  t.equal(auth.length, LABEL_RELAY_AUTH.length + 32 + 32 + 16 + 1);
  const variants = [
    claim,
    { ...claim, relayId: relayIdOf(crypto, new Uint8Array(32).fill(8)) },
    { ...claim, nonce: new Uint8Array(32).fill(6) },
    { ...claim, account: generateAccountId(crypto) },
    { ...claim, device: 3 },
  ];
  t.equal(new Set(variants.map((variant) => toHex(authSigningInput(variant)))).size, 5);
  const register = registerSigningInput(crypto, { ...claim, devices: signed });
  t.equal(register.length, LABEL_RELAY_REGISTER.length + 32 + 32 + 16 + 1 + 32);
  const other = { ...signed, signature: Uint8Array.from(signed.signature).fill(0, 0, 1) };
  t.not(toHex(register), toHex(registerSigningInput(crypto, { ...claim, devices: other })));
  t.throws(() => authSigningInput({ ...claim, device: 0 }), { code: 'USAGE_RANGE' });
  t.throws(() => authSigningInput({ ...claim, nonce: new Uint8Array(31) }), {
    code: 'USAGE_LENGTH',
  });
});
