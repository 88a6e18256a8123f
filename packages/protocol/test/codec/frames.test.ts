// Relay frames: the same bytes as protobufjs makes of schema/relay.proto, and nothing but frames decodes.
import { readFileSync } from 'node:fs';
import t from 'tap';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { toHex } from '#src/bytes.js';
import { QasidError } from '#src/errors.js';
import {
  type AccountId,
  decodeFrame,
  encodeEvent,
  encodeFrame,
  encodeItem,
  event,
  type Item,
  joinItems,
  MAX_FRAME_BYTES,
  type PrekeyUpload,
  RELAY_CODES,
  type RelayCode,
  request,
  type SignedPublicPrekey,
  toAccountId,
  toRelayId,
} from '@qasid/protocol/envelope';
import {
  MAX_FRAME_ITEMS,
  MAX_MANY_RECIPIENTS,
  MAX_RECORD_BYTES,
  MAX_RENDEZVOUS_BYTES,
  MAX_SEND_PARTS,
} from '#src/limits.js';
import { ProtoWriter } from '#src/wire/protobuf.js';

const root = protobuf.parse(
  readFileSync(new URL('../../src/envelope/schema/relay.proto', import.meta.url), 'utf8'),
  { keepCase: true },
).root;
const Frame = root.lookupType('qasid.relay.v1.Frame');

const sized = (length: number, first?: number): fc.Arbitrary<Uint8Array<ArrayBuffer>> =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((value) => {
    const out = Uint8Array.from(value);
    if (first !== undefined) out[0] = first;
    return out;
  });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const seq = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const device = fc.integer({ min: 1, max: 127 });
const devices = fc.array(device, { maxLength: 8 });
const account: fc.Arbitrary<AccountId> = sized(16).map(toAccountId);
const signature = sized(64);
// Never empty: proto3 writers leave an empty field out, and a required one may not be missing.
const body = fc.uint8Array({ minLength: 1, maxLength: 300 }).map((value) => Uint8Array.from(value));
const username = fc.stringMatching(/^[a-z0-9_.-]{3,32}$/);
const prekey = fc.record({ id: u32, public: sized(33, 5) });
const signedPrekey = fc.record({ id: u32, public: sized(33, 5), signature });
// 1569 random bytes per key are slow to draw, and all alike to a codec.
const kemPrekey: fc.Arbitrary<SignedPublicPrekey> = fc
  .record({ id: u32, fill: fc.nat(255), signature })
  .map(({ fill, ...key }) => ({ ...key, public: new Uint8Array(1569).fill(fill).fill(8, 0, 1) }));
const signedList = fc.record({ list: body, signature });

const upload: fc.Arbitrary<PrekeyUpload> = fc
  .record({
    signed: fc.option(signedPrekey, { nil: undefined }),
    oneTime: fc.array(prekey, { maxLength: 3 }),
    lastResortKem: fc.option(kemPrekey, { nil: undefined }),
    kem: fc.array(kemPrekey, { maxLength: 2 }),
  })
  .map(({ signed, lastResortKem, ...rest }) => ({
    ...rest,
    ...(signed && { signed }),
    ...(lastResortKem && { lastResortKem }),
  }));

const credential = fc.oneof(
  fc.constant({}),
  fc.record({ token: sized(32) }),
  fc.record({ tokenId: sized(16), token: sized(32) }),
);
const withCredential = <Op extends object>(arbitrary: fc.Arbitrary<Op>) =>
  fc.tuple(arbitrary, credential).map(([op, more]) => ({ ...op, ...more }));
const terms = fc.record({
  id: sized(16),
  isInlet: fc.boolean(),
  mayFetchKeys: fc.boolean(),
  expiresMinute: u32,
  rate: u32,
});
const targets = fc.array(
  fc
    .tuple(
      fc.record({ dest: account, token: sized(32) }),
      fc.oneof(fc.constant({}), fc.record({ tokenId: sized(16) })),
    )
    .map(([target, more]) => ({ ...target, ...more })),
  { minLength: 1, maxLength: 3 },
);

