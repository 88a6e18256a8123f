// SignalMessage, PreKeySignalMessage and stored records: form, order of errors, canonical bytes.
import { readFileSync } from 'node:fs';
import t from 'tap';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { concatBytes, samePublicBytes, toHex, type Bytes } from '#src/bytes.js';
import { QasidError } from '#src/errors.js';
import type { MessageKeySource, SkippedKey } from '#src/double-ratchet.js';
import {
  toChainKey,
  toMessageKeySeed,
  toPrivateKey,
  toPublicKey,
  toRootKey,
  type PublicKey,
} from '#src/types.js';
import {
  decodePreKeySignalMessage,
  decodeSignalMessage,
  encodePreKeySignalMessage,
  encodeSignalMessage,
  encodeSignalMessageBody,
} from '#src/wire/messages.js';
import { ProtoReader, ProtoWriter } from '#src/wire/protobuf.js';
import { holds } from '../support/property.js';
import {
  Damaged,
  decodeRecordStructure,
  encodeRecordStructure,
  writeSpqrBytes,
  sound,
  type RecordStructure,
  type SessionStructure,
} from '#src/wire/records.js';

const schema = (name: string): protobuf.Root =>
  protobuf.parse(
    readFileSync(new URL(`../../src/wire/schema/${name}.proto`, import.meta.url), 'utf8'),
  ).root;
const messages = schema('messages');
const records = schema('records');

const key = (fill: number): PublicKey =>
  toPublicKey(concatBytes(new Uint8Array([5]), new Uint8Array(32).fill(fill)));
const plain = (bytes: Uint8Array): Bytes => Uint8Array.from(bytes);

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const keys = fc.integer({ min: 0, max: 255 }).map(key);
const bytes = fc.uint8Array({ maxLength: 200 }).map(plain);
const secret = fc.uint8Array({ minLength: 32, maxLength: 32 });

const signalMessages = fc.record({
  version: fc.constantFrom(3, 4),
  ratchetKey: keys,
  counter: u32,
  previousCounter: u32,
  ciphertext: bytes,
  spqr: bytes,
  addresses: fc.option(bytes, { nil: undefined }),
});

function codeOf(run: () => unknown): string {
  try {
    run();
    return 'accepted';
  } catch (error) {
    if (error instanceof QasidError) return error.code;
    throw error;
  }
}

t.test('SignalMessage: same bytes as protobufjs, and back', async (t) => {
  const type = messages.lookupType('qasid.SignalMessage');
  holds(
    t,
    fc.property(signalMessages, (message) => {
      const authenticated = encodeSignalMessageBody(message);
      const { ratchetKey, counter, previousCounter, ciphertext, spqr, addresses } = message;
      const theirs = type
        .encode({
          ratchetKey,
          counter,
          previousCounter,
          ciphertext,
          ...(spqr.length > 0 ? { spqr } : {}),
          ...(addresses === undefined ? {} : { addresses }),
        })
        .finish();
      const mac = new Uint8Array(8).fill(9);
      const whole = encodeSignalMessage({ authenticated, mac });
      const again = decodeSignalMessage(whole);
      return (
        authenticated[0] === ((message.version << 4) | 4) &&
        samePublicBytes(authenticated.subarray(1), theirs) &&
        samePublicBytes(again.authenticated, authenticated) &&
        samePublicBytes(again.mac, mac) &&
        again.counter === counter &&
        toHex(again.spqr) === toHex(spqr) &&
        (again.addresses === undefined) === (addresses === undefined) &&
        samePublicBytes(encodeSignalMessageBody(again), authenticated)
      );
    }),
    { seed: 1, numRuns: 200 },
  );
});

