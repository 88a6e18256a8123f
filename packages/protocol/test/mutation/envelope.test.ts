/** Seeded mutation of everything a relay or a client decodes from the network, spec 12. */
import t from 'tap';
import { nodeProvider as crypto } from '#src/crypto/node.js';
import {
  type AccountId,
  decodeBundle,
  decodeDeviceList,
  decodeEnvelope,
  decodeFrame,
  decodePrekeyUpload,
  decodeSignedDeviceList,
  encodeBundle,
  encodeDeviceList,
  encodeEnvelope,
  encodeFrame,
  encodePrekeyUpload,
  encodeSignedDeviceList,
  event,
  type Item,
  parseAccountText,
  accountText,
  type PrekeyUpload,
  request,
  type ResponseBody,
  signDeviceList,
  toAccountId,
  toRelayId,
  verifyDeviceList,
} from '#src/envelope/index.js';
import { toHex, utf8 } from '#src/bytes.js';
import { Random } from '../support/random.js';
import { attackTest } from './attack.js';

const random = new Random(12);
const account: AccountId = toAccountId(random.bytes(16));
const curveKey = (): Uint8Array<ArrayBuffer> => {
  const key = random.bytes(33);
  key[0] = 5;
  return key;
};
const kemKey = (): Uint8Array<ArrayBuffer> => {
  const key = random.bytes(1569);
  key[0] = 8;
  return key;
};
const signed = (id: number) => ({ id, public: curveKey(), signature: random.bytes(64) });
const kem = (id: number) => ({ id, public: kemKey(), signature: random.bytes(64) });
const upload: PrekeyUpload = {
  signed: signed(1),
  oneTime: [
    { id: 0, public: curveKey() },
    { id: 7, public: curveKey() },
  ],
  lastResortKem: kem(3),
  kem: [kem(4)],
};
const bundles = [
  { device: 1, registrationId: 5, signed: signed(1), kem: kem(9), kemLastResort: true },
  {
    device: 127,
    registrationId: 0,
    signed: signed(1),
    oneTime: { id: 4, public: curveKey() },
    kem: kem(9),
    kemLastResort: false,
  },
];
const list = {
  account,
  version: 3,
  devices: [
    { device: 1, registrationId: 1234, authKey: random.bytes(32) },
    { device: 2, registrationId: 0, authKey: random.bytes(32) },
  ],
};
const identity = crypto.x25519KeyPair();
const devices = signDeviceList(crypto, identity.secret, crypto.randomBytes(64), list);

const terms = {
  id: random.bytes(16),
  isInlet: true,
  mayFetchKeys: true,
  expiresMinute: 29_000_000,
  rate: 6,
};

