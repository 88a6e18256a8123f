/**
 * `qasid relay start`: the server that passes messages on, in this process.
 */
import type { Context } from '../context.js';
import { CliError, EXIT, type ExitCode } from '../exit-codes.js';
import { relayDirectory } from '../profile.js';

/** Run the command. Ends when `context.stop` is aborted and everything accepted is stored. */
export async function relayStart(
  context: Context,
  options: { readonly listen: string; readonly data?: string },
): Promise<ExitCode> {
  const { host, port } = parseListen(options.listen);
  const directory = relayDirectory(options.data);
  const { createLog, startRelay } = await import('@qasid/relay');
  const log = createLog('warn', { write: (line) => context.output.note(logLine(line)) });
  const relay = await startRelay({ host, port, directory }, { log });
  try {
    if (context.json) await context.output.json({ url: relay.url, data: directory });
    else await context.output.data(relay.url);
    context.output.note('relay is up; Ctrl-C ends it');
    const failure = await Promise.race([relay.failed, stopped(context.stop)]);
    if (failure !== undefined) throw failure;
    context.output.note('relay is closing');
    return EXIT.done;
  } finally {
    await relay.close();
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

/** `host:port`; an IPv6 host stands in brackets. */
function parseListen(text: string): { readonly host: string; readonly port: number } {
  const parts = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const port = Number(parts?.[3]);
  const host = parts?.[1] ?? parts?.[2];
  if (host === undefined || port > 65_535) {
    throw new CliError(EXIT.usage, 'the address to listen on is not HOST:PORT', [
      'like 127.0.0.1:7443; port 0 takes a free one',
    ]);
  }
  return { host, port };
}
