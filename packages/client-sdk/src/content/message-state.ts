/**
 * 15 Content §4. What happens to a message after it was sent: reactions, edits, votes, receipts, deletion.
 *
 * Pure, and in whatever order the changes come the result is the same: of two changes of one kind by one
 * author the later counts, by time and then by content id, and a deletion ends everything. That is why
 * three devices that hear of them in three orders agree.
 *
 * Who may do what is decided here and by how a target is found (ATK-H07): an edit and a deletion name no
 * author, so they reach messages of their sender only.
 */
import { ProtoWriter, type Bytes } from '@qasid/protocol';

import { Fields } from './fields.js';
import { EMOJI_BYTES_MAX, POLL_OPTIONS_MAX, TIME_MAX_MS } from './limits.js';
import { decodeText, encodeText } from './text.js';
import type { TextBody } from './types.js';

/** When a change was made: which of two counts. */
export interface Stamp {
  /** The author's clock, milliseconds since 1970. It decides between changes of that author only. */
  readonly atMs: number;
  /** Content id of the change, as hex. */
  readonly id: string;
}

/** The reaction of one account. */
export interface Reaction extends Stamp {
  readonly author: string;
  /** Empty: taken away. */
  readonly emoji: string;
}

/** The choice of one account in a poll. */
export interface Vote extends Stamp {
  readonly author: string;
  readonly options: readonly number[];
}

/** How far a message of ours came with one account. This device's clock, milliseconds since 1970. */
export interface ReceiptState {
  readonly account: string;
  readonly deliveredAtMs: number | undefined;
  readonly readAtMs: number | undefined;
  readonly viewedAtMs: number | undefined;
}

/** Everything that happened to a message. */
export interface MessageState {
  readonly reactions: readonly Reaction[];
  readonly votes: readonly Vote[];
  readonly receipts: readonly ReceiptState[];
  readonly edit: (Stamp & { readonly text: TextBody }) | undefined;
  readonly deleted: boolean;
  /** A view-once message was opened here or on another device of ours. */
  readonly viewed: boolean;
  /** A person read it, here or on another device of ours. */
  readonly read: boolean;
}

/** A message to which nothing has happened. */
export const EMPTY_STATE: MessageState = {
  reactions: [],
  votes: [],
  receipts: [],
  edit: undefined,
  deleted: false,
  viewed: false,
  read: false,
};

/** Accounts kept per message. The largest group there will be. */
const AUTHORS_MAX = 1_000;

/** Put a reaction, or take it away with an empty one. */
export function react(state: MessageState, reaction: Reaction): MessageState {
  if (state.deleted) return state;
  const reactions = newest(state.reactions, reaction);
  return reactions === undefined ? state : { ...state, reactions };
}

/** Choose in a poll of so many options. A vote that does not fit the poll is none. */
export function vote(
  state: MessageState,
  choice: Vote,
  poll: { readonly options: number; readonly multiple: boolean },
): MessageState {
  const { options } = choice;
  if (options.some((option) => option >= poll.options)) return state;
  if (state.deleted || (options.length > 1 && !poll.multiple)) return state;
  const votes = newest(state.votes, choice);
  return votes === undefined ? state : { ...state, votes };
}

/** Give it another text. */
export function edit(state: MessageState, text: TextBody, stamp: Stamp): MessageState {
  if (state.deleted || !isLater(stamp, state.edit)) return state;
  return { ...state, edit: { ...stamp, text } };
}

/** Take it back. Nothing comes after it. */
export function erase(state: MessageState): MessageState {
  return state.deleted ? state : { ...EMPTY_STATE, read: state.read, deleted: true };
}

/** Somebody has it, read it, or opened it. The first time counts. */
export function receive(
  state: MessageState,
  account: string,
  receipt: 'delivered' | 'read' | 'viewed',
  nowMs: number,
): MessageState {
  const before = state.receipts.find((one) => one.account === account) ?? {
    account,
    deliveredAtMs: undefined,
    readAtMs: undefined,
    viewedAtMs: undefined,
  };
  const after: ReceiptState = {
    account,
    deliveredAtMs: before.deliveredAtMs ?? nowMs,
    readAtMs: before.readAtMs ?? (receipt === 'delivered' ? undefined : nowMs),
    viewedAtMs: before.viewedAtMs ?? (receipt === 'viewed' ? nowMs : undefined),
  };
  const same =
    before.deliveredAtMs === after.deliveredAtMs &&
    before.readAtMs === after.readAtMs &&
    before.viewedAtMs === after.viewedAtMs;
  if (same || state.deleted) return state;
  const others = state.receipts.filter((one) => one.account !== account);
  return { ...state, receipts: [...others, after].slice(0, AUTHORS_MAX) };
}

