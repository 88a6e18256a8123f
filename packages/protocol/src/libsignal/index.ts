/**
 * A drop-in façade: the names, signatures, store base classes, enums and error codes of the protocol part
 * of `@signalapp/libsignal-client` 0.103, over this package. A program changes its import line and keeps
 * its stores and its serialised records. No protocol logic lives here.
 *
 * Not here: Signal's services (`Net`, backups, zkgroup), username proofs, media sanitizers.
 * Guide: docs/guides/leaving-libsignal.md.
 */
export { Aci, Pni, ProtocolAddress, ServiceId, ServiceIdKind, type Uuid } from './address.js';
export * from './certificates.js';
export { ErrorCode, LibSignalErrorBase, type LibSignalError } from './errors.js';
export * from './fingerprint.js';
export * from './groups.js';
export {
  Aes256GcmSiv,
  hkdf,
  IdentityKeyPair,
  KEMKeyPair,
  KEMPublicKey,
  KEMSecretKey,
  PrivateKey,
  PublicKey,
} from './keys.js';
export * from './messages.js';
export * from './records.js';
export * from './sealed-sender.js';
export * from './session.js';
export * from './stores.js';
export * as usernames from './usernames.js';