t.test('PreKeySignalMessage: same bytes as protobufjs, and back', async (t) => {
  const type = messages.lookupType('qasid.PreKeySignalMessage');
  holds(
    t,
    fc.property(
      signalMessages,
      fc.option(u32, { nil: undefined }),
      u32,
      u32,
      keys,
      keys,
      bytes,
      (inner, preKeyId, registrationId, signedPreKeyId, baseKey, identityKey, ciphertext) => {
        const message = {
          ...inner,
          authenticated: encodeSignalMessageBody(inner),
          mac: plain(new Uint8Array(8)),
        };
        const kem = { preKeyId: registrationId, ciphertext };
        const whole = encodePreKeySignalMessage({
          version: 4,
          registrationId,
          preKeyId,
          signedPreKeyId,
          kem,
          baseKey,
          identityKey,
          message,
        });
        const theirs = type
          .encode({
            ...(preKeyId === undefined ? {} : { preKeyId }),
            baseKey,
            identityKey,
            message: encodeSignalMessage(message),
            registrationId,
            signedPreKeyId,
            kemPreKeyId: kem.preKeyId,
            kemCiphertext: kem.ciphertext,
          })
          .finish();
        const again = decodePreKeySignalMessage(whole);
        return (
          samePublicBytes(whole.subarray(1), theirs) &&
          again.preKeyId === preKeyId &&
          samePublicBytes(encodePreKeySignalMessage(again), whole)
        );
      },
    ),
    { seed: 2, numRuns: 150 },
  );
});

const sampleInner = {
  version: 4,
  ratchetKey: key(1),
  counter: 7,
  previousCounter: 3,
  ciphertext: plain(new Uint8Array(16).fill(2)),
  spqr: plain(new Uint8Array(40).fill(3)),
  addresses: plain(new Uint8Array(36).fill(4)),
};
const sampleMessage = {
  ...sampleInner,
  authenticated: encodeSignalMessageBody(sampleInner),
  mac: plain(new Uint8Array(8).fill(5)),
};
const samplePreKey = encodePreKeySignalMessage({
  version: 4,
  registrationId: 77,
  preKeyId: 0,
  signedPreKeyId: 2,
  kem: { preKeyId: 3, ciphertext: plain(new Uint8Array(60).fill(6)) },
  baseKey: key(8),
  identityKey: key(9),
  message: sampleMessage,
});

t.test('truncation at every byte is refused or gives other authenticated bytes', async (t) => {
  const whole = encodeSignalMessage(sampleMessage);
  let refused = 0;
  for (let length = 0; length < whole.length; length++) {
    const cut = whole.subarray(0, length);
    if (codeOf(() => decodeSignalMessage(cut)) === 'accepted') {
      // Cut between optional fields: parses, and its MAC is that of another message.
      const { authenticated, mac } = decodeSignalMessage(cut);
      t.notOk(
        samePublicBytes(authenticated, sampleMessage.authenticated) &&
          samePublicBytes(mac, sampleMessage.mac),
      );
    } else refused++;
  }
  t.ok(refused > whole.length - 5, `${refused} of ${whole.length}`);
  for (let length = 0; length < samplePreKey.length; length++) {
    const code = codeOf(() => decodePreKeySignalMessage(samplePreKey.subarray(0, length)));
    t.match(code, /^DECODE_/, `prekey message of ${length} bytes`);
  }
});

