/**
 * 19 Groups §4. The entries of a group as one device knows them, and which of them count.
 *
 * Members agree through a record that only members can write, entry after entry. Where two entries follow
 * the same one all the same (a relay that shows different records to different people, or somebody who
 * was just removed), every member who has seen both picks the same one by the rule of §4.3, whatever the
 * order of arrival; where the rule does not decide, nothing is decided silently.
 */
import {
  VerificationError,
  samePublicBytes,
  toHex,
  type CryptoProvider,
  type PublicKey,
} from '@qasid/protocol';

import {
  decodeGroupEntry,
  groupEntryHash,
  isSignedBy,
  type GroupEntry,
  type SignedGroupEntry,
} from './entry.js';
import { GROUP_ASIDE_MAX, GROUP_FINAL_MS, GROUP_HISTORY_MAX } from './limits.js';
import { applyEntry, groupStateHash, type GroupState } from './state.js';

/** An entry that was checked, with the state after it. */
export interface GroupLinkInChain {
  readonly signed: SignedGroupEntry;
  readonly entry: GroupEntry;
  /** Hex of the entry's hash. */
  readonly hash: string;
  readonly state: GroupState;
  /** This device's clock when it was taken. */
  readonly takenAtMs: number;
}

/** Two branches of which the rule prefers neither. Nothing is sent until a person decides. */
export interface GroupFork {
  /** Hashes of the two entries that follow the same one, ours first. */
  readonly ours: string;
  readonly theirs: string;
  /** Who made the other one. */
  readonly author: string;
  readonly version: number;
}

/** What one device knows of a group's entries. */
export interface GroupChain {
  /** Oldest first, each following the one before; the last is the head. At least one. */
  readonly line: readonly GroupLinkInChain[];
  /** Checked entries of branches that do not count. */
  readonly aside: readonly GroupLinkInChain[];
  /** Signed entries whose parent is not known yet. */
  readonly orphans: readonly SignedGroupEntry[];
  /** Hashes of entries that a person decided against: they do not come back. */
  readonly rejected: readonly string[];
  readonly fork: GroupFork | undefined;
}

/** What became of an entry. */
export type GroupTaken =
  | { readonly kind: 'known' }
  /** The group changed; `undone` entries count no more, `applied` ones do. Both oldest first. */
  | {
      readonly kind: 'changed';
      readonly undone: readonly GroupLinkInChain[];
      readonly applied: readonly GroupLinkInChain[];
    }
  /** Its parent is not known: ask the record. */
  | { readonly kind: 'ahead' }
  /** It belongs to a branch that does not count. */
  | { readonly kind: 'aside' }
  /** As `aside`, and the rule does not decide: see `fork`. */
  | { readonly kind: 'forked' };

/** Identity key of an account as this device trusts it. */
export type IdentityOf = (account: string) => PublicKey | undefined;

/** The last entry that counts. */
export function headOf(chain: GroupChain): GroupLinkInChain {
  const head = chain.line.at(-1);
  if (head === undefined) throw new VerificationError('VERIFY_GROUP', 'a group without entries');
  return head;
}

/**
 * Begin with an entry and the state it names: the one that founds a group, or the one that a member hands to
 * a newcomer.
 *
 * @throws VerificationError `VERIFY_GROUP` when signature, author or state do not fit; DecodeError
 * `DECODE_GROUP`.
 */
export function beginChain(
  crypto: CryptoProvider,
  signed: SignedGroupEntry,
  state: GroupState,
  identityOf: IdentityOf,
  nowMs: number,
): GroupChain {
  const entry = checkSignature(crypto, signed, identityOf);
  const fits =
    samePublicBytes(entry.groupId, state.groupId) &&
    entry.version === state.version &&
    samePublicBytes(entry.stateHash, groupStateHash(crypto, state));
  if (!fits) throw refused('the state is not the one it names');
  // Founding can be checked as a whole; later ones rest on the word of their author.
  if (entry.version === 1) applyEntry(crypto, undefined, entry);
  const hash = toHex(groupEntryHash(crypto, signed.entry));
  const link = { signed, entry, hash, state, takenAtMs: nowMs };
  return { line: [link], aside: [], orphans: [], rejected: [], fork: undefined };
}

