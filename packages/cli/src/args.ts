/**
 * The command line: what may be typed, and which command it runs. doc/qasid.1.md is the same for people.
 */
import { writeFileSync } from 'node:fs';

import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';

import type { Context } from './context.js';
import { CliError, EXIT, type ExitCode } from './exit-codes.js';
import { codeOf } from './explain.js';
import { STDOUT, type Output } from './output.js';
import { profileNamed } from './profile.js';
import type { RegisterOptions } from './commands/register.js';
import type { SendOptions } from './commands/send.js';
import { addDeviceCommands } from './device-args.js';
import { addGroupCommands } from './group-args.js';
import { addRelayCommands } from './relay-args.js';

/** Options every command takes, before or after its name. */
interface GlobalOptions {
  readonly profile: string;
  readonly json?: boolean;
  readonly passphraseFile?: string;
  readonly passphraseFd?: number;
  readonly timeout: number;
}

/**
 * Run the command that `argv` names.
 *
 * @throws CliError `usage` when it names none, and what the command throws.
 */
export async function parseArguments(
  argv: readonly string[],
  stop: AbortSignal,
  output: Output,
): Promise<ExitCode> {
  let exitCode: ExitCode = EXIT.done;
  const program = programOf(stop, output, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(argv);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return EXIT.done; // --help and --version
    if (error.code === 'commander.help') return EXIT.usage; // no command: the help went to stderr
    // Without its cause: that would repeat what was typed, and it may be a passphrase (ATK-A11).
    throw new CliError(EXIT.usage, usageMessage(error.message), usageHints(error));
  }
  return exitCode;
}

function programOf(stop: AbortSignal, output: Output, finish: (code: ExitCode) => void): Command {
  const program = new Command('qasid');
  const context = (): Context => {
    const options = program.opts<GlobalOptions>();
    return {
      output,
      profile: profileNamed(options.profile),
      passphrase: { file: options.passphraseFile, fd: options.passphraseFd },
      json: options.json === true,
      timeoutMs: options.timeout * 1_000,
      stop,
    };
  };

  program
    .description('end-to-end encrypted messages from the command line')
    .version(VERSION)
    .option('--profile <name>', 'whose identity to use', 'default')
    .option('--json', 'data as JSON, one object per line')
    .option('--quiet', 'no notes on stderr, only errors and hints')
    .option('--passphrase-file <path>', 'read the passphrase from a file')
    .addOption(
      new Option('--passphrase-fd <n>', 'read the passphrase from a file descriptor').argParser(
        wholeNumber,
      ),
    )
    .addOption(
      new Option('--timeout <seconds>', 'how long to wait for the relay')
        .default(10)
        .argParser(seconds),
    )
    .exitOverride()
    .configureOutput({ writeOut: writeHelp, outputError: () => {} })
    .showSuggestionAfterError(false)
    .addHelpText('after', HELP);

  const help = new Command('help').argument('[command]').description('display help for command');
  program.addHelpCommand(help.helpGroup('Servers and tools:'));

  program.commandsGroup('Messages:');
  program
    .command('register')
    .description('make an identity for this profile and publish it at a relay')
    .argument('<username>', '3 to 32 of a-z 0-9 _ . -')
    .requiredOption('--relay <url>', 'address of the relay, like ws://127.0.0.1:7443')
    .option('--no-passphrase', 'keep the keys unencrypted on this disk, without asking')
    .option('--invite-file <path>', 'read the invite of the relay from a file; - is stdin')
    .option('--ticket-file <path>', "read the ticket of your application's backend from a file")
    .action(async (username: string, options: RegisterOptions) => {
      const { register } = await import('./commands/register.js');
      finish(await register(context(), username, options));
    });

  withSendOptions(
    program
      .command('send')
      .description('send a message; done when the relay has stored it')
      .argument('<to>', 'username of the recipient')
      .argument('[text]', 'the message; without it, or with -, it is read from stdin'),
  ).action(async (to: string, text: string | undefined, options: SendOptions) => {
    const { send } = await import('./commands/send.js');
    finish(await send(context(), to, text, options));
  });

  program
    .command('receive')
    .description('show the messages not shown yet, each exactly once')
    .option('--follow', 'go on until Ctrl-C')
    .action(async (options: { follow?: boolean }) => {
      const { receive } = await import('./commands/receive.js');
      finish(await receive(context(), { follow: options.follow === true }));
    });

  program
    .command('history')
    .description('show messages sent and received, oldest first')
    .addOption(new Option('--after <seq>', 'only later ones').default(0).argParser(wholeNumber))
    .addOption(new Option('--limit <n>', 'how many').default(100).argParser(wholeNumber))
    .action(async (options: { after: number; limit: number }) => {
      const { history } = await import('./commands/history.js');
      finish(await history(context(), options));
    });

  program
    .command('save')
    .description('fetch the files of a message and write them to a folder')
    .argument('<message>', 'its number, as history shows it', wholeNumber)
    .argument('[dir]', 'the folder, which must exist', '.')
    .action(async (message: number, folder: string) => {
      const { save } = await import('./commands/save.js');
      finish(await save(context(), message, folder));
    });

  const group = addGroupCommands(program, context, finish, withSendOptions);

  program.commandsGroup('You and others:');
  program
    .command('safety-number')
    .description('the number two people compare to be sure nobody is in between')
    .argument('<who>', 'username of the other person')
    .option('--qr', 'also as a code to scan')
    .option('--compare <digits>', 'check it against what the other person reads out')
    .action(async (who: string, options: { qr?: boolean; compare?: string }) => {
      const { safetyNumber } = await import('./commands/safety-number.js');
      finish(await safetyNumber(context(), who, options));
    });

  program
    .command('trust')
    .description('accept a changed identity key, after comparing the safety number')
    .argument('<who>', 'username of the other person')
    .action(async (who: string) => {
      const { trust } = await import('./commands/trust.js');
      finish(await trust(context(), who));
    });

  const device = addDeviceCommands(program, context, finish);
  program
    .command('status')
    .description('who this profile is, and what waits to be sent or shown')
    .action(async () => {
      const { status } = await import('./commands/status.js');
      finish(await status(context()));
    });

  program.commandsGroup('Servers and tools:');
  const relay = addRelayCommands(program, context, finish);
  program
    .command('demo')
    .description('a private relay, two people and a message each way')
    .option('--once', 'end after the demonstration')
    .option('--data <directory>', 'keep everything there instead of a temporary folder')
    .action(async (options: { once?: boolean; data?: string }) => {
      const { demo } = await import('./commands/demo.js');
      finish(await demo(context(), { once: options.once === true, data: options.data }));
    });

  const vectors = program.command('vectors').description('test vectors of the protocol');
  vectors
    .command('verify')
    .description('run every test vector of a folder')
    .argument('[dir]', 'folder with the vectors', 'test-vectors')
    .action(async (folder: string) => {
      const { vectorsVerify } = await import('./commands/vectors-verify.js');
      finish(await vectorsVerify(context(), folder));
    });

  const ofRelay = relay.commands.flatMap((command) => [command, ...command.commands]);
  const below = [...ofRelay, ...device.commands, ...group.commands];
  for (const command of [program, ...below, ...program.commands]) {
    command.copyInheritedSettings(program).allowExcessArguments(false);
  }
  return program;
}

