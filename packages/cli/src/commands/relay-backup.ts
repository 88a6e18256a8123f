/**
 * `qasid relay backup` and `qasid relay restore`: what an operator keeps for the day the disk dies.
 */
import type { Context } from '../context.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { relayDirectory } from '../profile.js';

/** Back a relay up; it may be running. */
export async function relayBackup(
  context: Context,
  target: string,
  options: { readonly data?: string; readonly withQueue?: boolean },
): Promise<ExitCode> {
  const { backupRelay } = await import('@qasid/relay');
  const withQueue = options.withQueue === true;
  const counts = backupRelay(relayDirectory(options.data), target, { withQueue });
  if (context.json) await context.output.json({ backup: target, ...counts });
  else {
    await context.output.data(
      `${target}: ${counts.accounts} accounts, ${counts.devices} devices, ${counts.envelopes} envelopes`,
    );
  }
  if (!withQueue) context.output.note('envelopes that wait are not in it; see --with-queue');
  context.output.note("it holds the relay's keys: keep it as safe as the relay");
  return EXIT.done;
}

/** Make a relay out of a backup. */
export async function relayRestore(
  context: Context,
  backup: string,
  options: { readonly data?: string },
): Promise<ExitCode> {
  const { restoreRelay } = await import('@qasid/relay');
  const directory = relayDirectory(options.data);
  const report = restoreRelay(backup, directory);
  if (context.json) await context.output.json({ data: directory, ...report });
  else {
    await context.output.data(
      `${directory}: ${report.accounts} accounts, ${report.devices} devices, ${report.envelopes} envelopes, epoch ${report.epoch}`,
    );
  }
  context.output.note('start it with qasid relay start; clients will publish new prekeys');
  return EXIT.done;
}
