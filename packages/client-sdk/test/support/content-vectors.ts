// Vectors of chapter 15, from code and a fixed seed. `node …/content-vectors.js --write` writes them anew.
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { defaultCrypto, ProtoWriter, toHex, type Bytes } from '@qasid/protocol';

import {
  appendLink,
  contentDigest,
  decodeContent,
  encodeContent,
  withoutLink,
  type Content,
  type ContentBody,
} from '../../dist/content/index.js';
import { bytes } from './rows.js';

const AT = 1_700_000_000_000;
const REF = { author: bytes(16, 2), id: bytes(16, 3) };

const ATTACHMENT = {
  id: bytes(16, 4),
  key: bytes(64, 5),
  digest: bytes(32, 6),
  size: 2_147_483_648,
  mediaType: 'image/png',
  name: 'عقد.png',
  width: 640,
  height: 480,
  thumbnail: bytes(3, 7),
  placeholder: 'LEHV6nWB2yk8',
  caption: 'the contract',
};

/** One body of every kind, and the corners of the richer ones. */
export const BODIES: Readonly<Record<string, ContentBody>> = {
  text: { kind: 'text', text: 'سلام' },
  'text-empty': { kind: 'text', text: '' },
  'text-rich': {
    kind: 'text',
    text: 'hi @bob, look 🕌!',
    styles: [
      { start: 0, length: 2, style: 'bold' },
      { start: 14, length: 2, style: 'spoiler' },
    ],
    mentions: [{ start: 3, length: 4, account: bytes(16, 2) }],
    quote: { ...REF, digest: bytes(32, 8), text: 'the original' },
    attachments: [ATTACHMENT],
    viewOnce: true,
  },
  sent: { kind: 'sent', account: bytes(16, 2), content: bytes(30, 9) },
  'sent-group': { kind: 'sent', account: bytes(32, 2), content: bytes(30, 9) },
  reaction: { kind: 'reaction', target: REF, emoji: '👍', remove: false },
  'reaction-removed': { kind: 'reaction', target: REF, emoji: '', remove: true },
  edit: { kind: 'edit', target: bytes(16, 3), text: { kind: 'text', text: 'better' } },
  delete: { kind: 'delete', target: bytes(16, 3) },
  timer: { kind: 'timer' },
  receipt: {
    kind: 'receipt',
    delivered: [bytes(16, 3)],
    read: [bytes(16, 4), bytes(16, 5)],
    viewed: [],
  },
  typing: { kind: 'typing', started: true },
  contact: {
    kind: 'contact',
    name: 'Bob',
    account: bytes(16, 2),
    username: 'bob',
    lines: [{ label: 'work', value: '+1 555 0100' }],
  },
  location: { kind: 'location', latitude: 21.4224779, longitude: -39.8251832, accuracyMetres: 5 },
  poll: { kind: 'poll', question: 'When?', options: ['now', 'later'], multiple: false },
  vote: { kind: 'vote', target: REF, options: [0, 3] },
  'vote-none': { kind: 'vote', target: REF, options: [] },
  app: { kind: 'app', type: 'org.example.chess/move', data: bytes(5, 1), fallback: 'e4' },
  'sync-read': {
    kind: 'sync',
    conversation: bytes(16, 2),
    action: { kind: 'read', through: REF },
  },
  'sync-viewed': {
    kind: 'sync',
    conversation: bytes(16, 2),
    action: { kind: 'viewed', message: REF },
  },
  'sync-removed': {
    kind: 'sync',
    conversation: bytes(32, 2),
    action: { kind: 'removed', messages: [REF, REF] },
  },
  'sync-cleared': { kind: 'sync', conversation: bytes(16, 2), action: { kind: 'cleared' } },
  'sync-settings': {
    kind: 'sync',
    conversation: bytes(16, 2),
    action: {
      kind: 'settings',
      settings: { status: 'blocked', mutedUntilMs: AT, archived: true, retentionSeconds: 86_400 },
    },
  },
  profile: { kind: 'profile', name: 'Alice', key: bytes(32, 1), picture: ATTACHMENT },
  call: { kind: 'call', data: bytes(9, 1) },
  group: { kind: 'group', data: bytes(9, 2) },
};

