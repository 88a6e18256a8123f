/** Façade. Curve and KEM keys, identity key pairs, and the small ciphers that hang on them. */
import { provider as crypto } from '#provider';
import { copyBytes, utf8, type Bytes } from '../bytes.js';
import { aes256GcmSivOpen, aes256GcmSivSeal } from '../crypto/aead.js';
import { equalBytes } from '../crypto/constant-time.js';
import { hpkeOpen, hpkeSeal } from '../hpke.js';
import {
  decodeIdentityKeyPair,
  encodeIdentityKeyPair,
  signAlternateIdentity,
  verifyAlternateIdentity,
} from '../identity.js';
import {
  toKemPublicKey,
  toKemSecretKey,
  toPrivateKey,
  toPublicKey,
  type KemPublicKey,
  type KemSecretKey,
  type KeyPair,
  type PrivateKey as CorePrivateKey,
  type PublicKey as CorePublicKey,
} from '../types.js';
import { byteArray, generic, translate } from './errors.js';

/** A Curve25519 public key. */
export class PublicKey {
  /** Ours; not for users. */
  readonly _core: CorePublicKey;

  private constructor(core: CorePublicKey) {
    this._core = core;
  }

  /** For the façade's own files. */
  static _of(core: CorePublicKey): PublicKey {
    return new PublicKey(core);
  }

  static deserialize(bytes: Uint8Array): PublicKey {
    return translate(
      'PublicKey_Deserialize',
      () => new PublicKey(toPublicKey(copyBytes(byteArray(bytes)))),
    );
  }

  /** Type byte and u-coordinate, 33 bytes. */
  serialize(): Bytes {
    return copyBytes(this._core);
  }

  /** The u-coordinate alone, 32 bytes. */
  getPublicKeyBytes(): Bytes {
    return this._core.slice(1);
  }

  equals(other: PublicKey): boolean {
    return equalBytes(this._core, other._core);
  }

  /** Whether `sig` is this key's XEdDSA signature of `msg`. */
  verify(msg: Uint8Array, sig: Uint8Array): boolean {
    return crypto.xeddsaVerify(this._core, byteArray(sig), byteArray(msg));
  }

  /** Whether this identity signed that `other` is its own as well. */
  verifyAlternateIdentity(other: PublicKey, signature: Uint8Array): boolean {
    return verifyAlternateIdentity(crypto, this._core, other._core, byteArray(signature));
  }

  /** Seal `msg` to this key (HPKE). */
  seal(msg: Uint8Array, info: string | Uint8Array, associatedData?: Uint8Array): Bytes {
    return translate('PublicKey_HpkeSeal', () =>
      hpkeSeal(
        crypto,
        this._core,
        msg,
        typeof info === 'string' ? utf8(info) : info,
        associatedData ?? new Uint8Array(0),
        crypto.x25519KeyPair(),
      ),
    );
  }
}

/** A Curve25519 private key. */
export class PrivateKey {
  /** Ours; not for users. Secret. */
  readonly _core: CorePrivateKey;

  private constructor(core: CorePrivateKey) {
    this._core = core;
  }

  /** For the façade's own files. */
  static _of(core: CorePrivateKey): PrivateKey {
    return new PrivateKey(core);
  }

  static generate(): PrivateKey {
    return new PrivateKey(crypto.x25519KeyPair().secret);
  }

  static deserialize(bytes: Uint8Array): PrivateKey {
    return translate('PrivateKey_Deserialize', () => {
      return new PrivateKey(toPrivateKey(copyBytes(byteArray(bytes))));
    });
  }

  /** 32 bytes, clamped. */
  serialize(): Bytes {
    return copyBytes(this._core);
  }

  /** XEdDSA signature of `msg`, 64 bytes. */
  sign(msg: Uint8Array): Bytes {
    return crypto.xeddsaSign(this._core, crypto.randomBytes(64), byteArray(msg));
  }

  /** X25519 with `other`, 32 bytes. */
  agree(other: PublicKey): Bytes {
    return translate('ECPrivateKey_Agree', () => crypto.x25519(this._core, other._core));
  }

  getPublicKey(): PublicKey {
    return PublicKey._of(crypto.x25519PublicKey(this._core));
  }

  /** Open what was sealed to this key's public half. */
  open(ciphertext: Uint8Array, info: string | Uint8Array, associatedData?: Uint8Array): Bytes {
    return translate('PrivateKey_HpkeOpen', () =>
      hpkeOpen(
        crypto,
        { secret: this._core, public: crypto.x25519PublicKey(this._core) },
        ciphertext,
        typeof info === 'string' ? utf8(info) : info,
        associatedData ?? new Uint8Array(0),
      ),
    );
  }
}

/** The identity of an account. */
export class IdentityKeyPair {
  readonly publicKey: PublicKey;
  readonly privateKey: PrivateKey;

