/**
 * Every limit: name, unit, value, and what breaks on either side of it. Tests stand on both sides.
 */

/** Message version this package writes. Older: no post-quantum ratchet. Newer: nobody reads it. */
export const MESSAGE_VERSION = 4;

/** Oldest version that parses. Lower: formats nobody speaks. Version 3 only continues imported sessions. */
export const MESSAGE_VERSION_MIN = 3;

/** Bytes of a message MAC. Fixed by the wire format; forging needs 2^64 online tries. */
export const MESSAGE_MAC_BYTES = 8;

/** Messages one chain may jump ahead. Lower: long offline gaps need a new session. Higher: one forged
 *  header buys that many chain steps before its MAC is checked. Signal's value. Spec 05. */
export const MAX_FORWARD_JUMPS = 25_000;

/** `MAX_FORWARD_JUMPS` of a session with oneself. Compatible peers have none there. Lower: a linked device
 *  that slept through that many messages of one chain needs a new session. Higher: whoever can deliver one
 *  forged message freezes us for that many HMACs, about half a second. Spec 05, 91. */
export const MAX_FORWARD_JUMPS_SELF = 100_000;

/** Last index of a chain: the counter field has 32 bits. Spec 05. */
export const MAX_CHAIN_INDEX = 0xffff_ffff;

/** Chain steps that messages nobody could open may cost before far jumps are refused for a while: one
 *  forged message on every session of a full record. Lower: an honest far jump is refused after fewer
 *  forgeries. Higher: forgers freeze us for longer at once, about 2 us a step. Spec 08. */
export const FORWARD_BUDGET_STEPS: number = 41 * MAX_FORWARD_JUMPS;

/** Steps of that budget that come back per second, about 4 % of one core. Spec 08. */
export const FORWARD_BUDGET_REFILL_PER_SECOND = 20_000;

/** Steps of one message that are always allowed. Lower: gaps of an ordinary holiday may be refused during
 *  an attack. Higher: an attack costs more once the budget is spent. Spec 08. */
export const FORWARD_STEPS_ALWAYS = 2_000;

/** Failed handshakes of one account before its next ones are refused. Lower: an honest account whose devices
 *  lost their state is refused sooner. Higher: each account of a forger buys that many agreements and KEM
 *  operations, about 2 ms each. Spec 08. */
export const HANDSHAKE_BUDGET_SENDER = 10;

/** Failed handshakes of that account forgiven per minute. As above. Spec 08. */
export const HANDSHAKE_BUDGET_SENDER_PER_MINUTE = 6;

/** Failed handshakes of all strangers together before new strangers are refused. Lower: a few forgers with
 *  several accounts keep strangers out. Higher: they take more time from us, about 0.2 s at once. Spec 08. */
export const HANDSHAKE_BUDGET_STRANGERS = 100;

/** Failed handshakes of strangers forgiven per minute, about 0.3 % of one core. As above. Spec 08. */
export const HANDSHAKE_BUDGET_STRANGERS_PER_MINUTE = 100;

/** Accounts whose failed handshakes are remembered. Lower: a forger with many accounts is forgotten sooner;
 *  the budget of strangers still holds. Higher: memory. Spec 08. */
export const HANDSHAKE_BUDGET_ACCOUNTS = 1_024;

/** Decoded records that `Operations` keeps in memory. Lower: more decoding. Higher: more secrets in memory
 *  at once, about 10 kB each. Spec 08. */
export const MAX_CACHED_RECORDS = 256;

/** Times one operation is redone because another writer was faster. Lower: errors under load from two
 *  processes. Higher: a broken adapter keeps us busy for longer. Spec 08. */
export const MAX_CONFLICT_RETRIES = 64;

/** Skipped message keys kept per receiver chain. Lower: late messages are lost sooner. Higher: a peer
 *  fills our disk, and more keys lie about to be stolen. Signal's value. Spec 05. */
export const MAX_SKIPPED_KEYS = 2_000;

/** Receiver chains kept per session. Lower: messages of older chains are lost sooner. Higher: more state
 *  a thief can use. Signal's value. Spec 05. */
export const MAX_RECEIVER_CHAINS = 5;

/** Archived sessions kept per address. Lower: crossing handshakes lose messages. Higher: a forged message
 *  is tried against more of them. Signal's value. Spec 08. */
export const MAX_ARCHIVED_SESSIONS = 40;

/** How long a session may go unanswered and still send, in milliseconds: 30 days. Lower: people on
 *  holiday need a new handshake. Higher: we keep talking to a device that was reinstalled. Spec 08. */
export const UNACKNOWLEDGED_SESSION_MAX_MS: number = 30 * 24 * 60 * 60 * 1000;

/** Keys one SPQR chain may jump ahead; in a session with oneself there is no practical limit. Spec 06. */
export const SPQR_MAX_JUMP = 25_000;

/** `SPQR_MAX_JUMP` as stored in a session with oneself, where compatible peers have no limit. Spec 06. */
export const SPQR_MAX_JUMP_SELF = 0xffff_ffff;

/** What a stored jump limit comes to at most. Lower: a linked device that slept through that many messages
 *  of one epoch needs a new session. Higher: one forged message makes the receiver step that many keys
 *  before its MAC can fail; without a limit, 2^32 of them take hours. As `MAX_FORWARD_JUMPS_SELF`. Spec 06. */
export const SPQR_MAX_JUMP_ENFORCED = 100_000;

/** Out-of-order SPQR keys kept per chain. Same trade as `MAX_SKIPPED_KEYS`. Spec 06. */
export const SPQR_MAX_OUT_OF_ORDER_KEYS = 2_000;

