/**
 * What happens to groups while somebody looks, told on stderr: it is no message, and is not shown twice for that.
 */
import type { ClientEvents, QasidClient } from '@qasid/client-sdk';

import type { Context } from './context.js';
import { quotedTitle, shortId, titleOf } from './groups.js';
import { inertLine } from './inert.js';

/** Tell of them from now on. @returns what waits until all was told. */
export function reportGroups(context: Context, client: QasidClient): () => Promise<void> {
  let told: Promise<void> = Promise.resolve();
  const tell = (group: string, lines: (title: string) => Promise<readonly string[]>): void => {
    told = told.then(async () => {
      const title = quotedTitle((await titleOf(client, group)) ?? shortId(group));
      for (const line of await lines(title)) context.output.note(line);
    });
  };
  client.on('group-changed', ({ group, applied, isMember }) => {
    tell(group, async (title) => {
      if (applied.length === 0 && isMember) return [`you are in the group ${title} now`];
      const lines: string[] = [];
      for (const { author, changes } of applied) {
        const who = await nameOf(client, author);
        for (const change of changes) {
          const what = await whatOf(client, title, change);
          if (what !== undefined) lines.push(`${who} ${what}`);
        }
      }
      if (!isMember) lines.push(`you are not in the group ${title} any more`);
      return lines;
    });
  });
  client.on('group-request', ({ group, account }) => {
    tell(group, async (title) => [
      `${await nameOf(client, account)} asks to join ${title}: qasid group approve ${shortId(group)} ${account}`,
    ]);
  });
  client.on('group-fork', ({ group }) => {
    tell(group, async (title) => [`members of ${title} disagree: nothing is sent there`]);
  });
  return () => told;
}

type Change = ClientEvents['group-changed']['applied'][number]['changes'][number];

/** In words; nothing for what people do not see. */
async function whatOf(
  client: QasidClient,
  title: string,
  change: Change,
): Promise<string | undefined> {
  switch (change.kind) {
    case 'add':
      return `added ${await nameOf(client, change.account)} to ${title}`;
    case 'remove':
      return `removed ${await nameOf(client, change.account)} from ${title}`;
    case 'leave':
      return `left ${title}`;
    case 'role':
      return `made ${await nameOf(client, change.account)} ${change.role} of ${title}`;
    case 'title':
      return `called the group ${quotedTitle(change.title)}`;
    default:
      return undefined;
  }
}

/** By the name this account was met under. */
async function nameOf(client: QasidClient, account: string): Promise<string> {
  if (account === client.me.account) return 'you';
  try {
    return inertLine((await client.conversation(account)).username ?? account);
  } catch {
    return account; // nobody was met under this id, and the relay cannot be asked
  }
}
