// Chapter 14 §2 and §4: call messages as bytes, and what a session description may say.
import t from 'tap';
import { ProtoWriter } from '@qasid/protocol';

// Pure internals: reached by path, not by the public names.
import { CANDIDATES_MAX, CANDIDATE_BYTES_MAX, SDP_BYTES_MAX } from '../../dist/calls/limits.js';
import { type CallBody, decodeCallMessage, encodeCallMessage } from '../../dist/calls/messages.js';
import { checkDescription } from '../../dist/calls/sdp.js';

const ID = '0123456789abcdef0123456789abcdef';
const BODIES: readonly CallBody[] = [
  { kind: 'invite', media: { audio: true, video: false }, sentAtMs: 1_700_000_000_000 },
  { kind: 'ringing' },
  { kind: 'accept', media: { audio: true, video: true } },
  { kind: 'decline' },
  { kind: 'busy' },
  { kind: 'offer', sdp: 'v=0' },
  { kind: 'answer', sdp: 'v=0\r\n' },
  { kind: 'ice', candidates: [{ candidate: 'candidate:1', mid: '0', lineIndex: 0 }] },
  { kind: 'ice', candidates: [] },
  { kind: 'restart-request' },
  { kind: 'hangup', reason: 'normal' },
  { kind: 'hangup', reason: 'accepted-elsewhere' },
  { kind: 'hangup', reason: 'failed' },
  { kind: 'state', media: { audio: false, video: false } },
  { kind: 'unknown' },
];

t.test('every kind comes back as it was, and fails typed at every cut', async (t) => {
  for (const body of BODIES) {
    const bytes = encodeCallMessage({ callId: ID, seq: 7, body });
    t.same(decodeCallMessage(bytes), { callId: ID, seq: 7, body }, body.kind);
    for (let length = 0; length < bytes.length; length++) {
      try {
        decodeCallMessage(bytes.subarray(0, length));
      } catch (error) {
        if ((error as { code?: string }).code !== 'DECODE_CONTENT')
          t.fail(`${body.kind} ${length}`);
      }
    }
  }
});

t.test('what is damaged is refused', async (t) => {
  const base = () => new ProtoWriter().bytes(1, new Uint8Array(16)).uint32(2, 1);
  const empty = new Uint8Array(0);
  const candidate = (length: number) => new ProtoWriter().text(1, 'c'.repeat(length)).finish();
  const many = (count: number) => {
    const writer = new ProtoWriter();
    for (let index = 0; index < count; index++) writer.bytes(1, candidate(10));
    return writer.finish();
  };
  const sdp = (length: number) => new ProtoWriter().text(1, 'v'.repeat(length)).finish();
  const wrong: Record<string, Uint8Array> = {
    'no id': new ProtoWriter().uint32(2, 1).bytes(4, empty).finish(),
    'short id': new ProtoWriter().bytes(1, new Uint8Array(15)).uint32(2, 1).finish(),
    'no number': new ProtoWriter().bytes(1, new Uint8Array(16)).bytes(4, empty).finish(),
    'two kinds': base().bytes(4, empty).bytes(6, empty).finish(),
    'an invite of nothing': base().bytes(3, empty).finish(),
    'an accept of nothing': base().bytes(5, empty).finish(),
    'too many candidates': base()
      .bytes(10, many(CANDIDATES_MAX + 1))
      .finish(),
    'a long candidate': base()
      .bytes(10, new ProtoWriter().bytes(1, candidate(CANDIDATE_BYTES_MAX)).finish())
      .finish(),
    'a large description': base().bytes(8, sdp(SDP_BYTES_MAX)).finish(),
    'no protobuf': Uint8Array.of(0xff, 0xff, 0xff),
  };
  for (const [name, bytes] of Object.entries(wrong)) {
    t.throws(() => decodeCallMessage(bytes), { code: 'DECODE_CONTENT' }, name);
  }
  t.doesNotThrow(() => decodeCallMessage(base().bytes(10, many(CANDIDATES_MAX)).finish()));
  t.doesNotThrow(() =>
    decodeCallMessage(
      base()
        .bytes(8, sdp(SDP_BYTES_MAX - 8))
        .finish(),
    ),
  );
  t.throws(() => encodeCallMessage({ callId: 'x', seq: 1, body: { kind: 'busy' } }), {
    code: 'USAGE_ARGUMENT',
  });
  const future = base().bytes(12, new ProtoWriter().uint32(1, 99).finish()).finish();
  t.same(decodeCallMessage(future).body, { kind: 'hangup', reason: 'normal' });
  t.same(decodeCallMessage(base().bytes(60, empty).finish()).body, { kind: 'unknown' });
});

