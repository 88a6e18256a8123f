/**
 * 17 Attachments. Bounds of documents on their way.
 */
import { ATTACHMENT_PLAINTEXT_MAX } from '@qasid/protocol';

/** Bytes of the largest document: 2 GiB, less what encryption adds. */
export const DOCUMENT_BYTES_MAX: number = ATTACHMENT_PLAINTEXT_MAX;

/** Bytes of a blob's id and of its capability. */
export const BLOB_ID_BYTES = 32;
export const CAPABILITY_BYTES = 32;

/** Bytes sent in one request, at first and at most. Lower: more requests. Higher: more memory, coarser progress. */
export const PART_BYTES_MIN = 1_048_576;
export const PART_BYTES_MAX = 8_388_608;

/** A part that takes less makes the next one larger, one that takes more makes it smaller. */
export const PART_QUICK_MS = 2_000;
export const PART_SLOW_MS = 20_000;

/** Waits between tries of uploads and downloads. */
export const DOCUMENT_BACKOFF = { baseMs: 500, capMs: 15_000 } as const;

/** Time a request may take: so long, and the time its bytes need on the slowest line we serve. */
export const REQUEST_TIMEOUT_MS = 30_000;
export const SLOWEST_BYTES_PER_SECOND = 16_384;

/** Tries of a download without a single byte in between. Uploads go on for as long as the client is open. */
export const DOWNLOAD_TRIES = 8;

/** Bytes of the MAC lists of one message together: they share its envelope with what it says. */
export const MAC_LISTS_BYTES_MAX = 16_384;

/**
 * Bytes of the largest chunk that a reader holds back until it is proven. A descriptor with larger ones is
 * read in two passes. Lower: longer lists. Higher: a sender decides over more of the reader's memory.
 */
export const CHUNK_BYTES_MAX = 16_777_216;
export const CHUNK_BYTES_MIN = 65_536;

/** Bytes of a document that `bytes` gives in one piece. */
export const BYTES_AT_ONCE_MAX = 67_108_864;

/** Bytes of MAC list in a message of `files` documents: each gets an equal share. */
export function documentChunkBytes(blobBytes: number, files: number): number {
  const macs = Math.max(1, Math.floor(MAC_LISTS_BYTES_MAX / 2 / 32 / files) - 1);
  const wanted = Math.ceil(blobBytes / macs);
  return Math.min(Math.max(wanted, CHUNK_BYTES_MIN), CHUNK_BYTES_MAX);
}
