/**
 * 01 Primitives. K-PKE, the encryption inside ML-KEM (FIPS 203 §5), for k = 3 and k = 4, in the pieces
 * that the two KEMs here need: kyber1024.ts and mlkem768-incremental.ts put their shells around it.
 *
 * Written here because SPQR needs encryption cut in two, which no library offers, and because it is
 * faster than the library we would take. Matrix, noise and hashes come from a `Sponge`, so a provider may
 * bring native ones. Owns and wipes every secret intermediate. Spec: spec/01-primitives.md §4.
 */
import type { Bytes } from '../bytes.js';
import { wipe } from '../secret.js';
import {
  addInto,
  borrow,
  centredBinomial,
  compress,
  decompress,
  inverseNtt,
  isReducedVector,
  multiplyAccumulate,
  N,
  ntt,
  type Poly,
  pack,
  parseUniform,
  reduce,
  release,
  removeMontgomeryFactor,
  subtractFrom,
  toCanonical,
  unpack,
} from './mlkem-poly.js';

/** The Keccak functions of FIPS 202 that ML-KEM uses. */
export interface Sponge {
  /** SHA3-256 of the parts joined, 32 bytes: H. */
  sha3_256(...parts: readonly Uint8Array[]): Bytes;
  /** SHA3-512 of the parts joined, 64 bytes: G. */
  sha3_512(...parts: readonly Uint8Array[]): Bytes;
  /** SHAKE-256 of the parts joined, `length` bytes: PRF and J. */
  shake256(length: number, ...parts: readonly Uint8Array[]): Bytes;
  /** The SHAKE-128 stream of `seed` (public), block after block of 168 bytes or a multiple: XOF. */
  shake128(seed: Uint8Array): () => Uint8Array;
}

/** Sizes of one parameter set. Both have eta1 = eta2 = 2. */
export interface Parameters {
  readonly k: 3 | 4;
  /** Bits per coefficient of u in the ciphertext. */
  readonly du: 10 | 11;
  /** Bits per coefficient of v in the ciphertext. */
  readonly dv: 4 | 5;
}

/** ML-KEM-768. */
export const MLKEM768: Parameters = { k: 3, du: 10, dv: 4 };
/** ML-KEM-1024. */
export const MLKEM1024: Parameters = { k: 4, du: 11, dv: 5 };

/** Bytes of one polynomial at 12 bits per coefficient. */
export const POLY_BYTES = 384;
/** Bytes of one polynomial at `bits` bits per coefficient. */
export function packedBytes(bits: number): number {
  return (N >> 3) * bits;
}

/**
 * SampleNTT (algorithm 7) for one entry of the matrix, into `out`. `first` and `second` are the two index
 * bytes: A-hat[i, j] of FIPS 203 is entry (j, i) here.
 */
function sampleEntry(
  sponge: Sponge,
  seed: Uint8Array,
  first: number,
  second: number,
  out: Poly,
): void {
  seed[32] = first;
  seed[33] = second;
  const next = sponge.shake128(seed);
  for (let filled = 0; filled < N; ) filled = parseUniform(out, filled, next());
}

/** CBD of PRF(seed, counter); small coefficients, not in the NTT domain. Secret. */
function noise(sponge: Sponge, seed: Uint8Array, counter: number): Poly {
  const bytes = sponge.shake256(128, seed, new Uint8Array([counter]));
  const out = centredBinomial(bytes);
  wipe(bytes);
  return out;
}

/** Read a vector of `k` polynomials at 12 bits, centred; borrowed. */
export function unpackVector(bytes: Uint8Array, k: number): Poly[] {
  return Array.from({ length: k }, (_, i) => {
    const poly = unpack(bytes, 12, POLY_BYTES * i);
    // An encoding that is not reduced may still arrive in a stored key: bring 0..4095 into range.
    reduce(poly);
    return poly;
  });
}

/**
 * K-PKE.KeyGen (algorithm 13) after the seed was expanded.
 *
 * @returns The encryption key `t-hat ‖ rho` and the decryption key `s-hat` (secret), encoded.
 */
export function generatePke(
  sponge: Sponge,
  { k }: Parameters,
  rho: Uint8Array,
  sigma: Uint8Array,
): { readonly ek: Bytes; readonly s: Bytes } {
  const secret: Poly[] = [];
  for (let i = 0; i < k; i++) {
    const poly = noise(sponge, sigma, i);
    ntt(poly);
    secret.push(poly);
  }
  const ek = new Uint8Array(POLY_BYTES * k + 32);
  const s = new Uint8Array(POLY_BYTES * k);
  const seed = matrixSeed(rho);
  const row = Array.from({ length: k }, borrow);
  for (let i = 0; i < k; i++) {
    for (let j = 0; j < k; j++) sampleEntry(sponge, seed, j, i, row[j] as Poly);
    const t = multiplyAccumulate(row, secret);
    removeMontgomeryFactor(t);
    const error = noise(sponge, sigma, k + i);
    ntt(error);
    addInto(t, error);
    toCanonical(t);
    pack(t, 12, ek, POLY_BYTES * i);
    release(error, t);
  }
  for (const [i, poly] of secret.entries()) {
    toCanonical(poly);
    pack(poly, 12, s, POLY_BYTES * i);
  }
  release(...row, ...secret);
  ek.set(rho, POLY_BYTES * k);
  return { ek, s };
}

/** The randomness of one encryption, expanded. Secret. */
export interface EncryptionNoise {
  /** r-hat: k polynomials in the NTT domain, centred. */
  readonly r: readonly Poly[];
  /** e2: -2 to 2. */
  readonly e2: Poly;
}

