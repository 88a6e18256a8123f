// Changes of messages in any order: devices that heard of all of them agree.
import fc from 'fast-check';
import t from 'tap';

import {
  decodeState,
  edit,
  EMPTY_STATE,
  encodeState,
  erase,
  react,
  receive,
  vote,
  type MessageState,
} from '../../dist/content/message-state.js';

type Change = (state: MessageState) => MessageState;

const stamp = fc.record({
  atMs: fc.nat(5),
  id: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
});
const author = fc.constantFrom('alice', 'bob', 'carol');

/** Two changes under one content id cannot be: ids are unique. */
function distinct(changes: readonly { readonly name: string; readonly change: Change }[]) {
  return [...new Map(changes.map((one) => [one.name, one])).values()];
}

const change = fc.oneof(
  fc.tuple(author, stamp, fc.constantFrom('👍', '❤️', '')).map(([who, at, emoji]) => ({
    name: `react ${who} ${at.atMs} ${at.id}`,
    change: ((state) => react(state, { author: who, emoji, ...at })) satisfies Change,
  })),
  fc.tuple(author, stamp, fc.subarray([0, 1, 2, 3])).map(([who, at, options]) => ({
    name: `vote ${who} ${at.atMs} ${at.id}`,
    change: ((state) =>
      vote(
        state,
        { author: who, options, ...at },
        { options: 3, multiple: true },
      )) satisfies Change,
  })),
  fc.tuple(stamp, fc.string()).map(([at, text]) => ({
    name: `edit ${at.atMs} ${at.id}`,
    change: ((state) => edit(state, { kind: 'text', text }, at)) satisfies Change,
  })),
  fc.constant({ name: 'erase', change: erase satisfies Change }),
  fc.tuple(author, fc.constantFrom('delivered', 'read', 'viewed')).map(([who, kind]) => ({
    name: `receipt ${who} ${kind}`,
    change: ((state) => receive(state, who, kind as 'read', 7)) satisfies Change,
  })),
);

function normal(state: MessageState): unknown {
  const receipts = [...state.receipts].sort((a, b) => (a.account < b.account ? -1 : 1));
  return { ...state, receipts };
}

t.test('three devices, three orders, also with repeats: one state', async (t) => {
  let erased = 0;
  fc.assert(
    fc.property(
      fc
        .array(change, { maxLength: 25 })
        .map(distinct)
        .chain((changes) =>
          fc.tuple(
            fc.shuffledSubarray(changes, { minLength: changes.length }),
            fc.shuffledSubarray(changes, { minLength: changes.length }),
            fc.array(fc.constantFrom(...changes, { name: 'none', change: (s: MessageState) => s })),
          ),
        ),
      ([one, two, again]) => {
        const run = (changes: readonly { readonly change: Change }[]): MessageState =>
          changes.reduce<MessageState>(
            (state, { change }) => decodeState(encodeState(change(state))),
            EMPTY_STATE,
          );
        const a = run(one);
        const b = run(two);
        const c = run([...two, ...again.filter(({ name }) => name !== 'none')]);
        if (a.deleted) erased++;
        t.strictSame(normal(a), normal(b));
        t.strictSame(normal(a), normal(c));
      },
    ),
    { numRuns: 400 },
  );
  t.ok(erased > 10, `${erased} of them erased`);
});

t.test('a vote that does not fit its poll is none', async (t) => {
  const at = { atMs: 1, id: 'a', author: 'bob' };
  const single = { options: 2, multiple: false };
  t.equal(vote(EMPTY_STATE, { ...at, options: [0, 1] }, single), EMPTY_STATE);
  t.equal(vote(EMPTY_STATE, { ...at, options: [2] }, single), EMPTY_STATE);
  t.equal(vote(EMPTY_STATE, { ...at, options: [1] }, single).votes.length, 1);
});
