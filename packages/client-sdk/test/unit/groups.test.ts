// Chapter 19: entries as bytes, who may change what, forged entries, forks that a person decides.
import t from 'tap';
import { copyBytes, toHex } from '@qasid/protocol';

// Pure internals: reached by path, not by the public names.
import {
  beginChain,
  decideFork,
  headOf,
  takeEntry,
  type GroupChain,
} from '../../dist/groups/chain.js';
import {
  decodeGroupEntry,
  encodeGroupEntry,
  type GroupChange,
  type SignedGroupEntry,
} from '../../dist/groups/entry.js';
import { GROUP_FINAL_MS, GROUP_MEMBERS_MAX } from '../../dist/groups/limits.js';
import { decodeGroupState, encodeGroupState } from '../../dist/groups/state.js';
import {
  chainOf,
  crypto,
  directoryOf,
  entryAfter,
  forcedEntry,
  foundGroup,
  membersOf,
  newEpoch,
  people,
  type Person,
} from '../support/group-people.js';

const [ann, ben, cat, dan, eve] = people(5) as [Person, Person, Person, Person, Person];
const known = [ann, ben, cat, dan, eve];
const identityOf = directoryOf(known);

const add = (who: Person, role: 'member' | 'admin' = 'member', byLink = false): GroupChange => ({
  kind: 'add',
  account: who.account,
  role,
  byLink,
});
const remove = (who: Person): GroupChange => ({ kind: 'remove', account: who.account });
const role = (who: Person, to: 'member' | 'admin'): GroupChange => ({
  kind: 'role',
  account: who.account,
  role: to,
});
const title = (text: string): GroupChange => ({ kind: 'title', title: text });

/** Ann is admin, Ben and Cat are members. */
function group(): GroupChain {
  return chainOf(foundGroup(ann, [ben, cat]), known);
}

function take(chain: GroupChain, signed: SignedGroupEntry, nowMs = 0) {
  return takeEntry(crypto, chain, signed, identityOf, nowMs);
}

/** Chain after entries that are each allowed. */
function after(chain: GroupChain, ...steps: readonly (readonly [Person, ...GroupChange[]])[]) {
  let result = chain;
  for (const [author, ...changes] of steps) {
    result = take(result, entryAfter(headOf(result), author, changes)).chain;
  }
  return result;
}

const LINK: GroupChange = {
  kind: 'link',
  link: { tokenHash: new Uint8Array(32), maker: ann.account, needsApproval: false, usesMax: 1 },
};

t.test('who may do what', async (t) => {
  const open = group();
  const strict = after(open, [
    ann,
    { kind: 'policy', policy: { add: 'admins', edit: 'admins', send: 'admins' } },
  ]);
  const linked = after(open, [ann, LINK]);
  const cases: readonly [string, GroupChain, Person, readonly GroupChange[], boolean][] = [
    ['a member adds', open, ben, [add(dan)], true],
    ['a member adds where admins do', strict, ben, [add(dan)], false],
    ['an admin adds where admins do', strict, ann, [add(dan)], true],
    ['a member makes an admin of a newcomer', open, ben, [add(dan, 'admin')], false],
    ['somebody is added twice', open, ann, [add(ben)], false],
    ['a stranger adds themselves', open, dan, [add(dan)], false],
    ['an admin removes and begins an epoch', open, ann, [remove(ben), newEpoch()], true],
    ['an admin removes and goes on with the secret', open, ann, [remove(ben)], false],
    ['an epoch before the removal', open, ann, [newEpoch(), remove(ben)], false],
    ['a member removes', open, ben, [remove(cat), newEpoch()], false],
    ['somebody is removed who is not there', open, ann, [remove(dan), newEpoch()], false],
    ['the only admin leaves', open, ann, [{ kind: 'leave' }], false],
    [
      'an admin leaves after making another',
      open,
      ann,
      [role(ben, 'admin'), { kind: 'leave' }],
      true,
    ],
    ['a member leaves', open, ben, [{ kind: 'leave' }], true],
    ['one who leaves makes the next secret', open, ben, [newEpoch(), { kind: 'leave' }], false],
    ['one who left goes on changing', open, ben, [{ kind: 'leave' }, add(dan)], false],
    ['a member changes roles', open, ben, [role(ben, 'admin')], false],
    ['the last admin steps down', open, ann, [role(ann, 'member')], false],
    ['a member edits where admins do', open, ben, [title('x')], false],
    ['an admin edits', open, ann, [title('x'), { kind: 'timer', seconds: 60 }], true],
    [
      'a member changes the policy',
      open,
      ben,
      [{ kind: 'policy', policy: { add: 'members', edit: 'members', send: 'members' } }],
      false,
    ],
    ['a member makes a link', open, ben, [LINK], false],
    ['by a link that is not there', open, ben, [add(dan, 'member', true)], false],
    ['by the link', linked, ben, [add(dan, 'member', true)], true],
    [
      'by the link, once too often',
      linked,
      ben,
      [add(dan, 'member', true), add(eve, 'member', true)],
      false,
    ],
    ['two epochs at once', open, ann, [newEpoch(), newEpoch()], false],
    ['nothing at all', open, ann, [], false],
  ];
  for (const [name, chain, author, changes, isAllowed] of cases) {
    const before = JSON.stringify(membersOf(chain));
    if (isAllowed) {
      t.equal(take(chain, entryAfter(headOf(chain), author, changes)).taken.kind, 'changed', name);
    } else {
      const forced = forcedEntry(headOf(chain), author, changes);
      t.throws(() => entryAfter(headOf(chain), author, changes), { code: 'VERIFY_GROUP' }, name);
      t.throws(() => take(chain, forced), { code: 'VERIFY_GROUP' }, `${name}, by force`);
    }
    t.equal(JSON.stringify(membersOf(chain)), before, 'the given chain is as it was');
  }
});

