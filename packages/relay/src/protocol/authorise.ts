/**
 * 13 Relay §2. Who may read a mailbox: the device that signs this socket's challenge.
 *
 * Pure checks; looking up the account and spending the nonce is the caller's.
 */
import {
  type AccountId,
  authSigningInput,
  type AuthRequest,
  DecodeError,
  type DeleteAccountRequest,
  type DeviceList,
  isAccountDeletion,
  isLinkGrant,
  type LinkRequest,
  linkSigningInput,
  type RegisterRequest,
  type RelayId,
  RELAY_PROTOCOL_VERSION,
  registerSigningInput,
  type SignedDeviceList,
  VerificationError,
  verifyDeviceList,
} from '@qasid/protocol/envelope';

/** The verifying functions these rules need. */
export interface Verifier {
  sha256(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer>;
  ed25519Verify(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  xeddsaVerify(key: Uint8Array, signature: Uint8Array, ...parts: readonly Uint8Array[]): boolean;
}

/** A challenge as the socket received it. */
export interface IssuedChallenge {
  readonly relayId: RelayId;
  readonly nonce: Uint8Array;
}

/** Whether the relay speaks the version a client chose. */
export function speaksVersion(version: number): boolean {
  return version === RELAY_PROTOCOL_VERSION;
}

/**
 * Whether `request` answers `challenge` with the key of the device it names.
 *
 * @param authKey - 32 bytes; for a device nobody knows, any key, so that the work is the same.
 */
export function isAuthentic(
  verifier: Verifier,
  challenge: IssuedChallenge,
  request: AuthRequest,
  authKey: Uint8Array,
): boolean {
  const { account, device } = request;
  const input = authSigningInput({ ...challenge, account, device });
  return verifier.ed25519Verify(authKey, input, request.signature);
}

/**
 * The device list of a registration that proves itself: signed by the identity key it brings, naming the
 * device that answers the challenge, version 1. `undefined` when any of that does not hold.
 */
export function checkRegistration(
  verifier: Verifier,
  challenge: IssuedChallenge,
  request: RegisterRequest,
): DeviceList | undefined {
  const { account, device, identityKey, devices } = request;
  const list = checkDeviceList(verifier, devices, { account, identityKey, versionMin: 1 });
  // The first list has one device: a second one is added by a list that the first device publishes.
  if (list?.version !== 1 || list.devices.length !== 1) return undefined;
  const entry = list.devices[0];
  if (entry?.device !== device) return undefined;
  const input = registerSigningInput(verifier, { ...challenge, account, device, devices });
  return verifier.ed25519Verify(entry.authKey, input, request.signature) ? list : undefined;
}

/** How far ahead a link grant may reach, in seconds. Lower: slow people fail. Higher: old QR codes work. */
export const LINK_GRANT_MAX_SECONDS = 300;

/**
 * The device list of a device that joins: signed and granted by the account's identity key, and proven by the
 * joining device with its own. `undefined` when any of that does not hold, or the grant's time is over.
 */
export function checkLink(
  verifier: Verifier,
  challenge: IssuedChallenge,
  request: LinkRequest,
  expected: { readonly identityKey: Uint8Array; readonly nowSeconds: number },
): DeviceList | undefined {
  const { account, device, devices, grant } = request;
  const identityKey = expected.identityKey as Parameters<typeof isLinkGrant>[1];
  const leftSeconds = grant.expiresAtSeconds - expected.nowSeconds;
  if (leftSeconds < 0 || leftSeconds > LINK_GRANT_MAX_SECONDS) return undefined;
  const list = checkDeviceList(verifier, devices, { account, identityKey, versionMin: 2 });
  const entry = list?.devices.find((candidate) => candidate.device === device);
  if (list === undefined || entry === undefined) return undefined;
  if (!isLinkGrant(verifier, identityKey, devices, grant)) return undefined;
  const input = linkSigningInput(verifier, { ...challenge, account, device, devices });
  return verifier.ed25519Verify(entry.authKey, input, request.signature) ? list : undefined;
}

/** Whether `request` answers `challenge` with the identity key of the account it wants deleted. */
export function isDeletion(
  verifier: Verifier,
  challenge: IssuedChallenge,
  request: DeleteAccountRequest,
  identityKey: Uint8Array,
): boolean {
  const { account, device, signature } = request;
  const key = identityKey as Parameters<typeof isAccountDeletion>[1];
  return isAccountDeletion(verifier, key, { ...challenge, account, device }, signature);
}

/** The list, or `undefined` when its signature, account, version or encoding does not hold. */
export function checkDeviceList(
  verifier: Verifier,
  signed: SignedDeviceList,
  expected: {
    readonly account: AccountId;
    readonly identityKey: Uint8Array;
    readonly versionMin: number;
  },
): DeviceList | undefined {
  const identityKey = expected.identityKey as Parameters<typeof verifyDeviceList>[2]['identityKey'];
  try {
    return verifyDeviceList(verifier, signed, { ...expected, identityKey });
  } catch (error) {
    if (error instanceof VerificationError || error instanceof DecodeError) return undefined;
    throw error;
  }
}
