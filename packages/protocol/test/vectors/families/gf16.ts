/** spqr/gf16.json: products, quotients and powers in GF(2^16). */
import type { CryptoProvider } from '#src/crypto/provider.js';
import { divide, multiply, powerOf2 } from '#src/spqr/gf65536.js';
import type { Result } from '../../support/hex.js';

interface Vectors {
  mul: [number, number, number][];
  div: [number, number, number][];
  powersOf2: [number, number][];
}

export const files = ['spqr/gf16.json'];

export function* check(json: unknown, _crypto: CryptoProvider): Iterable<Result> {
  const { mul, div, powersOf2 } = json as Vectors;
  for (const [a, b, product] of mul) {
    yield same(`${a} * ${b}`, multiply(a, b), product);
    yield same(`${b} * ${a}`, multiply(b, a), product);
  }
  for (const [a, b, quotient] of div) yield same(`${a} / ${b}`, divide(a, b), quotient);
  for (const [k, value] of powersOf2) yield same(`2^${k}`, powerOf2(k), value);
}

function same(name: string, actual: number, expected: number): Result {
  return actual === expected
    ? { name, ok: true }
    : { name, ok: false, detail: `${actual}, expected ${expected}` };
}