t.test('errors come in the order of 11 §3 and §4', async (t) => {
  const body = sampleMessage.authenticated.subarray(1);
  const withVersion = (byte: number, rest: Uint8Array, tail = 8): Uint8Array =>
    concatBytes(new Uint8Array([byte]), rest, new Uint8Array(tail));
  const garbage = new Uint8Array([0xff]);
  const rows: readonly (readonly [string, Uint8Array, string])[] = [
    [
      '8 bytes of an old version',
      withVersion(0x24, new Uint8Array(0), 7),
      'DECODE_MESSAGE_TOO_SHORT',
    ],
    ['old version with garbage', withVersion(0x24, garbage), 'DECODE_VERSION_TOO_OLD'],
    ['new version with garbage', withVersion(0x54, garbage), 'DECODE_VERSION_UNKNOWN'],
    ['garbage', withVersion(0x44, garbage), 'DECODE_PROTOBUF'],
    ['any low nibble', withVersion(0x4f, body), 'accepted'],
    [
      'bad ratchet key and no counter',
      withVersion(0x44, new ProtoWriter().bytes(1, garbage).finish()),
      'DECODE_PROTOBUF',
    ],
    [
      'bad ratchet key',
      withVersion(
        0x44,
        new ProtoWriter().bytes(1, garbage).uint32(2, 0).bytes(4, garbage).finish(),
      ),
      'DECODE_KEY_TYPE',
    ],
    [
      'short ratchet key',
      withVersion(
        0x44,
        new ProtoWriter().bytes(1, key(1).subarray(0, 32)).uint32(2, 0).bytes(4, garbage).finish(),
      ),
      'DECODE_KEY_LENGTH',
    ],
  ];
  for (const [name, bytes, code] of rows)
    t.equal(
      codeOf(() => decodeSignalMessage(bytes)),
      code,
      name,
    );
  t.equal(
    codeOf(() => decodePreKeySignalMessage(new Uint8Array(0))),
    'DECODE_MESSAGE_TOO_SHORT',
  );

  const parts = (
    skip: readonly number[],
    base = key(8) as Uint8Array,
    identity = key(9) as Uint8Array,
  ) => {
    const writer = new ProtoWriter().raw(new Uint8Array([0x44]));
    const has = (field: number): boolean => !skip.includes(field);
    if (has(2)) writer.bytes(2, base);
    if (has(3)) writer.bytes(3, identity);
    if (has(4)) writer.bytes(4, encodeSignalMessage(sampleMessage));
    if (has(6)) writer.uint32(6, 1);
    if (has(7)) writer.uint32(7, 1);
    if (has(8)) writer.bytes(8, garbage);
    return writer.finish();
  };
  const preKeyRows: readonly (readonly [string, Uint8Array, string])[] = [
    ['whole', parts([]), 'accepted'],
    ['no signed prekey id, bad base key', parts([6], garbage), 'DECODE_PROTOBUF'],
    ['bad base key, one KEM field', parts([7], garbage), 'DECODE_KEY_TYPE'],
    [
      'ATK-B02 KEM ciphertext only, bad identity',
      parts([7], key(8), garbage),
      'DECODE_PREKEY_MESSAGE',
    ],
    ['ATK-B02 KEM id only', parts([8]), 'DECODE_PREKEY_MESSAGE'],
    ['ATK-B02 neither KEM field in version 4', parts([7, 8]), 'DECODE_PREKEY_MESSAGE'],
    ['bad identity key', parts([], key(8), garbage), 'DECODE_KEY_TYPE'],
  ];
  for (const [name, bytes, code] of preKeyRows) {
    t.equal(
      codeOf(() => decodePreKeySignalMessage(bytes)),
      code,
      name,
    );
  }
});

t.test('unknown fields are skipped but stay authenticated; the last occurrence wins', async (t) => {
  const extra = concatBytes(
    sampleMessage.authenticated,
    new ProtoWriter().uint32(2, 8).uint32(15, 1).finish(),
  );
  const message = decodeSignalMessage(concatBytes(extra, sampleMessage.mac));
  t.equal(message.counter, 8);
  t.strictSame(message.authenticated, extra);
});

t.test('a decoded message shares no memory with its input', async (t) => {
  const input = encodeSignalMessage(sampleMessage);
  const message = decodeSignalMessage(input);
  input.fill(0);
  t.strictSame(message.ciphertext, sampleInner.ciphertext);
  t.strictSame(message.authenticated, sampleMessage.authenticated);
  t.equal(message.ratchetKey[0], 5);
});

