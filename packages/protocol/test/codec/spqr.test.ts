/** Stored forms of SPQR: round trips in every state, each malformed state of 06 §10.5, truncation. */
import t from 'tap';
import { concatBytes, toHex, type Bytes } from '#src/bytes.js';
import { nodeProvider as crypto } from '#src/crypto/node.js';
import { QasidError } from '#src/errors.js';
import {
  decodeSpqrState,
  encodeSpqrState,
  spqrProgress,
  spqrReason,
  spqrReceive,
  spqrSend,
  type SpqrState,
} from '#src/spqr/index.js';
import { ProtoReader, ProtoWriter } from '#src/wire/protobuf.js';
import { BackwardWriter } from '#src/wire/protobuf-backward.js';
import { Random } from '../support/random.js';
import { pair } from '../support/spqr.js';

type Field = readonly [number, number | Bytes];

/** Fields of a message whose numbers in `varints` are integers, and the rest bytes. */
function fieldsOf(bytes: Uint8Array, varints: readonly number[]): Field[] {
  const out: Field[] = [];
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    const { field } = reader;
    out.push([field, varints.includes(field) ? reader.uint64() : reader.bytes().slice()]);
  }
  return out;
}

function join(fields: readonly Field[]): Bytes {
  const writer = new ProtoWriter();
  for (const [field, value] of fields) {
    if (typeof value === 'number') writer.uint64(field, value);
    else writer.bytes(field, value);
  }
  return writer.finish();
}

/** Which fields are integers, by path. Everything else is bytes. */
const VARINTS: Record<string, readonly number[]> = {
  '1': [2, 3],
  '1.4': [1, 2],
  '2': [1, 2, 5],
  '2.3.half': [1],
  core: [1],
  encoder: [1],
  decoder: [1, 2, 4],
};

type Edit = (fields: Field[]) => readonly Field[];

/**
 * Change the fields of the message at `path` inside `bytes`, which is of `kind`; of several at one place,
 * the first. On the way only the chain and the core hold integers.
 */
function edit(bytes: Uint8Array, path: readonly number[], kind: string, change: Edit): Bytes {
  const inside = (message: Uint8Array, depth: number): Bytes => {
    const head = path[depth];
    if (head === undefined) return join(change(fieldsOf(message, VARINTS[kind] ?? [])));
    const on = path[0] === 3 ? (depth === 3 ? 'core' : '') : depth === 1 ? `${path[0]}` : '';
    const fields = fieldsOf(message, VARINTS[on] ?? []);
    const at = fields.findIndex(([field]) => field === head);
    const inner = fields[at]?.[1];
    if (inner === undefined || typeof inner === 'number') throw new Error(`no field ${head}`);
    fields[at] = [head, inside(inner, depth + 1)];
    return join(fields);
  };
  return inside(bytes, 0);
}

const without =
  (field: number): Edit =>
  (fields) =>
    fields.filter(([number]) => number !== field);
const set =
  (field: number, value: number | Bytes): Edit =>
  (fields) =>
    [...fields.filter(([number]) => number !== field), [field, value] as const].sort(
      (a, b) => a[0] - b[0],
    );
/** Change the first `field`. */
const first =
  (field: number, change: (value: Bytes) => Bytes): Edit =>
  (fields) => {
    const at = fields.findIndex(([number]) => number === field);
    return fields.map((f, i) => (i === at ? [field, change(f[1] as Bytes)] : f));
  };
const cut = (value: Bytes): Bytes => value.slice(0, -1);

/** One state of each kind, and the state numbers. */
function collect(): Map<string, SpqrState> {
  const found = new Map<string, SpqrState>();
  const { a, b } = pair(crypto);
  const states = [a, b];
  const random = new Random(1);
  for (let step = 0; found.size < 11 && step < 4000; step++) {
    const from = step % 2;
    const sent = spqrSend(crypto, states[from] as SpqrState);
    states[from] = sent.state;
    // Some are lost, so that state 9 occurs too: acknowledgements while the ek vector is complete.
    if (step <= 10 || !random.chance(0.35)) {
      const to = 1 - from;
      states[to] = spqrReceive(crypto, states[to] as SpqrState, sent.output.message).state;
    }
    for (const state of states) {
      const { braid } = state;
      if (braid === undefined || state.chain === undefined) continue;
      // With something in each decoder, where there is one.
      const decoder = Object.values(braid).find((v) => typeof v === 'object' && 'chunks' in v);
      if (decoder !== undefined && decoder.chunks.length < 2 && braid.kind !== 'HeaderReceived')
        continue;
      found.set(braid.kind, state);
    }
  }
  return found;
}

