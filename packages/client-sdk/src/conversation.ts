/**
 * A conversation: what a person does in it. Get one with `client.conversation(name)`.
 */
import { UsageError } from '@qasid/protocol';

import type { ConversationInfo, Gap, Message, MessageKey, SentMessage } from './api.js';
import { checkKey, refOf, rowOf, textBody, type DocumentInput, type TextInput } from './compose.js';
import { newConversation, type ConversationState } from './content/conversation-state.js';
import type {
  AppBody,
  ContactBody,
  ConversationSettings,
  LocationBody,
  MessageRef,
  PollBody,
  SyncBody,
  TextBody,
} from './content/index.js';
import { decodeState, type Stamp } from './content/message-state.js';
import type { Documents, UploadOptions } from './documents/documents.js';
import type { FileInput } from './documents/source.js';
import type { Upload } from './documents/upload.js';
import type { Engine, Platform } from './engine.js';
import { sendTyping } from './ephemeral.js';
import { isGroupId } from './groups/store.js';
import type { History } from './history.js';
import { replaceToken } from './sealed/tokens.js';
import type { Sending } from './sending.js';
import type { Contact, MessageRow, Position } from './stores/port.js';
import { Batch } from './timeline/batch.js';
import { bodyOf } from './timeline/changes.js';
import { noteGone } from './timeline/gone.js';
import { idBytes } from './timeline/ids.js';
import { openGaps } from './timeline/links.js';
import { consume, isUnopened, readThrough } from './timeline/reading.js';
import { owe, oweNothing, type ReceiptKind } from './timeline/receipts-due.js';
import { clearConversation } from './timeline/sync.js';
import type { Deciding } from './timeline/types.js';

/** What a conversation needs of its client. */
export interface ConversationDeps {
  readonly platform: Platform;
  readonly history: History;
  readonly sending: Sending;
  readonly documents: Documents;
  engine(): Engine;
  /** Receipts may be due. */
  receiptsDue(): void;
}

/** One conversation. Methods that send throw as `QasidClient.send`; all throw StoreError. */
export class Conversation {
  /** Account of the other side, a UUID. */
  readonly id: string;
  readonly username: string | undefined;
  readonly #deps: ConversationDeps;
  #typedAtMs = Number.NEGATIVE_INFINITY;

  /** @internal Made by `QasidClient.conversation`. */
  constructor(deps: ConversationDeps, contact: Pick<Contact, 'account' | 'username'>) {
    this.#deps = deps;
    this.id = contact.account;
    this.username = contact.username;
  }

  /** As it stands now. */
  async info(): Promise<ConversationInfo> {
    return this.#deps.history.info(this.id, await this.#state());
  }

  /**
   * Send a text, or documents. Resolves when it is durable here; see `SentMessage.confirmed`. Documents are at the
   * relay by then: see `upload` for those that take long. Accepts a message request.
   *
   * @throws UsageError `USAGE_ARGUMENT` for ranges outside the text, or an answer to a message that is not
   * here; AccountError `ACCOUNT_BLOCKED`; as `QasidClient.send`, and for documents as `Upload.sent`.
   */
  async send(
    input: string | TextInput | DocumentInput,
    options: UploadOptions = {},
  ): Promise<SentMessage> {
    if (typeof input === 'object' && input !== null && 'file' in input) {
      return (await this.upload(input, options)).sent;
    }
    return this.#send(await this.#textBody(typeof input === 'string' ? { text: input } : input));
  }

  /**
   * Begin to send documents: encrypted as they are read, in constant memory. Goes on after an outage by itself, and
   * after a restart with `documents.resume`.
   *
   * @throws UsageError; LimitError `LIMIT_FILE_SIZE`, `LIMIT_ENVELOPE_SIZE`; AccountError `ACCOUNT_BLOCKED`,
   *   `ACCOUNT_NOT_REGISTERED`; StoreError.
   */
  async upload(input: DocumentInput, options: UploadOptions = {}): Promise<Upload> {
    this.#deps.engine();
    const { file, caption, ...rest } = input;
    const body = await this.#textBody({ ...rest, text: caption ?? '' });
    return this.#deps.documents.begin(this.id, body, [file].flat() as FileInput[], options);
  }

