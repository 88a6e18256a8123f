/**
 * Where the bytes of a document come from.
 */
import { LimitError, UsageError, type Bytes } from '@qasid/protocol';

import { safeFileName } from './file-name.js';
import { DOCUMENT_BYTES_MAX } from './limits.js';

/**
 * A document to send. A `File` or a `Blob` is one; `fileFromPath` of `./node` makes one. What describes a picture
 * is the application's to say: the SDK decodes nothing.
 */
export interface DocumentSource {
  readonly name?: string | undefined;
  /** Media type, `image/png`. */
  readonly type?: string | undefined;
  readonly size: number;
  /** The bytes from the beginning, each time it is called. */
  stream(): ReadableStream<Uint8Array>;
  /** Where it lies, for a platform that can open it again after a restart. */
  readonly path?: string | undefined;
  /** Pixels. */
  readonly width?: number | undefined;
  readonly height?: number | undefined;
  readonly durationMs?: number | undefined;
  /** A small picture, encoded, at most 16 KiB. */
  readonly thumbnail?: Bytes | undefined;
  /** A blur to show until there is a picture. */
  readonly placeholder?: string | undefined;
  readonly caption?: string | undefined;
}

/** What can be sent as a document. */
export type FileInput = DocumentSource | Uint8Array;

/** Reading and writing files, for platforms that have them: `openNodeClient` does. */
export interface FileAccess {
  /** The file at `path`, to send. */
  open(path: string): Promise<DocumentSource>;
  /** Write a new file, 0600, that is there when all of `data` is. @throws when `path` exists. */
  save(path: string, data: ReadableStream<Uint8Array>): Promise<void>;
}

/**
 * Say more of a file than it says itself: `describeFile(file, { width, height, thumbnail })`.
 */
export function describeFile(
  file: FileInput,
  more: Partial<Omit<DocumentSource, 'size' | 'stream'>>,
): DocumentSource {
  const source = checkSource(file);
  const { name, type, size, path, width, height, durationMs, thumbnail, placeholder, caption } =
    source;
  const own = { name, type, path, width, height, durationMs, thumbnail, placeholder, caption };
  return { ...own, ...more, size, stream: () => source.stream() };
}

/**
 * @throws UsageError `USAGE_ARGUMENT` for what is no file; LimitError `LIMIT_FILE_SIZE` above 2 GiB
 */
export function checkSource(file: FileInput): DocumentSource {
  if (file instanceof Uint8Array) {
    const bytes = file.slice();
    return { size: bytes.length, stream: () => streamOf(bytes) };
  }
  // ATK-J08: callers without a compiler.
  const given: Partial<DocumentSource> | undefined = file;
  if (
    typeof given?.stream !== 'function' ||
    !Number.isSafeInteger(given.size) ||
    (given.size ?? -1) < 0
  ) {
    throw new UsageError(
      'USAGE_ARGUMENT',
      'a file: a Blob, bytes, or something with size and stream',
    );
  }
  if (file.size > DOCUMENT_BYTES_MAX) {
    throw new LimitError(
      'LIMIT_FILE_SIZE',
      `document of ${file.size} bytes, limit ${DOCUMENT_BYTES_MAX}`,
    );
  }
  return file;
}

/** The name that is sent: no path of the sender's machine, nothing the reader would have to take out. */
export function nameToSend(source: DocumentSource): string | undefined {
  const { name } = source;
  return typeof name === 'string' && name !== '' ? safeFileName(name) : undefined;
}

/** The type that is sent. */
export function typeToSend(source: DocumentSource): string {
  const type = source.type ?? '';
  return /^[\w.+-]{1,63}\/[\w.+-]{1,63}$/.test(type)
    ? type.toLowerCase()
    : 'application/octet-stream';
}

function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at + SLICE_BYTES));
      at += SLICE_BYTES;
    },
  });
}

const SLICE_BYTES = 1_048_576;
