/**
 * 17 Attachments. Files and media as encrypted streams, in constant memory.
 *
 * The blob goes to the relay; key, digest, size and the list of incremental MACs go inside a message.
 * Nothing is handed out before it was proven: by the incremental MACs while it arrives, or, without them,
 * by a first pass over the whole blob. Spec: spec/17-attachments.md.
 */
import { concatBytes, type Bytes } from './bytes.js';
import { equalBytes } from './crypto/constant-time.js';
import type { CbcStream, DigestStream, StreamProvider } from './crypto/streams.js';
import { UsageError, VerificationError } from './errors.js';
import {
  checkIncrementalMac,
  incrementalMac,
  incrementalMacChunkBytes,
  type IncrementalMacCheck,
} from './incremental-mac.js';
import { wipe } from './secret.js';

/** AES key (32) and MAC key (32), fresh for every attachment. */
export const ATTACHMENT_KEY_BYTES = 64;

const IV_BYTES = 16;
const MAC_BYTES = 32;
const BLOCK = 16;

/** Bytes that pass through the cipher at once: bounds memory, and what one write can make us do. */
const SLICE_BYTES = 65_536;

/** What the encrypted message says of an attachment. `key` is secret. */
export interface AttachmentPointer {
  readonly key: Bytes;
  /** SHA-256 of the blob. */
  readonly digest: Bytes;
  /** Bytes of the plaintext, before padding. */
  readonly size: number;
  /** MACs over growing prefixes of the blob; absent from older senders. */
  readonly incrementalMac?: Bytes;
  readonly chunkBytes?: number;
}

/** Largest plaintext whose blob is no larger than 2 GiB, which is what a relay takes. */
export const ATTACHMENT_PLAINTEXT_MAX: number = 2 ** 31 - IV_BYTES - BLOCK - MAC_BYTES;

/**
 * Size of a plaintext after padding: a step of 5 % above it, at least 541, so that the blob's length tells
 * little of the file. The last step ends at 2 GiB of blob.
 *
 * Source: 17 §3.
 */
export function paddedAttachmentBytes(size: number): number {
  const step = Math.ceil(Math.log(Math.max(size, 1)) / Math.log(1.05));
  const wanted = Math.min(Math.floor(1.05 ** step), ATTACHMENT_PLAINTEXT_MAX);
  return Math.max(541, wanted, size);
}

/** Bytes of the blob for a plaintext of `size` bytes. */
export function attachmentBlobBytes(size: number): number {
  const padded = paddedAttachmentBytes(size);
  return IV_BYTES + (padded - (padded % BLOCK) + BLOCK) + MAC_BYTES;
}

/** An encryption under way: pipe the plaintext through `transform`, then read `pointer`. */
export interface AttachmentEncryption {
  readonly transform: TransformStream<Uint8Array, Uint8Array>;
  /** Resolves when the last byte of the blob was handed on; rejects when the stream fails. */
  readonly pointer: Promise<AttachmentPointer>;
  /** Length of the blob. */
  readonly blobBytes: number;
}

/**
 * Encrypt a stream of exactly `size` bytes.
 *
 * @param key - 64 fresh random bytes; becomes part of the pointer.
 * @param iv - 16 fresh random bytes.
 * @param chunkBytes - Bytes behind which there is a MAC each. Larger: a shorter pointer, and more that the reader
 *   holds back; default: what peers use.
 * @throws UsageError `USAGE_LENGTH` for key or IV; later, as the stream's error, when the plaintext is not
 *   `size` bytes long.
 *
 * Source: 17 §3.
 */
