/** Properties as tap assertions: a failure prints the seed and the smallest counterexample. */
import fc from 'fast-check';
import type { Test } from 'tap';

/** Assert that `property` holds for the seeded runs. */
export function holds<Args>(
  t: Test,
  property: fc.IProperty<Args>,
  options: { readonly seed: number; readonly numRuns: number },
): void {
  t.doesNotThrow(() => fc.assert(property, options), `holds in ${options.numRuns} runs`);
}

/** The same for properties that await. */
export async function holdsAsync<Args>(
  t: Test,
  property: fc.IAsyncProperty<Args>,
  options: { readonly seed: number; readonly numRuns: number },
): Promise<void> {
  await t.resolves(fc.assert(property, options), `holds in ${options.numRuns} runs`);
}
