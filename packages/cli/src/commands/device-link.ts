/**
 * `qasid device link` and `qasid device join`: two devices meet, and a person types on each the eight digits
 * that stand on the other.
 *
 * The digits and the code are lines of stdin, so that scripts can do what people do.
 */
import { relayOfLink, type QasidClient } from '@qasid/client-sdk';

import { pause, requireConnected, untilStopped, withClient, type Context } from '../context.js';
import { CliError, EXIT, type ExitCode } from '../exit-codes.js';
import { inertLine } from '../inert.js';
import { Lines } from '../lines.js';
import { STDOUT, writeFully } from '../output.js';
import { readSettings, writeSettings } from '../profile.js';
import { newPassphrase } from './register.js';

/** What may be said with `link`. */
export interface LinkArguments {
  readonly history?: boolean;
  /** Seconds. */
  readonly historyAfter: number;
  readonly qr: boolean;
}

/** What may be said with `join`. */
export interface JoinArguments {
  readonly name: string;
  readonly passphrase: boolean;
}

/** Run `link`. */
export async function deviceLink(context: Context, options: LinkArguments): Promise<ExitCode> {
  const { output } = context;
  return withClient(context, async (client) => {
    await requireConnected(context, client);
    const history = options.history === true;
    const historyAfterMs = options.historyAfter * 1_000;
    const linking = await client.devices.startLinking({ history, historyAfterMs });
    const sent = whenTransferred(client);
    const code = linking.qr?.text ?? '';
    if (options.qr && !context.json) {
      const { renderUnicodeCompact } = await import('uqr');
      await writeFully(STDOUT, `${renderUnicodeCompact(code, { ecc: 'L' })}\n`);
    }
    if (context.json) await output.json({ link: code, expires: linking.expiresAt });
    else await output.data(code);
    output.note('on the new device: qasid device join --name NAME, and this code');
    const lines = new Lines();
    try {
      const request = await untilStopped(context.stop, linking.request);
      if (request === undefined) throw stopped();
      const age = Math.round(request.ageMs / 1_000);
      const who = `${inertLine(request.name)} (${inertLine(request.platform)})`;
      output.note(`${who} asks to join; the code was shown ${age} s ago`);
      // The other side may say no while this one is still reading.
      await Promise.race([checkDigits(context, request.code, lines), linking.done]);
      linking.confirm();
      const joined = await untilStopped(context.stop, linking.done);
      if (joined === undefined) throw stopped();
      output.note(`device ${joined.device} is part of this account: ${inertLine(joined.name)}`);
      if (history && historyAfterMs > context.timeoutMs) {
        output.hint('the history follows when a later command of this profile is connected');
      } else await Promise.race([sent, pause(context.timeoutMs)]);
      return EXIT.done;
    } finally {
      linking.cancel();
      await linking.done.catch(() => undefined);
      lines.close();
    }
  });
}

/** Run `join`. */
export async function deviceJoin(
  context: Context,
  given: string | undefined,
  options: JoinArguments,
): Promise<ExitCode> {
  const { output, profile } = context;
  if (readSettings(profile)?.relay !== undefined) {
    throw new CliError(EXIT.failed, `profile ${profile.name} exists already`, [
      'a device needs a profile of its own: --profile NAME',
    ]);
  }
  const lines = new Lines();
  try {
    const code = given === undefined || given === '-' ? await lines.next('code') : given;
    const relay = relayOfLink(code);
    const passphrase = await newPassphrase(context, options);
    const abort = new AbortController();
    context.stop.addEventListener('abort', () => abort.abort());
    const { linkNodeClient } = await import('@qasid/client-sdk/node');
    const client = await linkNodeClient({
      relay,
      directory: profile.directory,
      link: code,
      name: options.name,
      platformName: `qasid on ${process.platform}`,
      signal: abort.signal,
      confirm: async ({ code: digits }) => {
        try {
          await checkDigits(context, digits, lines);
          return true;
        } catch (error) {
          output.error((error as Error).message);
          return false;
        }
      },
      ...(passphrase !== undefined && { passphrase }),
    });
    try {
      writeSettings(profile, { relay, passphrase: passphrase !== undefined });
      const received = whenTransferred(client);
      const { account, username, device } = client.me;
      if (context.json) await output.json({ username: username ?? null, account, device, relay });
      output.note(`this is device ${device} of ${username ?? account} now`);
      await Promise.race([received, pause(context.timeoutMs)]);
      return EXIT.done;
    } finally {
      await client.close();
    }
  } finally {
    lines.close();
  }
}

/** Show the digits of this side, and take those of the other. @throws CliError `notVerified` */
async function checkDigits(context: Context, digits: string, lines: Lines): Promise<void> {
  const { output } = context;
  if (context.json) await output.json({ digits });
  else await output.data(`${digits.slice(0, 4)} ${digits.slice(4)}`);
  output.note('type the eight digits that the other device shows');
  const typed = (await untilStopped(context.stop, lines.next('digits'))) ?? '';
  if (typed.replaceAll(/\s/g, '') === digits) return;
  throw new CliError(EXIT.notVerified, 'these are not the same digits: nothing was linked', [
    'one may be mistyped; if not, somebody is in between',
  ]);
}

/** Resolves when what belongs to the new device is there. */
function whenTransferred(client: QasidClient): Promise<void> {
  return new Promise((resolve) => {
    client.on('transfer', ({ done }) => {
      if (done) resolve();
    });
  });
}

function stopped(): CliError {
  return new CliError(EXIT.failed, 'stopped: nothing was linked');
}
