/**
 * 15 Content §8. What a person did on another device of the account, done here as well.
 */
import { toHex, type Bytes } from '@qasid/protocol';

import { newConversation, takeSettings } from '../content/conversation-state.js';
import type { DeviceAction } from '../content/device-actions.js';
import { clearChain, type Content, type MessageRef, type SyncBody } from '../content/index.js';
import type { MessageRow } from '../stores/port.js';
import { SPACE, type Batch } from './batch.js';
import { noteGone } from './gone.js';
import { idText } from './ids.js';
import { consume, readThrough } from './reading.js';
import { oweNothing } from './receipts-due.js';
import { applyDeviceAction } from './sync-devices.js';
import type { Entry, Happening, Surroundings } from './types.js';

/** Take a sync of our own account. Naming what is not here does nothing. */
export async function applySync(
  batch: Batch,
  entry: Pick<Entry, 'content' | 'device'>,
  body: SyncBody,
  around: Surroundings,
): Promise<readonly Happening[]> {
  const { content, device } = entry;
  const { action } = body;
  switch (action.kind) {
    case 'device':
    case 'part':
    case 'arrived':
      return applyDeviceAction(batch, action, device, content.sentAtMs, around);
    default:
      await applyConversationSync(batch, content, body.conversation, action, around);
      return [];
  }
}

async function applyConversationSync(
  batch: Batch,
  content: Content,
  conversation: Bytes,
  action: Exclude<SyncBody['action'], DeviceAction>,
  around: Surroundings,
): Promise<void> {
  const peer = idText(conversation);
  const find = ({ author, id }: MessageRef): Promise<MessageRow | undefined> =>
    batch.message(peer, idText(author), toHex(id));
  switch (action.kind) {
    case 'read': {
      const row = await find(action.through);
      if (row !== undefined) await readThrough(batch, peer, row, around);
      return;
    }
    case 'viewed': {
      const row = await find(action.message);
      if (row !== undefined) consume(batch, row);
      return;
    }
    case 'removed':
      for (const ref of action.messages) {
        const row = await find(ref);
        if (row === undefined) continue;
        await noteGone(batch, [row], around.nowMs);
        batch.remove(row.seq);
      }
      return;
    case 'cleared':
      await clearConversation(batch, peer);
      return;
    case 'settings': {
      const at = { atMs: content.sentAtMs, id: toHex(content.id) };
      const state = (await batch.conversation(peer)) ?? newConversation('request');
      await batch.setConversation(peer, takeSettings(state, action.settings, at));
      return;
    }
  }
}

/**
 * Forget a conversation: its messages, its state, what waits in it. Chains stay, or losses would be missed
 * and what is sent again would come back.
 */
export async function clearConversation(batch: Batch, peer: string): Promise<void> {
  const state = await batch.conversation(peer);
  batch.clear(peer);
  // A block outlives the conversation.
  const keep = state !== undefined && state.settings.status !== 'request';
  if (keep) {
    const { settings, settingsAt, timer, timerId } = state;
    const empty = newConversation(settings.status);
    await batch.setConversation(peer, { ...empty, settings, settingsAt, timer, timerId });
  } else await batch.setRecord(SPACE.conversation, peer, undefined);
  await batch.setRecord(SPACE.waiting, peer, undefined);
  await oweNothing(batch, peer);
  for (const [name, chain] of await batch.incomingOf(peer)) {
    await batch.setIncoming(name, clearChain(chain));
  }
}
