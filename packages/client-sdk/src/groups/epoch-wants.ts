/**
 * 19 Groups §5. A member whose secret of the present epoch got lost on its way: without it a device reads no
 * record and changes nothing, so it is asked for like a sender key.
 */
import type { GroupChain } from './chain.js';
import { headOf } from './chain.js';
import { secretOf, type GroupData } from './stored.js';

/** Name of the wish for the secret of a group's epoch. */
export function epochWant(group: string): string {
  return `epoch:${group}`;
}

/** Whether `self` is in the group and cannot open its record. */
export function lacksSecret(data: GroupData, self: string): boolean {
  const { state } = headOf(data.chain);
  return state.members.has(self) && secretOf(data, state) === undefined;
}

/**
 * Whom to ask: first the author of the entry that began the epoch, also one who is not in the group any more or is
 * another device of ours. That one may be gone, or have lost it as well, so anybody the next time.
 *
 * @param isFirst - Nobody was asked yet.
 * @param dice - In [0, 1).
 */
export function whoKnowsEpoch(chain: GroupChain, isFirst: boolean, dice: number): string {
  const head = headOf(chain);
  const began = chain.line.findLast(({ entry }) =>
    entry.changes.some(({ kind }) => kind === 'epoch'),
  );
  const { author } = began?.entry ?? head.entry;
  if (isFirst) return author;
  const all = [...new Set([author, ...head.state.members.keys()])].sort();
  return all[Math.floor(dice * all.length)] ?? author;
}
