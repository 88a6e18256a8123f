/**
 * 08 Session. The addresses field: which account and device a message is from and for, under its MAC.
 */
import { concatBytes, type Bytes } from './bytes.js';
import { serviceIdBytes } from './service-id.js';
import type { Address } from './types.js';

/**
 * The addresses field for a message, 36 bytes: fixed-width service id and device id of the sender, then of
 * the recipient. `undefined` when either name is not a service id.
 *
 * Source: 11 §5. Vectors: misc/service-ids.json, sessions/errors.json.
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
