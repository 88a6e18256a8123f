/** Chapters 09, 10, 16, 17. */
import {
  createSenderKey,
  distributionMessage,
  EMPTY_SENDER_KEY_RECORD,
  encodeDecryptionError,
  encodePlaintextContent,
  encodeSealedContent,
  encodeSenderKeyRecord,
  encryptAttachment,
  groupEncrypt,
  hpkeSeal,
  issueSenderCertificate,
  issueServerCertificate,
  processDistributionMessage,
  type SenderKeyRecord,
} from '../../../packages/protocol/dist/index.js';
import { streams } from '../../../packages/protocol/dist/crypto/noble-streams.js';
import {
  bytesField,
  Cases,
  concatBytes,
  flip,
  intField,
  seeded,
  toHex as hex,
  utf8,
  type Bytes,
} from './kit.js';

export async function formats(): Promise<Cases> {
  const cases = new Cases('formats');
  await groups(cases);
  await sealed(cases);
  await small(cases);
  await files(cases);
  return cases;
}

async function groups(cases: Cases): Promise<void> {
  const random = seeded('qasid vectors 1: groups');
  const id = random.randomBytes(16);
  let alice = createSenderKey(random);
  const encoded = (record: SenderKeyRecord) => hex(encodeSenderKeyRecord(record));
  const handed = distributionMessage(alice, id);
  await cases.add('distribution-message', 'fresh', 'iteration 0', {
    record: encoded(alice),
    distributionId: hex(id),
  });
  const joined = await cases.add('process-distribution', 'first', 'nothing stored before', {
    record: '',
    message: hex(handed),
  });
  const bob = processDistributionMessage(EMPTY_SENDER_KEY_RECORD, handed).state;
  const messages: Bytes[] = [];
  for (let i = 0; i < 8; i++) {
    const plaintext = utf8('x'.repeat(i * 5));
    const signing = random.randomBytes(64);
    await cases.add('group-encrypt', `message-${i}`, `iteration ${i}`, {
      record: encoded(alice),
      distributionId: hex(id),
      plaintext: hex(plaintext),
      random: hex(signing),
    });
    const sent = groupEncrypt(
      { ...random, randomBytes: () => signing.slice() },
      alice,
      id,
      plaintext,
    );
    alice = sent.state;
    messages.push(sent.output);
  }
  await cases.add('distribution-message', 'later', 'from iteration 8 on (ATK-E05)', {
    record: encoded(alice),
    distributionId: hex(id),
  });
  let record = joined.record as string;
  for (const i of [0, 3, 1, 7]) {
    const out = await cases.add('group-decrypt', `message-${i}`, 'in the order 0, 3, 1, 7', {
      record,
      message: hex(messages[i]!),
    });
    record = out.record as string;
  }
  const refuse = (
    name: string,
    code: string,
    message: Uint8Array,
    stored: string | null = record,
  ) =>
    cases.refuse('group-decrypt', name, 'one fault', code, {
      record: stored,
      message: hex(message),
    });
  const sample = messages[5]!;
  await refuse('twice', 'STATE_DUPLICATE_MESSAGE', messages[3]!);
  await refuse('signature-flipped', 'VERIFY_SIGNATURE', flip(sample, -5));
  await refuse('signature-sign-bit', 'VERIFY_SIGNATURE', flip(sample, -1, 0x80));
  await refuse('ciphertext-flipped', 'VERIFY_SIGNATURE', flip(sample, -70));
  await refuse('low-nibble', 'VERIFY_SIGNATURE', flip(sample, 0, 1));
  await refuse('no-record', 'STATE_NO_SENDER_KEY', sample, null);
  await refuse('empty-record', 'STATE_NO_SENDER_KEY', sample, '');
  await refuse(
    'another-chain',
    'STATE_NO_SENDER_KEY',
    sample,
    encoded(join(createSenderKey(random), id)),
  );
  await refuse(
    'version-2',
    'DECODE_VERSION_TOO_OLD',
    concatBytes(Uint8Array.of(0x23), sample.slice(1)),
  );
  await refuse(
    'version-4',
    'DECODE_VERSION_UNKNOWN',
    concatBytes(Uint8Array.of(0x43), sample.slice(1)),
  );
  await refuse('short', 'DECODE_MESSAGE_TOO_SHORT', sample.slice(0, 64));
  await refuse('cut', 'DECODE_PROTOBUF', sample.slice(0, 70));
  const signed = (body: Uint8Array) =>
    concatBytes(
      body,
      random.xeddsaSign(alice.states[0]!.signing!.secret as never, random.randomBytes(64), body),
    );
  const fields = (iteration: number, ciphertext: Uint8Array, chain = alice.states[0]!.chainId) =>
    concatBytes(
      Uint8Array.of(0x33),
      bytesField(1, id),
      intField(2, chain),
      intField(3, iteration),
      bytesField(4, ciphertext),
    );
  await refuse('empty-ciphertext', 'VERIFY_DECRYPTION', signed(fields(20, new Uint8Array(0))));
  await refuse('not-a-block', 'VERIFY_DECRYPTION', signed(fields(20, new Uint8Array(17))));
  await refuse('bad-padding', 'VERIFY_DECRYPTION', signed(fields(20, new Uint8Array(32).fill(7))));
  await refuse('jump-25001', 'STATE_TOO_FAR_AHEAD', signed(fields(8 + 25_001, new Uint8Array(16))));
  await refuse(
    'no-chain-id',
    'DECODE_PROTOBUF',
    signed(
      concatBytes(
        Uint8Array.of(0x33),
        bytesField(1, id),
        intField(3, 9),
        bytesField(4, new Uint8Array(16)),
      ),
    ),
  );
  await refuse(
    'id-15-bytes',
    'DECODE_PROTOBUF',
    signed(
      concatBytes(
        Uint8Array.of(0x33),
        bytesField(1, id.slice(1)),
        intField(2, 1),
        intField(3, 9),
        bytesField(4, new Uint8Array(16)),
      ),
    ),
  );
  await cases.refuse(
    'group-encrypt',
    'receive-only',
    'a member’s record',
    'STATE_INVALID_SENDER_KEY',
    {
      record: encoded(bob),
      distributionId: hex(id),
      plaintext: '00',
      random: hex(random.randomBytes(64)),
    },
  );
  await cases.refuse('group-encrypt', 'no-record', 'nothing stored', 'STATE_NO_SENDER_KEY', {
    record: null,
    distributionId: hex(id),
    plaintext: '00',
    random: hex(random.randomBytes(64)),
  });
  const again = { record, message: hex(handed) };
  await cases.add('process-distribution', 'replayed', 'ATK-E03: nothing moves', again);
  const other = createSenderKey(random);
  const rekeyed = distributionMessage(
    { states: [{ ...other.states[0]!, chainId: alice.states[0]!.chainId }] },
    id,
  );
  await cases.add('process-distribution', 'another-signing-key', 'replaces the chain', {
    record,
    message: hex(rekeyed),
  });
  let full = '';
  for (let i = 0; i < 6; i++) {
    const out = await cases.add('process-distribution', `chain-${i}`, 'at most five are kept', {
      record: full,
      message: hex(distributionMessage(createSenderKey(random), id)),
    });
    full = out.record as string;
  }
  for (const [name, code, bytes] of [
    ['short', 'DECODE_MESSAGE_TOO_SHORT', handed.slice(0, 64)],
    ['version-2', 'DECODE_VERSION_TOO_OLD', concatBytes(Uint8Array.of(0x23), handed.slice(1))],
    ['version-4', 'DECODE_VERSION_UNKNOWN', concatBytes(Uint8Array.of(0x43), handed.slice(1))],
    ['cut', 'DECODE_PROTOBUF', handed.slice(0, 80)],
    ['key-type', 'DECODE_KEY_TYPE', flip(handed, -33)],
  ] as const) {
    await cases.refuse('process-distribution', name, 'one fault', code, {
      record,
      message: hex(bytes),
    });
  }
}

