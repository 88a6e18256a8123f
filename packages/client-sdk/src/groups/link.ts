/**
 * 19 Groups §7. Links to groups as text.
 */
import { concatBytes, utf8, type Bytes, type CryptoProvider } from '@qasid/protocol';
import { accountText, parseAccountText, toAccountId } from '@qasid/protocol/envelope';

import { GroupError } from '../errors.js';
import { GROUP_ID_BYTES } from './limits.js';
import { GROUP_TOKEN_BYTES } from './signals.js';

const SCHEME = 'qasid-group:1:';

/** Context of a token's hash. */
const LABEL_TOKEN: Bytes = utf8('qasid/group-link/1');

/** What a link says. It opens nothing: its maker is asked. ATK-E11. */
export interface GroupLinkParts {
  readonly groupId: Bytes;
  /** Account that answers. */
  readonly maker: string;
  readonly token: Bytes;
}

/** What stands in the group's state of a token. */
export function tokenHash(crypto: CryptoProvider, token: Uint8Array): Bytes {
  return crypto.sha256(LABEL_TOKEN, token);
}

/** A link as people pass it on. */
export function formatLink({ groupId, maker, token }: GroupLinkParts): string {
  const bytes = concatBytes(groupId, parseAccountText(maker), token);
  const base64 = btoa(String.fromCharCode(...bytes));
  return SCHEME + base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/** @throws GroupError `GROUP_LINK_INVALID` */
export function parseLink(link: string): GroupLinkParts {
  const bytes = decodeBase64(link);
  if (bytes?.length !== GROUP_ID_BYTES + 16 + GROUP_TOKEN_BYTES) {
    throw new GroupError('GROUP_LINK_INVALID', 'not a link to a group: ask for it again');
  }
  return {
    groupId: bytes.slice(0, GROUP_ID_BYTES),
    maker: accountText(toAccountId(bytes.slice(GROUP_ID_BYTES, GROUP_ID_BYTES + 16))),
    token: bytes.slice(GROUP_ID_BYTES + 16),
  };
}

function decodeBase64(link: unknown): Bytes | undefined {
  if (typeof link !== 'string' || !link.startsWith(SCHEME)) return undefined;
  try {
    const base64 = link.slice(SCHEME.length).replaceAll('-', '+').replaceAll('_', '/');
    return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  } catch {
    return undefined;
  }
}