/** Messages of one session, sent and received, without a finished post-quantum key agreement after which an
 *  application is told. One takes 87 without loss, 160 with 30 %. Lower: conversations in which one side
 *  writes much alarm people. Higher: a stolen state opens more messages to a quantum computer before
 *  anybody knows that chunks are being dropped. Spec 08. */
export const POST_QUANTUM_STALLED_MESSAGES = 1_000;

/** Version of sender-key messages. The only one that was ever in use with signing keys. Spec 09. */
export const SENDER_KEY_MESSAGE_VERSION = 3;

/** Sender-key states kept per sender and distribution id. Lower: late messages of a replaced chain are
 *  lost. Higher: a member who floods distribution messages fills our disk. Signal's value. Spec 09. */
export const MAX_SENDER_KEY_STATES = 5;

/** Bytes of one envelope at a relay, padded. Lower: more attachments. Higher: queues fill faster. Spec 12. */
export const MAX_ENVELOPE_BYTES = 65_536;

/** Sizes of a body at a relay: all it learns of a message's length. Lower steps: less waste, more told.
 *  Spec 12 §5. */
export const ENVELOPE_BUCKETS: readonly number[] = [
  512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536,
];

/** Bytes of one relay frame. A frame carries a whole prekey upload or 8 envelopes. Spec 12. */
export const MAX_FRAME_BYTES = 1_048_576;

/** Bytes of an account id. Lower: ids collide or are guessed. Higher: longer than a UUID. Spec 12. */
export const ACCOUNT_ID_BYTES = 16;

/** Highest device id of an account, as compatible peers have it. Lowest is 1. Spec 12. */
export const DEVICE_ID_MAX = 127;

/** Bytes of a client id, which names one message to one device. Lower: ids collide. Spec 12. */
export const CLIENT_ID_BYTES = 16;

/** Bytes of a Kyber1024 public key with its type byte. Fixed by the format. Spec 12. */
export const KEM_PREKEY_BYTES = 1_569;

/** Items in one frame. Lower: less batching. Higher: one frame keeps a relay busy for longer. Spec 12. */
export const MAX_FRAME_ITEMS = 1_024;

/** Parts of one send, one per device of the recipient. Lower than 127: accounts no one can write to. */
export const MAX_SEND_PARTS = 127;

/** One-time prekeys of a kind in one upload. Lower: more uploads. Higher: frames over the limit. Spec 12. */
export const MAX_PREKEYS_PER_UPLOAD = 200;

/** Extra sequence numbers in one acknowledgement: a whole delivery window. Spec 12. */
export const MAX_ACK_EXTRA = 256;

/** Bytes of a blob id, which is the right to read it. Lower: ids are guessed. Spec 12. */
export const BLOB_ID_BYTES = 32;

/** Bytes of a blob ticket. Opaque to clients; our relay's have 94. Spec 12. */
export const MAX_TICKET_BYTES = 512;

/** URLs in one answer about TURN. Lower: fewer transports. Higher: slower calls, as each is tried. Spec 12. */
export const MAX_TURN_URLS = 16;

/** Characters of a Web Push endpoint. Lower: services with long ones are left out. Higher: rows grow. Spec 12. */
export const MAX_PUSH_ENDPOINT_CHARS = 512;

/** Bytes of a push handle. Lower: no room for a token. Higher: a place to keep other things. Spec 12. */
export const MAX_PUSH_HANDLE_BYTES = 64;

/** Bytes of the value of a record. Lower: large groups need a blob. Higher: relays keep more. Spec 12. */
export const MAX_RECORD_BYTES = 65_536;
/** Bytes of one message in a rendezvous. Lower: no room for a history key. Higher: strangers fill memory. */
export const MAX_RENDEZVOUS_BYTES = 65_536;

/** Bytes of the name of a rendezvous slot. Lower: slots are guessed. Spec 12. */
export const RENDEZVOUS_ID_BYTES = 16;
/** Bytes of a delivery token's id, and of an inlet's address. Lower: ids collide. Spec 12 §8. */
export const TOKEN_ID_BYTES = 16;

/** Bytes of a delivery token. Lower: it could be guessed, and the relay's hash of it searched. Spec 12 §8. */
export const TOKEN_BYTES = 32;

/** Tokens and inlets in one answer: more than a relay lets an account have. Spec 12 §8. */
export const MAX_TOKENS_LISTED = 4_096;

/** Recipients of one multi-recipient send. Lower: large groups take several. Higher: one request keeps a
 *  relay busy for longer. Spec 12 §8. */
export const MAX_MANY_RECIPIENTS = 512;

/** Devices of all recipients of one multi-recipient send. Same trade. Spec 12 §8. */
export const MAX_MANY_PARTS = 1_024;

/** Bytes that one multi-recipient send may become, views of all devices together. Lower: large messages to
 *  large groups take several. Higher: a frame of 1 MiB makes a relay write more than that many times over. */
export const MAX_MANY_BYTES: number = 16 * 1024 * 1024;

/** Bytes of an invite. Lower: invites are guessed. Spec 12. */
export const INVITE_BYTES = 20;

/** Characters of a ticket of the host application. Lower: signatures of other kinds do not fit. Spec 12. */
export const MAX_USER_TICKET_CHARS = 4_096;

/** Bytes of the number that is the work of a registration. Lower: fewer numbers than 2^53. Spec 12. */
export const WORK_BYTES = 8;

/** Zero bits a client works for. Lower: busy relays are flooded. Higher: minutes of a telephone. Spec 12. */
export const WORK_BITS_MAX = 32;

/** Version of the relay frames, announced in the challenge. Spec 12. */
export const RELAY_PROTOCOL_VERSION = 1;
