/**
 * 19 Groups §11. What a device keeps of its groups, as bytes of the store's records.
 */
import { ProtoWriter, fromHex, samePublicBytes, toHex, type Bytes } from '@qasid/protocol';
import type { CryptoProvider } from '@qasid/protocol';

import { Fields } from '../content/fields.js';
import { headOf, type GroupChain, type GroupFork, type GroupLinkInChain } from './chain.js';
import {
  decodeGroupEntry,
  epochCommitment,
  groupEntryHash,
  type SignedGroupEntry,
} from './entry.js';
import { EPOCH_SECRET_BYTES, GROUP_ASIDE_MAX, GROUP_HISTORY_MAX } from './limits.js';
import { decodeSigned, encodeSigned } from './secrets.js';
import { decodeGroupState, encodeGroupState, nextGroupState, type GroupState } from './state.js';

/** Kinds of records. Readable in the file: they say nothing of anybody. */
export const GROUP_SPACE = {
  /** By group: chain, secrets, what is under way. */
  group: 'group',
  /** Signals that came and were not dealt with, by content id. */
  todo: 'group-todo',
  /** Our sender key, by group; and who has it. */
  outgoing: 'group-key-out',
  holders: 'group-key-holders',
  /** Sender keys of others, by distribution id; and which of them a device has, by group, account, device. */
  incoming: 'group-key-in',
  incomingList: 'group-key-list',
  /** What envelopes wait for. */
  wants: 'group-wants',
  /** People who followed a link, by group and account. */
  requests: 'group-requests',
  /** Links that this account followed, by group. */
  joins: 'group-joins',
} as const;

/** Secrets of epochs that are kept: those of branches, and the last ones. */
const SECRETS_MAX = 8;

/** The secret of one epoch. */
export interface EpochSecret {
  readonly secret: Bytes;
  readonly commitment: Bytes;
}

/** One group, as this device has it. */
export interface GroupData {
  readonly chain: GroupChain;
  /** Newest last. */
  readonly secrets: readonly EpochSecret[];
  /** An entry of ours that may be in the record already: stored before it is put there. */
  readonly pending: PendingEntry | undefined;
  /** The account that brought this one in; empty for a founder. */
  readonly welcomedBy: string;
}

/** An entry on its way into the record. */
export interface PendingEntry {
  readonly signed: SignedGroupEntry;
  readonly secret: Bytes | undefined;
}

/** The secret that a state commits to, if this device has it. */
export function secretOf(data: GroupData, state: GroupState): Bytes | undefined {
  const found = data.secrets.find(({ commitment }) =>
    samePublicBytes(commitment, state.epochCommitment),
  );
  return found?.secret;
}

/** The same group with one more secret. */
export function withSecret(crypto: CryptoProvider, data: GroupData, secret: Bytes): GroupData {
  const commitment = epochCommitment(crypto, secret);
  const known = data.secrets.some((other) => samePublicBytes(other.commitment, commitment));
  if (known) return data;
  const secrets = [...data.secrets, { secret, commitment }];
  // That of the present epoch stays, however many were tried after it.
  const present = headOf(data.chain).state.epochCommitment;
  const oldest = secrets.findIndex((other) => !samePublicBytes(other.commitment, present));
  const kept = secrets.filter((_, at) => secrets.length <= SECRETS_MAX || at !== oldest);
  return { ...data, secrets: kept };
}

/** Bytes of the record of a group. States are left out where they follow from the entries. */
export function encodeGroup(data: GroupData): Bytes {
  const { chain, secrets, pending } = data;
  const writer = new ProtoWriter(8_192);
  for (const [index, link] of chain.line.entries()) {
    const part = linkWriter(link);
    if (index === 0) part.bytes(3, encodeGroupState(link.state));
    writer.bytes(1, part.finish());
  }
  for (const link of chain.aside) writer.bytes(2, linkWriter(link).finish());
  for (const orphan of chain.orphans) writer.bytes(3, encodeSigned(orphan));
  for (const hash of chain.rejected) writer.bytes(4, fromHex(hash) ?? new Uint8Array(0));
  if (chain.fork !== undefined) {
    const { ours, theirs, author, version } = chain.fork;
    const part = new ProtoWriter(160).text(1, ours).text(2, theirs).text(3, author);
    writer.bytes(5, part.uint32(4, version).finish());
  }
  for (const { secret } of secrets) writer.bytes(6, secret);
  if (pending !== undefined) {
    const part = new ProtoWriter(1_024).bytes(1, encodeSigned(pending.signed));
    if (pending.secret !== undefined) part.bytes(2, pending.secret);
    writer.bytes(7, part.finish());
  }
  return writer.text(8, data.welcomedBy).finish();
}

