/**
 * 13 Relay §2. What every store decides alike about accounts: pure, over what the store has read.
 */
import { createHash } from 'node:crypto';
import { copyBytes, type Bytes, type DeviceEntry, samePublicBytes } from '@qasid/protocol/envelope';
import {
  type AccountRow,
  type DeviceRow,
  isNextVersion,
  type MailboxQuota,
  type PutDevicesWrite,
  type RegisterWrite,
} from './port.js';

/** What a new device list does to the devices an account has. */
export type DeviceChange =
  /** The list is in force already. */
  | { readonly kind: 'same' }
  | { readonly kind: 'conflict' }
  | {
      readonly kind: 'change';
      readonly kept: readonly DeviceRow[];
      /** Left the list, or were installed again. */
      readonly removed: readonly DeviceRow[];
      readonly added: readonly DeviceEntry[];
    };

/** Compare a new list with the one in force. It must be the next version and name that one by its hash. */
export function judgeDeviceChange(known: AccountRow, write: PutDevicesWrite): DeviceChange {
  if (known.version === write.version && samePublicBytes(known.signed.list, write.signed.list)) {
    return { kind: 'same' };
  }
  if (!isNextVersion(known.version, write)) return { kind: 'conflict' };
  const { previous } = write;
  const hash = sha256(known.signed.list);
  const isLinked = previous !== undefined && samePublicBytes(previous, hash);
  // After a restore the lists between are lost, and there is nothing to compare with.
  if (!isLinked && write.version === known.version + 1) return { kind: 'conflict' };
  const isKept = (row: DeviceEntry, entry: DeviceEntry): boolean =>
    entry.device === row.device &&
    entry.registrationId === row.registrationId &&
    samePublicBytes(entry.authKey, row.authKey);
  const kept = known.devices.filter((row) => write.entries.some((entry) => isKept(row, entry)));
  const removed = known.devices.filter((row) => !kept.includes(row));
  const added = write.entries.filter((entry) => !kept.some((row) => isKept(row, entry)));
  return { kind: 'change', kept, removed, added };
}

/** The device of a registration that was done before and is asked for again: the answer was lost. */
export function repeatedRegistration(
  known: AccountRow,
  write: RegisterWrite,
): DeviceRow | undefined {
  const isSame =
    known.version === write.version &&
    known.username === write.username &&
    samePublicBytes(known.identityKey, write.identityKey) &&
    samePublicBytes(known.signed.list, write.signed.list);
  return isSame ? known.devices.find(({ device }) => device === write.entry.device) : undefined;
}

/**
 * Whether a device has not proven itself for so long that nothing is stored for it. A device that never did is
 * one that has just been listed.
 */
export function isIdle(
  { seenDay }: DeviceRow,
  minute: number,
  { idleDays = Number.POSITIVE_INFINITY }: MailboxQuota,
): boolean {
  return seenDay > 0 && Math.floor(minute / MINUTES_A_DAY) - seenDay > idleDays;
}

/** What one mailbox of this account may hold. */
export function quotaOf(account: AccountRow, quota: MailboxQuota): MailboxQuota {
  const { mailboxBytesMax } = account;
  return mailboxBytesMax === undefined ? quota : { ...quota, bytesMax: mailboxBytesMax };
}

const MINUTES_A_DAY = 24 * 60;

/** How a name that was given up is remembered: SHA-256, 32 bytes. */
export function usernameHash(username: string): Bytes {
  return sha256(`qasid/username/1 ${username}`);
}

function sha256(data: Uint8Array | string): Bytes {
  return copyBytes(createHash('sha256').update(data).digest());
}
