/**
 * 18 Stored rows. Encryption at rest: what a passphrase does to the columns of a store. Node only.
 *
 * passphrase ─scrypt─► key-encryption key ─AES-256-GCM─► data key (random) ─HKDF─► value key, index key
 *
 * Every value is sealed with AES-256-GCM; its place (table, row) is associated data, so rows cannot be
 * swapped. Names that serve as keys of rows become HMACs. What stays readable: numbers of rows, versions,
 * counters, prekey ids, sizes. Putting back an older copy of the file as a whole is noticed elsewhere: 18 §8.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  scryptSync,
} from 'node:crypto';

import { StoreError, concatBytes, copyBytes, utf8, wipe, type Bytes } from '@qasid/protocol';

import {
  decodeHeader,
  encodeHeader,
  encodeParameters,
  LABEL_DATA_KEY,
  LABEL_INDEX_KEY,
  LABEL_VALUE_KEY,
  NONCE_BYTES,
  SCRYPT_LOG2_N,
  SCRYPT_R,
  TAG_BYTES,
  type VaultParameters,
} from './vault-header.js';

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
  return { vault: vaultOf(dataKey), header: encodeHeader(encoded, wrapped) };
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
