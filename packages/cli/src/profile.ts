/**
 * A profile: one person's identity on this computer, in one folder.
 *
 * `QASID_HOME` (default `~/.qasid`) holds `profiles/NAME/` with `profile.json` (which relay, whether a
 * passphrase protects the keys), the SDK's database, and `shown.log`. Folders are 0700, files 0600.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

import { CliError, EXIT } from './exit-codes.js';
import { systemReason } from './prompt.js';

/** What `profile.json` says. */
export interface ProfileSettings {
  readonly relay: string;
  /** Whether the database needs a passphrase. */
  readonly passphrase: boolean;
}

/** A profile by name; it may not exist yet. */
export interface Profile {
  readonly name: string;
  readonly directory: string;
}

/** The folder of all profiles: `QASID_HOME`, or `~/.qasid`. */
export function homeDirectory(): string {
  const home = process.env.QASID_HOME;
  return home === undefined || home === '' ? join(homedir(), '.qasid') : home;
}

/** Folder of a relay: the one named, or `relay` beside the profiles. */
export function relayDirectory(named: string | undefined): string {
  return named ?? join(homeDirectory(), 'relay');
}

/**
 * The profile called `name`.
 *
 * @throws CliError `usage` for a name that could leave the home folder.
 */
export function profileNamed(name: string): Profile {
  if (!/^[a-z0-9][a-z0-9_-]{0,31}$/.test(name)) {
    throw new CliError(EXIT.usage, 'a profile name is 1 to 32 of a-z 0-9 _ -');
  }
  return { name, directory: join(homeDirectory(), 'profiles', name) };
}

/**
 * Read the settings, or undefined when the profile was never set up.
 *
 * @throws CliError `failed` when the folder cannot be read or the file is damaged.
 */
export function readSettings(profile: Profile): ProfileSettings | undefined {
  let text: string;
  try {
    text = readFileSync(settingsPath(profile), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw homeError('read', error);
  }
  try {
    const value: unknown = JSON.parse(text);
    if (isSettings(value)) return { relay: value.relay, passphrase: value.passphrase };
  } catch {
    // Not JSON: same answer as JSON of another shape.
  }
  throw new CliError(EXIT.failed, `profile ${profile.name} is damaged: profile.json`, [
    'restore it from a backup: {"version":1,"relay":"ws://…","passphrase":false}',
  ]);
}

/**
 * The settings of a profile that must exist.
 *
 * @throws CliError `failed` with the command that sets it up.
 */
export function requireSettings(profile: Profile): ProfileSettings {
  const settings = readSettings(profile);
  if (settings === undefined) throw notRegistered(profile);
  return settings;
}

/** The profile has no account yet. */
export function notRegistered(profile: Profile): CliError {
  return new CliError(EXIT.failed, `profile ${profile.name} is not registered yet`, [
    `qasid --profile ${profile.name} register USERNAME --relay URL`,
  ]);
}

/**
 * Make the profile folder and write its settings; a crash leaves the old or the new file.
 *
 * @throws CliError `failed` when the folder cannot be written.
 */
export function writeSettings(profile: Profile, settings: ProfileSettings): void {
  try {
    mkdirSync(profile.directory, { recursive: true, mode: 0o700 });
    const text = `${JSON.stringify({ version: 1, ...settings })}\n`;
    const next = `${settingsPath(profile)}.new`;
    writeFileSync(next, text, { mode: 0o600, flush: true });
    renameSync(next, settingsPath(profile));
  } catch (error) {
    throw homeError('write', error);
  }
}

function homeError(verb: 'read' | 'write', error: unknown): CliError {
  return new CliError(
    EXIT.failed,
    `cannot ${verb} the profile folder: ${systemReason(error)}`,
    [`profiles are kept in ${homeDirectory()}; QASID_HOME names another folder`],
    { cause: error },
  );
}

function settingsPath(profile: Profile): string {
  return join(profile.directory, 'profile.json');
}

function isSettings(value: unknown): value is ProfileSettings & { version: 1 } {
  if (typeof value !== 'object' || value === null) return false;
  const settings = value as Record<string, unknown>;
  return (
    settings.version === 1 &&
    typeof settings.relay === 'string' &&
    typeof settings.passphrase === 'boolean'
  );
}
