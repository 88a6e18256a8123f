/**
 * 14 Calls §7. Limits of a one-to-one call, each with its reason.
 */

/** Bytes of a call id: random, so that nobody can name a call they were not invited to. */
export const CALL_ID_BYTES = 16;

/** How long a call rings, in milliseconds. Lower: people miss calls. Higher: a stale invite rings. */
export const RING_MS = 60_000;

/**
 * By how much two devices may disagree on the time of the relay, in milliseconds. Both correct their clocks by
 * what the relay said when they connected. Lower: a slow network makes calls into missed ones. Higher: an
 * invite that waited at the relay rings although its caller has given up.
 */
export const INVITE_SKEW_MS = 15_000;

/** How long both sides have to open the media path after the call was accepted, in milliseconds. */
export const CONNECT_MS = 30_000;

/** How long the id of an ended call is refused, in milliseconds. Longer than any message is under way. */
export const ENDED_MEMORY_MS: number = 10 * 60_000;

/** Ended calls remembered at most. Higher: a flood of invites costs memory. */
export const ENDED_MAX = 256;

/** Bytes of one session description. Chromium's with audio and video has about 6 KB. */
export const SDP_BYTES_MAX = 32_768;

/** Bytes of one candidate line; a real one has about 120. */
export const CANDIDATE_BYTES_MAX = 512;

/** Candidates in one message. */
export const CANDIDATES_MAX = 32;

/** Pauses before the media path is opened anew, in milliseconds; the last one repeats. */
export const RESTART_PAUSES_MS: readonly number[] = [500, 1_000, 2_000, 4_000, 8_000];

/** How long an interrupted call is kept, in milliseconds. Lower: a tunnel ends calls. Higher: silence. */
export const RESTART_GIVE_UP_MS = 60_000;

/** How long a connection that the other side closed waits for its hang-up, in milliseconds. */
export const GONE_GRACE_MS = 5_000;
