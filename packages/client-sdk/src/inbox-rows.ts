/**
 * What the inbox keeps of what it cannot show.
 */
import { QasidError, toHex, type Bytes } from '@qasid/protocol';

import type { Content } from './content/index.js';
import type { NewMessage } from './stores/port.js';
import type { Entry } from './timeline/types.js';

/** The place of an envelope that could not be opened. `claimed` is a claim, not a fact, and shown as such. */
export function undecryptableRow(
  clientId: Bytes,
  claimed: { readonly account: string; readonly device: number } | undefined,
  error: unknown,
  nowMs: number,
): NewMessage {
  return {
    id: toHex(clientId),
    kind: 'undecryptable',
    direction: 'received',
    arrived: true,
    peer: claimed?.account ?? '',
    author: claimed?.account ?? '',
    peerName: undefined,
    device: claimed?.device ?? 0,
    text: '',
    raw: undefined,
    state: undefined,
    expiresAtMs: undefined,
    sentAtMs: nowMs,
    receivedAtMs: nowMs,
    status: 'failed',
    cause: error instanceof QasidError ? error.code : 'INTERNAL_INVARIANT',
  };
}

/** Content that says what its sender has no right to say: shown as such, and nothing is done. */
export function asUnknown(
  here: Omit<Entry, 'content' | 'bytes'>,
  content: Content,
  bytes: Bytes,
): Entry {
  return { ...here, content: { ...content, body: { kind: 'unknown' } }, bytes };
}

/** An id for content that has none. */
export function idFrom(plaintext: Bytes): Bytes {
  const id = new Uint8Array(16);
  id.set(plaintext.subarray(0, 16));
  return id;
}
