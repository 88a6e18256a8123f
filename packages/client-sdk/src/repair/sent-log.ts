/**
 * 15 Content §10. What was sent in the last day, so that it can be sent again when a device could not open it.
 *
 * A message is kept by reference: what is deleted or has disappeared from the history cannot be sent again.
 */
import {
  concatBytes,
  copyBytes,
  DecodeError,
  fromHex,
  ProtoWriter,
  toHex,
  type Bytes,
  type CryptoProvider,
} from '@qasid/protocol';

import { decodeContent, withoutLink, type Content } from '../content/index.js';
import { Fields } from '../content/fields.js';
import type { ClientExtra, ClientStore, OutboxRow, RecordChange } from '../stores/port.js';
import { copyContent } from '../sealing.js';
import { isShown } from '../timeline/apply.js';
import { SPACE } from '../timeline/batch.js';
import { idText } from '../timeline/ids.js';

/** How long something can be asked for again. */
export const SENT_KEPT_MS: number = 24 * 60 * 60_000;

const CONTENT_BYTES_MAX = 65_536;
const PARTS_MAX = 127;

interface SentRow {
  readonly account: string;
  readonly atMs: number;
  /** 17 bytes each: device, client id. */
  readonly ids: readonly Uint8Array[];
  /** The whole content; or with a message, the link alone. */
  readonly bytes: Uint8Array;
  readonly isMessage: boolean;
  /** Of a copy for our own devices: the conversation it belongs to. */
  readonly peer: string | undefined;
}

/** What is stored when the relay has a row. */
export function logSent(row: OutboxRow, nowMs: number): ClientExtra {
  const { account, parts, messageId } = row;
  if (account === undefined || parts === undefined || parts.length === 0) return {};
  const said = saidBy(row);
  if (said === undefined) return {};
  const { content, bytes, peer, isMessage } = said;
  // What was edited may be deleted, and must not live on here.
  if (content.body.kind === 'edit' || content.link === undefined) return {};
  // What has a timer must be gone in time, and only its message is.
  if (!isMessage && (content.timer?.seconds ?? 0) > 0) return {};
  const core = withoutLink(bytes, content);
  const writer = new ProtoWriter(256).text(1, account).uint64(2, nowMs);
  for (const { device, clientId } of parts) {
    writer.bytes(3, concatBytes(new Uint8Array([device]), clientId));
  }
  writer.bytes(4, isMessage ? bytes.subarray(core.length) : row.content).bool(5, isMessage);
  if (peer !== undefined) writer.text(6, peer);
  const key = `${messageId}/${row.id}`;
  const record = { space: SPACE.sent, key, value: writer.finish(), expectedVersion: 0 };
  return { records: [record] };
}

/** What a row says, where it can be asked for again: to others, or to our own other devices about what others got. */
function saidBy(row: OutboxRow):
  | {
      readonly content: Content;
      readonly bytes: Bytes;
      /** Whom a copy says that it went to. */
      readonly peer: string | undefined;
      readonly isMessage: boolean;
    }
  | undefined {
  try {
    const content = decodeContent(row.content);
    const { kind } = row;
    if (kind === 'message' || kind === 'change') {
      return { content, bytes: row.content, peer: undefined, isMessage: kind === 'message' };
    }
    if (kind !== 'sync' || content.body.kind !== 'sent') return undefined;
    const bytes = content.body.content;
    const copied = decodeContent(bytes);
    return {
      content: copied,
      bytes,
      peer: idText(content.body.account),
      isMessage: isShown(copied),
    };
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

/** A content that can be sent again, once: the record that says so goes with it. */
export interface SentAgain {
  readonly content: Bytes;
  readonly record: RecordChange;
}

/** The contents that went to a device of `account` under these client ids, by client id as hex. */
export async function findSent(
  { store, crypto }: { readonly store: ClientStore; readonly crypto: CryptoProvider },
  self: string,
  to: { readonly account: string; readonly device: number },
  clientIds: readonly Bytes[],
): Promise<ReadonlyMap<string, SentAgain>> {
  const wanted = new Set(clientIds.map(toHex));
  const found = new Map<string, SentAgain>();
  for (const record of await store.loadRecords(SPACE.sent)) {
    const row = decodeSent(record.value);
    if (row.account !== to.account) continue;
    const id = row.ids.find((one) => one[0] === to.device && wanted.has(toHex(one.subarray(1))));
    if (id === undefined) continue;
    const message = await contentOf(store, self, record.key, row);
    const copyOf = row.isMessage ? row.peer : undefined;
    const content =
      message === undefined || copyOf === undefined
        ? message
        : copyContent(crypto, copyOf, message, row.atMs);
    if (content === undefined) continue;
    const { key, version } = record;
    const gone = { space: SPACE.sent, key, value: undefined, expectedVersion: version };
    found.set(toHex(id.subarray(1)), { content, record: gone });
  }
  return found;
}

/** Forget what is too old to be asked for. */
export async function forgetSent(store: ClientStore, nowMs: number): Promise<void> {
  const old = (await store.loadRecords(SPACE.sent)).filter(({ value }) => {
    const age = nowMs - decodeSent(value).atMs;
    return age > SENT_KEPT_MS || age < -SENT_KEPT_MS;
  });
  for (let at = 0; at < old.length; at += 256) {
    const records = old.slice(at, at + 256).map(({ key, version }) => ({
      space: SPACE.sent,
      key,
      value: undefined,
      expectedVersion: version,
    }));
    await store.commit({ extra: { records } });
  }
}

async function contentOf(
  store: ClientStore,
  self: string,
  key: string,
  { account, peer = account, bytes, isMessage }: SentRow,
): Promise<Bytes | undefined> {
  if (!isMessage) return copyBytes(bytes);
  const [id = ''] = key.split('/');
  if (fromHex(id) === undefined) return undefined;
  const message = await store.loadMessage(peer, self, id);
  return message?.raw && concatBytes(message.raw, bytes);
}

function decodeSent(encoded: Uint8Array): SentRow {
  const types = {
    1: 'bytes',
    2: 'number',
    3: 'bytes',
    4: 'bytes',
    5: 'number',
    6: 'bytes',
  } as const;
  const fields = new Fields(encoded, types, { 3: PARTS_MAX });
  return {
    account: fields.optionalText(1, 64) ?? '',
    atMs: fields.number(2, Number.MAX_SAFE_INTEGER),
    ids: fields.views(3),
    bytes: fields.bytes(4, 0, CONTENT_BYTES_MAX),
    isMessage: fields.flag(5),
    peer: fields.optionalText(6, 64),
  };
}
