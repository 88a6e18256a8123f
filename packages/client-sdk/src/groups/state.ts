/**
 * 19 Groups §3. What a group is after an entry, and who may change what.
 *
 * `applyEntry(state, entry)` is a pure function that every member computes alike; an entry that its author
 * was not allowed to make, or that does not lead to the state it names, is no entry. Signatures are checked
 * by the caller, who knows identity keys.
 */
import {
  ProtoReader,
  ProtoWriter,
  VerificationError,
  copyBytes,
  samePublicBytes,
  utf8,
  type Bytes,
  type CryptoProvider,
} from '@qasid/protocol';
import { parseAccountText } from '@qasid/protocol/envelope';

import {
  damaged,
  encodeLink,
  encodePolicy,
  exactly,
  readAccount,
  readLink,
  readPolicy,
  readText,
  type GroupChange,
  type GroupEntry,
  type GroupLink,
  type GroupPolicy,
  type GroupRole,
} from './entry.js';
import {
  GROUP_DESCRIPTION_BYTES_MAX,
  GROUP_ID_BYTES,
  GROUP_MEMBERS_MAX,
  GROUP_PICTURE_BYTES_MAX,
  GROUP_TITLE_BYTES_MAX,
} from './limits.js';

/** Context of a state's hash. */
const LABEL_STATE_HASH: Bytes = utf8('qasid/group-state-hash/1');

/** A group after an entry, without the name of that entry: the entry commits to this. */
export interface GroupState {
  /** 32 bytes. */
  readonly groupId: Bytes;
  /** Of the entry that led here. */
  readonly version: number;
  readonly title: string;
  readonly description: string;
  readonly picture: Bytes;
  /** Seconds; 0 for never. */
  readonly timerSeconds: number;
  readonly policy: GroupPolicy;
  readonly link: GroupLink | undefined;
  /** People who joined by the present link. */
  readonly linkUses: number;
  /** Counts the secrets that members shared one after the other, from 1. */
  readonly epoch: number;
  /** What the secret of this epoch hashes to, 32 bytes. */
  readonly epochCommitment: Bytes;
  /** Somebody left by themselves and still knows the epoch's secret: a member must begin the next one. */
  readonly isEpochSpent: boolean;
  /** By account id. */
  readonly members: ReadonlyMap<string, GroupRole>;
}

/** Encode; members in the order of their ids, so that equal states are equal bytes. */
export function encodeGroupState(state: GroupState): Bytes {
  const writer = new ProtoWriter();
  writer.bytes(1, state.groupId).uint32(2, state.version);
  writer.bytes(3, utf8(state.title)).bytes(4, utf8(state.description)).bytes(5, state.picture);
  writer.uint32(6, state.timerSeconds).bytes(7, encodePolicy(state.policy));
  if (state.link !== undefined) writer.bytes(8, encodeLink(state.link));
  writer.uint32(9, state.linkUses).uint32(10, state.epoch).bytes(11, state.epochCommitment);
  writer.uint32(12, state.isEpochSpent ? 1 : 0);
  for (const account of [...state.members.keys()].sort()) {
    const member = new ProtoWriter().bytes(1, parseAccountText(account));
    if (state.members.get(account) === 'admin') member.uint32(2, 1);
    writer.bytes(13, member.finish());
  }
  return writer.finish();
}

/**
 * Decode a state.
 *
 * @throws DecodeError `DECODE_GROUP`; only what `encodeGroupState` writes is accepted.
 */
export function decodeGroupState(bytes: Uint8Array): GroupState {
  let state: GroupState;
  try {
    state = readState(bytes);
  } catch (cause) {
    throw damaged('group state is damaged', cause);
  }
  // One state, one encoding: a newcomer compares it with the hash that an entry names.
  if (!samePublicBytes(encodeGroupState(state), bytes)) throw damaged('group state not canonical');
  return state;
}

/** What an entry commits to, 32 bytes. */
export function groupStateHash(crypto: CryptoProvider, state: GroupState): Bytes {
  return crypto.sha256(LABEL_STATE_HASH, encodeGroupState(state));
}

/**
 * The state after `entry`, without looking at the hash it names.
 *
 * @param before - State that the entry was made for; `undefined` for the first entry of a group.
 * @throws VerificationError `VERIFY_GROUP` when the author may not do this, or it makes no sense there.
 */