/**
 * Take an entry, from a member or from the record. The chain given is not changed.
 *
 * @throws VerificationError `VERIFY_GROUP`, DecodeError `DECODE_GROUP`: the entry is nothing to anybody.
 */
export function takeEntry(
  crypto: CryptoProvider,
  chain: GroupChain,
  signed: SignedGroupEntry,
  identityOf: IdentityOf,
  nowMs: number,
): { readonly chain: GroupChain; readonly taken: GroupTaken } {
  const hash = toHex(groupEntryHash(crypto, signed.entry));
  if (findLink(chain, hash) !== undefined || chain.rejected.includes(hash)) {
    return { chain, taken: { kind: 'known' } };
  }
  const entry = checkSignature(crypto, signed, identityOf);
  const head = headOf(chain);
  if (!samePublicBytes(entry.groupId, head.entry.groupId)) throw refused('another group');
  const parent = findLink(chain, toHex(entry.parent));
  if (parent === undefined) {
    const waiting = withOrphan(chain, signed);
    const rooted = withAncestors(crypto, waiting, identityOf);
    const [root] = rooted.line;
    if (rooted === waiting || root === undefined)
      return { chain: waiting, taken: { kind: 'ahead' } };
    const adopted = adoptOrphans(crypto, rooted, identityOf, nowMs);
    return settle(chain, adopted, { ...root, takenAtMs: nowMs });
  }
  const state = applyEntry(crypto, parent.state, entry);
  const link = { signed, entry, hash, state, takenAtMs: nowMs };
  const grown = { ...chain, aside: bounded([...chain.aside, link], GROUP_ASIDE_MAX) };
  const adopted = adoptOrphans(crypto, grown, identityOf, nowMs);
  return settle(chain, adopted, link);
}

/**
 * Whoever was brought in knows nothing before the entry that did it, and so cannot judge a branch that left earlier:
 * were that entry undone, they would stay with it alone. The entries before it are proven by their hashes, from the
 * founding one on; when all of them are here, the line begins with them.
 *
 * @returns the same chain when they are not here, or do not lead to it.
 */
function withAncestors(
  crypto: CryptoProvider,
  chain: GroupChain,
  identityOf: IdentityOf,
): GroupChain {
  const [root] = chain.line;
  if (root === undefined || root.entry.version === 1) return chain;
  const waiting = new Map<string, SignedGroupEntry>();
  for (const orphan of chain.orphans) {
    waiting.set(toHex(groupEntryHash(crypto, orphan.entry)), orphan);
  }
  const found: { readonly signed: SignedGroupEntry; readonly hash: string }[] = [];
  for (let hash = toHex(root.entry.parent); found[0]?.hash !== hash; ) {
    const signed = waiting.get(hash);
    if (signed === undefined) break;
    found.unshift({ signed, hash });
    const { parent, version } = decodeGroupEntry(signed.entry);
    if (version > 1) hash = toHex(parent);
  }
  const [first] = found;
  if (first === undefined || decodeGroupEntry(first.signed.entry).version !== 1) return chain;
  const ancestors: GroupLinkInChain[] = [];
  try {
    for (const { signed, hash } of found) {
      const entry = checkSignature(crypto, signed, identityOf);
      const state = applyEntry(crypto, ancestors.at(-1)?.state, entry);
      ancestors.push({ signed, entry, hash, state, takenAtMs: root.takenAtMs });
    }
    applyEntry(crypto, ancestors.at(-1)?.state, root.entry);
  } catch {
    // Not what they led to.
    return chain;
  }
  const used = new Set(found.map(({ signed }) => signed));
  const orphans = chain.orphans.filter((orphan) => !used.has(orphan));
  return { ...chain, line: [...ancestors, ...chain.line], orphans };
}

/**
 * A person decided for the branch of `hash`, an entry of `fork`. Follow it.
 *
 * @returns the chain, and what changed; the same chain when there is no such branch.
 */
