/**
 * 15 Content. Bounds and labels. What is beyond a bound is refused as a whole: `DECODE_CONTENT`.
 */
import { utf8, type Bytes } from '@qasid/protocol';

/** Version written into every content. Readers accept higher ones and keep what they cannot show. */
export const CONTENT_VERSION = 1;

/** Bytes of a content id. */
export const CONTENT_ID_BYTES = 16;

/** Bytes of an account id inside a content. */
export const ACCOUNT_BYTES = 16;

/** Bytes of a digest or a chain hash: SHA-256. */
export const HASH_BYTES = 32;

/** Bytes of a chain id. Lower: two chains of one device may be taken for one. */
export const CHAIN_ID_BYTES = 8;

/** Highest counter of a chain; the sender begins a new chain after it. */
export const CHAIN_COUNTER_MAX = 0x7fff_ffff;

/** Counters a link may withdraw. Lower: a long outage leaves gaps that nobody explains. */
export const WITHDRAWN_MAX = 64;

/** Latest time a `Date` can hold. Anything later in a message is nonsense from its sender. */
export const TIME_MAX_MS = 8_640_000_000_000_000;

/** UTF-16 units of an excerpt in a quote. Higher: a quote pushes its message into the next bucket. */
export const QUOTE_TEXT_MAX = 256;

/** Styled ranges of a text. Higher: one message costs a screen more work than its text. */
export const STYLES_MAX = 256;

/** Mentions in a text. Lower than a large group: one message should not wake all of it. */
export const MENTIONS_MAX = 64;

/** Attachments of a message. */
export const ATTACHMENTS_MAX = 32;

/** UTF-8 bytes of a reaction: the longest emoji sequences in use have 35. */
export const EMOJI_BYTES_MAX = 64;

/** UTF-8 bytes of names, titles, labels, media types and namespaces. */
export const NAME_BYTES_MAX = 512;

/** Bytes of a thumbnail or a placeholder inside a message. */
export const THUMBNAIL_BYTES_MAX = 16_384;

/** Options of a poll. */
export const POLL_OPTIONS_MAX = 32;

/** Ids in one list of a receipt. Twelve fit the smallest bucket. Lower: a busy hour takes hours to confirm. */
export const RECEIPT_IDS_MAX = 256;

/** Lines of a contact card. */
export const CONTACT_LINES_MAX = 32;

/** Seconds of the longest disappearing timer: a year. */
export const TIMER_SECONDS_MAX = 31_536_000;

/** Largest size a document may claim, 2 GiB. Spec 17. */
export const ATTACHMENT_BYTES_MAX = 2_147_483_648;

/** Side of the largest picture a descriptor may claim, pixels. */
export const DIMENSION_MAX = 65_535;

/** Binds a quote to what was quoted. Section 4. */
export const LABEL_DIGEST: Bytes = utf8('qasid/content/digest/1');

/** Binds a message to the one its sender wrote before. Section 5. */
export const LABEL_CHAIN: Bytes = utf8('qasid/content/chain/1');
