/**
 * What an envelope says: outside about its sender, and inside about what to do.
 */
import {
  copyBytes,
  DecodeError,
  type Bytes,
  type CryptoProvider,
  type KeyPair,
  type PublicKey,
} from '@qasid/protocol';
import { accountText, decodeEnvelope } from '@qasid/protocol/envelope';

import { decodeContent, unpadContent, type Content } from './content/index.js';
import { asUnknown, idFrom } from './inbox-rows.js';
import { unseal } from './sealed/certificate.js';
import { idText } from './timeline/ids.js';
import type { Entry } from './timeline/types.js';

/** Who an envelope says it is from. Proven only by the session that opens it. */
export interface Claimed {
  readonly account: string;
  readonly device: number;
  /** 7: for a group. 8: a request for repair, which the key that sealed it alone authenticates. */
  readonly type: 2 | 3 | 7 | 8;
  readonly message: Bytes;
  /** The key that sealed it; `undefined` when the relay was told the sender. */
  readonly sealedBy: PublicKey | undefined;
}

/** Who a relay says it is from. @throws DecodeError */
export function namedOutside(body: Uint8Array): Claimed {
  const { senderAccount, senderDevice: device, type, message } = decodeEnvelope(body);
  return { account: accountText(senderAccount), device, type, message, sealedBy: undefined };
}

/** Who it says itself it is from, where the relay was not told. @throws DecodeError, VerificationError, StateError */
export function sealedOutside(
  crypto: CryptoProvider,
  self: { readonly account: string; readonly device: number; readonly identity: KeyPair },
  body: Uint8Array,
  nowMs: number,
): Claimed {
  const { identityKey, type, ...from } = unseal(crypto, self, body, nowMs);
  if (type !== 2 && type !== 3 && type !== 7 && type !== 8) {
    throw new DecodeError('DECODE_SEALED_SENDER', `sealed message of type ${type}`);
  }
  return { ...from, type, sealedBy: identityKey };
}

/** Where the content of an opened message stands. */
export function entryOf(
  { account, device }: Claimed,
  plaintext: Bytes,
  self: string,
  nowMs: number,
): Entry {
  const own = account === self;
  const here = { peer: account, author: account, device, arrived: true };
  let bytes: Bytes = plaintext;
  try {
    bytes = copyBytes(unpadContent(plaintext));
    const content = decodeContent(bytes);
    const { body } = content;
    // ATK-G06: only a device of our own account may say what we sent, or did.
    if (body.kind === 'sent' && own) {
      const sent = decodeContent(body.content);
      // A copy of a copy, or of what is only for our own devices, was made by nobody honest.
      if (sent.body.kind === 'sent' || sent.body.kind === 'sync')
        return asUnknown(here, content, bytes);
      return { ...here, peer: idText(body.account), content: sent, bytes: body.content };
    }
    const foreign = body.kind === 'sent' || (body.kind === 'sync' && !own);
    if (foreign || content.group !== undefined) return asUnknown(here, content, bytes);
    return { ...here, content, bytes };
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    // Authentic, but not content as we know it: kept as it is.
    const content: Content = {
      id: idFrom(bytes),
      sentAtMs: nowMs,
      body: { kind: 'unknown' },
    };
    return { ...here, content, bytes };
  }
}
