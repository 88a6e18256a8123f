// The protobuf reader and writer: the tolerance of compatible peers, not a bit more.
import t from 'tap';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { concatBytes, fromHex, samePublicBytes, toHex } from '#src/bytes.js';
import { ProtoReader, ProtoWriter } from '#src/wire/protobuf.js';
import { holds } from '../support/property.js';

const hex = (text: string): Uint8Array => fromHex(text.replaceAll(' ', '')) ?? new Uint8Array(0);

const INVALID = { code: 'DECODE_PROTOBUF' };

/** Read every field as `kind`; the values in order. */
function readAll(bytes: Uint8Array, kind: 'uint32' | 'uint64' | 'fixed64' | 'bytes' | 'skip') {
  const reader = new ProtoReader(bytes);
  const out: unknown[] = [];
  while (reader.next()) {
    if (kind === 'bytes') out.push(toHex(reader.bytes()));
    else out.push(reader[kind]());
  }
  return out;
}

t.test('ATK-A12 integers: edges of 32 and 64 bits, over-long and over-wide varints', async (t) => {
  const cases: readonly (readonly [string, string, number])[] = [
    ['0', '08 00', 0],
    ['127', '08 7f', 127],
    ['128', '08 8001', 128],
    ['2^31', '08 8080808008', 2 ** 31],
    ['2^32 - 1', '08 ffffffff0f', 2 ** 32 - 1],
    ['2^32: high bits are dropped', '08 8080808010', 0],
    ['2^32 + 5', '08 8580808010', 5],
    ['2^64 - 1', '08 ffffffffffffffffff01', 2 ** 32 - 1],
    ['1 in five bytes', '08 8180808000', 1],
    ['1 in ten bytes', '08 81808080808080808000', 1],
  ];
  for (const [name, bytes, value] of cases) {
    t.strictSame(readAll(hex(bytes), 'uint32'), [value], name);
  }
  t.throws(() => readAll(hex('08 8180808080808080808000'), 'uint32'), INVALID, 'eleven bytes');
  t.throws(() => readAll(hex('08 ffffffffffffffffff02'), 'uint32'), INVALID, 'beyond 64 bits');
  t.strictSame(readAll(hex('08 ffffffffffffff0f'), 'uint64'), [2 ** 53 - 1]);
  t.throws(() => readAll(hex('08 8080808080808010'), 'uint64'), INVALID, '2^53 is not safe');
  t.strictSame(readAll(hex('09 ffffffffffff1f00'), 'fixed64'), [2 ** 53 - 1]);
  t.throws(() => readAll(hex('09 0000000000002000'), 'fixed64'), INVALID, '2^53 is not safe');
});

t.test('invalid tags, wire types and lengths are errors', async (t) => {
  t.throws(() => readAll(hex('00 00'), 'skip'), INVALID, 'field 0');
  t.throws(() => readAll(hex('0e 00'), 'skip'), INVALID, 'wire type 6');
  t.throws(() => readAll(hex('0f 00'), 'skip'), INVALID, 'wire type 7');
  t.throws(() => readAll(hex('0c'), 'skip'), INVALID, 'group end without start');
  t.throws(() => readAll(hex('0b 08 00'), 'skip'), INVALID, 'group without end');
  t.throws(() => readAll(hex('0b 14'), 'skip'), INVALID, 'group end of another field');
  t.strictSame(readAll(hex('0b 08 00 0c'), 'skip'), [undefined], 'a whole group is passed over');
  t.throws(() => readAll(hex('0a ffffffff0f'), 'bytes'), INVALID, '4 GiB are not there');
  t.throws(() => readAll(hex('0a 02 00'), 'bytes'), INVALID, 'one byte short');
  t.throws(() => readAll(hex('0a 8080808010'), 'bytes'), INVALID, 'a length of 2^32 is not 0');
  t.throws(() => readAll(hex('0a 8180808010 07'), 'skip'), INVALID, 'nor is 2^32 + 1 a 1');
  t.strictSame(readAll(hex('0a 818000 07'), 'bytes').length, 1, 'a long form of 1 is a 1');
  t.throws(() => readAll(hex('8080808080808080808001 00'), 'skip'), INVALID, 'tag beyond 32 bits');
  t.throws(() => readAll(hex(`${'0b'.repeat(50)}${'0c'.repeat(50)}`), 'skip'), INVALID, 'nesting');
});

