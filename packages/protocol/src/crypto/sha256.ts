/**
 * 01 Primitives. SHA-256 (FIPS 180-4), HMAC and HKDF for short inputs, which is what ratchets have.
 *
 * One message costs some twenty HMACs of a block or two. The libraries spend most of that time on setting
 * up objects (node:crypto 2 us, of which hashing is 0.3); here the state lives in a few arrays of the
 * module, and HKDF sets its key up once. No branch or index depends on data, only on lengths. Every call
 * leaves the arrays wiped.
 * Spec: spec/01-primitives.md §6. Test: test/unit/sha256.test.ts, against node:crypto.
 */
import type { Bytes } from '../bytes.js';
import { UsageError } from '../errors.js';

/** Bytes of a digest. */
const HASH_BYTES = 32;
/** Bytes of a block. */
const BLOCK_BYTES = 64;

/** SHA-256 of the parts joined, 32 bytes. */
export function sha256(...parts: readonly Uint8Array[]): Bytes {
  const out = new Uint8Array(HASH_BYTES);
  start(INITIAL, 0);
  for (const part of parts) absorb(part);
  finish(out);
  wipeScratch();
  return out;
}

/** HMAC-SHA-256 (RFC 2104) of the parts joined, 32 bytes. */
export function hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Bytes {
  const out = new Uint8Array(HASH_BYTES);
  setKey(key);
  start(inner, BLOCK_BYTES);
  for (const part of parts) absorb(part);
  finishMac(out);
  wipeScratch();
  return out;
}

/**
 * HKDF-SHA-256 (RFC 5869), extract and expand.
 *
 * @param salt - `undefined` means 32 zero bytes, which HMAC treats like an empty key.
 * @param length - 0 to 8160 (255 blocks).
 * @throws UsageError `USAGE_RANGE` for another length.
 */
export function hkdfSha256(
  salt: Uint8Array | undefined,
  ikm: Uint8Array,
  info: Uint8Array,
  length: number,
): Bytes {
  if (!Number.isInteger(length) || length < 0 || length > 255 * HASH_BYTES) {
    throw new UsageError(
      'USAGE_RANGE',
      `HKDF output of ${length} bytes, limit ${255 * HASH_BYTES}`,
    );
  }
  setKey(salt ?? NO_SALT);
  start(inner, BLOCK_BYTES);
  absorb(ikm);
  finishMac(derived);
  setKey(derived);
  const out = new Uint8Array(length);
  for (let offset = 0, counter = 1; offset < length; offset += HASH_BYTES, counter++) {
    start(inner, BLOCK_BYTES);
    if (counter > 1) absorb(derived);
    absorb(info);
    last[0] = counter;
    absorb(last);
    finishMac(derived);
    out.set(length - offset < HASH_BYTES ? derived.subarray(0, length - offset) : derived, offset);
  }
  derived.fill(0);
  wipeScratch();
  return out;
}

/** Chaining value of the hash under way. */
const state = new Int32Array(8);
/** Message schedule. */
const schedule = new Int32Array(64);
/** Input not yet compressed, `held` bytes of it. */
const block = new Uint8Array(BLOCK_BYTES);
let held = 0;
let total = 0;
/** Chaining values after the inner and the outer key block. */
const inner = new Int32Array(8);
const outer = new Int32Array(8);
const digest = new Uint8Array(HASH_BYTES);
/** PRK, then T(i), of the HKDF under way. */
const derived = new Uint8Array(HASH_BYTES);
const last = new Uint8Array(1);

function start(from: Int32Array, absorbed: number): void {
  state.set(from);
  held = 0;
  total = absorbed;
}

function absorb(part: Uint8Array): void {
  const length = part.length;
  total += length;
  let at = 0;
  if (held > 0) {
    while (held < BLOCK_BYTES && at < length) block[held++] = part[at++] as number;
    if (held < BLOCK_BYTES) return;
    compress(block, 0);
    held = 0;
  }
  for (; at + BLOCK_BYTES <= length; at += BLOCK_BYTES) compress(part, at);
  while (at < length) block[held++] = part[at++] as number;
}

