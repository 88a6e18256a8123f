/**
 * 15 Content §4, §7, §8. What a content does to the history: one pure rule book over a batch.
 *
 * The same code takes what arrives, what another device of ours sent, and what this device sends; so all of
 * them come to the same state. Nothing is written here: the batch is committed by the caller, together with
 * the session and the client id, or with the outbox row.
 */
import { toHex } from '@qasid/protocol';

import {
  newConversation,
  takeTimer,
  type ConversationState,
} from '../content/conversation-state.js';
import { decodeContent, type Content } from '../content/index.js';
import { decodeState, isLater, receive, type Stamp } from '../content/message-state.js';
import { termsOf } from '../content/terms.js';
import type { MessageKind, MessageStatus, NewMessage } from '../stores/port.js';
import { SPACE, type Batch } from './batch.js';
import { changeOf, changeRow, coreOf, withState, type Change, type Changeable } from './changes.js';
import { isGone } from './gone.js';
import { applyLink } from './links.js';
import { owe } from './receipts-due.js';
import { applySync } from './sync.js';
import type { Entry, Happening, Surroundings } from './types.js';
import { addWaiting, decodeWaiting, encodeWaiting } from './waiting.js';

/** How far a sender's clock may be ahead of ours in what people read. */
const AHEAD_MAX_MS = 5 * 60_000;

/** How old a message may claim to be: a relay keeps none longer. */
const BEHIND_MAX_MS = 45 * 86_400_000;

/** Bodies that are messages of their own. */
const SHOWN = ['text', 'contact', 'location', 'poll', 'app', 'unknown'] as const;

/** Whether a content becomes a message in the history. */
export function isShown(content: Content): boolean {
  return SHOWN.some((kind) => kind === content.body.kind);
}

/** Whether a content takes a place in the chain of its device. */
export function isLinked(content: Content): boolean {
  return !['receipt', 'typing', 'sync', 'sent', 'call', 'group'].includes(content.body.kind);
}

/** Take one content into the history. */
export async function apply(
  batch: Batch,
  entry: Entry,
  around: Surroundings,
): Promise<readonly Happening[]> {
  const { peer, author, content } = entry;
  const own = author === around.self.account;
  const happenings: Happening[] = [];
  const chain = await applyLink(batch, entry, around, isShown(content));
  for (const gap of chain.gaps) happenings.push({ kind: 'gap', ...gap });
  if (chain.repeat) return happenings;
  const before = await batch.conversation(peer);
  // What a blocked account writes leaves its place in the chain and nothing else.
  const isGroup = content.body.kind === 'group';
  if (!own && !isGroup && before?.settings.status === 'blocked') return happenings;
  if (content.body.kind === 'sync') {
    if (own) happenings.push(...(await applySync(batch, entry, content.body, around)));
    return happenings;
  }
  if (content.body.kind === 'typing') {
    const { started } = content.body;
    const accepted = before?.settings.status === 'accepted';
    const { device } = entry;
    if (accepted) happenings.push({ kind: 'typing', peer, account: author, device, started });
    return happenings;
  }
  if (content.body.kind === 'receipt') {
    if (!own) happenings.push(...(await applyReceipt(batch, entry, content.body, around)));
    return happenings;
  }
  if (content.body.kind === 'call' || content.body.kind === 'group') {
    happenings.push({ kind: 'signal', entry });
    return happenings;
  }
  // Sent again because it could not be opened, and then opened after all: one author, one id, one message.
  const id = toHex(content.id);
  const isAgain = entry.arrived && isShown(content);
  if (isAgain && (await batch.message(peer, author, id)) !== undefined) return happenings;
  // In order nothing comes again: what was deleted is looked for only when it may be that.
  if (isAgain && chain.late && (await isGone(batch, peer, author, id))) return happenings;
  const change = changeOf(entry);
  const state = await touch(batch, entry, before, around, change === undefined && isShown(content));
  if (before === undefined && state.settings.status === 'request' && isShown(content)) {
    happenings.push({ kind: 'request', peer });
  }
  if (change !== undefined) await applyChange(batch, entry, change);
  else if (isShown(content)) await show(batch, entry, state, chain.place, around);
  return happenings;
}

/** What every content does to its conversation. */
async function touch(
  batch: Batch,
  entry: Entry,
  before: ConversationState | undefined,
  around: Surroundings,
  shown: boolean,
): Promise<ConversationState> {
  const { peer, author, content } = entry;
  const own = author === around.self.account;
  const at: Stamp = { atMs: content.sentAtMs, id: toHex(content.id) };
  let state = before ?? newConversation(own ? 'accepted' : 'request');
  // A change or a name by somebody we never talked to makes no conversation.
  if (before === undefined && !own && !shown) return state;
  if (content.timer !== undefined) state = takeTimer(state, content.timer, at.id);
  if (content.body.kind === 'profile' && !own && isLater(at, state.profileAt)) {
    state = { ...state, profileName: content.body.name, profileAt: at };
  }
  if (own && state.settings.status === 'request') {
    // Who answers accepts.
    state = { ...state, settings: { ...state.settings, status: 'accepted' }, settingsAt: at };
  }
  if (shown) {
    const unread = state.unread + (own ? 0 : 1);
    state = { ...state, unread, lastActivityMs: Math.max(state.lastActivityMs, around.nowMs) };
  }
  await batch.setConversation(peer, state);
  return state;
}

