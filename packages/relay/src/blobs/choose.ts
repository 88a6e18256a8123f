/**
 * 13 Relay §14. Where this relay keeps the bytes of blobs.
 */
import { join } from 'node:path';
import type { RelayConfig } from '../config.js';
import { unwritable } from '../data-directory.js';
import { createFileBlobs } from './files.js';
import type { Blobs } from './port.js';

/**
 * The adapter, opened; `undefined` for a relay that keeps nothing on disk.
 *
 * @throws RelayError `RELAY_DATA_UNWRITABLE` or `RELAY_DISK_FULL`
 */
export async function openBlobs({ directory }: RelayConfig): Promise<Blobs | undefined> {
  if (directory === undefined) return undefined;
  const blobs = createFileBlobs(join(directory, BLOB_DIRECTORY));
  try {
    await blobs.open();
  } catch (cause) {
    throw unwritable(cause);
  }
  return blobs;
}

const BLOB_DIRECTORY = 'blobs';
