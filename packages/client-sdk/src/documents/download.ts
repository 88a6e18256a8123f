/**
 * 17 Attachments §4, §7. A document on its way down: proven before it is handed out, gone on with where a
 * connection broke, complete only when MAC, digest and size are right (ATK-H01, ATK-H02).
 */
import {
  decryptAttachment,
  openAttachment,
  VerificationError,
  type AttachmentPointer,
  type StreamProvider,
} from '@qasid/protocol';

import type { Clock } from '../clock.js';
import type { Attachment } from '../content/types.js';
import { DocumentError, NetworkError } from '../errors.js';
import { backoffMs } from '../retry.js';
import type { Desk } from './desk.js';
import {
  orStop,
  pause,
  readInTime,
  stopIf,
  toBase64Url,
  type Arriving,
  type BlobExchange,
} from './exchange.js';
import { CHUNK_BYTES_MAX, DOCUMENT_BACKOFF, DOCUMENT_BYTES_MAX, DOWNLOAD_TRIES } from './limits.js';
import { refusal } from './upload-file.js';

/** What a download needs. */
export interface DownloadDeps {
  readonly desk: Pick<Desk, 'ask'>;
  readonly exchange: BlobExchange;
  readonly streams: StreamProvider;
  readonly clock: Clock;
  readonly dice: () => number;
}

/**
 * The plaintext of a document. Bytes come out once they are proven; the stream ends only when all of the document
 * was right, and fails otherwise: what came until then is a proven beginning.
 *
 * @throws the stream's errors: VerificationError `VERIFY_ATTACHMENT`, `VERIFY_INCREMENTAL_MAC`; DocumentError
 *   `DOCUMENT_GONE`, `DOCUMENT_CANCELLED`; NetworkError.
 */
export function plaintextOf(
  deps: DownloadDeps,
  attachment: Attachment,
  signal: AbortSignal,
): ReadableStream<Uint8Array> {
  const { key, digest, size, incrementalMac, chunkBytes } = attachment;
  const source = (): ReadableStream<Uint8Array> => blobOf(deps, attachment, signal);
  // ATK-H03: a sender does not decide how much of a document waits in our memory.
  const streamed =
    incrementalMac !== undefined &&
    chunkBytes !== undefined &&
    chunkBytes > 0 &&
    chunkBytes <= CHUNK_BYTES_MAX;
  if (streamed) {
    const pointer: AttachmentPointer = { key, digest, size, incrementalMac, chunkBytes };
    return source().pipeThrough(decryptAttachment(deps.streams, pointer));
  }
  return later(() => openAttachment(deps.streams, { key, digest, size }, source));
}

/** A stream that is made when somebody reads it. */
function later(make: () => Promise<ReadableStream<Uint8Array>>): ReadableStream<Uint8Array> {
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        reader ??= (await make()).getReader();
        const step = await reader.read();
        if (step.done) controller.close();
        else controller.enqueue(step.value);
      },
      cancel: (reason) => reader?.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

/** The encrypted blob, over any number of broken connections. */
function blobOf(
  deps: DownloadDeps,
  attachment: Attachment,
  signal: AbortSignal,
): ReadableStream<Uint8Array> {
  const source = new BlobSource(deps, attachment, signal);
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const bytes = await source.next();
        if (bytes === undefined) controller.close();
        else controller.enqueue(bytes);
      },
      cancel: () => source.close(),
    },
    { highWaterMark: 0 },
  );
}

class BlobSource {
  readonly #deps: DownloadDeps;
  readonly #attachment: Attachment;
  readonly #signal: AbortSignal;
  #ticket: string | undefined;
  #arriving: Arriving | undefined;
  #at = 0;
  /** Length of the blob by the relay's word: the digest decides whether it is. */
  #end: number | undefined;
  /** Bytes to leave out: the relay sent all of it where a part was asked for. */
  #skip = 0;
  #attempt = 0;

