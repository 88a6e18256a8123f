// Which bad day belongs to which seed. Shared by the test, the nightly run and `npm run sabotage`.
import type { Plan } from './simulation-types.js';

/** Messages of one seed: histories stay short, and each seed has other first meetings. */
export const PER_SEED = 720;

/** Every kind of bad day, in turn. */
export function planOf(seed: number): Plan {
  const groups = seed % 3 === 2;
  return {
    seed,
    messages: PER_SEED,
    people: groups ? 4 : 3 + (seed % 3),
    groups,
    evil: seed % 5 > 1,
    sealed: seed % 2 === 0,
    deaths: seed % 5 !== 3,
    outages: seed % 5 !== 2,
  };
}
