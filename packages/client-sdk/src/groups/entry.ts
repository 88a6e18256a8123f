/**
 * 19 Groups §2. One change of a group, as its author signs it.
 *
 * An entry names the one before it by hash and commits to the state after it, so a signed entry proves the
 * whole group to a newcomer who trusts its author. Relay and network see none of this.
 */
import {
  DecodeError,
  ProtoReader,
  ProtoWriter,
  copyBytes,
  utf8,
  type Bytes,
  type CryptoProvider,
  type PrivateKey,
  type PublicKey,
} from '@qasid/protocol';
import { accountText, parseAccountText, toAccountId } from '@qasid/protocol/envelope';

import {
  GROUP_DESCRIPTION_BYTES_MAX,
  GROUP_ENTRY_BYTES_MAX,
  GROUP_ID_BYTES,
  GROUP_MEMBERS_MAX,
  GROUP_PICTURE_BYTES_MAX,
  GROUP_TITLE_BYTES_MAX,
} from './limits.js';

/** Context of the signature under an entry. */
const LABEL_ENTRY: Bytes = utf8('qasid/group-entry/1');

/** Context of an entry's hash. */
const LABEL_ENTRY_HASH: Bytes = utf8('qasid/group-entry-hash/1');

/** Context of the commitment to an epoch secret. */
const LABEL_EPOCH_SECRET: Bytes = utf8('qasid/group-epoch-secret/1');

/** What a member may do. */
export type GroupRole = 'member' | 'admin';

/** Who may do something. */
export type GroupPermission = 'members' | 'admins';

/** Who may add members, edit title, picture and timer, and send messages. */
export interface GroupPolicy {
  readonly add: GroupPermission;
  readonly edit: GroupPermission;
  readonly send: GroupPermission;
}

/** A link by which people ask to join. */
export interface GroupLink {
  /** SHA-256 of the token in the link, 32 bytes. */
  readonly tokenHash: Bytes;
  /** Whose devices answer requests. */
  readonly maker: string;
  /** An admin decides about each request. */
  readonly needsApproval: boolean;
  /** People who may join by it; 0 for any number. */
  readonly usesMax: number;
}

/** One thing that an entry changes. Applied in order. */
export type GroupChange =
  | {
      readonly kind: 'add';
      readonly account: string;
      readonly role: GroupRole;
      readonly byLink: boolean;
    }
  | { readonly kind: 'remove'; readonly account: string }
  /** The author goes. */
  | { readonly kind: 'leave' }
  | { readonly kind: 'role'; readonly account: string; readonly role: GroupRole }
  | { readonly kind: 'title'; readonly title: string }
  | { readonly kind: 'description'; readonly description: string }
  /** Encoded attachment pointer; empty for none. */
  | { readonly kind: 'picture'; readonly picture: Bytes }
  /** Seconds after which messages disappear; 0 for never. */
  | { readonly kind: 'timer'; readonly seconds: number }
  | { readonly kind: 'policy'; readonly policy: GroupPolicy }
  | { readonly kind: 'link'; readonly link: GroupLink | undefined }
  /** The next epoch begins with a secret that hashes to this; it travels beside the entry. */
  | { readonly kind: 'epoch'; readonly commitment: Bytes };

/** One change of a group. */
export interface GroupEntry {
  /** 32 bytes. */
  readonly groupId: Bytes;
  /** 1 for the entry that founds the group. */
  readonly version: number;
  /** Hash of the entry before; 32 zero bytes in the first. */
  readonly parent: Bytes;
  /** Account id, UUID. */
  readonly author: string;
  /** The author's clock; for display. */
  readonly atMs: number;
  readonly changes: readonly GroupChange[];
  /** Hash of the state after this entry, 32 bytes: `groupStateHash`. */
  readonly stateHash: Bytes;
}

/** An entry as it travels: signed over exactly these bytes. */
export interface SignedGroupEntry {
  readonly entry: Bytes;
  /** XEdDSA by the author's identity key, 64 bytes. */
  readonly signature: Bytes;
}

const ROLES: readonly GroupRole[] = ['member', 'admin'];
const PERMISSIONS: readonly GroupPermission[] = ['members', 'admins'];

/** The bytes that are signed and hashed. The same entry always gives the same bytes. */
export function encodeGroupEntry(entry: GroupEntry): Bytes {
  const writer = new ProtoWriter();
  writer.bytes(1, entry.groupId).uint32(2, entry.version).bytes(3, entry.parent);
  writer.bytes(4, parseAccountText(entry.author)).uint64(5, entry.atMs);
  for (const change of entry.changes) writer.bytes(6, encodeChange(change));
  return writer.bytes(7, entry.stateHash).finish();
}

