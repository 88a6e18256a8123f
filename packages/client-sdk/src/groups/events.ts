/**
 * What groups tell.
 */
import type { GroupChange } from './entry.js';

/** One entry, told. */
export interface GroupEntryInfo {
  /** Account. */
  readonly author: string;
  readonly version: number;
  readonly changes: readonly GroupChange[];
}

/** A group changed. */
export interface GroupChanged {
  /** Id of the group, 64 hex digits. */
  readonly group: string;
  /** What counts now, oldest first; empty when this account was brought in. */
  readonly applied: readonly GroupEntryInfo[];
  /** What counts no more: other members had made another change first. */
  readonly undone: readonly GroupEntryInfo[];
  /** Whether this account is in the group. */
  readonly isMember: boolean;
}

/** Members disagree, and no rule decides. Nothing is sent until `Group.decideFork`. */
export interface GroupForked {
  readonly group: string;
  /** Names of the two entries, for `decideFork`. */
  readonly ours: string;
  readonly theirs: string;
  /** Who made theirs. */
  readonly author: string;
}

/** Somebody followed a link, and an admin decides. */
export interface GroupRequest {
  readonly group: string;
  readonly account: string;
}

/** What is told of groups. */
export type GroupEvent =
  | ({ readonly kind: 'changed' } & GroupChanged)
  | ({ readonly kind: 'fork' } & GroupForked)
  | ({ readonly kind: 'request' } & GroupRequest);
