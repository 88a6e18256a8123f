/**
 * 01 Primitives for streams. Hashing, MACs and AES-CBC over data that does not fit in memory.
 *
 * Apart from `CryptoProvider` so that an app without attachments does not carry it. noble-streams.ts and
 * node-streams.ts implement it; `#streams` chooses by import condition.
 */
import type { Bytes } from '../bytes.js';

/** A hash or MAC in progress. */
export interface DigestStream {
  /** Take `bytes` in, any number of them. */
  update(bytes: Uint8Array): void;
  /** The digest of everything so far, 32 bytes; the stream goes on. */
  snapshot(): Bytes;
}

/** AES-256-CBC without padding in progress: whole blocks in, whole blocks out. */
export interface CbcStream {
  /** `blocks` is a multiple of 16 bytes; the result is as long. */
  update(blocks: Uint8Array): Bytes;
}

/** The streaming primitives. */
export interface StreamProvider {
  /** SHA-256 of a stream. */
  sha256(): DigestStream;
  /** HMAC-SHA-256 of a stream, not truncated. `key` may have any length. */
  hmacSha256(key: Uint8Array): DigestStream;
  /** AES-256-CBC. `key` is 32 bytes, `iv` 16. */
  cbcEncrypt(key: Uint8Array, iv: Uint8Array): CbcStream;
  /** The inverse. `key` is 32 bytes, `iv` 16. */
  cbcDecrypt(key: Uint8Array, iv: Uint8Array): CbcStream;
}