/**
 * Decode what somebody signed.
 *
 * @throws DecodeError `DECODE_GROUP` when it is not an entry, has a change this version does not know (its
 * outcome could not be followed), or breaks a limit.
 */
export function decodeGroupEntry(bytes: Uint8Array): GroupEntry {
  if (bytes.length > GROUP_ENTRY_BYTES_MAX) throw damaged('entry too large');
  try {
    return readEntry(bytes);
  } catch (cause) {
    if (cause instanceof DecodeError && cause.code === 'DECODE_GROUP') throw cause;
    throw damaged('entry is damaged', cause);
  }
}

/** Sign an entry. `random`: 64 fresh bytes. */
export function signGroupEntry(
  crypto: CryptoProvider,
  identity: PrivateKey,
  random: Uint8Array,
  entry: GroupEntry,
): SignedGroupEntry {
  const encoded = encodeGroupEntry(entry);
  return { entry: encoded, signature: crypto.xeddsaSign(identity, random, LABEL_ENTRY, encoded) };
}

/** Whether the owner of `identity` signed it. Says nothing of what they may do. */
export function isSignedBy(
  crypto: CryptoProvider,
  identity: PublicKey,
  signed: SignedGroupEntry,
): boolean {
  return crypto.xeddsaVerify(identity, signed.signature, LABEL_ENTRY, signed.entry);
}

/** Name of an entry, 32 bytes. Over the signed bytes, not the signature: one entry has one name. */
export function groupEntryHash(crypto: CryptoProvider, entry: Uint8Array): Bytes {
  return crypto.sha256(LABEL_ENTRY_HASH, entry);
}

/** What an `epoch` change says of its secret: whoever hands out another secret is found out. */
export function epochCommitment(crypto: CryptoProvider, secret: Uint8Array): Bytes {
  return crypto.sha256(LABEL_EPOCH_SECRET, secret);
}

function encodeChange(change: GroupChange): Bytes {
  const writer = new ProtoWriter();
  switch (change.kind) {
    case 'add': {
      const member = new ProtoWriter().bytes(1, parseAccountText(change.account));
      member.uint32(2, ROLES.indexOf(change.role)).uint32(3, change.byLink ? 1 : 0);
      return writer.bytes(1, member.finish()).finish();
    }
    case 'remove':
      return writer.bytes(2, parseAccountText(change.account)).finish();
    case 'leave':
      return writer.bytes(3, new Uint8Array(0)).finish();
    case 'role': {
      const member = new ProtoWriter().bytes(1, parseAccountText(change.account));
      return writer.bytes(4, member.uint32(2, ROLES.indexOf(change.role)).finish()).finish();
    }
    case 'title':
      return writer.bytes(5, utf8(change.title)).finish();
    case 'description':
      return writer.bytes(6, utf8(change.description)).finish();
    case 'picture':
      return writer.bytes(7, change.picture).finish();
    case 'timer':
      return writer.uint32(8, change.seconds).finish();
    case 'policy':
      return writer.bytes(9, encodePolicy(change.policy)).finish();
    case 'link':
      return writer.bytes(10, change.link ? encodeLink(change.link) : new Uint8Array(0)).finish();
    case 'epoch':
      return writer.bytes(11, change.commitment).finish();
  }
}

/** Also part of a state's encoding. */
export function encodePolicy({ add, edit, send }: GroupPolicy): Bytes {
  const writer = new ProtoWriter();
  for (const [index, permission] of [add, edit, send].entries()) {
    writer.uint32(index + 1, PERMISSIONS.indexOf(permission));
  }
  return writer.finish();
}

/** Also part of a state's encoding. */
export function encodeLink({ tokenHash, maker, needsApproval, usesMax }: GroupLink): Bytes {
  const writer = new ProtoWriter().bytes(1, tokenHash).bytes(2, parseAccountText(maker));
  return writer
    .uint32(3, needsApproval ? 1 : 0)
    .uint32(4, usesMax)
    .finish();
}

function readEntry(bytes: Uint8Array): GroupEntry {
  let groupId: Bytes | undefined;
  let version = 0;
  let parent: Bytes | undefined;
  let author: string | undefined;
  let atMs = 0;
  let stateHash: Bytes | undefined;
  const changes: GroupChange[] = [];
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        groupId = exactly(GROUP_ID_BYTES, reader.bytes());
        break;
      case 2:
        version = reader.uint32();
        break;
      case 3:
        parent = exactly(32, reader.bytes());
        break;
      case 4:
        author = readAccount(reader.bytes());
        break;
      case 5:
        atMs = reader.uint64();
        break;
      case 6:
        if (changes.length > GROUP_MEMBERS_MAX + 16) throw damaged('too many changes');
        changes.push(readChange(reader.bytes()));
        break;
      case 7:
        stateHash = exactly(32, reader.bytes());
        break;
      default:
        throw damaged('a part this version does not know');
    }
  }
  if (!groupId || version === 0 || !parent || author === undefined || !stateHash) {
    throw damaged('entry without its parts');
  }
  return { groupId, version, parent, author, atMs, changes, stateHash };
}

