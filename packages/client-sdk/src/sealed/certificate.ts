/**
 * 15 Content §9. Sender certificates that an account issues to itself.
 *
 * The relay is no authority on who sent something, and nobody else is either: the trust root of a certificate
 * is the identity key that the receiver trusts for the account it names. So it says nothing that the key
 * alone would not say, and a relay can issue none. Spec: spec/10-sealed-sender.md, spec/15-content.md §9.
 */
import {
  isValidSenderCertificate,
  issueSenderCertificate,
  issueServerCertificate,
  openUnvalidated,
  SEALED_V2_RECEIVED,
  samePublicBytes,
  StateError,
  TrustError,
  VerificationError,
  type Bytes,
  type CryptoProvider,
  type KeyPair,
  type PublicKey,
  type SealedContentType,
  type SenderCertificate,
} from '@qasid/protocol';
import { parseAccountText } from '@qasid/protocol/envelope';

const DAY_MS = 86_400_000;

/**
 * A certificate is good for so long. Lower than the relay's longest retention (45 days) and the age below:
 * what waited longest can no longer be believed. Higher: a removed device that kept one is named longer, but
 * the device list decides on that anyway.
 */
export const CERTIFICATE_LIFE_MS: number = 60 * DAY_MS;

/** A new one is made after so long. Its expiry tells the receiver the week, and nobody else sees it. */
export const CERTIFICATE_AGE_MS: number = 7 * DAY_MS;

/** Id of the server certificate: there is one for each identity key. */
const SERVER_ID = 1;

/** Makes the certificates of one device, a new one each week. */
export class CertificateMaker {
  readonly #crypto: CryptoProvider;
  #last: { readonly certificate: SenderCertificate; readonly atMs: number } | undefined;

  constructor(crypto: CryptoProvider) {
    this.#crypto = crypto;
  }

  /** The certificate to send with. */
  current(
    self: { readonly account: string; readonly device: number; readonly identity: KeyPair },
    nowMs: number,
  ): SenderCertificate {
    const age = this.#last === undefined ? Number.POSITIVE_INFINITY : nowMs - this.#last.atMs;
    if (this.#last !== undefined && age >= 0 && age < CERTIFICATE_AGE_MS) {
      return this.#last.certificate;
    }
    const { identity, account, device } = self;
    const key = { id: SERVER_ID, key: identity.public };
    const server = issueServerCertificate(this.#crypto, key, identity.secret);
    const expiresMs = nowMs + CERTIFICATE_LIFE_MS;
    const sender = { name: account, device, identityKey: identity.public, expiresMs };
    const certificate = issueSenderCertificate(this.#crypto, sender, server, identity.secret);
    this.#last = { certificate, atMs: nowMs };
    return certificate;
  }
}

/** A sealed message, made with `identityKey`; not yet compared with the key trusted for `account`. */
export interface Unsealed {
  readonly account: string;
  readonly device: number;
  /** Key that sealed it. The session that opens `message` must be with this very key (ATK-D02). */
  readonly identityKey: PublicKey;
  readonly type: SealedContentType;
  readonly message: Bytes;
}

/** Whether the body of an envelope is a sealed message. */
export function isSealed(body: Uint8Array): boolean {
  return body[0] === SEALED_V2_RECEIVED;
}

/**
 * Open a sealed message and check that the account it names sealed it, under the key that it names. Whether
 * that is the account's key, the caller compares with the one it trusts, before anything else.
 *
 * @param nowMs - Our own clock.
 * @throws VerificationError `VERIFY_SEALED_SENDER`, `VERIFY_KEY_AGREEMENT`, `VERIFY_CERTIFICATE` (ATK-D01);
 * StateError `STATE_SELF_SEND` for a message of this very device (ATK-D03); DecodeError.
 */
export function unseal(
  crypto: CryptoProvider,
  self: { readonly account: string; readonly device: number; readonly identity: KeyPair },
  body: Uint8Array,
  nowMs: number,
): Unsealed {
  const opened = openUnvalidated(crypto, self.identity, body);
  const { senderCertificate: certificate } = opened;
  const { senderName: account, senderDevice: device, identityKey } = certificate;
  if (!isAccount(account)) throw refused();
  // ATK-D01: no root but the account's own key, whatever certificates say of each other.
  if (!isValidSenderCertificate(crypto, certificate, { trustRoots: [identityKey] }, nowMs)) {
    throw refused();
  }
  if (account === self.account && device === self.device) {
    throw new StateError('STATE_SELF_SEND', 'sealed message of this very device');
  }
  return { account, device, identityKey, type: opened.type, message: opened.content };
}

/**
 * The key that sealed a message must be the one we trust for the account it names.
 *
 * @throws TrustError `TRUST_IDENTITY_CHANGED`: genuine under another key; a person may have to decide.
 */
export function checkSealer(trusted: PublicKey | undefined, sealedBy: PublicKey): void {
  if (trusted !== undefined && samePublicBytes(trusted, sealedBy)) return;
  throw new TrustError('TRUST_IDENTITY_CHANGED', 'sealed with another identity key', {
    identityKey: sealedBy,
  });
}

function refused(): VerificationError {
  return new VerificationError('VERIFY_CERTIFICATE', 'sender certificate refused');
}

function isAccount(text: string): boolean {
  try {
    parseAccountText(text);
    return true;
  } catch {
    return false;
  }
}
