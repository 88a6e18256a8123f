/**
 * 19 Groups §4. Changing a group: read the record, make an entry after its head, swap it in, tell everybody.
 */
import { DecodeError, VerificationError, fromHex, type Bytes } from '@qasid/protocol';

import { untilCommitted } from '../committed.js';
import { GroupError, NetworkError } from '../errors.js';
import type { OutboxRow } from '../stores/port.js';
import { beginChain, headOf, takeEntry, type GroupLinkInChain } from './chain.js';
import {
  epochCommitment,
  groupEntryHash,
  signGroupEntry,
  type GroupChange,
  type GroupEntry,
  type SignedGroupEntry,
} from './entry.js';
import { EPOCH_SECRET_BYTES, GROUP_ID_BYTES } from './limits.js';
import { openRecord, recordKeysOf, sealRecord, type GroupRecord } from './secrets.js';
import { linkOf } from './shared.js';
import { groupStateHash, nextGroupState, type GroupState } from './state.js';
import { groupName, signalContent, signalRow, type GroupDeps, type StoredGroup } from './store.js';
import { secretOf, withSecret, type GroupData } from './stored.js';
import { adoptEntries, commitGroup } from './taking.js';
import { toHex } from '@qasid/protocol';

/** Times others may be first. Higher: one change may take minutes. */
const SWAP_TRIES = 16;

/** What somebody wants to change, seen from the present state; `undefined`: there is nothing to do any more. */
export type MakeChanges = (state: GroupState) => readonly GroupChange[] | undefined;

/** Found a group. Works offline: the record is made when there is a relay. @returns its id as hex. */
export async function foundGroup(
  deps: GroupDeps,
  changes: readonly GroupChange[],
): Promise<string> {
  const { crypto, clock } = deps;
  const secret = crypto.randomBytes(EPOCH_SECRET_BYTES);
  const groupId = crypto.randomBytes(GROUP_ID_BYTES);
  const epoch = { kind: 'epoch', commitment: epochCommitment(crypto, secret) } as const;
  const signed = await sign(deps, undefined, groupId, [...changes, epoch]);
  const own = await deps.store.loadIdentityKeyPair();
  const chain = beginChain(crypto, signed.signed, signed.state, () => own.public, clock.now());
  const empty: GroupData = { chain, secrets: [], pending: undefined, welcomedBy: '' };
  const data = withSecret(crypto, empty, secret);
  const id = groupName(groupId);
  const outboxAdded = await rowsFor(deps, undefined, headOf(chain), secret);
  await commitGroup(deps, { id, version: 0, data: undefined }, data, { outboxAdded }, 'accepted');
  deps.pump();
  return id;
}

/**
 * Change a group. Needs the relay.
 *
 * @returns the entry that did it; `undefined` when `make` found nothing to do.
 * @throws GroupError, all but `GROUP_LINK_INVALID`; NetworkError: it may have happened all the same, and shows
 * when there is a connection again.
 */
export async function changeGroup(
  deps: GroupDeps,
  id: string,
  make: MakeChanges,
): Promise<GroupLinkInChain | undefined> {
  for (let attempt = 0; attempt < SWAP_TRIES; attempt++) {
    await settlePending(deps, id);
    const record = await readRecord(deps, id);
    const made = await untilCommitted(() => prepare(deps, id, make));
    if (made === undefined) return undefined;
    if (await swap(deps, record.version, made)) return finish(deps, id);
    // Ours may be there all the same: the relay lies, or an answer got lost.
    const done = await settlePending(deps, id);
    if (done !== undefined) return done;
  }
  throw new GroupError('GROUP_CONTESTED', 'others changed the group again and again');
}

interface Made {
  readonly signed: SignedGroupEntry;
  readonly before: GroupLinkInChain;
  readonly line: readonly GroupLinkInChain[];
  readonly secretBefore: Bytes;
}

