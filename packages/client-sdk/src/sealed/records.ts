/**
 * Records about delivery tokens: ours, those of others, and to whom ours went.
 */
import { copyBytes, ProtoWriter, type Bytes } from '@qasid/protocol';
import { TOKEN_BYTES, TOKEN_ID_BYTES } from '@qasid/protocol/envelope';

import { Fields } from '../content/fields.js';
import type { DeliveryToken } from '../content/index.js';

/** Ids of tokens that were removed, kept for a relay that comes back from a backup. */
const REMOVED_MAX = 64;

/** The token that this device gives out. Key: `''`. */
export interface OwnToken extends DeliveryToken {
  /** Epoch of the relay that has it, plus 1; 0: none has. */
  readonly publishedFor: number;
  /** Every other token of the account must go: somebody was blocked. */
  readonly othersMustGo: boolean;
  /** Ids that were removed and must not come back with a restored relay. */
  readonly removed: readonly Bytes[];
}

/** The token of another account, under its UUID. */
export interface TheirToken extends DeliveryToken {
  /** The relay did not take it: a newer one is needed. */
  readonly refused: boolean;
}

/** Which of our tokens an account has, under its UUID. */
export interface GivenToken {
  readonly id: Bytes;
  /** This device's clock, milliseconds since 1970. */
  readonly atMs: number;
}

export function encodeOwnToken(own: OwnToken): Bytes {
  const writer = new ProtoWriter(128).bytes(1, own.id).bytes(2, own.token);
  writer.uint64(3, own.publishedFor).bool(4, own.othersMustGo);
  for (const id of own.removed.slice(-REMOVED_MAX)) writer.bytes(5, id);
  return writer.finish();
}

/** @throws DecodeError */
export function decodeOwnToken(encoded: Uint8Array): OwnToken {
  const types = { 1: 'bytes', 2: 'bytes', 3: 'number', 4: 'number', 5: 'bytes' } as const;
  const fields = new Fields(encoded, types, { 5: REMOVED_MAX });
  return {
    id: fields.bytes(1, TOKEN_ID_BYTES),
    token: fields.bytes(2, TOKEN_BYTES),
    publishedFor: fields.number(3, Number.MAX_SAFE_INTEGER),
    othersMustGo: fields.flag(4),
    removed: fields.views(5).map((id) => copyBytes(id)),
  };
}

export function encodeTheirToken({ id, token, refused }: TheirToken): Bytes {
  return new ProtoWriter(64).bytes(1, id).bytes(2, token).bool(3, refused).finish();
}

/** @throws DecodeError */
export function decodeTheirToken(encoded: Uint8Array): TheirToken {
  const fields = new Fields(encoded, { 1: 'bytes', 2: 'bytes', 3: 'number' });
  return {
    id: fields.bytes(1, TOKEN_ID_BYTES),
    token: fields.bytes(2, TOKEN_BYTES),
    refused: fields.flag(3),
  };
}

export function encodeGivenToken({ id, atMs }: GivenToken): Bytes {
  return new ProtoWriter(32).bytes(1, id).uint64(2, atMs).finish();
}

/** @throws DecodeError */
export function decodeGivenToken(encoded: Uint8Array): GivenToken {
  const fields = new Fields(encoded, { 1: 'bytes', 2: 'number' });
  return {
    id: fields.bytes(1, TOKEN_ID_BYTES),
    atMs: fields.number(2, Number.MAX_SAFE_INTEGER),
  };
}