t.test(
  'ATK-E01 what was not signed by a member with the right to it changes nothing',
  async (t) => {
    const chain = group();
    const head = headOf(chain);
    const good = entryAfter(head, ben, [add(dan)]);
    const flipped = copyBytes(good.signature);
    flipped[5] = (flipped[5] ?? 0) ^ 1;
    const byEve = { ...entryAfter(head, { ...ben, identity: eve.identity }, [add(eve)]) };
    const wrong: Record<string, SignedGroupEntry> = {
      'a changed signature': { ...good, signature: flipped },
      'an empty signature': { ...good, signature: new Uint8Array(64) },
      "a stranger in a member's name": byEve,
      'a stranger': forcedEntry(head, eve, [add(eve)]),
      'another state than it names': forcedEntry(head, ben, [add(dan)]),
    };
    for (const [name, signed] of Object.entries(wrong)) {
      t.throws(() => take(chain, signed), { code: 'VERIFY_GROUP' }, name);
    }
    // Moved by a relay to where it was not made for.
    const other = group();
    const moved = entryAfter(headOf(other), ben, [add(dan)]);
    t.throws(() => take(chain, moved), { code: 'VERIFY_GROUP' }, 'an entry of another group');
    t.equal(take(chain, good).taken.kind, 'changed', 'the control');
  },
);

t.test('ATK-E04 a removed member has no say in what follows', async (t) => {
  // Both are admins, and the entry of the removed one has the lower hash: nothing but the removal decides.
  const start = after(group(), [ann, role(ben, 'admin')]);
  const without = after(start, [ann, remove(ben), newEpoch()]);
  let protest = entryAfter(headOf(start), ben, [add(eve)]);
  while (hashOf(start, protest) > headOf(without).hash) {
    protest = entryAfter(headOf(start), ben, [add(eve)]);
  }
  const { chain, taken } = take(without, protest);
  t.equal(taken.kind, 'aside', 'an entry from before the removal loses against it');
  t.notOk(headOf(chain).state.members.has(eve.account));
  // The other order: the entry counts until the removal is known.
  const first = take(start, protest).chain;
  t.ok(headOf(first).state.members.has(eve.account));
  const removal = without.line.at(-1);
  if (!removal) return t.fail('no removal');
  const second = take(first, removal.signed);
  t.match(second.taken, { kind: 'changed', undone: [{}], applied: [{}] });
  t.equal(headOf(second.chain).hash, headOf(chain).hash, 'the same head');
  const later = forcedEntry(headOf(chain), ben, [title('still here')]);
  t.throws(() => take(chain, later), { code: 'VERIFY_GROUP' });
});