/** Whether `a` counts over `b`. */
export function isLater(a: Stamp, b: Stamp | undefined): boolean {
  if (b === undefined) return true;
  return a.atMs > b.atMs || (a.atMs === b.atMs && a.id > b.id);
}

/** The list with `change` in it, in the order of authors; `undefined` when it changes nothing. */
function newest<Change extends Stamp & { readonly author: string }>(
  list: readonly Change[],
  change: Change,
): readonly Change[] | undefined {
  const before = list.find(({ author }) => author === change.author);
  if (!isLater(change, before)) return undefined;
  if (before === undefined && list.length >= AUTHORS_MAX) return undefined;
  const others = list.filter((one) => one !== before);
  return [...others, change].sort((a, b) => (a.author < b.author ? -1 : 1));
}

/** Bytes as kept in `MessageRow.state`; `undefined` while nothing happened. */
export function encodeState(state: MessageState): Bytes | undefined {
  const writer = new ProtoWriter(256);
  for (const one of state.reactions) {
    writer.bytes(1, stamped(one).text(3, one.author).text(4, one.emoji).finish());
  }
  for (const one of state.votes) {
    const part = stamped(one).text(3, one.author);
    for (const option of one.options) part.uint32(4, option);
    writer.bytes(2, part.finish());
  }
  for (const one of state.receipts) {
    const part = new ProtoWriter(64).text(1, one.account);
    if (one.deliveredAtMs !== undefined) part.uint64(2, one.deliveredAtMs);
    if (one.readAtMs !== undefined) part.uint64(3, one.readAtMs);
    if (one.viewedAtMs !== undefined) part.uint64(4, one.viewedAtMs);
    writer.bytes(3, part.finish());
  }
  if (state.edit !== undefined) {
    writer.bytes(4, stamped(state.edit).bytes(3, encodeText(state.edit.text)).finish());
  }
  if (state.deleted) writer.bool(5, true);
  if (state.viewed) writer.bool(6, true);
  if (state.read) writer.bool(7, true);
  const bytes = writer.finish();
  return bytes.length === 0 ? undefined : bytes;
}

function stamped(stamp: Stamp): ProtoWriter {
  return new ProtoWriter(128).uint64(1, stamp.atMs).text(2, stamp.id);
}

/** @throws DecodeError */
export function decodeState(encoded: Uint8Array | undefined): MessageState {
  if (encoded === undefined) return EMPTY_STATE;
  const types = {
    1: 'bytes',
    2: 'bytes',
    3: 'bytes',
    4: 'bytes',
    5: 'number',
    6: 'number',
    7: 'number',
  } as const;
  const fields = new Fields(encoded, types, { 1: AUTHORS_MAX, 2: AUTHORS_MAX, 3: AUTHORS_MAX });
  const edited = fields.view(4);
  return {
    reactions: fields.views(1).map((view) => {
      const one = new Fields(view, { 1: 'number', 2: 'bytes', 3: 'bytes', 4: 'bytes' });
      return { ...stampOf(one), author: one.text(3, 64), emoji: one.text(4, EMOJI_BYTES_MAX) };
    }),
    votes: fields.views(2).map((view) => {
      const types = { 1: 'number', 2: 'bytes', 3: 'bytes', 4: 'number' } as const;
      const one = new Fields(view, types, { 4: POLL_OPTIONS_MAX });
      const options = one.numbers(4, POLL_OPTIONS_MAX);
      return { ...stampOf(one), author: one.text(3, 64), options };
    }),
    receipts: fields.views(3).map((view) => {
      const one = new Fields(view, { 1: 'bytes', 2: 'number', 3: 'number', 4: 'number' });
      return {
        account: one.text(1, 64),
        deliveredAtMs: one.optionalNumber(2, TIME_MAX_MS),
        readAtMs: one.optionalNumber(3, TIME_MAX_MS),
        viewedAtMs: one.optionalNumber(4, TIME_MAX_MS),
      };
    }),
    edit: edited && decodeEdit(edited),
    deleted: fields.flag(5),
    viewed: fields.flag(6),
    read: fields.flag(7),
  };
}

function decodeEdit(encoded: Uint8Array): Stamp & { readonly text: TextBody } {
  const fields = new Fields(encoded, { 1: 'number', 2: 'bytes', 3: 'bytes' });
  return { ...stampOf(fields), text: decodeText(fields.view(3) ?? new Uint8Array(0)) };
}

function stampOf(fields: Fields): Stamp {
  return { atMs: fields.number(1, TIME_MAX_MS), id: fields.text(2, 64) };
}
