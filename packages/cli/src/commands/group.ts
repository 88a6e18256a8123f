/**
 * `qasid group …`: groups, and who is in them. Changes are made while connected, because the members agree on their
 * order with the relay's help; messages need no connection.
 */
import type { Group, GroupMember, QasidClient } from '@qasid/client-sdk';

import { pause, requireConnected, untilStopped, withClient, type Context } from '../context.js';
import { CliError, EXIT, type ExitCode } from '../exit-codes.js';
import { groupNamed, groupsOf, quotedTitle, shortId } from '../groups.js';
import { inertJson, inertLine } from '../inert.js';
import { Lines } from '../lines.js';

/** Make a group. Prints its id. */
export async function groupCreate(
  context: Context,
  title: string,
  members: readonly string[],
): Promise<ExitCode> {
  return changing(context, async (client) => {
    const group = await client.createGroup({ title, members });
    if (context.json) await context.output.json({ id: group.id, title });
    else await context.output.data(group.id);
    return `${quotedTitle(title)} has ${counted((await group.details()).size)}`;
  });
}

/** All of them. Does not ask the relay. */
export async function groupList(context: Context): Promise<ExitCode> {
  return withClient(context, async (client) => {
    for (const { id, title, size, role } of await groupsOf(client)) {
      if (context.json) {
        await context.output.data(inertJson({ id, title, members: size, role: role ?? null }));
        continue;
      }
      const words = [shortId(id), quotedTitle(title), counted(size), role ?? 'not in it'];
      await context.output.data(words.join('  '));
    }
    return EXIT.done;
  });
}

/** Who is in it. Does not ask the relay. */
export async function groupShow(context: Context, named: string): Promise<ExitCode> {
  return withClient(context, async (client) => {
    const group = await groupNamed(client, named);
    const { id, title, description, timerSeconds, policy, role, fork } = await group.details();
    const members = [...(await group.members())].sort(byRoleAndName);
    const waiting = await group.requests();
    if (context.json) {
      const facts = { id, title, description, timerSeconds, policy, role: role ?? null };
      await context.output.data(inertJson({ ...facts, members, waiting }));
      return EXIT.done;
    }
    await context.output.data(`${quotedTitle(title)}  ${id}`);
    if (description !== '') await context.output.data(inertLine(description));
    const self = client.me.account;
    for (const member of members) {
      const mark = member.account === self ? '  (you)' : '';
      await context.output.data(`${nameOf(member)}  ${member.role}${mark}`);
    }
    for (const account of waiting) await context.output.data(`${account}  asks to join`);
    if (fork !== undefined) context.output.hint('members disagree: another program must decide');
    return EXIT.done;
  });
}

/** Bring people in. */
export async function groupAdd(
  context: Context,
  named: string,
  who: readonly string[],
): Promise<ExitCode> {
  return changingGroup(context, named, async (group) => {
    await group.add(...who);
    const { title, size } = await group.details();
    return `${quotedTitle(title)} has ${counted(size)}`;
  });
}

/** Take people out. */
export async function groupRemove(
  context: Context,
  named: string,
  who: readonly string[],
): Promise<ExitCode> {
  return changingGroup(context, named, async (group) => {
    const before = (await group.details()).size;
    await group.remove(...who);
    const { title, size } = await group.details();
    if (size === before) throw new CliError(EXIT.failed, 'nobody of these is in the group');
    return `${quotedTitle(title)} has ${counted(size)}; what is sent from now on, the others cannot read`;
  });
}

/** Make somebody an admin, or no longer. */
export async function groupRole(
  context: Context,
  named: string,
  who: string,
  role: string,
): Promise<ExitCode> {
  if (role !== 'admin' && role !== 'member') {
    throw new CliError(EXIT.usage, 'a role is admin or member');
  }
  return changingGroup(context, named, async (group) => {
    await group.setRole(who, role);
    return `${who} is ${role} of ${quotedTitle((await group.details()).title)}`;
  });
}

/** Call it something else. */
export async function groupTitle(
  context: Context,
  named: string,
  title: string,
): Promise<ExitCode> {
  return changingGroup(context, named, async (group) => {
    await group.setTitle(title);
    return `the group is called ${quotedTitle(title)}`;
  });
}

/** Go. */
export async function groupLeave(context: Context, named: string): Promise<ExitCode> {
  return changingGroup(context, named, async (group) => {
    const { title } = await group.details();
    await group.leave();
    return `you left ${quotedTitle(title)}`;
  });
}

/** A link to join by, or its end. */
export async function groupLink(
  context: Context,
  named: string,
  options: { readonly approve?: boolean; readonly uses?: number; readonly end?: boolean },
): Promise<ExitCode> {
  return changingGroup(context, named, async (group) => {
    if (options.end === true) {
      await group.endLink();
      return 'the link leads nowhere now';
    }
    const needsApproval = options.approve === true;
    const link = await group.createLink({
      needsApproval,
      ...(options.uses !== undefined && { uses: options.uses }),
    });
    if (context.json) await context.output.json({ link, approve: needsApproval });
    else await context.output.data(link);
    return 'whoever has it may ask; this profile answers while it is connected: qasid receive --follow';
  });
}

/** Ask to be let in. The link lets in whoever has it: a line of stdin, never an argument, which others can see. */
export async function groupJoin(context: Context): Promise<ExitCode> {
  if (process.stdin.isTTY) context.output.note('paste the link, then Enter');
  const lines = new Lines();
  const link = await lines.next('link').finally(() => lines.close());
  return withClient(context, async (client) => {
    await requireConnected(context, client);
    const { joined } = await client.joinGroup(link.trim());
    const group = await untilStopped(
      context.stop,
      Promise.race([joined, pause(context.timeoutMs)]),
    );
    if (group === undefined) {
      context.output.note('asked to join');
      context.output.hint(
        'the maker of the link lets you in when they are connected: qasid receive',
      );
      return EXIT.done;
    }
    const { title, size } = await group.details();
    if (context.json) await context.output.json({ id: group.id, title });
    else await context.output.data(group.id);
    context.output.note(`you are in ${quotedTitle(title)}, with ${counted(size)}`);
    return EXIT.done;
  });
}

/** Let somebody in who asked. */
export async function groupApprove(
  context: Context,
  named: string,
  account: string,
): Promise<ExitCode> {
  return changingGroup(context, named, async (group) => {
    await group.approve(account);
    const { title, size } = await group.details();
    return `${quotedTitle(title)} has ${counted(size)}`;
  });
}

/** Connected, do it, and wait until the members can hear of it. */
async function changing(
  context: Context,
  change: (client: QasidClient) => Promise<string>,
): Promise<ExitCode> {
  return withClient(context, async (client) => {
    await requireConnected(context, client);
    const done = await change(client);
    context.output.note(done);
    try {
      await client.flush({ timeoutMs: context.timeoutMs });
    } catch {
      context.output.hint('not every member was told yet: the next send or receive goes on');
    }
    return EXIT.done;
  });
}

/** `changing`, of a group that has a name here. */
async function changingGroup(
  context: Context,
  named: string,
  change: (group: Group) => Promise<string>,
): Promise<ExitCode> {
  return changing(context, async (client) => change(await groupNamed(client, named)));
}

/** Admins first. */
function byRoleAndName(a: GroupMember, b: GroupMember): number {
  if (a.role !== b.role) return a.role === 'admin' ? -1 : 1;
  return nameOf(a) < nameOf(b) ? -1 : 1;
}

function nameOf({ username, account }: GroupMember): string {
  return inertLine(username ?? account);
}

function counted(members: number): string {
  return members === 1 ? '1 member' : `${members} members`;
}
