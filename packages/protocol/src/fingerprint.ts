/**
 * 02 Identity. Fingerprints: what two people compare, by reading 60 digits or by scanning, to know that
 * nobody stands between them. "Safety number" in user interfaces.
 *
 * Spec: spec/02-identity.md §6.
 */
import { type Bytes, copyBytes, samePublicBytes } from './bytes.js';
import type { CryptoProvider } from './crypto/provider.js';
import { DecodeError, UsageError } from './errors.js';
import type { PublicKey } from './types.js';
import { ProtoReader, ProtoWriter } from './wire/protobuf.js';

/** One person as the other knows them. */
export interface FingerprintParty {
  /** What names the account: in Qasid and for version 2, the service id in binary form. */
  readonly identifier: Uint8Array;
  /** The account's, 33 bytes. */
  readonly identityKey: PublicKey;
}

/** Both forms of a fingerprint. */
export interface Fingerprint {
  /** 60 decimal digits, the same on both sides. */
  readonly digits: string;
  /** For a QR code; each side's is the other's with the halves exchanged. */
  readonly scannable: Bytes;
}

/** Hashes per side. Lower: a colliding key is cheaper to search. Higher: phones wait. Signal's value. */
export const FINGERPRINT_ITERATIONS = 5_200;

/** Fewest hashes that are accepted: one would leave out the second use of the key. */
export const FINGERPRINT_ITERATIONS_MIN = 2;

/** Most hashes that are accepted; beyond it a caller's mistake would hang the program for minutes. */
export const FINGERPRINT_ITERATIONS_MAX = 1_000_000;

/** Version in the scannable form when identifiers are service ids. */
export const FINGERPRINT_VERSION = 2;

/**
 * Make the fingerprint of two people.
 *
 * @param version - Kind of identifiers, written into the scannable form only.
 * @param iterations - 2 to 1 000 000; both sides must use the same.
 * @throws UsageError `USAGE_RANGE` for another number of iterations.
 *
 * Source: 02 §6. Vectors: fingerprint/fingerprints.json.
 */
export function createFingerprint(
  crypto: CryptoProvider,
  local: FingerprintParty,
  remote: FingerprintParty,
  version: number = FINGERPRINT_VERSION,
  iterations: number = FINGERPRINT_ITERATIONS,
): Fingerprint {
  const ours = fingerprintHash(crypto, local, iterations);
  const theirs = fingerprintHash(crypto, remote, iterations);
  const halves = [digitsOf(ours), digitsOf(theirs)].sort();
  return { digits: halves.join(''), scannable: encodeScannable(version, ours, theirs) };
}

/**
 * The 64-byte hash of one side.
 *
 * @throws UsageError `USAGE_RANGE`.
 *
 * Source: 02 §6.1. Vectors: fingerprint/fingerprints.json, `localHash`.
 */
export function fingerprintHash(
  crypto: CryptoProvider,
  { identifier, identityKey }: FingerprintParty,
  iterations: number,
): Bytes {
  if (
    !Number.isInteger(iterations) ||
    iterations < FINGERPRINT_ITERATIONS_MIN ||
    iterations > FINGERPRINT_ITERATIONS_MAX
  ) {
    throw new UsageError('USAGE_RANGE', `${iterations} fingerprint iterations`);
  }
  const first = crypto.sha512(HASH_VERSION, identityKey, identifier, identityKey);
  return crypto.sha512Iterated(first, identityKey, iterations - 1);
}

/**
 * Whether the code scanned from the other side belongs to ours: their local half is our remote half, and the
 * reverse. `false` means that a key or an identifier differs, and people must be told.
 *
 * @throws DecodeError `DECODE_FINGERPRINT` for bytes that are no code; `DECODE_FINGERPRINT_VERSION` when the
 *   other side compares identifiers of another kind: then nothing is known, and one app needs an update.
 *
 * Source: 02 §6.3. Vectors: fingerprint/fingerprints.json, `compare`.
 */
export function compareScannable(ours: Uint8Array, theirs: Uint8Array): boolean {
  const our = decodeScannable(ours);
  if (our.version === undefined || our.local === undefined || our.remote === undefined) {
    throw new DecodeError('DECODE_FINGERPRINT', 'our fingerprint lacks a field');
  }
  const their = decodeScannable(theirs);
  const theirVersion = their.version ?? 0;
  if (theirVersion !== our.version) {
    throw new DecodeError(
      'DECODE_FINGERPRINT_VERSION',
      `fingerprint of version ${theirVersion}, ours is ${our.version}`,
    );
  }
  if (their.local === undefined || their.remote === undefined) {
    throw new DecodeError('DECODE_FINGERPRINT', 'their fingerprint lacks a field');
  }
  return samePublicBytes(their.local, our.remote) && samePublicBytes(their.remote, our.local);
}

function encodeScannable(version: number, local: Bytes, remote: Bytes): Bytes {
  const half = (hash: Bytes) => new ProtoWriter(40).bytes(1, hash.subarray(0, 32)).finish();
  return new ProtoWriter(80)
    .uint32(1, version)
    .bytes(2, half(local))
    .bytes(3, half(remote))
    .finish();
}

interface Scannable {
  version: number | undefined;
  local: Bytes | undefined;
  remote: Bytes | undefined;
}

function decodeScannable(bytes: Uint8Array): Scannable {
  const out: Scannable = { version: undefined, local: undefined, remote: undefined };
  try {
    const reader = new ProtoReader(bytes);
    while (reader.next()) {
      if (reader.field === 1) out.version = reader.uint32();
      // A repeated half merges with the one before: content of the last that has any.
      else if (reader.field === 2) out.local = readHalf(reader.bytes()) ?? out.local;
      else if (reader.field === 3) out.remote = readHalf(reader.bytes()) ?? out.remote;
      else reader.skip();
    }
  } catch (cause) {
    throw new DecodeError('DECODE_FINGERPRINT', 'not a fingerprint', { cause });
  }
  return out;
}

function readHalf(bytes: Uint8Array): Bytes | undefined {
  const reader = new ProtoReader(bytes);
  let content: Bytes | undefined;
  while (reader.next()) {
    if (reader.field === 1) content = copyBytes(reader.bytes());
    else reader.skip();
  }
  return content;
}

/** Six groups of five bytes, each a big-endian number modulo 100 000 in five digits. */
function digitsOf(hash: Bytes): string {
  let digits = '';
  for (let i = 0; i < 30; i += 5) {
    let group = 0;
    for (const byte of hash.subarray(i, i + 5)) group = group * 256 + byte;
    digits += String(group % 100_000).padStart(5, '0');
  }
  return digits;
}

/** Fixed, whatever the version of the scannable form. */
const HASH_VERSION = new Uint8Array(2);
