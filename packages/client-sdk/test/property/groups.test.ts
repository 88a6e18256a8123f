// Chapter 19 §4: whatever is forked, and in whatever order it arrives, members end at the same head, or say so.
import fc from 'fast-check';
import t from 'tap';

// Pure internals: reached by path, not by the public names.
import {
  headOf,
  takeEntry,
  type GroupChain,
  type GroupLinkInChain,
} from '../../dist/groups/chain.js';
import type { GroupChange, SignedGroupEntry } from '../../dist/groups/entry.js';
import {
  chainOf,
  crypto,
  directoryOf,
  entryAfter,
  foundGroup,
  newEpoch,
  people,
  type Person,
} from '../support/group-people.js';

const cast = people(6);
const identityOf = directoryOf(cast);

/** What somebody may try, by number; whether they may is seen when it is made. */
function change(kind: number, target: Person, text: string): readonly GroupChange[] {
  const { account } = target;
  switch (kind) {
    case 0:
      return [{ kind: 'add', account, role: 'member', byLink: false }];
    case 1:
      return [{ kind: 'remove', account }, newEpoch()];
    case 2:
      return [{ kind: 'role', account, role: 'admin' }];
    case 3:
      return [{ kind: 'role', account, role: 'member' }];
    case 4:
      return [{ kind: 'leave' }];
    default:
      return [{ kind: 'title', title: text }];
  }
}

interface Move {
  readonly parent: number;
  readonly author: number;
  readonly target: number;
  readonly kind: number;
}

const anyMove: fc.Arbitrary<Move> = fc.record({
  parent: fc.nat(1_000),
  author: fc.nat(5),
  target: fc.nat(5),
  kind: fc.nat(6),
});

/** A tree of entries that were each allowed where they were made. */
function tree(founding: SignedGroupEntry, moves: readonly Move[]): readonly SignedGroupEntry[] {
  const [first] = chainOf(founding, cast).line;
  const links: GroupLinkInChain[] = first ? [first] : [];
  const entries: SignedGroupEntry[] = [];
  for (const [index, move] of moves.entries()) {
    const at = move.parent % 2 === 0 ? move.parent % links.length : links.length - 1;
    const parent = links[at];
    const author = cast[move.author];
    const target = cast[move.target];
    if (!parent || !author || !target) continue;
    try {
      const signed = entryAfter(parent, author, change(move.kind, target, `title ${index}`));
      const chain: GroupChain = {
        line: [parent],
        aside: [],
        orphans: [],
        rejected: [],
        fork: undefined,
      };
      links.push(headOf(takeEntry(crypto, chain, signed, identityOf, 0).chain));
      entries.push(signed);
    } catch {
      // Not allowed there.
    }
  }
  return entries;
}

function deliver(founding: SignedGroupEntry, entries: readonly SignedGroupEntry[]): GroupChain {
  let chain = chainOf(founding, cast);
  for (const entry of entries) chain = takeEntry(crypto, chain, entry, identityOf, 0).chain;
  return chain;
}

t.test('ATK-E10 any order of arrival: one head for all, or a fork that is told', async (t) => {
  let forked = 0;
  let agreed = 0;
  fc.assert(
    fc.property(
      fc.array(anyMove, { minLength: 2, maxLength: 14 }),
      fc.array(fc.nat(10 ** 6), { minLength: 14, maxLength: 14 }),
      (moves, order) => {
        const [founder, ...others] = cast.slice(0, 4);
        if (!founder) return;
        const founding = foundGroup(founder, others, 'admin');
        const entries = tree(founding, moves);
        const shuffled = entries
          .map((entry, index) => ({ entry, key: order[index] ?? 0 }))
          .sort((a, b) => a.key - b.key)
          .map(({ entry }) => entry);
        const views = [entries, shuffled, [...entries].reverse()].map((seen) =>
          deliver(founding, seen),
        );
        const heads = new Set(views.map((view) => headOf(view).hash));
        const forks = views.filter(({ fork }) => fork !== undefined).length;
        const isBranched = (views[0]?.aside.length ?? 0) > 0;
        if (forks > 0) forked++;
        else if (isBranched) agreed++;
        if (heads.size > 1 && forks === 0) t.fail('two heads, and nobody is told');
        if (forks !== 0 && forks !== views.length) t.fail('some are told of a fork, some are not');
        if (views.some(({ orphans }) => orphans.length > 0)) t.fail('an entry still waits');
      },
    ),
    { numRuns: 150 },
  );
  t.ok(agreed > 20, `${agreed} with branches agreed by rule`);
  t.ok(forked > 0, `${forked} were told of a fork`);
});

t.test('ATK-E10 repeats and old entries never move the head back', async (t) => {
  fc.assert(
    fc.property(
      fc.array(anyMove, { minLength: 1, maxLength: 10 }),
      fc.array(fc.nat(30), { maxLength: 20 }),
      (moves, again) => {
        const [founder, ...others] = cast.slice(0, 4);
        if (!founder) return;
        const founding = foundGroup(founder, others, 'admin');
        const entries = tree(founding, moves);
        const chain = deliver(founding, entries);
        const head = headOf(chain).hash;
        let replayed = chain;
        for (const index of again) {
          const entry = entries[index % Math.max(1, entries.length)];
          if (entry) replayed = takeEntry(crypto, replayed, entry, identityOf, 0).chain;
        }
        if (headOf(replayed).hash !== head) t.fail('moved');
      },
    ),
    { numRuns: 60 },
  );
  t.pass('60 runs');
});
