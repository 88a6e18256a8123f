/**
 * `qasid receive`: show each message once. `--follow` goes on until Ctrl-C.
 *
 * The SDK has every message durably before the relay forgets it; this command only decides what has been
 * shown, and shown.ts says how that survives `kill -9`.
 */
import type { Message, QasidClient } from '@qasid/client-sdk';

import { withClient, type Context } from '../context.js';
import { CliError, EXIT, type ExitCode } from '../exit-codes.js';
import { messageLine } from '../message-line.js';
import { STDOUT, writeFully } from '../output.js';
import { ReceiveLock } from '../receive-lock.js';
import { outcomeOf, Shown } from '../shown.js';

/** Run the command. */
export async function receive(
  context: Context,
  options: { readonly follow: boolean },
): Promise<ExitCode> {
  return withClient(context, async (client) => {
    const lock = await ReceiveLock.take(context.profile);
    const shown = Shown.open(context.profile.directory);
    try {
      await settleInterrupted(context, client, shown);
      return await show(context, client, shown, options.follow);
    } finally {
      shown.close();
      lock.release();
    }
  });
}
