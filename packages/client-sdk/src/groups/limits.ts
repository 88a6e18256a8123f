/**
 * 19 Groups §8. Limits of a group, each with its reason.
 */

/** Members of one group. Higher: a sender key goes to every device of every member, one by one. */
export const GROUP_MEMBERS_MAX = 1_000;

/** Bytes of a group id: random, names the group and opens nothing. */
export const GROUP_ID_BYTES = 32;

/** Bytes of the secret that members of one epoch share. */
export const EPOCH_SECRET_BYTES = 32;

/** Bytes of a title in UTF-8. */
export const GROUP_TITLE_BYTES_MAX = 256;

/** Bytes of a description in UTF-8. */
export const GROUP_DESCRIPTION_BYTES_MAX = 2_048;

/** Bytes of the pointer to a picture. */
export const GROUP_PICTURE_BYTES_MAX = 1_024;

/** Bytes of one entry, signature aside. Lower: a group of 1 000 cannot be founded in one entry. */
export const GROUP_ENTRY_BYTES_MAX = 49_152;

/**
 * Entries kept after they were applied, so that a branch can be recognised. Lower: a fork is found later, by
 * the heads that messages carry. Higher: memory and disk.
 */
export const GROUP_HISTORY_MAX = 64;

/** Entries of other branches and from the future that are kept. An author who forks a lot fills only this. */
export const GROUP_ASIDE_MAX = 64;

/**
 * After so long, in milliseconds, an entry is final: a branch that leaves before it is told and not followed.
 * Lower: two halves of a group that were kept apart for longer do not come together by themselves.
 * Higher: somebody who was removed has longer to contest it with an older entry.
 */
export const GROUP_FINAL_MS: number = 7 * 24 * 60 * 60 * 1000;
