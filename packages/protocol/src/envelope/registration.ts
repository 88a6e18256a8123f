/**
 * 12 Envelope §8. What a registration may have to bring: an invite, or work.
 *
 * An invite is a secret of the relay's operator for one or several new accounts. Work is what a relay that is
 * open to everybody asks for, so that ten thousand accounts cost something: the search for a number whose
 * hash begins with zeros. The search comes in slices; whoever runs it decides when to breathe.
 */
import { concatBytes, type Bytes } from '../bytes.js';
import type { CryptoProvider } from '../crypto/provider.js';
import { UsageError } from '../errors.js';
import { LABEL_REGISTER_WORK } from '../labels.js';
import { INVITE_BYTES, WORK_BITS_MAX, WORK_BYTES } from '../limits.js';
import type { AccountId, RelayId } from './mailbox.js';

/** The one primitive that proofs of work need. */
export type Sha256 = Pick<CryptoProvider, 'sha256'>;

/** What the work of a registration is bound to. */
export interface WorkClaim {
  readonly relayId: RelayId;
  /** 32 bytes, of the challenge that came with the demand. */
  readonly nonce: Uint8Array;
  readonly account: AccountId;
}

/** SHA-256 of label, relay id (32), nonce (32) and account (16): what is hashed with each number. 32 bytes. */
export function workSeed(crypto: Sha256, claim: WorkClaim): Bytes {
  const { relayId, nonce, account } = claim;
  return crypto.sha256(LABEL_REGISTER_WORK, relayId, nonce, account);
}

/** Whether SHA-256 of seed (32) and `work` (8) begins with `bits` zeros. One hash. */
export function isWork(crypto: Sha256, seed: Uint8Array, bits: number, work: Uint8Array): boolean {
  if (work.length !== WORK_BYTES) return false;
  return leadingZeros(crypto.sha256(concatBytes(seed, work))) >= bits;
}

/**
 * Try `tries` numbers from `from` on. 2^bits are needed on average: 65 536 for 16 bits.
 *
 * @returns `work`, 8 bytes, when one of them does; `next`, where to go on, when none does.
 * @throws UsageError `USAGE_RANGE` for more than 32 bits: a relay that asks for that wants no accounts.
 */
export function searchWork(
  crypto: Sha256,
  seed: Uint8Array,
  bits: number,
  from: number,
  tries: number,
): { readonly work: Bytes | undefined; readonly next: number } {
  if (bits > WORK_BITS_MAX) throw new UsageError('USAGE_RANGE', `work of ${bits} bits`);
  const input = concatBytes(seed, new Uint8Array(WORK_BYTES));
  const view = new DataView(input.buffer);
  const end = from + tries;
  for (let number = from; number < end; number++) {
    view.setUint32(seed.length, Math.floor(number / 2 ** 32));
    view.setUint32(seed.length + 4, number % 2 ** 32);
    if (leadingZeros(crypto.sha256(input)) >= bits) {
      return { work: input.slice(seed.length), next: number };
    }
  }
  return { work: undefined, next: end };
}

/**
 * An invite as people pass it on: `qasid-invite:` and 32 letters and digits. A code that links a device never
 * begins so, and one must not be taken for the other.
 *
 * @param invite - 20 random bytes.
 */
export function inviteText(invite: Uint8Array): string {
  let text = INVITE_SCHEME;
  for (let at = 0; at < invite.length; at += 5) {
    // Five bytes are eight characters of five bits; 40 bits are exact in a number.
    let group = 0;
    for (const byte of invite.subarray(at, at + 5)) group = group * 256 + byte;
    for (let index = 7; index >= 0; index--) {
      text += ALPHABET[Math.floor(group / 32 ** index) % 32];
    }
  }
  return text;
}

/** The 20 bytes of an invite, or `undefined` when `text` is none. Surrounding blanks are what copying adds. */
export function parseInviteText(text: string): Bytes | undefined {
  const found = INVITE.exec(text.trim())?.[1];
  if (found === undefined) return undefined;
  const invite = new Uint8Array(INVITE_BYTES);
  for (let at = 0; at < INVITE_BYTES; at += 5) {
    let group = 0;
    for (const letter of found.slice((at / 5) * 8, (at / 5) * 8 + 8)) {
      group = group * 32 + ALPHABET.indexOf(letter);
    }
    for (let index = 4; index >= 0; index--) {
      invite[at + 4 - index] = Math.floor(group / 256 ** index) % 256;
    }
  }
  return invite;
}

function leadingZeros(hash: Uint8Array): number {
  let bits = 0;
  for (const byte of hash) {
    if (byte === 0) {
      bits += 8;
      continue;
    }
    return bits + Math.clz32(byte) - 24;
  }
  return bits;
}

const INVITE_SCHEME = 'qasid-invite:';
/** Base 32 of RFC 4648 in lower case. */
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';
const INVITE = /^qasid-invite:([a-z2-7]{32})$/;