const NUMBERS: readonly (readonly [string, number])[] = [
  ['KeysUnsampled', 1],
  ['KeysSampled', 2],
  ['HeaderSent', 3],
  ['Ct1Received', 4],
  ['EkSentCt1Received', 5],
  ['NoHeaderReceived', 6],
  ['HeaderReceived', 7],
  ['Ct1Sampled', 8],
  ['EkReceivedCt1Sampled', 9],
  ['Ct1Acknowledged', 10],
  ['Ct2Sampled', 11],
];
/** By state number: core fields beside epoch and authenticator, and where encoder and decoder are. */
const CORE_FIELDS = new Map([
  [2, [3, 4]],
  [3, [3]],
  [4, [3, 4]],
  [5, [3, 4]],
  [7, [3]],
  [8, [3, 4, 5]],
  [9, [3, 4, 5]],
  [10, [3, 4, 5]],
]);
const ENCODERS = new Map([2, 3, 4, 8, 9, 11].map((number) => [number, 2]));
const DECODERS = new Map([
  [3, 3],
  [5, 3],
  [6, 2],
  [7, 2],
  [8, 3],
  [10, 2],
]);

const states = collect();
const bytesOf = (kind: string): Bytes => encodeSpqrState(states.get(kind) as SpqrState);
const outcome = (bytes: Uint8Array): string => {
  try {
    decodeSpqrState(bytes);
  } catch (error) {
    return `${spqrReason(error)} ${error instanceof QasidError ? error.code : String(error)}`;
  }
  return 'accepted';
};
const REFUSED = 'StateDecode DECODE_SPQR_STATE';

t.test('every state makes the round trip, and is refused when cut anywhere', (t) => {
  t.equal(states.size, 11, [...states.keys()].join(' '));
  for (const [kind, state] of states) {
    const bytes = encodeSpqrState(state);
    const copy = bytes.slice();
    const again = decodeSpqrState(copy);
    copy.fill(0xff);
    t.equal(toHex(encodeSpqrState(again)), toHex(bytes), `${kind}: shares nothing with its bytes`);
    // A cut between fields leaves a shorter protobuf, which is a state only when nothing needed is gone.
    let accepted = 0;
    let other = 0;
    for (let length = 0; length < bytes.length; length++) {
      const result = outcome(bytes.subarray(0, length));
      if (result === 'accepted') accepted++;
      else if (result !== REFUSED) other++;
    }
    t.equal(other, 0, `${kind}: one reason for every cut`);
    // Nothing at all is version 0, and the chain alone has no protocol state: version 0 as well.
    t.ok(accepted <= 2, `${kind}: ${accepted} cuts are states`);
  }
  t.end();
});

