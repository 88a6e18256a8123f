/**
 * 15 Content §8, 20 Linking §5, §6. What devices of one account tell each other about devices.
 */
import { ProtoWriter, type Bytes } from '@qasid/protocol';

import { Fields, refuse } from './fields.js';
import { TIME_MAX_MS } from './limits.js';
import type { SyncBody } from './types.js';

/** The actions of this file. */
export type DeviceAction = Extract<
  SyncBody['action'],
  { readonly kind: 'device' | 'part' | 'arrived' }
>;

/** Their fields in a sync. */
export const DEVICE_ACTIONS: Readonly<Record<DeviceAction['kind'], number>> = {
  device: 7,
  part: 8,
  arrived: 9,
};

/** Longest name or platform of a device, in bytes of UTF-8. */
const NAME_BYTES = 64;

/** Largest part: what fits the largest envelope, also in a first message. */
const PART_BYTES_MAX = 61_000;

/** Bytes of an action, without its field. */
export function encodeDeviceAction(action: DeviceAction): Bytes {
  switch (action.kind) {
    case 'device': {
      const writer = new ProtoWriter(192)
        .uint32(1, action.device)
        .text(2, action.name)
        .text(3, action.platform)
        .uint64(4, action.addedAtMs);
      if (action.transfer !== undefined) writer.bytes(5, action.transfer);
      return writer.finish();
    }
    case 'part':
      return new ProtoWriter(action.data.length + 64)
        .bytes(1, action.transfer)
        .uint32(2, action.number)
        .bytes(3, action.data)
        .finish();
    case 'arrived':
      return new ProtoWriter(32).bytes(1, action.transfer).uint32(2, action.next).finish();
  }
}

/** The action in a sync, if it is one of these. @throws DecodeError `DECODE_CONTENT` */
export function decodeDeviceAction(sync: Fields): DeviceAction | undefined {
  const device = sync.view(DEVICE_ACTIONS.device);
  if (device) {
    const types = { 1: 'number', 2: 'bytes', 3: 'bytes', 4: 'number', 5: 'bytes' } as const;
    const fields = new Fields(device, types);
    return {
      kind: 'device',
      device: deviceOf(fields, 1),
      name: fields.text(2, NAME_BYTES),
      platform: fields.text(3, NAME_BYTES),
      addedAtMs: fields.number(4, TIME_MAX_MS),
      transfer: fields.optionalBytes(5, 16),
    };
  }
  const part = sync.view(DEVICE_ACTIONS.part);
  if (part) {
    const fields = new Fields(part, { 1: 'bytes', 2: 'number', 3: 'bytes' });
    return {
      kind: 'part',
      transfer: fields.bytes(1, 16),
      number: fields.number(2, 0xffff_ffff),
      data: fields.bytes(3, 1, PART_BYTES_MAX),
    };
  }
  const arrived = sync.view(DEVICE_ACTIONS.arrived);
  if (arrived === undefined) return undefined;
  const fields = new Fields(arrived, { 1: 'bytes', 2: 'number' });
  return { kind: 'arrived', transfer: fields.bytes(1, 16), next: fields.number(2, 0xffff_ffff) };
}

function deviceOf(fields: Fields, field: number): number {
  const device = fields.number(field, 127);
  return device === 0 ? refuse('device 0') : device;
}
