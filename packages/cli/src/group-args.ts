/**
 * The command line of the commands about groups: `qasid group …`. GROUP is a title, or at least 8 digits of an id.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';

import type { SendOptions } from './commands/send.js';
import type { Context } from './context.js';
import type { ExitCode } from './exit-codes.js';

/** Add `group` and what is below it. @returns The `group` command. */
export function addGroupCommands(
  program: Command,
  context: () => Context,
  finish: (code: ExitCode) => void,
  withSendOptions: (command: Command) => Command,
): Command {
  const load = () => import('./commands/group.js');
  const group = program.command('group').description('groups, and who is in them');
  group
    .command('create')
    .description('make a group, with you as its admin; prints its id')
    .argument('<title>', 'what it is called; the relay does not learn it')
    .argument('[who...]', 'usernames of its first members')
    .action(async (title: string, who: string[]) => {
      finish(await (await load()).groupCreate(context(), title, who));
    });
  group
    .command('list')
    .description('your groups')
    .action(async () => finish(await (await load()).groupList(context())));
  group
    .command('show')
    .description('who is in a group')
    .argument('<group>', GROUP)
    .action(async (named: string) => finish(await (await load()).groupShow(context(), named)));
  withSendOptions(
    group
      .command('send')
      .description('send a message to a group; done when the relay has stored it')
      .argument('<group>', GROUP)
      .argument('[text]', 'the message; without it, or with -, it is read from stdin'),
  ).action(async (named: string, text: string | undefined, options: SendOptions) => {
    const { sendToGroup } = await import('./commands/send.js');
    finish(await sendToGroup(context(), named, text, options));
  });
  group
    .command('add')
    .description('bring people in')
    .argument('<group>', GROUP)
    .argument('<who...>', 'usernames')
    .action(async (named: string, who: string[]) => {
      finish(await (await load()).groupAdd(context(), named, who));
    });
  group
    .command('remove')
    .description('take people out; they read nothing of what is sent from then on')
    .argument('<group>', GROUP)
    .argument('<who...>', 'usernames')
    .action(async (named: string, who: string[]) => {
      finish(await (await load()).groupRemove(context(), named, who));
    });
  group
    .command('role')
    .description('make somebody an admin, or no longer')
    .argument('<group>', GROUP)
    .argument('<who>', 'username')
    .argument('<role>', 'admin or member')
    .action(async (named: string, who: string, role: string) => {
      finish(await (await load()).groupRole(context(), named, who, role));
    });
  group
    .command('title')
    .description('call a group something else')
    .argument('<group>', GROUP)
    .argument('<title>', 'up to 256 bytes')
    .action(async (named: string, title: string) => {
      finish(await (await load()).groupTitle(context(), named, title));
    });
  group
    .command('leave')
    .description('leave a group; its messages stay here')
    .argument('<group>', GROUP)
    .action(async (named: string) => finish(await (await load()).groupLeave(context(), named)));
  group
    .command('link')
    .description('make a link by which people ask to join; an earlier one ends')
    .argument('<group>', GROUP)
    .option('--approve', 'an admin decides about everybody who asks')
    .addOption(new Option('--uses <n>', 'how many may join by it').argParser(count))
    .option('--end', 'make none, and end the one there is')
    .action(async (named: string, options: { approve?: boolean; uses?: number; end?: boolean }) => {
      finish(await (await load()).groupLink(context(), named, options));
    });
  group
    .command('join')
    .description('ask to join by a link: a line of stdin, qasid-group:…')
    .action(async () => finish(await (await load()).groupJoin(context())));
  group
    .command('approve')
    .description('let somebody in who asked')
    .argument('<group>', GROUP)
    .argument('<account>', 'as `group show` lists it')
    .action(async (named: string, account: string) => {
      finish(await (await load()).groupApprove(context(), named, account));
    });
  return group;
}

const GROUP = 'its title, or the first 8 digits of its id';

function count(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError('not a whole number from 1');
  }
  return value;
}
