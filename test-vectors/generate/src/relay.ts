/** Chapter 12. */
import {
  encodeFrame,
  request,
  signDeviceList,
  toAccountId,
} from '../../../packages/protocol/dist/envelope/index.js';
import {
  bytesField,
  Cases,
  concatBytes,
  flip,
  intField,
  seeded,
  toHex as hex,
  utf8,
} from './kit.js';

export async function relay(): Promise<Cases> {
  const cases = new Cases('relay');
  const random = seeded('qasid vectors 1: relay');
  const account = toAccountId(random.randomBytes(16));
  const envelope = {
    type: 2,
    senderAccount: hex(account),
    senderDevice: 1,
    message: hex(random.randomBytes(80)),
  };
  const plain = await cases.add('encode-envelope', 'plain', 'no filler', {
    ...envelope,
    sizes: [],
  });
  await cases.add('encode-envelope', 'filled', 'up to 512 bytes', {
    ...envelope,
    sizes: [{ bytes: 64 }, { bytes: 512 }],
  });
  await cases.add('encode-envelope', 'prekey-message', 'type 3', {
    ...envelope,
    type: 3,
    sizes: [],
  });
  const bytes = Uint8Array.from(Buffer.from(plain.envelope as string, 'hex'));
  await cases.add('decode-envelope', 'plain', 'the other way', { envelope: hex(bytes) });
  await cases.add('decode-envelope', 'unknown-field', 'skipped', {
    envelope: hex(concatBytes(bytes, bytesField(99, utf8('x')))),
  });
  for (const [name, code, broken] of [
    ['empty', 'DECODE_FRAME', new Uint8Array(0)],
    ['cut', 'DECODE_PROTOBUF', bytes.slice(0, -1)],
    ['version-2', 'DECODE_FRAME', concatBytes(intField(1, 2), bytes.slice(2))],
    [
      'no-sender',
      'DECODE_FRAME',
      concatBytes(intField(1, 1), intField(2, 2), intField(4, 1), bytesField(5, utf8('x'))),
    ],
    ['type-4', 'DECODE_FRAME', concatBytes(bytes, intField(2, 4))],
    ['device-128', 'DECODE_FRAME', concatBytes(bytes, intField(4, 128))],
    ['device-0', 'DECODE_FRAME', concatBytes(bytes, intField(4, 0))],
    ['account-15-bytes', 'DECODE_FRAME', concatBytes(bytes, bytesField(3, account.slice(1)))],
  ] as const) {
    await cases.refuse('decode-envelope', name, 'one fault', code, { envelope: hex(broken) });
  }
  const frame = encodeFrame([request(7, { kind: 'lookup', username: 'alice' })]);
  await cases.add('recode-frame', 'lookup', 'one request', { frame: hex(frame) });
  await cases.add('recode-frame', 'empty', 'no items', { frame: '' });
  await cases.refuse('recode-frame', 'cut', 'in the middle', 'DECODE_PROTOBUF', {
    frame: hex(frame.slice(0, -1)),
  });
  await cases.refuse('recode-frame', 'garbage', 'no protobuf', 'DECODE_PROTOBUF', {
    frame: 'ffff',
  });
  const identity = random.x25519KeyPair();
  const list = (version: number, devices: number[]) =>
    signDeviceList(random, identity.secret, random.randomBytes(64), {
      account,
      version,
      devices: devices.map((device) => ({
        device,
        registrationId: 100 + device,
        authKey: random.randomBytes(32),
      })),
    });
  const signed = list(3, [1, 2, 5]);
  const check = {
    list: hex(signed.list),
    signature: hex(signed.signature),
    account: hex(account),
    identityKey: hex(identity.public),
    versionMin: 1,
  };
  await cases.add('verify-device-list', 'genuine', 'three devices', check);
  await cases.add('verify-device-list', 'same-version', 'the newest seen so far', {
    ...check,
    versionMin: 3,
  });
  const faults: [string, string, Record<string, string | number>][] = [
    ['rolled-back', 'ATK-G04', { versionMin: 4 }],
    ['flipped', 'ATK-G01', { list: hex(flip(signed.list, -1)) }],
    ['signature', 'ATK-G01', { signature: hex(flip(signed.signature, 3)) }],
    ['another-account', 'ATK-B13', { account: hex(random.randomBytes(16)) }],
    ['another-identity', 'ATK-B14', { identityKey: hex(random.x25519KeyPair().public) }],
  ];
  for (const [name, comment, fault] of faults) {
    await cases.refuse('verify-device-list', name, comment, 'VERIFY_DEVICE_LIST', {
      ...check,
      ...fault,
    });
  }
  await cases.add('decode-device-list', 'genuine', 'form only', { list: hex(signed.list) });
  await cases.refuse('decode-device-list', 'cut', 'in the middle', 'DECODE_PROTOBUF', {
    list: hex(signed.list.slice(0, -1)),
  });
  await cases.refuse('decode-device-list', 'empty', 'nothing', 'DECODE_FRAME', { list: '' });
  await cases.refuse('decode-device-list', 'device-twice', 'ATK-G07', 'DECODE_FRAME', {
    list: hex(
      concatBytes(
        signed.list,
        signed.list.slice(signed.list.length >> 1).slice(0, 0),
        lastDevice(signed.list),
      ),
    ),
  });
  await cases.add('auth-input', 'genuine', 'label, relay, nonce, account, device', {
    relayId: hex(random.randomBytes(32)),
    nonce: hex(random.randomBytes(32)),
    account: hex(account),
    device: 5,
  });
  for (const [name, text] of Object.entries({
    plain: 'alice',
    punctuation: 'a.b-c_9',
    'three-characters': 'abc',
    'two-characters': 'ab',
    'upper-case': 'Alice',
    space: 'al ice',
    'not-ascii': 'alicé',
    'thirty-three': 'a'.repeat(33),
    empty: '',
  })) {
    await cases.add('is-username', name, 'yes or no', { text });
  }
  return cases;
}

/** The last field of a list once more: the same device twice. */
function lastDevice(list: Uint8Array): Uint8Array {
  // Devices have one length here: tag, length, and that many bytes.
  const length = list[list.length - 1 - 38]! === 0 ? 0 : 40;
  for (let size = 36; size < 48; size++) {
    const at = list.length - size - 2;
    if (list[at] === 0x1a && list[at + 1] === size) return list.slice(at);
  }
  throw new Error(`no device found (${length})`);
}