export function decideFork(
  chain: GroupChain,
  hash: string,
): { readonly chain: GroupChain; readonly taken: GroupTaken } {
  const { fork } = chain;
  if (fork === undefined || (hash !== fork.ours && hash !== fork.theirs)) {
    return { chain, taken: { kind: 'known' } };
  }
  const first = findLink(chain, hash);
  if (first === undefined) return { chain, taken: { kind: 'known' } };
  const loser = hash === fork.ours ? fork.theirs : fork.ours;
  const tree = treeOf(chain);
  const dropped = new Set(subtree(tree, loser));
  const kept = [...chain.line, ...chain.aside].filter((link) => !dropped.has(link.hash));
  const rejected = bounded([...chain.rejected, ...dropped], GROUP_ASIDE_MAX);
  const line = chain.line.slice(0, 1);
  const pruned = { ...chain, line, aside: kept.slice(1), rejected, fork: undefined };
  return settle(chain, pruned, first);
}

/** All entries below their parents, by hash of the parent. */
type Tree = ReadonlyMap<string, readonly GroupLinkInChain[]>;

function treeOf(chain: GroupChain): Tree {
  const tree = new Map<string, GroupLinkInChain[]>();
  for (const link of [...chain.line.slice(1), ...chain.aside]) {
    const parent = toHex(link.entry.parent);
    const siblings = tree.get(parent);
    if (siblings === undefined) tree.set(parent, [link]);
    else if (!siblings.some(({ hash }) => hash === link.hash)) siblings.push(link);
  }
  return tree;
}

function subtree(tree: Tree, hash: string): readonly string[] {
  const below = tree.get(hash) ?? [];
  return [hash, ...below.flatMap((link) => subtree(tree, link.hash))];
}

/** Work out which entries count, starting from the oldest one kept. */
function settle(
  before: GroupChain,
  chain: GroupChain,
  link: GroupLinkInChain,
): { readonly chain: GroupChain; readonly taken: GroupTaken } {
  const [root] = chain.line;
  if (root === undefined) return { chain, taken: { kind: 'known' } };
  const tree = treeOf(chain);
  const current = new Set(before.line.map(({ hash }) => hash));
  const best = bestBelow(tree, root, current, link.takenAtMs);
  const line = [root, ...best.line];
  const counted = new Set(line.map(({ hash }) => hash));
  const applied = line.filter(({ hash }) => !current.has(hash));
  const undone = before.line.filter(({ hash }) => !counted.has(hash));
  const aside = [...chain.line, ...chain.aside].filter(({ hash }) => !counted.has(hash));
  const after: GroupChain = {
    line: line.slice(-GROUP_HISTORY_MAX),
    aside: bounded(aside, GROUP_ASIDE_MAX),
    orphans: chain.orphans,
    rejected: chain.rejected,
    fork: best.fork,
  };
  if (applied.length > 0 || undone.length > 0) {
    return { chain: after, taken: { kind: 'changed', undone, applied } };
  }
  const isContested = best.fork !== undefined && before.fork === undefined;
  return { chain: after, taken: { kind: isContested ? 'forked' : 'aside' } };
}

interface Best {
  readonly line: readonly GroupLinkInChain[];
  readonly fork: GroupFork | undefined;
}

/** The entries that count after `link`. `current` are those that counted until now. */
function bestBelow(
  tree: Tree,
  link: GroupLinkInChain,
  current: ReadonlySet<string>,
  nowMs: number,
): Best {
  const candidates = (tree.get(link.hash) ?? []).map((first) => {
    const below = bestBelow(tree, first, current, nowMs);
    return { first, line: [first, ...below.line], fork: below.fork };
  });
  const [only] = candidates;
  if (only === undefined) return { line: [], fork: undefined };
  if (candidates.length === 1) return only;
  const ours = candidates.find(({ first }) => current.has(first.hash));
  // An entry that counted for a week is final: what leaves the line before it comes too late.
  const isFinal = ours !== undefined && nowMs - ours.first.takenAtMs >= GROUP_FINAL_MS;
  // What a branch ends in is not known while it is itself contested.
  const isOpen = candidates.some(({ fork }) => fork !== undefined);
  const winner = isFinal || isOpen ? undefined : strongest(link.state, candidates);
  if (winner !== undefined) return winner;
  const held = ours ?? candidates.reduce((a, b) => (a.first.hash < b.first.hash ? a : b));
  const rival = candidates.find((candidate) => candidate !== held);
  if (rival === undefined) return held;
  const fork: GroupFork = {
    ours: held.first.hash,
    theirs: rival.first.hash,
    author: rival.first.entry.author,
    version: rival.first.entry.version,
  };
  return { line: held.line, fork };
}