function linkWriter({ signed, takenAtMs }: GroupLinkInChain): ProtoWriter {
  return new ProtoWriter(1_024).bytes(1, encodeSigned(signed)).uint64(2, takenAtMs);
}

/** @throws DecodeError */
export function decodeGroup(crypto: CryptoProvider, encoded: Uint8Array): GroupData {
  const fields = new Fields(
    encoded,
    {
      1: 'bytes',
      2: 'bytes',
      3: 'bytes',
      4: 'bytes',
      5: 'bytes',
      6: 'bytes',
      7: 'bytes',
      8: 'bytes',
    },
    {
      1: GROUP_HISTORY_MAX,
      2: GROUP_ASIDE_MAX,
      3: GROUP_ASIDE_MAX,
      4: GROUP_ASIDE_MAX,
      6: SECRETS_MAX,
    },
  );
  const known = new Map<string, GroupLinkInChain>();
  const read = (view: Uint8Array): GroupLinkInChain | undefined => {
    const link = decodeLink(crypto, view, known);
    if (link !== undefined) known.set(link.hash, link);
    return link;
  };
  const present = (link: GroupLinkInChain | undefined): link is GroupLinkInChain =>
    link !== undefined;
  const line = fields.views(1).map(read).filter(present);
  // Kept in the order in which they came: a parent that is gone takes its children along.
  const aside = fields.views(2).map(read).filter(present);
  const pending = fields.view(7);
  return {
    chain: {
      line,
      aside,
      orphans: fields.views(3).map(decodeSigned),
      rejected: fields.views(4).map(toHex),
      fork: decodeFork(fields.view(5)),
    },
    secrets: fields.views(6).map((view) => {
      const secret = new Uint8Array(view);
      return { secret, commitment: epochCommitment(crypto, secret) };
    }),
    pending: pending && decodePending(pending),
    welcomedBy: fields.text(8, 64),
  };
}

function decodeLink(
  crypto: CryptoProvider,
  encoded: Uint8Array,
  known: ReadonlyMap<string, GroupLinkInChain>,
): GroupLinkInChain | undefined {
  const max = Number.MAX_SAFE_INTEGER;
  const fields = new Fields(encoded, { 1: 'bytes', 2: 'number', 3: 'bytes' });
  const signed = decodeSigned(fields.bytes(1, 1, max));
  const entry = decodeGroupEntry(signed.entry);
  const stored = fields.view(3);
  const parent = known.get(toHex(entry.parent));
  if (stored === undefined && parent === undefined) return undefined;
  // It was checked when it was taken; the state follows from it.
  const state = stored ? decodeGroupState(stored) : nextGroupState(parent?.state, entry);
  const hash = toHex(groupEntryHash(crypto, signed.entry));
  return { signed, entry, hash, state, takenAtMs: fields.number(2, max) };
}

function decodeFork(encoded: Uint8Array | undefined): GroupFork | undefined {
  if (encoded === undefined) return undefined;
  const fields = new Fields(encoded, { 1: 'bytes', 2: 'bytes', 3: 'bytes', 4: 'number' });
  return {
    ours: fields.text(1, 64),
    theirs: fields.text(2, 64),
    author: fields.text(3, 64),
    version: fields.number(4, 0xffff_ffff),
  };
}

function decodePending(encoded: Uint8Array): PendingEntry {
  const fields = new Fields(encoded, { 1: 'bytes', 2: 'bytes' });
  const signed = decodeSigned(fields.bytes(1, 1, Number.MAX_SAFE_INTEGER));
  return { signed, secret: fields.optionalBytes(2, EPOCH_SECRET_BYTES) };
}

/** Our sender key of a group. Its record is that of chapter 09. */
export interface OutgoingKey {
  /** 16 bytes. */
  readonly distributionId: Bytes;
  readonly epoch: number;
  readonly createdAtMs: number;
  /** Messages under it. */
  readonly count: number;
  /** Version of our own device list when it was made. */
  readonly ownDevices: number;
  readonly record: Bytes;
}

export function encodeOutgoingKey(key: OutgoingKey): Bytes {
  return new ProtoWriter(256)
    .bytes(1, key.distributionId)
    .uint64(2, key.epoch)
    .uint64(3, key.createdAtMs)
    .uint32(4, key.count)
    .uint64(5, key.ownDevices)
    .bytes(6, key.record)
    .finish();
}

/** @throws DecodeError */
export function decodeOutgoingKey(encoded: Uint8Array): OutgoingKey {
  const max = Number.MAX_SAFE_INTEGER;
  const fields = new Fields(encoded, {
    1: 'bytes',
    2: 'number',
    3: 'number',
    4: 'number',
    5: 'number',
    6: 'bytes',
  });
  return {
    distributionId: fields.bytes(1, 16),
    epoch: fields.number(2, max),
    createdAtMs: fields.number(3, max),
    count: fields.number(4, 0xffff_ffff),
    ownDevices: fields.number(5, max),
    record: fields.bytes(6, 0, max),
  };
}