  /** Send a contact card. */
  sendContact(card: Omit<ContactBody, 'kind'>): Promise<SentMessage> {
    return this.#send({ kind: 'contact', ...card });
  }

  /** Send a place. @throws UsageError `USAGE_ARGUMENT` for one that is not on earth. */
  sendLocation(place: Omit<LocationBody, 'kind'>): Promise<SentMessage> {
    return this.#send({ kind: 'location', ...place });
  }

  /** Send something that an application defines. @throws UsageError for a type that is not namespaced. */
  sendApp(content: Omit<AppBody, 'kind'>): Promise<SentMessage> {
    return this.#send({ kind: 'app', ...content });
  }

  /** Ask a question with 2 to 32 answers to choose from. */
  poll(question: string, options: readonly string[], multiple = false): Promise<SentMessage> {
    const body: PollBody = { kind: 'poll', question, options, multiple };
    return this.#send(body);
  }

  /** Choose in a poll, by index; nothing takes the choice back. @throws UsageError when it is no poll. */
  async vote(message: MessageKey, ...options: readonly number[]): Promise<SentMessage> {
    const row = await this.#row(message);
    if (row.kind !== 'poll') throw new UsageError('USAGE_ARGUMENT', 'this message is no poll');
    const rising = [...new Set(options)].sort((a, b) => a - b);
    const afterMs = this.#lastOf(decodeState(row.state).votes);
    return this.#send({ kind: 'vote', target: refOf(row), options: rising }, { afterMs });
  }

  /** React with one emoji, in place of an earlier one; `undefined` takes it away. */
  async react(message: MessageKey, emoji: string | undefined): Promise<SentMessage> {
    const row = await this.#row(message);
    const afterMs = this.#lastOf(decodeState(row.state).reactions);
    const remove = emoji === undefined;
    const body = { kind: 'reaction', target: refOf(row), emoji: emoji ?? '', remove } as const;
    return this.#send(body, { afterMs });
  }

  /** Give a text of ours other words. @throws UsageError `USAGE_ARGUMENT` when it is not ours, or no text. */
  async edit(message: MessageKey, input: string | TextInput): Promise<SentMessage> {
    const row = await this.#own(message);
    if (row.kind !== 'text') throw new UsageError('USAGE_ARGUMENT', 'only texts can be edited');
    const body = bodyOf(row);
    const text = await this.#textBody(typeof input === 'string' ? { text: input } : input);
    // An edit says all anew; what the person did not touch stays.
    const { quote, attachments } = body?.kind === 'text' ? body : {};
    const whole: TextBody = {
      ...(quote && { quote }),
      ...(attachments && { attachments }),
      ...text,
    };
    const afterMs = decodeState(row.state).edit?.atMs;
    return this.#send({ kind: 'edit', target: refOf(row).id, text: whole }, { afterMs });
  }

  /**
   * Take a message of ours back on all devices of both sides, and documents that this device uploaded for it from the
   * relay. @throws UsageError when it is not ours.
   */
  async delete(message: MessageKey): Promise<SentMessage> {
    const row = await this.#own(message);
    const extra = await this.#deps.documents.withdrawn(row);
    return this.#send({ kind: 'delete', target: refOf(row).id }, { extra });
  }