const op = fc.oneof(
  fc.tuple(terms, sized(32)).map(([rest, verifier]) => ({
    kind: 'putToken' as const,
    ...rest,
    verifier,
  })),
  fc.constant({ kind: 'listTokens' as const }),
  fc.record({ kind: fc.constant('removeToken' as const), id: sized(16) }),
  fc.record({ kind: fc.constant('anonymous' as const), version: fc.integer({ min: 1, max: 9 }) }),
  fc.record({
    kind: fc.constant('sendMany' as const),
    message: body,
    targets,
    clientId: sized(16),
    ephemeral: fc.boolean(),
    urgent: fc.boolean(),
    ttlSeconds: u32,
  }),
  fc.record({ kind: fc.constant('auth' as const), account, device, signature, version: u32 }),
  fc
    .record({
      kind: fc.constant('register' as const),
      account,
      identityKey: sized(33, 5),
      username: fc.option(username, { nil: undefined }),
      devices: signedList,
      device,
      prekeys: upload,
      signature,
      version: u32,
      invite: fc.option(sized(20), { nil: undefined }),
      ticket: fc.option(fc.stringMatching(/^[A-Za-z0-9_.-]{1,99}$/), { nil: undefined }),
      work: fc.option(sized(8), { nil: undefined }),
    })
    .map(({ username, invite, ticket, work, ...rest }) => ({
      ...rest,
      ...(username !== undefined && { username }),
      ...(invite && { invite }),
      ...(ticket !== undefined && { ticket }),
      ...(work && { work }),
    })),
  withCredential(
    fc.record({
      kind: fc.constant('send' as const),
      dest: account,
      parts: fc.array(fc.record({ device, registrationId: u32, clientId: sized(16), body }), {
        maxLength: 4,
      }),
      ephemeral: fc.boolean(),
      urgent: fc.boolean(),
      ttlSeconds: u32,
    }),
  ),
  fc.record({
    kind: fc.constant('ack' as const),
    through: seq,
    also: fc.array(seq, { maxLength: 5 }),
  }),
  withCredential(fc.record({ kind: fc.constant('takePrekeys' as const), account, devices })),
  fc.record({ kind: fc.constant('putPrekeys' as const), prekeys: upload }),
  fc.record({ kind: fc.constant('putDevices' as const), devices: signedList }),
  withCredential(fc.record({ kind: fc.constant('devices' as const), account })),
  fc.record({ kind: fc.constant('lookup' as const), username }),
  fc.constant({ kind: 'prekeyCount' as const }),
  fc.record({
    kind: fc.constant('blobCreate' as const),
    size: seq,
    verifier: sized(32),
    days: u32,
  }),
  fc
    .record({
      kind: fc.constant('blob' as const),
      action: fc.constantFrom(
        'read' as const,
        'write' as const,
        'keep' as const,
        'delete' as const,
      ),
      id: sized(32),
      capability: fc.option(sized(32), { nil: undefined }),
      days: u32,
    })
    .map(({ capability, ...rest }) => ({ ...rest, ...(capability && { capability }) })),
  fc.constant({ kind: 'turn' as const }),
  fc.constant({ kind: 'pushInfo' as const }),
  fc.constant({ kind: 'putPush' as const }),
  fc.record({ kind: fc.constant('putPush' as const), endpoint: fc.webUrl({ size: 'small' }) }),
  fc.record({ kind: fc.constant('putPush' as const), handle: sized(20) }),
  fc.record({ kind: fc.constant('recordGet' as const), id: sized(32) }),
  fc.record({
    kind: fc.constant('recordPut' as const),
    id: sized(32),
    expectedVersion: seq,
    capability: sized(32),
    value: body,
  }),
  fc.record({
    kind: fc.constant('recordDelete' as const),
    id: sized(32),
    expectedVersion: seq,
    capability: sized(32),
  }),
  fc.constant({ kind: 'ping' as const }),
  fc.record({
    kind: fc.constant('link' as const),
    account,
    device,
    devices: signedList,
    grant: fc.record({ expiresAtSeconds: seq, signature }),
    prekeys: upload,
    signature,
    version: u32,
  }),
  fc.record({ kind: fc.constant('deleteAccount' as const), account, device, signature }),
  fc.record({ kind: fc.constant('setUsername' as const), username }),
  fc.constant({ kind: 'setUsername' as const }),
  fc.record({ kind: fc.constant('rendezvousPut' as const), slot: sized(16), message: body }),
  fc.record({ kind: fc.constant('rendezvousTake' as const), slot: sized(16) }),
);

