// The states of a call under any sequence of messages and taps: chapter 14 §1.
import fc from 'fast-check';
import t from 'tap';

// Pure internals: reached by path, not by the public names.
import type { CallBody, CallMedia } from '../../dist/calls/messages.js';
import { noCalls, stepCalls } from '../../dist/calls/state.js';
import type { CallEffect, CallInput, CallsState } from '../../dist/calls/state-types.js';

const SELF = { account: 'me', device: 1 };
const ACCOUNTS = ['me', 'ann', 'ben'];
const IDS = ['00', '11', '22', '33'].map((byte) => byte.repeat(16));

const anyMedia: fc.Arbitrary<CallMedia> = fc.record({ audio: fc.boolean(), video: fc.boolean() });
const anyId = fc.constantFrom(...IDS);

const anyBody: fc.Arbitrary<CallBody> = fc.oneof(
  fc.record({
    kind: fc.constant('invite' as const),
    media: anyMedia,
    sentAtMs: fc.nat(1_000_000),
  }),
  fc.constantFrom<CallBody>(
    { kind: 'ringing' },
    { kind: 'decline' },
    { kind: 'busy' },
    { kind: 'restart-request' },
    { kind: 'unknown' },
    { kind: 'offer', sdp: 'o' },
    { kind: 'answer', sdp: 'a' },
    { kind: 'ice', candidates: [] },
  ),
  fc.record({ kind: fc.constant('accept' as const), media: anyMedia }),
  fc.record({ kind: fc.constant('state' as const), media: anyMedia }),
  fc.record({
    kind: fc.constant('hangup' as const),
    reason: fc.constantFrom(
      'normal' as const,
      'accepted-elsewhere' as const,
      'declined-elsewhere' as const,
      'busy-elsewhere' as const,
      'no-answer' as const,
      'replaced' as const,
      'failed' as const,
    ),
  }),
);

const anyRemote: fc.Arbitrary<CallInput> = fc.record({
  kind: fc.constant('message' as const),
  from: fc.record({
    account: fc.constantFrom(...ACCOUNTS),
    device: fc.integer({ min: 1, max: 3 }),
  }),
  message: fc.record({ callId: anyId, seq: fc.integer({ min: 1, max: 9 }), body: anyBody }),
});

/** What happens at this device that is not a decision of the person. */
const anyOwn: fc.Arbitrary<CallInput> = fc.oneof(
  fc.constant<CallInput>({ kind: 'tick' }),
  fc.record({ kind: fc.constant('media-open' as const), callId: anyId }),
  fc.record({ kind: fc.constant('media-failed' as const), callId: anyId }),
);

const anyStart: fc.Arbitrary<CallInput> = fc.record({
  kind: fc.constant('start' as const),
  callId: anyId,
  account: fc.constantFrom('ann', 'ben'),
  media: anyMedia,
});

const anyPerson: fc.Arbitrary<CallInput> = fc.oneof(
  anyStart,
  fc.record({ kind: fc.constant('accept' as const), media: anyMedia }),
  fc.constantFrom<CallInput>({ kind: 'decline' }, { kind: 'hangup' }),
);

/** An input and how much later it happens. */
const timed = (input: fc.Arbitrary<CallInput>) => fc.tuple(input, fc.nat(20_000));

/** Run inputs; `look` sees each step. */
function run(
  inputs: readonly (readonly [CallInput, number])[],
  look: (before: CallsState, input: CallInput, effects: readonly CallEffect[]) => void,
): { state: CallsState; nowMs: number } {
  let state = noCalls(SELF);
  let nowMs = 0;
  for (const [input, laterMs] of inputs) {
    nowMs += laterMs;
    const before = state;
    const step = stepCalls(before, input, nowMs);
    state = step.state;
    look(before, input, step.effects);
  }
  return { state, nowMs };
}

const connects = (effects: readonly CallEffect[]) =>
  effects.filter((effect) => effect.kind === 'connect');

t.test('ATK-M01 no sequence of remote messages opens media or answers a call', async (t) => {
  fc.assert(
    fc.property(fc.array(timed(fc.oneof(anyRemote, anyOwn)), { maxLength: 40 }), (inputs) => {
      run(inputs, (_before, _input, effects) => {
        if (connects(effects).length > 0) return t.fail('media without a person');
        for (const effect of effects) {
          if (effect.kind === 'peer') t.fail('a description reached a peer connection');
          if (effect.kind === 'send' && effect.message.body.kind === 'accept') t.fail('accepted');
        }
      });
    }),
    { numRuns: 3_000 },
  );
  t.pass('3 000 sequences');
});

t.test('ATK-M01 media is opened only as a person agreed: towards whom, and what', async (t) => {
  const anything = fc.oneof(
    { weight: 3, arbitrary: anyRemote },
    { weight: 1, arbitrary: anyOwn },
    { weight: 2, arbitrary: anyPerson },
  );
  let opened = 0;
  fc.assert(
    fc.property(fc.array(timed(anything), { maxLength: 60 }), (inputs) => {
      /** What the person agreed to, by account, since nothing was going on. */
      let consent: { account: string; media: CallMedia } | undefined;
      run(inputs, (before, input, effects) => {
        if (input.kind === 'start' && before.active.kind === 'idle') {
          consent = { account: input.account, media: input.media };
        }
        if (input.kind === 'accept' && before.active.kind === 'ringing') {
          consent = { account: before.active.from.account, media: input.media };
        }
        for (const effect of connects(effects)) {
          if (effect.kind !== 'connect') continue;
          opened++;
          const { peer, media } = effect;
          if (peer.account !== consent?.account) t.fail('media to somebody else');
          if (media.audio && !consent?.media.audio) t.fail('sound nobody agreed to');
          if (media.video && !consent?.media.video) t.fail('pictures nobody agreed to');
        }
        if (effects.some(({ kind }) => kind === 'ended')) consent = undefined;
      });
    }),
    { numRuns: 3_000 },
  );
  t.ok(opened > 10, `${opened} calls were opened`);
});

t.test('every ringing and every connecting ends, and nothing stays open after it', async (t) => {
  const anything = fc.oneof(anyRemote, anyOwn, anyPerson);
  fc.assert(
    fc.property(fc.array(timed(anything), { maxLength: 60 }), (inputs) => {
      let open: string | undefined;
      const { state, nowMs } = run(inputs, (_before, _input, effects) => {
        for (const effect of effects) {
          if (effect.kind === 'connect') {
            if (open !== undefined) t.fail('two at once');
            open = effect.callId;
          }
          if (effect.kind === 'ended' && effect.callId === open) open = undefined;
        }
      });
      if (state.active.kind === 'connected' || state.active.kind === 'idle') return;
      const later = stepCalls(state, { kind: 'tick' }, nowMs + 60_000);
      if (later.state.active.kind !== 'idle') t.fail(`still ${later.state.active.kind}`);
      if (!later.effects.some(({ kind }) => kind === 'ended')) t.fail('nobody is told');
    }),
    { numRuns: 3_000 },
  );
  t.pass('3 000 sequences');
});

t.test('a step changes no state it was given', async (t) => {
  fc.assert(
    fc.property(
      fc.array(timed(fc.oneof(anyRemote, anyOwn, anyPerson)), { maxLength: 20 }),
      (inputs) => {
        run(inputs, (before, input) => {
          const copy = structuredClone(before);
          stepCalls(before, input, 5);
          if (JSON.stringify(copy) !== JSON.stringify(before)) t.fail('changed');
        });
      },
    ),
    { numRuns: 500 },
  );
  t.pass('500 sequences');
});
