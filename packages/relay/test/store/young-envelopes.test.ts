// The index in memory against the plainest model there is: a list per mailbox, copied before each commit.
import fc from 'fast-check';
import t from 'tap';
import { YoungEnvelopes } from '#src/store/young-envelopes.js';

const MINUTE = 60_000;

type Step =
  | { readonly kind: 'add' | 'through' | 'one'; readonly mailbox: number; readonly pick: number }
  | { readonly kind: 'age' | 'commit' | 'fail' };

const mailbox = fc.integer({ min: 1, max: 3 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('add' as const), mailbox, pick: fc.nat(9) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('through' as const, 'one' as const),
      mailbox,
      pick: fc.nat(150),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('age' as const, 'commit' as const, 'fail' as const),
    }),
  },
);

t.test('any schedule of commits and failures gives what a plain list gives', async (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400, size: 'max' }), (steps) => {
      const young = new YoungEnvelopes(20);
      let model: { mailbox: number; seq: number }[] = [];
      let saved = model;
      let seq = 1;
      let savedSeq = 1;
      let nowMs = 0;
      const agree = (): void => {
        for (const mailbox of [1, 2, 3]) {
          const mine = model.filter((entry) => entry.mailbox === mailbox).map((entry) => entry.seq);
          t.same(
            [...young.after(mailbox, 0)].map((entry) => entry.seq),
            mine,
          );
          t.equal(young.count(mailbox), mine.length);
          const half = mine[mine.length >> 1] ?? 0;
          const rest = mine.filter((number) => number > half);
          t.same(
            [...young.after(mailbox, half)].map((entry) => entry.seq),
            rest,
          );
        }
      };
      for (const next of steps) {
        nowMs += 1_000;
        if (next.kind === 'add') {
          young.added(next.mailbox, seq, next.pick, nowMs);
          model = [...model, { mailbox: next.mailbox, seq: seq++ }];
        } else if (next.kind === 'through') {
          const gone = model.filter(
            (entry) => entry.mailbox === next.mailbox && entry.seq <= next.pick,
          );
          t.same(
            young.takeThrough(next.mailbox, next.pick).map((entry) => entry.seq),
            gone.map((entry) => entry.seq),
          );
          model = model.filter((entry) => !gone.includes(entry));
        } else if (next.kind === 'one') {
          const hit = model.find(
            (entry) => entry.mailbox === next.mailbox && entry.seq === next.pick,
          );
          t.equal(young.takeOne(next.mailbox, next.pick)?.seq, hit?.seq);
          model = model.filter((entry) => entry !== hit);
        } else if (next.kind === 'age') {
          const moved = young.takeAged(nowMs, 5);
          const aged = moved?.aged.map((entry) => entry.seq) ?? [];
          t.same(
            aged,
            model.slice(0, aged.length).map((entry) => entry.seq),
            'the oldest first',
          );
          if (aged.length > 0) t.equal(moved?.through, aged.at(-1));
          if (aged.length < 5) t.ok(model.length - aged.length <= 20, 'bounded');
          model = model.slice(aged.length);
        } else if (next.kind === 'commit') {
          young.keep();
          saved = model;
          savedSeq = seq;
        } else {
          young.rollBack();
          model = saved;
          seq = savedSeq;
        }
        agree();
      }
    }),
    { numRuns: 20 },
  );
});

t.test('a minute makes an envelope old', async (t) => {
  const young = new YoungEnvelopes();
  young.added(1, 1, 10, 0);
  young.added(1, 2, 10, 1);
  young.keep();
  t.equal(young.takeAged(MINUTE - 1, 100), undefined);
  t.same(
    young.takeAged(MINUTE, 100)?.aged.map(({ seq }) => seq),
    [1],
  );
  t.equal(young.count(1), 1);
});