t.test('entries arrive in any order, and from the future', async (t) => {
  const start = group();
  const end = after(start, [ann, title('1')], [ann, title('2')], [ann, title('3')]);
  const [, one, two, three] = end.line;
  if (!one || !two || !three) return t.fail('no entries');
  let chain = start;
  for (const link of [three, two]) {
    const step = take(chain, link.signed);
    t.equal(step.taken.kind, 'ahead');
    chain = step.chain;
  }
  const step = take(chain, one.signed);
  t.match(step.taken, { kind: 'changed', undone: [] });
  t.equal(headOf(step.chain).hash, headOf(end).hash);
  t.equal(step.chain.orphans.length, 0);
});

t.test('ATK-E10 an admin’s entry wins over a member’s, whatever their hashes', async (t) => {
  const start = after(group());
  const head = headOf(start);
  const byBen = entryAfter(head, ben, [add(dan)]);
  // A member can try hashes until the lowest is theirs: it must not help.
  let byAnn = entryAfter(head, ann, [title('a')]);
  for (let at = 0; hashOf(start, byAnn) < hashOf(start, byBen); at++) {
    byAnn = entryAfter(head, ann, [title(`a${at}`)]);
  }
  for (const order of [
    [byAnn, byBen],
    [byBen, byAnn],
  ]) {
    const chain = order.reduce((one, signed) => take(one, signed).chain, start);
    t.equal(headOf(chain).hash, hashOf(start, byAnn));
    t.notOk(headOf(chain).state.members.has(dan.account));
    t.equal(chain.fork, undefined);
  }
});

t.test('ATK-E10 admins who throw each other out: nothing is decided silently', async (t) => {
  const start = after(group(), [ann, role(ben, 'admin')]);
  const head = headOf(start);
  const byAnn = entryAfter(head, ann, [remove(ben), newEpoch()]);
  const byBen = entryAfter(head, ben, [remove(ann), newEpoch()]);
  const ours = take(take(start, byAnn).chain, byBen);
  t.equal(ours.taken.kind, 'forked');
  t.match(ours.chain.fork, { author: ben.account, version: 3 });
  t.ok(headOf(ours.chain).state.members.has(ann.account), 'what counted goes on counting');
  const theirs = ours.chain.fork?.theirs ?? '';
  const decided = decideFork(ours.chain, theirs);
  t.match(decided.taken, { kind: 'changed', undone: [{}], applied: [{}] });
  t.equal(decided.chain.fork, undefined);
  t.ok(headOf(decided.chain).state.members.has(ben.account));
  const again = take(decided.chain, byAnn);
  t.equal(again.taken.kind, 'known', 'what was decided against does not come back');
  t.equal(decideFork(start, theirs).taken.kind, 'known', 'nothing to decide');
});

t.test('ATK-E10 an old branch is told, not followed', async (t) => {
  const start = after(group(), [ann, role(ben, 'admin')]);
  const head = headOf(start);
  const [first, second] = [
    entryAfter(head, ann, [title('a')]),
    entryAfter(head, ben, [title('b')]),
  ].sort((a, b) => (hashOf(start, a) < hashOf(start, b) ? -1 : 1));
  if (!first || !second) return t.fail('no entries');
  const late = take(take(start, second, 0).chain, first, GROUP_FINAL_MS);
  t.equal(late.taken.kind, 'forked', 'final after a week');
  const soon = take(take(start, second, 0).chain, first, GROUP_FINAL_MS - 1);
  t.match(soon.taken, { kind: 'changed', undone: [{}] });
});

function hashOf(chain: GroupChain, signed: SignedGroupEntry): string {
  return headOf(take(chain, signed).chain).hash;
}

t.test('a newcomer begins with a signed entry and the state it names', async (t) => {
  const chain = after(group(), [ben, add(dan)]);
  const { signed, state } = headOf(chain);
  const sent = decodeGroupState(encodeGroupState(state));
  const begun = beginChain(crypto, signed, sent, identityOf, 0);
  t.equal(headOf(begun).hash, headOf(chain).hash);
  const swapped = { ...sent, members: new Map([...sent.members, [eve.account, 'admin' as const]]) };
  t.throws(() => beginChain(crypto, signed, swapped, identityOf, 0), { code: 'VERIFY_GROUP' });
  const stranger = directoryOf([ann]);
  t.throws(() => beginChain(crypto, signed, sent, stranger, 0), { code: 'VERIFY_GROUP' });
});