  constructor(deps: DownloadDeps, attachment: Attachment, signal: AbortSignal) {
    this.#deps = deps;
    this.#attachment = attachment;
    this.#signal = signal;
  }

  /** The next bytes; `undefined` at the end. */
  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      stopIf(this.#signal);
      try {
        const bytes = await this.#read();
        if (bytes !== undefined && bytes.length === 0) continue;
        if (bytes !== undefined) this.#attempt = 0;
        return bytes;
      } catch (error) {
        this.close();
        stopIf(this.#signal);
        if (!isLost(error)) throw error;
        if (++this.#attempt >= DOWNLOAD_TRIES) {
          throw error instanceof NetworkError
            ? error
            : new NetworkError('NET_LOST', 'the connection broke again and again', {
                cause: error,
              });
        }
        const { clock, dice } = this.#deps;
        const atLeastMs = error instanceof NetworkError ? (error.retryAfterMs ?? 0) : 0;
        const ms = backoffMs(DOCUMENT_BACKOFF, this.#attempt - 1, dice, atLeastMs);
        await pause(clock, ms, this.#signal);
      }
    }
  }

  close(): void {
    this.#arriving?.cancel();
    this.#arriving = undefined;
  }

  async #read(): Promise<Uint8Array | undefined> {
    if (this.#arriving === undefined && this.#at === this.#end) return undefined;
    this.#arriving ??= await this.#open();
    const { body } = this.#arriving;
    if (body === undefined) throw new NetworkError('NET_LOST', 'nothing came');
    const read = readInTime(this.#deps.clock, body.read());
    const step = await orStop(this.#signal, read);
    if (step.done) {
      this.close();
      if (this.#end !== undefined && this.#at < this.#end) {
        throw new NetworkError('NET_LOST', 'the connection broke');
      }
      return undefined;
    }
    const bytes = step.value.subarray(Math.min(this.#skip, step.value.length));
    this.#skip -= step.value.length - bytes.length;
    this.#at += bytes.length;
    // No blob is longer; its MACs would fail, but not all blobs have them.
    if (this.#at > 2 * DOCUMENT_BYTES_MAX) {
      throw new VerificationError('VERIFY_ATTACHMENT', 'attachment refused');
    }
    return bytes;
  }

  async #open(): Promise<Arriving> {
    const { id } = this.#attachment;
    const { exchange } = this.#deps;
    let arriving = await exchange.get(id, this.#ticket, this.#at, this.#signal);
    if (arriving.status === 401) {
      this.#ticket = await this.#readTicket();
      arriving = await exchange.get(id, this.#ticket, this.#at, this.#signal);
    }
    const { status, retryAfterMs, length } = arriving;
    if (status === 404) throw gone();
    if (status === 429 || status >= 500) {
      throw new NetworkError('NET_BUSY', `relay answers ${status}`, { retryAfterMs });
    }
    if (status !== 200 && status !== 206) {
      throw new NetworkError('NET_REFUSED', `relay answers ${status}`);
    }
    this.#skip = status === 200 ? this.#at : 0;
    if (length !== undefined && Number.isSafeInteger(length)) {
      this.#end ??= status === 200 ? length : this.#at + length;
    }
    return arriving;
  }

  async #readTicket(): Promise<string> {
    const { id } = this.#attachment;
    const answer = await this.#deps.desk.ask({ kind: 'blob', action: 'read', id, days: 0 });
    if (answer.ticket === undefined) throw refusal(answer);
    return toBase64Url(answer.ticket);
  }
}

/** Errors of a body that broke are the platform's own, of no class of ours. */
function isLost(error: unknown): boolean {
  if (error instanceof NetworkError) return error.retryable;
  return !(error instanceof DocumentError || error instanceof VerificationError);
}

function gone(): DocumentError {
  return new DocumentError('DOCUMENT_GONE', 'the relay does not have this document');
}