function readChange(bytes: Uint8Array): GroupChange {
  const reader = new ProtoReader(bytes);
  if (!reader.next()) throw damaged('empty change');
  const change = readOneChange(reader);
  if (reader.next()) throw damaged('two changes in one');
  return change;
}

function readOneChange(reader: ProtoReader): GroupChange {
  switch (reader.field) {
    case 1: {
      const { account, role, flag } = readMember(reader.bytes());
      return { kind: 'add', account, role, byLink: flag };
    }
    case 2:
      return { kind: 'remove', account: readAccount(reader.bytes()) };
    case 3:
      exactly(0, reader.bytes());
      return { kind: 'leave' };
    case 4: {
      const { account, role } = readMember(reader.bytes());
      return { kind: 'role', account, role };
    }
    case 5:
      return { kind: 'title', title: readText(reader.bytes(), GROUP_TITLE_BYTES_MAX) };
    case 6: {
      const description = readText(reader.bytes(), GROUP_DESCRIPTION_BYTES_MAX);
      return { kind: 'description', description };
    }
    case 7: {
      const picture = copyBytes(reader.bytes());
      if (picture.length > GROUP_PICTURE_BYTES_MAX) throw damaged('picture too large');
      return { kind: 'picture', picture };
    }
    case 8:
      return { kind: 'timer', seconds: reader.uint32() };
    case 9:
      return { kind: 'policy', policy: readPolicy(reader.bytes()) };
    case 10: {
      const link = reader.bytes();
      return { kind: 'link', link: link.length === 0 ? undefined : readLink(link) };
    }
    case 11:
      return { kind: 'epoch', commitment: exactly(32, reader.bytes()) };
    default:
      throw damaged('a change this version does not know');
  }
}

function readMember(bytes: Uint8Array): { account: string; role: GroupRole; flag: boolean } {
  let account: string | undefined;
  let role: GroupRole | undefined = 'member';
  let flag = false;
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) account = readAccount(reader.bytes());
    else if (reader.field === 2) role = ROLES[reader.uint32()];
    else if (reader.field === 3) flag = reader.uint32() !== 0;
    else throw damaged('a member with an unknown part');
  }
  if (account === undefined || role === undefined) throw damaged('a member without a name or role');
  return { account, role, flag };
}

/** Also part of a state's encoding. @throws DecodeError `DECODE_GROUP` */
export function readPolicy(bytes: Uint8Array): GroupPolicy {
  const found: (GroupPermission | undefined)[] = ['members', 'members', 'members'];
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field > 3) throw damaged('a permission this version does not know');
    found[reader.field - 1] = PERMISSIONS[reader.uint32()];
  }
  const [add, edit, send] = found;
  if (!add || !edit || !send) throw damaged('a permission of nobody');
  return { add, edit, send };
}

/** Also part of a state's encoding. @throws DecodeError `DECODE_GROUP` */
export function readLink(bytes: Uint8Array): GroupLink {
  let tokenHash: Bytes | undefined;
  let maker: string | undefined;
  let needsApproval = false;
  let usesMax = 0;
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) tokenHash = exactly(32, reader.bytes());
    else if (reader.field === 2) maker = readAccount(reader.bytes());
    else if (reader.field === 3) needsApproval = reader.uint32() !== 0;
    else if (reader.field === 4) usesMax = reader.uint32();
    else throw damaged('a link with an unknown part');
  }
  if (!tokenHash || maker === undefined) throw damaged('a link without its parts');
  return { tokenHash, maker, needsApproval, usesMax };
}

/** Also part of a state's encoding. @throws DecodeError `DECODE_GROUP` */
export function readAccount(bytes: Uint8Array): string {
  if (bytes.length !== 16) throw damaged('an account id is 16 bytes');
  return accountText(toAccountId(bytes));
}

/** Also part of a state's encoding. @throws DecodeError `DECODE_GROUP` */
export function readText(bytes: Uint8Array, bytesMax: number): string {
  if (bytes.length > bytesMax) throw damaged('text too long');
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw damaged('text is not UTF-8', cause);
  }
}

/** Also part of a state's encoding. @throws DecodeError `DECODE_GROUP` */
export function exactly(length: number, bytes: Uint8Array): Bytes {
  if (bytes.length !== length) throw damaged(`${bytes.length} bytes where ${length} belong`);
  return copyBytes(bytes);
}

/** A `DECODE_GROUP` error. */
export function damaged(message: string, cause?: unknown): DecodeError {
  return new DecodeError('DECODE_GROUP', message, cause === undefined ? {} : { cause });
}
