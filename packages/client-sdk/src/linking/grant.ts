/**
 * 20 Linking §4, 12 Envelope §2. The next device list of our own account: who joins, who leaves.
 */
import { InternalError, samePublicBytes, wipe } from '@qasid/protocol';
import {
  decodeSignedDeviceList,
  deviceListHash,
  encodeSignedDeviceList,
  parseAccountText,
  signDeviceList,
  signLinkGrant,
  type SignedDeviceList,
} from '@qasid/protocol/envelope';

import { sleep } from '../clock.js';
import type { Engine, Platform } from '../engine.js';
import { AccountError, LinkError, NetworkError } from '../errors.js';
import type { Contact, ListedDevice, Profile } from '../stores/port.js';
import { JOIN_MAX_MS } from './limits.js';
import type { JoinGrant } from './messages.js';

/** What changing the list needs. */
export interface ListDeps {
  readonly platform: Platform;
  readonly profile: Profile;
  readonly engine: Engine;
}

/** A list that was signed, and the contact that our account is with it. */
export interface NextList {
  readonly signed: SignedDeviceList;
  readonly contact: Contact;
}

/** Sign the list after `self`'s with these devices. Nothing is stored or sent. */
export function nextList(
  { platform: { crypto }, profile }: Pick<ListDeps, 'platform' | 'profile'>,
  self: Contact,
  devices: readonly ListedDevice[],
): NextList {
  if (self.signedDeviceList === undefined) {
    throw new InternalError('INTERNAL_INVARIANT', 'own device list is missing');
  }
  const version = self.deviceListVersion + 1;
  const random = crypto.randomBytes(64);
  const signed = signDeviceList(crypto, profile.identity.secret, random, {
    account: parseAccountText(profile.account),
    version,
    previous: deviceListHash(crypto, decodeSignedDeviceList(self.signedDeviceList)),
    devices,
  });
  wipe(random);
  const signedDeviceList = encodeSignedDeviceList(signed);
  return { signed, contact: { ...self, signedDeviceList, deviceListVersion: version, devices } };
}

/**
 * Have the relay take a list over. Nothing is stored here.
 *
 * @returns `conflict` when another change was quicker.
 * @throws NetworkError
 */
export async function proposeList(
  { engine }: ListDeps,
  next: NextList,
): Promise<'done' | 'conflict'> {
  const answer = await engine.link.requestPatiently({ kind: 'putDevices', devices: next.signed });
  if (answer.code === 'CONFIRMED') return 'done';
  if (answer.code === 'VERSION_CONFLICT') return 'conflict';
  throw new NetworkError('NET_REFUSED', `relay answers ${answer.code} to the device list`);
}

/** A number for one more device: never one that was used before, as far as this list tells. */
export function freeDevice(devices: readonly ListedDevice[]): number {
  const highest = Math.max(0, ...devices.map(({ device }) => device));
  if (highest < 127) return highest + 1;
  for (let device = 1; device < 127; device++) {
    if (!devices.some((listed) => listed.device === device)) return device;
  }
  throw new LinkError('LINK_TOO_MANY', 'the account has as many devices as there can be');
}

/**
 * The permission for one device to join.
 *
 * @param relayTimeMs - The relay's clock: it decides when the permission is over.
 * @throws NetworkError; VerificationError `VERIFY_DEVICE_LIST`.
 */
export async function grantJoin(
  deps: ListDeps,
  entry: Omit<ListedDevice, 'device'>,
  relayTimeMs: number,
): Promise<JoinGrant> {
  const { platform, profile, engine } = deps;
  const { crypto } = platform;
  const self = await engine.directory.refresh(profile.account);
  const device = freeDevice(self.devices);
  const devices = [...self.devices, { device, ...entry }].sort((a, b) => a.device - b.device);
  const { signed, contact } = nextList(deps, self, devices);
  const expiresAtSeconds = Math.floor((relayTimeMs + JOIN_MAX_MS) / 1_000);
  const random = crypto.randomBytes(64);
  const { secret } = profile.identity;
  const { signature } = signLinkGrant(crypto, secret, random, signed, expiresAtSeconds);
  wipe(random);
  if (contact.signedDeviceList === undefined) throw new AccountError('ACCOUNT_UNKNOWN', 'no list');
  return {
    account: profile.account,
    username: profile.username,
    device,
    identity: profile.identity,
    signedDeviceList: contact.signedDeviceList,
    expiresAtSeconds,
    permission: signature,
    transferId: crypto.randomBytes(16),
    transferKey: crypto.randomBytes(32),
  };
}

/**
 * Resolve when the relay shows a list with the new device.
 *
 * @throws LinkError `LINK_EXPIRED`, `LINK_OUTDATED` when another change was quicker.
 */
export async function whenJoined(
  { platform, profile, engine }: ListDeps,
  grant: JoinGrant,
  authKey: Uint8Array,
): Promise<void> {
  const { store, clock } = platform;
  for (let waitedMs = 0; waitedMs <= JOIN_MAX_MS; waitedMs += JOIN_LOOK_MS) {
    // The relay tells of a new list; asking now and then does for whatever got lost.
    if (waitedMs % JOIN_ASK_MS === 0) {
      await engine.directory.refresh(profile.account).catch(() => undefined);
    }
    const self = await store.loadContact(profile.account);
    const found = self?.devices.find(({ device }) => device === grant.device);
    if (found !== undefined) {
      if (samePublicBytes(found.authKey, authKey)) return;
      throw new LinkError('LINK_OUTDATED', 'another device joined meanwhile: link again');
    }
    await sleep(clock, JOIN_LOOK_MS);
  }
  throw new LinkError('LINK_EXPIRED', 'the new device did not join in time');
}

/** How often to look into the store, and to ask the relay, whether the new device is there. */
const JOIN_LOOK_MS = 250;
const JOIN_ASK_MS = 5_000;
