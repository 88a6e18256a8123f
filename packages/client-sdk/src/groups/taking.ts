/**
 * 19 Groups §4. Entries into a device's chain, from a session or the record, in one commit with what follows.
 */
import {
  DecodeError,
  QasidError,
  VerificationError,
  samePublicBytes,
  type PublicKey,
} from '@qasid/protocol';

import { untilCommitted } from '../committed.js';
import { newConversation } from '../content/conversation-state.js';
import type { ConversationSettings } from '../content/index.js';
import { AccountError } from '../errors.js';
import type { ClientExtra } from '../stores/port.js';
import { Batch, joinExtras } from '../timeline/batch.js';
import {
  beginChain,
  headOf,
  takeEntry,
  type GroupChain,
  type GroupLinkInChain,
  type IdentityOf,
} from './chain.js';
import { decodeGroupEntry, epochCommitment, type SignedGroupEntry } from './entry.js';
import type { GroupEntryInfo } from './events.js';
import type { WelcomeSignal } from './signals.js';
import { groupName, type GroupDeps, type StoredGroup } from './store.js';
import { GROUP_SPACE, withSecret, type GroupData } from './stored.js';

/** What came of some entries. */
export interface Taking {
  /** One of them follows an entry that is not here. */
  readonly isAhead: boolean;
}

/** Keys of the authors of entries, asking the relay about those never met. Unknown ones stay unknown. */
export async function identitiesOf(
  deps: GroupDeps,
  entries: readonly SignedGroupEntry[],
): Promise<IdentityOf> {
  const found = new Map<string, PublicKey>();
  for (const { entry } of entries) {
    const author = authorOf(entry);
    if (author === undefined || found.has(author)) continue;
    const known = await deps.store.loadIdentity(author);
    const identity = known ?? (await asked(deps, author));
    if (identity !== undefined) found.set(author, identity);
  }
  return (account) => found.get(account);
}

async function asked(deps: GroupDeps, account: string): Promise<PublicKey | undefined> {
  try {
    await deps.directory.resolve(account);
  } catch (error) {
    if (error instanceof AccountError || error instanceof VerificationError) return undefined;
    throw error;
  }
  return deps.store.loadIdentity(account);
}

