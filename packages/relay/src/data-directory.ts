/**
 * 13 Relay §7. The relay's directory: its own, closed to others, with the key that names the relay.
 */
import { createHmac } from 'node:crypto';
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
import { type Bytes, copyBytes, type RelayId, relayIdOf } from '@qasid/protocol/envelope';
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
  return relayIdOf(crypto, ed25519PublicKey(loadSeed(directory, crypto)));
}

/**
 * A secret of this relay for one purpose, 32 bytes: HMAC-SHA256 of the purpose under the seed of its key file.
 * A relay that keeps nothing has a new one at each start.
 */
export function relaySecret(
  directory: string | undefined,
  crypto: RelayCrypto,
  purpose: string,
): Bytes {
  const seed = directory === undefined ? crypto.randomBytes(32) : loadSeed(directory, crypto);
  return copyBytes(createHmac('sha256', seed).update(purpose).digest());
}

function loadSeed(directory: string, crypto: RelayCrypto): Uint8Array {
  return loadSecretFile(directory, KEY_FILE, () => crypto.randomBytes(32));
}

/**
 * A secret of 32 bytes in a file of its own, made the first time.
 *
 * @throws RelayError `RELAY_DATA_UNWRITABLE` or `RELAY_DATA_CORRUPT`
 */
export function loadSecretFile(
  directory: string,
  name: string,
  make: () => Uint8Array,
): Uint8Array {
  const file = join(directory, name);
  let secret: Uint8Array;
  try {
    secret = copyBytes(readFileSync(file));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw unwritable(cause);
    secret = make();
    try {
      // Written aside and renamed: a relay killed here must not leave half a key behind.
      writeFileSync(`${file}.new`, secret, { mode: 0o600, flush: true });
      renameSync(`${file}.new`, file);
    } catch (writeCause) {
      throw unwritable(writeCause);
    }
  }
  if (secret.length !== 32) {
    throw new RelayError(
      'RELAY_DATA_CORRUPT',
      `the relay's key file ${name} has ${secret.length} bytes, expected 32`,
      `restore ${name} from a backup; with a new key clients do not know the relay any more`,
    );
  }
  return secret;
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

/** Why the data directory cannot be used, for an operator. */
export function unwritable(cause: unknown): RelayError {
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
