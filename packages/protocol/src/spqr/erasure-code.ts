/**
 * 06 SPQR §6. Erasure code: a piece of 32·n bytes becomes an endless row of 32-byte chunks, and any n
 * different chunks give the piece back.
 *
 * A piece is a table of n rows and 16 columns of 16-bit values; chunk j is row j. Column p is read as the
 * values at x = 0 … n-1 of a polynomial of degree below n, and rows from n on are its continuation. No
 * check that chunks belong together is made here: the MACs of authenticator.ts and the hash of the
 * encapsulation key do that.
 */
import type { Bytes } from '../bytes.js';
import { divide, fieldTables, multiply } from './gf65536.js';

/** Bytes of a chunk. */
export const CHUNK_BYTES = 32;
/** Columns of the table: 16-bit values in a chunk. */
export const COLUMNS = 16;

/** One row. `index` is 0 to 65535, `data` 32 bytes. */
export interface Chunk {
  readonly index: number;
  readonly data: Bytes;
}

/**
 * The sending half. It begins with `points`, and turns into `polynomials` for good when the first chunk
 * beyond the piece is asked for: stored states of compatible peers show which of the two it is.
 * `next` is the index of the next chunk, a 32-bit counter; the wire carries its low 16 bits.
 */
export type Encoder =
  | { readonly kind: 'points'; readonly next: number; readonly piece: Bytes }
  | {
      readonly kind: 'polynomials';
      readonly next: number;
      /** `coefficients[p·n + k]`: coefficient of x^k of column p. */
      readonly coefficients: Uint16Array;
    };

/** The receiving half: chunks in ascending order of index. */
export interface Decoder {
  /** n: how many different chunks make the piece. */
  readonly needed: number;
  readonly chunks: readonly Chunk[];
  /** Stored flag that this implementation never sets; a decoder that carries it never completes. */
  readonly closed: boolean;
}

/** An encoder over `piece`, at index 0. Takes `piece` over; its length is a multiple of 32. */
export function newEncoder(piece: Bytes): Encoder {
  return { kind: 'points', next: 0, piece };
}

/** How many chunks of `encoder` make its piece. */
export function encoderSize(encoder: Encoder): number {
  return encoder.kind === 'points'
    ? encoder.piece.length / CHUNK_BYTES
    : encoder.coefficients.length / COLUMNS;
}

/** The next chunk, and the encoder after it. Source: 06 §6.2, §6.3. Vectors: spqr/erasure.json. */
export function nextChunk(encoder: Encoder): { readonly encoder: Encoder; readonly chunk: Chunk } {
  const index = encoder.next & 0xffff;
  const next = (encoder.next + 1) >>> 0;
  if (encoder.kind === 'points') {
    const { piece } = encoder;
    if (index < piece.length / CHUNK_BYTES) {
      const data = piece.slice(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES);
      return { encoder: { kind: 'points', next, piece }, chunk: { index, data } };
    }
    return nextChunk({ kind: 'polynomials', next: encoder.next, coefficients: interpolate(piece) });
  }
  const { coefficients } = encoder;
  const data = evaluate(coefficients, index);
  return { encoder: { kind: 'polynomials', next, coefficients }, chunk: { index, data } };
}

/** An empty decoder for a piece of `length` bytes, a multiple of 32. */
export function newDecoder(length: number): Decoder {
  return { needed: length / CHUNK_BYTES, chunks: [], closed: false };
}

/**
 * The decoder with `chunk` in it. A chunk of the same index is replaced; a chunk beyond the piece is
 * dropped when there are enough. Source: 06 §6.4. Vectors: spqr/erasure.json.
 */
export function addChunk(decoder: Decoder, chunk: Chunk): Decoder {
  const { needed, chunks, closed } = decoder;
  if (chunk.index >= needed && chunks.length >= needed) return decoder;
  let at = chunks.length;
  while (at > 0 && (chunks[at - 1] as Chunk).index >= chunk.index) at--;
  const replaced = chunks[at]?.index === chunk.index ? 1 : 0;
  return {
    needed,
    chunks: [...chunks.slice(0, at), chunk, ...chunks.slice(at + replaced)],
    closed,
  };
}

/** The piece, a fresh array, once there are enough chunks. Source: 06 §6.4. */
export function decodedPiece(decoder: Decoder): Bytes | undefined {
  const { needed, chunks, closed } = decoder;
  if (closed || chunks.length < needed) return undefined;
  const nodes = chunks.slice(0, needed);
  const piece = new Uint8Array(needed * CHUNK_BYTES);
  const missing: number[] = [];
  // The chunks are sorted, so one walk over both finds the rows that are there.
  let at = 0;
  for (let row = 0; row < needed; row++) {
    const chunk = nodes[at];
    if (chunk?.index === row) {
      piece.set(chunk.data, row * CHUNK_BYTES);
      at++;
    } else missing.push(row);
  }
  if (missing.length > 0) fillRows(piece, missing, nodes);
  return piece;
}

