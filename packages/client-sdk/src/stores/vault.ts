/**
 * 18 Stored rows. Encryption at rest: what a passphrase does to the columns of a store. Node only.
 *
 * passphrase ─scrypt─► key-encryption key ─AES-256-GCM─► data key (random) ─HKDF─► value key, index key
 *
 * Every value is sealed with AES-256-GCM; its place (table, row) is associated data, so rows cannot be
 * swapped. Names that serve as keys of rows become HMACs. What stays readable: numbers of rows, versions,
 * counters, prekey ids, sizes. Putting back an older copy of the file as a whole is not noticed.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  scryptSync,
} from 'node:crypto';

import {
  ProtoReader,
  ProtoWriter,
  StoreError,
  concatBytes,
  copyBytes,
  utf8,
  wipe,
  type Bytes,
} from '@qasid/protocol';

/** How one store hides its values. */
export interface Vault {
  /** Value as stored. `place` names table and row. */
  seal(place: string, value: Uint8Array): Bytes;
  /** @throws StoreError `STORE_CORRUPT` when it was not sealed for this place by this vault. */
  open(place: string, sealed: Uint8Array): Bytes;
  /** Key of a row whose name is private; the same name always gives the same key. */
  rowKey(table: string, name: string): Bytes;
}

/** The vault of a store without a passphrase: everything as it is. */
export const openVault: Vault = {
  seal: (_place, value) => copyBytes(value),
  open: (_place, sealed) => copyBytes(sealed),
  rowKey: (_table, name) => utf8(name),
};

/** scrypt cost as a power of two. Lower: a stolen file is searched faster. Higher: opening takes seconds. */
export const SCRYPT_LOG2_N = 17;

/** Highest cost a file may ask for: 1 GiB of memory. Stops an altered file from taking all of it. */
const SCRYPT_LOG2_N_MAX = 20;
const SCRYPT_R = 8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

const LABEL_DATA_KEY = utf8('qasid/store/data-key/1');
const LABEL_VALUE_KEY = utf8('qasid/store/value/1');
const LABEL_INDEX_KEY = utf8('qasid/store/index/1');

function gcmSeal(key: Uint8Array, context: Uint8Array, value: Uint8Array): Bytes {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(context);
  const body = cipher.update(value);
  return concatBytes(nonce, body, cipher.final(), cipher.getAuthTag());
}

function gcmOpen(key: Uint8Array, context: Uint8Array, sealed: Uint8Array): Bytes | undefined {
  if (sealed.length < NONCE_BYTES + TAG_BYTES) return undefined;
  const end = sealed.length - TAG_BYTES;
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(context);
  decipher.setAuthTag(sealed.subarray(end));
  try {
    const body = decipher.update(sealed.subarray(NONCE_BYTES, end));
    return concatBytes(body, decipher.final());
  } catch {
    return undefined;
  }
}

/** The parameters next to the wrapped data key. Public, and authenticated by the wrapping. */
interface VaultParameters {
  readonly log2N: number;
  /** 16 bytes. */
  readonly salt: Bytes;
}

function encodeParameters(parameters: VaultParameters): Bytes {
  return new ProtoWriter(32)
    .uint32(1, 1)
    .uint32(2, parameters.log2N)
    .bytes(3, parameters.salt)
    .finish();
}

function keyEncryptionKey(passphrase: string, parameters: VaultParameters): Bytes {
  const N = 2 ** parameters.log2N;
  // NFC: the same passphrase typed on two systems gives the same bytes.
  return copyBytes(
    scryptSync(passphrase.normalize('NFC'), parameters.salt, 32, {
      N,
      r: SCRYPT_R,
      p: 1,
      maxmem: 128 * SCRYPT_R * (N + 64),
    }),
  );
}

/** A vault with its data key; the key lives as long as the process. */
function vaultOf(dataKey: Bytes): Vault {
  const none = new Uint8Array(0);
  const valueKey = new Uint8Array(hkdfSync('sha256', dataKey, none, LABEL_VALUE_KEY, 32));
  const indexKey = new Uint8Array(hkdfSync('sha256', dataKey, none, LABEL_INDEX_KEY, 32));
  wipe(dataKey);
  return {
    seal: (place, value) => gcmSeal(valueKey, utf8(place), value),
    open(place, sealed) {
      const value = gcmOpen(valueKey, utf8(place), sealed);
      if (value === undefined) throw new StoreError('STORE_CORRUPT', 'stored value was altered');
      return value;
    },
    rowKey: (table, name) =>
      copyBytes(
        createHmac('sha256', indexKey)
          .update(utf8(`${table}/${name}`))
          .digest(),
      ),
  };
}

/**
 * A new vault and the header to keep for the next opening.
 *
 * @param log2N - For tests; production leaves the default.
 */
export function createVault(
  passphrase: string,
  log2N: number = SCRYPT_LOG2_N,
): { readonly vault: Vault; readonly header: Bytes } {
  const parameters = { log2N, salt: copyBytes(randomBytes(16)) };
  const encoded = encodeParameters(parameters);
  const dataKey = copyBytes(randomBytes(32));
  const kek = keyEncryptionKey(passphrase, parameters);
  const wrapped = gcmSeal(kek, concatBytes(LABEL_DATA_KEY, encoded), dataKey);
  wipe(kek);
  const header = new ProtoWriter().bytes(1, encoded).bytes(2, wrapped).finish();
  return { vault: vaultOf(dataKey), header };
}

/**
 * Open the vault of an existing store.
 *
 * @throws StoreError `STORE_PASSPHRASE` for a wrong passphrase or an altered header (they look the same),
 *   `STORE_CORRUPT` when the header is none.
 */
export function unlockVault(passphrase: string, header: Uint8Array): Vault {
  const { encoded, parameters, wrapped } = decodeHeader(header);
  const kek = keyEncryptionKey(passphrase, parameters);
  const dataKey = gcmOpen(kek, concatBytes(LABEL_DATA_KEY, encoded), wrapped);
  wipe(kek);
  if (dataKey?.length !== 32) throw new StoreError('STORE_PASSPHRASE', 'wrong passphrase');
  return vaultOf(dataKey);
}

function decodeHeader(header: Uint8Array): {
  readonly encoded: Bytes;
  readonly parameters: VaultParameters;
  readonly wrapped: Bytes;
} {
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
