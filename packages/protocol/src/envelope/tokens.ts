/**
 * 12 Envelope. Delivery tokens and inlets: what lets a stranger put envelopes into a mailbox without
 * saying who they are.
 *
 * The relay keeps a hash of each token and never the token, so its database opens no mailbox.
 */
import { concatBytes, copyBytes, type Bytes } from '../bytes.js';
import type { CryptoProvider } from '../crypto/provider.js';
import { UsageError } from '../errors.js';
import { LABEL_DELIVERY_TOKEN, LABEL_MANY_CLIENT_ID } from '../labels.js';
import { CLIENT_ID_BYTES, TOKEN_BYTES, TOKEN_ID_BYTES } from '../limits.js';

/**
 * What the relay keeps of a token: SHA-256 of label, id (16 bytes) and token (32 bytes). 32 bytes.
 *
 * @param token - 32 random bytes; guessing them is guessing a key, so no slow hash is needed.
 * @throws UsageError `USAGE_LENGTH`
 */
export function tokenVerifier(
  crypto: Pick<CryptoProvider, 'sha256'>,
  id: Uint8Array,
  token: Uint8Array,
): Bytes {
  if (id.length !== TOKEN_ID_BYTES || token.length !== TOKEN_BYTES) {
    throw new UsageError(
      'USAGE_LENGTH',
      `token id of ${id.length}, token of ${token.length} bytes`,
    );
  }
  return crypto.sha256(LABEL_DELIVERY_TOKEN, copyBytes(id), copyBytes(token));
}

/**
 * The client id of one device's view of a multi-recipient send, 16 bytes. Every view has its own, so that
 * two recipients cannot tell by it that they were written to together (ATK-D14); a repeat has the same.
 *
 * @param clientId - 16 random bytes of the whole send.
 * @param dest - 16 bytes: the account or inlet as the sender named it.
 */
export function viewClientId(
  crypto: Pick<CryptoProvider, 'sha256'>,
  clientId: Uint8Array,
  dest: Uint8Array,
  device: number,
): Bytes {
  const input = concatBytes(clientId, dest, new Uint8Array([device]));
  return crypto.sha256(LABEL_MANY_CLIENT_ID, input).slice(0, CLIENT_ID_BYTES);
}
