/**
 * 20 Linking §5. What this device knows of the account's devices beside the signed list: names, and when they
 * were last heard of. From the devices themselves; the relay knows none of it.
 */
import { ProtoWriter, type Bytes } from '@qasid/protocol';

import { Fields } from '../content/fields.js';
import { TIME_MAX_MS } from '../content/limits.js';
import type { Batch } from './batch.js';

/** What is known of one device. */
export interface DeviceFacts {
  readonly name: string;
  readonly platform: string;
  /** Milliseconds since 1970. */
  readonly addedAtMs: number;
  /** When it was named: the later name counts. */
  readonly atMs: number;
  /** Day of its last message, days since 1970. */
  readonly seenDay?: number | undefined;
}

/** Kind of these records. */
export const DEVICE_SPACE = 'device';

const DAY_MS = 86_400_000;

export function encodeDeviceFacts(facts: DeviceFacts): Bytes {
  const writer = new ProtoWriter(192)
    .text(1, facts.name)
    .text(2, facts.platform)
    .uint64(3, facts.addedAtMs)
    .uint64(4, facts.atMs);
  if (facts.seenDay !== undefined) writer.uint64(5, facts.seenDay);
  return writer.finish();
}

/** @throws DecodeError */
export function decodeDeviceFacts(encoded: Uint8Array): DeviceFacts {
  const types = { 1: 'bytes', 2: 'bytes', 3: 'number', 4: 'number', 5: 'number' } as const;
  const fields = new Fields(encoded, types);
  return {
    name: fields.text(1, 64),
    platform: fields.text(2, 64),
    addedAtMs: fields.number(3, TIME_MAX_MS),
    atMs: fields.number(4, TIME_MAX_MS),
    seenDay: fields.optionalNumber(5, TIME_MAX_MS),
  };
}

/** What is known of a device; names are empty until it says one. */
export async function deviceFacts(batch: Batch, device: number): Promise<DeviceFacts> {
  const value = await batch.record(DEVICE_SPACE, `${device}`);
  if (value === undefined) return { name: '', platform: '', addedAtMs: 0, atMs: 0 };
  return decodeDeviceFacts(value);
}

/** Take a name over if it was given later. */
export async function setDeviceFacts(
  batch: Batch,
  device: number,
  facts: Omit<DeviceFacts, 'seenDay'>,
): Promise<void> {
  const before = await deviceFacts(batch, device);
  if (facts.atMs < before.atMs) return;
  const value = encodeDeviceFacts({ ...facts, seenDay: before.seenDay });
  await batch.setRecord(DEVICE_SPACE, `${device}`, value);
}

/** A device of ours wrote something. Noted once a day. */
export async function noteSeen(batch: Batch, device: number, nowMs: number): Promise<void> {
  const before = await deviceFacts(batch, device);
  const seenDay = Math.floor(nowMs / DAY_MS);
  if (before.seenDay !== undefined && before.seenDay >= seenDay) return;
  await batch.setRecord(DEVICE_SPACE, `${device}`, encodeDeviceFacts({ ...before, seenDay }));
}