t.test('malformed states, 06 §10.5', (t) => {
  const check = (name: string, kind: string, path: number[], what: string, change: Edit): void => {
    const bytes = bytesOf(kind);
    const changed = edit(bytes, path, what, change);
    t.not(toHex(changed), toHex(bytes), `${name}: changed`);
    t.equal(outcome(changed), REFUSED, name);
  };
  const same = (kind: string, path: number[], what: string): void => {
    const bytes = bytesOf(kind);
    t.equal(
      toHex(edit(bytes, path, what, (f) => f)),
      toHex(bytes),
      `${path}: taken apart and joined`,
    );
  };
  same('KeysSampled', [3, 2, 1], 'core');
  same('KeysSampled', [3, 2, 2], 'encoder');
  same('NoHeaderReceived', [3, 6, 2], 'decoder');
  same('Ct1Sampled', [2], '2');
  same('Ct1Sampled', [2, 3, 2], '2.3.half');

  check('no inner state', 'KeysSampled', [3], '', () => []);
  check('unknown inner state', 'KeysSampled', [3], '', (f) => [[12, f[0]?.[1] as Bytes]]);
  for (const [kind, number] of NUMBERS) {
    check(`${kind}: no core`, kind, [3, number], '', without(1));
    check(`${kind}: no authenticator`, kind, [3, number, 1], 'core', without(2));
    check(`${kind}: epoch 0`, kind, [3, number, 1], 'core', without(1));
    check(`${kind}: epoch 2^53`, kind, [3, number, 1], 'core', set(1, 2 ** 53));
    check(`${kind}: another epoch`, kind, [3, number, 1], 'core', set(1, 77));
    check(`${kind}: short root`, kind, [3, number, 1, 2], '', first(1, cut));
    check(`${kind}: short mac key`, kind, [3, number, 1, 2], '', first(2, cut));
    check(`${kind}: no mac key`, kind, [3, number, 1, 2], '', without(2));
    for (const field of CORE_FIELDS.get(number) ?? []) {
      check(`${kind}: core field ${field} short`, kind, [3, number, 1], 'core', first(field, cut));
      check(`${kind}: core field ${field} absent`, kind, [3, number, 1], 'core', without(field));
    }
    const encoder = ENCODERS.get(number);
    if (encoder !== undefined) {
      const path = [3, number, encoder];
      check(`${kind}: no encoder`, kind, [3, number], '', without(encoder));
      check(`${kind}: 15 columns`, kind, path, 'encoder', (f) => f.slice(0, -1));
      check(`${kind}: 17 columns`, kind, path, 'encoder', (f) => [...f, f.at(-1) as Field]);
      check(`${kind}: no columns`, kind, path, 'encoder', (f) => f.filter(([n]) => n === 1));
      check(`${kind}: both forms`, kind, path, 'encoder', (f) => [...f, [3, new Uint8Array(6)]]);
      const polynomial = (f: Field[]): number => (f.some(([n]) => n === 2) ? 2 : 3);
      check(`${kind}: odd column`, kind, path, 'encoder', (f) => first(polynomial(f), cut)(f));
      check(`${kind}: empty column`, kind, path, 'encoder', (f) =>
        first(polynomial(f), () => new Uint8Array(0))(f),
      );
      check(`${kind}: short column`, kind, path, 'encoder', (f) =>
        first(polynomial(f), (value) => value.slice(0, -2))(f),
      );
    }
    const decoder = DECODERS.get(number);
    if (decoder !== undefined) {
      const path = [3, number, decoder];
      check(`${kind}: no decoder`, kind, [3, number], '', without(decoder));
      check(`${kind}: 15 point strings`, kind, path, 'decoder', (f) => f.slice(0, -1));
      check(`${kind}: second field`, kind, path, 'decoder', set(2, 15));
      if (kind !== 'HeaderReceived') {
        check(`${kind}: points of 3 bytes`, kind, path, 'decoder', first(3, cut));
        check(
          `${kind}: points missing`,
          kind,
          path,
          'decoder',
          first(3, (v) => v.slice(0, -4)),
        );
        // The last x of the first column: still ascending, but another than in the other columns.
        check(
          `${kind}: other x`,
          kind,
          path,
          'decoder',
          first(3, (v) => {
            const last = v.slice();
            last[v.length - 4] = (last[v.length - 4] as number) ^ 0x80;
            return last;
          }),
        );
        check(`${kind}: points out of order`, kind, path, 'decoder', (f) =>
          f.map(([n, v]) =>
            n === 3 && typeof v !== 'number'
              ? [n, concatBytes(v.subarray(4, 8), v.subarray(0, 4), v.subarray(8))]
              : [n, v],
          ),
        );
      }
      const other = edit(bytesOf(kind), path, 'decoder', set(1, 64));
      t.equal(outcome(other), 'MsgDecode DECODE_SPQR_STATE', `${kind}: decoder of another piece`);
    }
  }
  const kind = 'Ct1Sampled';
  check('chain: direction 2', kind, [2], '2', set(1, 2));
  check('chain: no parameters', kind, [2], '2', without(6));
  check('chain: short next root', kind, [2], '2', first(4, cut));
  check('chain: current epoch 2^53', kind, [2], '2', set(2, 2 ** 53));
  check('chain: another current epoch', kind, [2], '2', set(2, 9));
  check('chain: more links than epochs', kind, [2], '2', (f) => {
    const link = f.find(([n]) => n === 3) as Field;
    return [
      ...f.filter(([n]) => n < 3),
      ...Array.from({ length: 100 }, () => link),
      ...f.filter(([n]) => n >= 3),
    ];
  });
  check('link without a send half', kind, [2, 3], '', without(1));
  check('link without a receive half', kind, [2, 3], '', without(2));
  check('receive half without next', kind, [2, 3, 2], '2.3.half', without(2));
  check('next of 31 bytes', kind, [2, 3, 2], '2.3.half', first(2, cut));
  check('skipped keys of 35 bytes', kind, [2, 3, 2], '2.3.half', set(3, new Uint8Array(35)));
  t.equal(outcome(concatBytes(bytesOf(kind), new Uint8Array([0x18, 1]))), REFUSED, 'wire type');

  const { a, b } = pair(crypto);
  states.set('negotiating', spqrSend(crypto, a).state);
  check('points and one polynomial', 'negotiating', [3, 2, 2], 'encoder', (f) => [
    ...f,
    [3, new Uint8Array(6)],
  ]);
  check('points form past its piece', 'negotiating', [3, 2, 2], 'encoder', set(1, 4));
  states.set('new', b);
  check('epoch 0 before there is a chain', 'new', [3, 6, 1], 'core', without(1));
  states.delete('new');
  check('negotiation: direction 2', 'negotiating', [1], '1', set(2, 2));
  check('negotiation: short key', 'negotiating', [1], '1', first(1, cut));
  check('negotiation: no parameters', 'negotiating', [1], '1', without(4));
  states.delete('negotiating');
  t.end();
});

