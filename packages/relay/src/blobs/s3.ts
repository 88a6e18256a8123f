/**
 * 13 Relay §14. Blobs in an S3-compatible store, by multipart uploads.
 *
 * Stores want parts of 5 MiB or more, clients stop wherever they stop: what is left over is put aside as an
 * object of its own, the tail, and read back when the upload goes on. Which parts there are is in the state
 * that the row keeps.
 */
import { type BlobProgress, type Blobs, BlobGone, type BlobWriter } from './port.js';
import { S3Client, S3Error, type S3Options } from './s3-client.js';

/** Blobs in a bucket. */
export async function createS3Blobs(options: S3Options): Promise<Blobs> {
  return new S3Blobs(await S3Client.create(options));
}

/** What the row keeps of an upload. */
interface UploadState {
  /** Id of the multipart upload, once there is one. */
  readonly upload?: string;
  /** Tags of its parts, of `PART_BYTES` each. */
  readonly tags: readonly string[];
  /** Bytes in the tail object. */
  readonly tail: number;
}

class S3Blobs implements Blobs {
  readonly #client: S3Client;

  constructor(client: S3Client) {
    this.#client = client;
  }

  /** Throws when keys or bucket are wrong; a store that is away now may come back. */
  async open(): Promise<void> {
    try {
      await this.#client.put('opened', new Uint8Array(0));
      await this.#client.delete('opened');
    } catch (error) {
      if (error instanceof S3Error || error instanceof BlobGone) {
        const isAway = error instanceof S3Error && error.status >= 500;
        if (!isAway) throw error;
      }
    }
  }

  async append(name: string, size: number, progress: BlobProgress): Promise<BlobWriter> {
    const state = decodeState(progress.state);
    let tail = new Uint8Array(0);
    if (state.tail > 0) {
      const response = await this.#client.get(tailKey(name, progress.offset));
      tail = new Uint8Array(await response.arrayBuffer());
      if (tail.length !== state.tail) throw new BlobGone();
    }
    if (state.tags.length * PART_BYTES + tail.length !== progress.offset) throw new BlobGone();
    return new S3Writer(this.#client, name, size, progress.offset, state, tail);
  }

  async *read(name: string, start: number, end: number): AsyncIterable<Uint8Array> {
    const response = await this.#client.get(name, start, end);
    let left = end - start;
    if (response.body === null) throw new BlobGone();
    for await (const piece of response.body) {
      if (piece.length > left) throw new Error('the object store sent more than was asked for');
      left -= piece.length;
      yield piece;
    }
    if (left > 0) throw new Error('the object store sent less than was asked for');
  }

  async remove(name: string, state: Uint8Array): Promise<void> {
    const { upload, tags, tail } = decodeState(state);
    if (upload !== undefined) await this.#client.cancel(name, upload);
    if (tail > 0) await this.#client.delete(tailKey(name, tags.length * PART_BYTES + tail));
    await this.#client.delete(name);
  }

  /** None: listing is not among what we ask of a store. A lifecycle rule of the bucket finds what is left. */
  async *names(): AsyncIterable<string> {}

  async space(): Promise<undefined> {
    return undefined;
  }
}

class S3Writer implements BlobWriter {
  readonly #client: S3Client;
  readonly #name: string;
  readonly #size: number;
  readonly #tags: string[];
  #upload: string | undefined;
  /** Bytes that are in no part yet: at most one part. */
  readonly #pending = new Uint8Array(PART_BYTES);
  #pendingBytes: number;
  /** Offset of the tail that the row names, and of the one that replaces it; 0 for none. */
  #tail: number;
  #nextTail = 0;
  /** A lost writer finished before us: the object is there. */
  #isDone = false;

  constructor(
    client: S3Client,
    name: string,
    size: number,
    offset: number,
    state: UploadState,
    tail: Uint8Array,
  ) {
    this.#client = client;
    this.#name = name;
    this.#size = size;
    this.#tags = [...state.tags];
    this.#upload = state.upload;
    this.#pending.set(tail);
    this.#pendingBytes = tail.length;
    this.#tail = tail.length > 0 ? offset : 0;
  }