export function nextGroupState(before: GroupState | undefined, entry: GroupEntry): GroupState {
  const draft = before === undefined ? found(entry) : draftOf(before, entry);
  const role = draft.members.get(entry.author);
  if (role === undefined) throw refused('its author is no member');
  const facts: Facts = { hasLeft: false, mustBegin: before === undefined };
  for (const change of entry.changes) {
    if (facts.hasLeft) throw refused('its author is gone');
    applyChange(draft, facts, entry, role, change);
  }
  finish(draft, facts, before);
  return draft;
}

/**
 * The state after `entry`.
 *
 * @throws VerificationError `VERIFY_GROUP` as `nextGroupState`, and when the entry names another state.
 */
export function applyEntry(
  crypto: CryptoProvider,
  before: GroupState | undefined,
  entry: GroupEntry,
): GroupState {
  const after = nextGroupState(before, entry);
  if (!samePublicBytes(groupStateHash(crypto, after), entry.stateHash)) {
    throw refused('it does not lead to the state it names');
  }
  return after;
}

/** A state under construction: local to one call. */
interface Draft extends GroupState {
  title: string;
  description: string;
  picture: Bytes;
  timerSeconds: number;
  policy: GroupPolicy;
  link: GroupLink | undefined;
  linkUses: number;
  epoch: number;
  epochCommitment: Bytes;
  isEpochSpent: boolean;
  readonly members: Map<string, GroupRole>;
}

/** What one entry did so far. */
interface Facts {
  /** Its author left. */
  hasLeft: boolean;
  /** Somebody was removed, or the group founded, and no new epoch begun after it. */
  mustBegin: boolean;
}

/** Everybody may add, admins edit, everybody sends: what people expect of a group. */
const FIRST_POLICY: GroupPolicy = { add: 'members', edit: 'admins', send: 'members' };

function found(entry: GroupEntry): Draft {
  if (entry.version !== 1 || entry.parent.some((byte) => byte !== 0)) {
    throw refused('no group to change');
  }
  return {
    groupId: entry.groupId,
    version: 1,
    title: '',
    description: '',
    picture: new Uint8Array(0),
    timerSeconds: 0,
    policy: FIRST_POLICY,
    link: undefined,
    linkUses: 0,
    epoch: 0,
    epochCommitment: new Uint8Array(32),
    isEpochSpent: true,
    members: new Map([[entry.author, 'admin']]),
  };
}

function draftOf(before: GroupState, entry: GroupEntry): Draft {
  if (!samePublicBytes(entry.groupId, before.groupId)) throw refused('another group');
  if (entry.version !== before.version + 1) throw refused('not the next version');
  if (entry.changes.length === 0) throw refused('it changes nothing');
  return { ...before, version: entry.version, members: new Map(before.members) };
}

function applyChange(
  draft: Draft,
  facts: Facts,
  entry: GroupEntry,
  role: GroupRole,
  change: GroupChange,
): void {
  switch (change.kind) {
    case 'add':
      add(draft, role, change);
      return;
    case 'remove':
      adminsOnly(role);
      if (change.account === entry.author) throw refused('one leaves by leaving');
      if (!draft.members.delete(change.account)) throw refused('removes nobody');
      facts.mustBegin = true;
      return;
    case 'leave':
      draft.members.delete(entry.author);
      facts.hasLeft = true;
      return;
    case 'role':
      adminsOnly(role);
      if (!draft.members.has(change.account)) throw refused('a role for nobody');
      draft.members.set(change.account, change.role);
      return;
    case 'title':
      allowed(draft.policy.edit, role);
      draft.title = change.title;
      return;
    case 'description':
      allowed(draft.policy.edit, role);
      draft.description = change.description;
      return;
    case 'picture':
      allowed(draft.policy.edit, role);
      draft.picture = change.picture;
      return;
    case 'timer':
      allowed(draft.policy.edit, role);
      draft.timerSeconds = change.seconds;
      return;
    case 'policy':
      adminsOnly(role);
      draft.policy = change.policy;
      return;
    case 'link':
      adminsOnly(role);
      draft.link = change.link;
      draft.linkUses = 0;
      return;
    case 'epoch':
      draft.epoch++;
      draft.epochCommitment = change.commitment;
      draft.isEpochSpent = false;
      facts.mustBegin = false;
  }
}

