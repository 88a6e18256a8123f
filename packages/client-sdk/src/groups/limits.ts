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

/** Messages under one sender key. Higher: whoever stole one reads more. Lower: more keys are handed out. */
export const SENDER_KEY_MESSAGES_MAX = 1_000;

/** Age of a sender key in milliseconds, as above: 7 days. */
export const SENDER_KEY_AGE_MAX_MS: number = 7 * 24 * 60 * 60 * 1000;

/** Sender keys kept of one device in one group: the present one, and those of stragglers. ATK-E08. */
export const SENDER_KEYS_PER_DEVICE_MAX = 5;

/** Things that envelopes may wait for. Higher: strangers fill the disk. */
export const WANTS_MAX = 256;

/** Envelopes that wait for one thing. A burst of a busy sender; more is told as lost. */
export const WAITING_PER_WANT_MAX = 256;

/** How long to wait before asking for what may be under way, in milliseconds. */
export const ASK_AFTER_MS = 10_000;

/** How often at most one thing is asked for, and answered to one device, in milliseconds. */
export const ASK_AGAIN_MS: number = 60 * 60 * 1000;

/** After so long, in milliseconds, nobody answers any more: what waited is told as lost. 7 days. */
export const WANT_AGE_MAX_MS: number = 7 * 24 * 60 * 60 * 1000;

/** Signals of groups that this device does not know that are kept, and for how long: their welcome may come. */
export const STRANGE_SIGNALS_MAX = 512;
export const STRANGE_SIGNAL_AGE_MAX_MS: number = 24 * 60 * 60 * 1000;

/** Above so many members nobody sends receipts: they would be most of what a group sends. ATK-E12. */
export const RECEIPTS_MEMBERS_MAX = 20;

/** Members that a message goes to at one time. Lower: slower. Higher: bursts that a relay answers with BUSY. */
export const FAN_OUT_AT_ONCE = 16;

/** Who renews a spent epoch first: up to so many milliseconds for each member, and at most. */
export const RENEW_PER_MEMBER_MS = 100;
export const RENEW_MAX_MS = 60_000;
