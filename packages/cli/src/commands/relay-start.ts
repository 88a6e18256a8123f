/**
 * `qasid relay start`: the server that passes messages on, in this process.
 */
import type { RunningRelay } from '@qasid/relay';

import type { Context } from '../context.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { RelaySourceOptions } from '../relay-args.js';
import { relayConfig } from '../relay-config.js';

/** Run the command. Ends when `context.stop` is aborted and everything accepted is stored. */
export async function relayStart(context: Context, options: RelaySourceOptions): Promise<ExitCode> {
  const { options: chosen, config } = await relayConfig(options);
  const { directory } = config;
  const { createLog, startRelay } = await import('@qasid/relay');
  const log = createLog(config.logLevel, { write: (line) => context.output.note(logLine(line)) });
  const relay = await startRelay(chosen, { log });
  if (config.tlsCert !== undefined) {
    // A relay with a certificate is a service: a hang-up means that the certificate was renewed.
    process.removeAllListeners('SIGHUP');
    process.on('SIGHUP', () => void relay.reload());
  }
  let failure: Error | undefined;
  try {
    if (context.json) await context.output.json({ url: relay.url, data: directory });
    else await context.output.data(relay.url);
    context.output.note('relay is up; Ctrl-C ends it');
    // An operator's drain ends it too.
    const ended = relay.ended.then(() => undefined);
    failure = await Promise.race([relay.failed, stopped(context.stop), ended]);
    if (failure !== undefined) throw failure;
    context.output.note('relay is closing');
    hurryOnSignal(relay);
    await relay.drain();
    return EXIT.done;
  } finally {
    await relay.close().catch((error: unknown) => {
      // A store that failed may fail again on the way out: what is told is the cause.
      if (failure === undefined) throw error;
    });
  }
}

/** While the relay drains: the next signal ends it without waiting for clients, one more at once. */
function hurryOnSignal(relay: RunningRelay): void {
  let signals = 0;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.removeAllListeners(signal);
    process.on(signal, () => {
      signals++;
      if (signals > 1) process.exit(130);
      void relay.close();
    });
  }
}

function stopped(stop: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (stop.aborted) resolve(undefined);
    stop.addEventListener('abort', () => resolve(undefined));
  });
}

/** A line of the relay's log, which holds codes and numbers only, in the manner of this program. */
function logLine(json: string): string {
  const { level: _level, time: _time, event, ...facts } = JSON.parse(json);
  const name = String(event).toLowerCase().replaceAll('_', ' ');
  const rest = Object.entries(facts).map(([key, value]) => `${key} ${value}`);
  return ['relay:', name, ...rest].join(' ');
}