function join(record: SenderKeyRecord, id: Uint8Array): SenderKeyRecord {
  return processDistributionMessage(EMPTY_SENDER_KEY_RECORD, distributionMessage(record, id)).state;
}

async function sealed(cases: Cases): Promise<void> {
  const random = seeded('qasid vectors 1: sealed sender');
  const [root, server, alice, bob, mallory] = Array.from({ length: 5 }, () =>
    random.x25519KeyPair(),
  );
  const now = 1_760_000_000_000;
  const aliceName = '9d0652a3-dcc3-4d11-975f-74d61598733f';
  const bobName = '796abedb-ca4e-4f18-8803-1fde5b921f9f';
  const vouched = issueServerCertificate(random, { id: 7, key: server!.public }, root!.secret);
  const issue = (serverCertificate = vouched, signer = server!) =>
    issueSenderCertificate(
      random,
      { name: aliceName, device: 2, identityKey: alice!.public, expiresMs: now + 1000 },
      serverCertificate,
      signer.secret,
    );
  const certificate = issue();
  const roots = [{ key: hex(root!.public) }];
  const validate = { certificate: hex(certificate.encoded), trustRoots: roots, nowMs: now };
  await cases.add('validate-certificate', 'genuine', 'valid', validate);
  await cases.add('validate-certificate', 'at-expiry', 'still valid', {
    ...validate,
    nowMs: now + 1000,
  });
  await cases.add('validate-certificate', 'expired', 'one millisecond later', {
    ...validate,
    nowMs: now + 1001,
  });
  await cases.add('validate-certificate', 'no-roots', 'trusts nobody', {
    ...validate,
    trustRoots: [],
  });
  await cases.add('validate-certificate', 'another-root', 'not ours', {
    ...validate,
    trustRoots: [{ key: hex(mallory!.public) }],
  });
  await cases.add('validate-certificate', 'second-root', 'one of several', {
    ...validate,
    trustRoots: [{ key: hex(mallory!.public) }, ...roots],
  });
  await cases.add('validate-certificate', 'another-server-key', 'signed by somebody else', {
    ...validate,
    certificate: hex(issue(vouched, mallory!).encoded),
  });
  const revoked = issueServerCertificate(
    random,
    { id: 0xdeadc357, key: server!.public },
    root!.secret,
  );
  await cases.add('validate-certificate', 'revoked-id', 'the known test id', {
    ...validate,
    certificate: hex(issue(revoked).encoded),
  });
  await cases.refuse('validate-certificate', 'garbage', 'no protobuf', 'DECODE_PROTOBUF', {
    ...validate,
    certificate: 'ffff',
  });
  for (const [type, hint, group] of [
    [2, 0, undefined],
    [3, 1, undefined],
    [7, 2, utf8('group')],
    [8, 0, undefined],
  ] as const) {
    const content = encodeSealedContent({
      type,
      senderCertificate: certificate,
      content: utf8(`inner ${type}`),
      contentHint: hint,
      groupId: group,
    });
    await cases.add('parse-sealed-content', `type-${type}`, `hint ${hint}`, {
      content: hex(content),
    });
  }
  const inner = encodeSealedContent({
    type: 2,
    senderCertificate: certificate,
    content: utf8('salaam'),
    contentHint: 1,
    groupId: undefined,
  });
  for (const [name, code, bytes] of [
    ['unknown-type', 'DECODE_PROTOBUF', concatBytes(intField(1, 3), inner.slice(2))],
    ['no-type', 'DECODE_PROTOBUF', inner.slice(2)],
    ['no-certificate', 'DECODE_PROTOBUF', concatBytes(intField(1, 2), bytesField(3, utf8('x')))],
    ['cut', 'DECODE_PROTOBUF', inner.slice(0, -3)],
  ] as const) {
    await cases.refuse('parse-sealed-content', name, 'one fault', code, { content: hex(bytes) });
  }
  const padded = await cases.add('pad-sealed-content', 'filled', 'up to 512 bytes when sealed', {
    content: hex(inner),
  });
  await cases.add('parse-sealed-content', 'padded', 'the filler is skipped', {
    content: padded.content as string,
  });
  await cases.add('pad-sealed-content', 'exact', 'nothing to fill', {
    content: hex(new Uint8Array(512 - 97)),
  });
  await cases.add('pad-sealed-content', 'gap-too-small', 'the next size', {
    content: hex(new Uint8Array(512 - 97 - 3)),
  });
  await cases.refuse('pad-sealed-content', 'too-large', 'no size holds it', 'LIMIT_ENVELOPE_SIZE', {
    content: hex(new Uint8Array(65_536 - 96)),
  });
  const open = {
    identity: hex(bob!.secret),
    name: bobName,
    device: 1,
    trustRoots: roots,
    nowMs: now,
  };
  const seals: Record<string, string> = {};
  for (const [version, seal] of [
    ['v1', { operation: 'seal-v1', secret: { ephemeral: hex(random.randomBytes(32)) } }],
    ['v2', { operation: 'seal-v2', secret: { m: hex(random.randomBytes(32)) } }],
  ] as const) {
    const out = await cases.add(seal.operation, 'genuine', 'determined by its input', {
      identity: hex(alice!.secret),
      recipient: hex(bob!.public),
      content: hex(inner),
      ...seal.secret,
    });
    const message = out.message as string;
    seals[version] = message;
    const bytes = Uint8Array.from(Buffer.from(message, 'hex'));
    await cases.add('open-sealed', version, 'opens and names the sender', { ...open, message });
    await cases.refuse('open-sealed', `${version}-expired`, 'ATK-D01', 'VERIFY_CERTIFICATE', {
      ...open,
      message,
      nowMs: now + 1001,
    });
    await cases.refuse('open-sealed', `${version}-another-root`, 'ATK-D01', 'VERIFY_CERTIFICATE', {
      ...open,
      message,
      trustRoots: [{ key: hex(mallory!.public) }],
    });
    await cases.refuse('open-sealed', `${version}-self`, 'ATK-D03', 'STATE_SELF_SEND', {
      ...open,
      message,
      name: aliceName,
      device: 2,
    });
    await cases.refuse(
      'open-sealed',
      `${version}-another-recipient`,
      'not ours',
      'VERIFY_SEALED_SENDER',
      {
        ...open,
        message,
        identity: hex(mallory!.secret),
      },
    );
    for (const [where, at] of Object.entries({ 'last-byte': -1, middle: bytes.length >> 1 })) {
      await cases.refuse(
        'open-sealed',
        `${version}-flipped-${where}`,
        'one bit',
        'VERIFY_SEALED_SENDER',
        {
          ...open,
          message: hex(flip(bytes, at)),
        },
      );
    }
    const stolen = await cases.add(seal.operation, 'stolen-certificate', 'sealed by Mallory', {
      identity: hex(mallory!.secret),
      recipient: hex(bob!.public),
      content: hex(inner),
      ...seal.secret,
    });
    await cases.refuse(
      'open-sealed',
      `${version}-stolen-certificate`,
      'ATK-D02',
      'VERIFY_SEALED_SENDER',
      {
        ...open,
        message: stolen.message!,
      },
    );
  }
  await cases.refuse('open-sealed', 'empty', 'nothing', 'VERIFY_SEALED_SENDER', {
    ...open,
    message: '',
  });
  await cases.refuse('open-sealed', 'version-3', 'unknown', 'DECODE_SEALED_SENDER', {
    ...open,
    message: '33',
  });
  await cases.refuse('open-sealed', 'device-128', 'our own device id', 'USAGE_RANGE', {
    ...open,
    device: 128,
    message: seals.v1!,
  });
  const account = (n: number) => `00${n.toString(16).padStart(32, '0')}`;
  const many = {
    identity: hex(alice!.secret),
    recipients: [
      {
        serviceId: account(1),
        identityKey: hex(bob!.public),
        devices: [
          { deviceId: 1, registrationId: 5 },
          { deviceId: 127, registrationId: 16_383 },
        ],
      },
      {
        serviceId: account(2),
        identityKey: hex(mallory!.public),
        devices: [{ deviceId: 3, registrationId: 0 }],
      },
    ],
    excluded: [{ serviceId: account(3) }],
    content: hex(inner),
    m: hex(random.randomBytes(32)),
  };
  const fanned = await cases.add(
    'seal-for-many',
    'two-accounts',
    'three devices, one left out',
    many,
  );
  await cases.refuse('seal-for-many', 'registration-id', 'above 14 bits', 'USAGE_RANGE', {
    ...many,
    recipients: [{ ...many.recipients[0], devices: [{ deviceId: 1, registrationId: 16_384 }] }],
  });
  const sent = Uint8Array.from(Buffer.from(fanned.message as string, 'hex'));
  await cases.add('split-for-many', 'two-accounts', 'each sees only itself (ATK-D14)', {
    message: hex(sent),
  });
  for (const [name, code, bytes] of [
    ['empty', 'VERIFY_SEALED_SENDER', new Uint8Array(0)],
    ['version-24', 'DECODE_SEALED_SENDER', concatBytes(Uint8Array.of(0x24), sent.slice(1))],
    ['version-only', 'DECODE_PROTOBUF', sent.slice(0, 1)],
    ['long-count', 'DECODE_PROTOBUF', concatBytes(Uint8Array.of(0x23, 0x83, 0x00), sent.slice(2))],
    ['kind-2', 'DECODE_PROTOBUF', flip(sent, 2, 2)],
    ['device-128', 'DECODE_PROTOBUF', flip(sent, 19, 0x81)],
    [
      '31-shared-bytes',
      'DECODE_PROTOBUF',
      sent.slice(0, 2 + (17 + 6 + 48) + (17 + 3 + 48) + 18 + 31),
    ],
  ] as const) {
    await cases.refuse('split-for-many', name, 'one fault', code, { message: hex(bytes) });
  }
}

