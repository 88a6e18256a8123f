/**
 * 10 Sealed sender. Opening a sealed message and believing its sender, in one step.
 *
 * Anyone can make a message that opens; only a validated certificate gives its sender a name. So the
 * functions below never return a name that was not validated. What the content then holds is opened by
 * type: 2 and 3 pairwise (08), where the session's remote identity must be `identityKey`; 7 with sender
 * keys (09); 8 is plaintext content, only ever a repair request. Spec: spec/10-sealed-sender.md.
 */
import type { Bytes } from '../bytes.js';
import type { CryptoProvider } from '../crypto/provider.js';
import { DecodeError, StateError, VerificationError } from '../errors.js';
import { toAddress, type Address, type KeyPair, type PublicKey } from '../types.js';
import {
  isValidSenderCertificate,
  type CertificatePolicy,
  type SenderCertificate,
} from './certificates.js';
import type { SealedContent, SealedContentType } from './content.js';
import { openV1 } from './v1.js';
import { openV2 } from './v2.js';

export * from './certificates.js';
export * from './content.js';
export { SEALED_V1, sealV1 } from './v1.js';
export {
  SEALED_V2_RECEIVED,
  SEALED_V2_SENT,
  sealForMany,
  sealV2,
  type SealedRecipient,
} from './v2.js';

/** A sealed message whose sender is proven. */
export interface OpenedSealed {
  readonly sender: Address;
  readonly senderPhone: string | undefined;
  /** Key that sealed the message and that the certificate names. */
  readonly identityKey: PublicKey;
  readonly type: SealedContentType;
  /** The inner message. */
  readonly content: Bytes;
  readonly contentHint: number;
  readonly groupId: Bytes | undefined;
}

/** Who we are when opening. */
export interface SealedRecipientSelf {
  readonly identity: KeyPair;
  readonly address: Address;
  readonly phone?: string;
}

/**
 * Open a sealed message, version 1 or 2, and validate its sender.
 *
 * @param nowMs - Our own clock.
 * @throws UsageError `USAGE_RANGE` for our own device id.
 * @throws DecodeError `DECODE_SEALED_SENDER` for an unknown version; `DECODE_PROTOBUF`, `DECODE_KEY_TYPE`,
 *   `DECODE_KEY_LENGTH`.
 * @throws VerificationError `VERIFY_SEALED_SENDER`, `VERIFY_KEY_AGREEMENT`; `VERIFY_CERTIFICATE` without
 *   saying why.
 * @throws StateError `STATE_SELF_SEND` for a message of this very device (ATK-D03).
 *
 * Source: 10 §7. Vectors: sealed-sender/full-decrypt.json.
 */
export function openSealed(
  crypto: CryptoProvider,
  self: SealedRecipientSelf,
  bytes: Uint8Array,
  policy: CertificatePolicy,
  nowMs: number,
): OpenedSealed {
  toAddress(self.address.name, self.address.deviceId);
  const opened = openUnvalidated(crypto, self.identity, bytes);
  const certificate = opened.senderCertificate;
  if (!isValidSenderCertificate(crypto, certificate, policy, nowMs)) {
    throw new VerificationError('VERIFY_CERTIFICATE', 'sender certificate refused');
  }
  if (isOurs(certificate, self)) {
    throw new StateError('STATE_SELF_SEND', 'sealed message of this very device');
  }
  return {
    sender: { name: certificate.senderName, deviceId: certificate.senderDevice },
    senderPhone: certificate.senderPhone,
    identityKey: certificate.identityKey,
    type: opened.type,
    content: opened.content,
    contentHint: opened.contentHint,
    groupId: opened.groupId,
  };
}

/**
 * Open without validating: the certificate's claims are not yet true. For compatible façades and tools;
 * applications use {@link openSealed}.
 *
 * @throws DecodeError, VerificationError as {@link openSealed}, without the certificate's.
 */
export function openUnvalidated(
  crypto: CryptoProvider,
  identity: KeyPair,
  bytes: Uint8Array,
): SealedContent {
  const first = bytes[0];
  if (first === undefined) {
    throw new VerificationError('VERIFY_SEALED_SENDER', 'sealed message refused');
  }
  // 0 was once written for version 1; the low nibble says nothing.
  const version = first >>> 4;
  if (version <= 1) return openV1(crypto, identity, bytes);
  if (version === 2) return openV2(crypto, identity, bytes);
  throw new DecodeError('DECODE_SEALED_SENDER', `sealed sender version ${version}`);
}

function isOurs(certificate: SenderCertificate, self: SealedRecipientSelf): boolean {
  if (certificate.senderDevice !== self.address.deviceId) return false;
  if (certificate.senderName === self.address.name) return true;
  return self.phone !== undefined && certificate.senderPhone === self.phone;
}