t.test('what is tolerated: unknown fields, several states, no protocol state', (t) => {
  const bytes = bytesOf('KeysSampled');
  const unknown = concatBytes(bytes, new Uint8Array([0x7a, 2, 1, 2, 0x20, 5]));
  t.equal(
    toHex(encodeSpqrState(decodeSpqrState(unknown))),
    toHex(bytes),
    'unknown fields are dropped',
  );
  const two = edit(bytes, [3], '', (f) => [[1, new Uint8Array(0)], ...f]);
  t.equal(toHex(encodeSpqrState(decodeSpqrState(two))), toHex(bytes), 'the last state counts');
  const off = decodeSpqrState(join(fieldsOf(bytes, []).filter(([field]) => field !== 3)));
  t.equal(off.braid, undefined);
  t.equal(spqrSend(crypto, off).output.message.length, 0, 'no protocol state is version 0');
  const closed = decodeSpqrState(
    edit(bytesOf('NoHeaderReceived'), [3, 6, 2], 'decoder', (f) => [...f, [4, 1]]),
  );
  t.match(closed.braid, { headerDecoder: { closed: true } });
  t.equal(
    toHex(encodeSpqrState(decodeSpqrState(encodeSpqrState(closed)))),
    toHex(encodeSpqrState(closed)),
  );
  t.equal(spqrProgress(closed)?.epoch, closed.braid?.epoch);
  t.end();
});

t.test('the backward writer writes what the forward writer writes', (t) => {
  const big = new Uint8Array(3000).fill(3);
  for (const value of [1, 127, 128, 16383, 16384, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
    for (const field of [1, 15, 16, 2047]) {
      const inner = new ProtoWriter().uint64(1, value).bytes(2, big).finish();
      const forward = new ProtoWriter()
        .uint64(field, value)
        .bytes(field + 1, inner)
        .finish();
      const backward = new BackwardWriter(4);
      backward
        .raw(new Uint8Array(0))
        .bytes(2, big)
        .uint(1, value)
        .message(field + 1, 0);
      backward.uint(field, value);
      t.equal(toHex(backward.finish()), toHex(forward), `field ${field}, value ${value}`);
      t.equal(backward.length, 0, 'empty afterwards');
    }
  }
  t.equal(
    new BackwardWriter().uint(1, 0).bytesUnlessEmpty(2, new Uint8Array(0)).finish().length,
    0,
  );
  t.equal(toHex(new BackwardWriter().bytes(1, new Uint8Array(0)).finish()), '0a00');
  t.end();
});
