/**
 * 19 Groups §5. What the secret of an epoch opens: the group's record at the relay.
 */
import {
  ProtoWriter,
  VerificationError,
  concatBytes,
  copyBytes,
  utf8,
  type Bytes,
  type CryptoProvider,
} from '@qasid/protocol';

import { Fields } from '../content/fields.js';
import type { SignedGroupEntry } from './entry.js';
import { GROUP_ENTRY_BYTES_MAX, GROUP_HISTORY_MAX } from './limits.js';
import { decodeGroupState, encodeGroupState, type GroupState } from './state.js';

const LABEL_RECORD_ID: Bytes = utf8('qasid/group-record-id/1');
const LABEL_RECORD_KEY: Bytes = utf8('qasid/group-record-key/1');
const LABEL_RECORD_WRITE: Bytes = utf8('qasid/group-record-write/1');

/** Sizes of a record, so that its length tells little. The largest is what a relay takes. */
const RECORD_SIZES: readonly number[] = [2_048, 8_192, 32_768, 65_536];

const IV_BYTES = 16;
const MAC_BYTES = 32;
/** The block that CBC padding adds at most, and the marker before the zeros. */
const AROUND_BYTES: number = IV_BYTES + MAC_BYTES + 16 + 1;

/** Name, key and write capability of an epoch's record. Secret as a whole. */
export interface RecordKeys {
  readonly id: Bytes;
  /** 32 bytes of cipher key, 32 bytes of MAC key. */
  readonly key: Bytes;
  readonly capability: Bytes;
}

/** What stands in a record: the last entries, the newest last, and the state after it. */
export interface GroupRecord {
  readonly entries: readonly SignedGroupEntry[];
  readonly state: GroupState;
}

/** The record of the epoch with this secret. */
export function recordKeysOf(crypto: CryptoProvider, secret: Uint8Array): RecordKeys {
  return {
    id: crypto.hkdfSha256(undefined, secret, LABEL_RECORD_ID, 32),
    key: crypto.hkdfSha256(undefined, secret, LABEL_RECORD_KEY, 64),
    capability: crypto.hkdfSha256(undefined, secret, LABEL_RECORD_WRITE, 32),
  };
}

/** Encrypt a record: as many of the last entries as it holds. */
export function sealRecord(crypto: CryptoProvider, keys: RecordKeys, record: GroupRecord): Bytes {
  const state = encodeGroupState(record.state);
  const room = Math.max(...RECORD_SIZES) - AROUND_BYTES - state.length - 16;
  const kept: Uint8Array[] = [];
  let used = 0;
  for (const signed of [...record.entries].reverse()) {
    const encoded = encodeSigned(signed);
    used += encoded.length + 8;
    if (used > room || kept.length === GROUP_HISTORY_MAX) break;
    kept.unshift(encoded);
  }
  const writer = new ProtoWriter(used + state.length + 64);
  for (const encoded of kept) writer.bytes(1, encoded);
  const plain = writer.bytes(2, state).finish();
  const size = RECORD_SIZES.find((step) => step - AROUND_BYTES >= plain.length);
  const padded = new Uint8Array((size ?? plain.length + AROUND_BYTES) - IV_BYTES - MAC_BYTES - 16);
  padded.set(plain);
  padded[plain.length] = 0x80;
  const iv = crypto.randomBytes(IV_BYTES);
  const ciphertext = crypto.aesCbcEncrypt(keys.key.subarray(0, 32), iv, padded);
  const mac = crypto.hmacSha256(keys.key.subarray(32), keys.id, iv, ciphertext);
  return concatBytes(iv, ciphertext, mac);
}

/**
 * Open a record.
 *
 * @throws VerificationError `VERIFY_GROUP` for what no member of the epoch wrote; DecodeError
 * `DECODE_CONTENT`, `DECODE_GROUP` for what one wrote wrongly.
 */
export function openRecord(
  crypto: CryptoProvider,
  keys: RecordKeys,
  value: Uint8Array,
): GroupRecord {
  const iv = value.subarray(0, IV_BYTES);
  const ciphertext = value.subarray(IV_BYTES, -MAC_BYTES);
  const mac = value.subarray(-MAC_BYTES);
  const expected = crypto.hmacSha256(keys.key.subarray(32), keys.id, iv, ciphertext);
  const plain =
    value.length > IV_BYTES + MAC_BYTES && sameMac(expected, mac)
      ? crypto.aesCbcDecrypt(keys.key.subarray(0, 32), iv, ciphertext)
      : undefined;
  if (plain === undefined) throw new VerificationError('VERIFY_GROUP', 'record of a stranger');
  const end = plain.lastIndexOf(0x80);
  const fields = new Fields(
    plain.subarray(0, Math.max(0, end)),
    { 1: 'bytes', 2: 'bytes' },
    {
      1: GROUP_HISTORY_MAX,
    },
  );
  return {
    entries: fields.views(1).map(decodeSigned),
    state: decodeGroupState(fields.bytes(2, 1, plain.length)),
  };
}

/** A signed entry as a sub-message. */
export function encodeSigned({ entry, signature }: SignedGroupEntry): Bytes {
  return new ProtoWriter(entry.length + 80).bytes(1, entry).bytes(2, signature).finish();
}

/** @throws DecodeError `DECODE_CONTENT` */
export function decodeSigned(encoded: Uint8Array): SignedGroupEntry {
  const fields = new Fields(encoded, { 1: 'bytes', 2: 'bytes' });
  return {
    entry: copyBytes(fields.bytes(1, 1, GROUP_ENTRY_BYTES_MAX)),
    signature: fields.bytes(2, 64),
  };
}

/** In constant time. */
function sameMac(a: Uint8Array, b: Uint8Array): boolean {
  let different = a.length ^ b.length;
  for (const [index, byte] of a.entries()) different |= byte ^ (b[index] ?? 0);
  return different === 0;
}
