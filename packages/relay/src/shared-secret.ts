/**
 * 13 Relay §8. Secrets the operator shares with another server, each in a file of its own.
 */
import { readFileSync } from 'node:fs';
import { copyBytes, type Bytes } from '@qasid/protocol/envelope';
import { RelayError } from './errors.js';

/** The secret for `what` without the line end an editor leaves. @throws RelayError `RELAY_CONFIG` */
export function readSharedSecret(file: string, what: string): Bytes {
  const wrong = (message: string, cause?: unknown): RelayError => {
    const hint = `put the secret of the ${what} server there, 16 bytes or more, mode 0600`;
    const text = `the ${what} secret file ${message}`;
    return new RelayError('RELAY_CONFIG', text, hint, cause === undefined ? {} : { cause });
  };
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    const { code = 'unknown error' } = cause as NodeJS.ErrnoException;
    throw wrong(`cannot be read (${code})`, cause);
  }
  let end = bytes.length;
  while (end > 0 && (bytes[end - 1] === 0x0a || bytes[end - 1] === 0x0d)) end--;
  if (end < SECRET_BYTES_MIN) throw wrong(`has ${end} bytes, needs ${SECRET_BYTES_MIN}`);
  return copyBytes(bytes.subarray(0, end));
}

/** Lower: can be guessed. */
const SECRET_BYTES_MIN = 16;
