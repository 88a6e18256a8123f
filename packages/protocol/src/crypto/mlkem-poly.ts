/**
 * 01 Primitives. Polynomials of ML-KEM (FIPS 203): the ring Z_q[X]/(X^256 + 1), its NTT, and its bytes.
 *
 * Coefficients are int16, products int32: typed arrays and integer operations only. Nothing here divides,
 * takes a remainder, branches or indexes by a coefficient (KyberSlash, ATK-A06), except `parseUniform`,
 * whose input is public. Two representatives occur: *centred*, -1664 to 1664, after `reduce`, and
 * *canonical*, 0 to 3328, after `toCanonical` and from `unpack`. Each function says what it takes.
 *
 * Spec: spec/01-primitives.md §4. Vectors: spqr/mlkem-incremental.json, sessions/kyber1024.json.
 */

/** 256 coefficients. */
export type Poly = Int16Array<ArrayBuffer>;

/** Coefficients of a polynomial. */
export const N = 256;
/** The modulus. */
export const Q = 3329;

/** The zero polynomial. */
export function zeroPoly(): Poly {
  return new Int16Array(N);
}

/**
 * A zero polynomial from the pool. Making typed arrays costs more than an NTT, so what a computation is done
 * with goes back by `release`. What is never released is merely collected.
 */
export function borrow(): Poly {
  return pool.pop() ?? zeroPoly();
}

/** Wipe polynomials and give them back. Each may be given back once, by whoever borrowed it. */
export function release(...polys: readonly Poly[]): void {
  for (const poly of polys) {
    poly.fill(0);
    pool.push(poly);
  }
}

/** Free polynomials, all zero; at most as many as one computation uses at a time. */
const pool: Poly[] = [];

/** `a * b / 2^16 mod q`, in -3328 to 3328, for |a * b| < q * 2^15. */
function montgomeryMultiply(a: number, b: number): number {
  return montgomeryReduce(Math.imul(a, b));
}

/** `a / 2^16 mod q`, in -3328 to 3328, for |a| < q * 2^15. */
function montgomeryReduce(a: number): number {
  const t = (Math.imul(a, Q_INVERSE) << 16) >> 16;
  return (a - Math.imul(t, Q)) >> 16;
}

/** The centred representative of an int16. Exhaustively tested. */
export function centred(a: number): number {
  return a - Math.imul((Math.imul(a, 20_159) + 0x200_0000) >> 26, Q);
}

/** Bring every coefficient (any int16) to its centred representative. In place. */
export function reduce(a: Poly): void {
  for (let i = 0; i < N; i++) a[i] = centred(a[i] as number);
}

/** Bring every coefficient (any int16) to its canonical representative. In place. */
export function toCanonical(a: Poly): void {
  for (let i = 0; i < N; i++) {
    const c = centred(a[i] as number);
    a[i] = c + ((c >> 31) & Q);
  }
}

/** `a += b`; the caller keeps sums within int16. */
export function addInto(a: Poly, b: Poly): void {
  for (let i = 0; i < N; i++) a[i] = (a[i] as number) + (b[i] as number);
}

/** `a = b - a`; the caller keeps differences within int16. */
export function subtractFrom(a: Poly, b: Poly): void {
  for (let i = 0; i < N; i++) a[i] = (b[i] as number) - (a[i] as number);
}

/** FIPS 203 algorithm 9. In place; input |c| <= q, output centred, FIPS coefficient order. */
export function ntt(a: Poly): void {
  let k = 1;
  for (let length = 128; length >= 2; length >>= 1) {
    for (let start = 0; start < N; start += length << 1) {
      const zeta = ZETAS[k++] as number;
      const end = start + length;
      for (let j = start; j < end; j++) {
        const t = montgomeryMultiply(zeta, a[j + length] as number);
        const c = a[j] as number;
        a[j + length] = c - t;
        a[j] = c + t;
      }
    }
  }
  // Each layer adds at most q: 8q fits int16.
  reduce(a);
}

