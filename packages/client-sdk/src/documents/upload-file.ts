/**
 * 17 Attachments §6. One document: encrypted as it is read, sent in parts, gone on with where the relay stands.
 *
 * Memory is one part and what the cipher holds, whatever the size. Encryption under one key and IV gives the same
 * blob each time, so an interrupted upload reads the file again and leaves out what the relay has; SHA-256 over
 * what was sent before shows a file that changed meanwhile before anything of it leaves.
 */
import {
  ATTACHMENT_KEY_BYTES,
  attachmentBlobBytes,
  concatBytes,
  copyBytes,
  encryptAttachment,
  LimitError,
  samePublicBytes,
  UsageError,
  type Bytes,
  type CryptoProvider,
  type StreamProvider,
} from '@qasid/protocol';
import { isRetryable } from '@qasid/protocol/envelope';

import type { Clock } from '../clock.js';
import { DocumentError, NetworkError } from '../errors.js';
import { backoffMs } from '../retry.js';
import type { BlobAnswer, Desk } from './desk.js';
import { orStop, pause, toBase64Url, type BlobExchange, type PartAnswer } from './exchange.js';
import {
  CAPABILITY_BYTES,
  DOCUMENT_BACKOFF,
  PART_BYTES_MAX,
  PART_BYTES_MIN,
  PART_QUICK_MS,
  PART_SLOW_MS,
} from './limits.js';
import type { DocumentSource } from './source.js';
import { UNKNOWN_BYTES, type FileRow } from './upload-row.js';

/** What an upload of one document needs. */
export interface UploadFileDeps {
  readonly desk: Desk;
  readonly exchange: BlobExchange;
  readonly streams: StreamProvider;
  readonly crypto: CryptoProvider;
  readonly clock: Clock;
  readonly dice: () => number;
}

/** Where it stands, and who is to know. */
export interface UploadFileJob {
  readonly source: DocumentSource;
  readonly days: number;
  readonly signal: AbortSignal;
  /** Make the next row durable. `dropped`: the blob of the row before is to be deleted. */
  save(row: FileRow, dropped?: boolean): Promise<void>;
  /** Bytes of the blob that the relay has. */
  onBytes(count: number): void;
}

/** A file before anything of it was sent: key, IV and capability are its own. */
export function freshFile(
  crypto: Pick<CryptoProvider, 'randomBytes'>,
  row: Pick<FileRow, 'attachment' | 'path'>,
): FileRow {
  return {
    attachment: {
      ...row.attachment,
      id: UNKNOWN_BYTES,
      digest: UNKNOWN_BYTES,
      key: crypto.randomBytes(ATTACHMENT_KEY_BYTES),
      incrementalMac: undefined,
    },
    iv: crypto.randomBytes(16),
    capability: crypto.randomBytes(CAPABILITY_BYTES),
    stage: 'new',
    through: 0,
    prefix: undefined,
    path: row.path,
  };
}

/**
 * Bring a document to the relay, for as long as that takes.
 *
 * @returns the row with stage `done`.
 * @throws LimitError `LIMIT_FILE_SIZE`, `LIMIT_QUOTA`; DocumentError `DOCUMENT_CHANGED`, `DOCUMENT_CANCELLED`,
 *   `DOCUMENT_UNSUPPORTED`; NetworkError `NET_REFUSED`, `NET_CLOSED`; StoreError; and what reading the file throws.
 */
export async function uploadFile(
  deps: UploadFileDeps,
  first: FileRow,
  job: UploadFileJob,
): Promise<FileRow> {
  const upload = new FileUpload(deps, first, job);
  return upload.run();
}

class FileUpload {
  readonly #deps: UploadFileDeps;
  readonly #job: UploadFileJob;
  readonly #blobBytes: number;
  #row: FileRow;
  #ticket: string | undefined;
  #partBytes = PART_BYTES_MIN;
  #attempt = 0;

  constructor(deps: UploadFileDeps, row: FileRow, job: UploadFileJob) {
    this.#deps = deps;
    this.#row = row;
    this.#job = job;
    this.#blobBytes = attachmentBlobBytes(row.attachment.size);
  }

