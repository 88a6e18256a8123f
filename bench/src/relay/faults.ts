/**
 * What a client finds wrong with its server while a load runs: an answer that is no confirmation, a lost
 * connection, the end of the process. Clients run in callbacks of sockets, where a throw would end the whole
 * benchmark; the load looks here instead, and is the only thing that fails.
 */

let first: Error | undefined;

/** Something is wrong; the load that runs ends with it. What comes after the first is a consequence. */
export function fault(error: unknown): void {
  first ??= error instanceof Error ? error : new Error(String(error));
}

/** @throws what was found wrong since the last look. */
export function checkFaults(): void {
  const error = first;
  first = undefined;
  if (error !== undefined) throw error;
}

/** Forget what was found: another server is measured now. */
export function forgetFaults(): void {
  first = undefined;
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Let a load run. @throws what is found wrong meanwhile. */
export async function pass(ms: number): Promise<void> {
  const endMs = performance.now() + ms;
  for (let left = ms; left > 0; left = endMs - performance.now()) {
    await sleep(Math.min(left, 100));
    checkFaults();
  }
}

/** Resolves when `condition` holds. @throws when it does not in time, or something is found wrong. */
export async function until(condition: () => boolean, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('timed out');
    await sleep(10);
    checkFaults();
  }
}
