/**
 * 19 Groups §6. A message of a group as it stands in the outbox.
 */
import { ProtoWriter, type Bytes } from '@qasid/protocol';

import { Fields } from '../content/fields.js';

/** What a row of the outbox holds: a content, and once it is encrypted what everybody gets. */
export interface Packet {
  /** With its link once it is encrypted. */
  readonly content: Bytes;
  readonly sealed: SealedPacket | undefined;
}

/** What everybody gets. */
export interface SealedPacket {
  readonly distributionId: Bytes;
  /** The envelope. */
  readonly body: Bytes;
  /** Client ids follow from it. Secret. */
  readonly seed: Bytes;
  /** The content that hands the key out from this message on, for devices that turn up. Secret. */
  readonly handOut: Bytes;
}

/** Bytes of the row's content. */
export function encodePacket(content: Bytes, sealed?: SealedPacket): Bytes {
  const writer = new ProtoWriter(2_048).bytes(1, content);
  if (sealed !== undefined) {
    writer.bytes(2, sealed.distributionId).bytes(3, sealed.body);
    writer.bytes(4, sealed.seed).bytes(5, sealed.handOut);
  }
  return writer.finish();
}

/** @throws DecodeError */
export function decodePacket(encoded: Uint8Array): Packet {
  const max = Number.MAX_SAFE_INTEGER;
  const fields = new Fields(encoded, {
    1: 'bytes',
    2: 'bytes',
    3: 'bytes',
    4: 'bytes',
    5: 'bytes',
  });
  const content = fields.bytes(1, 0, max);
  if (!fields.has(2)) return { content, sealed: undefined };
  return {
    content,
    sealed: {
      distributionId: fields.bytes(2, 16),
      body: fields.bytes(3, 1, max),
      seed: fields.bytes(4, 32),
      handOut: fields.bytes(5, 1, max),
    },
  };
}
