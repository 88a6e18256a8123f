/**
 * 20 Linking §5, §6. What another device of the account says about devices, taken into the store.
 */
import { equalBytes } from '@qasid/protocol';

import type { DeviceAction } from '../content/device-actions.js';
import {
  ARRIVAL,
  decodeArrival,
  decodeDeparture,
  encodeDeparture,
} from '../linking/transfer-state.js';
import { SPACE, type Batch } from './batch.js';
import { setDeviceFacts } from './device-facts.js';
import type { Happening, Surroundings } from './types.js';

/** Transfers to new devices, by device. */
export const DEPARTURE_SPACE = 'transfer-out';
/** Parts that came and were not taken yet, by number. */
export const PART_SPACE = 'transfer-part';

/** Parts that may wait here: what an honest sender keeps under way, twice. */
const PARTS_AHEAD_MAX = 16;

/** The record of a part. */
export function partKey(number: number): string {
  return `${number}`.padStart(10, '0');
}

/**
 * Take one of these actions.
 *
 * @param from - The device that says it.
 */
export async function applyDeviceAction(
  batch: Batch,
  action: DeviceAction,
  from: number,
  sentAtMs: number,
  around: Surroundings,
): Promise<readonly Happening[]> {
  switch (action.kind) {
    case 'device': {
      const { device, name, platform, addedAtMs, transfer } = action;
      await setDeviceFacts(batch, device, { name, platform, addedAtMs, atMs: sentAtMs });
      if (transfer === undefined || device !== from) return [];
      const value = await batch.record(DEPARTURE_SPACE, `${device}`);
      const state = value && decodeDeparture(value);
      if (state !== undefined && equalBytes(state.id, transfer)) {
        await batch.setRecord(
          DEPARTURE_SPACE,
          `${device}`,
          encodeDeparture({ ...state, ready: true }),
        );
      }
      return [{ kind: 'transfer' }];
    }
    case 'part': {
      const value = await batch.record(SPACE.meta, ARRIVAL);
      const arrival = value && decodeArrival(value);
      if (arrival === undefined || arrival.done || from === around.self.device) return [];
      const { number, transfer, data } = action;
      const isNext = number >= arrival.next && number < arrival.next + PARTS_AHEAD_MAX;
      if (!isNext || !equalBytes(arrival.id, transfer)) return [];
      await batch.setRecord(PART_SPACE, partKey(number), data);
      return [{ kind: 'transfer' }];
    }
    case 'arrived': {
      const value = await batch.record(DEPARTURE_SPACE, `${from}`);
      const state = value && decodeDeparture(value);
      if (state === undefined || !equalBytes(state.id, action.transfer)) return [];
      const arrived = Math.min(Math.max(state.arrived, action.next), state.next);
      await batch.setRecord(DEPARTURE_SPACE, `${from}`, encodeDeparture({ ...state, arrived }));
      return [{ kind: 'transfer' }];
    }
  }
}
