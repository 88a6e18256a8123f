/**
 * 20 Linking §5. What goes to the other devices of our own account.
 */
import { toHex, UsageError, utf8, type Bytes, type CryptoProvider } from '@qasid/protocol';

import { CONTENT_ID_BYTES, encodeContent, type SyncBody } from '../content/index.js';
import type { OutboxRow, Profile } from '../stores/port.js';
import { idBytes } from '../timeline/ids.js';
import { DEVICE_NAME_BYTES } from './limits.js';

/** A sync about the account itself, encoded. */
export function accountSync(
  crypto: CryptoProvider,
  account: string,
  nowMs: number,
  action: SyncBody['action'],
): Bytes {
  return encodeContent({
    id: crypto.randomBytes(CONTENT_ID_BYTES),
    sentAtMs: nowMs,
    body: { kind: 'sync', conversation: idBytes(account), action },
  });
}

/** What a device is called, for the others. */
export function deviceSync(
  crypto: CryptoProvider,
  account: string,
  facts: {
    readonly device: number;
    readonly name: string;
    readonly platform: string;
    readonly addedAtMs: number;
    readonly atMs: number;
    readonly transfer?: Bytes;
  },
): Bytes {
  const { device, name, platform, addedAtMs, atMs, transfer } = facts;
  const action = { kind: 'device', device, name, platform, addedAtMs, transfer } as const;
  return accountSync(crypto, account, atMs, action);
}

/** A row for our own devices. `name` tells rows of one purpose apart from others. */
export function ownSync(
  profile: Pick<Profile, 'account' | 'username'>,
  content: Bytes,
  name = '',
): Omit<OutboxRow, 'id'> {
  const { account, username } = profile;
  return {
    kind: 'sync',
    messageId: name,
    account,
    username,
    content,
    parts: undefined,
    held: false,
    copied: true,
  };
}

/** A name that other devices will take. @throws UsageError `USAGE_ARGUMENT` when it is too long. */
export function checkedDeviceName(text: string): string {
  if (utf8(text).length <= DEVICE_NAME_BYTES) return text;
  throw new UsageError('USAGE_ARGUMENT', `a device name has at most ${DEVICE_NAME_BYTES} bytes`);
}

/** The name of a transfer's rows. */
export function transferName(id: Bytes): string {
  return toHex(id);
}
