/**
 * `qasid trust WHO`: a person has compared the new safety number and accepts the new identity key.
 */
import { withClient, type Context } from '../context.js';
import { EXIT, type ExitCode } from '../exit-codes.js';

/** Run the command. */
export async function trust(context: Context, who: string): Promise<ExitCode> {
  return withClient(context, async (client) => {
    const { changed } = await client.safetyNumber(who);
    if (changed === undefined) {
      context.output.note(`the identity key of ${who} has not changed: nothing to do`);
      return EXIT.done;
    }
    await client.trust(who);
    context.output.note(`the identity key of ${who} is accepted from now on`);
    return EXIT.done;
  });
}