const requests: Item[] = [
  request(1, { kind: 'auth', account, device: 1, signature: random.bytes(64), version: 1 }),
  request(2, {
    kind: 'register',
    account,
    identityKey: curveKey(),
    username: 'bob',
    devices,
    device: 1,
    prekeys: upload,
    signature: random.bytes(64),
    version: 1,
  }),
  request(3, {
    kind: 'send',
    dest: account,
    parts: [1, 2].map((device) => ({
      device,
      registrationId: 77,
      clientId: random.bytes(16),
      body: random.bytes(200),
    })),
    ephemeral: false,
    urgent: true,
    ttlSeconds: 0,
  }),
  request(4, { kind: 'ack', through: 9, also: [11, 13] }),
  request(5, { kind: 'takePrekeys', account, devices: [1, 2] }),
  request(6, { kind: 'putPrekeys', prekeys: upload }),
  request(7, { kind: 'putDevices', devices }),
  request(8, { kind: 'devices', account }),
  request(9, { kind: 'lookup', username: 'bob' }),
  request(10, { kind: 'prekeyCount' }),
  request(11, { kind: 'ping' }),
  request(12, { kind: 'blobCreate', size: 70_000, verifier: random.bytes(32), days: 7 }),
  request(13, { kind: 'blob', action: 'read', id: random.bytes(32), days: 0 }),
  request(14, {
    kind: 'blob',
    action: 'keep',
    id: random.bytes(32),
    capability: random.bytes(32),
    days: 90,
  }),
  request(15, { kind: 'turn' }),
  request(25, { kind: 'pushInfo' }),
  request(26, { kind: 'putPush', endpoint: 'https://push.example/x' }),
  request(27, { kind: 'putPush', handle: random.bytes(32) }),
  request(16, { kind: 'recordGet', id: random.bytes(32) }),
  request(17, {
    kind: 'recordPut',
    id: random.bytes(32),
    expectedVersion: 3,
    capability: random.bytes(32),
    value: random.bytes(300),
  }),
  request(18, {
    kind: 'recordDelete',
    id: random.bytes(32),
    expectedVersion: 4,
    capability: random.bytes(32),
  }),
  request(20, {
    kind: 'link',
    account,
    device: 2,
    devices,
    grant: { expiresAtSeconds: 1_700_000_000, signature: random.bytes(64) },
    prekeys: upload,
    signature: random.bytes(64),
    version: 1,
  }),
  request(19, {
    kind: 'register',
    account,
    identityKey: curveKey(),
    devices,
    device: 1,
    prekeys: { oneTime: [], kem: [] },
    signature: random.bytes(64),
    version: 1,
    invite: random.bytes(20),
    ticket: 'eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl',
    work: random.bytes(8),
  }),
  request(21, { kind: 'deleteAccount', account, device: 1, signature: random.bytes(64) }),
  request(22, { kind: 'setUsername', username: 'bob' }),
  request(22, { kind: 'setUsername' }),
  request(23, { kind: 'rendezvousPut', slot: random.bytes(16), message: random.bytes(90) }),
  request(24, { kind: 'rendezvousTake', slot: random.bytes(16) }),
  request(12, { kind: 'anonymous', version: 1 }),
  request(13, { kind: 'putToken', ...terms, verifier: random.bytes(32) }),
  request(14, { kind: 'listTokens' }),
  request(15, { kind: 'removeToken', id: random.bytes(16) }),
  request(16, {
    kind: 'sendMany',
    message: random.bytes(200),
    targets: [
      { dest: account, tokenId: random.bytes(16), token: random.bytes(32) },
      { dest: account, token: random.bytes(32) },
    ],
    clientId: random.bytes(16),
    ephemeral: false,
    urgent: true,
    ttlSeconds: 60,
  }),
  request(17, {
    kind: 'takePrekeys',
    account,
    devices: [],
    tokenId: random.bytes(16),
    token: random.bytes(32),
  }),
  request(18, { kind: 'devices', account, token: random.bytes(32) }),
];
const bodies: ResponseBody[] = [
  { kind: 'none' },
  { kind: 'mismatch', missing: [2], extra: [3, 4] },
  { kind: 'stale', devices: [1] },
  { kind: 'bundles', identityKey: curveKey(), devices, bundles },
  { kind: 'devices', identityKey: curveKey(), devices },
  { kind: 'found', account },
  { kind: 'work', bits: 20 },
  { kind: 'rendezvous', message: random.bytes(70) },
  { kind: 'prekeyCounts', oneTime: 3, kem: 4, signedId: 1, lastResortKemId: 2 },
  { kind: 'blobTicket', id: random.bytes(32), ticket: random.bytes(94), ttlSeconds: 3600 },
  {
    kind: 'turn',
    urls: ['turn:relay.example:3478?transport=udp'],
    username: '1700000000:AAAA',
    credential: 'c2VjcmV0',
    ttlSeconds: 1800,
  },
  { kind: 'pushInfo', vapidKey: random.bytes(65), hasGateway: true },
  { kind: 'record', version: 8, value: random.bytes(300) },
  { kind: 'tokens', tokens: [terms, { ...terms, isInlet: false, rate: 0 }] },
  {
    kind: 'manyFailures',
    failures: [
      { dest: account, code: 'REFUSED', retryAfterMs: 0, missing: [], extra: [], stale: [] },
      {
        dest: account,
        code: 'DEVICES_MISMATCH',
        retryAfterMs: 5,
        missing: [2],
        extra: [3],
        stale: [1],
      },
    ],
  },
];
const responses: Item[] = bodies.map((body, id) => ({
  kind: 'response',
  id,
  code: 'CONFIRMED',
  retryAfterMs: 0,
  body,
}));
const events: Item[] = [
  event({
    kind: 'challenge',
    nonce: random.bytes(32),
    relayId: toRelayId(random.bytes(32)),
    limits: {
      frameBytesMax: 1,
      partsMax: 2,
      bodyBytesMax: 3,
      windowEnvelopes: 4,
      windowBytes: 5,
      creditParts: 6,
      creditBytes: 7,
      devicesMax: 8,
      recipientsMax: 512,
      padding: 1,
    },
    serverTimeMs: 1_700_000_000_000,
    versionMin: 1,
    versionMax: 1,
    epoch: 1_800_000_000,
  }),
  event({
    kind: 'deliver',
    seq: 5,
    clientId: random.bytes(16),
    body: random.bytes(300),
    minute: 28_333_333,
    attempt: 1,
  }),
  event({ kind: 'queueEmpty' }),
  event({ kind: 'draining', afterMs: 10 }),
  event({ kind: 'devicesChanged', account, version: 4 }),
  event({ kind: 'prekeysLow', oneTime: 1, kem: 2 }),
  event({ kind: 'replaced' }),
];
const items = [...requests, ...responses, ...events];