/**
 * K-PKE.Encrypt (algorithm 14), the part that needs only rho: `out` receives c1 from `offset` on.
 *
 * @param coins - r of FIPS 203, 32 bytes, secret.
 * @returns What the second part needs; the caller releases it.
 */
export function encryptFirst(
  sponge: Sponge,
  { k, du }: Parameters,
  rho: Uint8Array,
  coins: Uint8Array,
  out: Uint8Array,
): EncryptionNoise {
  const r: Poly[] = [];
  for (let i = 0; i < k; i++) {
    const poly = noise(sponge, coins, i);
    ntt(poly);
    r.push(poly);
  }
  const seed = matrixSeed(rho);
  const column = Array.from({ length: k }, borrow);
  for (let i = 0; i < k; i++) {
    for (let j = 0; j < k; j++) sampleEntry(sponge, seed, i, j, column[j] as Poly);
    const u = multiplyAccumulate(column, r);
    inverseNtt(u);
    const e1 = noise(sponge, coins, k + i);
    addInto(u, e1);
    toCanonical(u);
    compress(u, du);
    pack(u, du, out, packedBytes(du) * i);
    release(e1, u);
  }
  release(...column);
  return { r, e2: noise(sponge, coins, 2 * k) };
}

/** K-PKE.Encrypt (algorithm 14), the part that needs t-hat: `out` receives c2 at `offset`. */
export function encryptSecond(
  { dv }: Parameters,
  t: readonly Poly[],
  { r, e2 }: EncryptionNoise,
  m: Uint8Array,
  out: Uint8Array,
  offset: number,
): void {
  const v = multiplyAccumulate(t, r);
  inverseNtt(v);
  addInto(v, e2);
  const message = unpack(m, 1, 0);
  decompress(message, 1);
  addInto(v, message);
  toCanonical(v);
  compress(v, dv);
  pack(v, dv, out, offset);
  release(v, message);
}

/** K-PKE.Encrypt (algorithm 14) as a whole. */
export function encryptPke(
  sponge: Sponge,
  parameters: Parameters,
  ek: Uint8Array,
  m: Uint8Array,
  coins: Uint8Array,
): Bytes {
  const { k, du, dv } = parameters;
  const out = new Uint8Array(packedBytes(du) * k + packedBytes(dv));
  const rho = ek.subarray(POLY_BYTES * k, POLY_BYTES * k + 32);
  const secrets = encryptFirst(sponge, parameters, rho, coins, out);
  const t = unpackVector(ek, k);
  encryptSecond(parameters, t, secrets, m, out, packedBytes(du) * k);
  release(...t, ...secrets.r, secrets.e2);
  return out;
}

/** K-PKE.Decrypt (algorithm 15). @returns m, 32 bytes, secret. */
export function decryptPke(
  { k, du, dv }: Parameters,
  s: Uint8Array,
  ciphertext: Uint8Array,
): Bytes {
  const u = Array.from({ length: k }, (_, i) => {
    const poly = unpack(ciphertext, du, packedBytes(du) * i);
    decompress(poly, du);
    ntt(poly);
    return poly;
  });
  const v = unpack(ciphertext, dv, packedBytes(du) * k);
  decompress(v, dv);
  const secret = unpackVector(s, k);
  const w = multiplyAccumulate(secret, u);
  inverseNtt(w);
  subtractFrom(w, v);
  toCanonical(w);
  compress(w, 1);
  const m = new Uint8Array(32);
  pack(w, 1, m, 0);
  release(...u, v, ...secret, w);
  return m;
}

/**
 * ML-KEM.Decaps_internal (algorithm 18) without a check of H(ek): a wrong ciphertext, or a damaged key,
 * gives a pseudo-random secret. No branch depends on which.
 *
 * @param dk - `s-hat ‖ ek ‖ H(ek) ‖ z`.
 * @returns 32 bytes, secret, owned by the caller.
 */
export function decapsulate(
  sponge: Sponge,
  parameters: Parameters,
  dk: Uint8Array,
  ciphertext: Uint8Array,
): Bytes {
  const { k } = parameters;
  const ekStart = POLY_BYTES * k;
  const ekEnd = 2 * ekStart + 32;
  const ek = dk.subarray(ekStart, ekEnd);
  const z = dk.subarray(ekEnd + 32, ekEnd + 64);
  const m = decryptPke(parameters, dk.subarray(0, ekStart), ciphertext);
  const keyAndCoins = sponge.sha3_512(m, dk.subarray(ekEnd, ekEnd + 32));
  const rejected = sponge.shake256(32, z, ciphertext);
  const again = encryptPke(sponge, parameters, ek, m, keyAndCoins.subarray(32));
  let difference = 0;
  for (let i = 0; i < again.length; i++) {
    difference |= (again[i] as number) ^ (ciphertext[i] as number);
  }
  // All ones when the ciphertexts differ, zero when they agree.
  const mask = -difference >> 31;
  const out = new Uint8Array(32);
  for (let i = 0; i < 32; i++) {
    const good = keyAndCoins[i] as number;
    out[i] = good ^ (mask & (good ^ (rejected[i] as number)));
  }
  wipe(m, keyAndCoins, rejected, again);
  return out;
}

/** Whether the vector part of an encapsulation key is reduced (FIPS 203 §7.2, modulus check). */
export function isReducedKey(ek: Uint8Array, { k }: Parameters): boolean {
  return isReducedVector(ek.subarray(0, POLY_BYTES * k));
}

/** rho with room for the two index bytes. */
function matrixSeed(rho: Uint8Array): Bytes {
  const seed = new Uint8Array(34);
  seed.set(rho);
  return seed;
}
