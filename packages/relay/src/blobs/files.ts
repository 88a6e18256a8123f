/**
 * 13 Relay §14. Blobs as files: `ab/cd/<name>.part` while they come in, `ab/cd/<name>` when they are whole.
 */
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, opendir, rename, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  type BlobProgress,
  type Blobs,
  BlobGone,
  BlobsFull,
  type BlobWriter,
  type DiskSpace,
} from './port.js';

/** Blobs below `directory`. */
export function createFileBlobs(directory: string): Blobs {
  return new FileBlobs(directory);
}

class FileBlobs implements Blobs {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async open(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
  }

  async append(name: string, size: number, progress: BlobProgress): Promise<BlobWriter> {
    const path = this.#path(name);
    return translate(async () => {
      const part = `${path}.part`;
      const opened = (await openExisting(part)) ?? (await openExisting(path));
      const file = opened ?? (await this.#create(part));
      try {
        const { size: length } = await file.stat();
        // A copy from a backup, or a disk that lied: nothing is confirmed on top of a hole.
        if (length < progress.offset) throw new BlobGone();
      } catch (error) {
        await file.close();
        throw error;
      }
      return new FileWriter(file, path, size, progress.offset);
    });
  }

  async *read(name: string, start: number, end: number): AsyncIterable<Uint8Array> {
    const file = await translate(() => open(this.#path(name), 'r'));
    try {
      // One buffer for the whole download: memory does not grow with what is read.
      const buffer = new Uint8Array(READ_BYTES);
      let at = start;
      while (at < end) {
        const want = Math.min(READ_BYTES, end - at);
        const { bytesRead } = await file.read(buffer, 0, want, at);
        if (bytesRead === 0) throw new BlobGone();
        at += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      await file.close();
    }
  }

  async remove(name: string): Promise<void> {
    const path = this.#path(name);
    await rm(`${path}.part`, { force: true });
    await rm(path, { force: true });
  }

  async *names(): AsyncIterable<string> {
    for await (const entry of await opendir(this.#directory, { recursive: true })) {
      const name = entry.name.replace(/\.part$/, '');
      if (entry.isFile() && NAME.test(name)) yield name;
    }
  }

  async space(): Promise<DiskSpace> {
    const { bavail, blocks, bsize } = await statfs(this.#directory);
    return { free: bavail * bsize, total: blocks * bsize };
  }

  /** Names are hashes of ours; what is no name never becomes a path (ATK-I11). */
  #path(name: string): string {
    if (!NAME.test(name)) throw new Error('not the name of a blob');
    return join(this.#directory, name.slice(0, 2), name.slice(2, 4), name);
  }

  async #create(part: string): Promise<FileHandle> {
    const folder = dirname(part);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const { O_CREAT, O_EXCL, O_RDWR } = constants;
    const file = await open(part, O_CREAT | O_EXCL | O_RDWR, 0o600);
    // The file's name has to survive a power cut as well as its bytes.
    for (const path of [folder, dirname(folder), this.#directory]) await syncDirectory(path);
    return file;
  }
}

class FileWriter implements BlobWriter {
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #size: number;
  #offset: number;

  constructor(file: FileHandle, path: string, size: number, offset: number) {
    this.#file = file;
    this.#path = path;
    this.#size = size;
    this.#offset = offset;
  }

  async write(piece: Uint8Array): Promise<void> {
    await translate(async () => {
      let done = 0;
      while (done < piece.length) {
        const { bytesWritten } = await this.#file.write(
          piece,
          done,
          piece.length - done,
          this.#offset,
        );
        done += bytesWritten;
        this.#offset += bytesWritten;
      }
    });
  }

  async sync(): Promise<BlobProgress> {
    await translate(() => this.#file.datasync());
    return { offset: this.#offset, state: NO_STATE };
  }

  async finish(): Promise<BlobProgress> {
    if (this.#offset !== this.#size) throw new Error('blob is not whole');
    await translate(async () => {
      // What an interrupted attempt wrote beyond the end.
      await this.#file.truncate(this.#size);
      await this.#file.datasync();
      // Renamed before, by a relay that was killed before it wrote so down: nothing left to do.
      const isPart = await exists(`${this.#path}.part`);
      if (isPart) await rename(`${this.#path}.part`, this.#path);
      await syncDirectory(dirname(this.#path));
    });
    return { offset: this.#size, state: NO_STATE };
  }

  /** A file grows in place: nothing was replaced. */
  async committed(): Promise<void> {}

  async close(): Promise<void> {
    await this.#file.close();
  }
}

async function openExisting(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r+');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function translate<Result>(task: () => Promise<Result>): Promise<Result> {
  try {
    return await task();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new BlobGone({ cause: error });
    if (code === 'ENOSPC' || code === 'EDQUOT') throw new BlobsFull({ cause: error });
    throw error;
  }
}

const NO_STATE = new Uint8Array(0);
const NAME = /^[0-9a-f]{64}$/;
const READ_BYTES = 262_144;