const codes = Object.keys(RELAY_CODES) as RelayCode[];
const responseBody = fc.oneof(
  fc.record({ kind: fc.constant('tokens' as const), tokens: fc.array(terms, { maxLength: 3 }) }),
  fc.record({
    kind: fc.constant('manyFailures' as const),
    failures: fc.array(
      fc.record({
        dest: account,
        code: fc.constantFrom(...codes),
        retryAfterMs: u32,
        missing: devices,
        extra: devices,
        stale: devices,
      }),
      { maxLength: 3 },
    ),
  }),
  fc.constant({ kind: 'none' as const }),
  fc.record({ kind: fc.constant('mismatch' as const), missing: devices, extra: devices }),
  fc.record({ kind: fc.constant('stale' as const), devices }),
  fc.record({
    kind: fc.constant('bundles' as const),
    identityKey: sized(33, 5),
    devices: signedList,
    bundles: fc.array(
      fc
        .record({
          device,
          registrationId: u32,
          signed: signedPrekey,
          oneTime: fc.option(prekey, { nil: undefined }),
          kem: kemPrekey,
          kemLastResort: fc.boolean(),
        })
        .map(({ oneTime, ...rest }) => ({ ...rest, ...(oneTime && { oneTime }) })),
      { maxLength: 2 },
    ),
  }),
  fc
    .record({
      kind: fc.constant('devices' as const),
      identityKey: sized(33, 5),
      devices: signedList,
      username: fc.option(username, { nil: undefined }),
    })
    .map(({ username, ...rest }) => ({ ...rest, ...(username !== undefined && { username }) })),
  fc.record({ kind: fc.constant('found' as const), account }),
  fc.record({ kind: fc.constant('rendezvous' as const), message: body }),
  fc.record({ kind: fc.constant('work' as const), bits: u32 }),
  fc.record({
    kind: fc.constant('blobTicket' as const),
    id: sized(32),
    ticket: sized(94),
    ttlSeconds: u32,
  }),
  fc.record({
    kind: fc.constant('turn' as const),
    urls: fc.array(fc.string({ minLength: 1 }), { maxLength: 3 }),
    username: fc.string({ minLength: 1 }),
    credential: fc.string({ minLength: 1 }),
    ttlSeconds: u32,
  }),
  fc.record({ kind: fc.constant('record' as const), version: seq, value: body }),
  fc.record({ kind: fc.constant('pushInfo' as const), hasGateway: fc.boolean() }),
  fc.record({
    kind: fc.constant('pushInfo' as const),
    vapidKey: sized(65),
    hasGateway: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant('prekeyCounts' as const),
    oneTime: u32,
    kem: u32,
    signedId: u32,
    lastResortKemId: u32,
  }),
);

const relayEvent = fc.oneof(
  fc.record({
    kind: fc.constant('challenge' as const),
    nonce: sized(32),
    relayId: sized(32).map(toRelayId),
    limits: fc.record({
      frameBytesMax: u32,
      partsMax: u32,
      bodyBytesMax: u32,
      windowEnvelopes: u32,
      windowBytes: u32,
      creditParts: u32,
      creditBytes: u32,
      devicesMax: u32,
      recipientsMax: u32,
      padding: u32,
    }),
    serverTimeMs: seq,
    versionMin: u32,
    versionMax: u32,
    epoch: seq,
  }),
  fc.record({
    kind: fc.constant('deliver' as const),
    seq,
    clientId: sized(16),
    body,
    minute: seq,
    attempt: u32,
  }),
  fc.constant({ kind: 'queueEmpty' as const }),
  fc.record({ kind: fc.constant('draining' as const), afterMs: u32 }),
  fc.record({ kind: fc.constant('devicesChanged' as const), account, version: u32 }),
  fc.record({ kind: fc.constant('prekeysLow' as const), oneTime: u32, kem: u32 }),
  fc.constant({ kind: 'replaced' as const }),
);

const item: fc.Arbitrary<Item> = fc.oneof(
  fc.record({ kind: fc.constant('request' as const), id: seq, op }),
  fc.record({
    kind: fc.constant('response' as const),
    id: seq,
    code: fc.constantFrom(...codes),
    retryAfterMs: u32,
    body: responseBody,
  }),
  fc.record({ kind: fc.constant('event' as const), event: relayEvent }),
);
const items = fc.array(item, { maxLength: 4 });

t.test('what is encoded decodes to the same', async (t) => {
  fc.assert(
    fc.property(items, (list) => {
      t.same(decodeFrame(encodeFrame(list)), list);
    }),
    { numRuns: 300 },
  );
});

