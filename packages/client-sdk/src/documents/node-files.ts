/**
 * Files in Node: to send from, and to save to.
 */
import { createReadStream } from 'node:fs';
import { constants, copyFile, link, open, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { randomBytes } from 'node:crypto';

import { UsageError } from '@qasid/protocol';

import type { DocumentSource, FileAccess } from './source.js';

/** Bytes read at once. */
const READ_BYTES = 262_144;

/** Media types by ending; what is not here is sent without one. */
const TYPES: ReadonlyMap<string, string> = new Map([
  ['png', 'image/png'],
  ['jpg', 'image/jpeg'],
  ['jpeg', 'image/jpeg'],
  ['gif', 'image/gif'],
  ['webp', 'image/webp'],
  ['avif', 'image/avif'],
  ['mp3', 'audio/mpeg'],
  ['ogg', 'audio/ogg'],
  ['wav', 'audio/wav'],
  ['mp4', 'video/mp4'],
  ['webm', 'video/webm'],
  ['pdf', 'application/pdf'],
  ['txt', 'text/plain'],
  ['zip', 'application/zip'],
  ['json', 'application/json'],
]);

/**
 * A file to send. An upload of it goes on after a restart by itself, as long as the file stays where it is.
 *
 * @throws the system's error; UsageError `USAGE_ARGUMENT` for what is no regular file
 */
export async function fileFromPath(path: string): Promise<DocumentSource> {
  const found = await stat(path);
  if (!found.isFile()) throw new UsageError('USAGE_ARGUMENT', `${path} is not a regular file`);
  const name = basename(path);
  const ending = name.includes('.') ? name.slice(name.lastIndexOf('.') + 1).toLowerCase() : '';
  return {
    name,
    type: TYPES.get(ending),
    size: found.size,
    path,
    stream: () =>
      Readable.toWeb(
        createReadStream(path, { highWaterMark: READ_BYTES }),
      ) as ReadableStream<Uint8Array>,
  };
}

/** Node's files. */
export const nodeFiles: FileAccess = {
  open: fileFromPath,
  async save(path, data) {
    // Beside its place, so that it can be moved there in one step.
    const part = join(dirname(path), `.${randomBytes(8).toString('hex')}.part`);
    const file = await open(part, 'wx', 0o600).catch(async (error: unknown) => {
      await data.cancel().catch(() => undefined);
      throw error;
    });
    try {
      const reader = data.getReader();
      try {
        for (let step = await reader.read(); !step.done; step = await reader.read()) {
          await file.writeFile(step.value);
        }
        await file.sync();
      } catch (error) {
        await reader.cancel(error).catch(() => undefined);
        throw error;
      } finally {
        await file.close();
      }
      await moveNew(part, path);
    } finally {
      await rm(part, { force: true });
    }
  },
};

/** Unlike a rename, never in place of something that is there. */
async function moveNew(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw error;
    // Some file systems have no links.
    await copyFile(from, to, constants.COPYFILE_EXCL);
  }
}
