/**
 * 15 Content §5. Our own chains: each message gets its link when it is first encrypted, and a link that is
 * never sent is withdrawn by the next one.
 */
import { DecodeError, StateError, type Bytes, type CryptoProvider } from '@qasid/protocol';

import type { PendingMessage } from './api.js';
import {
  appendLink,
  decodeContent,
  decodeOutgoing,
  encodeOutgoing,
  withdrawLink,
  type Content,
} from './content/index.js';
import { newConversation } from './content/conversation-state.js';
import { decodePacket } from './groups/packet.js';
import type { ClientExtra, ClientStore, OutboxRow } from './stores/port.js';
import { isLinked } from './timeline/apply.js';
import { Batch, SPACE } from './timeline/batch.js';

/** A content with its link, and what must be committed with it. */
export interface MadeLink {
  readonly content: Bytes;
  readonly extra: ClientExtra;
  /** Call before the commit. @throws StateError `STATE_CONFLICT` when the link is taken: make another. */
  check(): Promise<void>;
}

/** Make the next link of our chain in `peer`. Writes nothing. */
export async function makeLink(
  deps: { readonly store: ClientStore; readonly crypto: CryptoProvider },
  peer: string,
  content: Bytes,
): Promise<MadeLink> {
  const { store, crypto } = deps;
  const before = await store.loadRecord(SPACE.outgoing, peer);
  const expectedVersion = before?.version ?? 0;
  const made = appendLink(crypto, before && decodeOutgoing(before.value), content);
  const value = encodeOutgoing(made.state);
  return {
    content: made.linked,
    extra: { records: [{ space: SPACE.outgoing, key: peer, value, expectedVersion }] },
    async check() {
      const now = await store.loadRecord(SPACE.outgoing, peer);
      if ((now?.version ?? 0) !== expectedVersion) {
        throw new StateError('STATE_CONFLICT', 'another message took this place in the chain');
      }
    },
  };
}

/** The link of a row that was queued without one; `undefined` when it has one or needs none. */
export async function linkFor(
  deps: { readonly store: ClientStore; readonly crypto: CryptoProvider },
  peer: string,
  row: Pick<OutboxRow, 'kind' | 'content'>,
): Promise<MadeLink | undefined> {
  if (row.kind !== 'message' && row.kind !== 'change') return undefined;
  const content = readContent(row);
  if (content === undefined || content.link !== undefined || !isLinked(content)) return undefined;
  return makeLink(deps, peer, row.content);
}

/** What must be committed when a row is given up: the next link says that this one will not come. */
export async function withdrawnWith(store: ClientStore, row: OutboxRow): Promise<ClientExtra> {
  const isGroup = row.kind === 'group';
  if (!isGroup && row.kind !== 'message' && row.kind !== 'change') return {};
  const peer = isGroup ? row.username : row.account;
  if (peer === undefined) return {};
  const link = readContent(isGroup ? decodePacket(row.content) : row)?.link;
  const batch = new Batch(store);
  const chain = await batch.outgoing(peer);
  if (link === undefined || chain === undefined) return {};
  await batch.setOutgoing(peer, withdrawLink(chain, link));
  return batch.toExtra();
}

/** What must be committed when it turns out whom a name means: their conversation begins. */
export async function begunWith(
  store: ClientStore,
  row: OutboxRow,
  account: string,
  nowMs: number,
): Promise<ClientExtra> {
  if (row.kind !== 'message' || row.account !== undefined) return {};
  const batch = new Batch(store);
  const state = (await batch.conversation(account)) ?? newConversation('accepted');
  const settings = { ...state.settings, status: 'accepted' as const };
  await batch.setConversation(account, { ...state, settings, lastActivityMs: nowMs });
  return batch.toExtra();
}

/** Messages that the relay has not confirmed yet. */
export async function pendingOf(store: ClientStore): Promise<readonly PendingMessage[]> {
  const rows = await store.loadOutbox({ limit: 10_000 });
  return rows
    .filter(({ kind }) => kind === 'message' || kind === 'group')
    .map(({ messageId, username, account, held }) => ({
      id: messageId,
      to: username ?? account ?? '',
      held,
    }));
}

/** Rows are sent as they were stored, also those that this version does not understand. */
function readContent(row: Pick<OutboxRow, 'content'>): Content | undefined {
  try {
    return decodeContent(row.content);
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}