t.test('protobufjs reads it by the schema, and writes the same bytes', async (t) => {
  fc.assert(
    fc.property(items, (list) => {
      const ours = encodeFrame(list);
      const theirs = Frame.encode(Frame.decode(ours)).finish();
      t.equal(toHex(Uint8Array.from(theirs)), toHex(ours));
    }),
    { numRuns: 300 },
  );
});

t.test('a delivery written in one pass is what nested writers make of it', async (t) => {
  fc.assert(
    fc.property(
      fc.record({
        seq,
        clientId: sized(16),
        body: fc.nat(70_000).map((length) => new Uint8Array(length).fill(length)),
        minute: fc.oneof(fc.constant(0), seq),
        attempt: fc.oneof(fc.constant(0), u32),
      }),
      (fields) => {
        const deliver = { kind: 'deliver', ...fields } as const;
        const nested = new ProtoWriter().bytes(3, encodeEvent(event(deliver))).finish();
        t.equal(
          toHex(encodeItem(event(deliver))),
          toHex(new ProtoWriter().bytes(1, nested).finish()),
        );
      },
    ),
    { numRuns: 100 },
  );
});

t.test('items can be encoded one by one and joined', async (t) => {
  fc.assert(
    fc.property(items, (list) => {
      t.strictSame(joinItems(list.map(encodeItem)), encodeFrame(list));
    }),
    { numRuns: 50 },
  );
});

t.test('cut at every byte, a frame is another frame or a typed error', async (t) => {
  const [sample] = fc.sample(fc.array(item, { minLength: 12, maxLength: 12 }), {
    numRuns: 1,
    seed: 7,
  });
  const bytes = encodeFrame(sample!);
  for (let length = 0; length < bytes.length; length++) {
    try {
      decodeFrame(bytes.subarray(0, length));
    } catch (error) {
      if (!(error instanceof QasidError)) throw error;
    }
  }
  t.pass(`${bytes.length} lengths`);
});

const ACCOUNT = toAccountId(new Uint8Array(16).fill(1));
const inFrame = (req: Uint8Array): Uint8Array =>
  new ProtoWriter().bytes(1, new ProtoWriter().bytes(1, req).finish()).finish();

t.test('an unknown operation is told apart from a broken one', async (t) => {
  const future = inFrame(new ProtoWriter().uint64(1, 9).bytes(60, new Uint8Array(3)).finish());
  t.strictSame(decodeFrame(future), [
    { kind: 'request', id: 9, op: { kind: 'unknown', field: 60 } },
  ]);
  const nothing = inFrame(new ProtoWriter().uint64(1, 9).finish());
  t.match(decodeFrame(nothing), [{ op: { kind: 'unknown' } }]);
  const twice = inFrame(
    new ProtoWriter()
      .uint64(1, 9)
      .bytes(14, new Uint8Array(0))
      .bytes(15, new Uint8Array(0))
      .finish(),
  );
  t.throws(() => decodeFrame(twice), { code: 'DECODE_FRAME' });
});

t.test('ATK-A12 ids, tokens and verifiers have one length each', async (t) => {
  const op = (field: number, fields: (writer: ProtoWriter) => ProtoWriter): Uint8Array =>
    inFrame(
      new ProtoWriter().uint64(1, 1).bytes(field, fields(new ProtoWriter()).finish()).finish(),
    );
  const bytes = (length: number) => new Uint8Array(length);
  const put = (id: number, verifier: number) =>
    op(9, (w) => w.bytes(1, bytes(id)).bytes(2, bytes(verifier)));
  const take = (id: number, token: number) =>
    op(5, (w) => w.bytes(1, ACCOUNT).bytes(3, bytes(id)).bytes(4, bytes(token)));
  const list = (id: number, token: number) =>
    op(8, (w) => w.bytes(1, ACCOUNT).bytes(2, bytes(id)).bytes(3, bytes(token)));
  const send = (id: number, token: number) =>
    op(3, (w) => w.bytes(1, ACCOUNT).bytes(2, bytes(id)).bytes(3, bytes(token)));
  const many = (id: number, token: number) =>
    op(19, (w) =>
      w
        .bytes(1, bytes(40))
        .bytes(
          2,
          new ProtoWriter().bytes(1, ACCOUNT).bytes(2, bytes(id)).bytes(3, bytes(token)).finish(),
        )
        .bytes(3, bytes(16)),
    );
  for (const build of [put, take, list, send, many]) {
    t.equal(decodeFrame(build(16, 32)).length, 1);
    for (const [id, secret] of [
      [15, 32],
      [17, 32],
      [16, 31],
      [16, 33],
      [0, 32],
    ] as const) {
      t.throws(() => decodeFrame(build(id, secret)), { code: 'DECODE_FRAME' });
    }
  }
  t.throws(() => decodeFrame(op(17, (w) => w.bytes(1, bytes(15)))), { code: 'DECODE_FRAME' });
  t.throws(() => decodeFrame(op(17, (w) => w)), { code: 'DECODE_FRAME' });
  const late = (minute: number) =>
    op(9, (w) => w.bytes(1, bytes(16)).bytes(2, bytes(32)).uint64(5, minute));
  t.equal(decodeFrame(late(0xffff_ffff)).length, 1);
  t.throws(() => decodeFrame(late(0x1_0000_0000)), { code: 'DECODE_FRAME' });
});

