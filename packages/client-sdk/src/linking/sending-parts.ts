/**
 * 20 Linking §6. The device that sends: the next stretch of the stream, as one part.
 */
import { concatBytes, u32be, wipe, type Bytes, type CryptoProvider } from '@qasid/protocol';

import { decodeState } from '../content/message-state.js';
import type { Platform } from '../engine.js';
import { headOf } from '../groups/chain.js';
import { decodeGroup, encodeGroup, GROUP_SPACE } from '../groups/stored.js';
import type { MessageRow, Profile } from '../stores/port.js';
import { Batch, SPACE } from '../timeline/batch.js';
import { decodeDeviceFacts, DEVICE_SPACE } from '../timeline/device-facts.js';
import { isAfter } from '../timeline/reading.js';
import { sealBox } from './box.js';
import { accountSync } from './device-sync.js';
import { encodeItem, type OutgoingItem } from './items.js';
import { LABEL_TRANSFER } from './limits.js';
import type { Departure } from './transfer-state.js';

/** Bytes of the stream in one part. Higher: it does not fit an envelope. */
const PART_BYTES = 48_000;

/** Rows read at once. */
const PAGE = 50;

/** A part, and the state after it. */
export interface MadePart {
  readonly state: Departure;
  /** Content of the sync that carries it. */
  readonly content: Bytes;
}

/** The next part; `undefined` when its time has not come. Writes nothing. */
export async function nextPart(
  platform: Platform,
  profile: Profile,
  before: Departure,
): Promise<MadePart | undefined> {
  const { crypto, clock } = platform;
  const nowMs = clock.now();
  const chunks: Bytes[] = [before.rest];
  let size = before.rest.length;
  let state = before;
  while (size < PART_BYTES && state.stage !== 'done') {
    if (state.stage === 'messages' && nowMs < state.messagesAtMs) break;
    const read = await readSome(platform, profile, state, PART_BYTES - size);
    state = read.state;
    for (const item of read.items) {
      const encoded = encodeItem(item);
      chunks.push(encoded);
      size += encoded.length;
    }
  }
  if (size === 0) return undefined;
  const stream = concatBytes(...chunks);
  const bytes = stream.subarray(0, PART_BYTES);
  const hash = crypto.sha256(before.hash, bytes);
  const key = transferKeys(crypto, before.key);
  const context = partContext(before.id, before.next, before.device);
  const data = sealBox(crypto, key, context, concatBytes(before.hash, bytes));
  wipe(key);
  const number = before.next;
  const action = { kind: 'part', transfer: before.id, number, data } as const;
  return {
    state: { ...state, next: number + 1, hash, rest: stream.slice(PART_BYTES) },
    content: accountSync(crypto, profile.account, nowMs, action),
  };
}

/** 64 bytes: the keys of all parts of a transfer. The caller wipes them. */
export function transferKeys(crypto: CryptoProvider, key: Uint8Array): Bytes {
  return crypto.hkdfSha256(undefined, key, LABEL_TRANSFER, 64);
}

/** What a part is: transfer (16), number (4), device it is for (1). */
export function partContext(id: Uint8Array, number: number, device: number): Bytes {
  return concatBytes(id, u32be(number), new Uint8Array([device]));
}

/** A group for another device of the account: without the entry that this one has under way and answers for. */
export function groupToTravel(crypto: CryptoProvider, value: Uint8Array): Bytes {
  return encodeGroup({ ...decodeGroup(crypto, value), pending: undefined });
}

