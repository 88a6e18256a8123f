/**
 * 01 Primitives. The functions the chapters need from a cryptographic library, and nothing else.
 *
 * Two implementations: noble.ts (portable, browsers) and node.ts (node:crypto where it is faster).
 * `#provider` chooses by import condition. One contract suite runs on both and compares byte for byte.
 * Everything is synchronous: an `await` inside a ratchet would let state change between check and use.
 */
import type { Bytes } from '../bytes.js';
import type {
  KemCiphertext,
  KemKeyPair,
  KemPublicKey,
  KemSecretKey,
  KeyPair,
  PrivateKey,
  PublicKey,
} from '../types.js';

/** An Ed25519 key pair for relay authentication: 32-byte seed (secret) and 32-byte public key. */
export interface SigningKeyPair {
  readonly public: Bytes;
  readonly secret: Bytes;
}

/** A fresh ML-KEM-768 key pair in the pieces SPQR sends. Spec 06. */
export interface IncrementalKeyPair {
  /** rho (32) and H(ek) (32). */
  readonly header: Bytes;
  /** 1152 bytes. */
  readonly ekVector: Bytes;
  /** FIPS 203 decapsulation key, 2400 bytes. Secret. */
  readonly dk: Bytes;
}

/** First half of an incremental encapsulation. Spec 06. */
export interface IncrementalEncapsulation {
  /** 960 bytes. */
  readonly ct1: Bytes;
  /** 2080 bytes: r-hat, e2, m in the layout of spec 06. Secret. */
  readonly encapsState: Bytes;
  /** 32 bytes. Secret. */
  readonly sharedSecret: Bytes;
}

/**
 * The primitives, synchronous. Returned arrays are fresh and owned by the caller. A provider may cache
 * imported forms of a private key by the identity of its array, so a private key array is never rewritten
 * except by `wipe`; a wiped one is refused with UsageError `USAGE_ARGUMENT`.
 */
export interface CryptoProvider {
  /** `'noble'` or `'node'`, for benches and bug reports. */
  readonly name: string;

  /** `length` bytes from the platform's generator. @throws UsageError `USAGE_NO_RANDOMNESS` without one. */
  randomBytes(length: number): Bytes;

  /** SHA-256 of the parts joined; 32 bytes. */
  sha256(...parts: readonly Uint8Array[]): Bytes;
  /** SHA-512 of the parts joined; 64 bytes. */
  sha512(...parts: readonly Uint8Array[]): Bytes;
  /**
   * `times` times h = SHA-512(h || suffix), from h = `first` (64 bytes). Public values only: a fast way may
   * leave copies behind. Spec 02 §6.1.
   */
  sha512Iterated(first: Uint8Array, suffix: Uint8Array, times: number): Bytes;
  /** HMAC-SHA-256 of the parts joined; 32 bytes. */
  hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Bytes;
  /** HKDF-SHA-256 (RFC 5869). `salt` undefined means 32 zero bytes. */
  hkdfSha256(
    salt: Uint8Array | undefined,
    ikm: Uint8Array,
    info: Uint8Array,
    length: number,
  ): Bytes;

  /** A fresh key pair; `secret` clamped. */
  x25519KeyPair(): KeyPair;
  /** Public key of a clamped private key. */
  x25519PublicKey(secret: PrivateKey): PublicKey;
  /**
   * X25519 (RFC 7748); `theirs` is used as it is. 32 bytes, secret, owned by the caller.
   * @throws VerificationError `VERIFY_KEY_AGREEMENT` when the result is all zero.
   */
  x25519(secret: PrivateKey, theirs: PublicKey): Bytes;
  /** Whether a base key is canonical and in the prime-order subgroup. Spec 01 and 04. */
  isCanonicalPublicKey(key: PublicKey): boolean;

  /** XEdDSA signature over the joined parts; `random` is 64 fresh bytes. 64 bytes. Spec 01. */
  xeddsaSign(secret: PrivateKey, random: Uint8Array, ...parts: readonly Uint8Array[]): Bytes;
  /** Whether `signature` is valid. Never throws. Spec 01. */
  xeddsaVerify(key: PublicKey, signature: Uint8Array, ...parts: readonly Uint8Array[]): boolean;

  /** A fresh Ed25519 pair. */
  ed25519KeyPair(): SigningKeyPair;
  /** Ed25519 (RFC 8032) with the 32-byte seed. 64 bytes. */
  ed25519Sign(secret: Uint8Array, message: Uint8Array): Bytes;
  /** Whether `signature` is valid. Never throws. */
  ed25519Verify(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;

  /** AES-256-CBC with PKCS#7 padding. `key` 32 bytes, `iv` 16. */
  aesCbcEncrypt(key: Uint8Array, iv: Uint8Array, plaintext: Uint8Array): Bytes;
  /** The plaintext, or `undefined` for a bad length or padding. Only after the MAC was checked. */
  aesCbcDecrypt(key: Uint8Array, iv: Uint8Array, ciphertext: Uint8Array): Bytes | undefined;

  /** A fresh Kyber1024 (round 3, as used here) pair. Spec 01. */
  kyber1024KeyPair(): KemKeyPair;
  /**
   * Encapsulate with `coin` (32 fresh bytes). `sharedSecret` is 32 bytes, secret, owned by the caller.
   * @throws VerificationError `VERIFY_KEY_AGREEMENT` for a public key with coefficients out of range.
   */
  kyber1024Encapsulate(
    key: KemPublicKey,
    coin: Uint8Array,
  ): { readonly ciphertext: KemCiphertext; readonly sharedSecret: Bytes };
  /** 32 bytes, secret. A wrong ciphertext gives a pseudo-random secret, never an error. */
  kyber1024Decapsulate(secret: KemSecretKey, ciphertext: KemCiphertext): Bytes;

  /** ML-KEM-768 key pair from 64 random bytes (d, z). Spec 06. */
  mlkem768KeyPair(seed: Uint8Array): IncrementalKeyPair;
  /** First half of an encapsulation; `m` is 32 random bytes. Spec 06. */
  mlkem768Encapsulate1(header: Uint8Array, m: Uint8Array): IncrementalEncapsulation;
  /** Second half: ct2, 128 bytes. Spec 06. */
  mlkem768Encapsulate2(ekVector: Uint8Array, encapsState: Uint8Array): Bytes;
  /** 32 bytes, secret. A wrong ciphertext gives a pseudo-random secret. Spec 06. */
  mlkem768Decapsulate(dk: Uint8Array, ct1: Uint8Array, ct2: Uint8Array): Bytes;
  /** Whether an ek vector fits its header and is reduced. Spec 06. */
  mlkem768CheckEkVector(header: Uint8Array, ekVector: Uint8Array): boolean;
}