t.test(
  'ATK-E10 a newcomer whose branch was undone before it begins comes to the others',
  async (t) => {
    const start = after(group(), [ann, title('before')]);
    // Two entries after one: the branch that brought Dan in loses, and he knows nothing before it.
    const [lower, higher] = [
      entryAfter(headOf(start), ann, [add(dan)]),
      entryAfter(headOf(start), ann, [title('instead')]),
    ].sort((a, b) => (hashOf(start, a) < hashOf(start, b) ? -1 : 1));
    if (!lower || !higher) return t.fail('no entries');
    const isUndone = decodeGroupEntry(higher.entry).changes[0]?.kind === 'add';
    const welcome = isUndone ? higher : lower;
    const his = headOf(take(start, welcome).chain);
    const begun = beginChain(crypto, welcome, his.state, identityOf, 0);
    const theirs = after(take(start, isUndone ? lower : higher).chain, [ann, title('later')]);
    let chain = begun;
    for (const { signed } of theirs.line) ({ chain } = take(chain, signed));
    const both = take(theirs, welcome).chain;
    t.equal(headOf(chain).hash, headOf(both).hash, 'the head of everybody');
    t.equal(chain.orphans.length, 0);
    t.equal(chain.line[0]?.entry.version, 1);
    // A history with a hole changes nothing.
    for (const line of [theirs.line.slice(1), theirs.line.toSpliced(1, 1)]) {
      let still = begun;
      for (const { signed } of line) ({ chain: still } = take(still, signed));
      t.strictSame(still.line, begun.line);
    }
  },
);

t.test('entries and states are canonical bytes, and every cut of them is refused', async (t) => {
  const all: GroupChange[] = [
    add(dan),
    title('Ministry قاصد'),
    { kind: 'description', description: 'd' },
    { kind: 'picture', picture: Uint8Array.of(1) },
    { kind: 'timer', seconds: 3_600 },
    { kind: 'policy', policy: { add: 'admins', edit: 'members', send: 'admins' } },
    LINK,
    role(dan, 'admin'),
    remove(ben),
    newEpoch(),
  ];
  const chain = after(group(), [ann, ...all]);
  const { signed, state } = headOf(chain);
  const entry = decodeGroupEntry(signed.entry);
  t.same(entry.changes, all);
  t.equal(toHex(encodeGroupEntry(entry)), toHex(signed.entry));
  for (let length = 0; length < signed.entry.length; length++) {
    const cut = signed.entry.subarray(0, length);
    t.throws(() => decodeGroupEntry(cut), { code: 'DECODE_GROUP' }, `entry cut at ${length}`);
  }
  const encoded = encodeGroupState(state);
  t.same(decodeGroupState(encoded), state);
  let refused = 0;
  for (let length = 0; length < encoded.length; length++) {
    try {
      decodeGroupState(encoded.subarray(0, length));
    } catch (error) {
      if ((error as { code?: string }).code === 'DECODE_GROUP') refused++;
    }
  }
  // A cut between two members is a smaller group: the hash in the entry tells it apart.
  t.ok(refused >= encoded.length - state.members.size - 1, `${refused} of ${encoded.length}`);
  const unknown = Uint8Array.of(...signed.entry, 0x7a, 0x00);
  t.throws(() => decodeGroupEntry(unknown), { code: 'DECODE_GROUP' }, 'a part of the future');
});

t.test('a group of 1 000 fits, and 1 001 do not', async (t) => {
  const many = people(GROUP_MEMBERS_MAX);
  const [founder, ...others] = many;
  if (!founder) return;
  const founding = foundGroup(founder, others);
  t.ok(founding.entry.length < 49_152, `${founding.entry.length} bytes`);
  const chain = chainOf(founding, many);
  t.equal(headOf(chain).state.members.size, GROUP_MEMBERS_MAX);
  t.ok(encodeGroupState(headOf(chain).state).length < 32_000, 'a record takes it');
  t.throws(() => entryAfter(headOf(chain), founder, [add(eve)]), { code: 'VERIFY_GROUP' });
});
