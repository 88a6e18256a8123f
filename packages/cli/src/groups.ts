/**
 * Groups as people name them: by title, by id, or by the first digits of the id.
 */
import type { Group, GroupInfo, QasidClient } from '@qasid/client-sdk';

import { CliError, EXIT } from './exit-codes.js';
import { inertLine } from './inert.js';

/** An id: 64 hex digits. */
const GROUP_ID = /^[0-9a-f]{64}$/;

/** Digits of an id that a person types; the list shows as many, or more where they are not enough. */
const ID_DIGITS_MIN = 8;

/** All groups of this profile, those it left included, the one with the last message first. */
export async function groupsOf(client: QasidClient): Promise<readonly GroupInfo[]> {
  const chats = (await client.conversations()).filter(({ id }) => GROUP_ID.test(id));
  return Promise.all(chats.map(async ({ id }) => (await client.group(id)).details()));
}

/** Whether a conversation is a group's. */
export function isGroup(peer: string): boolean {
  return GROUP_ID.test(peer);
}

/**
 * The group that somebody named. Titles are what members say: two groups may have the same, and one the digits of another.
 *
 * @throws CliError `failed` when there is none; `usage` when there are several.
 */
export async function groupNamed(client: QasidClient, named: string): Promise<Group> {
  const isId = named.length >= ID_DIGITS_MIN && /^[0-9a-f]+$/.test(named);
  const found = (await groupsOf(client)).filter(
    ({ id, title }) => title === named || (isId && id.startsWith(named)),
  );
  const [only] = found;
  if (only === undefined) {
    throw new CliError(EXIT.failed, `there is no group ${named}`, ['qasid group list shows them']);
  }
  if (found.length > 1) {
    throw new CliError(EXIT.usage, `${found.length} groups are called ${named}`, [
      `name it by its id: ${found.map(({ id }) => shortId(id)).join(', ')}`,
    ]);
  }
  return client.group(only.id);
}

/** What people type of an id. */
export function shortId(id: string): string {
  return id.slice(0, ID_DIGITS_MIN);
}

/** A title in quotes, which it cannot end: nobody can put words behind it that seem to be another's. */
export function quotedTitle(title: string): string {
  return `"${inertLine(title).replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

/** The title of the group that a message was written in; `undefined` for a message between two. */
export async function titleOf(client: QasidClient, peer: string): Promise<string | undefined> {
  if (!isGroup(peer)) return undefined;
  try {
    return (await (await client.group(peer)).details()).title;
  } catch {
    return shortId(peer); // its history is here, the group itself is not
  }
}
