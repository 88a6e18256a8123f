/**
 * 20 Linking. Labels, lengths and times.
 */
import { utf8, type Bytes } from '@qasid/protocol';

/** Keys of the messages before the key agreement, and names of the slots. */
export const LABEL_LINKING_OUTER: Bytes = utf8('qasid/linking/outer/1');
export const LABEL_LINKING_SLOTS: Bytes = utf8('qasid/linking/slots/1');
/** The scanning device binds itself to its key and number before it sees the other's number. */
export const LABEL_LINKING_COMMIT: Bytes = utf8('qasid/linking/commit/1');
export const LABEL_LINKING_TRANSCRIPT: Bytes = utf8('qasid/linking/transcript/1');
/** Keys of the messages after it, and the code that people compare. */
export const LABEL_LINKING_KEYS: Bytes = utf8('qasid/linking/keys/1');
/** Keys of a transfer between two devices of an account. */
export const LABEL_TRANSFER: Bytes = utf8('qasid/linking/transfer/1');

/** Bytes of the secret in the code that is shown, and of the numbers both sides choose. */
export const SEED_BYTES = 32;
export const NONCE_BYTES = 32;

/** Digits people compare. Lower: a guess succeeds too often. Higher: nobody compares them. */
export const CODE_DIGITS = 8;

/** How long a code can be answered, as long as a relay keeps a slot. Lower: slow people fail. */
export const LINK_MAX_MS = 300_000;

/** From the first answer to the code on both screens. Lower: slow networks fail. Higher: more time to interfere. */
export const EXCHANGE_MAX_MS = 60_000;

/** How long the new device may take to join after it got the identity. */
export const JOIN_MAX_MS = 240_000;

/** Longest name or platform of a device in bytes of UTF-8. */
export const DEVICE_NAME_BYTES = 64;

/** Longest relay address in a code, in bytes. Higher: a picture that nobody can scan. */
export const RELAY_BYTES_MAX = 512;
