/**
 * What is worth nothing later: sent when everything is at hand, and otherwise not at all.
 */
import { LimitError, TrustError } from '@qasid/protocol';

import { CONTENT_ID_BYTES, encodeContent } from './content/index.js';
import type { Engine, Platform } from './engine.js';
import { NetworkError } from './errors.js';
import { devicesOf, devicesWithoutSession, sealFor } from './sealing.js';
import type { OutboxPart } from './stores/port.js';

/** Tell `account` that we are writing. Only the connected process can; a failure is no error. */
export async function sendTyping(
  platform: Platform,
  engine: Engine,
  account: string,
  started: boolean,
): Promise<void> {
  if (!engine.isOwner || engine.link.status !== 'open') return;
  const { store, crypto, clock } = platform;
  const { sealing, post } = engine;
  const contact = await store.loadContact(account);
  if (contact === undefined || contact.offeredIdentity !== undefined) return;
  const now = clock.now();
  if (devicesOf(sealing, contact).length === 0) return;
  if ((await devicesWithoutSession(sealing, contact, now)).length > 0) return;
  const id = crypto.randomBytes(CONTENT_ID_BYTES);
  const content = encodeContent({ id, sentAtMs: now, body: { kind: 'typing', started } });
  let parts: readonly OutboxPart[] = [];
  await sealFor(sealing, [{ contact, content }], now, ([sealed = []]) => {
    parts = sealed;
    return {};
  });
  try {
    await post.send(account, parts, { ephemeral: true });
  } catch (error) {
    if (!isExpected(error)) throw error;
  }
}

function isExpected(error: unknown): boolean {
  return (
    error instanceof NetworkError || error instanceof LimitError || error instanceof TrustError
  );
}
