/**
 * What every command is given: where to write, whose profile, when to stop, and the way to open it.
 */
import type { QasidClient } from '@qasid/client-sdk';

import type { Output } from './output.js';
import type { Profile, ProfileSettings } from './profile.js';
import { requireSettings } from './profile.js';
import { readPassphrase, type PassphraseSource } from './prompt.js';

/** One run of the program. */
export interface Context {
  readonly output: Output;
  readonly profile: Profile;
  readonly passphrase: PassphraseSource;
  /** Data as JSON objects instead of text. */
  readonly json: boolean;
  /** How long to wait for the relay, in milliseconds. */
  readonly timeoutMs: number;
  /** Aborted by Ctrl-C or SIGTERM: finish the step at hand and return. */
  readonly stop: AbortSignal;
}

/**
 * Open the client of a profile that was set up before, run, and close it whatever happens.
 *
 * @throws CliError `failed` when there is no such profile, and what the SDK throws.
 */
export async function withClient<Result>(
  context: Context,
  run: (client: QasidClient) => Promise<Result>,
): Promise<Result> {
  const settings = requireSettings(context.profile);
  const passphrase = settings.passphrase
    ? await readPassphrase(context.passphrase, context.output)
    : undefined;
  const client = await openClient(context.profile, settings, passphrase);
  try {
    return await run(client);
  } finally {
    await client.close();
  }
}

/** What `work` gives, or undefined when the program is asked to stop first. */
export async function untilStopped<Result>(
  stop: AbortSignal,
  work: Promise<Result>,
): Promise<Result | undefined> {
  let onStop: () => void = () => {};
  const stopped = new Promise<undefined>((resolve) => {
    onStop = () => resolve(undefined);
    if (stop.aborted) onStop();
    stop.addEventListener('abort', onStop);
  });
  work.catch(() => {}); // once stopped, nobody listens any more to how it fails
  try {
    return await Promise.race([work, stopped]);
  } finally {
    stop.removeEventListener('abort', onStop);
  }
}

/** Open the client of `profile`; the caller closes it. */
export async function openClient(
  profile: Profile,
  settings: ProfileSettings,
  passphrase: string | undefined,
): Promise<QasidClient> {
  // Loaded here and not above: `qasid --help` and usage errors need none of it.
  const { openNodeClient } = await import('@qasid/client-sdk/node');
  return openNodeClient({
    relay: settings.relay,
    directory: profile.directory,
    ...(passphrase === undefined ? {} : { passphrase }),
  });
}