  async write(piece: Uint8Array): Promise<void> {
    let taken = 0;
    while (taken < piece.length) {
      // Not before there is more: the last part may be a whole one.
      if (this.#pendingBytes === PART_BYTES) await this.#flush();
      const next = piece.subarray(taken, taken + PART_BYTES - this.#pendingBytes);
      this.#pending.set(next, this.#pendingBytes);
      this.#pendingBytes += next.length;
      taken += next.length;
    }
  }

  async sync(): Promise<BlobProgress> {
    if (this.#pendingBytes === PART_BYTES) await this.#flush();
    this.#nextTail = this.#pendingBytes > 0 ? this.#offset : 0;
    // The same bytes under the same name: nothing to do.
    if (this.#nextTail > 0 && this.#nextTail !== this.#tail) {
      await this.#client.put(tailKey(this.#name, this.#nextTail), this.#rest());
    }
    return this.#progress(this.#pendingBytes);
  }

  async finish(): Promise<BlobProgress> {
    if (this.#offset !== this.#size) throw new Error('blob is not whole');
    this.#nextTail = 0;
    if (this.#upload === undefined) await this.#client.put(this.#name, this.#rest());
    else {
      if (this.#pendingBytes > 0) await this.#flush();
      await this.#unlessDone(async (upload) => {
        await this.#client.complete(this.#name, upload, this.#tags);
      });
    }
    return { offset: this.#size, state: new Uint8Array(0) };
  }

  async committed(): Promise<void> {
    const old = this.#tail;
    this.#tail = this.#nextTail;
    if (old > 0 && old !== this.#tail) await this.#client.delete(tailKey(this.#name, old));
  }

  async close(): Promise<void> {
    this.#pending.fill(0);
  }

  get #offset(): number {
    return this.#tags.length * PART_BYTES + this.#pendingBytes;
  }

  /** What is pending becomes a part; only the last one may be short. */
  async #flush(): Promise<void> {
    this.#upload ??= await this.#client.begin(this.#name);
    const number = this.#tags.length + 1;
    const tag = await this.#unlessDone((upload) =>
      this.#client.part(this.#name, upload, number, this.#rest()),
    );
    this.#tags.push(tag ?? '');
    // A short part is the last: the offset is counted in whole ones only while there is more to come.
    if (this.#pendingBytes === PART_BYTES) this.#pendingBytes = 0;
  }

  /** Do it, unless a writer that was lost has completed this very upload before its row was written. */
  async #unlessDone<Result>(
    task: (upload: string) => Promise<Result>,
  ): Promise<Result | undefined> {
    if (this.#isDone) return undefined;
    try {
      return await task(this.#upload ?? '');
    } catch (error) {
      if (!(error instanceof BlobGone)) throw error;
      // All but the last byte would be as good as nothing: ask for the end of the object.
      const response = await this.#client.get(this.#name, this.#size - 1, this.#size);
      await response.arrayBuffer();
      this.#isDone = true;
      return undefined;
    }
  }

  #rest(): Uint8Array {
    return this.#pending.subarray(0, this.#pendingBytes);
  }

  #progress(tail: number): BlobProgress {
    const upload = this.#upload;
    const tags = this.#tags;
    const state: UploadState = { tags, tail, ...(upload !== undefined && { upload }) };
    return { offset: this.#offset, state: new TextEncoder().encode(JSON.stringify(state)) };
  }
}

function tailKey(name: string, offset: number): string {
  return `${name}.tail.${offset}`;
}

/** Our own words, out of our own row. */
function decodeState(state: Uint8Array): UploadState {
  if (state.length === 0) return { tags: [], tail: 0 };
  return JSON.parse(new TextDecoder().decode(state)) as UploadState;
}

/** The least that stores accept for any part but the last. */
const PART_BYTES = 5 * 1024 * 1024;