  async run(): Promise<FileRow> {
    for (;;) {
      try {
        if (this.#row.stage === 'new') await this.#reserve();
        const at = await this.#offset();
        if (at !== undefined && (await this.#send(at))) return this.#row;
      } catch (error) {
        if (!(error instanceof NetworkError) || !error.retryable) throw error;
        await this.#wait(error.retryAfterMs ?? 0);
      }
    }
  }

  async #reserve(): Promise<void> {
    const { desk, crypto } = this.#deps;
    const verifier = crypto.sha256(this.#row.capability);
    const size = this.#blobBytes;
    const answer = await desk.ask({ kind: 'blobCreate', size, verifier, days: this.#job.days });
    const id = answer.id;
    if (id === undefined || answer.ticket === undefined) throw refusal(answer);
    this.#ticket = toBase64Url(answer.ticket);
    await this.#save({
      ...this.#row,
      attachment: { ...this.#row.attachment, id },
      stage: 'open',
    });
  }

  /** Where the relay stands; `undefined` when the upload has to begin anew. */
  async #offset(): Promise<number | undefined> {
    if (this.#row.through === 0) return 0;
    const { status, offset, retryAfterMs } = await this.#authorised((ticket) =>
      this.#deps.exchange.offset(this.#row.attachment.id, ticket, this.#job.signal),
    );
    if (status === 404 || (offset !== undefined && offset > this.#row.through)) {
      await this.#anew();
      return undefined;
    }
    if (offset === undefined) throw putOff(status, retryAfterMs);
    return offset;
  }

  /** The blob is gone, or not what we know of it. Never two files under one key: everything is made fresh. */
  async #anew(): Promise<void> {
    this.#ticket = undefined;
    await this.#save(freshFile(this.#deps.crypto, this.#row), true);
    this.#job.onBytes(0);
  }

  /** Send what the relay does not have. False: the upload has to begin anew. */
  async #send(from: number): Promise<boolean> {
    const { streams } = this.#deps;
    const { source, signal } = this.#job;
    const { attachment, iv, through, prefix } = this.#row;
    const { key, size, chunkBytes } = attachment;
    const made = encryptAttachment(streams, copyBytes(key), iv, size, chunkBytes);
    const reader = source.stream().pipeThrough(made.transform).getReader();
    const hash = streams.sha256();
    let waiting: Uint8Array[] = [];
    let held = 0;
    /** Bytes of the blob that went through the hash. */
    let at = 0;
    const flush = async (): Promise<boolean> => {
      const part = concatBytes(...waiting);
      waiting = [];
      held = 0;
      if (part.length === 0) return true;
      await this.#save({ ...this.#row, through: at, prefix: hash.snapshot() });
      return this.#sendPart(at - part.length, part);
    };
    try {
      for (;;) {
        const step = await orStop(signal, reader.read());
        if (step.done) break;
        for (const piece of cutAt(step.value, through - at)) {
          hash.update(piece);
          const wanted = piece.subarray(Math.max(0, from - at));
          at += piece.length;
          if (at === through && prefix && !samePublicBytes(hash.snapshot(), prefix))
            throw changed();
          if (wanted.length === 0) continue;
          waiting.push(wanted);
          held += wanted.length;
          if (at >= through && held >= this.#partBytes && !(await flush())) return false;
        }
      }
      if (!(await flush())) return false;
    } catch (error) {
      // Longer or shorter than it was.
      throw error instanceof UsageError && error.code === 'USAGE_LENGTH' ? changed() : error;
    } finally {
      reader.cancel().catch(() => undefined);
    }
    const { digest, incrementalMac } = await made.pointer;
    await this.#save({
      ...this.#row,
      attachment: { ...this.#row.attachment, digest, incrementalMac },
      stage: 'done',
    });
    this.#job.onBytes(this.#blobBytes);
    return true;
  }

  /** Send one part until the relay has it. False: the upload has to begin anew. */
  async #sendPart(start: number, part: Bytes): Promise<boolean> {
    const { exchange, clock } = this.#deps;
    const { signal } = this.#job;
    const { id } = this.#row.attachment;
    const end = start + part.length;
    let at = start;
    while (at < end) {
      const sinceMs = clock.now();
      let answer: PartAnswer;
      try {
        answer = await this.#authorised((ticket) =>
          exchange.put(id, ticket, at, part.subarray(at - start) as Bytes, signal),
        );
        if (answer.status >= 500 || answer.status === 429) {
          throw putOff(answer.status, answer.retryAfterMs);
        }
      } catch (error) {
        if (!(error instanceof NetworkError) || !error.retryable) throw error;
        this.#pace(Number.POSITIVE_INFINITY);
        await this.#wait(error.retryAfterMs ?? 0);
        // What became of it: some of it may be there.
        answer = await this.#authorised((ticket) => exchange.offset(id, ticket, signal));
      }
      if (answer.status === 404) {
        await this.#anew();
        return false;
      }
      if (answer.status === 413) throw tooLarge(this.#blobBytes);
      const { offset } = answer;
      if (offset === undefined) throw putOff(answer.status, answer.retryAfterMs);
      // Behind what was confirmed, or beyond what was sent: read again from where it stands.
      if (offset < start || offset > end) return false;
      if (offset > at) {
        this.#attempt = 0;
        this.#pace(clock.now() - sinceMs);
      }
      at = offset;
      this.#job.onBytes(at);
    }
    return true;
  }

  /** With a ticket, and once more with a new one when that has expired. */
  async #authorised(ask: (ticket: string) => Promise<PartAnswer>): Promise<PartAnswer> {
    for (let had = this.#ticket !== undefined; ; had = false) {
      const ticket = await this.#writeTicket();
      if (ticket === undefined) return GONE;
      const answer = await ask(ticket);
      if (answer.status !== 401 || !had) return answer;
      this.#ticket = undefined;
    }
  }

