/**
 * Commits that other writers may get ahead of.
 */
import { QasidError } from '@qasid/protocol';

/** Tries of a commit that other writers get ahead of. */
const COMMIT_TRIES = 32;

/** Try again when the store says that something changed between reading and writing. */
export async function untilCommitted<Result>(task: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await task();
    } catch (error) {
      const code = error instanceof QasidError ? error.code : undefined;
      const conflict = code === 'STORE_CONFLICT' || code === 'STATE_CONFLICT';
      if (!conflict || attempt >= COMMIT_TRIES) throw error;
    }
  }
}