  /** Remove messages here and on our other devices. The other side keeps them. */
  async remove(...messages: readonly MessageKey[]): Promise<void> {
    await this.#act(
      async (batch, around) => {
        const refs: MessageRef[] = [];
        for (const message of messages) {
          const { id, sender } = checkKey(message);
          const row = await batch.message(this.id, sender.account, id);
          if (row === undefined) continue;
          await noteGone(batch, [row], around.nowMs);
          batch.remove(row.seq);
          refs.push(refOf(row));
        }
        return refs;
      },
      (refs) => (refs.length === 0 ? undefined : { kind: 'removed', messages: refs }),
    );
  }

  /**
   * Everything received up to `message`, or all, was read: unread counts fall, timers begin, and accepted
   * contacts get a receipt within minutes.
   */
  async markRead(message?: MessageKey): Promise<void> {
    const [newest] = await this.#deps.platform.store.loadConversation({ peer: this.id, limit: 1 });
    const through = message === undefined ? newest : await this.#row(message);
    if (through === undefined) return;
    await this.#act(
      async (batch, around) => {
        const read = await readThrough(batch, this.id, through, around);
        await this.#owe(batch, 'read', read);
        return read.at(-1);
      },
      (last) => last && { kind: 'read', through: refOf(last) },
    );
    this.#deps.receiptsDue();
  }

  /**
   * Show a view-once message: what it says, once. It is gone from the store when this resolves.
   *
   * @throws UsageError `USAGE_ARGUMENT` when it is none, is ours, or was opened before.
   */
  async view(message: MessageKey): Promise<TextBody> {
    const body = await this.#act(
      async (batch) => {
        const { id, sender } = checkKey(message);
        const row = await batch.message(this.id, sender.account, id);
        const said = row && bodyOf(row);
        const closed = row !== undefined && isUnopened(row) && row.direction === 'received';
        if (!closed || said?.kind !== 'text') {
          throw new UsageError('USAGE_ARGUMENT', 'not a view-once message, or opened before');
        }
        consume(batch, row);
        await this.#owe(batch, 'viewed', [row]);
        return { said, ref: refOf(row) };
      },
      ({ ref }) => ({ kind: 'viewed', message: ref }),
    );
    this.#deps.receiptsDue();
    return body.said;
  }

  /** Tell that the person is writing, or stopped. Lost when nobody is there; at most one in 3 seconds goes. */
  async typing(started = true): Promise<void> {
    const { platform, engine } = this.#deps;
    const nowMs = platform.clock.now();
    const sinceMs = nowMs - this.#typedAtMs;
    if (started && sinceMs >= 0 && sinceMs < TYPING_INTERVAL_MS) return;
    const { settings } = await this.#state();
    if (settings.status !== 'accepted') return;
    this.#typedAtMs = started ? nowMs : Number.NEGATIVE_INFINITY;
    await sendTyping(platform, engine(), this.id, started);
  }

  /** Let new messages of both sides disappear so long after they are read; 0: no more. At most a year. */
  async setTimer(seconds: number): Promise<SentMessage> {
    const { timer } = await this.#state();
    const next = { seconds, version: timer.version + 1 };
    return this.#send({ kind: 'timer' }, { timer: next });
  }

  /**
   * A page of messages in their order: by the chain of each sender, then as they arrived. Without `before` and
   * `after` the newest; each of them is a message of another page.
   */
  messages(
    options: {
      readonly before?: Position;
      readonly after?: Position;
      readonly limit?: number;
    } = {},
  ): Promise<readonly Message[]> {
    if (options.before !== undefined && options.after !== undefined) {
      throw new UsageError('USAGE_ARGUMENT', 'before or after, not both');
    }
    return this.#deps.history.conversation(this.id, { ...options, limit: options.limit ?? 50 });
  }

  /** Messages with all words of `query`, newest first. Whole words; case and accents do not matter. */
  search(
    query: string,
    options: { readonly before?: number; readonly limit?: number } = {},
  ): Promise<readonly Message[]> {
    const limit = options.limit ?? 50;
    return this.#deps.history.search(query, { ...options, peer: this.id, limit });
  }

  /**
   * What is missing here now, each with the cause `missing`. The event `gap` tells when it changes; a program that
   * was killed at that moment finds it here.
   */
  gaps(): Promise<readonly Gap[]> {
    return openGaps(this.#deps.platform.store, this.id);
  }

  /** Keep what the person has begun to write. Stays on this device. */
  async setDraft(text: string): Promise<void> {
    await this.#deps.sending.act(
      (batch) =>
        batch.changeConversation(this.id, (state) => ({
          ...(state.lastActivityMs === 0 ? newConversation('accepted') : state),
          draft: text,
        })),
      () => undefined,
    );
  }

  /** Keep quiet until `untilMs`, milliseconds since 1970; 0: no more. For whoever shows notifications. */
  mute(untilMs: number): Promise<void> {
    return this.#decide((settings) => ({ ...settings, mutedUntilMs: untilMs }));
  }

  /** Put it away, or back. */
  archive(archived = true): Promise<void> {
    return this.#decide((settings) => ({ ...settings, archived }));
  }

  /** Delete messages here when they are older than this; 0: keep them. */
  setRetention(seconds: number): Promise<void> {
    return this.#decide((settings) => ({ ...settings, retentionSeconds: seconds }));
  }

  /**
   * Drop what this account writes from now on. It learns nothing of that, but its right to write without a name
   * ends: our delivery token is replaced, and all others get the new one.
   */
  async block(): Promise<void> {
    await this.#decide((settings) => ({ ...settings, status: 'blocked' }));
    this.#deps.engine().tokensChanged();
  }

  /** Take its messages again. */
  unblock(): Promise<void> {
    return this.#decide((settings) =>
      settings.status === 'blocked' ? { ...settings, status: 'accepted' } : settings,
    );
  }

  /** Accept a message request: from now on this account gets receipts and sees us typing. */
  accept(): Promise<void> {
    return this.#decide((settings) =>
      settings.status === 'request' ? { ...settings, status: 'accepted' } : settings,
    );
  }

  /** Decline a message request: what was written is deleted. Its next message is a request again. */
  async decline(): Promise<void> {
    const { settings } = await this.#state();
    if (settings.status === 'request') await this.clear();
  }

  /** Delete all messages, here and on our other devices. The other side keeps them. */
  async clear(): Promise<void> {
    await this.#act(
      (batch) => clearConversation(batch, this.id),
      () => ({ kind: 'cleared' }),
    );
  }

  async #state(): Promise<ConversationState> {
    const found = await new Batch(this.#deps.platform.store).conversation(this.id);
    return found ?? newConversation('accepted');
  }

  #send(
    body: Parameters<Sending['send']>[1],
    options?: Parameters<Sending['send']>[2],
  ): Promise<SentMessage> {
    this.#deps.engine();
    return this.#deps.sending.send(this.id, body, options);
  }

  /** When this account last changed its mind. */
  #lastOf(list: readonly (Stamp & { readonly author: string })[]): number | undefined {
    const { account } = this.#deps.engine().sealing.self;
    return list.find(({ author }) => author === account)?.atMs;
  }

  #act<Result>(
    local: (batch: Batch, around: Deciding) => Promise<Result>,
    tell: (result: Result) => SyncBody['action'] | undefined,
  ): Promise<Result> {
    return this.#deps.sending.act(local, (result) => {
      const action = tell(result);
      return action && { kind: 'sync', conversation: idBytes(this.id), action };
    });
  }

  async #decide(change: (settings: ConversationSettings) => ConversationSettings): Promise<void> {
    await this.#act(
      async (batch, around) => {
        const before = (await batch.conversation(this.id)) ?? newConversation('accepted');
        const settings = change(before.settings);
        // Later than what was decided before, also with a clock that was set back.
        around.atMs = Math.max(around.nowMs, before.settingsAt.atMs + 1);
        const settingsAt = { atMs: around.atMs, id: around.id };
        await batch.setConversation(this.id, { ...before, settings, settingsAt });
        if (settings.status !== 'accepted') await oweNothing(batch, this.id);
        if (settings.status === 'blocked' && before.settings.status !== 'blocked') {
          await replaceToken(batch, this.#deps.platform.crypto);
        }
        return settings;
      },
      (settings) => ({ kind: 'settings', settings }),
    );
  }

  /** Put receipts on the list of what is to be sent: to accepted contacts alone. */
  async #owe(batch: Batch, receipt: ReceiptKind, rows: readonly MessageRow[]): Promise<void> {
    const state = await batch.conversation(this.id);
    // In a group nobody is told. ATK-E12.
    if (state?.settings.status !== 'accepted' || isGroupId(this.id)) return;
    for (const author of new Set(rows.map((row) => row.author))) {
      const ids = rows.filter((row) => row.author === author).map(({ id }) => id);
      await owe(batch, author, receipt, ids);
    }
  }

  #row(message: MessageKey): Promise<MessageRow> {
    return rowOf(this.#deps.platform.store, this.id, message);
  }

  #textBody(input: TextInput): Promise<TextBody> {
    const { store, crypto } = this.#deps.platform;
    return textBody({ store, crypto, peer: this.id }, input);
  }

  async #own(message: MessageKey): Promise<MessageRow> {
    const row = await this.#row(message);
    if (row.direction !== 'sent') {
      throw new UsageError('USAGE_ARGUMENT', 'only messages of our own can be changed');
    }
    return row;
  }
}

/** Typing notices of one conversation are no closer than this. */
const TYPING_INTERVAL_MS = 3_000;
