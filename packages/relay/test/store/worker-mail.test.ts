// Batches on their way between threads: what comes out is what went in, or they do not go that way at all.
import { toAccountId } from '@qasid/protocol/envelope';
import fc from 'fast-check';
import t from 'tap';
import type { Write, WriteResults } from '#src/store/port.js';
import { packMail, packResults, unpackMail, unpackResults } from '#src/store/worker-mail.js';

const u32 = fc.nat(0xffff_ffff);
const number = fc.maxSafeNat();
const id = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Uint8Array.from(bytes));
const body = fc.uint8Array({ maxLength: 300 }).map((bytes) => Uint8Array.from(bytes));

/** Records as we write them, with a prototype. */
const plain = <Fields extends object>(fields: { [K in keyof Fields]: fc.Arbitrary<Fields[K]> }) =>
  fc.record<Fields>(fields, { noNullPrototype: true });

const append: fc.Arbitrary<Write> = fc.record(
  {
    kind: fc.constant('append' as const),
    dest: id.map(toAccountId),
    // Of an anonymous sender: a negative number of 48 bits.
    sender: fc.oneof(number, fc.integer({ min: -(2 ** 48), max: -1 })),
    urgent: fc.boolean(),
    exclude: fc.integer({ min: 1, max: 127 }),
    parts: fc.array(
      plain({
        device: fc.integer({ min: 1, max: 127 }),
        registrationId: u32,
        clientId: id,
        body,
      }),
      { maxLength: 4 },
    ),
    minute: u32,
    expiresMinute: u32,
  },
  {
    noNullPrototype: true,
    requiredKeys: ['kind', 'dest', 'sender', 'parts', 'minute', 'expiresMinute'],
  },
);
const ack: fc.Arbitrary<Write> = plain({
  kind: fc.constant('ack' as const),
  mailbox: number,
  through: number,
  also: fc.array(number, { maxLength: 5 }),
});

t.test('mail comes out as it went in', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.oneof(append, ack), { maxLength: 8 }), (writes) => {
      const packed = packMail(writes);
      t.ok(packed);
      if (packed) t.strictSame(unpackMail(packed), writes);
    }),
    { numRuns: 200 },
  );
});

t.test('bodies at any place of a frame are packed, and nothing else of the frame', async (t) => {
  const frame = new Uint8Array(5_000).fill(1);
  frame.fill(7, 101, 1_125);
  const [write] = fc.sample(append, 1);
  if (write?.kind !== 'append') throw new Error('no append');
  const clientId = frame.subarray(7, 23);
  const part = { device: 1, registrationId: 2, clientId, body: frame.subarray(101, 1_125) };
  const packed = packMail([{ ...write, parts: [part] }]) ?? new ArrayBuffer(0);
  t.ok(packed.byteLength < 1_300, `${packed.byteLength}`);
  const [same] = unpackMail(packed);
  t.strictSame(same?.kind === 'append' && same.parts[0]?.body, new Uint8Array(1_024).fill(7));
});

t.test('what is no mail is not packed', async (t) => {
  const [mail] = fc.sample(ack, 1);
  t.equal(packMail([mail!, { kind: 'probe', value: 1 }]), undefined);
});

t.test('results come out as they went in, unless one is a refusal', async (t) => {
  const stored = plain({
    kind: fc.constant('stored' as const),
    placements: fc.array(plain({ mailbox: number, seq: number, previousSeq: number })),
  });
  const acked = plain({ kind: fc.constant('acked' as const), count: number });
  type Result = WriteResults[Write['kind']];
  fc.assert(
    fc.property(fc.array(fc.oneof<fc.Arbitrary<Result>[]>(stored, acked)), (results) => {
      const packed = packResults(results);
      t.ok(packed);
      if (packed) t.strictSame(unpackResults(packed), results);
      t.equal(packResults([...results, { kind: 'full' }]), undefined);
    }),
    { numRuns: 100 },
  );
});