async function applyChange(batch: Batch, entry: Entry, change: Change): Promise<void> {
  const { peer, author, device } = entry;
  const row = await batch.message(peer, change.targetAuthor, change.targetId);
  if (row !== undefined) {
    const changed = changeRow(row, change);
    if (changed === undefined) return;
    const isNew = changed.text !== row.text;
    batch.replace(changed, isNew ? termsOf(changed.text) : undefined);
    return;
  }
  const list = decodeWaiting(await batch.record(SPACE.waiting, peer));
  const { targetAuthor, targetId } = change;
  const waiting = { targetAuthor, targetId, author, device, content: change.core };
  await batch.setRecord(SPACE.waiting, peer, encodeWaiting(addWaiting(list, waiting)));
}

/** A message to a name nobody has resolved yet: it has no conversation. */
export function showUnresolved(batch: Batch, entry: Entry, around: Surroundings): void {
  const row = rowOf(entry, around);
  batch.add({ ...row, terms: termsOf(row.text) });
}

async function show(
  batch: Batch,
  entry: Entry,
  conversation: ConversationState,
  place: number | undefined,
  around: Surroundings,
): Promise<void> {
  const { peer, author, arrived } = entry;
  // It came with the history of another device already.
  if (arrived && (await isFromTransfer(batch, entry, around))) return;
  const row = await applyWaiting(batch, { ...rowOf(entry, around), place });
  batch.add({ ...row, terms: termsOf(row.text) });
  if (row.direction === 'sent' || !arrived) return;
  if (place !== undefined && place <= conversation.readThrough.place) {
    // Among what was read already: it was not.
    await batch.setConversation(peer, { ...conversation, readThrough: { place, seq: 0 } });
  }
  // Between two accounts alone: a thousand members would answer each message a thousand times. ATK-E12.
  if (conversation.settings.status !== 'accepted' || peer !== author) return;
  await owe(batch, author, 'delivered', [row.id]);
}

async function isFromTransfer(batch: Batch, entry: Entry, around: Surroundings): Promise<boolean> {
  const { peer, author, device, content } = entry;
  const known = await batch.message(peer, author, toHex(content.id));
  if (known === undefined || known.arrived) return false;
  return author !== around.self.account || device !== around.self.device;
}

function rowOf(entry: Entry, around: Surroundings): NewMessage {
  const { peer, author, device, content, arrived } = entry;
  const own = author === around.self.account;
  const seconds = content.timer?.seconds ?? 0;
  const sentAtMs = clampTime(content.sentAtMs, around.nowMs);
  return {
    id: toHex(content.id),
    kind: kindOf(content),
    direction: own ? 'sent' : 'received',
    arrived,
    peer,
    author,
    peerName: entry.peerName,
    device,
    text: textOf(content),
    raw: coreOf(entry),
    state: undefined,
    // Ours disappears so long after it was sent, theirs so long after it was read.
    expiresAtMs: own && seconds > 0 ? sentAtMs + seconds * 1_000 : undefined,
    sentAtMs,
    receivedAtMs: around.nowMs,
    status: statusOf(own, arrived),
    cause: undefined,
  };
}

function kindOf({ body }: Content): MessageKind {
  return SHOWN.find((kind) => kind === body.kind) ?? 'unknown';
}

/** What a content says in plain text: for search, and for whoever shows nothing else. */
function textOf({ body }: Content): string {
  switch (body.kind) {
    case 'text':
      // Until it is opened, nobody sees what it says.
      return body.viewOnce === true ? '' : body.text;
    case 'contact':
      return body.name;
    case 'location':
      return body.label ?? `${body.latitude}, ${body.longitude}`;
    case 'poll':
      return [body.question, ...body.options].join('\n');
    case 'app':
      return body.fallback;
    default:
      return '';
  }
}

/** A sender's time, within what can be true of a message that came now. ATK-H09. */
export function clampTime(sentAtMs: number, nowMs: number): number {
  return Math.min(Math.max(sentAtMs, nowMs - BEHIND_MAX_MS, 0), nowMs + AHEAD_MAX_MS);
}

function statusOf(own: boolean, arrived: boolean): MessageStatus {
  if (!own) return 'received';
  return arrived ? 'confirmed' : 'pending';
}

/** Changes that came before the message. */
export async function applyWaiting<
  Row extends Changeable & { readonly peer: string; readonly id: string },
>(batch: Batch, row: Row): Promise<Row> {
  const list = decodeWaiting(await batch.record(SPACE.waiting, row.peer));
  let changed = row;
  const left = list.filter((waiting) => {
    if (waiting.targetAuthor !== row.author || waiting.targetId !== row.id) return true;
    const { author, device, content: bytes } = waiting;
    const content = decodeContent(bytes);
    const change = changeOf({ peer: row.peer, author, device, content, bytes, arrived: true });
    if (change !== undefined) changed = changeRow(changed, change) ?? changed;
    return false;
  });
  if (left.length < list.length) {
    await batch.setRecord(SPACE.waiting, row.peer, encodeWaiting(left));
  }
  return changed;
}

/** ATK-D05: a receipt is about messages of ours and nothing else, and is never answered. */
async function applyReceipt(
  batch: Batch,
  entry: Entry,
  body: Extract<Content['body'], { readonly kind: 'receipt' }>,
  around: Surroundings,
): Promise<readonly Happening[]> {
  const { peer, author } = entry;
  const happenings: Happening[] = [];
  for (const receipt of ['delivered', 'read', 'viewed'] as const) {
    const ids: string[] = [];
    for (const id of body[receipt].map(toHex)) {
      const row = await batch.message(peer, around.self.account, id);
      if (row === undefined) continue;
      const state = decodeState(row.state);
      const next = receive(state, author, receipt, around.nowMs);
      if (next === state) continue;
      batch.replace(withState(row, next));
      ids.push(id);
    }
    if (ids.length > 0) happenings.push({ kind: 'receipt', peer, account: author, receipt, ids });
  }
  return happenings;
}
