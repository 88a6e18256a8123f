/**
 * 13 Relay §7. The relay's directory: its own, closed to others, with the key that names the relay.
 */
import {
  accessSync,
  chmodSync,
  constants,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { copyBytes, type RelayId, relayIdOf } from '@qasid/protocol/envelope';
import { ed25519PublicKey, type RelayCrypto } from './crypto.js';
import { RelayError } from './errors.js';

/** Create the directory if needed and close it to others. @throws RelayError `RELAY_DATA_UNWRITABLE` */
export function prepareDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    chmodSync(directory, 0o700);
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw unwritable(cause);
  }
}

/**
 * The relay's id: SHA-256 of the public key of its Ed25519 seed, which is made at the first start.
 *
 * @throws RelayError `RELAY_DATA_UNWRITABLE` or `RELAY_DATA_CORRUPT`
 */
export function loadRelayId(directory: string, crypto: RelayCrypto): RelayId {
  const file = join(directory, KEY_FILE);
  let seed: Uint8Array;
  try {
    seed = copyBytes(readFileSync(file));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw unwritable(cause);
    seed = crypto.randomBytes(32);
    try {
      // Written aside and renamed: a relay killed here must not leave half a key behind.
      writeFileSync(`${file}.new`, seed, { mode: 0o600, flush: true });
      renameSync(`${file}.new`, file);
    } catch (writeCause) {
      throw unwritable(writeCause);
    }
  }
  if (seed.length !== 32) {
    throw new RelayError(
      'RELAY_DATA_CORRUPT',
      `the relay's key file has ${seed.length} bytes, expected 32`,
      'restore relay.key from a backup; a new key makes clients meet an unknown relay',
    );
  }
  return relayIdOf(crypto, ed25519PublicKey(seed));
}

/** Bytes of the files in it, those of subdirectories left out. */
export function dataBytes(directory: string): number {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0)
    .reduce((sum, size) => sum + size, 0);
}

/** A relay id for a relay that keeps nothing. */
export function temporaryRelayId(crypto: RelayCrypto): RelayId {
  return relayIdOf(crypto, ed25519PublicKey(crypto.randomBytes(32)));
}

function unwritable(cause: unknown): RelayError {
  const { code = 'unknown error' } = cause as NodeJS.ErrnoException;
  if (code === 'ENOSPC') {
    return new RelayError('RELAY_DISK_FULL', 'no space left', 'free some disk space', { cause });
  }
  return new RelayError(
    'RELAY_DATA_UNWRITABLE',
    `the data directory cannot be used (${code})`,
    'check that the directory belongs to the user the relay runs as, and its mode',
    { cause },
  );
}

const KEY_FILE = 'relay.key';