function authorOf(entry: Uint8Array): string | undefined {
  try {
    return decodeGroupEntry(entry).author;
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

/**
 * Take entries into a group that is known here. Those that are wrong are told and left out.
 *
 * @param secret - Of the epoch that one of them begins.
 */
export async function adoptEntries(
  deps: GroupDeps,
  id: string,
  entries: readonly SignedGroupEntry[],
  secret?: Uint8Array<ArrayBuffer>,
): Promise<Taking> {
  const identityOf = await identitiesOf(deps, entries);
  return untilCommitted(async () => {
    const stored = await deps.groups.load(id);
    if (stored === undefined) return { isAhead: false };
    let { chain } = stored.data;
    const refused: unknown[] = [];
    for (const signed of entries) {
      try {
        ({ chain } = takeEntry(deps.crypto, chain, signed, identityOf, deps.clock.now()));
      } catch (error) {
        // ATK-E01: nobody's word but that of a member who may.
        if (!(error instanceof QasidError)) throw error;
        refused.push(error);
      }
    }
    const isAhead = entries.some(({ entry }) =>
      chain.orphans.some((orphan) => samePublicBytes(orphan.entry, entry)),
    );
    let data: GroupData = { ...stored.data, chain };
    if (secret !== undefined && isSecretOf(deps, chain, secret)) {
      data = withSecret(deps.crypto, data, secret);
    }
    const isNew = chain !== stored.data.chain || data.secrets !== stored.data.secrets;
    if (isNew) await commitGroup(deps, stored, data, {});
    for (const error of refused) deps.trouble(error);
    return { isAhead };
  });
}

function isSecretOf(deps: GroupDeps, chain: GroupChain, secret: Uint8Array): boolean {
  const commitment = epochCommitment(deps.crypto, secret).join();
  const has = ({ state }: GroupLinkInChain): boolean => state.epochCommitment.join() === commitment;
  return chain.line.some(has) || chain.aside.some(has);
}

/**
 * Write a group, and tell what is different now.
 *
 * @param stored - As it was; for a group that is new here, `data` is undefined and the version that of its record.
 */
export async function commitGroup(
  deps: GroupDeps,
  stored: Omit<StoredGroup, 'data'> & { readonly data: GroupData | undefined },
  data: GroupData,
  extra: ClientExtra,
  status?: ConversationSettings['status'],
): Promise<void> {
  const { store, groups, self } = deps;
  const { id, version } = stored;
  const { state } = headOf(data.chain);
  const batch = new Batch(store);
  const isMember = state.members.has(self.account);
  const before = await batch.conversation(id);
  const conversation = before ?? {
    ...newConversation(status ?? 'accepted'),
    lastActivityMs: deps.clock.now(),
  };
  const accepted = status === 'accepted' && conversation.settings.status === 'request';
  await batch.setConversation(id, {
    ...conversation,
    ...(accepted && { settings: { ...conversation.settings, status } }),
    profileName: state.title,
    timer: { seconds: state.timerSeconds, version: state.version },
  });
  if (!isMember) {
    // Nothing of ours may be written there any more.
    await batch.setRecord(GROUP_SPACE.outgoing, id, undefined);
    await batch.setRecord(GROUP_SPACE.holders, id, undefined);
  }
  const change = { records: [groups.change(id, data, version)] };
  await store.commit({ extra: joinExtras(batch.toExtra(), change, extra) });
  tellOf(deps, id, stored.data?.chain, data.chain);
}

/** Events for what a commit did. */
function tellOf(
  deps: GroupDeps,
  group: string,
  before: GroupChain | undefined,
  after: GroupChain,
): void {
  const old = before?.line ?? [];
  const had = new Set(old.map(({ hash }) => hash));
  const has = new Set(after.line.map(({ hash }) => hash));
  const last = after.line.findIndex(({ hash }) => had.has(hash));
  // What fell off the beginning was not undone.
  const first = old.findIndex(({ hash }) => has.has(hash));
  const undone = old.slice(Math.max(0, first)).filter(({ hash }) => !has.has(hash));
  const applied = after.line.slice(Math.max(0, last)).filter(({ hash }) => !had.has(hash));
  if (before === undefined || undone.length > 0 || applied.length > 0) {
    const isMember = headOf(after).state.members.has(deps.self.account);
    deps.tell({
      kind: 'changed',
      group,
      applied: before === undefined ? [] : applied.map(infoOf),
      undone: undone.map(infoOf),
      isMember,
    });
  }
  const { fork } = after;
  if (fork !== undefined && fork.theirs !== before?.fork?.theirs) {
    const { ours, theirs, author } = fork;
    deps.tell({ kind: 'fork', group, ours, theirs, author });
  }
}

function infoOf({ entry }: GroupLinkInChain): GroupEntryInfo {
  const { author, version, changes } = entry;
  return { author, version, changes };
}

/**
 * Take in what a member hands to a newcomer.
 *
 * @param sender - Account whose session brought it.
 * @returns whether the group is new here, and a request.
 * @throws VerificationError `VERIFY_GROUP` when it does not fit, or would lead a member elsewhere (ATK-E10).
 */
export async function takeWelcome(
  deps: GroupDeps,
  sender: string,
  welcome: WelcomeSignal,
): Promise<'known' | 'joined' | 'request'> {
  const { crypto, clock, store, self } = deps;
  const identityOf = await identitiesOf(deps, [welcome.entry]);
  const { state, secret } = welcome;
  const chain = beginChain(crypto, welcome.entry, state, identityOf, clock.now());
  const { members, epochCommitment: commitment } = state;
  const fits = epochCommitment(crypto, secret).join() === commitment.join();
  if (!fits || !members.has(sender) || !members.has(self.account)) {
    throw new VerificationError('VERIFY_GROUP', 'a welcome to another group than it says');
  }
  const id = groupName(state.groupId);
  return untilCommitted(async () => {
    const stored = await deps.groups.load(id);
    if (stored !== undefined && !mayReplace(stored.data, sender, state.version, self.account)) {
      return 'known';
    }
    const asked = await store.loadRecord(GROUP_SPACE.joins, id);
    const chat = await new Batch(store).conversation(sender);
    const isTrusted =
      sender === self.account || asked !== undefined || chat?.settings.status === 'accepted';
    const status = isTrusted ? ('accepted' as const) : ('request' as const);
    const empty: GroupData = { chain, secrets: [], pending: undefined, welcomedBy: sender };
    const data = withSecret(crypto, empty, secret);
    const { key, version } = asked ?? { key: id, version: 0 };
    const joins = asked
      ? [{ space: GROUP_SPACE.joins, key, value: undefined, expectedVersion: version }]
      : [];
    const at = { id, version: stored?.version ?? 0, data: undefined };
    await commitGroup(deps, at, data, { records: joins }, status);
    return status === 'request' ? 'request' : 'joined';
  });
}

/** Whoever is in a group follows its entries; only who is out, or was brought in wrongly, begins anew. */
function mayReplace(data: GroupData, sender: string, version: number, self: string): boolean {
  const { state } = headOf(data.chain);
  if (version <= state.version) return false;
  if (!state.members.has(self)) return true;
  return data.chain.line.length === 1 && data.welcomedBy === sender;
}
