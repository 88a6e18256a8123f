/**
 * 13 Relay §8. Certificate and key of the relay: read, checked together, and watched for renewal.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { Cancel, Clock } from '../clock.js';
import { RelayError } from '../errors.js';

/** Where certificate chain and private key are, as PEM. */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** A certificate and its key that belong together. */
export interface Certificate {
  readonly cert: Uint8Array;
  readonly key: Uint8Array;
}

/** Read both files. @throws RelayError `RELAY_TLS` when they are not there, not safe, or do not fit. */
export function readCertificate({ certFile, keyFile }: TlsFiles): Certificate {
  try {
    if ((statSync(keyFile).mode & 0o007) !== 0) {
      throw tlsError('others can read the private key', 'chmod o= on the key file');
    }
    const cert = readFileSync(certFile);
    const key = readFileSync(keyFile);
    const leaf = new X509Certificate(cert);
    // During a renewal there may be a moment with the new certificate and the old key.
    if (!leaf.checkPrivateKey(createPrivateKey(key))) {
      throw tlsError('certificate and key do not belong together', 'name the two of one renewal');
    }
    createSecureContext({ cert, key, minVersion: TLS_VERSION_MIN });
    return { cert, key };
  } catch (cause) {
    if (cause instanceof RelayError) throw cause;
    const { code = 'not PEM' } = cause as NodeJS.ErrnoException;
    const hint = 'check names and owner of tls_cert and tls_key, both PEM';
    throw tlsError(`certificate or key cannot be read (${code})`, hint, { cause });
  }
}

/** When the certificate in the file ends, milliseconds since 1970; undefined while it cannot be read. */
export function certificateEndMs({ certFile }: TlsFiles): number | undefined {
  try {
    return Date.parse(new X509Certificate(readFileSync(certFile)).validTo);
  } catch {
    return undefined;
  }
}

/**
 * Call `changed` when either file is another than before, looking every minute. Polling: renewal programs
 * replace symbolic links in other directories, which file system events miss.
 */
export function watchCertificate(files: TlsFiles, clock: Clock, changed: () => void): Cancel {
  let seen = fingerprintOf(files);
  let cancel = clock.after(LOOK_EVERY_MS, look);
  function look(): void {
    const now = fingerprintOf(files);
    if (now !== seen) changed();
    seen = now;
    cancel = clock.after(LOOK_EVERY_MS, look);
  }
  return () => cancel();
}

/** Older versions of TLS are refused. */
export const TLS_VERSION_MIN = 'TLSv1.2';

const LOOK_EVERY_MS = 60_000;

function fingerprintOf({ certFile, keyFile }: TlsFiles): string {
  return [certFile, keyFile]
    .map((file) => {
      const { ino, mtimeMs, size } = statSync(file, { throwIfNoEntry: false }) ?? {};
      return `${ino} ${mtimeMs} ${size}`;
    })
    .join(' ');
}

function tlsError(message: string, hint: string, options?: ErrorOptions): RelayError {
  return new RelayError('RELAY_TLS', message, hint, options);
}
