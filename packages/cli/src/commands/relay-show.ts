/**
 * `qasid relay show`: what a relay has stored, as whoever holds its disk sees it.
 */
import type { Context } from '../context.js';
import { CliError, EXIT, type ExitCode } from '../exit-codes.js';
import { relayDirectory } from '../profile.js';
import { hexRows } from '../relay-files.js';

/** Run the command. The relay may be running or not. */
export async function relayShow(
  context: Context,
  options: { readonly data?: string },
): Promise<ExitCode> {
  const directory = relayDirectory(options.data);
  const { storedEnvelopes } = await import('@qasid/relay');
  const envelopes = storedEnvelopes(directory);
  if (envelopes === undefined) {
    throw new CliError(EXIT.failed, 'no relay has stored anything there', [
      `looked in ${directory}; --data names another folder`,
    ]);
  }
  for (const { mailbox, body } of envelopes) {
    if (context.json) {
      await context.output.json({
        mailbox,
        bytes: body.length,
        body: Buffer.from(body).toString('hex'),
      });
      continue;
    }
    await context.output.data(`mailbox ${mailbox}: ${body.length} bytes`);
    for (const row of hexRows(body, process.stdout.columns ?? 80, 2)) {
      await context.output.data(`  ${row}`);
    }
  }
  const count = envelopes.length;
  context.output.note(`${count === 0 ? 'no' : count} envelope${count === 1 ? '' : 's'} waiting`);
  return EXIT.done;
}
