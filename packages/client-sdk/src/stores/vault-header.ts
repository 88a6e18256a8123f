/**
 * 18 Stored rows §3. What lies beside a wrapped data key, and the words that separate its keys: the same in
 * Node and in browsers.
 */
import { ProtoReader, ProtoWriter, StoreError, copyBytes, utf8, type Bytes } from '@qasid/protocol';

/** scrypt cost as a power of two. Lower: a stolen file is searched faster. Higher: opening takes seconds. */
export const SCRYPT_LOG2_N = 17;

/** Highest cost a file may ask for: 1 GiB of memory. Stops an altered file from taking all of it. */
const SCRYPT_LOG2_N_MAX = 20;

/** scrypt block size. */
export const SCRYPT_R = 8;

/** Bytes of an AES-GCM nonce, random for each value. */
export const NONCE_BYTES = 12;

/** Bytes of an AES-GCM tag. */
export const TAG_BYTES = 16;

/** Associated data of the wrapped data key; the parameters follow. */
export const LABEL_DATA_KEY: Bytes = utf8('qasid/store/data-key/1');

/** HKDF info of the key that seals values. */
export const LABEL_VALUE_KEY: Bytes = utf8('qasid/store/value/1');

/** HKDF info of the key that hides names. */
export const LABEL_INDEX_KEY: Bytes = utf8('qasid/store/index/1');

/** The parameters next to the wrapped data key. Public, and authenticated by the wrapping. */
export interface VaultParameters {
  readonly log2N: number;
  /** 16 bytes. */
  readonly salt: Bytes;
}

/** A header, taken apart. */
export interface VaultHeader {
  readonly parameters: VaultParameters;
  /** The parameters as they are authenticated. */
  readonly encoded: Bytes;
  readonly wrapped: Bytes;
}

/** The bytes that are authenticated with the wrapped key. */
export function encodeParameters(parameters: VaultParameters): Bytes {
  return new ProtoWriter(32)
    .uint32(1, 1)
    .uint32(2, parameters.log2N)
    .bytes(3, parameters.salt)
    .finish();
}

/** What a store keeps to be opened again. */
export function encodeHeader(encoded: Uint8Array, wrapped: Uint8Array): Bytes {
  return new ProtoWriter().bytes(1, encoded).bytes(2, wrapped).finish();
}

/** @throws StoreError `STORE_CORRUPT` */
export function decodeHeader(header: Uint8Array): VaultHeader {
  try {
    const outer = byteFields(header, []);
    const encoded = outer.bytes.get(1);
    const wrapped = outer.bytes.get(2);
    const inner = byteFields(encoded ?? new Uint8Array(0), [1, 2]);
    const log2N = inner.numbers.get(2) ?? 0;
    const salt = inner.bytes.get(3);
    const known = inner.numbers.get(1) === 1 && log2N >= 1 && log2N <= SCRYPT_LOG2_N_MAX;
    if (!known || salt?.length !== 16 || encoded === undefined || wrapped === undefined) {
      throw new StoreError('STORE_CORRUPT', 'store header is damaged');
    }
    return { encoded, parameters: { log2N, salt }, wrapped };
  } catch (cause) {
    if (cause instanceof StoreError) throw cause;
    throw new StoreError('STORE_CORRUPT', 'store header is damaged', { cause });
  }
}

function byteFields(
  encoded: Uint8Array,
  numbers: readonly number[],
): { readonly numbers: Map<number, number>; readonly bytes: Map<number, Bytes> } {
  const out = { numbers: new Map<number, number>(), bytes: new Map<number, Bytes>() };
  const reader = new ProtoReader(encoded);
  while (reader.next()) {
    if (numbers.includes(reader.field)) out.numbers.set(reader.field, reader.uint32());
    else out.bytes.set(reader.field, copyBytes(reader.bytes()));
  }
  return out;
}
