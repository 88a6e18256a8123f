/**
 * The command line of the operator's questions: `qasid relay invite | account | status | drain`.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';

import type { AdminOptions } from './admin.js';
import type { InviteOptions } from './commands/relay-admin.js';
import type { Context } from './context.js';
import type { ExitCode } from './exit-codes.js';

/** Add them to `relay`. */
export function addAdminCommands(
  relay: Command,
  context: () => Context,
  finish: (code: ExitCode) => void,
): void {
  const load = () => import('./commands/relay-admin.js');
  const invite = relay.command('invite').description('who may register, by invite');
  withAdmin(invite.command('create'))
    .description('make an invite and print it, this once')
    .addOption(new Option('--uses <n>', 'accounts it is good for').default(1).argParser(count))
    .addOption(new Option('--hours <n>', 'how long it holds').default(168).argParser(count))
    .addOption(
      new Option('--mailbox-bytes <n>', 'what a mailbox of its accounts holds').argParser(count),
    )
    .action(async (options: InviteOptions) => {
      finish(await (await load()).inviteCreate(context(), options));
    });
  withAdmin(invite.command('list'))
    .description('invites that are worth something')
    .action(async (options: AdminOptions) => {
      finish(await (await load()).inviteList(context(), options));
    });
  withAdmin(invite.command('revoke'))
    .description('make an invite worthless')
    .argument('<id>', '16 hex digits, as list shows them')
    .action(async (id: string, options: AdminOptions) => {
      finish(await (await load()).inviteRevoke(context(), id, options));
    });
  const account = relay.command('account').description('bound, shut out, let in, delete');
  for (const action of ['suspend', 'resume', 'delete'] as const) {
    const command = withAdmin(account.command(action))
      .description(ABOUT[action])
      .argument('<who>', 'account id or username')
      .action(async (who: string, options: AdminOptions) => {
        finish(await (await load()).accountChange(context(), action, who, options));
      });
    if (action === 'delete') command.option('--yes', 'it does not come back, and that is meant');
  }
  withAdmin(account.command('quota'))
    .description('bytes that may wait in each mailbox of an account')
    .argument('<who>', 'account id or username')
    .argument('<bytes>', "a number, or default for the relay's own limit", countOrDefault)
    .action(async (who: string, bytes: number | 'default', options: AdminOptions) => {
      const limit = bytes === 'default' ? undefined : bytes;
      finish(await (await load()).accountQuota(context(), who, limit, options));
    });
  withAdmin(relay.command('status'))
    .description('sums of what a running relay holds and does')
    .action(async (options: AdminOptions) => {
      finish(await (await load()).relayStatus(context(), options));
    });
  withAdmin(relay.command('drain'))
    .description('let a running relay go down without losing anything')
    .action(async (options: AdminOptions) => {
      finish(await (await load()).relayDrain(context(), options));
    });
}

function withAdmin(command: Command): Command {
  return command
    .option('--admin <socket>', "the relay's admin_socket (default: admin.sock in its folder)")
    .option('--data <directory>', 'its folder (default: relay in QASID_HOME)');
}

function count(text: string): number {
  const value = Number(text);
  if (!/^[1-9]\d*$/.test(text) || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError('not a whole number above 0');
  }
  return value;
}

function countOrDefault(text: string): number | 'default' {
  return text === 'default' ? text : count(text);
}

const ABOUT = {
  suspend: 'let nobody into an account; what is sent to it waits',
  resume: 'let its owner in again',
  delete: 'delete an account with everything that belongs to it',
} as const;
