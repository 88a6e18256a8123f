/**
 * 01 Primitives. The KEM of prekeys: Kyber1024 as compatible peers compute it.
 *
 * The lattice part is ML-KEM-1024; the shell hashes the coin before and the secret after, on the rejection
 * path too. Key generation follows ML-KEM: the seed is never seen, so which hash expanded it cannot be.
 * Spec: spec/01-primitives.md §5. Vectors: sessions/kyber1024.json.
 */
import { type Bytes, concatBytes } from '../bytes.js';
import { VerificationError } from '../errors.js';
import { redacted, wipe } from '../secret.js';
import {
  type KemCiphertext,
  type KemKeyPair,
  type KemPublicKey,
  type KemSecretKey,
  KYBER1024_KEY_TYPE,
  toKemCiphertext,
  toKemPublicKey,
  toKemSecretKey,
} from '../types.js';
import { expectLength } from './lengths.js';
import {
  decapsulate,
  encryptPke,
  generatePke,
  isReducedKey,
  MLKEM1024,
  type Sponge,
} from './mlkem.js';

/** A key pair from 64 random bytes, d ‖ z; the caller wipes them. @throws UsageError `USAGE_LENGTH` */
export function generateKyber(sponge: Sponge, seed: Uint8Array): KemKeyPair {
  expectLength(seed, 64, 'Kyber seed');
  const expanded = sponge.sha3_512(seed.subarray(0, 32), new Uint8Array([MLKEM1024.k]));
  const { ek, s } = generatePke(sponge, MLKEM1024, expanded.subarray(0, 32), expanded.subarray(32));
  const secret = concatBytes(TYPE_BYTE, s, ek, sponge.sha3_256(ek), seed.subarray(32));
  wipe(expanded, s);
  return redacted({
    public: toKemPublicKey(concatBytes(TYPE_BYTE, ek)),
    secret: toKemSecretKey(secret),
  });
}

/**
 * Encapsulate with `coin`, 32 random bytes.
 *
 * @returns `sharedSecret`: 32 bytes, secret, owned by the caller.
 * @throws VerificationError `VERIFY_KEY_AGREEMENT` when a coefficient of the key is not below q: no honest
 *   peer makes such a key.
 * @throws UsageError `USAGE_LENGTH` for the coin.
 */
export function encapsulateKyber(
  sponge: Sponge,
  key: KemPublicKey,
  coin: Uint8Array,
): { readonly ciphertext: KemCiphertext; readonly sharedSecret: Bytes } {
  expectLength(coin, 32, 'Kyber coin');
  const ek = key.subarray(1);
  if (!isReducedKey(ek, MLKEM1024)) {
    throw new VerificationError('VERIFY_KEY_AGREEMENT', 'KEM public key is not reduced');
  }
  const m = sponge.sha3_256(coin);
  const keyAndCoins = sponge.sha3_512(m, sponge.sha3_256(ek));
  const ciphertext = encryptPke(sponge, MLKEM1024, ek, m, keyAndCoins.subarray(32));
  const sharedSecret = finish(sponge, keyAndCoins.subarray(0, 32), ciphertext);
  wipe(m, keyAndCoins);
  return { ciphertext: toKemCiphertext(concatBytes(TYPE_BYTE, ciphertext)), sharedSecret };
}

/**
 * Decapsulate. A wrong ciphertext gives a pseudo-random secret and never an error: the failure must show
 * only as a MAC that does not fit, later, like any other.
 *
 * @returns 32 bytes, secret, owned by the caller.
 */
export function decapsulateKyber(
  sponge: Sponge,
  secret: KemSecretKey,
  ciphertext: KemCiphertext,
): Bytes {
  const inner = decapsulate(sponge, MLKEM1024, secret.subarray(1), ciphertext.subarray(1));
  const out = finish(sponge, inner, ciphertext.subarray(1));
  wipe(inner);
  return out;
}

/** J(K ‖ H(ct)): the last step of the round-3 shell. */
function finish(sponge: Sponge, inner: Uint8Array, ciphertext: Uint8Array): Bytes {
  return sponge.shake256(32, inner, sponge.sha3_256(ciphertext));
}

const TYPE_BYTE = new Uint8Array([KYBER1024_KEY_TYPE]);
