/// <reference lib="dom" />
/**
 * 18 Stored rows §3, §7. Encryption at rest in a browser: WebCrypto with keys that scripts cannot read out.
 *
 * With a passphrase the keys come from it, as in `vault.ts`, and the header is the same. Without one they
 * are made here and kept by the browser as keys that may be used and not exported: a copy of the stored
 * values alone opens nothing, but whoever runs as this browser profile opens everything.
 */
import { StoreError, concatBytes, copyBytes, toHex, utf8, wipe, type Bytes } from '@qasid/protocol';
import { scryptAsync } from '@noble/hashes/scrypt.js';

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

/** What a store keeps to open its vault again. */
export type VaultRow =
  | { readonly kind: 'passphrase'; readonly header: Bytes }
  /** Keys that the browser keeps and does not give out. */
  | { readonly kind: 'browser'; readonly valueKey: CryptoKey; readonly indexKey: CryptoKey };

/** How a store in a browser hides its values. */
export class WebVault {
  readonly #valueKey: CryptoKey;
  readonly #indexKey: CryptoKey;

  constructor(valueKey: CryptoKey, indexKey: CryptoKey) {
    this.#valueKey = valueKey;
    this.#indexKey = indexKey;
  }

  /** Value as stored. `place` names table and row. */
  async seal(place: string, value: Uint8Array): Promise<Bytes> {
    return gcmSeal(this.#valueKey, utf8(place), value);
  }

  /** @throws StoreError `STORE_CORRUPT` when it was not sealed for this place by this vault. */
  async open(place: string, sealed: Uint8Array): Promise<Bytes> {
    const value = await gcmOpen(this.#valueKey, utf8(place), sealed);
    if (value === undefined) throw new StoreError('STORE_CORRUPT', 'stored value was altered');
    return value;
  }

  /** Key of a row whose name is private, in hex; the same name always gives the same key. */
  async rowKey(table: string, name: string): Promise<string> {
    const mac = await crypto.subtle.sign('HMAC', this.#indexKey, utf8(`${table}/${name}`));
    return toHex(new Uint8Array(mac));
  }
}

/** A new vault, with a passphrase or without. `log2N`: for tests; production leaves the default. */
export async function createWebVault(
  passphrase: string | undefined,
  log2N: number = SCRYPT_LOG2_N,
): Promise<{ readonly vault: WebVault; readonly row: VaultRow }> {
  if (passphrase === undefined) {
    const valueKey = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, [
      'encrypt',
      'decrypt',
    ]);
    const hmac = { name: 'HMAC', hash: 'SHA-256', length: 256 };
    const indexKey = await crypto.subtle.generateKey(hmac, false, ['sign']);
    return {
      vault: new WebVault(valueKey, indexKey),
      row: { kind: 'browser', valueKey, indexKey },
    };
  }
  const parameters = { log2N, salt: random(16) };
  const encoded = encodeParameters(parameters);
  const dataKey = random(32);
  const kek = await keyEncryptionKey(passphrase, parameters);
  const wrapped = await gcmSeal(kek, concatBytes(LABEL_DATA_KEY, encoded), dataKey);
  const header = encodeHeader(encoded, wrapped);
  return { vault: await vaultOf(dataKey), row: { kind: 'passphrase', header } };
}

/**
 * Open the vault of an existing store.
 *
 * @throws StoreError `STORE_PASSPHRASE` for a wrong passphrase, one too many or one too few, or an altered
 *   header; `STORE_CORRUPT` when the header is none.
 */
export async function unlockWebVault(
  passphrase: string | undefined,
  row: VaultRow,
): Promise<WebVault> {
  if (row.kind === 'browser') {
    if (passphrase === undefined) return new WebVault(row.valueKey, row.indexKey);
    throw new StoreError('STORE_PASSPHRASE', 'this store was made without a passphrase');
  }
  if (passphrase === undefined) {
    throw new StoreError('STORE_PASSPHRASE', 'this store needs its passphrase');
  }
  const { encoded, parameters, wrapped } = decodeHeader(row.header);
  const kek = await keyEncryptionKey(passphrase, parameters);
  const dataKey = await gcmOpen(kek, concatBytes(LABEL_DATA_KEY, encoded), wrapped);
  if (dataKey?.length !== 32) throw new StoreError('STORE_PASSPHRASE', 'wrong passphrase');
  return vaultOf(dataKey);
}

/** A vault with its data key, which is wiped: from here on only the browser has the keys. */
async function vaultOf(dataKey: Bytes): Promise<WebVault> {
  const root = await crypto.subtle.importKey('raw', dataKey, 'HKDF', false, ['deriveKey']);
  wipe(dataKey);
  const derive = (info: Bytes, key: AesKeyGenParams | HmacKeyGenParams, usages: KeyUsage[]) =>
    crypto.subtle.deriveKey(
      { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(0), info },
      root,
      key,
      false,
      usages,
    );
  const [valueKey, indexKey] = await Promise.all([
    derive(LABEL_VALUE_KEY, { name: 'AES-GCM', length: 256 }, ['encrypt', 'decrypt']),
    derive(LABEL_INDEX_KEY, { name: 'HMAC', hash: 'SHA-256', length: 256 }, ['sign']),
  ]);
  return new WebVault(valueKey, indexKey);
}

async function keyEncryptionKey(
  passphrase: string,
  parameters: VaultParameters,
): Promise<CryptoKey> {
  // NFC: the same passphrase typed on two systems gives the same bytes.
  const secret = utf8(passphrase.normalize('NFC'));
  const N = 2 ** parameters.log2N;
  const options = { N, r: SCRYPT_R, p: 1, dkLen: 32, maxmem: 128 * SCRYPT_R * (N + 64) };
  const kek = copyBytes(await scryptAsync(secret, parameters.salt, options));
  wipe(secret);
  try {
    return await crypto.subtle.importKey('raw', kek, 'AES-GCM', false, ['encrypt', 'decrypt']);
  } finally {
    wipe(kek);
  }
}

async function gcmSeal(key: CryptoKey, context: Bytes, value: Uint8Array): Promise<Bytes> {
  const nonce = random(NONCE_BYTES);
  const parameters = { name: 'AES-GCM', iv: nonce, additionalData: context };
  const sealed = await crypto.subtle.encrypt(parameters, key, copyBytes(value));
  return concatBytes(nonce, new Uint8Array(sealed));
}

async function gcmOpen(
  key: CryptoKey,
  context: Bytes,
  sealed: Uint8Array,
): Promise<Bytes | undefined> {
  if (sealed.length < NONCE_BYTES + TAG_BYTES) return undefined;
  const bytes = copyBytes(sealed);
  const iv = bytes.subarray(0, NONCE_BYTES);
  const parameters = { name: 'AES-GCM', iv, additionalData: context };
  try {
    return new Uint8Array(
      await crypto.subtle.decrypt(parameters, key, bytes.subarray(NONCE_BYTES)),
    );
  } catch {
    return undefined;
  }
}

function random(length: number): Bytes {
  return crypto.getRandomValues(new Uint8Array(length));
}
