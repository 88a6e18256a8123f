/**
 * From what a person passes to contents: texts, and the messages they answer or name.
 */
import { fromHex, UsageError, type Bytes, type CryptoProvider } from '@qasid/protocol';

import type { MessageKey } from './api.js';
import {
  contentDigest,
  QUOTE_TEXT_MAX,
  type Attachment,
  type Mention,
  type MessageRef,
  type Quote,
  type StyledRange,
  type TextBody,
} from './content/index.js';
import type { FileInput } from './documents/source.js';
import type { ClientStore, MessageRow } from './stores/port.js';
import { idBytes } from './timeline/ids.js';

/** A text with what may come with one. */
export interface TextInput {
  readonly text: string;
  /** The message it answers, of the same conversation. */
  readonly replyTo?: MessageKey;
  readonly styles?: readonly StyledRange[];
  /** `account` is a UUID. */
  readonly mentions?: readonly {
    readonly start: number;
    readonly length: number;
    readonly account: string;
  }[];
  readonly attachments?: readonly Attachment[];
  /** Shown once, then gone. */
  readonly viewOnce?: boolean;
}

/** One to 32 documents, with what may come with them. */
export interface DocumentInput extends Omit<TextInput, 'text' | 'attachments'> {
  readonly file: FileInput | readonly FileInput[];
  readonly caption?: string;
}

/** Where a text is written. */
export interface Composing {
  readonly store: ClientStore;
  readonly crypto: CryptoProvider;
  readonly peer: string;
}

/** A message of a conversation, as a person names it. @throws UsageError `USAGE_ARGUMENT` when it is not here */
export async function rowOf(
  store: ClientStore,
  peer: string,
  message: MessageKey,
): Promise<MessageRow> {
  const { id, sender } = checkKey(message);
  const row = await store.loadMessage(peer, sender.account, id);
  if (row === undefined || row.kind === 'undecryptable') {
    throw new UsageError('USAGE_ARGUMENT', 'no such message in this conversation');
  }
  return row;
}

/** A text as its content says it. @throws UsageError `USAGE_ARGUMENT` for what callers without a compiler pass */
export async function textBody(around: Composing, input: TextInput): Promise<TextBody> {
  // ATK-J08: callers without a compiler.
  if (typeof input !== 'object' || typeof input?.text !== 'string') {
    throw new UsageError('USAGE_ARGUMENT', 'a text, or an object with one');
  }
  const { text, replyTo, styles, mentions, attachments, viewOnce } = input;
  const named = mentions?.map(({ start, length, account }): Mention => {
    return { start, length, account: idBytes(account) };
  });
  return {
    kind: 'text',
    text,
    ...(styles && { styles }),
    ...(named && { mentions: named }),
    ...(attachments && { attachments }),
    ...(viewOnce === true && { viewOnce }),
    ...(replyTo && { quote: await quote(around, replyTo) }),
  };
}

async function quote({ store, crypto, peer }: Composing, message: MessageKey): Promise<Quote> {
  const row = await rowOf(store, peer, message);
  if (row.raw === undefined) {
    throw new UsageError('USAGE_ARGUMENT', 'a deleted message cannot be answered');
  }
  const digest = contentDigest(crypto, row.raw);
  return { ...refOf(row), digest, text: excerpt(row.text) };
}

/** ATK-J08: callers without a compiler pass ids, or nothing. @throws UsageError `USAGE_ARGUMENT` */
export function checkKey(message: MessageKey): MessageKey {
  const given: Partial<MessageKey> | undefined = message;
  if (typeof given?.id !== 'string' || typeof given.sender?.account !== 'string') {
    throw new UsageError('USAGE_ARGUMENT', 'a message, or its id and sender');
  }
  return message;
}

/** A row as contents name it. */
export function refOf(row: Pick<MessageRow, 'author' | 'id'>): MessageRef {
  return { author: idBytes(row.author), id: idOf(row.id) };
}

function idOf(text: string): Bytes {
  const id = fromHex(text);
  if (id === undefined) throw new UsageError('USAGE_ARGUMENT', 'not a message id');
  return id;
}

/** The beginning of a text, not cut within a character. */
function excerpt(text: string): string {
  const cut = text.slice(0, QUOTE_TEXT_MAX);
  const last = cut.charCodeAt(cut.length - 1);
  return cut.length < text.length && last >= 0xd800 && last < 0xdc00 ? cut.slice(0, -1) : cut;
}