/** Make the entry, and store it before anybody can see it. */
async function prepare(deps: GroupDeps, id: string, make: MakeChanges): Promise<Made | undefined> {
  const { crypto, clock, self, groups, store } = deps;
  const stored = await required(deps, id);
  const { chain } = stored.data;
  const before = headOf(chain);
  if (chain.fork !== undefined) throw new GroupError('GROUP_FORKED', 'a person must decide first');
  if (!before.state.members.has(self.account)) {
    throw new GroupError('GROUP_NOT_MEMBER', 'this account is not in the group');
  }
  const wanted = make(before.state);
  if (wanted === undefined) return undefined;
  const secretBefore = secretOf(stored.data, before.state);
  if (secretBefore === undefined) throw new NetworkError('NET_BUSY', 'the epoch is not known yet');
  const begins = beginsEpoch(before.state, wanted);
  const secret = begins ? crypto.randomBytes(EPOCH_SECRET_BYTES) : undefined;
  const changes: readonly GroupChange[] = [
    ...wanted,
    ...(secret ? [{ kind: 'epoch', commitment: epochCommitment(crypto, secret) } as const] : []),
  ];
  const { signed } = await sign(deps, before, before.state.groupId, changes);
  const own = await store.loadIdentityKeyPair();
  const next = takeEntry(crypto, chain, signed, () => own.public, clock.now()).chain;
  const data: GroupData = { ...stored.data, pending: { signed, secret } };
  await store.commit({ extra: { records: [groups.change(id, data, stored.version)] } });
  return { signed, before, line: next.line, secretBefore };
}

/** Whoever was removed, or left, knows the secret: the next entry replaces it. */
function beginsEpoch(state: GroupState, changes: readonly GroupChange[]): boolean {
  const has = (kind: GroupChange['kind']): boolean => changes.some((one) => one.kind === kind);
  if (has('leave') || has('epoch')) return false;
  return has('remove') || state.isEpochSpent;
}

async function sign(
  deps: GroupDeps,
  before: GroupLinkInChain | undefined,
  groupId: Bytes,
  changes: readonly GroupChange[],
): Promise<{ readonly signed: SignedGroupEntry; readonly state: GroupState }> {
  const { crypto, clock, self, store } = deps;
  const draft: GroupEntry = {
    groupId,
    version: (before?.entry.version ?? 0) + 1,
    parent: (before && fromHex(before.hash)) ?? new Uint8Array(32),
    author: self.account,
    atMs: clock.now(),
    changes,
    stateHash: new Uint8Array(32),
  };
  let state: GroupState;
  try {
    state = nextGroupState(before?.state, draft);
  } catch (cause) {
    if (!(cause instanceof VerificationError)) throw cause;
    throw new GroupError('GROUP_NOT_ALLOWED', cause.message, { cause });
  }
  const entry = { ...draft, stateHash: groupStateHash(crypto, state) };
  const own = await store.loadIdentityKeyPair();
  return { signed: signGroupEntry(crypto, own.secret, crypto.randomBytes(64), entry), state };
}

/** Whether our entry is the next one in the record. */
async function swap(deps: GroupDeps, version: number, made: Made): Promise<boolean> {
  const head = made.line.at(-1) ?? made.before;
  const answer = await put(deps, made.secretBefore, version, {
    entries: made.line.map(({ signed }) => signed),
    state: head.state,
  });
  if (answer === 'VERSION_CONFLICT') return false;
  if (answer === 'CONFIRMED') return true;
  // It stays until somebody looks whether that is true.
  throw new NetworkError('NET_REFUSED', `relay answers ${answer}`);
}