/** Lagrange interpolation of the rows in `missing`, with weights shared by all columns. */
function fillRows(piece: Bytes, missing: readonly number[], nodes: readonly Chunk[]): void {
  const { log, exp } = fieldTables();
  // 1 / w_i = ∏ (x_i - x_j), without i = j.
  const inverseWeights = nodes.map((node, i) => {
    let product = 1;
    for (let j = 0; j < nodes.length; j++) {
      if (j !== i) product = multiply(product, node.index ^ (nodes[j] as Chunk).index);
    }
    return product;
  });
  const row = new Uint16Array(COLUMNS);
  for (const x of missing) {
    row.fill(0);
    let whole = 1; // ∏ (x - x_j); x is none of the nodes
    for (const node of nodes) whole = multiply(whole, x ^ node.index);
    for (let i = 0; i < nodes.length; i++) {
      const { index, data } = nodes[i] as Chunk;
      const factor = divide(whole, multiply(x ^ index, inverseWeights[i] as number));
      const logFactor = log[factor] as number;
      for (let p = 0; p < COLUMNS; p++) {
        const y = ((data[2 * p] as number) << 8) | (data[2 * p + 1] as number);
        if (y !== 0) row[p] = (row[p] as number) ^ (exp[logFactor + (log[y] as number)] as number);
      }
    }
    for (let p = 0; p < COLUMNS; p++) {
      piece[x * CHUNK_BYTES + 2 * p] = (row[p] as number) >>> 8;
      piece[x * CHUNK_BYTES + 2 * p + 1] = row[p] as number;
    }
  }
}

/** Coefficients of the 16 polynomials through the rows of `piece`. */
function interpolate(piece: Bytes): Uint16Array {
  const { log, exp } = fieldTables();
  const n = piece.length / CHUNK_BYTES;
  const basis = lagrangeBasis(n);
  const out = new Uint16Array(COLUMNS * n);
  for (let p = 0; p < COLUMNS; p++) {
    for (let x = 0; x < n; x++) {
      const at = x * CHUNK_BYTES + 2 * p;
      const y = ((piece[at] as number) << 8) | (piece[at + 1] as number);
      if (y === 0) continue;
      const logY = log[y] as number;
      for (let k = 0; k < n; k++) {
        const b = basis[x * n + k] as number;
        if (b !== 0) {
          out[p * n + k] = (out[p * n + k] as number) ^ (exp[logY + (log[b] as number)] as number);
        }
      }
    }
  }
  return out;
}

/**
 * `basis[i·n + k]`: coefficient of x^k of the polynomial that is 1 at i and 0 at the other of 0 … n-1.
 * Kept per n, of which there are four (3, 5, 30, 36): 4.5 KB together.
 */
function lagrangeBasis(n: number): Uint16Array {
  const known = bases.get(n);
  if (known !== undefined) return known;
  // M(x) = ∏ (x - j), n + 1 coefficients.
  const product = new Uint16Array(n + 1);
  product[0] = 1;
  for (let j = 0; j < n; j++) {
    for (let k = j + 1; k >= 0; k--) {
      const shifted = k > 0 ? (product[k - 1] as number) : 0;
      product[k] = shifted ^ multiply(product[k] as number, j);
    }
  }
  const basis = new Uint16Array(n * n);
  for (let i = 0; i < n; i++) {
    // M(x) / (x - i) by synthetic division, then scaled to 1 at i.
    let carry = 0;
    for (let k = n - 1; k >= 0; k--) {
      carry = (product[k + 1] as number) ^ multiply(carry, i);
      basis[i * n + k] = carry;
    }
    let atI = 0;
    for (let k = n - 1; k >= 0; k--) atI = multiply(atI, i) ^ (basis[i * n + k] as number);
    for (let k = 0; k < n; k++) basis[i * n + k] = divide(basis[i * n + k] as number, atI);
  }
  bases.set(n, basis);
  return basis;
}

/** Chunk data at `x`: 16 evaluations by Horner's rule, sharing the logarithm of `x`. */
function evaluate(coefficients: Uint16Array, x: number): Bytes {
  const { log, exp } = fieldTables();
  const n = coefficients.length / COLUMNS;
  const logX = log[x] as number;
  const data = new Uint8Array(CHUNK_BYTES);
  for (let p = 0; p < COLUMNS; p++) {
    let value = 0;
    if (x === 0) value = coefficients[p * n] as number;
    else {
      for (let k = p * n + n - 1; k >= p * n; k--) {
        if (value !== 0) value = exp[logX + (log[value] as number)] as number;
        value ^= coefficients[k] as number;
      }
    }
    data[2 * p] = value >>> 8;
    data[2 * p + 1] = value;
  }
  return data;
}

const bases = new Map<number, Uint16Array>();
