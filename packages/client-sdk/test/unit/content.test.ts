// Content and padding: every length lands on a step, every damage is a typed error.
import { readFileSync } from 'node:fs';

import { DecodeError, fromHex, ProtoWriter, samePublicBytes } from '@qasid/protocol';
import { encodeEnvelope, ENVELOPE_BUCKETS, type AccountId } from '@qasid/protocol/envelope';
import fc from 'fast-check';
import t from 'tap';

import {
  CONTENT_BYTES_MAX,
  decodeContent,
  encodeContent,
  MESSAGE_OVERHEAD_BYTES,
  padContent,
  unpadContent,
  type Content,
} from '../../dist/content/index.js';
import { saysTheSame } from '../../dist/content/same-shape.js';
import { BODIES, CONTENT_VECTORS, contentVectors } from '../support/content-vectors.js';
import { bytes } from '../support/rows.js';

const text: Content = {
  id: bytes(16, 1),
  sentAtMs: 1_700_000_000_000,
  body: { kind: 'text', text: 'سلام' },
};

t.test('round trips', async (t) => {
  t.strictSame(decodeContent(encodeContent(text)), text);
  const sent: Content = {
    ...text,
    body: { kind: 'sent', account: bytes(16, 2), content: encodeContent(text) },
  };
  t.strictSame(decodeContent(encodeContent(sent)), sent);
});

t.test('every kind round trips, to the same bytes', async (t) => {
  for (const [name, body] of Object.entries(BODIES)) {
    const content: Content = { ...text, body };
    const encoded = encodeContent(content);
    t.strictSame(decodeContent(encoded), content, name);
    t.strictSame(encodeContent(decodeContent(encoded)), encoded, name);
  }
});

t.test('the vectors are what the code says', async (t) => {
  for (const [name, wanted] of contentVectors()) {
    t.equal(readFileSync(CONTENT_VECTORS + name, 'utf8'), wanted, name);
  }
  const { cases } = JSON.parse(readFileSync(`${CONTENT_VECTORS}refused.json`, 'utf8')) as {
    readonly cases: readonly { readonly name: string; readonly content: string }[];
  };
  t.ok(cases.length > 20);
  for (const { name, content } of cases) {
    t.throws(() => decodeContent(fromHex(content)!), { code: 'DECODE_CONTENT' }, name);
  }
});

t.test('ATK-J05 names and values of peers never become properties', async (t) => {
  const body = {
    kind: 'poll',
    question: '__proto__',
    options: ['__proto__', 'constructor'],
    multiple: false,
  } as const;
  const decoded = decodeContent(encodeContent({ ...text, body }));
  t.strictSame(decoded.body, body);
  t.equal(Object.getPrototypeOf(decoded), Object.prototype);
  t.equal(({} as Record<string, unknown>).question, undefined);
  const huge = new ProtoWriter().uint32(1, 1).bytes(2, text.id).uint64(3, 1);
  const receipt = new ProtoWriter();
  for (let at = 0; at < 3_000; at++) receipt.bytes(1, bytes(16, at % 256));
  t.throws(() => decodeContent(huge.bytes(10, receipt.finish()).finish()), {
    code: 'DECODE_CONTENT',
  });
});

t.test('content of a newer version is kept, not refused', async (t) => {
  const newer = new ProtoWriter()
    .uint32(1, 9)
    .bytes(2, text.id)
    .uint64(3, text.sentAtMs)
    .bytes(77, bytes(3, 3))
    .finish();
  t.strictSame(decodeContent(newer), { ...text, body: { kind: 'unknown' } });
});

t.test('damage is a DecodeError and nothing else', async (t) => {
  const whole = encodeContent({ ...text, body: BODIES['text-rich']! });
  const opens = (input: Uint8Array): boolean => {
    try {
      decodeContent(input);
      return true;
    } catch (error) {
      if (!(error instanceof DecodeError) || error.code !== 'DECODE_CONTENT') throw error;
      return false;
    }
  };
  for (let end = 0; end < whole.length; end++) opens(whole.subarray(0, end));
  t.notOk(opens(new Uint8Array(0)));
  t.notOk(opens(new ProtoWriter().bytes(2, bytes(15, 1)).uint64(3, 1).finish()), 'short id');
  t.notOk(opens(new ProtoWriter().bytes(2, bytes(16, 1)).finish()), 'no time');
  t.notOk(
    opens(new ProtoWriter().bytes(2, bytes(16, 1)).uint64(3, 8_640_000_000_000_001).finish()),
    'a time no Date can hold',
  );
  t.notOk(
    opens(
      new ProtoWriter()
        .bytes(2, bytes(16, 1))
        .uint64(3, 1)
        .bytes(4, new ProtoWriter().bytes(1, new Uint8Array([0xff])).finish())
        .finish(),
    ),
    'not UTF-8',
  );
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.nat(255), (at, to, more) => {
      const bad = Uint8Array.from(whole);
      bad[at] = to;
      bad[(at * 7) % bad.length] = more;
      opens(bad);
    }),
    { numRuns: 20_000 },
  );
  t.pass('20000 mutations');
});

t.test('padding', async (t) => {
  const lengths = new Set<number>();
  for (let length = 0; length < 3_860; length += 7) {
    const content = bytes(length, 0x80);
    const padded = padContent(content);
    lengths.add(padded.length);
    if (!samePublicBytes(unpadContent(padded), content)) t.fail(`length ${length}`);
  }
  t.strictSame(
    [...lengths],
    [512, 1_024, 2_048, 4_096].map((step) => step - MESSAGE_OVERHEAD_BYTES),
  );
  const largest = bytes(CONTENT_BYTES_MAX - 1, 1);
  t.equal(unpadContent(padContent(largest)).length, largest.length);
  t.throws(() => padContent(bytes(CONTENT_BYTES_MAX, 1)), { code: 'LIMIT_ENVELOPE_SIZE' });
  for (const bad of [new Uint8Array(0), bytes(9, 0), bytes(9, 1)]) {
    t.throws(() => unpadContent(bad), { code: 'DECODE_CONTENT' });
  }
});

t.test('envelopes fill up to a step exactly', async (t) => {
  const make = (length: number) =>
    encodeEnvelope(
      {
        type: 2,
        senderAccount: bytes(16, 1) as AccountId,
        senderDevice: 1,
        message: bytes(length, 2),
      },
      ENVELOPE_BUCKETS,
    );
  for (let length = 100; length < 2_100; length++) {
    const size = make(length).length;
    // Within three bytes below a step there is no room for the filler: the next step is taken.
    if (!ENVELOPE_BUCKETS.includes(size)) t.fail(`${length} gives ${size}`);
  }
  t.pass();
});

t.test('ATK-J08 what is encoded is what was meant, or it is refused', async (t) => {
  for (const body of Object.values(BODIES)) {
    t.ok(saysTheSame(body, decodeContent(encodeContent({ ...text, body })).body), body.kind);
  }
  const taken = (body: unknown): boolean => {
    const content = { ...text, body: body as Content['body'] };
    return saysTheSame(body, decodeContent(encodeContent(content)).body);
  };
  t.notOk(taken({ kind: 'text', text: 5 }));
  t.notOk(taken({ kind: 'poll', question: '?', options: ['a', 7], multiple: false }));
  t.notOk(taken({ kind: 'contact', name: null }));
  t.ok(taken({ kind: 'text', text: 'x', styles: [], viewOnce: false }));
  t.ok(taken({ kind: 'location', latitude: 1.00000004, longitude: 2 }));
});
