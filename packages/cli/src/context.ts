/**
 * What every command is given: where to write, whose profile, when to stop, and the way to open it.
 */
import type { QasidClient } from '@qasid/client-sdk';

import type { Output } from './output.js';
import { CliError, EXIT } from './exit-codes.js';
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
    hintAtClock(context, client);
    await client.close();
  }
}

/** A wrong clock harms nothing, but the times of messages will puzzle people. */
export function hintAtClock(context: Context, client: QasidClient): void {
  const offsetMs = client.clockOffsetMs ?? 0;
  if (Math.abs(offsetMs) < CLOCK_TOLERANCE_MS) return;
  const hours = (Math.abs(offsetMs) / 3_600_000).toFixed(1);
  const way = offsetMs > 0 ? 'behind' : 'ahead of';
  context.output.hint(`the clock of this computer is ${hours} hours ${way} the relay's`);
}

/** Clocks that differ by less are not worth a word. */
const CLOCK_TOLERANCE_MS = 30 * 60 * 1_000;

/** What `work` gives, or why there is nothing: too late, or the program is asked to stop. */
export async function within<Result>(
  context: Context,
  work: Promise<Result>,
): Promise<
  | { readonly kind: 'done'; readonly value: Result }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'stopped' }
> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<{ readonly kind: 'timeout' }>((resolve) => {
    timer = setTimeout(() => resolve({ kind: 'timeout' }), context.timeoutMs);
  });
  try {
    const done = work.then((value) => ({ kind: 'done', value }) as const);
    const either = Promise.race([done, timeout]);
    return (await untilStopped(context.stop, either)) ?? { kind: 'stopped' };
  } finally {
    clearTimeout(timer);
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

/** Wait until the relay has accepted this device. @throws CliError `network`, or what went wrong. */
export async function requireConnected(context: Context, client: QasidClient): Promise<void> {
  const { timeoutMs } = context;
  const connected = await within(context, client.caughtUp({ timeoutMs }));
  if (connected.kind === 'done' && client.status === 'open') return;
  throw new CliError(EXIT.network, 'another program of this profile is connected', [
    'end it first: qasid receive --follow, for example',
  ]);
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

/** Resolves after a while; keeps no process alive. */
export function pause(ms: number): Promise<undefined> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(undefined), ms).unref();
  });
}
