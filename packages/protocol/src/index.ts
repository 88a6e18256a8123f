/**
 * The public names of `@qasid/protocol`, grouped by chapter. No logic.
 */

// 00 Conventions
export {
  concatBytes,
  copyBytes,
  fromHex,
  readU32be,
  samePublicBytes,
  toHex,
  u32be,
  u64be,
  utf8,
  type Bytes,
} from './bytes.js';
export type { Brand } from './brand.js';
export * from './types.js';
export { REDACTED, redacted, wipe, withWiped, type Transition } from './secret.js';
export * from './errors.js';
export * from './limits.js';

// 01 Primitives
export type {
  CryptoProvider,
  IncrementalEncapsulation,
  IncrementalKeyPair,
  SigningKeyPair,
} from './crypto/provider.js';
export { provider as defaultCrypto } from '#provider';
export { equalBytes } from './crypto/constant-time.js';

// 02 Identity
export {
  decodeIdentityKeyPair,
  encodeIdentityKeyPair,
  generateIdentityKeyPair,
  generateRegistrationId,
  isLowOrder,
  signAlternateIdentity,
  verifyAlternateIdentity,
} from './identity.js';
export {
  compareScannable,
  createFingerprint,
  FINGERPRINT_ITERATIONS,
  FINGERPRINT_VERSION,
  type Fingerprint,
  type FingerprintParty,
} from './fingerprint.js';
export {
  decodeFixedServiceId,
  decodeServiceId,
  encodeFixedServiceId,
  encodeServiceId,
  parseServiceId,
  serviceIdText,
  type ServiceId,
  type ServiceIdKind,
} from './service-id.js';

// 03 Prekeys
export {
  decodeKemPreKeyRecord,
  decodePreKeyRecord,
  decodeSignedPreKeyRecord,
  encodeKemPreKeyRecord,
  encodePreKeyRecord,
  encodeSignedPreKeyRecord,
  generateKemPreKey,
  generatePreKey,
  generatePreKeyBundle,
  generateSignedPreKey,
  verifyBundle,
  type GeneratedBundle,
  type KemPreKeyRecord,
  type PreKeyBundle,
  type PreKeyRecord,
  type SignedPreKeyRecord,
} from './prekeys.js';

// 08 Session: the port to storage
export * from './stores.js';

// 11 Wire: the protobuf subset, for formats that build on it
export { ProtoReader, ProtoWriter } from './wire/protobuf.js';

// 08 Session: a store in memory
export { MemoryStore, type MemoryStoreOptions } from './memory-store.js';

// 08 Session: profiles
export type { Leniency, Profile } from './strictness.js';

// 08 Session: what a program calls
export {
  Operations,
  type DecryptedMessage,
  type EncryptedMessage,
  type EncryptTarget,
  type OperationsOptions,
} from './operations.js';
export type { PostQuantumProgress, SessionInfo } from './session-info.js';

// 08 Session: stored records, for moving to and from compatible peers
export { decodeSessionRecord, encodeSessionRecord, type SessionRecord } from './session-record.js';

// 09 Sender keys
export {
  createSenderKey,
  decodeSenderKeyRecord,
  distributionMessage,
  EMPTY_SENDER_KEY_RECORD,
  encodeSenderKeyRecord,
  groupDecrypt,
  groupEncrypt,
  processDistributionMessage,
  senderKeyDistributionId,
  type ProcessedDistribution,
  type SenderKeyRecord,
} from './sender-keys.js';

// 10 Sealed sender
export * from './sealed-sender/index.js';
export {
  splitSealedForMany,
  type SplitRecipient,
  type SplitSealed,
} from './envelope/multi-recipient.js';

// 16 Small formats
export { HPKE_SUITE, hpkeOpen, hpkeSeal } from './hpke.js';
export { openProvisioning, sealProvisioning } from './provisioning.js';
export {
  decodeDecryptionError,
  decodePlaintextContent,
  decryptionErrorOfBody,
  describeFailure,
  encodeDecryptionError,
  encodePlaintextContent,
  PLAINTEXT_CONTENT_MARKER,
  type DecryptionErrorMessage,
} from './repair.js';
export {
  openUsernameLink,
  sealUsernameLink,
  UsernameError,
  usernameHash,
  type UsernameFault,
} from './usernames.js';

// 17 Attachments
export { streams as defaultStreams } from '#streams';
export type { CbcStream, DigestStream, StreamProvider } from './crypto/streams.js';
export {
  ATTACHMENT_KEY_BYTES,
  ATTACHMENT_PLAINTEXT_MAX,
  attachmentBlobBytes,
  decryptAttachment,
  encryptAttachment,
  openAttachment,
  paddedAttachmentBytes,
  type AttachmentEncryption,
  type AttachmentPointer,
} from './attachments.js';
export {
  checkIncrementalMac,
  incrementalMac,
  incrementalMacChunkBytes,
  type IncrementalMac,
  type IncrementalMacCheck,
} from './incremental-mac.js';
