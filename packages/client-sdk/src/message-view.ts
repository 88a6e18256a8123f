/**
 * Rows of the history as programs see them.
 */
import { toHex, type CryptoProvider } from '@qasid/protocol';

import type {
  ConversationInfo,
  Message,
  MessageBody,
  PollResult,
  QuotedMessage,
  ReactionGroup,
  Sender,
} from './api.js';
import { samePublicBytes } from '@qasid/protocol';
import type { ConversationState } from './content/conversation-state.js';
import { contentDigest, type Attachment, type Quote } from './content/index.js';
import { decodeState, type MessageState } from './content/message-state.js';
import type { MessageDocument } from './documents/document.js';
import type { DevicesChange } from './linking/device-changes.js';
import type { ClientStore, MessageRow } from './stores/port.js';
import { bodyOf } from './timeline/changes.js';
import { idText } from './timeline/ids.js';

/** What a view needs beside its row. */
export interface ViewDeps {
  readonly store: ClientStore;
  readonly crypto: Pick<CryptoProvider, 'sha256'>;
  /** A document for people. */
  open(attachment: Attachment): MessageDocument;
}

/** A history row as a program sees it. */
export async function viewMessage(
  deps: ViewDeps,
  row: MessageRow,
  sender: Sender,
  request: boolean,
): Promise<Message> {
  const state = decodeState(row.state);
  const original = bodyNow(row, state);
  const viewOnce = viewOnceOf(row, state);
  const body = viewOnce === undefined ? original : undefined;
  const { quote, attachments = [] } = body?.kind === 'text' ? body : {};
  return {
    seq: row.seq,
    place: row.place,
    id: row.id,
    kind: row.kind === 'undecryptable' ? 'unknown' : row.kind,
    direction: row.direction,
    sender,
    peer: row.peer,
    text: row.text,
    body,
    raw: row.kind === 'unknown' ? row.raw : undefined,
    attachments: attachments.map((attachment) => deps.open(attachment)),
    quote: quote && (await viewQuote(deps, row, quote)),
    reactions: reactionsOf(state),
    results: body?.kind === 'poll' ? resultsOf(body.options, state) : [],
    receipts: state.receipts,
    edited: state.edit !== undefined,
    deleted: state.deleted,
    viewOnce,
    expiresAtMs: row.expiresAtMs,
    request,
    sentAtMs: row.sentAtMs,
    receivedAtMs: row.receivedAtMs,
    status: row.status,
    cause: row.cause,
  };
}

/** What a message says now. */
export function bodyNow(row: MessageRow, state: MessageState): MessageBody | undefined {
  const body = bodyOf(row);
  switch (body?.kind) {
    case 'text':
      return state.edit?.text ?? body;
    case 'contact':
    case 'location':
    case 'poll':
    case 'app':
      return body;
    default:
      return undefined;
  }
}

function viewOnceOf(row: MessageRow, state: MessageState): Message['viewOnce'] {
  if (state.viewed) return 'opened';
  const body = bodyOf(row);
  return body?.kind === 'text' && body.viewOnce === true ? 'unopened' : undefined;
}

/** ATK-H09: what a quote says is believed only when the original is here and has its digest. */
async function viewQuote(deps: ViewDeps, row: MessageRow, quote: Quote): Promise<QuotedMessage> {
  const id = toHex(quote.id);
  const account = idText(quote.author);
  const key = { id, sender: { account } };
  const original = await deps.store.loadMessage(row.peer, account, id);
  if (original?.raw === undefined) return { ...key, text: quote.text, original: 'unknown' };
  const fits = samePublicBytes(contentDigest(deps.crypto, original.raw), quote.digest);
  // The excerpt of somebody who quotes falsely says nothing about the original.
  if (!fits) return { ...key, text: '', original: 'mismatch' };
  return { ...key, text: original.text, original: 'known' };
}

function reactionsOf(state: MessageState): readonly ReactionGroup[] {
  const groups = new Map<string, string[]>();
  for (const { emoji, author } of state.reactions) {
    if (emoji === '') continue;
    const by = groups.get(emoji) ?? [];
    groups.set(emoji, [...by, author]);
  }
  return [...groups].map(([emoji, by]) => ({ emoji, by }));
}

function resultsOf(options: readonly string[], state: MessageState): readonly PollResult[] {
  return options.map((option, index) => ({
    option,
    by: state.votes.filter((vote) => vote.options.includes(index)).map(({ author }) => author),
  }));
}

/** A conversation as a program sees it. */
export function viewConversation(
  id: string,
  username: string | undefined,
  state: ConversationState,
  devicesChanged: DevicesChange | undefined,
): ConversationInfo {
  const { settings, unread, lastActivityMs, draft, profileName, timer } = state;
  return {
    id,
    username,
    profileName,
    ...settings,
    unread,
    lastActivityMs,
    draft,
    timerSeconds: timer.seconds,
    devicesChanged,
  };
}