/**
 * FIPS 203 algorithm 10, and the Montgomery factor that `multiplyAccumulate` leaves. In place; input
 * |c| < q, output |c| < q.
 */
export function inverseNtt(a: Poly): void {
  let k = 127;
  for (let length = 2; length <= 128; length <<= 1) {
    for (let start = 0; start < N; start += length << 1) {
      const zeta = ZETAS[k--] as number;
      const end = start + length;
      for (let j = start; j < end; j++) {
        const c = a[j] as number;
        const d = a[j + length] as number;
        a[j] = c + d;
        a[j + length] = montgomeryMultiply(zeta, d - c);
      }
    }
    // A layer doubles the bound: 8q after three, and 16 * q / 2 after the other four. Both fit int16.
    if (length === 8) reduce(a);
  }
  for (let i = 0; i < N; i++) a[i] = montgomeryMultiply(a[i] as number, INVERSE_NTT_FACTOR);
}

/**
 * Inner product in the NTT domain, FIPS 203 algorithms 11 and 12, divided by 2^16.
 *
 * @param a - k polynomials, |c| < q. @param b - k polynomials, |c| < q.
 * @returns |c| < q; borrowed.
 */
export function multiplyAccumulate(a: readonly Poly[], b: readonly Poly[]): Poly {
  const out = borrow();
  for (let i = 0; i < N; i += 4) {
    const zeta = ZETAS[64 + (i >> 2)] as number;
    let r0 = 0;
    let r1 = 0;
    let r2 = 0;
    let r3 = 0;
    for (let j = 0; j < a.length; j++) {
      const x = a[j] as Poly;
      const y = b[j] as Poly;
      const x0 = x[i] as number;
      const x1 = x[i + 1] as number;
      const x2 = x[i + 2] as number;
      const x3 = x[i + 3] as number;
      const y0 = y[i] as number;
      const y1 = y[i + 1] as number;
      const y2 = y[i + 2] as number;
      const y3 = y[i + 3] as number;
      // At most 8 products below q^2 each: below q * 2^15.
      r0 += Math.imul(x0, y0) + Math.imul(montgomeryMultiply(x1, y1), zeta);
      r1 += Math.imul(x0, y1) + Math.imul(x1, y0);
      r2 += Math.imul(x2, y2) - Math.imul(montgomeryMultiply(x3, y3), zeta);
      r3 += Math.imul(x2, y3) + Math.imul(x3, y2);
    }
    out[i] = montgomeryReduce(r0);
    out[i + 1] = montgomeryReduce(r1);
    out[i + 2] = montgomeryReduce(r2);
    out[i + 3] = montgomeryReduce(r3);
  }
  return out;
}

/** Take back the division by 2^16 that `multiplyAccumulate` leaves. In place. */
export function removeMontgomeryFactor(a: Poly): void {
  for (let i = 0; i < N; i++) a[i] = montgomeryMultiply(a[i] as number, MONTGOMERY_SQUARED);
}

/** FIPS 203 algorithm 8 with eta = 2: `bytes` are 128 secret bytes. Coefficients -2 to 2. */
export function centredBinomial(bytes: Uint8Array): Poly {
  const out = borrow();
  for (let i = 0; i < 128; i++) {
    const x = bytes[i] as number;
    // Pairs of bits to their sums, four sums of two bits each.
    const sums = (x & 0x55) + ((x >> 1) & 0x55);
    out[2 * i] = (sums & 3) - ((sums >> 2) & 3);
    out[2 * i + 1] = ((sums >> 4) & 3) - (sums >> 6);
  }
  return out;
}

/**
 * FIPS 203 algorithm 7: read candidates from `bytes` (public, a multiple of 3) into `out` from `filled` on.
 *
 * @returns How many coefficients are filled now; 256 when done.
 */
export function parseUniform(out: Poly, filled: number, bytes: Uint8Array): number {
  let count = filled;
  for (let i = 0; i + 3 <= bytes.length && count < N; i += 3) {
    const middle = bytes[i + 1] as number;
    const d1 = (bytes[i] as number) | ((middle & 0x0f) << 8);
    const d2 = (middle >> 4) | ((bytes[i + 2] as number) << 4);
    if (d1 < Q) out[count++] = d1;
    if (d2 < Q && count < N) out[count++] = d2;
  }
  return count;
}

