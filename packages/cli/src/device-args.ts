/**
 * The command line of the commands about devices: `qasid device …`.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';

import type { JoinArguments, LinkArguments } from './commands/device-link.js';
import type { Context } from './context.js';
import type { ExitCode } from './exit-codes.js';

/** Add `device` and what is below it. @returns The `device` command. */
export function addDeviceCommands(
  program: Command,
  context: () => Context,
  finish: (code: ExitCode) => void,
): Command {
  const device = program.command('device').description('the devices of an account');
  device
    .command('link')
    .description('let another device join this account; shows a code for it')
    .option('--history', 'send it the messages of the past as well')
    .addOption(
      new Option('--history-after <seconds>', 'how long messages wait: time to change your mind')
        .default(600)
        .argParser(number),
    )
    .option('--no-qr', 'the code as text only')
    .action(async (options: LinkArguments) => {
      const { deviceLink } = await import('./commands/device-link.js');
      finish(await deviceLink(context(), options));
    });
  device
    .command('join')
    .description('make this profile a device of an account that another device shows')
    .argument('[code]', 'what `device link` shows; without it, or with -, a line of stdin')
    .requiredOption('--name <name>', 'what this device is called; the relay does not learn it')
    .option('--no-passphrase', 'keep the keys unencrypted on this disk, without asking')
    .action(async (code: string | undefined, options: JoinArguments) => {
      const { deviceJoin } = await import('./commands/device-link.js');
      finish(await deviceJoin(context(), code, options));
    });
  device
    .command('list')
    .description('the devices of this account')
    .action(async () => {
      const { deviceList } = await import('./commands/device.js');
      finish(await deviceList(context()));
    });
  device
    .command('rename')
    .description('call a device something else')
    .argument('<device>', 'its number', number)
    .argument('<name>', 'up to 64 bytes')
    .action(async (which: number, name: string) => {
      const { deviceRename } = await import('./commands/device.js');
      finish(await deviceRename(context(), which, name));
    });
  device
    .command('remove')
    .description('remove a device: it gets nothing from now on')
    .argument('<device>', 'its number', number)
    .action(async (which: number) => {
      const { deviceRemove } = await import('./commands/device.js');
      finish(await deviceRemove(context(), which));
    });
  return device;
}

function number(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError('not a whole number');
  }
  return value;
}