function add(draft: Draft, role: GroupRole, change: GroupChange & { kind: 'add' }): void {
  if (draft.members.has(change.account)) throw refused('adds a member twice');
  if (change.role === 'admin') adminsOnly(role);
  if (change.byLink) {
    const { link } = draft;
    if (link === undefined) throw refused('no link to join by');
    if (link.needsApproval) adminsOnly(role);
    if (link.usesMax > 0 && draft.linkUses >= link.usesMax) throw refused('link used up');
    draft.linkUses++;
  } else {
    allowed(draft.policy.add, role);
  }
  draft.members.set(change.account, change.role);
}

/** What must hold of every state. */
function finish(draft: Draft, facts: Facts, before: GroupState | undefined): void {
  if (draft.members.size > GROUP_MEMBERS_MAX) throw refused('too many members');
  if (draft.epoch > (before?.epoch ?? 0) + 1) throw refused('two epochs at once');
  // Whoever was removed knows the old secret.
  if (facts.mustBegin) throw refused('no new epoch');
  // Whoever leaves cannot be asked to make the next secret: they would know that one too.
  if (facts.hasLeft) {
    if (draft.epoch !== before?.epoch) throw refused('an epoch of somebody who leaves');
    draft.isEpochSpent = true;
  }
  if (draft.members.size === 0) return;
  if (![...draft.members.values()].includes('admin')) throw refused('a group without an admin');
}

function adminsOnly(role: GroupRole): void {
  if (role !== 'admin') throw refused('its author is no admin');
}

function allowed(permission: 'members' | 'admins', role: GroupRole): void {
  if (permission === 'admins') adminsOnly(role);
}

function refused(why: string): VerificationError {
  return new VerificationError('VERIFY_GROUP', `group entry refused: ${why}`);
}

function readState(bytes: Uint8Array): GroupState {
  let groupId: Bytes | undefined;
  let policy: GroupPolicy | undefined;
  let epochCommitment: Bytes | undefined;
  let link: GroupLink | undefined;
  let picture: Bytes = new Uint8Array(0);
  const text = { title: '', description: '' };
  const numbers = { version: 0, timerSeconds: 0, linkUses: 0, epoch: 0, spent: 0 };
  const members = new Map<string, GroupRole>();
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        groupId = exactly(GROUP_ID_BYTES, reader.bytes());
        break;
      case 2:
        numbers.version = reader.uint32();
        break;
      case 3:
        text.title = readText(reader.bytes(), GROUP_TITLE_BYTES_MAX);
        break;
      case 4:
        text.description = readText(reader.bytes(), GROUP_DESCRIPTION_BYTES_MAX);
        break;
      case 5:
        picture = copyBytes(reader.bytes());
        if (picture.length > GROUP_PICTURE_BYTES_MAX) throw damaged('picture too large');
        break;
      case 6:
        numbers.timerSeconds = reader.uint32();
        break;
      case 7:
        policy = readPolicy(reader.bytes());
        break;
      case 8:
        link = readLink(reader.bytes());
        break;
      case 9:
        numbers.linkUses = reader.uint32();
        break;
      case 10:
        numbers.epoch = reader.uint32();
        break;
      case 11:
        epochCommitment = exactly(32, reader.bytes());
        break;
      case 12:
        numbers.spent = reader.uint32();
        break;
      case 13:
        readMember(reader.bytes(), members);
        break;
      default:
        throw damaged('a part this version does not know');
    }
  }
  if (!groupId || !policy || !epochCommitment) throw damaged('group state without its parts');
  const { version, timerSeconds, linkUses, epoch, spent } = numbers;
  const isEpochSpent = spent !== 0;
  return {
    ...{ groupId, version, ...text, picture, timerSeconds, policy, link, linkUses },
    ...{ epoch, epochCommitment, isEpochSpent, members },
  };
}

function readMember(bytes: Uint8Array, members: Map<string, GroupRole>): void {
  if (members.size === GROUP_MEMBERS_MAX) throw damaged('too many members');
  let account = '';
  let role: GroupRole = 'member';
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) account = readAccount(reader.bytes());
    else if (reader.field === 2 && reader.uint32() === 1) role = 'admin';
    else throw damaged('a member with an unknown part');
  }
  members.set(account, role);
}