t.test('a known field with another wire type is an error, whatever it is', async (t) => {
  const encoded: Readonly<Record<string, string>> = {
    uint32: '08 05',
    fixed64: '09 0500000000000000',
    bytes: '0a 01 05',
    fixed32: '0d 05000000',
  };
  for (const kind of ['uint32', 'fixed64', 'bytes'] as const) {
    for (const [other, bytes] of Object.entries(encoded)) {
      const read = () => readAll(hex(bytes), kind);
      if (other === kind) t.equal(read().length, 1, `${other} as ${kind}`);
      else t.throws(read, INVALID, `${other} as ${kind}`);
    }
  }
});

t.test('what the writer writes, protobufjs reads, and the other way round', async (t) => {
  const type = new protobuf.Type('T')
    .add(new protobuf.Field('u', 1, 'uint32'))
    .add(new protobuf.Field('i', 2, 'int32'))
    .add(new protobuf.Field('l', 3, 'uint64'))
    .add(new protobuf.Field('f', 4, 'fixed64'))
    .add(new protobuf.Field('b', 5, 'bytes'));
  new protobuf.Root().add(type);
  holds(
    t,
    fc.property(
      fc.integer({ min: 0, max: 0xffff_ffff }),
      fc.integer({ min: 0, max: 0xffff_ffff }),
      fc.maxSafeNat(),
      fc.uint8Array({ maxLength: 300 }),
      (u, i, l, b) => {
        const ours = new ProtoWriter(1)
          .uint32(1, u)
          .int32(2, i)
          .uint64(3, l)
          .fixed64(4, l)
          .bytes(5, b);
        const bytes = ours.finish();
        const theirs = type.encode({ u, i: i | 0, l, f: l, b }).finish();
        if (!samePublicBytes(bytes, theirs)) return false;
        const reader = new ProtoReader(bytes);
        const seen: unknown[] = [];
        while (reader.next()) {
          if (reader.field <= 2) seen.push(reader.uint32());
          else if (reader.field === 3) seen.push(reader.uint64());
          else if (reader.field === 4) seen.push(reader.fixed64());
          else seen.push(toHex(reader.bytes()));
        }
        return seen.join() === [u, i, l, l, toHex(b)].join();
      },
    ),
    { seed: 11, numRuns: 200 },
  );
});

t.test('truncation at every byte is an error or a shorter message, never a hang', async (t) => {
  const whole = new ProtoWriter()
    .uint32(1, 300)
    .bytes(2, new Uint8Array(5).fill(7))
    .fixed64(3, 9)
    .uint32(4, 0xffff_ffff)
    .finish();
  const ends = new Set([0, 3, 10, 19, whole.length]);
  for (let length = 0; length <= whole.length; length++) {
    const read = () => readAll(whole.subarray(0, length), 'skip');
    if (ends.has(length)) t.doesNotThrow(read, `${length} bytes end between fields`);
    else t.throws(read, INVALID, `${length} bytes`);
  }
});

t.test(
  'the last occurrence wins is the reader of a field, the writer repeats nothing',
  async (t) => {
    const bytes = concatBytes(new ProtoWriter().uint32(1, 1).finish(), hex('08 02'));
    t.strictSame(readAll(bytes, 'uint32'), [1, 2]);
  },
);

t.test('a writer can be used again and has forgotten what it wrote', async (t) => {
  const writer = new ProtoWriter(4);
  const first = writer.bytes(1, new Uint8Array(40).fill(1)).finish();
  const second = writer.uint32(2, 5).finish();
  t.equal(toHex(second), '1005');
  t.equal(first.length, 42);
});