t.test('unknown fields and item kinds are passed over', async (t) => {
  const known = encodeItem(request(1, { kind: 'ping' }));
  const futureItem = new ProtoWriter()
    .bytes(1, new ProtoWriter().bytes(9, new Uint8Array(2)).finish())
    .finish();
  const futureField = new ProtoWriter().uint64(7, 1).finish();
  t.strictSame(decodeFrame(joinItems([futureItem, known, futureField])), [
    request(1, { kind: 'ping' }),
  ]);
});

t.test('ATK-A12 sizes and ranges are checked field by field', async (t) => {
  const auth = (fields: (writer: ProtoWriter) => void): Uint8Array => {
    const writer = new ProtoWriter();
    fields(writer);
    return inFrame(new ProtoWriter().uint64(1, 1).bytes(2, writer.finish()).finish());
  };
  const good = auth((w) => w.bytes(1, ACCOUNT).uint32(2, 1).bytes(3, new Uint8Array(64)));
  t.equal(decodeFrame(good).length, 1);
  const wrong: Record<string, Uint8Array> = {
    'no account': auth((w) => w.uint32(2, 1).bytes(3, new Uint8Array(64))),
    'short account': auth((w) =>
      w.bytes(1, ACCOUNT.subarray(1)).uint32(2, 1).bytes(3, new Uint8Array(64)),
    ),
    'device 0': auth((w) => w.bytes(1, ACCOUNT).uint32(2, 0).bytes(3, new Uint8Array(64))),
    'device 128': auth((w) => w.bytes(1, ACCOUNT).uint32(2, 128).bytes(3, new Uint8Array(64))),
    'device 2^32 + 1': auth((w) =>
      w.bytes(1, ACCOUNT).uint64(2, 0x1_0000_0001).bytes(3, new Uint8Array(64)),
    ),
    'long signature': auth((w) => w.bytes(1, ACCOUNT).uint32(2, 1).bytes(3, new Uint8Array(65))),
    'wrong wire type': auth((w) => w.uint32(1, 5).uint32(2, 1).bytes(3, new Uint8Array(64))),
  };
  for (const [name, bytes] of Object.entries(wrong)) {
    t.throws(() => decodeFrame(bytes), { code: /^DECODE_/ }, name);
  }
  for (const name of ['ab', 'a'.repeat(33), 'Bob', 'b ob', 'böb', '', "x' OR 1=1"]) {
    const frame = inFrame(
      new ProtoWriter().uint64(1, 1).bytes(13, new ProtoWriter().text(1, name).finish()).finish(),
    );
    t.throws(() => decodeFrame(frame), { code: 'DECODE_FRAME' }, `user name "${name}"`);
  }
});

