/**
 * 17 Attachments §6. Messages with documents: uploaded first, durable all the way, sent when all of it is there.
 *
 * The row of an upload holds the id of the message and goes in the commit that puts the message into the outbox:
 * whatever is interrupted, the message goes out once or not at all.
 */
import {
  attachmentBlobBytes,
  toHex,
  UsageError,
  type CryptoProvider,
  type StreamProvider,
} from '@qasid/protocol';

import type { SentMessage } from '../api.js';
import type { Clock } from '../clock.js';
import { ATTACHMENTS_MAX, CONTENT_ID_BYTES } from '../content/limits.js';
import type { Attachment, TextBody } from '../content/types.js';
import { AccountError, DocumentError, NetworkError } from '../errors.js';
import type { Sending } from '../sending.js';
import type { ClientExtra, ClientStore, MessageRow, RecordChange } from '../stores/port.js';
import { Batch, SPACE } from '../timeline/batch.js';
import { bodyOf } from '../timeline/changes.js';
import { idBytes, idText } from '../timeline/ids.js';
import { blobRecord, decodeBlob } from './blob-row.js';
import { dropOf, type Desk } from './desk.js';
import { MessageDocument, type DocumentDeps, type DocumentOptions } from './document.js';
import type { BlobExchange } from './exchange.js';
import { documentChunkBytes } from './limits.js';
import {
  checkSource,
  nameToSend,
  typeToSend,
  type DocumentSource,
  type FileAccess,
  type FileInput,
} from './source.js';
import { refusal, uploadFile, freshFile, changed } from './upload-file.js';
import {
  decodeUpload,
  encodeUpload,
  UNKNOWN_BYTES,
  type FileRow,
  type UploadRow,
} from './upload-row.js';
import { Upload } from './upload.js';

/** What sending documents also takes. */
export interface UploadOptions extends DocumentOptions {
  /** Days that the relay keeps them; default: its own rule, usually 30. */
  readonly days?: number;
}

/** An upload that has not become a message yet. */
export interface PendingUpload {
  /** Id that the message will have, 32 hex digits. */
  readonly id: string;
  /** The conversation: an account's UUID, or a group's id as hex. */
  readonly to: string;
  readonly files: readonly {
    readonly name: string | undefined;
    readonly size: number;
    readonly path: string | undefined;
    /** All of it is at the relay: it need not be given again. */
    readonly done: boolean;
  }[];
  /** This process is at it. */
  readonly running: boolean;
}

/** What documents need of their client. */
export interface DocumentsOptions {
  readonly store: ClientStore;
  readonly crypto: CryptoProvider;
  readonly streams: StreamProvider;
  readonly clock: Clock;
  readonly dice: () => number;
  readonly desk: Desk;
  readonly exchange: BlobExchange;
  readonly files: FileAccess | undefined;
  readonly sending: Sending;
}

/** Documents of one client: `QasidClient.documents`. Sending them is `Conversation.send`. */
export class Documents {
  readonly #options: DocumentsOptions;
  readonly #running = new Map<string, Upload>();

  /** Made by the client. */
  constructor(options: DocumentsOptions) {
    this.#options = options;
  }

  /** Uploads that have not become messages yet, also of earlier runs of the program. */
  async pending(): Promise<readonly PendingUpload[]> {
    const rows = await this.#options.store.loadRecords(SPACE.upload);
    return rows.map(({ key, value }) => {
      const { to, files } = decodeUpload(value);
      return {
        id: key,
        to: idText(to),
        files: files.map(({ attachment, path, stage }) => {
          return { name: attachment.name, size: attachment.size, path, done: stage === 'done' };
        }),
        running: this.#running.has(key),
      };
    });
  }

