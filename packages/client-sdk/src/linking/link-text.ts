/**
 * 20 Linking §2. What one device shows and the other reads: a QR code, or a text to copy.
 */
import { concatBytes, copyBytes, toPublicKey, type Bytes, type PublicKey } from '@qasid/protocol';

import { LinkError } from '../errors.js';
import { RELAY_BYTES_MAX, SEED_BYTES } from './limits.js';

/** Which device shows the code: one that has the account, or the one that wants to join. */
export type ShownBy = 'account' | 'new-device';

/** What a code says. `seed` is secret; the code is shown to nobody but the other device. */
export interface LinkCode {
  readonly shownBy: ShownBy;
  /** When it was made, by the clock of the device that shows it; whole seconds. */
  readonly createdAtMs: number;
  /** 32 random bytes. */
  readonly seed: Bytes;
  /** Temporary key of the device that shows it. */
  readonly key: PublicKey;
  /** Where they meet, a `ws:` or `wss:` address. */
  readonly relay: string;
}

/** The code as text. */
export function linkText(code: LinkCode): string {
  return SCHEME + base64Url(linkBytes(code));
}

/** What the text stands for: version, who shows it, seconds, seed, key, address. Both sides hash these bytes. */
export function linkBytes(code: LinkCode): Bytes {
  const head = new Uint8Array(6);
  head[0] = VERSION;
  head[1] = SHOWN_BY.indexOf(code.shownBy);
  new DataView(head.buffer).setUint32(2, Math.floor(code.createdAtMs / 1_000));
  const key = code.key.subarray(1);
  return concatBytes(head, code.seed, key, new TextEncoder().encode(code.relay));
}

/** Whether a text begins as a code that links a device does. It must not be taken for an invite (ATK-G02). */
export function isLinkText(text: string): boolean {
  return text.trim().toLowerCase().startsWith(SCHEME);
}

/**
 * Read a code. Surrounding blanks are what copying adds.
 *
 * @throws LinkError `LINK_INVALID`, also for an invite; `LINK_DIRECTION` when the wrong side shows it.
 */
export function parseLinkText(text: string, expected: ShownBy): LinkCode {
  const trimmed = text.trim();
  if (trimmed.startsWith('qasid-invite:')) {
    throw new LinkError('LINK_INVALID', 'this is an invite: register with it, it links no device');
  }
  const bytes = trimmed.startsWith(SCHEME)
    ? fromBase64Url(trimmed.slice(SCHEME.length))
    : undefined;
  const shownBy = bytes && SHOWN_BY[bytes[1] ?? 255];
  const relayAt = 6 + SEED_BYTES + 32;
  const isSized = bytes && bytes.length > relayAt && bytes.length <= relayAt + RELAY_BYTES_MAX;
  if (!bytes || !isSized || bytes[0] !== VERSION || shownBy === undefined) {
    throw new LinkError('LINK_INVALID', `a code that links a device begins with ${SCHEME}`);
  }
  if (shownBy !== expected) {
    const who = shownBy === 'account' ? 'a device of an account' : 'a new device';
    throw new LinkError('LINK_DIRECTION', `${who} shows this code: scan it with the other one`);
  }
  return {
    shownBy,
    createdAtMs: new DataView(bytes.buffer).getUint32(2) * 1_000,
    seed: copyBytes(bytes.subarray(6, 6 + SEED_BYTES)),
    key: toPublicKey(concatBytes(KEY_TYPE, bytes.subarray(6 + SEED_BYTES, relayAt))),
    relay: relayOf(bytes.subarray(relayAt)),
  };
}

function relayOf(bytes: Uint8Array): string {
  try {
    const relay = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const { protocol, username, password } = new URL(relay);
    if (/^wss?:$/.test(protocol) && username === '' && password === '') return relay;
  } catch {
    // Said below.
  }
  throw new LinkError('LINK_INVALID', 'the code names no relay');
}

function base64Url(bytes: Uint8Array): string {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

function fromBase64Url(text: string): Bytes | undefined {
  if (!/^[\w-]+$/.test(text)) return undefined;
  try {
    const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
    const bytes = Uint8Array.from(binary, (char) => char.charCodeAt(0));
    // One code has one text.
    return base64Url(bytes) === text ? bytes : undefined;
  } catch {
    return undefined;
  }
}

const SCHEME = 'qasid-link:';
const VERSION = 1;
const SHOWN_BY: readonly ShownBy[] = ['account', 'new-device'];
/** Type byte of a curve key. */
const KEY_TYPE = new Uint8Array([0x05]);
