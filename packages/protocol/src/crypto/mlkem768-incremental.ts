/**
 * 06 SPQR. ML-KEM-768 in the pieces that the braid sends: header and vector of the key, two halves of the
 * ciphertext, and the state between them.
 *
 * Both ciphertext halves and the secret are exactly those of one ML-KEM-768 encapsulation.
 * Spec: spec/06-spqr.md; arithmetic spec/01-primitives.md §4. Vectors: spqr/mlkem-incremental.json.
 */
import { type Bytes, concatBytes, samePublicBytes } from '../bytes.js';
import { redacted, wipe } from '../secret.js';
import { expectLength } from './lengths.js';
import {
  decapsulate,
  encryptFirst,
  encryptSecond,
  generatePke,
  isReducedKey,
  MLKEM768,
  type Sponge,
  unpackVector,
} from './mlkem.js';
import { borrow, N, type Poly, reduce, release } from './mlkem-poly.js';
import type { IncrementalEncapsulation, IncrementalKeyPair } from './provider.js';

const K = MLKEM768.k;
const HEADER_BYTES = 64;
const EK_VECTOR_BYTES = 1152;
const DK_BYTES = 2400;
const CT1_BYTES = 960;
const CT2_BYTES = 128;
const STATE_BYTES = 2080;
/** Offsets in the encaps state: r-hat, then e2, then m. */
const STATE_E2 = 1536;
const STATE_M = 2048;

/** FIPS 203 KeyGen_internal(d, z). `seed` is d ‖ z, 64 bytes. @throws UsageError `USAGE_LENGTH` */
export function generateIncremental(sponge: Sponge, seed: Uint8Array): IncrementalKeyPair {
  expectLength(seed, 64, 'ML-KEM seed');
  const expanded = sponge.sha3_512(seed.subarray(0, 32), new Uint8Array([K]));
  const rho = expanded.subarray(0, 32);
  const { ek, s } = generatePke(sponge, MLKEM768, rho, expanded.subarray(32));
  const hash = sponge.sha3_256(ek);
  const dk = concatBytes(s, ek, hash, seed.subarray(32));
  const header = concatBytes(rho, hash);
  wipe(expanded, s);
  return redacted({ header, ekVector: ek.slice(0, EK_VECTOR_BYTES), dk });
}

/** First half of an encapsulation, before the key's vector is known. @throws UsageError `USAGE_LENGTH` */
export function encapsulateFirst(
  sponge: Sponge,
  header: Uint8Array,
  m: Uint8Array,
): IncrementalEncapsulation {
  expectLength(header, HEADER_BYTES, 'ML-KEM header');
  expectLength(m, 32, 'ML-KEM message');
  const keyAndCoins = sponge.sha3_512(m, header.subarray(32));
  const ct1 = new Uint8Array(CT1_BYTES);
  const rho = header.subarray(0, 32);
  const { r, e2 } = encryptFirst(sponge, MLKEM768, rho, keyAndCoins.subarray(32), ct1);
  const encapsState = new Uint8Array(STATE_BYTES);
  for (const [i, poly] of r.entries()) writePoly(poly, encapsState, 2 * N * i);
  writePoly(e2, encapsState, STATE_E2);
  encapsState.set(m, STATE_M);
  const sharedSecret = keyAndCoins.slice(0, 32);
  wipe(keyAndCoins);
  release(...r, e2);
  return redacted({ ct1, encapsState, sharedSecret });
}

/** Second half: ct2. The encaps state is not changed. @throws UsageError `USAGE_LENGTH` */
export function encapsulateSecond(ekVector: Uint8Array, encapsState: Uint8Array): Bytes {
  expectLength(ekVector, EK_VECTOR_BYTES, 'ML-KEM key vector');
  expectLength(encapsState, STATE_BYTES, 'ML-KEM encapsulation state');
  const swapped = isByteSwapped(encapsState);
  const r = Array.from({ length: K }, (_, i) => readPoly(encapsState, 2 * N * i, swapped));
  const e2 = readPoly(encapsState, STATE_E2, swapped);
  const ct2 = new Uint8Array(CT2_BYTES);
  const m = encapsState.subarray(STATE_M);
  const t = unpackVector(ekVector, K);
  encryptSecond(MLKEM768, t, { r, e2 }, m, ct2, 0);
  release(...t, ...r, e2);
  return ct2;
}

/** FIPS 203 Decaps_internal with implicit rejection. @throws UsageError `USAGE_LENGTH` */
export function decapsulateIncremental(
  sponge: Sponge,
  dk: Uint8Array,
  ct1: Uint8Array,
  ct2: Uint8Array,
): Bytes {
  expectLength(dk, DK_BYTES, 'ML-KEM decapsulation key');
  expectLength(ct1, CT1_BYTES, 'ML-KEM ciphertext 1');
  expectLength(ct2, CT2_BYTES, 'ML-KEM ciphertext 2');
  return decapsulate(sponge, MLKEM768, dk, concatBytes(ct1, ct2));
}

/** Whether the vector belongs to the header and is reduced. Wrong lengths are a no. */
export function checkEkVector(sponge: Sponge, header: Uint8Array, ekVector: Uint8Array): boolean {
  if (header.length !== HEADER_BYTES || ekVector.length !== EK_VECTOR_BYTES) return false;
  const hash = sponge.sha3_256(ekVector, header.subarray(0, 32));
  return samePublicBytes(hash, header.subarray(32)) && isReducedKey(ekVector, MLKEM768);
}

/**
 * Whether an old library stored this state's coefficients big-endian. e2 tells: its coefficients are -2 to
 * 2, and the first one that is neither 0 nor -1 reads differently in the two orders.
 *
 * Which coefficient that is depends on secret noise; it happens only for stored states and shows no more
 * than a position.
 */
function isByteSwapped(state: Uint8Array): boolean {
  for (let i = STATE_E2; i < STATE_M; i += 2) {
    const word = (state[i] as number) | ((state[i + 1] as number) << 8);
    if (word === 0x0000 || word === 0xffff) continue;
    return word === 0x0100 || word === 0x0200 || word === 0xfeff;
  }
  return false;
}

function writePoly(poly: Poly, out: Uint8Array, offset: number): void {
  for (let i = 0; i < N; i++) {
    const c = poly[i] as number;
    out[offset + 2 * i] = c;
    out[offset + 2 * i + 1] = c >> 8;
  }
}

/** Any representative is accepted: what is read is reduced. */
function readPoly(state: Uint8Array, offset: number, swapped: boolean): Poly {
  const out = borrow();
  const low = swapped ? 1 : 0;
  for (let i = 0; i < N; i++) {
    const at = offset + 2 * i;
    out[i] = (state[at + low] as number) | ((state[at + 1 - low] as number) << 8);
  }
  reduce(out);
  return out;
}