/** Our entry is in the record: take it, and send it to all. Done again after a crash. */
async function finish(deps: GroupDeps, id: string): Promise<GroupLinkInChain | undefined> {
  const { crypto, clock, store } = deps;
  const own = await store.loadIdentityKeyPair();
  const done = await untilCommitted(async () => {
    const stored = await required(deps, id);
    const { pending } = stored.data;
    if (pending === undefined) return undefined;
    const { signed, secret } = pending;
    const hash = toHex(groupEntryHash(crypto, signed.entry));
    // Read back from the record meanwhile, or not yet taken.
    const { chain } = takeEntry(crypto, stored.data.chain, signed, () => own.public, clock.now());
    const link = linkOf(chain, hash);
    const parent = link && linkOf(chain, toHex(link.entry.parent));
    const cleared: GroupData = { ...stored.data, chain, pending: undefined };
    const data = secret === undefined ? cleared : withSecret(crypto, cleared, secret);
    const outboxAdded = link ? await rowsFor(deps, parent?.state, link, secret) : [];
    await commitGroup(deps, stored, data, { outboxAdded });
    return link;
  });
  deps.pump();
  // A new epoch has a record of its own.
  if (done?.entry.changes.some(({ kind }) => kind === 'epoch') === true) await readRecord(deps, id);
  return done;
}

/** An entry of ours of which nobody knows whether it is in the record: look. @returns the entry, if it is. */
export async function settlePending(
  deps: GroupDeps,
  id: string,
): Promise<GroupLinkInChain | undefined> {
  const stored = await deps.groups.load(id);
  const pending = stored?.data.pending;
  if (stored === undefined || pending === undefined) return undefined;
  const hash = toHex(groupEntryHash(deps.crypto, pending.signed.entry));
  const parent = headOf(stored.data.chain);
  const known = linkOf(stored.data.chain, hash) !== undefined;
  const secret = secretOf(stored.data, parent.state);
  const record = known || secret === undefined ? undefined : await get(deps, secret);
  const isThere = record?.content?.entries.some(
    ({ entry }) => toHex(groupEntryHash(deps.crypto, entry)) === hash,
  );
  if (known || isThere === true) return finish(deps, id);
  await dropPending(deps, id);
  return undefined;
}

async function dropPending(deps: GroupDeps, id: string): Promise<void> {
  await untilCommitted(async () => {
    const stored = await required(deps, id);
    const { pending } = stored.data;
    if (pending === undefined) return;
    const cleared: GroupData = { ...stored.data, pending: undefined };
    // A relay that hid our entry may show it yet, and nobody but us knows the secret of its epoch.
    const data = pending.secret ? withSecret(deps.crypto, cleared, pending.secret) : cleared;
    const records = [deps.groups.change(id, data, stored.version)];
    await deps.store.commit({ extra: { records } });
  });
}

/**
 * Read the record of the present epoch, and take what is new. One that is missing or older than what this device
 * knows is made again: the relay cannot lead anybody back (ATK-E10).
 *
 * @returns the version to swap against.
 */
export async function readRecord(
  deps: GroupDeps,
  id: string,
): Promise<{ readonly version: number }> {
  for (let round = 0; ; round++) {
    const stored = await required(deps, id);
    const head = headOf(stored.data.chain);
    const secret = secretOf(stored.data, head.state);
    if (secret === undefined || !head.state.members.has(deps.self.account)) return { version: 0 };
    const { version, content } = await get(deps, secret);
    if (content !== undefined) await adoptEntries(deps, id, content.entries);
    const now = await required(deps, id);
    // The epoch ended: the next one has another record.
    if (headOf(now.data.chain).state.epoch !== head.state.epoch && round < SWAP_TRIES) continue;
    const shown = content?.state.version ?? 0;
    if (shown >= head.state.version) return { version };
    if (version > 0) {
      deps.trouble(
        new VerificationError('VERIFY_GROUP', 'the relay shows an old state of a group'),
      );
    }
    const answer = await put(deps, secret, version, {
      entries: now.data.chain.line.map(({ signed }) => signed),
      state: headOf(now.data.chain).state,
    });
    if (answer === 'CONFIRMED') return { version: version + 1 };
    if (answer !== 'VERSION_CONFLICT' || round >= SWAP_TRIES) return { version };
  }
}

