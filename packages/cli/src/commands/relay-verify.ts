/**
 * `qasid relay verify`: is what a relay has on disk whole?
 */
import type { Context } from '../context.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { relayDirectory } from '../profile.js';

/** Run the command. The relay may be running or not. */
export async function relayVerify(
  context: Context,
  options: { readonly data?: string },
): Promise<ExitCode> {
  const { verifyRelay } = await import('@qasid/relay');
  const report = verifyRelay(relayDirectory(options.data));
  const { accounts, devices, envelopes, bytes, schema, epoch, problems } = report;
  if (context.json) await context.output.json(report);
  else {
    await context.output.data(
      `${accounts} accounts, ${devices} devices, ${envelopes} envelopes of ${bytes} bytes, schema ${schema}, epoch ${epoch}`,
    );
  }
  for (const problem of problems) context.output.error(problem);
  if (problems.length === 0) {
    context.output.note('every page and row is as it should be');
    return EXIT.done;
  }
  context.output.hint('keep the damaged files, and restore the last backup that verifies');
  return EXIT.failed;
}