function content(body: ContentBody, more: Partial<Content> = {}): Content {
  return { id: bytes(16, 1), sentAtMs: AT, body, ...more };
}

function message(write: (writer: ProtoWriter) => ProtoWriter): Bytes {
  const writer = new ProtoWriter().uint32(1, 1).bytes(2, bytes(16, 1)).uint64(3, AT);
  return write(writer).finish();
}

function sub(write: (writer: ProtoWriter) => ProtoWriter): Bytes {
  return write(new ProtoWriter()).finish();
}

const RANGE = (start: number, length: number) =>
  sub((w) => w.uint32(1, start).uint32(2, length).uint32(3, 1));
const LINK = sub((w) => w.bytes(1, bytes(8, 1)).uint32(2, 1).bytes(3, bytes(32, 0)));

/** Bytes with one fault each. */
const REFUSED: Readonly<Record<string, Bytes>> = {
  empty: new Uint8Array(0),
  'no-id': sub((w) => w.uint32(1, 1).uint64(3, AT)),
  'short-id': sub((w) => w.uint32(1, 1).bytes(2, bytes(15, 1)).uint64(3, AT)),
  'no-time': sub((w) => w.uint32(1, 1).bytes(2, bytes(16, 1))),
  'time-no-date': sub((w) => w.bytes(2, bytes(16, 1)).uint64(3, 8_640_000_000_000_001)),
  'two-ids': message((w) => w.bytes(2, bytes(16, 1))),
  'two-bodies': message((w) =>
    w
      .bytes(
        4,
        sub((s) => s.text(1, 'a')),
      )
      .bytes(9, new Uint8Array(0)),
  ),
  'body-wire-type': message((w) => w.uint32(4, 1)),
  truncated: message((w) =>
    w.bytes(
      4,
      sub((s) => s.text(1, 'abc')),
    ),
  ).slice(0, -1),
  'text-not-utf8': message((w) =>
    w.bytes(
      4,
      sub((s) => s.bytes(1, new Uint8Array([0xff]))),
    ),
  ),
  'range-outside': message((w) =>
    w.bytes(
      4,
      sub((s) => s.text(1, 'abc').bytes(2, RANGE(2, 2))),
    ),
  ),
  'range-empty': message((w) =>
    w.bytes(
      4,
      sub((s) => s.text(1, 'abc').bytes(2, RANGE(1, 0))),
    ),
  ),
  'range-cuts': message((w) =>
    w.bytes(
      4,
      sub((s) => s.text(1, '🕌').bytes(2, RANGE(0, 1))),
    ),
  ),
  'quote-without-digest': message((w) =>
    w.bytes(
      4,
      sub((s) =>
        s.bytes(
          4,
          sub((q) => q.bytes(1, REF.author).bytes(2, REF.id)),
        ),
      ),
    ),
  ),
  'reaction-empty': message((w) =>
    w.bytes(
      6,
      sub((s) =>
        s.bytes(
          1,
          sub((r) => r.bytes(1, REF.author).bytes(2, REF.id)),
        ),
      ),
    ),
  ),
  'reaction-long': message((w) =>
    w.bytes(
      6,
      sub((s) =>
        s
          .bytes(
            1,
            sub((r) => r.bytes(1, REF.author).bytes(2, REF.id)),
          )
          .text(2, 'x'.repeat(65)),
      ),
    ),
  ),
  'edit-without-text': message((w) =>
    w.bytes(
      7,
      sub((s) => s.bytes(1, bytes(16, 3))),
    ),
  ),
  'receipt-257-ids': message((w) =>
    w.bytes(
      10,
      sub((s) => {
        for (let at = 0; at < 257; at++) s.bytes(2, bytes(16, at));
        return s;
      }),
    ),
  ),
  'location-off-earth': message((w) =>
    w.bytes(
      13,
      sub((s) => s.uint32(1, 1_800_000_001).uint32(2, 0)),
    ),
  ),
  'poll-one-option': message((w) =>
    w.bytes(
      14,
      sub((s) => s.text(1, '?').text(2, 'only')),
    ),
  ),
  'vote-falling': message((w) =>
    w.bytes(
      15,
      sub((s) =>
        s
          .bytes(
            1,
            sub((r) => r.bytes(1, REF.author).bytes(2, REF.id)),
          )
          .uint32(2, 2)
          .uint32(2, 1),
      ),
    ),
  ),
  'app-not-namespaced': message((w) =>
    w.bytes(
      16,
      sub((s) => s.text(1, '__proto__')),
    ),
  ),
  'timer-two-years': message((w) =>
    w.bytes(
      21,
      sub((s) => s.uint32(1, 63_072_000).uint32(2, 1)),
    ),
  ),
  'link-not-last': message((w) => w.bytes(30, LINK).uint32(40, 1)),
  'link-counter-0': message((w) =>
    w.bytes(
      30,
      sub((s) => s.bytes(1, bytes(8, 1)).uint32(2, 0).bytes(3, bytes(32, 0))),
    ),
  ),
  'link-not-canonical': message((w) =>
    w.bytes(
      30,
      sub((s) => s.uint32(2, 1).bytes(1, bytes(8, 1)).bytes(3, bytes(32, 0))),
    ),
  ),
};