  /**
   * Go on with an upload of an earlier run. What is at the relay is not sent again, but the file is read again.
   *
   * @param options.files - All files of the message, in their order; where there are files, those that lie where
   *   they lay need not be given. Those that are done may be left `undefined`.
   * @throws DocumentError `DOCUMENT_CANCELLED` when there is no such upload, `DOCUMENT_NOT_GIVEN`,
   *   `DOCUMENT_CHANGED` for one of another size; the system's error for a file that cannot be opened.
   */
  async resume(
    id: string,
    options: UploadOptions & { readonly files?: readonly (FileInput | undefined)[] } = {},
  ): Promise<Upload> {
    const running = this.#running.get(id);
    if (running !== undefined) return running;
    const row = await this.#load(id);
    if (row === undefined) throw cancelled();
    const sources: (DocumentSource | undefined)[] = [];
    for (const [index, file] of row.files.entries()) {
      sources.push(await this.#again(file, options.files?.[index]));
    }
    // Another call may have begun while files were opened.
    return this.#running.get(id) ?? this.#run(row, sources, options);
  }

  /** Give an upload up: what is at the relay is deleted, at the latest when it can be reached again. */
  async cancel(id: string): Promise<void> {
    await this.#drop(id);
    this.#running.get(id)?.stop(cancelled());
  }

  /** A document of a body: what `Conversation.view` gave, or an application kept. */
  open(attachment: Attachment): MessageDocument {
    const { desk, exchange, streams, clock, dice, files } = this.#options;
    const deps: DocumentDeps = { desk, exchange, streams, clock, dice, files };
    return new MessageDocument(deps, attachment);
  }

  /**
   * Let the relay keep a document of ours so many days from now, if that is later than it would.
   *
   * @throws UsageError `USAGE_ARGUMENT` for one that this device did not upload; DocumentError `DOCUMENT_GONE`;
   *   NetworkError.
   */
  async keep(attachment: Pick<Attachment, 'id'>, days: number): Promise<void> {
    const record = await this.#options.store.loadRecord(SPACE.blob, toHex(attachment.id));
    if (record === undefined || !isDays(days)) {
      throw new UsageError(
        'USAGE_ARGUMENT',
        'a document that this device uploaded, and whole days',
      );
    }
    const { capability } = decodeBlob(record.value);
    const { id } = attachment;
    const answer = await this.#options.desk.ask({
      kind: 'blob',
      action: 'keep',
      id,
      capability,
      days,
    });
    if (answer.code !== 'CONFIRMED') throw refusal(answer);
  }

  /** Begin to send a message with documents. For `Conversation`. */
  async begin(
    to: string,
    body: TextBody,
    files: readonly FileInput[],
    options: UploadOptions,
  ): Promise<Upload> {
    const { crypto, store, sending } = this.#options;
    const { days = 0 } = options;
    if (files.length < 1 || files.length > ATTACHMENTS_MAX || !isDays(days)) {
      throw new UsageError('USAGE_ARGUMENT', `1 to ${ATTACHMENTS_MAX} files, and whole days`);
    }
    const state = await new Batch(store).conversation(to);
    if (state?.settings.status === 'blocked') {
      throw new AccountError('ACCOUNT_BLOCKED', 'this account is blocked: unblock it to write');
    }
    const sources = files.map(checkSource);
    const rows = sources.map((source) => this.#fileRow(source, files.length));
    // What no envelope holds is refused before anything is uploaded.
    sending.checkBody({ ...body, attachments: rows.map(withWholeList) });
    const id = crypto.randomBytes(CONTENT_ID_BYTES);
    const row: UploadRow = { id, to: idBytes(to), body, days, files: rows };
    const record = { space: SPACE.upload, key: toHex(id), value: encodeUpload(row) };
    await store.commit({ extra: { records: [{ ...record, expectedVersion: 0 }] } });
    return this.#run(row, sources, options);
  }

  /** What deleting a message of ours does to its blobs, for its commit. For `Conversation`. */
  async withdrawn(message: MessageRow): Promise<ClientExtra> {
    const body = bodyOf(message);
    const attachments = body?.kind === 'text' ? (body.attachments ?? []) : [];
    const records: RecordChange[] = [];
    for (const { id } of attachments) {
      const key = toHex(id);
      const record = await this.#options.store.loadRecord(SPACE.blob, key);
      if (record === undefined) continue;
      const blob = decodeBlob(record.value);
      // Sent on in another message, it stays that one's.
      if (blob.message !== message.id) continue;
      const { version: expectedVersion } = record;
      records.push({ space: SPACE.blob, key, value: undefined, expectedVersion });
      records.push(dropOf(id, blob.capability));
    }
    return records.length === 0 ? {} : { records };
  }

  /** The connection is open: serve other processes, and finish deletions. For the client. */
  poke(): void {
    this.#options.desk.start();
    this.#options.desk.poke();
  }

  /** Stop what runs here; the rows stay, and `resume` goes on. For the client. */
  halt(): void {
    const closed = new NetworkError('NET_CLOSED', 'this client was closed');
    for (const upload of this.#running.values()) upload.stop(closed);
    this.#options.desk.halt();
  }

  /** Resolves when nothing runs here any more, once the connection and the history are closed. For the client. */
  async stopped(): Promise<void> {
    await Promise.all([...this.#running.values()].map((upload) => upload.settled));
    await this.#options.desk.stopped();
  }

  #run(
    row: UploadRow,
    sources: readonly (DocumentSource | undefined)[],
    options: UploadOptions,
  ): Upload {
    const id = toHex(row.id);
    const upload = new Upload(id, () => this.cancel(id));
    const { signal } = options;
    const abort = (): void => void this.cancel(id).catch(() => undefined);
    if (signal?.aborted === true) abort();
    signal?.addEventListener('abort', abort, { once: true });
    this.#running.set(id, upload);
    upload.follow(this.#work(upload, row, sources, options), () => {
      this.#running.delete(id);
      signal?.removeEventListener('abort', abort);
    });
    return upload;
  }

  async #work(
    upload: Upload,
    first: UploadRow,
    sources: readonly (DocumentSource | undefined)[],
    options: UploadOptions,
  ): Promise<SentMessage> {
    let row = first;
    const sizes = row.files.map(({ attachment }) => attachmentBlobBytes(attachment.size));
    const total = sum(sizes);
    for (let index = 0; index < row.files.length; index++) {
      const before = sum(sizes.slice(0, index));
      const onBytes = (count: number): void => {
        const bytes = before + count;
        options.onProgress?.({ bytes, total, ratio: bytes / total });
      };
      const file = row.files[index];
      const source = sources[index];
      if (file === undefined || file.stage === 'done') {
        onBytes(sizes[index] ?? 0);
        continue;
      }
      if (source === undefined) throw notGiven(file);
      await uploadFile(this.#options, file, {
        source,
        days: row.days,
        signal: upload.signal,
        onBytes,
        save: async (next, dropped) => {
          const files = row.files.map((other, at) => (at === index ? next : other));
          row = { ...row, files };
          await this.#save(row, dropped === true ? file : undefined);
        },
      });
    }
    return this.#send(row);
  }

  /** @throws DocumentError `DOCUMENT_CANCELLED` when the row is gone: it was given up, here or elsewhere */
  async #save(row: UploadRow, dropped: FileRow | undefined): Promise<void> {
    const { store } = this.#options;
    const batch = new Batch(store);
    const key = toHex(row.id);
    if ((await batch.record(SPACE.upload, key)) === undefined) throw cancelled();
    await batch.setRecord(SPACE.upload, key, encodeUpload(row));
    const extra = batch.toExtra();
    const drops = dropped === undefined ? [] : dropsOf([dropped]);
    await store.commit({ extra: { records: [...(extra.records ?? []), ...drops] } });
  }

  /** The message, and in the same commit the end of its upload. */
  async #send(row: UploadRow): Promise<SentMessage> {
    const { store, sending, clock } = this.#options;
    const key = toHex(row.id);
    const record = await store.loadRecord(SPACE.upload, key);
    if (record === undefined) throw cancelled();
    const { version: expectedVersion } = record;
    const gone = { space: SPACE.upload, key, value: undefined, expectedVersion };
    const blobs = row.files.map((file) => blobRecord(file, row.id, clock.now()));
    const attachments = row.files.map(({ attachment }) => attachment);
    const options = { id: row.id, extra: { records: [gone, ...blobs] } };
    return sending.send(idText(row.to), { ...row.body, attachments }, options);
  }

  async #load(id: string): Promise<UploadRow | undefined> {
    const record = await this.#options.store.loadRecord(SPACE.upload, id);
    return record && decodeUpload(record.value);
  }

  async #drop(id: string): Promise<void> {
    const { store } = this.#options;
    for (;;) {
      const record = await store.loadRecord(SPACE.upload, id);
      if (record === undefined) return;
      const { version: expectedVersion, value } = record;
      const gone = { space: SPACE.upload, key: id, value: undefined, expectedVersion };
      const records = [gone, ...dropsOf(decodeUpload(value).files)];
      try {
        await store.commit({ extra: { records } });
        return;
      } catch (error) {
        // It went on meanwhile.
        if (!isConflict(error)) throw error;
      }
    }
  }

  async #again(file: FileRow, given: FileInput | undefined): Promise<DocumentSource | undefined> {
    if (file.stage === 'done') return undefined;
    const { files } = this.#options;
    const { path } = file;
    const source =
      given !== undefined
        ? checkSource(given)
        : path !== undefined && files !== undefined
          ? await files.open(path)
          : undefined;
    if (source === undefined) throw notGiven(file);
    if (source.size !== file.attachment.size) throw changed();
    return source;
  }

  #fileRow(source: DocumentSource, files: number): FileRow {
    const { size, width, height, durationMs, thumbnail, placeholder, caption, path } = source;
    const attachment: Attachment = {
      id: UNKNOWN_BYTES,
      key: UNKNOWN_BYTES,
      digest: UNKNOWN_BYTES,
      size,
      mediaType: typeToSend(source),
      name: nameToSend(source),
      width,
      height,
      durationMs,
      thumbnail,
      placeholder,
      caption,
      chunkBytes: documentChunkBytes(attachmentBlobBytes(size), files),
    };
    return freshFile(this.#options.crypto, { attachment, path });
  }
}

/** As long as it will be. */
function withWholeList({ attachment }: FileRow): Attachment {
  const { size, chunkBytes = 1 } = attachment;
  const macs = Math.floor(attachmentBlobBytes(size) / chunkBytes) + 1;
  return { ...attachment, incrementalMac: new Uint8Array(32 * macs) };
}

function dropsOf(files: readonly FileRow[]): readonly RecordChange[] {
  return files
    .filter(({ stage }) => stage !== 'new')
    .map(({ attachment, capability }) => dropOf(attachment.id, capability));
}

function isDays(days: number): boolean {
  return Number.isInteger(days) && days >= 0 && days <= 36_500;
}

function isConflict(error: unknown): boolean {
  return (error as { code?: unknown } | undefined)?.code === 'STORE_CONFLICT';
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, next) => total + next, 0);
}

function cancelled(): DocumentError {
  return new DocumentError('DOCUMENT_CANCELLED', 'this upload was cancelled');
}

function notGiven({ attachment }: FileRow): DocumentError {
  const what = attachment.name ?? `a document of ${attachment.size} bytes`;
  return new DocumentError('DOCUMENT_NOT_GIVEN', `to go on, ${what} is needed again`);
}