/** Who has our sender key, and from which message on. Written when that changes, not with each message. */
export interface Holders {
  /** Distribution messages as they were handed out, the signal around them included. */
  readonly handed: readonly Bytes[];
  /** `account/device/registration id` to the index of what it was handed. */
  readonly devices: ReadonlyMap<string, number>;
}

export const NO_HOLDERS: Holders = { handed: [], devices: new Map() };

export function encodeHolders({ handed, devices }: Holders): Bytes {
  const writer = new ProtoWriter(4_096);
  for (const signal of handed) writer.bytes(1, signal);
  for (const [name, index] of devices) {
    writer.bytes(2, new ProtoWriter(64).text(1, name).uint32(2, index).finish());
  }
  return writer.finish();
}

/** @throws DecodeError */
export function decodeHolders(encoded: Uint8Array | undefined): Holders {
  if (encoded === undefined) return NO_HOLDERS;
  const any = Number.POSITIVE_INFINITY;
  const fields = new Fields(encoded, { 1: 'bytes', 2: 'bytes' }, { 1: any, 2: any });
  const devices = new Map<string, number>();
  for (const view of fields.views(2)) {
    const part = new Fields(view, { 1: 'bytes', 2: 'number' });
    devices.set(part.text(1, 64), part.number(2, 0xffff_ffff));
  }
  return { handed: fields.views(1).map((view) => new Uint8Array(view)), devices };
}

/** The sender key of somebody's device, bound to what its distribution named. */
export interface IncomingKey {
  readonly account: string;
  readonly device: number;
  /** Hex. */
  readonly group: string;
  readonly epoch: number;
  readonly record: Bytes;
}

export function encodeIncomingKey(key: IncomingKey): Bytes {
  return new ProtoWriter(512)
    .text(1, key.account)
    .uint32(2, key.device)
    .text(3, key.group)
    .uint64(4, key.epoch)
    .bytes(5, key.record)
    .finish();
}

/** @throws DecodeError */
export function decodeIncomingKey(encoded: Uint8Array): IncomingKey {
  const max = Number.MAX_SAFE_INTEGER;
  const fields = new Fields(encoded, {
    1: 'bytes',
    2: 'number',
    3: 'bytes',
    4: 'number',
    5: 'bytes',
  });
  return {
    account: fields.text(1, 64),
    device: fields.number(2, 127),
    group: fields.text(3, 64),
    epoch: fields.number(4, max),
    record: fields.bytes(5, 0, max),
  };
}

/** Something that envelopes wait for: a sender key, or an entry. */
export interface Want {
  readonly account: string;
  readonly device: number;
  /** Hex; empty while it cannot be known. */
  readonly group: string;
  readonly sinceMs: number;
  /** When it was last asked for; 0: never. */
  readonly askedAtMs: number;
  /** Envelopes that wait. */
  readonly count: number;
}

export function encodeWant(want: Want): Bytes {
  return new ProtoWriter(160)
    .text(1, want.account)
    .uint32(2, want.device)
    .text(3, want.group)
    .uint64(4, want.sinceMs)
    .uint64(5, want.askedAtMs)
    .uint32(6, want.count)
    .finish();
}

/** @throws DecodeError */
export function decodeWant(encoded: Uint8Array): Want {
  const max = Number.MAX_SAFE_INTEGER;
  const fields = new Fields(encoded, {
    1: 'bytes',
    2: 'number',
    3: 'bytes',
    4: 'number',
    5: 'number',
    6: 'number',
  });
  return {
    account: fields.text(1, 64),
    device: fields.number(2, 127),
    group: fields.text(3, 64),
    sinceMs: fields.number(4, max),
    askedAtMs: fields.number(5, max),
    count: fields.number(6, 0xffff_ffff),
  };
}

/** A signal that came and has to be dealt with. */
export interface Todo {
  readonly account: string;
  readonly device: number;
  readonly atMs: number;
  readonly signal: Bytes;
}

export function encodeTodo({ account, device, atMs, signal }: Todo): Bytes {
  const writer = new ProtoWriter(signal.length + 96).text(1, account).uint32(2, device);
  return writer.uint64(3, atMs).bytes(4, signal).finish();
}

/** @throws DecodeError */
export function decodeTodo(encoded: Uint8Array): Todo {
  const max = Number.MAX_SAFE_INTEGER;
  const fields = new Fields(encoded, { 1: 'bytes', 2: 'number', 3: 'number', 4: 'bytes' });
  return {
    account: fields.text(1, 64),
    device: fields.number(2, 127),
    atMs: fields.number(3, max),
    signal: fields.bytes(4, 0, max),
  };
}
