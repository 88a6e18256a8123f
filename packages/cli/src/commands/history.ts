/**
 * `qasid history`: messages this profile has, sent and received, without touching what was shown.
 */
import { withClient, type Context } from '../context.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { messageLine } from '../message-line.js';

/** Run the command. */
export async function history(
  context: Context,
  options: { readonly after: number; readonly limit: number },
): Promise<ExitCode> {
  return withClient(context, async (client) => {
    for (const message of await client.history(options)) {
      await context.output.data(messageLine(message, context.json));
    }
    return EXIT.done;
  });
}
