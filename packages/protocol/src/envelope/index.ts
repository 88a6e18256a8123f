/**
 * 12 Envelope. All that a relay may see of the protocol: ids, device lists, frames, and no way to open a
 * message. spec/12-envelope.md. The relay package imports this entry and no other.
 */
export { type Bytes, copyBytes, fromHex, samePublicBytes, toHex } from '../bytes.js';
export { verifyXeddsa, type Sha512 } from '../crypto/xeddsa.js';
export {
  DecodeError,
  LimitError,
  QasidError,
  StoreError,
  UsageError,
  VerificationError,
} from '../errors.js';
export {
  BLOB_ID_BYTES,
  ENVELOPE_BUCKETS,
  INVITE_BYTES,
  MAX_ENVELOPE_BYTES,
  MAX_FRAME_BYTES,
  MAX_MANY_BYTES,
  MAX_MANY_PARTS,
  MAX_MANY_RECIPIENTS,
  MAX_PREKEYS_PER_UPLOAD,
  MAX_PUSH_ENDPOINT_CHARS,
  MAX_PUSH_HANDLE_BYTES,
  MAX_RECORD_BYTES,
  MAX_RENDEZVOUS_BYTES,
  MAX_SEND_PARTS,
  MAX_TURN_URLS,
  MAX_USER_TICKET_CHARS,
  RELAY_PROTOCOL_VERSION,
  TOKEN_BYTES,
  TOKEN_ID_BYTES,
  WORK_BITS_MAX,
} from '../limits.js';
export * from './account-requests.js';
export * from './answers.js';
export * from './blobs.js';
export type { ManyFailure, SealedBody } from './answers-sealed.js';
export * from './codes.js';
export type { AnswerFields, DeliverFields } from './deliver.js';
export * from './devices.js';
export * from './envelope.js';
export {
  type ChallengeEvent,
  decodeEvent,
  type DeliverEvent,
  encodeEvent,
  type EventItem,
  type RelayEvent,
  type RelayLimits,
} from './events.js';
export * from './frames.js';
export * from './mailbox.js';
export * from './multi-recipient.js';
export * from './prekey-items.js';
export * from './push.js';
export * from './records.js';
export * from './registration.js';
export * from './requests.js';
export type { DevicesRequest, TakePrekeysRequest } from './requests-keys.js';
export type {
  AnonymousRequest,
  Credential,
  ManyTarget,
  PutTokenRequest,
  SealedOp,
  SendManyRequest,
  TokenTerms,
} from './requests-sealed.js';
export * from './tokens.js';
