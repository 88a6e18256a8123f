/**
 * 19 Groups §6. Our sender key in a group: when there must be another one, and who has to get it.
 */
import type { Contact } from '../stores/port.js';
import { SENDER_KEY_AGE_MAX_MS, SENDER_KEY_MESSAGES_MAX } from './limits.js';
import type { Holders, OutgoingKey } from './stored.js';

/** A device that gets messages, as holders are named. */
export function holderName(account: string, device: number, registrationId: number): string {
  return `${account}/${device}/${registrationId}`;
}

/** Devices that get messages: those of members but this one. An account whose key is in doubt has none. */
export function recipientsOf(
  contacts: readonly Contact[],
  self: { readonly account: string; readonly device: number },
): ReadonlyMap<string, Contact> {
  const names = new Map<string, Contact>();
  for (const contact of contacts) {
    if (contact.offeredIdentity !== undefined) continue;
    for (const { device, registrationId } of contact.devices) {
      if (contact.account === self.account && device === self.device) continue;
      names.set(holderName(contact.account, device, registrationId), contact);
    }
  }
  return names;
}

/**
 * Whether the key may not be used again: a device that has it should not read on, it served long enough, or our
 * own devices changed. ATK-E04, ATK-E09.
 */
export function mustRotate(
  key: OutgoingKey,
  holders: Holders,
  now: {
    readonly recipients: ReadonlyMap<string, unknown>;
    readonly epoch: number;
    readonly ownDevices: number;
    readonly nowMs: number;
  },
): boolean {
  if (key.epoch !== now.epoch || key.ownDevices !== now.ownDevices) return true;
  if (key.count >= SENDER_KEY_MESSAGES_MAX) return true;
  // A clock that was set back must not keep a key alive.
  const ageMs = now.nowMs - key.createdAtMs;
  if (ageMs >= SENDER_KEY_AGE_MAX_MS || ageMs < 0) return true;
  return [...holders.devices.keys()].some((name) => !now.recipients.has(name));
}
