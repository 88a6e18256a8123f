/** Turns a valid input into a hostile one. Pure: the random stream decides everything. */
import { concatBytes } from '#src/bytes.js';
import type { Random } from '../support/random.js';

const EDGES = [0, 1, 2, 0x7f, 0x80, 0x81, 0xfe, 0xff];
const LENGTHS = [0, 1, 2, 31, 32, 33, 34, 63, 64, 65, 1568, 1569, 1570];
const WIDE_VARINTS: readonly (readonly number[])[] = [
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  [0x80, 0x80, 0x80, 0x80, 0x10],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
  [0x80, 0x00],
  [0xa8, 0xc3, 0x01], // 25 000
  [0xa9, 0xc3, 0x01],
];

/** One to four mutations of a member of `corpus`; `header` bytes stand before a protobuf. */
export function mutate(random: Random, corpus: readonly Uint8Array[], header: number): Uint8Array {
  if (random.chance(0.02)) return random.bytes(random.below(200));
  let bytes: Uint8Array = random.pick(corpus).slice();
  for (let rounds = 1 + (random.chance(0.3) ? random.below(4) : 0); rounds > 0; rounds--) {
    bytes = random.chance(0.5)
      ? mutateBytes(random, bytes, corpus)
      : concatBytes(bytes.subarray(0, header), mutateFields(random, bytes.subarray(header), 0));
  }
  return bytes;
}

function mutateBytes(random: Random, bytes: Uint8Array, corpus: readonly Uint8Array[]): Uint8Array {
  const at = random.below(bytes.length + 1);
  const until = Math.min(bytes.length, at + 1 + random.below(random.chance(0.2) ? 64 : 4));
  const head = bytes.subarray(0, at);
  const rest = bytes.subarray(until);
  switch (random.below(9)) {
    case 0: // one bit
      if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
      return bytes;
    case 1: // one byte
      if (at < bytes.length) bytes[at] = random.pick(EDGES);
      return bytes;
    case 2:
      return head;
    case 3:
      return concatBytes(bytes, random.bytes(1 + random.below(40)));
    case 4: // a range gone
      return concatBytes(head, rest);
    case 5: // a range twice
      return concatBytes(bytes.subarray(0, until), bytes.subarray(at));
    case 6:
      return concatBytes(head, random.bytes(until - at), rest);
    case 7:
      return concatBytes(head, Uint8Array.from(random.pick(WIDE_VARINTS)), rest);
    default: {
      const other = random.pick(corpus);
      return concatBytes(head, other.subarray(random.below(other.length + 1)));
    }
  }
}

interface Field {
  readonly key: number;
  readonly start: number;
  readonly body: number;
  readonly end: number;
}

/** The fields of a message as far as it parses. */
function fieldsOf(bytes: Uint8Array): Field[] {
  const fields: Field[] = [];
  let offset = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; offset < bytes.length; factor *= 128) {
      const byte = bytes[offset++] ?? 0;
      value += (byte & 0x7f) * factor;
      if (byte < 128) return value;
    }
    return Number.NaN;
  };
  while (offset < bytes.length) {
    const start = offset;
    const key = varint();
    let body = offset;
    if ((key & 7) === 0) varint();
    else if ((key & 7) === 1) offset += 8;
    else if ((key & 7) === 5) offset += 4;
    else if ((key & 7) === 2) {
      const length = varint();
      body = offset;
      offset += length;
    } else break;
    if (!(offset <= bytes.length)) break;
    fields.push({ key, start, body, end: offset });
  }
  return fields;
}

function varintOf(value: number): Uint8Array {
  const out: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    out.push((rest % 128) | 0x80);
    rest = Math.floor(rest / 128);
  }
  return Uint8Array.from([...out, rest]);
}

function withBody(field: Field, body: Uint8Array): Uint8Array {
  return concatBytes(varintOf(field.key), varintOf(body.length), body);
}

/** Change one protobuf field, or one of a sub-message. */
function mutateFields(random: Random, bytes: Uint8Array, depth: number): Uint8Array {
  const fields = fieldsOf(bytes);
  if (fields.length === 0) return concatBytes(bytes, random.bytes(1 + random.below(8)));
  const field = random.pick(fields);
  const whole = bytes.subarray(field.start, field.end);
  const body = bytes.subarray(field.body, field.end);
  const replaced = (by: Uint8Array): Uint8Array =>
    concatBytes(bytes.subarray(0, field.start), by, bytes.subarray(field.end));
  const isBytes = (field.key & 7) === 2;
  if (isBytes && depth < 5 && body.length > 2 && random.chance(0.5)) {
    return replaced(withBody(field, mutateFields(random, body.slice(), depth + 1)));
  }
  switch (random.below(9)) {
    case 0:
      return replaced(new Uint8Array(0));
    case 1:
      return replaced(concatBytes(whole, whole));
    case 2: // another field number
      return replaced(concatBytes(varintOf(random.below(20) * 8 + (field.key & 7)), body));
    case 3: // another wire type
      return replaced(concatBytes(varintOf((field.key & ~7) | random.below(8)), body));
    case 4: // to the end, out of order
      return concatBytes(replaced(new Uint8Array(0)), whole);
    case 5: // a length that is a lie
      return isBytes
        ? replaced(
            concatBytes(varintOf(field.key), Uint8Array.from(random.pick(WIDE_VARINTS)), body),
          )
        : replaced(concatBytes(varintOf(field.key), Uint8Array.from(random.pick(WIDE_VARINTS))));
    case 6:
      return isBytes
        ? replaced(withBody(field, random.bytes(random.pick(LENGTHS))))
        : replaced(concatBytes(varintOf(field.key), varintOf(random.u32())));
    case 7: // an unknown field before it
      return replaced(concatBytes(varintOf((100 + random.below(1000)) * 8), varintOf(7), whole));
    default:
      return isBytes
        ? replaced(withBody(field, body.subarray(0, random.below(body.length + 1))))
        : replaced(concatBytes(varintOf(field.key), varintOf(random.below(8))));
  }
}
