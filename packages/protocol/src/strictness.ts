/**
 * 08 Session. What compatible peers accept and we would not, named, so that a deployment can count it
 * (parity) or refuse it (strict).
 *
 * Parity accepts exactly what libsignal-client accepts. Strict is for networks where every peer is known to
 * write canonical messages. Neither changes what is written. Spec: spec/08-session.md, Profiles.
 */
import { samePublicBytes } from './bytes.js';
import type { CryptoProvider } from './crypto/provider.js';
import { DecodeError } from './errors.js';
import { addressesField } from './session-addresses.js';
import type { PreKeyBundle } from './prekeys.js';
import type { Address } from './types.js';
import {
  encodePreKeySignalMessage,
  encodeSignalMessageBody,
  type PreKeySignalMessage,
  type SignalMessage,
} from './wire/messages.js';

/** One thing that peers tolerate. */
export type Leniency =
  /** Unknown or reordered fields, over-long varints, a low nibble other than 4, bytes behind a key. */
  | 'message-not-canonical'
  /** An identity key with an unreduced coordinate, on the twist, or with a torsion part. */
  | 'identity-not-canonical'
  /** A handshake between service ids that binds no addresses. */
  | 'addresses-missing';

/** `'parity'`: accept what peers accept. `'strict'`: refuse every {@link Leniency}. */
export type Profile = 'parity' | 'strict';

/** What is lenient about a plain message. Costs one encoding. */
export function messageLeniencies(message: SignalMessage): readonly Leniency[] {
  return samePublicBytes(encodeSignalMessageBody(message), message.authenticated)
    ? []
    : ['message-not-canonical'];
}

/**
 * What is lenient about a prekey message.
 *
 * @param bytes - The message as received.
 */
export function preKeyMessageLeniencies(
  crypto: CryptoProvider,
  message: PreKeySignalMessage,
  bytes: Uint8Array,
  ends: { readonly local: Address; readonly remote: Address },
): readonly Leniency[] {
  const found: Leniency[] = [];
  const inner = messageLeniencies(message.message);
  if (inner.length > 0 || !samePublicBytes(encodePreKeySignalMessage(message), bytes)) {
    found.push('message-not-canonical');
  }
  if (!crypto.isCanonicalPublicKey(message.identityKey)) found.push('identity-not-canonical');
  const bindable = addressesField(ends.remote, ends.local) !== undefined;
  if (bindable && message.message.addresses === undefined) found.push('addresses-missing');
  return found;
}

/** What is lenient about a bundle. */
export function bundleLeniencies(
  crypto: CryptoProvider,
  bundle: PreKeyBundle,
): readonly Leniency[] {
  return crypto.isCanonicalPublicKey(bundle.identityKey) ? [] : ['identity-not-canonical'];
}

/**
 * Refuse what the strict profile does not accept.
 *
 * @throws DecodeError `DECODE_NOT_CANONICAL` when `found` is not empty and `profile` is `'strict'`.
 */
export function judge(profile: Profile, found: readonly Leniency[]): void {
  const what = found[0];
  if (profile === 'strict' && what !== undefined) {
    throw new DecodeError('DECODE_NOT_CANONICAL', `refused by the strict profile: ${what}`);
  }
}