t.test('ATK-I10 counts are bounded on both sides of each limit', async (t) => {
  const ping = encodeItem(request(1, { kind: 'ping' }));
  const pings = (count: number): Uint8Array => joinItems(new Array(count).fill(ping));
  t.equal(decodeFrame(pings(MAX_FRAME_ITEMS)).length, MAX_FRAME_ITEMS);
  t.throws(() => decodeFrame(pings(MAX_FRAME_ITEMS + 1)), { code: 'DECODE_FRAME' });
  const part = {
    device: 1,
    registrationId: 1,
    clientId: new Uint8Array(16),
    body: new Uint8Array(1),
  };
  const send = (count: number): Uint8Array =>
    encodeFrame([
      request(1, {
        kind: 'send',
        dest: ACCOUNT,
        parts: new Array(count).fill(part),
        ephemeral: false,
        urgent: false,
        ttlSeconds: 0,
      }),
    ]);
  const target = { dest: ACCOUNT, token: new Uint8Array(32) };
  const many = (count: number): Uint8Array =>
    encodeFrame([
      request(1, {
        kind: 'sendMany',
        message: new Uint8Array(40),
        targets: new Array(count).fill(target),
        clientId: new Uint8Array(16),
        ephemeral: false,
        urgent: false,
        ttlSeconds: 0,
      }),
    ]);
  t.equal(decodeFrame(many(MAX_MANY_RECIPIENTS)).length, 1);
  t.throws(() => decodeFrame(many(MAX_MANY_RECIPIENTS + 1)), { code: 'DECODE_FRAME' });
  t.throws(() => decodeFrame(many(0)), { code: 'DECODE_FRAME' }, 'and at least one');
  t.equal(decodeFrame(send(MAX_SEND_PARTS)).length, 1);
  t.throws(() => decodeFrame(send(MAX_SEND_PARTS + 1)), { code: 'DECODE_FRAME' });
  t.throws(() => decodeFrame(new Uint8Array(MAX_FRAME_BYTES + 1)), { code: 'DECODE_FRAME' });
});

t.test('ATK-I10 a message of a rendezvous is bounded on both sides of its limit', async (t) => {
  const put = (length: number): Uint8Array =>
    encodeFrame([
      request(1, {
        kind: 'rendezvousPut',
        slot: new Uint8Array(16),
        message: new Uint8Array(length),
      }),
    ]);
  t.equal(decodeFrame(put(MAX_RENDEZVOUS_BYTES)).length, 1);
  t.throws(() => decodeFrame(put(MAX_RENDEZVOUS_BYTES + 1)), { code: 'DECODE_FRAME' });
});

t.test('bodies are views of the frame, everything else is a copy', async (t) => {
  const deliver = {
    kind: 'deliver',
    seq: 1,
    clientId: new Uint8Array(16).fill(2),
    body: new Uint8Array(4).fill(3),
    minute: 4,
    attempt: 0,
  } as const;
  const bytes = encodeFrame([event(deliver)]);
  const [decoded] = decodeFrame(bytes);
  bytes.fill(0xff);
  if (decoded?.kind !== 'event' || decoded.event.kind !== 'deliver') throw new Error('kind');
  t.strictSame(decoded.event.clientId, deliver.clientId);
  t.strictSame(decoded.event.body, new Uint8Array(4).fill(0xff));
});

t.test('ATK-A12 blob and record requests are checked field by field', async (t) => {
  const op = (field: number, fields: (writer: ProtoWriter) => void): Uint8Array => {
    const writer = new ProtoWriter();
    fields(writer);
    return inFrame(new ProtoWriter().uint64(1, 1).bytes(field, writer.finish()).finish());
  };
  const id = new Uint8Array(32).fill(7);
  const putFrame = (length: number): Uint8Array =>
    op(41, (w) => w.bytes(1, id).bytes(3, id).bytes(4, new Uint8Array(length)));
  t.equal(decodeFrame(putFrame(MAX_RECORD_BYTES)).length, 1);
  const wrong: Record<string, Uint8Array> = {
    'no action': op(10, (w) => w.bytes(2, id)),
    'unknown action': op(10, (w) => w.uint32(1, 6).bytes(2, id)),
    'create without verifier': op(10, (w) => w.uint32(1, 1).uint64(3, 5)),
    'read without id': op(10, (w) => w.uint32(1, 2)),
    'short blob id': op(10, (w) => w.uint32(1, 2).bytes(2, id.subarray(1))),
    'short record id': op(40, (w) => w.bytes(1, id.subarray(1))),
    'record without id': op(40, () => undefined),
    'put without capability': op(41, (w) => w.bytes(1, id).bytes(4, id)),
    'put without value': op(41, (w) => w.bytes(1, id).bytes(3, id)),
    'delete without capability': op(42, (w) => w.bytes(1, id)),
    'value over the limit': putFrame(MAX_RECORD_BYTES + 1),
  };
  for (const [name, bytes] of Object.entries(wrong)) {
    t.throws(() => decodeFrame(bytes), { code: 'DECODE_FRAME' }, name);
  }
});