async function small(cases: Cases): Promise<void> {
  const random = seeded('qasid vectors 1: small formats');
  const bob = random.x25519KeyPair();
  for (const [i, length] of [0, 1, 100].entries()) {
    const ephemeral = random.x25519KeyPair();
    const plaintext = random.randomBytes(length);
    const [info, data] = [utf8('info'), random.randomBytes(i * 3)];
    await cases.add('hpke-seal', `length-${length}`, 'given ephemeral key', {
      recipient: hex(bob.public),
      plaintext: hex(plaintext),
      info: hex(info),
      associatedData: hex(data),
      ephemeral: hex(ephemeral.secret),
    });
    const message = hpkeSeal(random, bob.public, plaintext, info, data, ephemeral);
    const open = {
      secret: hex(bob.secret),
      sealed: hex(message),
      info: hex(info),
      associatedData: hex(data),
    };
    await cases.add('hpke-open', `length-${length}`, 'the other way', open);
    if (length !== 100) continue;
    const faults: [string, string, Partial<typeof open>][] = [
      ['empty', 'DECODE_TRUNCATED', { sealed: '' }],
      ['short', 'DECODE_TRUNCATED', { sealed: hex(message.slice(0, 20)) }],
      ['suite-2', 'DECODE_VERSION_UNKNOWN', { sealed: `02${hex(message).slice(2)}` }],
      ['tag', 'VERIFY_HPKE', { sealed: hex(flip(message, -1)) }],
      ['info', 'VERIFY_HPKE', { info: hex(utf8('other')) }],
      ['data', 'VERIFY_HPKE', { associatedData: '00' }],
      [
        'zero-key',
        'VERIFY_KEY_AGREEMENT',
        { sealed: `01${'00'.repeat(32)}${hex(message).slice(66)}` },
      ],
    ];
    for (const [name, code, fault] of faults) {
      await cases.refuse('hpke-open', name, 'one fault', code, { ...open, ...fault });
    }
  }
  for (const username of [
    'alice.01',
    'Alice.01',
    '_x9.123456789',
    `${'a'.repeat(48)}.12`,
    'a.18446744073709551615',
  ]) {
    await cases.add(
      'username-hash',
      username.toLowerCase() === username
        ? username.replace(/[._]/g, '-').replace(/^-/, 'u-')
        : 'upper-case',
      'lower-cased before hashing',
      { username },
    );
  }
  for (const [name, username] of Object.entries({
    'no-dot': 'alice',
    'starts-with-digit': '1a.01',
    'one-digit': 'a.1',
    zero: 'a.00',
    'leading-zeros': 'a.001',
    'not-digits': 'a.+12',
    'not-ascii': 'é.12',
    'too-long': `${'a'.repeat(49)}.12`,
    'no-name': '.12',
    'no-discriminator': 'a.',
    'too-large': 'a.18446744073709551616',
  })) {
    await cases.refuse('username-hash', name, 'one rule broken', 'DECODE_USERNAME', { username });
  }
  const entropy = hex(random.randomBytes(32));
  const link = await cases.add('username-link-seal', 'alice', '112 bytes', {
    username: 'alice.01',
    entropy,
    iv: hex(random.randomBytes(16)),
  });
  const sealedLink = Uint8Array.from(Buffer.from(link.sealed as string, 'hex'));
  await cases.add('username-link-open', 'alice', 'the other way', {
    sealed: hex(sealedLink),
    entropy,
  });
  await cases.refuse('username-link-open', 'flipped', 'one bit', 'VERIFY_USERNAME_LINK', {
    sealed: hex(flip(sealedLink, 20)),
    entropy,
  });
  await cases.refuse(
    'username-link-open',
    'other-entropy',
    'another link',
    'VERIFY_USERNAME_LINK',
    { sealed: hex(sealedLink), entropy: '00'.repeat(32) },
  );
  await cases.refuse('username-link-open', 'short-entropy', '31 bytes', 'USAGE_LENGTH', {
    sealed: hex(sealedLink),
    entropy: '00'.repeat(31),
  });
  const temporary = random.x25519KeyPair();
  const envelope = await cases.add(
    'provisioning-seal',
    'genuine',
    'to the temporary key of a new device',
    {
      newDevice: hex(temporary.public),
      message: hex(utf8('provision me')),
      ephemeral: hex(random.randomBytes(32)),
      iv: hex(random.randomBytes(16)),
    },
  );
  const bytes = Uint8Array.from(Buffer.from(envelope.envelope as string, 'hex'));
  const provision = { temporary: hex(temporary.secret), envelope: hex(bytes) };
  await cases.add('provisioning-open', 'genuine', 'the other way', provision);
  for (const [name, code, broken] of [
    ['mac', 'VERIFY_PROVISIONING', flip(bytes, -1)],
    ['ciphertext', 'VERIFY_PROVISIONING', flip(bytes, -40)],
    ['cut', 'DECODE_PROTOBUF', bytes.slice(0, -1)],
    ['empty', 'DECODE_PROTOBUF', new Uint8Array(0)],
  ] as const) {
    await cases.refuse('provisioning-open', name, 'ATK-G05', code, {
      ...provision,
      envelope: hex(broken),
    });
  }
  await cases.refuse('provisioning-open', 'another-device', 'ATK-G05', 'VERIFY_PROVISIONING', {
    ...provision,
    temporary: hex(random.x25519KeyPair().secret),
  });
  const error = encodeDecryptionError({
    ratchetKey: bob.public,
    timestampMs: 1_700_000_044_943,
    deviceId: 40,
  });
  await cases.add('decryption-error', 'pairwise', 'with ratchet key', { message: hex(error) });
  await cases.add('decryption-error', 'group', 'without', {
    message: hex(encodeDecryptionError({ ratchetKey: undefined, timestampMs: 0, deviceId: 0 })),
  });
  await cases.add('decryption-error', 'no-device', 'reads as 0', { message: hex(intField(2, 5)) });
  for (const [name, code, broken] of [
    ['empty', 'DECODE_PROTOBUF', new Uint8Array(0)],
    ['no-timestamp', 'DECODE_PROTOBUF', intField(3, 1)],
    ['key-type', 'DECODE_KEY_TYPE', concatBytes(bytesField(1, new Uint8Array(33)), intField(2, 5))],
    [
      'key-short',
      'DECODE_KEY_LENGTH',
      concatBytes(bytesField(1, Uint8Array.of(5, 1)), intField(2, 5)),
    ],
    ['wire-type', 'DECODE_PROTOBUF', bytesField(2, utf8('x'))],
  ] as const) {
    await cases.refuse('decryption-error', name, 'one fault', code, { message: hex(broken) });
  }
  const plaintext = encodePlaintextContent(error);
  await cases.add('plaintext-content', 'genuine', 'type 8', { content: hex(plaintext) });
  for (const [name, code, broken] of [
    ['empty', 'DECODE_MESSAGE_TOO_SHORT', new Uint8Array(0)],
    ['marker', 'DECODE_VERSION_MISMATCH', flip(plaintext, 0)],
    ['no-boundary', 'DECODE_PROTOBUF', plaintext.slice(0, -1)],
    ['other-content', 'USAGE_ARGUMENT', Uint8Array.of(0xc0, 0x0a, 1, 0x78, 0x80)],
  ] as const) {
    await cases.refuse('plaintext-content', name, 'ATK-C16', code, { content: hex(broken) });
  }
  for (const length of [0, 1, 16, 65]) {
    const key = {
      key: hex(random.randomBytes(32)),
      nonce: hex(random.randomBytes(12)),
      associatedData: hex(random.randomBytes(length % 7)),
    };
    const out = await cases.add('aes-gcm-siv-seal', `length-${length}`, 'RFC 8452', {
      ...key,
      plaintext: hex(random.randomBytes(length)),
    });
    const sealedBytes = Uint8Array.from(Buffer.from(out.sealed as string, 'hex'));
    await cases.add('aes-gcm-siv-open', `length-${length}`, 'the other way', {
      ...key,
      sealed: hex(sealedBytes),
    });
    await cases.add('aes-gcm-siv-open', `flipped-${length}`, 'null', {
      ...key,
      sealed: hex(flip(sealedBytes, -1)),
    });
  }
}

