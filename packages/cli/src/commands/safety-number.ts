/**
 * `qasid safety-number WHO`: what two people compare to be sure that nobody is in between.
 */
import { withClient, type Context } from '../context.js';
import { CliError, EXIT, type ExitCode } from '../exit-codes.js';
import { grouped } from '../message-line.js';
import { STDOUT, writeFully } from '../output.js';

/** Run the command. */
export async function safetyNumber(
  context: Context,
  who: string,
  options: { readonly qr?: boolean; readonly compare?: string },
): Promise<ExitCode> {
  const compared = options.compare?.replaceAll(/\s/g, '');
  if (compared !== undefined && !/^\d{60}$/.test(compared)) {
    throw new CliError(EXIT.usage, 'a safety number has 60 digits');
  }
  return withClient(context, async (client) => {
    const number = await client.safetyNumber(who);
    if (context.json) {
      const { digits, verified, theirs } = number;
      await context.output.json({ who, account: theirs.account, digits, verified });
    } else {
      for (const line of rows(number.digits)) await context.output.data(line);
    }
    if (options.qr === true) {
      const { renderUnicodeCompact } = await import('uqr');
      await writeFully(STDOUT, `${renderUnicodeCompact([...number.scannable])}\n`);
    }
    if (number.changed !== undefined) {
      throw new CliError(EXIT.notVerified, `the identity key of ${who} changed`, [
        `safety number now: ${grouped(number.changed.digits)}`,
        `compare it with ${who}; if it is right: qasid trust ${who}`,
      ]);
    }
    if (compared === undefined) {
      if (number.verified) context.output.note(`you have compared this number with ${who}`);
      return EXIT.done;
    }
    if (compared !== number.digits) {
      throw new CliError(EXIT.notVerified, `this is not the safety number you have with ${who}`, [
        'a digit may be mistyped; if not, someone may be in between: do not send anything secret',
      ]);
    }
    await number.verify();
    context.output.note(`the safety number with ${who} is the same: nobody is in between`);
    return EXIT.done;
  });
}

/** 60 digits in three rows of four groups of five. */
function rows(digits: string): readonly string[] {
  const groups = digits.match(/.{5}/g) ?? [];
  return [0, 4, 8].map((at) => groups.slice(at, at + 4).join(' '));
}
