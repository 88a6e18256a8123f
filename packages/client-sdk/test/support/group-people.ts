/** People with identity keys who make group entries, for tests of chapter 19. */
import { defaultCrypto, generateIdentityKeyPair, toHex, type KeyPair } from '@qasid/protocol';
import { accountText, generateAccountId } from '@qasid/protocol/envelope';

// Pure internals: reached by path, not by the public names.
import {
  beginChain,
  headOf,
  type GroupChain,
  type GroupLinkInChain,
} from '../../dist/groups/chain.js';
import {
  epochCommitment,
  groupEntryHash,
  signGroupEntry,
  type GroupChange,
  type GroupRole,
  type SignedGroupEntry,
} from '../../dist/groups/entry.js';
import { groupStateHash, nextGroupState, type GroupState } from '../../dist/groups/state.js';

export const crypto = defaultCrypto;

/** A person with an account. */
export interface Person {
  readonly account: string;
  readonly identity: KeyPair;
}

/** Fresh people, in the order of their account ids. */
export function people(count: number): readonly Person[] {
  return Array.from({ length: count }, () => ({
    account: accountText(generateAccountId(crypto)),
    identity: generateIdentityKeyPair(crypto),
  })).sort((a, b) => (a.account < b.account ? -1 : 1));
}

/** What a device that knows these people trusts. */
export function directoryOf(known: readonly Person[]) {
  const keys = new Map(known.map(({ account, identity }) => [account, identity.public]));
  return (account: string) => keys.get(account);
}

/** The change that begins an epoch, with a secret nobody needs. */
export function newEpoch(): GroupChange {
  return { kind: 'epoch', commitment: epochCommitment(crypto, crypto.randomBytes(32)) };
}

/** An entry of `author` after `parent`, signed. @throws what nobody may do. */
export function entryAfter(
  parent: GroupLinkInChain,
  author: Person,
  changes: readonly GroupChange[],
): SignedGroupEntry {
  return signed(parent.state, groupEntryHash(crypto, parent.signed.entry), author, changes);
}

/** The same, whether its author may or not, naming the state `stateHash`. */
export function forcedEntry(
  parent: GroupLinkInChain,
  author: Person,
  changes: readonly GroupChange[],
  stateHash: Uint8Array<ArrayBuffer> = crypto.randomBytes(32),
): SignedGroupEntry {
  const entry = {
    groupId: parent.state.groupId,
    version: parent.state.version + 1,
    parent: groupEntryHash(crypto, parent.signed.entry),
    author: author.account,
    atMs: 1,
    changes,
    stateHash,
  };
  return signGroupEntry(crypto, author.identity.secret, crypto.randomBytes(64), entry);
}

/** A group that `founder` made with `others`. */
export function foundGroup(
  founder: Person,
  others: readonly Person[],
  role: GroupRole = 'member',
): SignedGroupEntry {
  const adds = others.map(({ account }) => ({
    kind: 'add' as const,
    account,
    role,
    byLink: false,
  }));
  return signed(undefined, new Uint8Array(32), founder, [...adds, newEpoch()]);
}

/** How a device begins with a group that `founder` made. */
export function chainOf(founding: SignedGroupEntry, known: readonly Person[]): GroupChain {
  return beginChain(crypto, founding, stateOfFounding(founding), directoryOf(known), 0);
}

/** Who a chain says is in the group, and in which role. */
export function membersOf(chain: GroupChain): readonly string[] {
  const { members } = headOf(chain).state;
  return [...members].map(([account, role]) => `${account} ${role}`).sort();
}

const foundings = new Map<string, GroupState>();

function stateOfFounding(founding: SignedGroupEntry): GroupState {
  const state = foundings.get(toHex(founding.entry));
  if (state === undefined) throw new Error('not founded here');
  return state;
}

let clock = 0;

function signed(
  before: GroupState | undefined,
  parent: Uint8Array<ArrayBuffer>,
  author: Person,
  changes: readonly GroupChange[],
): SignedGroupEntry {
  const groupId = before?.groupId ?? crypto.randomBytes(32);
  const version = (before?.version ?? 0) + 1;
  const base = { groupId, version, parent, author: author.account, atMs: ++clock, changes };
  const after = nextGroupState(before, { ...base, stateHash: new Uint8Array(32) });
  const entry = { ...base, stateHash: groupStateHash(crypto, after) };
  const result = signGroupEntry(crypto, author.identity.secret, crypto.randomBytes(64), entry);
  if (before === undefined) foundings.set(toHex(result.entry), after);
  return result;
}
