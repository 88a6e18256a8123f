/**
 * 11 Wire. The addresses field: which account and device a message is from and for, under its MAC.
 */
import { concatBytes, type Bytes } from '../bytes.js';
import { serviceIdBytes } from '../service-id.js';
import type { Address } from '../types.js';

export { serviceIdBytes };

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