export function encryptAttachment(
  streams: StreamProvider,
  key: Bytes,
  iv: Uint8Array,
  size: number,
  chunkBytes: number = incrementalMacChunkBytes(attachmentBlobBytes(size)),
): AttachmentEncryption {
  checkKey(key);
  if (iv.length !== IV_BYTES) {
    throw new UsageError('USAGE_LENGTH', `attachment IV of ${iv.length} bytes, expected 16`);
  }
  const blobBytes = attachmentBlobBytes(size);
  const cipher = streams.cbcEncrypt(key.subarray(0, 32), iv);
  const mac = streams.hmacSha256(key.subarray(32));
  const digest = streams.sha256();
  const list = incrementalMac(streams, key.subarray(32), chunkBytes);
  const blocks = new BlockBuffer(cipher);
  let resolve: (pointer: AttachmentPointer) => void = () => {};
  let reject: (reason: unknown) => void = () => {};
  const pointer = new Promise<AttachmentPointer>((accept, refuse) => {
    resolve = accept;
    reject = refuse;
  });
  // Who only watches the stream must not be told twice.
  pointer.catch(() => {});
  let seen = 0;
  const send = (bytes: Uint8Array, controller: Controller, covered = true): void => {
    if (bytes.length === 0) return;
    if (covered) mac.update(bytes);
    digest.update(bytes);
    list.update(bytes);
    controller.enqueue(bytes);
  };
  const fail = (error: unknown): never => {
    reject(error);
    throw error;
  };
  const transform = new TransformStream<Uint8Array, Uint8Array>({
    start(controller) {
      send(iv.slice(), controller);
    },
    transform(chunk, controller) {
      seen += chunk.length;
      if (seen > size) fail(wrongSize(seen, size));
      for (const part of slices(chunk)) send(blocks.update(part), controller);
    },
    flush(controller) {
      if (seen !== size) fail(wrongSize(seen, size));
      let padding = paddedAttachmentBytes(size) - size;
      while (padding > 0) {
        const zeros = new Uint8Array(Math.min(padding, SLICE_BYTES));
        send(blocks.update(zeros), controller);
        padding -= zeros.length;
      }
      send(blocks.finishPadded(), controller);
      send(mac.snapshot(), controller, false);
      resolve({
        key,
        digest: digest.snapshot(),
        size,
        incrementalMac: list.finish(),
        chunkBytes,
      });
    },
  });
  return { transform, pointer, blobBytes };
}

/**
 * Decrypt a blob while it arrives. Bytes come out only after the incremental MACs proved them; MAC, digest
 * and size are checked at the end, before the last bytes come out.
 *
 * @returns A transform from the blob to the plaintext. It fails with VerificationError `VERIFY_ATTACHMENT`
 *   or `VERIFY_INCREMENTAL_MAC`: what came out until then is a proven beginning, and the file is incomplete.
 * @throws UsageError `USAGE_ARGUMENT` for a pointer without incremental MACs: see {@link openAttachment}.
 *
 * Source: 17 §4 (ATK-H01, ATK-H02).
 */
export function decryptAttachment(
  streams: StreamProvider,
  pointer: AttachmentPointer,
): TransformStream<Uint8Array, Uint8Array> {
  const { incrementalMac: macs, chunkBytes } = pointer;
  if (macs === undefined || chunkBytes === undefined) {
    throw new UsageError('USAGE_ARGUMENT', 'pointer without incremental MACs needs openAttachment');
  }
  checkKey(pointer.key);
  const gate = checkIncrementalMac(streams, pointer.key.subarray(32), chunkBytes, macs);
  return decryptingTransform(streams, pointer, gate);
}

/**
 * Decrypt a blob that can be read twice: the first pass proves all of it, the second hands it out.
 *
 * @param source - Gives the blob from its beginning, each time it is called.
 * @throws VerificationError `VERIFY_ATTACHMENT` before anything is handed out.
 */
export async function openAttachment(
  streams: StreamProvider,
  pointer: AttachmentPointer,
  source: () => ReadableStream<Uint8Array>,
): Promise<ReadableStream<Uint8Array>> {
  checkKey(pointer.key);
  const proof = new BlobProof(streams, pointer);
  const reader = source().getReader();
  for (let step = await reader.read(); !step.done; step = await reader.read()) {
    for (const part of slices(step.value)) proof.update(part);
  }
  proof.finish();
  // The second pass proves again as it goes: the source may have changed under us.
  return source().pipeThrough(decryptingTransform(streams, pointer, undefined));
}

type Controller = TransformStreamDefaultController<Uint8Array>;

function decryptingTransform(
  streams: StreamProvider,
  pointer: AttachmentPointer,
  gate: IncrementalMacCheck | undefined,
): TransformStream<Uint8Array, Uint8Array> {
  const proof = new BlobProof(streams, pointer);
  const opener = new BlobOpener(streams, pointer);
  /** Arrived, not yet proven. */
  let waiting: Uint8Array[] = [];
  const release = (count: number, controller: Controller): void => {
    let left = count;
    while (left > 0) {
      const first = waiting[0] as Uint8Array;
      const part = first.subarray(0, left);
      if (part.length === first.length) waiting = waiting.slice(1);
      else waiting[0] = first.subarray(part.length);
      left -= part.length;
      const plaintext = opener.update(part);
      if (plaintext.length > 0) controller.enqueue(plaintext);
    }
  };
  return new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      for (const part of slices(chunk)) {
        proof.update(part);
        waiting.push(part.slice());
        release(gate === undefined ? part.length : gate.update(part), controller);
      }
    },
    flush(controller) {
      const rest = gate === undefined ? 0 : gate.finish();
      proof.finish();
      release(rest, controller);
      const plaintext = opener.finish();
      if (plaintext.length > 0) controller.enqueue(plaintext);
    },
  });
}

