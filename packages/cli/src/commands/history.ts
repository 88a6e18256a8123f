/**
 * `qasid history`: messages this profile has, sent and received, without touching what was shown.
 */
import { withClient, type Context } from '../context.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { titleOf } from '../groups.js';
import { historyLine } from '../message-line.js';

/** Run the command. */
export async function history(
  context: Context,
  options: { readonly after: number; readonly limit: number },
): Promise<ExitCode> {
  return withClient(context, async (client) => {
    for (const message of await client.history(options)) {
      const title = await titleOf(client, message.peer);
      await context.output.data(historyLine(message, context.json, title));
    }
    return EXIT.done;
  });
}