async function files(cases: Cases): Promise<void> {
  const random = seeded('qasid vectors 1: attachments');
  const key = hex(random.randomBytes(32));
  for (const [length, chunkBytes] of [
    [0, 32],
    [1, 32],
    [32, 32],
    [33, 32],
    [100, 7],
  ] as const) {
    const data = hex(random.randomBytes(length));
    const out = await cases.add('incremental-mac', `length-${length}`, `chunks of ${chunkBytes}`, {
      key,
      chunkBytes,
      data,
    });
    const macs = out.macs as string;
    const check = { key, chunkBytes, data, macs };
    await cases.add('check-incremental-mac', `length-${length}`, 'all of it proven', check);
    if (length !== 100) continue;
    for (const [name, fault] of Object.entries({
      'data-flipped': { data: hex(flip(Uint8Array.from(Buffer.from(data, 'hex')), 40)) },
      'mac-missing': { macs: macs.slice(0, -64) },
      'mac-extra': { macs: macs + macs.slice(-64) },
      'list-length': { macs: macs.slice(0, -2) },
      'chunk-0': { chunkBytes: 0 },
      'data-cut': { data: data.slice(0, -2) },
    })) {
      await cases.refuse('check-incremental-mac', name, 'ATK-H02', 'VERIFY_INCREMENTAL_MAC', {
        ...check,
        ...fault,
      });
    }
  }
  for (const dataBytes of [
    0, 65_536, 16_777_215, 16_777_216, 16_777_217, 100_000_000, 536_870_911, 536_870_912,
    4_294_967_295,
  ]) {
    await cases.add(
      'incremental-mac-chunk-size',
      `bytes-${dataBytes}`,
      'both sides of each border',
      { dataBytes },
    );
  }
  const file = { key: hex(random.randomBytes(64)), iv: hex(random.randomBytes(16)) };
  for (const [name, plaintext, repeat] of [
    ['empty', '', 1],
    ['one-byte', '61', 1],
    ['one-thousand', '00ff', 500],
    ['several-chunks', hex(random.randomBytes(1000)), 200],
  ] as const) {
    await cases.add('encrypt-attachment', name, 'padded, with MAC and digest', {
      ...file,
      plaintext,
      repeat,
    });
  }
  const plaintext = random.randomBytes(700);
  const made = encryptAttachment(
    streams,
    Uint8Array.from(Buffer.from(file.key, 'hex')),
    Uint8Array.from(Buffer.from(file.iv, 'hex')),
    plaintext.length,
  );
  const parts: Uint8Array[] = [];
  const source = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(plaintext);
      controller.close();
    },
  });
  for await (const part of source.pipeThrough(made.transform)) parts.push(part);
  const blob = concatBytes(...parts);
  const pointer = await made.pointer;
  const open = {
    key: file.key,
    digest: hex(pointer.digest),
    size: pointer.size,
    incrementalMac: hex(pointer.incrementalMac!),
    chunkBytes: pointer.chunkBytes!,
    blob: hex(blob),
  };
  await cases.add('decrypt-attachment', 'genuine', 'the plaintext', open);
  for (const [name, code, fault] of [
    ['blob-flipped', 'VERIFY_INCREMENTAL_MAC', { blob: hex(flip(blob, 100)) }],
    ['blob-cut', 'VERIFY_INCREMENTAL_MAC', { blob: hex(blob.slice(0, -16)) }],
    ['digest', 'VERIFY_ATTACHMENT', { digest: '00'.repeat(32) }],
    ['size', 'VERIFY_ATTACHMENT', { size: 100_000 }],
    ['key', 'VERIFY_INCREMENTAL_MAC', { key: '00'.repeat(64) }],
  ] as const) {
    await cases.refuse('decrypt-attachment', name, 'ATK-H01', code, { ...open, ...fault });
  }
}
