/**
 * 01 Primitives. Comparing without an early exit.
 *
 * JavaScript engines promise no timing; this has no secret-dependent branch or index in its source.
 */

/** Whether `a` and `b` are equal. Lengths are public; contents are compared without early exit. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] as number) ^ (b[i] as number);
  return difference === 0;
}

/** Whether every byte of `value` is zero, without early exit. */
export function isAllZero(value: Uint8Array): boolean {
  let seen = 0;
  for (let i = 0; i < value.length; i++) seen |= value[i] as number;
  return seen === 0;
}
