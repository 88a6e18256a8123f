/**
 * 11 Wire. The addresses field: which account and device a message is from and for, under its MAC.
 */
import { concatBytes, fromHex, type Bytes } from '../bytes.js';
import type { Address } from '../types.js';

const UUID = /^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$/;
const ALTERNATE_PREFIX = 'PNI:';
const KIND_ACCOUNT = 0x00;
const KIND_ALTERNATE = 0x01;

/**
 * Kind and UUID of a service id text, 17 bytes; `undefined` for any other name. Hyphenated form, hex
 * digits of either case, optionally after exactly `PNI:`.
 *
 * Source: 11 §5. Vectors: misc/service-ids.json.
 */
export function serviceIdBytes(name: string): Bytes | undefined {
  const alternate = name.startsWith(ALTERNATE_PREFIX);
  const text = alternate ? name.slice(ALTERNATE_PREFIX.length) : name;
  if (!UUID.test(text)) return undefined;
  const uuid = fromHex(text.replaceAll('-', ''));
  if (uuid === undefined) return undefined;
  return concatBytes(new Uint8Array([alternate ? KIND_ALTERNATE : KIND_ACCOUNT]), uuid);
}

/**
 * The addresses field for a message, 36 bytes; `undefined` when either name is not a service id.
 *
 * Source: 11 §5.
 */
export function addressesField(sender: Address, recipient: Address): Bytes | undefined {
  const from = serviceIdBytes(sender.name);
  const to = serviceIdBytes(recipient.name);
  if (from === undefined || to === undefined) return undefined;
  return concatBytes(
    from,
    new Uint8Array([sender.deviceId]),
    to,
    new Uint8Array([recipient.deviceId]),
  );
}
