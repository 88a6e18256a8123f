/**
 * Small things that several parts of groups share.
 */
import { fromHex } from '@qasid/protocol';

import type { GroupContext, Timer } from '../content/index.js';
import type { GroupChain, GroupLinkInChain } from './chain.js';

/** What a content of a group says of the group. */
export function contextOf(head: GroupLinkInChain): {
  readonly group: GroupContext;
  readonly timer?: Timer;
} {
  const { state, hash } = head;
  const { groupId: id, epoch, version, timerSeconds: seconds } = state;
  const group = { id, epoch, version, head: fromHex(hash) ?? new Uint8Array(32) };
  return seconds === 0 ? { group } : { group, timer: { seconds, version } };
}

/** The checked entry with this name, as hex. */
export function linkOf(chain: GroupChain, hash: string): GroupLinkInChain | undefined {
  const isIt = (link: GroupLinkInChain): boolean => link.hash === hash;
  return chain.line.find(isIt) ?? chain.aside.find(isIt);
}
