/**
 * 01 Primitives. Raw keys as KeyObjects of node:crypto, remembered while their array lives.
 *
 * Raw keys go in as JWK: on Node 20 that is ten times faster than a DER prefix. Importing a private key
 * costs as much as an agreement, so imports are cached by the identity of the array. The cache is weak: it
 * keeps no key alive. Spec: spec/01-primitives.md §7.
 */
import { createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';

import { type Bytes, copyBytes, samePublicBytes } from '../bytes.js';
import { isAllZero } from './constant-time.js';

/** Curves of RFC 8037. */
export type OkpCurve = 'X25519' | 'Ed25519';

/**
 * Imports raw 32-byte keys of one curve.
 *
 * A private key array is never rewritten except by `wipe` (provider.ts); a wiped one falls out of the
 * cache. A public key array is compared with what was imported, so a rewritten one is imported again.
 */
export class KeyCache {
  readonly #curve: OkpCurve;
  readonly #private = new WeakMap<Uint8Array, KeyObject>();
  readonly #public = new WeakMap<Uint8Array, { readonly raw: Bytes; readonly key: KeyObject }>();

  constructor(curve: OkpCurve) {
    this.#curve = curve;
  }

  /** The KeyObject of a private key or seed, 32 bytes. */
  privateKey(secret: Uint8Array): KeyObject {
    const known = this.#private.get(secret);
    if (known !== undefined && !isAllZero(secret)) return known;
    const key = createPrivateKey({
      // Node wants an x but computes the true one from d; `nativeCurves` in node.ts checks that it does.
      key: { kty: 'OKP', crv: this.#curve, d: base64url(secret), x: ZERO_X },
      format: 'jwk',
    });
    this.#private.set(secret, key);
    return key;
  }

  /**
   * The KeyObject of a public key.
   *
   * @param holder - The array the cache entry hangs on. @param raw - Its 32 key bytes.
   */
  publicKey(holder: Uint8Array, raw: Uint8Array): KeyObject {
    const known = this.#public.get(holder);
    if (known !== undefined && samePublicBytes(known.raw, raw)) return known.key;
    const key = importPublic(this.#curve, raw);
    this.#public.set(holder, { raw: copyBytes(raw), key });
    return key;
  }

  /** The 32 public bytes that belong to a private key. */
  derive(secret: Uint8Array): Bytes {
    return rawPublic(createPublicKey(this.privateKey(secret)));
  }
}

/** KeyObjects of the public keys used last, found by the bytes of the key. */
export class RecentKeys {
  readonly #max: number;
  /** In order of last use, oldest first. */
  readonly #keys = new Map<string, KeyObject>();

  /** @param max - Entries kept. */
  constructor(max: number) {
    this.#max = max;
  }

  /** The KeyObject of `key` with `sign`, made by `make` when it is not here; `undefined` when it has none. */
  get(key: Uint8Array, sign: 0 | 1, make: () => KeyObject | undefined): KeyObject | undefined {
    const name = latin1(key) + (sign === 1 ? '-' : '+');
    const found = this.#keys.get(name) ?? make();
    if (found === undefined) return undefined;
    this.#keys.delete(name);
    this.#keys.set(name, found);
    if (this.#keys.size > this.#max) {
      for (const oldest of this.#keys.keys()) {
        this.#keys.delete(oldest);
        break;
      }
    }
    return found;
  }
}

/** The KeyObject of a public key of 32 bytes. */
export function importPublic(curve: OkpCurve, raw: Uint8Array): KeyObject {
  return createPublicKey({ key: { kty: 'OKP', crv: curve, x: base64url(raw) }, format: 'jwk' });
}

function rawPublic(key: KeyObject): Bytes {
  const { x } = key.export({ format: 'jwk' }) as JsonWebKey;
  return copyBytes(Buffer.from(x ?? '', 'base64url'));
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
}

/** 32 zero bytes. */
const ZERO_X = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