/** FIPS 203 algorithm 5: `bits` low bits of each coefficient (canonical or compressed) at `out[offset]`. */
export function pack(a: Poly, bits: number, out: Uint8Array, offset: number): void {
  let buffer = 0;
  let held = 0;
  let at = offset;
  for (let i = 0; i < N; i++) {
    buffer |= (a[i] as number) << held;
    held += bits;
    for (; held >= 8; held -= 8) {
      out[at++] = buffer;
      buffer >>>= 8;
    }
  }
}

/** FIPS 203 algorithm 6, without the reduction that `bits` = 12 allows. */
export function unpack(bytes: Uint8Array, bits: number, offset: number): Poly {
  const out = borrow();
  const mask = (1 << bits) - 1;
  let buffer = 0;
  let held = 0;
  let at = offset;
  for (let i = 0; i < N; i++) {
    for (; held < bits; held += 8) buffer |= (bytes[at++] as number) << held;
    out[i] = buffer & mask;
    buffer >>>= bits;
    held -= bits;
  }
  return out;
}

/**
 * `round(2^bits / q * x) mod 2^bits` for canonical x: FIPS 203 equation 4.7 without a division.
 *
 * x * 1290167 + (x * 331 >> 10) is 2^32 / q * x with an error below 2, while the distance of 2^bits / q * x
 * from the next rounding border is at least 1 / (2q). Exhaustively tested for 1, 4, 5, 10 and 11 bits.
 */
export function compressCoefficient(x: number, bits: number): number {
  const scaled = Math.imul(x, 1_290_167) + (Math.imul(x, 331) >> 10);
  return ((scaled + (1 << (31 - bits))) >>> (32 - bits)) & ((1 << bits) - 1);
}

/** Compress every canonical coefficient. In place. */
export function compress(a: Poly, bits: number): void {
  for (let i = 0; i < N; i++) a[i] = compressCoefficient(a[i] as number, bits);
}

/** `round(q / 2^bits * y)`, FIPS 203 equation 4.8. In place; canonical. */
export function decompress(a: Poly, bits: number): void {
  const half = 1 << (bits - 1);
  for (let i = 0; i < N; i++) a[i] = (Math.imul(a[i] as number, Q) + half) >> bits;
}

/** Whether every 12-bit coefficient of an encoded vector (public) is below q. */
export function isReducedVector(bytes: Uint8Array): boolean {
  let excess = 0;
  for (let i = 0; i + 3 <= bytes.length; i += 3) {
    const middle = bytes[i + 1] as number;
    const d1 = (bytes[i] as number) | ((middle & 0x0f) << 8);
    const d2 = (middle >> 4) | ((bytes[i + 2] as number) << 4);
    // Q - 1 - d is negative exactly when d >= q.
    excess |= (Q - 1 - d1) | (Q - 1 - d2);
  }
  return excess >= 0;
}

/** q^-1 mod 2^16, centred. */
const Q_INVERSE = -3327;
/** 2^32 mod q. */
const MONTGOMERY_SQUARED = 1353;
/** 2^32 / 128 mod q: the scaling of the inverse NTT and one Montgomery factor. */
const INVERSE_NTT_FACTOR = 1441;

/** 17^bitrev7(i) * 2^16 mod q, centred; index 1 to 127 as in FIPS 203 appendix A. */
const ZETAS: Int16Array = powersOfRoot();

function powersOfRoot(): Int16Array {
  const table = new Int16Array(128);
  // 2^16 mod q and 17 * 2^16 mod q, centred.
  let power = -1044;
  for (let i = 0; i < 128; i++) {
    let reversed = 0;
    for (let bit = 0; bit < 7; bit++) reversed |= ((i >> bit) & 1) << (6 - bit);
    table[reversed] = centred(power);
    power = montgomeryMultiply(power, -1103);
  }
  return table;
}
