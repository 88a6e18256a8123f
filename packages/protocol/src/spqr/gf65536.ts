/**
 * 06 SPQR §6.1. The field GF(2^16): x^16 + x^12 + x^3 + x + 1, elements as 16-bit integers.
 *
 * Addition and subtraction are XOR and need no function. Everything here works on data that travels in
 * the clear, so table look-ups and branches on values are harmless; nothing secret may come here.
 */

/** Logarithms to base 2, which generates the group. `log[0]` is not used; `exp` repeats after 65535. */
export interface FieldTables {
  /** 65536 entries. */
  readonly log: Uint16Array;
  /** 131070 entries, so that the sum of two logarithms needs no reduction. */
  readonly exp: Uint16Array;
}

/** The tables, built on first use: a conversation without loss never asks for them. */
export function fieldTables(): FieldTables {
  tables ??= buildTables();
  return tables;
}

/** `a · b`. */
export function multiply(a: number, b: number): number {
  if (a === 0 || b === 0) return 0;
  const { log, exp } = fieldTables();
  return exp[(log[a] as number) + (log[b] as number)] as number;
}

/** `a / b`; `b` is not 0. Callers divide by differences of distinct points only. */
export function divide(a: number, b: number): number {
  if (a === 0) return 0;
  const { log, exp } = fieldTables();
  return exp[(log[a] as number) + GROUP_ORDER - (log[b] as number)] as number;
}

/** 2 to the power of `exponent`, 0 to 65534. */
export function powerOf2(exponent: number): number {
  return fieldTables().exp[exponent] as number;
}

function buildTables(): FieldTables {
  const log = new Uint16Array(65536);
  const exp = new Uint16Array(2 * GROUP_ORDER);
  let power = 1;
  for (let i = 0; i < GROUP_ORDER; i++) {
    exp[i] = power;
    exp[i + GROUP_ORDER] = power;
    log[power] = i;
    power <<= 1;
    if (power > 0xffff) power ^= POLYNOMIAL;
  }
  return { log, exp };
}

let tables: FieldTables | undefined;

const POLYNOMIAL = 0x1100b;
const GROUP_ORDER = 65535;