/** MAC, digest and length of a whole blob. */
class BlobProof {
  readonly #mac: DigestStream;
  readonly #digest: DigestStream;
  readonly #pointer: AttachmentPointer;
  /** The last 32 bytes seen: the blob's own MAC, once it has ended. */
  #tail: Bytes = new Uint8Array(0);
  #seen = 0;

  constructor(streams: StreamProvider, pointer: AttachmentPointer) {
    this.#mac = streams.hmacSha256(pointer.key.subarray(32));
    this.#digest = streams.sha256();
    this.#pointer = pointer;
  }

  update(bytes: Uint8Array): void {
    this.#seen += bytes.length;
    this.#digest.update(bytes);
    const joined = concatBytes(this.#tail, bytes);
    const border = Math.max(0, joined.length - MAC_BYTES);
    this.#mac.update(joined.subarray(0, border));
    this.#tail = joined.slice(border);
  }

  finish(): void {
    const body = this.#seen - IV_BYTES - MAC_BYTES;
    const fits = body >= BLOCK && body % BLOCK === 0 && this.#pointer.size < body;
    const macFits = equalBytes(this.#mac.snapshot(), this.#tail);
    const digestFits = equalBytes(this.#digest.snapshot(), this.#pointer.digest);
    if (!fits || !macFits || !digestFits) throw refused();
  }
}

/** Proven blob bytes to plaintext: takes off IV, MAC, cipher padding and size padding. */
class BlobOpener {
  readonly #streams: StreamProvider;
  readonly #pointer: AttachmentPointer;
  #cipher: BlockBuffer | undefined;
  /** Until the end is known, the last MAC and block stay back. */
  #held: Bytes = new Uint8Array(0);
  #given = 0;

  constructor(streams: StreamProvider, pointer: AttachmentPointer) {
    this.#streams = streams;
    this.#pointer = pointer;
  }

  update(bytes: Uint8Array): Bytes {
    let joined = concatBytes(this.#held, bytes);
    if (this.#cipher === undefined) {
      if (joined.length < IV_BYTES) {
        this.#held = joined;
        return new Uint8Array(0);
      }
      const key = this.#pointer.key.subarray(0, 32);
      this.#cipher = new BlockBuffer(this.#streams.cbcDecrypt(key, joined.subarray(0, IV_BYTES)));
      joined = joined.slice(IV_BYTES);
    }
    const border = Math.max(0, joined.length - MAC_BYTES - BLOCK);
    this.#held = joined.slice(border);
    return this.#cut(this.#cipher.update(joined.subarray(0, border)));
  }

  finish(): Bytes {
    if (this.#cipher === undefined) throw refused();
    const last = this.#cipher.update(this.#held.subarray(0, this.#held.length - MAC_BYTES));
    const padding = last[last.length - 1] ?? 0;
    if (padding < 1 || padding > BLOCK || padding > last.length) throw refused();
    for (const byte of last.subarray(last.length - padding)) if (byte !== padding) throw refused();
    const plaintext = this.#cut(last.subarray(0, last.length - padding));
    if (this.#given !== this.#pointer.size) throw refused();
    return plaintext;
  }

  #cut(plaintext: Uint8Array): Bytes {
    const wanted = plaintext.slice(0, Math.max(0, this.#pointer.size - this.#given));
    this.#given += wanted.length;
    wipe(plaintext);
    return wanted;
  }
}

/** Collects bytes into whole blocks for a cipher. */
class BlockBuffer {
  #rest: Bytes = new Uint8Array(0);
  readonly #cipher: CbcStream;

  constructor(cipher: CbcStream) {
    this.#cipher = cipher;
  }

  update(bytes: Uint8Array): Bytes {
    const joined = concatBytes(this.#rest, bytes);
    const whole = joined.length - (joined.length % BLOCK);
    this.#rest = joined.slice(whole);
    return this.#cipher.update(joined.subarray(0, whole));
  }

  /** The last block with PKCS#7 padding. */
  finishPadded(): Bytes {
    const padding = BLOCK - this.#rest.length;
    return this.#cipher.update(concatBytes(this.#rest, new Uint8Array(padding).fill(padding)));
  }
}

function* slices(bytes: Uint8Array): Iterable<Uint8Array> {
  for (let offset = 0; offset < bytes.length; offset += SLICE_BYTES) {
    yield bytes.subarray(offset, offset + SLICE_BYTES);
  }
}

function checkKey(key: Uint8Array): void {
  if (key.length !== ATTACHMENT_KEY_BYTES) {
    throw new UsageError('USAGE_LENGTH', `attachment key of ${key.length} bytes, expected 64`);
  }
}

function wrongSize(seen: number, size: number): UsageError {
  return new UsageError('USAGE_LENGTH', `attachment of ${seen} bytes, announced ${size}`);
}

function refused(): VerificationError {
  return new VerificationError('VERIFY_ATTACHMENT', 'attachment refused');
}