  constructor(publicKey: PublicKey, privateKey: PrivateKey) {
    this.publicKey = publicKey;
    this.privateKey = privateKey;
  }

  static generate(): IdentityKeyPair {
    const privateKey = PrivateKey.generate();
    return new IdentityKeyPair(privateKey.getPublicKey(), privateKey);
  }

  static deserialize(bytes: Uint8Array): IdentityKeyPair {
    const pair = translate('IdentityKeyPair_Deserialize', () => decodeIdentityKeyPair(bytes));
    return new IdentityKeyPair(PublicKey._of(pair.public), PrivateKey._of(pair.secret));
  }

  serialize(): Bytes {
    return encodeIdentityKeyPair(corePair(this));
  }

  /** State that `other` is an identity of the same account. */
  signAlternateIdentity(other: PublicKey): Bytes {
    return signAlternateIdentity(crypto, corePair(this), other._core);
  }
}

/** An identity of theirs as one of ours. */
export function corePair(identity: IdentityKeyPair): KeyPair {
  return { public: identity.publicKey._core, secret: identity.privateKey._core };
}

/** A Kyber1024 public key. */
export class KEMPublicKey {
  readonly _core: KemPublicKey;

  private constructor(core: KemPublicKey) {
    this._core = core;
  }

  /** For the façade's own files. */
  static _of(core: KemPublicKey): KEMPublicKey {
    return new KEMPublicKey(core);
  }

  static deserialize(bytes: Uint8Array): KEMPublicKey {
    return translate('KyberPublicKey_Deserialize', () => {
      return new KEMPublicKey(toKemPublicKey(copyBytes(byteArray(bytes))));
    });
  }

  serialize(): Bytes {
    return copyBytes(this._core);
  }
}

/** A Kyber1024 secret key. */
export class KEMSecretKey {
  readonly _core: KemSecretKey;

  private constructor(core: KemSecretKey) {
    this._core = core;
  }

  /** For the façade's own files. */
  static _of(core: KemSecretKey): KEMSecretKey {
    return new KEMSecretKey(core);
  }

  static deserialize(bytes: Uint8Array): KEMSecretKey {
    return translate('KyberSecretKey_Deserialize', () => {
      return new KEMSecretKey(toKemSecretKey(copyBytes(byteArray(bytes))));
    });
  }

  serialize(): Bytes {
    return copyBytes(this._core);
  }
}

/** A Kyber1024 key pair. */
export class KEMKeyPair {
  readonly #public: KEMPublicKey;
  readonly #secret: KEMSecretKey;

  private constructor(publicKey: KEMPublicKey, secretKey: KEMSecretKey) {
    this.#public = publicKey;
    this.#secret = secretKey;
  }

  /** For the façade's own files. */
  static _of(publicKey: KEMPublicKey, secretKey: KEMSecretKey): KEMKeyPair {
    return new KEMKeyPair(publicKey, secretKey);
  }

  static generate(): KEMKeyPair {
    const pair = crypto.kyber1024KeyPair();
    return new KEMKeyPair(KEMPublicKey._of(pair.public), KEMSecretKey._of(pair.secret));
  }

  getPublicKey(): KEMPublicKey {
    return this.#public;
  }

  getSecretKey(): KEMSecretKey {
    return this.#secret;
  }
}

/** HKDF-SHA-256. `salt` null means 32 zero bytes. */
export function hkdf(
  outputLength: number,
  keyMaterial: Uint8Array,
  label: Uint8Array,
  salt: Uint8Array | null,
): Bytes {
  return crypto.hkdfSha256(salt ?? undefined, keyMaterial, label, outputLength);
}

/** AES-256-GCM-SIV, tag appended. */
export class Aes256GcmSiv {
  readonly #key: Bytes;

  private constructor(key: Bytes) {
    this.#key = key;
  }

  static new(key: Uint8Array): Aes256GcmSiv {
    if (byteArray(key).length !== 32) throw generic('invalid key size', 'Aes256GcmSiv_New');
    return new Aes256GcmSiv(copyBytes(key));
  }

  encrypt(message: Uint8Array, nonce: Uint8Array, associatedData: Uint8Array): Bytes {
    if (nonce.length !== 12) throw generic('invalid nonce size', 'Aes256GcmSiv_Encrypt');
    return aes256GcmSivSeal(this.#key, nonce, message, associatedData);
  }

  decrypt(message: Uint8Array, nonce: Uint8Array, associatedData: Uint8Array): Bytes {
    if (nonce.length !== 12) throw generic('invalid nonce size', 'Aes256GcmSiv_Decrypt');
    const plaintext = aes256GcmSivOpen(this.#key, nonce, message, associatedData);
    if (plaintext === undefined)
      throw generic('invalid authentication tag', 'Aes256GcmSiv_Decrypt');
    return plaintext;
  }
}
