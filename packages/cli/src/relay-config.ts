/**
 * The configuration of a relay that is started, checked or made by the command line.
 */
import type { LoadedConfig, RelayOptions } from '@qasid/relay';

import { CliError, EXIT } from './exit-codes.js';
import { relayDirectory } from './profile.js';
import type { RelaySourceOptions } from './relay-args.js';

/** File, environment and flags, the later over the earlier. @throws RelayError `RELAY_CONFIG` */
export async function relayConfig(
  options: RelaySourceOptions,
  fallback: RelayOptions = { directory: relayDirectory(undefined) },
): Promise<LoadedConfig> {
  const { loadConfig } = await import('@qasid/relay');
  const { config: file, set = [], listen, data } = options;
  const flags = { ...(listen !== undefined && parseListen(listen)), directory: data };
  return loadConfig({ file, environment: process.env, settings: set, flags, fallback });
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
