/**
 * 20 Linking §7. What is known of the last change of an account's devices: told once, and kept with the contact.
 */
import { ProtoWriter, samePublicBytes } from '@qasid/protocol';

import { Fields } from '../content/fields.js';
import { TIME_MAX_MS } from '../content/limits.js';
import type { ClientStore, Contact, ListedDevice, RecordChange } from '../stores/port.js';

/** The devices of an account are others than before. */
export interface DevicesChange {
  /** This device's clock, milliseconds since 1970. */
  readonly atMs: number;
  /** Devices that are new, or were set up anew. */
  readonly added: readonly number[];
  readonly removed: readonly number[];
}

/** Kind of these records; by account. */
const DEVICE_CHANGE_SPACE = 'device-change';

/** Which devices came and went. A device with other keys under its number did both. */
export function deviceDifference(
  before: readonly ListedDevice[],
  after: readonly ListedDevice[],
): Pick<DevicesChange, 'added' | 'removed'> {
  return { added: missingFrom(before, after), removed: missingFrom(after, before) };
}

function missingFrom(
  list: readonly ListedDevice[],
  others: readonly ListedDevice[],
): readonly number[] {
  return others
    .filter(
      (other) =>
        !list.some(
          (one) => one.device === other.device && samePublicBytes(one.authKey, other.authKey),
        ),
    )
    .map(({ device }) => device);
}

/** The record of a change that was just seen. */
export async function deviceChangeRecord(
  store: ClientStore,
  after: Contact,
  before: Contact,
  nowMs: number,
): Promise<RecordChange> {
  const space = DEVICE_CHANGE_SPACE;
  const key = after.account;
  const row = await store.loadRecord(space, key);
  const { added, removed } = deviceDifference(before.devices, after.devices);
  const writer = new ProtoWriter(64).uint64(1, nowMs);
  for (const device of added) writer.uint32(2, device);
  for (const device of removed) writer.uint32(3, device);
  return { space, key, value: writer.finish(), expectedVersion: row?.version ?? 0 };
}

/** The last change of an account's devices that this device saw. */
export async function lastDeviceChange(
  store: Pick<ClientStore, 'loadRecord'>,
  account: string,
): Promise<DevicesChange | undefined> {
  const row = await store.loadRecord(DEVICE_CHANGE_SPACE, account);
  if (row === undefined) return undefined;
  const types = { 1: 'number', 2: 'number', 3: 'number' } as const;
  const fields = new Fields(row.value, types, { 2: 127, 3: 127 });
  return {
    atMs: fields.number(1, TIME_MAX_MS),
    added: fields.numbers(2, 127),
    removed: fields.numbers(3, 127),
  };
}
