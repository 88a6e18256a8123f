/**
 * What the relay's refusals of a send mean, now and when they are read from the store.
 */
import { LimitError, TrustError, VerificationError } from '@qasid/protocol';
import { isRetryable, type ResponseItem } from '@qasid/protocol/envelope';

import { AccountError, NetworkError } from './errors.js';

/** What a refused send means. */
export function refusal(answer: ResponseItem): Error {
  if (isRetryable(answer.code)) {
    return new NetworkError('NET_BUSY', `relay answers ${answer.code}`, {
      retryAfterMs: answer.retryAfterMs,
    });
  }
  if (answer.code === 'NOT_FOUND') return new AccountError('ACCOUNT_UNKNOWN', 'no such account');
  if (answer.code === 'MAILBOX_FULL') return errorOfCode('LIMIT_MAILBOX_FULL');
  if (answer.code === 'TOO_LARGE') return errorOfCode('LIMIT_ENVELOPE_SIZE');
  return new NetworkError('NET_REFUSED', `relay answers ${answer.code}`);
}

/** The error that a stored code stands for, for whoever asks later or in another process. */
export function errorOfCode(code: string | undefined): Error {
  switch (code) {
    case 'ACCOUNT_UNKNOWN':
      return new AccountError(code, 'the relay knows nobody by that name');
    case 'TRUST_NOT_VERIFIED':
      return new TrustError(code, 'nobody has compared the safety number of this account');
    case 'TRUST_IDENTITY_CHANGED':
      return new TrustError(code, 'the identity key of this account changed');
    case 'VERIFY_DEVICE_LIST':
    case 'VERIFY_SIGNATURE':
      return new VerificationError(code, 'the relay showed keys that do not belong to the account');
    case 'LIMIT_MAILBOX_FULL':
      return new LimitError(code, 'the recipient’s mailbox is full');
    case 'LIMIT_ENVELOPE_SIZE':
      return new LimitError(code, 'the relay does not take messages of this size');
    default:
      return new NetworkError('NET_REFUSED', `message was refused (${code ?? 'no reason given'})`);
  }
}
