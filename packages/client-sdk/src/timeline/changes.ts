/**
 * 15 Content §4. Edits, deletions, reactions and votes as changes of a row.
 */
import { copyBytes, toHex, type Bytes } from '@qasid/protocol';

import { decodeContent, withoutLink, type Content, type TextBody } from '../content/index.js';
import {
  decodeState,
  edit,
  encodeState,
  erase,
  react,
  vote,
  type MessageState,
  type Stamp,
} from '../content/message-state.js';
import type { MessageRow } from '../stores/port.js';
import { idText } from './ids.js';
import type { Entry } from './types.js';

/** What may be done to a message that is there. */
type Deed =
  | { readonly kind: 'edit'; readonly text: TextBody }
  | { readonly kind: 'delete' }
  | { readonly kind: 'reaction'; readonly emoji: string }
  | { readonly kind: 'vote'; readonly options: readonly number[] };

/** One change, and the message it is about. */
export interface Change {
  readonly targetAuthor: string;
  readonly targetId: string;
  readonly author: string;
  readonly stamp: Stamp;
  readonly deed: Deed;
  /** The content without its link, for when the message has yet to come. */
  readonly core: Bytes;
}

/** The parts of a row that changes touch. */
export type Changeable = Pick<MessageRow, 'kind' | 'author' | 'text' | 'raw' | 'state'>;

/** The content as it is kept: without its link. */
export function coreOf(entry: Pick<Entry, 'bytes' | 'content'>): Bytes {
  return copyBytes(withoutLink(entry.bytes, entry.content));
}

/** What a content does to a message; `undefined` when it is none of the changes. */
export function changeOf(entry: Entry): Change | undefined {
  const { author, content } = entry;
  const { body } = content;
  const stamp = { atMs: content.sentAtMs, id: toHex(content.id) };
  const rest = { author, stamp, core: coreOf(entry) };
  switch (body.kind) {
    // ATK-H07: no author in the content, so the sender's own messages are all that can be meant.
    case 'edit': {
      const deed: Deed = { kind: 'edit', text: body.text };
      return { ...rest, targetAuthor: author, targetId: toHex(body.target), deed };
    }
    case 'delete': {
      const deed: Deed = { kind: 'delete' };
      return { ...rest, targetAuthor: author, targetId: toHex(body.target), deed };
    }
    case 'reaction': {
      const deed: Deed = { kind: 'reaction', emoji: body.remove ? '' : body.emoji };
      const { target } = body;
      return { ...rest, targetAuthor: idText(target.author), targetId: toHex(target.id), deed };
    }
    case 'vote': {
      const deed: Deed = { kind: 'vote', options: body.options };
      const { target } = body;
      return { ...rest, targetAuthor: idText(target.author), targetId: toHex(target.id), deed };
    }
    default:
      return undefined;
  }
}

/** The row after a change; `undefined` when it changes nothing or is not allowed. */
export function changeRow<Row extends Changeable>(row: Row, change: Change): Row | undefined {
  const { author, stamp, deed } = change;
  const state = decodeState(row.state);
  switch (deed.kind) {
    case 'edit': {
      if (row.author !== author || row.kind !== 'text') return undefined;
      const next = edit(state, deed.text, stamp);
      return next === state ? undefined : { ...withState(row, next), text: deed.text.text };
    }
    case 'delete': {
      if (row.author !== author || row.kind === 'undecryptable') return undefined;
      const next = erase(state);
      return next === state ? undefined : { ...withState(row, next), text: '', raw: undefined };
    }
    case 'reaction': {
      if (row.kind === 'undecryptable') return undefined;
      const next = react(state, { author, emoji: deed.emoji, ...stamp });
      return next === state ? undefined : withState(row, next);
    }
    case 'vote': {
      const poll = bodyOf(row);
      if (poll?.kind !== 'poll') return undefined;
      const bounds = { options: poll.options.length, multiple: poll.multiple };
      const next = vote(state, { author, options: deed.options, ...stamp }, bounds);
      return next === state ? undefined : withState(row, next);
    }
  }
}

/** The row with another state. */
export function withState<Row extends Pick<MessageRow, 'state'>>(
  row: Row,
  state: MessageState,
): Row {
  return { ...row, state: encodeState(state) };
}

/** What the message said when it was sent; `undefined` when that is gone or was never understood. */
export function bodyOf(row: Pick<MessageRow, 'raw' | 'kind'>): Content['body'] | undefined {
  return contentOf(row)?.body;
}

/** The stored content of a row. */
export function contentOf(row: Pick<MessageRow, 'raw' | 'kind'>): Content | undefined {
  if (row.raw === undefined || row.kind === 'unknown' || row.kind === 'undecryptable') {
    return undefined;
  }
  return decodeContent(row.raw);
}
