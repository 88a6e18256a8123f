/**
 * `qasid relay init`: a configuration with every option explained, and the directory it names.
 */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

import type { Context } from '../context.js';
import { CliError, EXIT, type ExitCode } from '../exit-codes.js';
import { codeOf } from '../explain.js';
import type { RelaySourceOptions } from '../relay-args.js';
import { relayConfig } from '../relay-config.js';

/** Run the command. Never overwrites a file. */
export async function relayInit(
  context: Context,
  file: string,
  options: RelaySourceOptions,
): Promise<ExitCode> {
  const directory = join(dirname(resolve(file)), 'relay-data');
  const { options: chosen, config } = await relayConfig(options, { directory });
  const { commentedConfig } = await import('@qasid/relay');
  if (config.directory !== undefined) {
    mkdirSync(config.directory, { recursive: true, mode: 0o700 });
    chmodSync(config.directory, 0o700);
  }
  mkdirSync(dirname(resolve(file)), { recursive: true });
  const set = Object.fromEntries(
    Object.keys(chosen).map((key) => [key, config[key as keyof typeof config]]),
  );
  try {
    // It may come to hold secrets: for its owner only, as the data are.
    writeFileSync(file, commentedConfig(set), { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    throw new CliError(EXIT.failed, 'there is a configuration already', [
      'remove it first, or name another file; nothing was changed',
    ]);
  }
  context.output.note(`wrote ${file}`);
  if (config.directory !== undefined) context.output.note(`data go to ${config.directory}`);
  context.output.hint(`qasid relay check-config ${file}`);
  context.output.hint(`qasid relay start --config ${file}`);
  return EXIT.done;
}