async function get(
  deps: GroupDeps,
  secret: Bytes,
): Promise<{ readonly version: number; readonly content: GroupRecord | undefined }> {
  const keys = recordKeysOf(deps.crypto, secret);
  const answer = await deps.ask({ kind: 'recordGet', id: keys.id });
  if (answer.code === 'NOT_FOUND') return { version: 0, content: undefined };
  if (answer.code !== 'CONFIRMED' || answer.body.kind !== 'record') {
    throw new NetworkError('NET_REFUSED', `relay answers ${answer.code}`);
  }
  const { version, value } = answer.body;
  try {
    return { version, content: openRecord(deps.crypto, keys, value) };
  } catch (error) {
    if (!(error instanceof VerificationError) && !(error instanceof DecodeError)) throw error;
    deps.trouble(error);
    return { version, content: undefined };
  }
}

async function put(
  deps: GroupDeps,
  secret: Bytes,
  expectedVersion: number,
  record: GroupRecord,
): Promise<string> {
  const { id, capability, ...rest } = recordKeysOf(deps.crypto, secret);
  const value = sealRecord(deps.crypto, { id, capability, ...rest }, record);
  const answer = await deps.ask({ kind: 'recordPut', id, expectedVersion, capability, value });
  return answer.code;
}

/** An entry to everybody it concerns; a welcome to those it adds. */
async function rowsFor(
  deps: GroupDeps,
  before: GroupState | undefined,
  link: GroupLinkInChain,
  secret: Bytes | undefined,
): Promise<readonly Omit<OutboxRow, 'id'>[]> {
  const { self, store } = deps;
  const { state, signed } = link;
  const { groupId } = state;
  const content = (one: Parameters<typeof signalContent>[1]['body']): Bytes =>
    signalContent(deps, { groupId, body: one });
  const plain = content({ kind: 'entries', entries: [signed], secret: undefined });
  const whole =
    secret === undefined ? plain : content({ kind: 'entries', entries: [signed], secret });
  const stored = await deps.groups.load(groupName(groupId));
  const present = secret ?? (stored && secretOf(stored.data, state));
  const welcome = present && content({ kind: 'welcome', entry: signed, state, secret: present });
  const own = await store.loadContact(self.account);
  const hasOthers = (own?.devices.length ?? 0) > 1;
  const rows: Omit<OutboxRow, 'id'>[] = [];
  for (const account of new Set([...(before?.members.keys() ?? []), ...state.members.keys()])) {
    if (account === self.account && !hasOthers) continue;
    // Whoever is removed hears of it, and gets no secret.
    const isIn = state.members.has(account);
    const isNew = isIn && before?.members.has(account) !== true;
    const body = isNew ? welcome : isIn ? whole : plain;
    if (body !== undefined) rows.push(signalRow(account, body));
  }
  return rows;
}

async function required(deps: GroupDeps, id: string): Promise<StoredGroup> {
  const stored = await deps.groups.load(id);
  if (stored === undefined) throw new GroupError('GROUP_UNKNOWN', 'no such group here');
  return stored;
}

/** The change that lets somebody in who followed a link. */
export function joining(account: string): GroupChange {
  return { kind: 'add', account, role: 'member', byLink: true };
}

/** Changes of an undone entry that others did not make meanwhile. */
export function stillWanted(
  members: ReadonlyMap<string, unknown>,
  changes: readonly GroupChange[],
): readonly GroupChange[] | undefined {
  const left = changes.filter((change) => {
    if (change.kind === 'add') return !members.has(change.account);
    if (change.kind === 'remove' || change.kind === 'role') return members.has(change.account);
    return true;
  });
  return left.length === 0 ? undefined : left;
}

/** A change that others may have made needless, or impossible: that it is refused is no trouble. */
export async function mayFail(change: Promise<unknown>): Promise<void> {
  try {
    await change;
  } catch (error) {
    if (!(error instanceof GroupError)) throw error;
  }
}