attackTest(t, {
  name: 'frame',
  corpus: [...items.map((item) => encodeFrame([item])), encodeFrame(items)],
  codes: /^(DECODE_|LIMIT_FRAME_SIZE$)/,
  run: (input) => {
    const decoded = decodeFrame(input);
    // What this version does not know is answered, not written.
    const known = decoded.every(
      (item) =>
        (item.kind !== 'request' || item.op.kind !== 'unknown') &&
        (item.kind !== 'event' || item.event.kind !== 'unknown'),
    );
    return known ? encodeFrame(decoded) : undefined;
  },
});
attackTest(t, {
  name: 'prekey upload',
  corpus: [encodePrekeyUpload(upload), encodePrekeyUpload({ oneTime: [], kem: [] })],
  codes: /^(DECODE_|LIMIT_)/,
  run: (input) => encodePrekeyUpload(decodePrekeyUpload(input)),
});
attackTest(t, {
  name: 'relay bundle',
  corpus: bundles.map(encodeBundle),
  codes: /^DECODE_/,
  run: (input) => encodeBundle(decodeBundle(input)),
});
attackTest(t, {
  name: 'device list',
  corpus: [
    encodeDeviceList({ ...list, previous: random.bytes(32) }),
    encodeDeviceList(list),
    encodeDeviceList({ ...list, devices: list.devices.slice(1) }),
  ],
  codes: /^DECODE_/,
  run: (input) => encodeDeviceList(decodeDeviceList(input)),
});
attackTest(t, {
  name: 'signed device list',
  corpus: [encodeSignedDeviceList(devices)],
  codes: /^DECODE_/,
  run: (input) => encodeSignedDeviceList(decodeSignedDeviceList(input)),
});
attackTest(t, {
  name: 'device list signature',
  corpus: [devices.list],
  codes: /^VERIFY_DEVICE_LIST$/,
  share: 0.05, // each input costs a signature check
  run: (input) => {
    verifyDeviceList(
      crypto,
      { list: input.slice(), signature: devices.signature },
      { account, identityKey: identity.public, versionMin: 1 },
    );
    if (toHex(input) !== toHex(devices.list)) throw new Error('accepted another list');
    return undefined;
  },
});
attackTest(t, {
  name: 'envelope',
  corpus: ([2, 3] as const).map((type) =>
    encodeEnvelope({
      type,
      senderAccount: account,
      senderDevice: type,
      message: random.bytes(150),
    }),
  ),
  codes: /^DECODE_/,
  run: (input) => encodeEnvelope(decodeEnvelope(input)),
});
attackTest(t, {
  name: 'account text',
  corpus: [utf8(accountText(account))],
  codes: /^DECODE_SERVICE_ID$/,
  run: (input) => utf8(accountText(parseAccountText(new TextDecoder().decode(input)))),
});
