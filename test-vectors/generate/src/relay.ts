/** Chapter 12. */
import {
  encodeFrame,
  type Item,
  request,
  type RequestOp,
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
  await sealedFrames(cases, account);
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

/** Frames of anonymous sockets and of their owners' tokens, each whole and with one fault. */
async function sealedFrames(cases: Cases, account: ReturnType<typeof toAccountId>): Promise<void> {
  // A source of its own: what comes after these cases keeps its bytes.
  const random = seeded('qasid vectors 1: sealed sends');
  const id = random.randomBytes(16);
  const token = random.randomBytes(32);
  const terms = { id, isInlet: true, mayFetchKeys: true, expiresMinute: 29_000_000, rate: 6 };
  const part = {
    device: 1,
    registrationId: 77,
    clientId: random.randomBytes(16),
    body: random.randomBytes(40),
  };
  const common = { ephemeral: false, urgent: true, ttlSeconds: 60 };
  const ops: Record<string, RequestOp> = {
    anonymous: { kind: 'anonymous', version: 1 },
    'put-token': { kind: 'putToken', ...terms, verifier: random.randomBytes(32) },
    'list-tokens': { kind: 'listTokens' },
    'remove-token': { kind: 'removeToken', id },
    'send-token': { kind: 'send', dest: account, tokenId: id, token, parts: [part], ...common },
    'send-inlet': { kind: 'send', dest: account, token, parts: [part], ...common },
    'take-prekeys-token': { kind: 'takePrekeys', account, devices: [1], tokenId: id, token },
    'devices-inlet': { kind: 'devices', account, token },
    'send-many': {
      kind: 'sendMany',
      message: random.randomBytes(120),
      targets: [
        { dest: account, tokenId: id, token },
        { dest: toAccountId(random.randomBytes(16)), token: random.randomBytes(32) },
      ],
      clientId: random.randomBytes(16),
      ...common,
    },
  };
  const items: Record<string, Item> = Object.fromEntries(
    Object.entries(ops).map(([name, op], index) => [name, request(index + 1, op)]),
  );
  const answer = { kind: 'response', id: 5, retryAfterMs: 0 } as const;
  items.tokens = { ...answer, code: 'CONFIRMED', body: { kind: 'tokens', tokens: [terms] } };
  items['many-failures'] = {
    ...answer,
    code: 'SOME_FAILED',
    body: {
      kind: 'manyFailures',
      failures: [
        {
          dest: account,
          code: 'DEVICES_MISMATCH',
          retryAfterMs: 0,
          missing: [2],
          extra: [3],
          stale: [],
        },
      ],
    },
  };
  for (const [name, item] of Object.entries(items)) {
    await cases.add('recode-frame', name, 'chapter 12 §8', { frame: hex(encodeFrame([item])) });
  }
  const inRequest = (field: number, body: Uint8Array): string =>
    hex(bytesField(1, bytesField(1, concatBytes(intField(1, 1), bytesField(field, body)))));
  const target = (dest: Uint8Array, ...more: Uint8Array[]) =>
    bytesField(2, concatBytes(bytesField(1, dest), ...more));
  const message = bytesField(1, random.randomBytes(40));
  const clientId = bytesField(3, random.randomBytes(16));
  const faults: Record<string, string> = {
    'put-token-id-15-bytes': inRequest(
      9,
      concatBytes(bytesField(1, id.slice(1)), bytesField(2, token)),
    ),
    'put-token-verifier-31-bytes': inRequest(
      9,
      concatBytes(bytesField(1, id), bytesField(2, token.slice(1))),
    ),
    'put-token-no-verifier': inRequest(9, bytesField(1, id)),
    'put-token-expiry-33-bits': inRequest(
      9,
      concatBytes(bytesField(1, id), bytesField(2, token), intField(5, 2 ** 32)),
    ),
    'remove-token-no-id': inRequest(17, new Uint8Array(0)),
    'send-token-33-bytes': inRequest(
      3,
      concatBytes(bytesField(1, account), bytesField(3, concatBytes(token, id.slice(0, 1)))),
    ),
    'send-token-id-17-bytes': inRequest(
      3,
      concatBytes(bytesField(1, account), bytesField(2, concatBytes(id, id.slice(0, 1)))),
    ),
    'send-many-no-recipients': inRequest(19, concatBytes(message, clientId)),
    'send-many-no-token': inRequest(19, concatBytes(message, target(account), clientId)),
    'send-many-no-client-id': inRequest(
      19,
      concatBytes(message, target(account, bytesField(3, token))),
    ),
  };
  for (const [name, frame] of Object.entries(faults)) {
    await cases.refuse('recode-frame', name, 'one fault', 'DECODE_FRAME', { frame });
  }
  await cases.add('token-verifier', 'genuine', 'SHA-256 of label, id, token', {
    id: hex(id),
    token: hex(token),
  });
  await cases.refuse('token-verifier', 'token-31-bytes', 'one length', 'USAGE_LENGTH', {
    id: hex(id),
    token: hex(token.slice(1)),
  });
  await cases.add('view-client-id', 'genuine', 'SHA-256 of label, id, recipient, device', {
    clientId: hex(random.randomBytes(16)),
    dest: hex(account),
    device: 2,
  });
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