function finish(out: Uint8Array): void {
  block[held++] = 0x80;
  if (held > BLOCK_BYTES - 8) {
    block.fill(0, held);
    compress(block, 0);
    held = 0;
  }
  block.fill(0, held);
  // The length in bits, 64-bit big-endian; bytes are counted in a double, exact to 2^53.
  const high = Math.floor(total / 0x2000_0000);
  const low = total << 3;
  for (let i = 0; i < 4; i++) {
    block[56 + i] = high >>> (24 - 8 * i);
    block[60 + i] = low >>> (24 - 8 * i);
  }
  compress(block, 0);
  for (let i = 0; i < 8; i++) {
    const word = state[i] as number;
    out[4 * i] = word >>> 24;
    out[4 * i + 1] = word >>> 16;
    out[4 * i + 2] = word >>> 8;
    out[4 * i + 3] = word;
  }
}

function setKey(key: Uint8Array): void {
  let short = key;
  if (key.length > BLOCK_BYTES) {
    start(INITIAL, 0);
    absorb(key);
    finish(digest);
    short = digest;
  }
  const length = short.length;
  block.fill(0x36, length);
  for (let i = 0; i < length; i++) block[i] = (short[i] as number) ^ 0x36;
  state.set(INITIAL);
  compress(block, 0);
  inner.set(state);
  // 0x36 ^ 0x5c turns the inner key block into the outer one.
  for (let i = 0; i < BLOCK_BYTES; i++) block[i] = (block[i] as number) ^ 0x6a;
  state.set(INITIAL);
  compress(block, 0);
  outer.set(state);
}

function finishMac(out: Uint8Array): void {
  finish(digest);
  start(outer, BLOCK_BYTES);
  absorb(digest);
  finish(out);
}

function wipeScratch(): void {
  state.fill(0);
  schedule.fill(0);
  block.fill(0);
  inner.fill(0);
  outer.fill(0);
  digest.fill(0);
}

/** FIPS 180-4 §6.2.2 on the 64 bytes at `bytes[offset]`. */
function compress(bytes: Uint8Array, offset: number): void {
  const w = schedule;
  for (let t = 0; t < 16; t++) {
    const at = offset + 4 * t;
    w[t] =
      ((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number);
  }
  for (let t = 16; t < 64; t++) {
    const x = w[t - 15] as number;
    const y = w[t - 2] as number;
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[t] = ((w[t - 16] as number) + (w[t - 7] as number) + s0 + s1) | 0;
  }
  let a = state[0] as number;
  let b = state[1] as number;
  let c = state[2] as number;
  let d = state[3] as number;
  let e = state[4] as number;
  let f = state[5] as number;
  let g = state[6] as number;
  let h = state[7] as number;
  for (let t = 0; t < 64; t++) {
    const S1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const T1 = (h + S1 + ((e & f) ^ (~e & g)) + (K[t] as number) + (w[t] as number)) | 0;
    const S0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const T2 = (S0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + T1) | 0;
    d = c;
    c = b;
    b = a;
    a = (T1 + T2) | 0;
  }
  state[0] = ((state[0] as number) + a) | 0;
  state[1] = ((state[1] as number) + b) | 0;
  state[2] = ((state[2] as number) + c) | 0;
  state[3] = ((state[3] as number) + d) | 0;
  state[4] = ((state[4] as number) + e) | 0;
  state[5] = ((state[5] as number) + f) | 0;
  state[6] = ((state[6] as number) + g) | 0;
  state[7] = ((state[7] as number) + h) | 0;
}

const NO_SALT = new Uint8Array(HASH_BYTES);

/** FIPS 180-4 §5.3.3. */
const INITIAL = new Int32Array([
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
]);

/** FIPS 180-4 §4.2.2. */
const K = new Int32Array([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
]);
