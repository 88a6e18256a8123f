/**
 * A document of a message, as programs see it.
 */
import { concatBytes, LimitError, UsageError, type Bytes } from '@qasid/protocol';

import type { Attachment } from '../content/types.js';
import { plaintextOf, type DownloadDeps } from './download.js';
import { safeFileName, safeMediaType } from './file-name.js';
import { BYTES_AT_ONCE_MAX } from './limits.js';
import type { FileAccess } from './source.js';

/** How far a document is on its way. */
export interface DocumentProgress {
  readonly bytes: number;
  readonly total: number;
  /** 0 to 1. */
  readonly ratio: number;
}

/** What calls that take time also take. */
export interface DocumentOptions {
  /** Hears how far it is: after each part, and at the end. */
  readonly onProgress?: (progress: DocumentProgress) => void;
  /** Aborted: the call ends with DocumentError `DOCUMENT_CANCELLED`. */
  readonly signal?: AbortSignal;
}

/** What documents are read with. */
export interface DocumentDeps extends DownloadDeps {
  readonly files: FileAccess | undefined;
}

/**
 * A document of a message. Nothing is fetched before somebody asks for it. What the sender says of it, from the name
 * to the thumbnail, is the sender's word; the bytes are proven.
 */
export class MessageDocument {
  /** Safe to use as the name of a file in a folder of your choice. */
  readonly name: string;
  /** The sender's word. Do not let it decide what is run; `download` gives a type that runs nothing. */
  readonly mediaType: string;
  readonly size: number;
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly durationMs: number | undefined;
  /** A small picture, encoded, at most 16 KiB. Decode it as you would any picture of a stranger. */
  readonly thumbnail: Bytes | undefined;
  readonly placeholder: string | undefined;
  readonly caption: string | undefined;
  readonly #attachment: Attachment;
  readonly #deps: DocumentDeps;

  /** Made by `Message.attachments` and `QasidClient.documents.open`. */
  constructor(deps: DocumentDeps, attachment: Attachment) {
    const { mediaType, size, width, height, durationMs, thumbnail, placeholder, caption } =
      attachment;
    this.name = safeFileName(attachment.name);
    this.mediaType = mediaType;
    this.size = size;
    this.width = width;
    this.height = height;
    this.durationMs = durationMs;
    this.thumbnail = thumbnail;
    this.placeholder = placeholder;
    this.caption = caption;
    this.#attachment = attachment;
    this.#deps = deps;
  }

  /**
   * The bytes as they are proven, in constant memory. A stream that fails gave a true beginning of the document, and
   * no more: only one that ends is complete.
   *
   * Its errors: VerificationError `VERIFY_ATTACHMENT`, `VERIFY_INCREMENTAL_MAC`; DocumentError `DOCUMENT_GONE`,
   * `DOCUMENT_CANCELLED`; NetworkError.
   */
  stream(options: DocumentOptions = {}): ReadableStream<Uint8Array> {
    const control = new AbortController();
    const { signal, onProgress } = options;
    if (signal?.aborted === true) control.abort(signal.reason);
    signal?.addEventListener('abort', () => control.abort(signal.reason), { once: true });
    const plaintext = plaintextOf(this.#deps, this.#attachment, control.signal);
    if (onProgress === undefined) return plaintext;
    let bytes = 0;
    const { size: total } = this;
    return plaintext.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          bytes += chunk.length;
          controller.enqueue(chunk);
          onProgress({ bytes, total, ratio: total === 0 ? 1 : bytes / total });
        },
      }),
    );
  }

  /** All of it as a `Blob`, with a media type that no browser runs. @throws as `stream` */
  async download(options: DocumentOptions = {}): Promise<Blob> {
    const type = safeMediaType(this.mediaType);
    let parts: Blob[] = [];
    let waiting: Uint8Array<ArrayBuffer>[] = [];
    let held = 0;
    for await (const chunk of chunksOf(this.stream(options))) {
      waiting.push(new Uint8Array(chunk));
      held += chunk.length;
      if (held < BLOB_PART_BYTES) continue;
      // Browsers keep large blobs on disk; arrays they keep in memory.
      parts = [...parts, new Blob(waiting)];
      waiting = [];
      held = 0;
    }
    return new Blob([...parts, ...waiting], { type });
  }

  /**
   * All of it in one piece.
   *
   * @param options.maxBytes - Default 64 MiB.
   * @throws LimitError `LIMIT_FILE_SIZE` before anything is fetched; as `stream`.
   */
  async bytes(options: DocumentOptions & { readonly maxBytes?: number } = {}): Promise<Bytes> {
    const { maxBytes = BYTES_AT_ONCE_MAX } = options;
    if (this.size > maxBytes) {
      throw new LimitError('LIMIT_FILE_SIZE', `document of ${this.size} bytes, limit ${maxBytes}`);
    }
    const chunks: Uint8Array[] = [];
    for await (const chunk of chunksOf(this.stream(options))) chunks.push(chunk);
    return concatBytes(...chunks);
  }

  /**
   * Write it to a new file, mode 0600, which is there only when it is complete. Where there are files: in Node.
   *
   * @throws the system's error `EEXIST` when there is something at `path`; UsageError `USAGE_ARGUMENT` where there
   *   are no files; as `stream`.
   */
  async saveTo(path: string, options: DocumentOptions = {}): Promise<void> {
    const { files } = this.#deps;
    if (files === undefined) throw new UsageError('USAGE_ARGUMENT', 'no files here: use download');
    await files.save(path, this.stream(options));
  }
}

/** Pieces that a `Blob` is made of. */
const BLOB_PART_BYTES = 4_194_304;

/** Streams are not iterable in every browser. */
async function* chunksOf(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = stream.getReader();
  let ended = false;
  try {
    for (;;) {
      const step = await reader.read();
      if (step.done) break;
      yield step.value;
    }
    ended = true;
  } finally {
    if (!ended) await reader.cancel().catch(() => undefined);
  }
}