/** A value as JSON: bytes as hex, `undefined` left out. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .map(([name, member]) => [name, plain(member)]),
  );
}

/** Files below `test-vectors/content/`, by name. */
export function contentVectors(): Map<string, string> {
  const about = (text: string) => ({ version: 1, chapter: '15', about: text });
  const decoded = Object.entries(BODIES).map(([name, body]) => {
    const encoded = encodeContent(content(body));
    return { name, content: toHex(encoded), output: plain(decodeContent(encoded)) };
  });
  const around = content(
    { kind: 'text', text: 'x' },
    {
      timer: { seconds: 3_600, version: 2 },
      group: { id: bytes(32, 1), epoch: 7, head: bytes(32, 2), version: 9 },
    },
  );
  const encoded = encodeContent(around);
  decoded.push({
    name: 'around',
    content: toHex(encoded),
    output: plain(decodeContent(encoded)),
  });
  const newer = message((w) => w.bytes(77, bytes(3, 3)));
  decoded.push({ name: 'newer', content: toHex(newer), output: plain(decodeContent(newer)) });
  const refused = Object.entries(REFUSED).map(([name, bad]) => ({
    name,
    content: toHex(bad),
    error: 'DECODE_CONTENT',
  }));
  const chain: unknown[] = [];
  const crypto = {
    sha256: defaultCrypto.sha256,
    randomBytes: (length: number) => bytes(length, 9),
  };
  let state: Parameters<typeof appendLink>[1];
  for (const [index, text] of ['one', 'two', 'three'].entries()) {
    const core = encodeContent({ ...content({ kind: 'text', text }), id: bytes(16, index + 1) });
    const made = appendLink(crypto, state, core);
    state = index === 1 ? { ...made.state, withdrawn: [2] } : made.state;
    const { linked } = made;
    chain.push({
      name: text,
      content: toHex(core),
      linked: toHex(linked),
      hash: toHex(made.state.last),
      digest: toHex(contentDigest(defaultCrypto, withoutLink(linked, decodeContent(linked)))),
      output: plain(decodeContent(linked).link),
    });
  }
  const put = (value: object): string => `${JSON.stringify(value, undefined, 2)}\n`;
  return new Map([
    ['decode.json', put({ ...about('Contents and what is in them.'), cases: decoded })],
    ['refused.json', put({ ...about('One fault each.'), cases: refused })],
    [
      'chain.json',
      put({ ...about('Three contents, linked. The second is given up.'), cases: chain }),
    ],
  ]);
}

/** Where they lie. */
export const CONTENT_VECTORS: string = fileURLToPath(
  new URL('../../../../test-vectors/content/', import.meta.url),
);

if (process.argv.includes('--write')) {
  mkdirSync(CONTENT_VECTORS, { recursive: true });
  for (const [name, text] of contentVectors()) writeFileSync(CONTENT_VECTORS + name, text);
}
