/** Façade. The part of the `usernames` module that needs no zero-knowledge proofs. */
import { provider as crypto } from '#provider';
import type { Bytes } from '../bytes.js';
import { openUsernameLink, sealUsernameLink, usernameHash } from '../usernames.js';
import { translate } from './errors.js';

/** A link's entropy and what it encrypts. */
export interface UsernameLink {
  entropy: Bytes;
  encryptedUsername: Bytes;
}

/** 32 bytes under which a username is looked up. */
export function hash(username: string): Bytes {
  return translate('Username_Hash', () => usernameHash(crypto, username));
}

/** Encrypt a username for a link, with fresh entropy or that of an earlier link. */
export function createUsernameLink(username: string, previousEntropy?: Uint8Array): UsernameLink {
  const entropy = previousEntropy?.slice() ?? crypto.randomBytes(32);
  return translate('UsernameLink_Create', () => ({
    entropy,
    encryptedUsername: sealUsernameLink(crypto, username, entropy),
  }));
}

/** The username of a link. */
export function decryptUsernameLink(link: UsernameLink): string {
  return translate('UsernameLink_DecryptUsername', () =>
    openUsernameLink(crypto, link.encryptedUsername, link.entropy),
  );
}
