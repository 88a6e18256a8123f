/**
 * The command line of the relay's commands: `qasid relay …`.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';

import type { CostOptions } from './commands/relay-cost.js';
import type { Context } from './context.js';
import type { ExitCode } from './exit-codes.js';
import { addAdminCommands } from './relay-admin-args.js';

/** Options of a relay, from every place they may stand. */
export interface RelaySourceOptions {
  readonly config?: string;
  readonly listen?: string;
  readonly data?: string;
  readonly set?: readonly string[];
}

/** Add `relay` and what is below it. @returns The `relay` command. */
export function addRelayCommands(
  program: Command,
  context: () => Context,
  finish: (code: ExitCode) => void,
): Command {
  const relay = program.command('relay').description('run the server that passes messages on');
  withSources(relay.command('start').description('start a relay; prints its address')).action(
    async (options: RelaySourceOptions) => {
      const { relayStart } = await import('./commands/relay-start.js');
      finish(await relayStart(context(), options));
    },
  );
  relay
    .command('init')
    .description('write a commented configuration and make the data directory')
    .argument('[file]', 'where to write it', 'relay.toml')
    .option('--listen <address>', 'host:port to listen on')
    .option('--data <directory>', 'where to keep its database (default: relay-data beside FILE)')
    .option('--set <name=value>', 'any other option of the file', collect)
    .action(async (file: string, options: RelaySourceOptions) => {
      const { relayInit } = await import('./commands/relay-init.js');
      finish(await relayInit(context(), file, options));
    });
  relay
    .command('check-config')
    .description('check a configuration and print what is in force')
    .argument('[file]', 'the file (default: the one QASID_RELAY_CONFIG names, or none)')
    .option('--set <name=value>', 'any option of the file', collect)
    .action(async (file: string | undefined, options: RelaySourceOptions) => {
      const { relayCheckConfig } = await import('./commands/relay-check-config.js');
      finish(await relayCheckConfig(context(), { ...options, ...(file && { config: file }) }));
    });
  relay
    .command('cost')
    .description('what 1 000 users cost, from the counters of a running relay')
    .option('--metrics <url>', 'its metrics', 'http://127.0.0.1:9464/metrics')
    .addOption(new Option('--users <n>', 'who use it, instead of all accounts').argParser(amount))
    .addOption(new Option('--traffic-price <p>', 'of a GB that is sent').argParser(amount))
    .addOption(new Option('--cpu-price <p>', 'of an hour of one CPU').argParser(amount))
    .addOption(new Option('--disk-price <p>', 'of a GB for a month').argParser(amount))
    .addOption(new Option('--machine-price <p>', 'of the machine for a month').argParser(amount))
    .action(async (options: CostOptions) => {
      const { relayCost } = await import('./commands/relay-cost.js');
      finish(await relayCost(context(), options));
    });
  relay
    .command('show')
    .description('show what a relay has stored, as its operator sees it')
    .option('--data <directory>', 'its folder (default: relay in QASID_HOME)')
    .action(async (options: { data?: string }) => {
      const { relayShow } = await import('./commands/relay-show.js');
      finish(await relayShow(context(), options));
    });
  relay
    .command('backup')
    .description('write a backup of a relay, which may be running')
    .argument('<directory>', 'where to: must not exist yet, or be empty')
    .option('--data <directory>', 'the folder of the relay (default: relay in QASID_HOME)')
    .option('--with-queue', 'also the envelopes that wait to be fetched')
    .action(async (target: string, options: { data?: string; withQueue?: boolean }) => {
      const { relayBackup } = await import('./commands/relay-backup.js');
      finish(await relayBackup(context(), target, options));
    });
  relay
    .command('restore')
    .description('make a relay out of a backup, in an empty folder')
    .argument('<backup>', 'directory that relay backup wrote')
    .option('--data <directory>', 'the new folder (default: relay in QASID_HOME)')
    .action(async (backup: string, options: { data?: string }) => {
      const { relayRestore } = await import('./commands/relay-backup.js');
      finish(await relayRestore(context(), backup, options));
    });
  relay
    .command('verify')
    .description("check every page and row of a relay's files, or of a backup")
    .option('--data <directory>', 'its folder (default: relay in QASID_HOME)')
    .action(async (options: { data?: string }) => {
      const { relayVerify } = await import('./commands/relay-verify.js');
      finish(await relayVerify(context(), options));
    });
  addAdminCommands(relay, context, finish);
  return relay;
}

function withSources(command: Command): Command {
  return command
    .option('--config <file>', 'its configuration; see qasid relay init')
    .option('--listen <address>', 'host:port; port 0 takes a free one')
    .option('--data <directory>', 'where to keep its database (default: relay in QASID_HOME)')
    .option('--set <name=value>', 'any other option of the file', collect);
}

function amount(text: string): number {
  const value = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text)) throw new InvalidArgumentError('not a number');
  return value;
}

function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}
