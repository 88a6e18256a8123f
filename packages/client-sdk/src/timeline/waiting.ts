/**
 * Changes that came before the message they are about. Bounded: what never finds its message goes in the end.
 */
import { copyBytes, ProtoWriter, type Bytes } from '@qasid/protocol';

import { Fields } from '../content/fields.js';

/** Changes kept per conversation. */
export const WAITING_MAX = 256;

/** Bytes of changes kept per conversation. */
export const WAITING_BYTES_MAX = 262_144;

/** One change, as it came. */
export interface WaitingChange {
  /** Message it is about: its author, a UUID, and its content id as hex. */
  readonly targetAuthor: string;
  readonly targetId: string;
  /** Who made the change. */
  readonly author: string;
  readonly device: number;
  /** The content without its link. */
  readonly content: Bytes;
}

/** The list with one more; the oldest go when there are too many. */
export function addWaiting(
  list: readonly WaitingChange[],
  change: WaitingChange,
): readonly WaitingChange[] {
  const all = [...list, change].slice(-WAITING_MAX);
  let bytes = all.reduce((sum, { content }) => sum + content.length, 0);
  while (bytes > WAITING_BYTES_MAX) bytes -= all.shift()?.content.length ?? bytes;
  return all;
}

/** Bytes of the record; `undefined` for none. */
export function encodeWaiting(list: readonly WaitingChange[]): Bytes | undefined {
  if (list.length === 0) return undefined;
  const writer = new ProtoWriter(512);
  for (const one of list) {
    const part = new ProtoWriter(256)
      .text(1, one.targetAuthor)
      .text(2, one.targetId)
      .text(3, one.author)
      .uint32(4, one.device)
      .bytes(5, one.content);
    writer.bytes(1, part.finish());
  }
  return writer.finish();
}

/** @throws DecodeError */
export function decodeWaiting(encoded: Uint8Array | undefined): readonly WaitingChange[] {
  if (encoded === undefined) return [];
  return new Fields(encoded, { 1: 'bytes' }, { 1: WAITING_MAX }).views(1).map((view) => {
    const types = { 1: 'bytes', 2: 'bytes', 3: 'bytes', 4: 'number', 5: 'bytes' } as const;
    const one = new Fields(view, types);
    return {
      targetAuthor: one.text(1, 64),
      targetId: one.text(2, 64),
      author: one.text(3, 64),
      device: one.number(4, 255),
      content: copyBytes(one.view(5) ?? new Uint8Array(0)),
    };
  });
}