  /** `undefined` when the relay does not have the upload any more. */
  async #writeTicket(): Promise<string | undefined> {
    if (this.#ticket !== undefined) return this.#ticket;
    const { id } = this.#row.attachment;
    const { capability } = this.#row;
    const op = { kind: 'blob', action: 'write', id, capability, days: 0 } as const;
    const answer = await this.#deps.desk.ask(op);
    if (answer.code === 'NOT_FOUND' || answer.code === 'REFUSED') return undefined;
    if (answer.ticket === undefined) throw refusal(answer);
    this.#ticket = toBase64Url(answer.ticket);
    return this.#ticket;
  }

  #pace(ms: number): void {
    if (ms < PART_QUICK_MS) this.#partBytes = Math.min(2 * this.#partBytes, PART_BYTES_MAX);
    if (ms > PART_SLOW_MS) this.#partBytes = Math.max(this.#partBytes / 2, PART_BYTES_MIN);
  }

  async #wait(atLeastMs: number): Promise<void> {
    const { clock, dice } = this.#deps;
    const ms = backoffMs(DOCUMENT_BACKOFF, this.#attempt++, dice, atLeastMs);
    await pause(clock, ms, this.#job.signal);
  }

  async #save(row: FileRow, dropped = false): Promise<void> {
    await this.#job.save(row, dropped);
    this.#row = row;
  }
}

/** As the relay says it of an upload that is gone. */
const GONE: PartAnswer = { status: 404, offset: undefined, retryAfterMs: 0 };

/** In two where `at` is inside, so that a hash can be looked at there. */
function cutAt(bytes: Uint8Array, at: number): readonly Uint8Array[] {
  return at <= 0 || at >= bytes.length ? [bytes] : [bytes.subarray(0, at), bytes.subarray(at)];
}

function putOff(status: number, retryAfterMs: number): NetworkError {
  const later = status >= 500 || status === 429;
  return later
    ? new NetworkError('NET_BUSY', `relay answers ${status}`, { retryAfterMs })
    : new NetworkError('NET_REFUSED', `relay answers ${status}`);
}

/** Why there is no ticket. */
export function refusal({ code }: Pick<BlobAnswer, 'code'>): Error {
  switch (code) {
    case 'QUOTA_EXCEEDED':
      return new LimitError('LIMIT_QUOTA', 'no room is left for documents at the relay');
    case 'TOO_LARGE':
      return new LimitError('LIMIT_FILE_SIZE', 'the relay takes no document of this size');
    case 'UNSUPPORTED':
      return new DocumentError('DOCUMENT_UNSUPPORTED', 'this relay keeps no documents');
    case 'NOT_FOUND':
      return new DocumentError('DOCUMENT_GONE', 'the relay does not have it');
    default:
      return isRetryable(code)
        ? new NetworkError('NET_BUSY', `relay answers ${code}`)
        : new NetworkError('NET_REFUSED', `relay answers ${code}`);
  }
}

function tooLarge(bytes: number): LimitError {
  return new LimitError('LIMIT_FILE_SIZE', `the relay takes no document of ${bytes} bytes`);
}

/** The one answer to a file that is another one now. */
export function changed(): DocumentError {
  return new DocumentError('DOCUMENT_CHANGED', 'the file is not the one whose upload began');
}
