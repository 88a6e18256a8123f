/**
 * 13 Relay §3. Does a send name exactly the devices the account has now?
 */

/** A device as the relay knows it. */
export interface KnownDevice {
  readonly device: number;
  readonly registrationId: number;
}

/** What is wrong with the devices of a send; `undefined` when nothing is. */
export type AddressingFault =
  | { readonly kind: 'mismatch'; readonly missing: number[]; readonly extra: number[] }
  | { readonly kind: 'stale'; readonly devices: number[] };

/**
 * Compare the devices a send names with those of the account.
 *
 * @param exclude - The sending device in a send to its own account; it must not be named.
 */
export function checkAddressing(
  known: readonly KnownDevice[],
  named: readonly KnownDevice[],
  exclude: number | undefined,
): AddressingFault | undefined {
  if (isExact(known, named, exclude)) return undefined;
  const missing: number[] = [];
  const stale: number[] = [];
  for (const { device, registrationId } of known) {
    if (device === exclude) continue;
    const part = named.find((candidate) => candidate.device === device);
    if (part === undefined) missing.push(device);
    else if (part.registrationId !== registrationId) stale.push(device);
  }
  const extra: number[] = [];
  for (const [index, { device }] of named.entries()) {
    const isKnown = device !== exclude && known.some((candidate) => candidate.device === device);
    // A device that is named twice is extra the second time: one send is one envelope per device.
    const isRepeat = named.findIndex((candidate) => candidate.device === device) !== index;
    if (!isKnown || isRepeat) extra.push(device);
  }
  if (missing.length > 0 || extra.length > 0) return { kind: 'mismatch', missing, extra };
  return stale.length > 0 ? { kind: 'stale', devices: stale } : undefined;
}

/** Nearly every time: the same devices in the same order. */
function isExact(
  known: readonly KnownDevice[],
  named: readonly KnownDevice[],
  exclude: number | undefined,
): boolean {
  if (exclude !== undefined || known.length !== named.length) return false;
  for (let at = 0; at < known.length; at++) {
    const is = known[at];
    const wanted = named[at];
    if (is?.device !== wanted?.device || is?.registrationId !== wanted?.registrationId)
      return false;
  }
  return true;
}
