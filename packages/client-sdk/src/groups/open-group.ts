/**
 * Making, finding and joining groups: what `QasidClient` does for its verbs.
 */
import { UsageError } from '@qasid/protocol';

import { GroupError, NetworkError } from '../errors.js';
import { foundGroup } from './changing.js';
import type { GroupChange } from './entry.js';
import { Group, type GroupApiDeps } from './group.js';
import { GROUP_DESCRIPTION_BYTES_MAX, GROUP_MEMBERS_MAX, GROUP_TITLE_BYTES_MAX } from './limits.js';
import { parseLink } from './link.js';
import { groupName, signalContent, signalRow } from './store.js';
import { GROUP_SPACE } from './stored.js';

/** A group to be made. */
export interface NewGroup {
  /** At most 256 bytes. */
  readonly title: string;
  /** User names or account ids; this account is in it as admin anyway. */
  readonly members?: readonly string[];
  readonly description?: string;
  /** Seconds after which messages disappear; default 0: they stay. */
  readonly timerSeconds?: number;
}

/** A request to join that was sent. */
export interface JoinRequest {
  /** Id of the group, 64 hex digits. */
  readonly group: string;
  /** Resolves when somebody let this account in. Need not be awaited: `group-changed` tells of it too. */
  readonly joined: Promise<Group>;
}

/** Make a group. Throws as `QasidClient.createGroup`. */
export async function createGroup(deps: GroupApiDeps, group: NewGroup): Promise<Group> {
  const { title, members = [], description = '', timerSeconds = 0 } = group;
  checkText(title, GROUP_TITLE_BYTES_MAX);
  checkText(description, GROUP_DESCRIPTION_BYTES_MAX);
  const { groups, sealing } = deps.engine();
  const accounts = new Set<string>();
  for (const who of members) accounts.add(await deps.accountOf(who));
  accounts.delete(sealing.self.account);
  if (accounts.size >= GROUP_MEMBERS_MAX) {
    throw new GroupError('GROUP_NOT_ALLOWED', `more than ${GROUP_MEMBERS_MAX} members`);
  }
  const changes: GroupChange[] = [{ kind: 'title', title }];
  if (description !== '') changes.push({ kind: 'description', description });
  if (timerSeconds > 0) changes.push({ kind: 'timer', seconds: timerSeconds });
  for (const account of accounts) {
    changes.push({ kind: 'add', account, role: 'member', byLink: false });
  }
  const id = await foundGroup(groups.deps, changes);
  groups.recordDue(id);
  return new Group(deps, id);
}

/** The group with this id. Throws as `QasidClient.group`. */
export async function findGroup(deps: GroupApiDeps, id: string): Promise<Group> {
  const stored = await deps.engine().groups.deps.groups.load(id);
  if (stored === undefined) throw new GroupError('GROUP_UNKNOWN', 'no such group here');
  return new Group(deps, id);
}

/** Ask to join. Throws as `QasidClient.joinGroup`. */
export async function joinGroup(deps: GroupApiDeps, link: string): Promise<JoinRequest> {
  const { groupId, maker, token } = parseLink(link);
  const id = groupName(groupId);
  const { deps: inner } = deps.engine().groups;
  const { store, self } = inner;
  await deps.accountOf(maker);
  const isMember = async (): Promise<boolean> => {
    const stored = await inner.groups.load(id);
    const head = stored?.data.chain.line.at(-1);
    return head?.state.members.has(self.account) === true;
  };
  if (!(await isMember())) {
    const asked = await store.loadRecord(GROUP_SPACE.joins, id);
    const content = signalContent(inner, { groupId, body: { kind: 'join', token } });
    const record = { space: GROUP_SPACE.joins, key: id, value: token };
    await store.commit({
      extra: {
        records: [{ ...record, expectedVersion: asked?.version ?? 0 }],
        outboxAdded: [signalRow(maker, content)],
      },
    });
    inner.pump();
  }
  const joined = deps.history
    .until(async () => ((await isMember()) ? true : undefined), undefined)
    .then((found) => {
      if (found === undefined) throw new NetworkError('NET_CLOSED', 'this client was closed');
      return new Group(deps, id);
    });
  joined.catch(() => undefined);
  return { group: id, joined };
}

function checkText(text: unknown, bytesMax: number): void {
  const isFit = typeof text === 'string' && new TextEncoder().encode(text).length <= bytesMax;
  if (!isFit) throw new UsageError('USAGE_ARGUMENT', `a text of at most ${bytesMax} bytes`);
}