interface Branch {
  readonly first: GroupLinkInChain;
  readonly line: readonly GroupLinkInChain[];
  readonly fork: GroupFork | undefined;
}

/** The branch that wins against every other; `undefined` when there is none. */
function strongest(at: GroupState, branches: readonly Branch[]): Branch | undefined {
  return branches.find((one) =>
    branches.every((other) => other === one || isStronger(at, one, other)),
  );
}

/** §4.3: whom the other branch removed has nothing to say; then admins before members; then the hash. */
function isStronger(at: GroupState, one: Branch, other: Branch): boolean {
  const oneIsOut = demotes(at, other, one.first.entry.author);
  const otherIsOut = demotes(at, one, other.first.entry.author);
  if (oneIsOut !== otherIsOut) return otherIsOut;
  // Each throws the other out: nobody but a person can say who was right.
  if (oneIsOut) return false;
  const rank = (branch: Branch) => (at.members.get(branch.first.entry.author) === 'admin' ? 1 : 0);
  if (rank(one) !== rank(other)) return rank(one) > rank(other);
  return one.first.hash < other.first.hash;
}

/** Whether `account` has lost what it was at the fork when `branch` ends. */
function demotes(at: GroupState, branch: Branch, account: string): boolean {
  const end = branch.line.at(-1)?.state.members.get(account);
  const gone = branch.line.some(({ entry }) => entry.author === account && hasLeft(entry));
  // Whoever left by themselves was not thrown out.
  if (end === undefined) return !gone;
  return at.members.get(account) === 'admin' && end === 'member';
}

function hasLeft({ changes }: GroupEntry): boolean {
  return changes.some(({ kind }) => kind === 'leave');
}

/** Entries that were waiting for one that is here now. Those that turn out wrong are dropped. */
function adoptOrphans(
  crypto: CryptoProvider,
  chain: GroupChain,
  identityOf: IdentityOf,
  nowMs: number,
): GroupChain {
  let result = chain;
  for (let found = true; found; ) {
    found = false;
    for (const orphan of result.orphans) {
      const link = adopt(crypto, result, orphan, identityOf, nowMs);
      if (link === 'waits') continue;
      const orphans = result.orphans.filter((other) => other !== orphan);
      const aside = link === 'wrong' ? result.aside : [...result.aside, link];
      result = { ...result, orphans, aside: bounded(aside, GROUP_ASIDE_MAX) };
      found = true;
      break;
    }
  }
  return result;
}

function adopt(
  crypto: CryptoProvider,
  chain: GroupChain,
  signed: SignedGroupEntry,
  identityOf: IdentityOf,
  nowMs: number,
): GroupLinkInChain | 'waits' | 'wrong' {
  try {
    const entry = checkSignature(crypto, signed, identityOf);
    const parent = findLink(chain, toHex(entry.parent));
    if (parent === undefined) return 'waits';
    const hash = toHex(groupEntryHash(crypto, signed.entry));
    if (findLink(chain, hash) !== undefined) return 'wrong';
    return {
      signed,
      entry,
      hash,
      state: applyEntry(crypto, parent.state, entry),
      takenAtMs: nowMs,
    };
  } catch {
    return 'wrong';
  }
}

function withOrphan(chain: GroupChain, signed: SignedGroupEntry): GroupChain {
  const isThere = chain.orphans.some(({ entry }) => samePublicBytes(entry, signed.entry));
  if (isThere) return chain;
  return { ...chain, orphans: bounded([...chain.orphans, signed], GROUP_ASIDE_MAX) };
}

function findLink(chain: GroupChain, hash: string): GroupLinkInChain | undefined {
  const isIt = (link: GroupLinkInChain) => link.hash === hash;
  return chain.line.find(isIt) ?? chain.aside.find(isIt);
}

function checkSignature(
  crypto: CryptoProvider,
  signed: SignedGroupEntry,
  identityOf: IdentityOf,
): GroupEntry {
  const entry = decodeGroupEntry(signed.entry);
  const identity = identityOf(entry.author);
  if (identity === undefined || !isSignedBy(crypto, identity, signed)) throw refused('signature');
  return entry;
}

function bounded<Item>(items: readonly Item[], max: number): readonly Item[] {
  return items.slice(-max);
}

function refused(why: string): VerificationError {
  return new VerificationError('VERIFY_GROUP', `group entry refused: ${why}`);
}
