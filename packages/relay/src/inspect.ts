/**
 * 13 Relay §7. What a relay has stored, read from its files by someone who holds the disk.
 *
 * For the demonstration and for operators who want to see that there is nothing to see. Read-only: works
 * beside a running relay and changes nothing.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { copyBytes, type Bytes } from '@qasid/protocol/envelope';
import Database from 'better-sqlite3';
import { DATABASE_FILE, storeError } from './store/sqlite-open.js';

/** One envelope that waits to be fetched. */
export interface StoredEnvelope {
  /** The relay's own number of the mailbox. */
  readonly mailbox: number;
  /** Ciphertext, padded. */
  readonly body: Bytes;
}

/**
 * All envelopes in `directory`, oldest first; undefined when no relay ever ran there.
 *
 * @throws StoreError `STORE_CORRUPT`, `STORE_FAILED`
 */
export function storedEnvelopes(directory: string): readonly StoredEnvelope[] | undefined {
  const file = join(directory, DATABASE_FILE);
  if (!existsSync(file)) return undefined;
  try {
    const database = new Database(file, { readonly: true, timeout: 5_000 });
    try {
      const rows = database.prepare('SELECT mb, body FROM q ORDER BY seq').all() as {
        mb: number;
        body: Uint8Array;
      }[];
      return rows.map(({ mb, body }) => ({ mailbox: mb, body: copyBytes(body) }));
    } finally {
      database.close();
    }
  } catch (error) {
    throw storeError(error);
  }
}
