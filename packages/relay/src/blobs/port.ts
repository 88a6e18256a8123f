/**
 * 13 Relay §14. The port to whatever keeps the bytes of blobs. The row in the store is the truth about a
 * blob; an adapter keeps bytes under a name and tells which of them are durable.
 *
 * One contract suite runs on every adapter: test/support/blobs-contract.ts.
 */

/** How much room there is, in bytes. */
export interface DiskSpace {
  readonly free: number;
  readonly total: number;
}

/** What is durable of a blob, for its row. */
export interface BlobProgress {
  readonly offset: number;
  /** What the adapter needs to go on from there; opaque to everybody else. */
  readonly state: Uint8Array;
}

/** One upload under way. After a rejection only `close` may be called. */
export interface BlobWriter {
  /** Take a piece; `piece` may be reused once it resolved. */
  write(piece: Uint8Array): Promise<void>;
  /** Make everything written durable. */
  sync(): Promise<BlobProgress>;
  /** The blob is whole: make it durable under its final name. */
  finish(): Promise<BlobProgress>;
  /** The progress that was given last is written down: what it replaced may go. */
  committed(): Promise<void>;
  /** Release what is open. What was not synced may be lost. */
  close(): Promise<void>;
}

/**
 * The port. `name` is 64 hexadecimal digits. Promises reject with a BlobsFull, a BlobGone or any other error;
 * nothing that was durable before is lost then.
 */
export interface Blobs {
  /** Ready the place. */
  open(): Promise<void>;
  /**
   * Go on with a blob of `size` bytes in all.
   *
   * @param progress - What the row says; an empty state at offset 0. Bytes beyond it are overwritten.
   */
  append(name: string, size: number, progress: BlobProgress): Promise<BlobWriter>;
  /** Bytes `start` to `end`, exclusive, of a whole blob, piece by piece. @throws BlobGone */
  read(name: string, start: number, end: number): AsyncIterable<Uint8Array>;
  /** Remove everything under a name; nothing to do is no error. */
  remove(name: string, state: Uint8Array): Promise<void>;
  /** Every name there is something under, as far as the adapter can list them. */
  names(): AsyncIterable<string>;
  /** `undefined` where nobody can tell. */
  space(): Promise<DiskSpace | undefined>;
}

/** What the row says is there is not: a restored backup without its blobs, or somebody who deleted by hand. */
export class BlobGone extends Error {
  constructor(options?: ErrorOptions) {
    super('the bytes of a blob are not there', options);
    this.name = 'BlobGone';
  }
}

/** No room for more. */
export class BlobsFull extends Error {
  constructor(options?: ErrorOptions) {
    super('no space left for blobs', options);
    this.name = 'BlobsFull';
  }
}