/** A few more items, about `bytes` of them, and the state after them. */
async function readSome(
  platform: Platform,
  profile: Profile,
  state: Departure,
  bytes: number,
): Promise<{ readonly items: readonly OutgoingItem[]; readonly state: Departure }> {
  const { store } = platform;
  switch (state.stage) {
    case 'devices': {
      const items: OutgoingItem[] = [];
      for (const { key, value } of await store.loadRecords(DEVICE_SPACE)) {
        items.push({ kind: 'device', device: Number(key), facts: decodeDeviceFacts(value) });
      }
      const space = GROUP_SPACE.group;
      for (const { key, value } of await store.loadRecords(space)) {
        items.push({ kind: 'record', space, key, value: groupToTravel(platform.crypto, value) });
      }
      return { items, state: { ...state, stage: 'conversations' } };
    }
    case 'conversations': {
      const items: OutgoingItem[] = [];
      let size = 0;
      for (const row of await store.loadRecords(SPACE.conversation, state.conversation)) {
        for (const account of await peopleOf(platform, row.key)) {
          items.push(...(await contactItems(platform, profile, account)));
        }
        items.push({ kind: 'conversation', peer: row.key, encoded: row.value });
        size += row.value.length + 512;
        if (size >= bytes) return { items, state: { ...state, conversation: row.version } };
      }
      if (!state.history) return { items: [...items, END], state: { ...state, stage: 'done' } };
      return { items, state: { ...state, stage: 'messages' } };
    }
    default:
      return readMessages(platform, state, bytes);
  }
}

/** Whose keys belong to a conversation: the peer's, or those of a group's members who have none of their own. */
async function peopleOf({ store, crypto }: Platform, peer: string): Promise<readonly string[]> {
  const row = await store.loadRecord(GROUP_SPACE.group, peer);
  if (row === undefined) return [peer];
  const batch = new Batch(store);
  const people: string[] = [];
  for (const account of headOf(decodeGroup(crypto, row.value).chain).state.members.keys()) {
    if ((await batch.conversation(account)) === undefined) people.push(account);
  }
  return people;
}

async function contactItems(
  { store }: Platform,
  profile: Profile,
  peer: string,
): Promise<readonly OutgoingItem[]> {
  if (peer === profile.account) return [];
  const contact = await store.loadContact(peer);
  const identity = await store.loadIdentity(peer);
  if (contact === undefined || identity === undefined) return [];
  return [{ kind: 'contact', contact, identity }];
}

async function readMessages(
  { store, clock }: Platform,
  state: Departure,
  bytes: number,
): Promise<{ readonly items: readonly OutgoingItem[]; readonly state: Departure }> {
  // Newer ones reach the new device by themselves: its list stood when it said that it is there.
  const through = state.through === 0 ? Math.max(1, await store.lastSeq()) : state.through;
  const items: OutgoingItem[] = [];
  if (state.through === 0) items.push({ kind: 'total', messages: through });
  let { message, messages } = state;
  const rows = await store.loadMessages({ after: message, limit: PAGE });
  const batch = new Batch(store);
  let size = 0;
  for (const row of rows) {
    if (row.seq > through) break;
    message = row.seq;
    if (!travels(row, clock.now())) continue;
    const conversation = await batch.conversation(row.peer);
    const isRead =
      decodeState(row.state).read ||
      (conversation !== undefined && !isAfter(row, conversation.readThrough));
    items.push({ kind: 'message', row, read: isRead });
    messages++;
    size += (row.raw?.length ?? 0) + row.text.length + (row.state?.length ?? 0) + 256;
    if (size >= bytes) return { items, state: { ...state, through, message, messages } };
  }
  const isOver = rows.length < PAGE || (rows.at(-1)?.seq ?? 0) > through;
  if (isOver) items.push({ kind: 'end', messages });
  const stage = isOver ? ('done' as const) : state.stage;
  return { items, state: { ...state, through, message, messages, stage } };
}

/** What is still being sent goes to all devices by itself; what could not be opened says nothing there either. */
function travels(row: MessageRow, nowMs: number): boolean {
  if (row.kind === 'undecryptable' || row.peer === '' || row.status === 'pending') return false;
  return row.expiresAtMs === undefined || row.expiresAtMs > nowMs;
}

const END: OutgoingItem = { kind: 'end', messages: 0 };
