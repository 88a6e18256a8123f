/**
 * `qasid register USERNAME --relay URL`: make an identity, keep its keys here, publish the public ones.
 *
 * The settings are written before the account exists, and `client.register` may be repeated: whatever a
 * crash interrupts, running the same command again finishes it.
 */
import { readFileSync } from 'node:fs';

import { hintAtClock, openClient, within, type Context } from '../context.js';
import { CliError, EXIT, type ExitCode } from '../exit-codes.js';
import { readSettings, writeSettings, type ProfileSettings } from '../profile.js';
import { choosePassphrase, hasSource, readPassphrase, systemReason } from '../prompt.js';

/** What may be said with the command. */
export interface RegisterOptions {
  readonly relay: string;
  readonly passphrase: boolean;
  readonly inviteFile?: string;
  readonly ticketFile?: string;
}

/** Run the command. */
export async function register(
  context: Context,
  username: string,
  options: RegisterOptions,
): Promise<ExitCode> {
  const { output, profile } = context;
  const admission = readAdmission(options);
  const relay = checkedRelay(options.relay);
  const before = readSettings(profile);
  const passphrase =
    before === undefined ? await newPassphrase(context, options) : await oldPassphrase(context);
  const settings: ProfileSettings = { relay, passphrase: passphrase !== undefined };
  if (before === undefined) writeSettings(profile, settings);

  const client = await openClient(profile, settings, passphrase);
  try {
    if (client.me.registered && client.me.username === username && before?.relay === relay) {
      output.note(`profile ${profile.name} is registered as ${username} already`);
      return EXIT.done;
    }
    if (client.me.registered && before?.relay !== relay) {
      throw new CliError(EXIT.failed, 'this profile is registered at another relay', [
        'another relay needs another --profile',
      ]);
    }
    // Not registered anywhere yet: a mistyped address may be corrected.
    if (before !== undefined && before.relay !== relay) writeSettings(profile, settings);
    const outcome = await within(context, client.register({ username, ...admission }));
    if (outcome.kind !== 'done') {
      const seconds = context.timeoutMs / 1_000;
      throw new CliError(
        EXIT.network,
        outcome.kind === 'timeout' ? `the relay did not answer within ${seconds} s` : 'stopped',
        ['run the same command again: it goes on where it was'],
      );
    }
    hintAtClock(context, client);
    const { account, device } = client.me;
    if (context.json) await output.json({ username, account, device, relay });
    output.note(`registered ${username} at ${relay}`);
    if (passphrase === undefined) {
      output.hint('the keys of this profile are not protected by a passphrase');
    }
    return EXIT.done;
  } finally {
    await client.close();
  }
}

/** Invite and ticket are secrets until they are used: never on the command line. */
function readAdmission(options: RegisterOptions): { invite?: string; ticket?: string } {
  const { inviteFile, ticketFile } = options;
  return {
    ...(inviteFile !== undefined && { invite: readLine(inviteFile) }),
    ...(ticketFile !== undefined && { ticket: readLine(ticketFile) }),
  };
}

function readLine(path: string): string {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8').trim();
  } catch (cause) {
    throw new CliError(EXIT.usage, `cannot read ${path}: ${systemReason(cause)}`, [], { cause });
  }
}

/** The passphrase of a profile that is made now; `undefined`: none. @throws CliError `usage` */
export async function newPassphrase(
  context: Context,
  options: { readonly passphrase: boolean },
): Promise<string | undefined> {
  if (!options.passphrase) {
    if (!hasSource(context.passphrase)) return undefined;
    throw new CliError(EXIT.usage, '--no-passphrase and a passphrase exclude each other');
  }
  try {
    return await choosePassphrase(context.passphrase, context.output);
  } catch (error) {
    if (!(error instanceof CliError) || hasSource(context.passphrase)) throw error;
    throw new CliError(error.exitCode, error.message, [
      'use --passphrase-file or --passphrase-fd, or --no-passphrase',
    ]);
  }
}

async function oldPassphrase(context: Context): Promise<string | undefined> {
  const settings = readSettings(context.profile);
  if (settings?.passphrase !== true) return undefined;
  return readPassphrase(context.passphrase, context.output);
}

function checkedRelay(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new CliError(EXIT.usage, 'the relay address is not a URL', [RELAY_HINT], { cause });
  }
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:') {
    throw new CliError(EXIT.usage, 'the relay address must begin with ws:// or wss://', [
      RELAY_HINT,
    ]);
  }
  if (url.username !== '' || url.password !== '') {
    throw new CliError(EXIT.usage, 'the relay address must not hold a password', [RELAY_HINT]);
  }
  return text;
}

const RELAY_HINT = 'a relay address looks like ws://127.0.0.1:7443';
