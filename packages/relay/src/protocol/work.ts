/**
 * 13 Relay §2. How much work an open registration costs: more, the more there were lately. Pure.
 */

/** Zero bits asked for when nobody registers: a tenth of a second of a telephone. Lower: no obstacle. */
export const WORK_BITS_LOW = 16;

/** And when everybody does: half a minute. Higher: honest people give up. */
export const WORK_BITS_HIGH = 24;

/** Registrations in the last minutes, fading. */
export interface WorkLevel {
  readonly count: number;
  readonly atMs: number;
}

/** The level at `nowMs`: half of it every ten minutes. */
export function fadeLevel(level: WorkLevel, nowMs: number): WorkLevel {
  const halves = Math.max(0, nowMs - level.atMs) / HALF_MS;
  return { count: level.count / 2 ** halves, atMs: nowMs };
}

/** One registration more. */
export function raiseLevel(level: WorkLevel, nowMs: number): WorkLevel {
  return { count: fadeLevel(level, nowMs).count + 1, atMs: nowMs };
}

/** Bits for the next registration: one more for every doubling beyond the first `EASY`. */
export function workBits(level: WorkLevel, nowMs: number): number {
  const { count } = fadeLevel(level, nowMs);
  const extra = Math.floor(Math.log2(1 + count / EASY));
  return Math.min(WORK_BITS_HIGH, WORK_BITS_LOW + extra);
}

const HALF_MS = 10 * 60 * 1000;

/** Registrations that cost nothing extra. Lower: a school class at once pays. Higher: floods start later. */
const EASY = 32;