/** Help and version; a reader that has seen enough (`| head`) is no failure. */
function writeHelp(text: string): void {
  try {
    writeFileSync(STDOUT, text);
  } catch (error) {
    if (codeOf(error) !== 'EPIPE') throw error;
  }
}

function withSendOptions(command: Command): Command {
  return command
    .option('--lines', 'every line of stdin is a message of its own')
    .option('--queue', 'do not wait for the relay: the next send or receive delivers it')
    .option('--file <path>', 'send a file, with the text as its caption; may be repeated', listed);
}

function listed(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError('not a whole number');
  }
  return value;
}

function seconds(text: string): number {
  const value = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || value > 86_400) {
    throw new InvalidArgumentError('not a number of seconds');
  }
  return value;
}

/** Commander's message in our manner: lower-case, one line, no full stop, no value of an option. */
function usageMessage(message: string): string {
  return message
    .replace(/(unknown option '-[^'=]*)=.*'/s, "$1'")
    .replace(/^error: /, '')
    .replaceAll('\n', ' ')
    .replace(/\.$/, '');
}

function usageHints(error: CommanderError): readonly string[] {
  if (error.code === 'commander.unknownOption') {
    return ['qasid --help; put -- before a text that begins with -'];
  }
  return ['qasid --help'];
}

const VERSION = '0.1.0';

const HELP = `
exit codes:
  0 done   1 failed   2 wrong command line   3 not verified   4 relay not reached

environment:
  QASID_HOME   folder of the profiles (default ~/.qasid)

first steps:
  qasid relay start
  qasid --profile bob register bob --relay ws://127.0.0.1:7443
  qasid --profile bob receive --follow
  qasid --profile alice register alice --relay ws://127.0.0.1:7443
  qasid --profile alice send bob 'salaam'
  qasid --profile alice group create Ministry bob
  qasid --profile alice group send Ministry 'first item'

every command says more: qasid send --help`;