const sources: fc.Arbitrary<MessageKeySource> = fc.oneof(
  secret.map((seed) => ({ kind: 'seed' as const, seed: toMessageKeySeed(plain(seed)) })),
  fc.tuple(secret, secret).map(([a, b]) => ({
    kind: 'finished' as const,
    cipherKey: plain(a),
    macKey: plain(b),
    iv: plain(a.subarray(16)),
  })),
);
const skipped: fc.Arbitrary<SkippedKey> = fc.record({ index: u32, source: sources });
const chains = fc.record({ key: secret.map((k) => toChainKey(plain(k))), index: u32 });

const sessions: fc.Arbitrary<SessionStructure> = fc.record({
  version: fc.constantFrom(3, 4),
  localIdentity: keys,
  remoteIdentity: keys,
  rootKey: secret.map((k) => toRootKey(plain(k))),
  previousCounter: u32,
  sender: fc.option(
    fc.record({
      ratchetKey: fc.record({
        public: keys,
        secret: secret.map((k) => toPrivateKey(plain(k))),
      }),
      chain: chains,
    }),
    { nil: undefined },
  ),
  receivers: fc.array(
    fc.record({
      theirRatchetKey: keys,
      chain: chains,
      skipped: fc.array(skipped, { maxLength: 4 }),
    }),
    { maxLength: 5 },
  ),
  pendingPreKey: fc.option(
    fc.record({
      preKeyId: fc.option(u32, { nil: undefined }),
      signedPreKeyId: u32,
      baseKey: keys,
      createdAtSeconds: fc.maxSafeNat(),
    }),
    { nil: undefined },
  ),
  pendingKemPreKey: fc.option(fc.record({ kemPreKeyId: u32, ciphertext: bytes }), {
    nil: undefined,
  }),
  remoteRegistrationId: u32,
  localRegistrationId: u32,
  baseKey: keys,
  spqr: bytes,
});

/** A session as protobufjs wants it; zero and empty values left out, as proto3 does. */
function asObject(session: SessionStructure): object {
  const chain = (c: { key: Uint8Array; index: number }) => ({
    ...(c.index === 0 ? {} : { index: c.index }),
    key: c.key,
  });
  const { sender, pendingPreKey, pendingKemPreKey } = session;
  const defaults = (value: Record<string, unknown>): object =>
    Object.fromEntries(
      Object.entries(value).filter(
        ([, v]) => v !== 0 && v !== undefined && !(v instanceof Uint8Array && v.length === 0),
      ),
    );
  return defaults({
    version: session.version,
    localIdentity: session.localIdentity,
    remoteIdentity: session.remoteIdentity,
    rootKey: session.rootKey,
    previousCounter: session.previousCounter,
    sender: sender && {
      ratchetKey: sound(sender, '').ratchetKey.public,
      ratchetSecret: sound(sender, '').ratchetKey.secret,
      chainKey: chain(sound(sender, '').chain),
    },
    receivers: session.receivers.map((stored) => {
      const receiver = sound(stored, '');
      return {
        ratchetKey: receiver.theirRatchetKey,
        chainKey: chain(receiver.chain),
        skipped: receiver.skipped.map(({ index, source }) =>
          defaults(
            source.kind === 'seed'
              ? { index, seed: source.seed }
              : { index, cipherKey: source.cipherKey, macKey: source.macKey, iv: source.iv },
          ),
        ),
      };
    }),
    pendingPreKey: pendingPreKey && {
      // Written even when 0: `defaults` would drop it.
      ...(pendingPreKey.preKeyId === undefined ? {} : { preKeyId: pendingPreKey.preKeyId }),
      ...defaults({
        baseKey: pendingPreKey.baseKey,
        signedPreKeyId: pendingPreKey.signedPreKeyId | 0,
        createdAtSeconds: pendingPreKey.createdAtSeconds,
      }),
    },
    remoteRegistrationId: session.remoteRegistrationId,
    localRegistrationId: session.localRegistrationId,
    baseKey: session.baseKey,
    pendingKemPreKey:
      pendingKemPreKey &&
      defaults({
        kemPreKeyId: pendingKemPreKey.kemPreKeyId,
        ciphertext: pendingKemPreKey.ciphertext,
      }),
    spqr: session.spqr,
  });
}

