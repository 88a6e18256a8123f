/**
 * 17 Attachments. A list of MACs over growing prefixes, so that a stream can be believed while it arrives.
 *
 * Spec: spec/17-attachments.md §2. Vectors: misc/incremental-mac.json.
 */
import { concatBytes, type Bytes } from './bytes.js';
import { equalBytes } from './crypto/constant-time.js';
import type { DigestStream, StreamProvider } from './crypto/streams.js';
import { VerificationError } from './errors.js';

/** Bytes of one MAC in the list. */
const MAC_BYTES = 32;

const CHUNK_MIN = 65_536;
const CHUNK_MAX = 2_097_152;
/** MACs a list of middling size has: about 8 KiB of list. */
const CHUNKS_WANTED = 256;

/**
 * The chunk size peers use for `dataBytes` bytes: between 64 KiB and 2 MiB, about 256 chunks between.
 *
 * Source: 17 §2.
 */
export function incrementalMacChunkBytes(dataBytes: number): number {
  if (dataBytes < CHUNKS_WANTED * CHUNK_MIN) return CHUNK_MIN;
  if (dataBytes < CHUNKS_WANTED * CHUNK_MAX) return Math.ceil(dataBytes / CHUNKS_WANTED);
  return CHUNK_MAX;
}

/** Feeds bytes to `mac` and calls `each` at every chunk border. */
class Chunker {
  #filled = 0;
  readonly #mac: DigestStream;
  readonly #chunkBytes: number;

  constructor(mac: DigestStream, chunkBytes: number) {
    this.#mac = mac;
    this.#chunkBytes = chunkBytes;
  }

  update(bytes: Uint8Array, each: (mac: Bytes) => void): void {
    let rest = bytes;
    while (rest.length > 0) {
      const part = rest.subarray(0, this.#chunkBytes - this.#filled);
      this.#mac.update(part);
      this.#filled += part.length;
      rest = rest.subarray(part.length);
      if (this.#filled === this.#chunkBytes) {
        this.#filled = 0;
        each(this.#mac.snapshot());
      }
    }
  }

  /** Bytes behind the last border. */
  get open(): number {
    return this.#filled;
  }
}

/** Builds the list while the data passes. */
export interface IncrementalMac {
  /** Take the next bytes of the encrypted attachment in, any number of them. */
  update(bytes: Uint8Array): void;
  /** All MACs joined; the last one is over everything, also behind a full chunk. */
  finish(): Bytes;
}

/**
 * Start a list.
 *
 * @param chunkBytes - At least 1; see {@link incrementalMacChunkBytes}.
 * @throws VerificationError `VERIFY_INCREMENTAL_MAC` for a chunk size of 0.
 */
export function incrementalMac(
  streams: StreamProvider,
  key: Uint8Array,
  chunkBytes: number,
): IncrementalMac {
  if (!Number.isInteger(chunkBytes) || chunkBytes < 1) throw refused();
  const mac = streams.hmacSha256(key);
  const chunker = new Chunker(mac, chunkBytes);
  const macs: Bytes[] = [];
  return {
    update: (bytes) => chunker.update(bytes, (found) => macs.push(found)),
    finish: () => concatBytes(...macs, mac.snapshot()),
  };
}

/** Checks a list while the data passes. Any failure is final. */
export interface IncrementalMacCheck {
  /**
   * Take in more data.
   * @returns How many bytes, counted from where the last call left off, are now proven: whole chunks only.
   * @throws VerificationError `VERIFY_INCREMENTAL_MAC`; then nothing of this call is proven.
   */
  update(bytes: Uint8Array): number;
  /** End of data. @returns The proven rest. @throws VerificationError `VERIFY_INCREMENTAL_MAC`. */
  finish(): number;
}

/**
 * Start checking against a list.
 *
 * @throws VerificationError `VERIFY_INCREMENTAL_MAC` for a chunk size of 0 or a list of broken length.
 */
export function checkIncrementalMac(
  streams: StreamProvider,
  key: Uint8Array,
  chunkBytes: number,
  macs: Uint8Array,
): IncrementalMacCheck {
  if (!Number.isInteger(chunkBytes) || chunkBytes < 1 || macs.length % MAC_BYTES !== 0) {
    throw refused();
  }
  const mac = streams.hmacSha256(key);
  const chunker = new Chunker(mac, chunkBytes);
  let offset = 0;
  let failed = false;
  const compare = (found: Bytes): void => {
    const expected = macs.subarray(offset, offset + MAC_BYTES);
    offset += MAC_BYTES;
    if (failed || !equalBytes(found, expected)) {
      failed = true;
      throw refused();
    }
  };
  return {
    update(bytes) {
      if (failed) throw refused();
      const before = chunker.open;
      let chunks = 0;
      chunker.update(bytes, (found) => {
        compare(found);
        chunks++;
      });
      // What was open before this call belongs to its first chunk.
      return chunks === 0 ? 0 : before + bytes.length - chunker.open;
    },
    finish() {
      // Exactly one MAC must be left, the one over everything.
      if (failed || macs.length - offset !== MAC_BYTES) throw refused();
      compare(mac.snapshot());
      return chunker.open;
    },
  };
}

function refused(): VerificationError {
  return new VerificationError('VERIFY_INCREMENTAL_MAC', 'incremental MAC refused');
}