const PRINT = Array.from({ length: 32 }, (_, index) =>
  index.toString(16).padStart(2, '0').toUpperCase(),
).join(':');
const LINES = [
  'v=0',
  'o=- 1 2 IN IP4 127.0.0.1',
  's=-',
  't=0 0',
  'a=group:BUNDLE 0 1 2',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111',
  'a=mid:0',
  `a=fingerprint:sha-256 ${PRINT}`,
  'a=rtcp-mux',
  'm=video 9 UDP/TLS/RTP/SAVPF 96',
  'a=mid:1',
  `a=fingerprint:sha-256 ${PRINT}`,
  'a=rtcp-mux',
  'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
  'a=mid:2',
  `a=fingerprint:sha-256 ${PRINT}`,
  '',
];

t.test('a description of ours passes and gives its fingerprint', async (t) => {
  const checked = checkDescription(LINES.join('\r\n'));
  t.same(
    checked.fingerprint,
    Uint8Array.from({ length: 32 }, (_, index) => index),
  );
  t.match(checked, { audioLines: 1, videoLines: 1, dataLines: 1 });
  const turnedDown = LINES.map((line) =>
    line === 'a=group:BUNDLE 0 1 2' ? 'a=group:BUNDLE 0 2' : line.replace('m=video 9', 'm=video 0'),
  );
  t.doesNotThrow(() => checkDescription(turnedDown.join('\n')), 'a line that was turned down');
});

t.test('every other description is refused', async (t) => {
  const changed = (from: string | RegExp, to: string) => LINES.join('\n').replace(from, to);
  const wrong: Record<string, string> = {
    'not a description': 'hello',
    'no media': LINES.slice(0, 5).join('\n'),
    'two fingerprints': changed(PRINT, PRINT.replace('00', 'FF')),
    'no fingerprint': LINES.filter((line) => !line.startsWith('a=fingerprint')).join('\n'),
    'sha-1': LINES.join('\n').replaceAll('sha-256', 'sha-1'),
    'short fingerprint': LINES.join('\n').replaceAll(`:${PRINT.slice(-2)}`, ''),
    'two bundles': changed('a=group:BUNDLE 0 1 2', 'a=group:BUNDLE 0 1\na=group:BUNDLE 2'),
    'no bundle': changed('a=group:BUNDLE 0 1 2', ''),
    'a line outside the bundle': changed('BUNDLE 0 1 2', 'BUNDLE 0 1'),
    'a name nobody has': changed('BUNDLE 0 1 2', 'BUNDLE 0 1 2 3'),
    'a name twice': changed('a=mid:1', 'a=mid:0'),
    'not multiplexed': changed('a=rtcp-mux', ''),
    'keys in the clear': changed('a=rtcp-mux', 'a=rtcp-mux\na=crypto:1 AES_CM_128'),
    'a second microphone': `${LINES.join('\n')}m=audio 9 UDP/TLS/RTP/SAVPF 111\na=mid:9`,
    'unknown media': changed('m=video', 'm=text'),
    'too large': `${LINES.join('\n')}a=x:${'x'.repeat(SDP_BYTES_MAX)}`,
  };
  for (const [name, sdp] of Object.entries(wrong)) {
    t.throws(() => checkDescription(sdp), { code: 'VERIFY_CALL' }, name);
  }
});