t.test('records: same bytes as protobufjs, and back', async (t) => {
  const type = records.lookupType('qasid.Record');
  holds(
    t,
    fc.property(
      fc.option(sessions, { nil: undefined }),
      fc.array(bytes, { maxLength: 3 }),
      (current, archived) => {
        const record: RecordStructure = { current, archived };
        const ours = encodeRecordStructure(record, writeSpqrBytes);
        const theirs = type
          .encode({ ...(current === undefined ? {} : { current: asObject(current) }), archived })
          .finish();
        return (
          samePublicBytes(ours, theirs) &&
          samePublicBytes(
            encodeRecordStructure(decodeRecordStructure(ours), writeSpqrBytes),
            ours,
          ) &&
          // Encoding twice gives the same: no remembered encoding was wiped.
          samePublicBytes(encodeRecordStructure(record, writeSpqrBytes), ours)
        );
      },
    ),
    { seed: 3, numRuns: 200 },
  );
});

t.test(
  'ATK-C12 a record cut anywhere is refused or is a shorter record, and never crashes',
  async (t) => {
    const [session] = fc.sample(sessions, { seed: 4, numRuns: 1 });
    const whole = encodeRecordStructure(
      { current: session, archived: [plain(new Uint8Array(9))] },
      writeSpqrBytes,
    );
    for (let length = 0; length < whole.length; length++) {
      const code = codeOf(() => decodeRecordStructure(whole.subarray(0, length)));
      t.match(code, /^(accepted|DECODE_SESSION_RECORD)$/, `${length} bytes`);
    }
  },
);

t.test('a damaged part is kept and only refused when it is needed', async (t) => {
  const damaged = new ProtoWriter()
    .bytes(
      1,
      new ProtoWriter()
        .uint32(1, 4)
        .bytes(2, new Uint8Array([5, 1]))
        .bytes(4, new Uint8Array(31))
        .bytes(6, new ProtoWriter().bytes(1, key(1)).bytes(2, new Uint8Array(31)).finish())
        .bytes(7, new ProtoWriter().bytes(1, key(2)).finish())
        .finish(),
    )
    .finish();
  const { current } = decodeRecordStructure(damaged);
  t.ok(current?.rootKey instanceof Damaged);
  t.ok(current?.localIdentity instanceof Damaged);
  t.ok(current?.sender instanceof Damaged);
  t.ok(current?.receivers[0] instanceof Damaged);
  t.throws(() => sound(current?.rootKey, 'root key'), {
    code: 'STATE_INVALID_SESSION',
    message: 'invalid root key',
  });
  t.throws(() => sound(undefined, 'sender chain'), { message: 'missing sender chain' });
  t.strictSame(encodeRecordStructure({ current, archived: [] }, writeSpqrBytes), damaged);
});

t.test('ids of 2^31 and more are negative int32 on disk: ten bytes', async (t) => {
  const [session] = fc.sample(sessions, { seed: 5, numRuns: 1 });
  if (session === undefined) throw new Error('no sample');
  const pendingPreKey = {
    preKeyId: 0,
    signedPreKeyId: 0xffff_ffff,
    baseKey: key(1),
    createdAtSeconds: 0,
  };
  const whole = encodeRecordStructure(
    { current: { ...session, pendingPreKey }, archived: [] },
    writeSpqrBytes,
  );
  t.ok(toHex(whole).includes('18ffffffffffffffffff01'));
  t.ok(toHex(whole).includes('0800122105'), 'prekey id 0 is written');
  const again = decodeRecordStructure(whole).current?.pendingPreKey;
  t.equal(again?.signedPreKeyId, 0xffff_ffff);
  t.equal(again?.preKeyId, 0);
  t.ok(new ProtoReader(whole).next());
});
