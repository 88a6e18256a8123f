/**
 * The devices of our own account: the signed list, and adding to it.
 *
 * A new device is authorised by one that has the account: it signs the next version of the device list and
 * hands over the identity. The grant holds the account's identity key, so it must travel over a channel that
 * only the two devices share; making that channel (a QR code and a short code) is not part of this file.
 */
import {
  generateRegistrationId,
  InternalError,
  samePublicBytes,
  UsageError,
  type Bytes,
  type KeyPair,
} from '@qasid/protocol';
import {
  decodeSignedDeviceList,
  deviceListHash,
  encodeSignedDeviceList,
  parseAccountText,
  signDeviceList,
  verifyDeviceList,
} from '@qasid/protocol/envelope';

import type { Engine, Platform } from './engine.js';
import { AccountError, NetworkError } from './errors.js';
import { EMPTY_LEDGER } from './prekey-upkeep.js';
import type { Contact, ListedDevice, Profile } from './stores/port.js';

/** What a device that wants to join shows to one that has joined. Public. */
export interface DeviceRequest {
  readonly registrationId: number;
  /** Ed25519, 32 bytes. */
  readonly authKey: Bytes;
}

/** What makes a device part of an account. SECRET: it holds the identity key. */
export interface DeviceGrant {
  readonly account: string;
  readonly username: string | undefined;
  readonly device: number;
  readonly identity: KeyPair;
  /** The list that names the new device. */
  readonly signedDeviceList: Bytes;
}

/** How the devices reach the rest of the client. */
export interface DevicesOptions {
  engine(): Engine;
  profile(): Profile | undefined;
  /** This device is part of an account from now on. */
  adopted(profile: Profile): void;
}

/** Devices of one account. */
export class Devices {
  readonly #platform: Platform;
  readonly #options: DevicesOptions;
  #asked: { readonly request: DeviceRequest; readonly auth: Profile['auth'] } | undefined;

  constructor(platform: Platform, options: DevicesOptions) {
    this.#platform = platform;
    this.#options = options;
  }

  /** The devices on the newest list this device has seen, itself included. */
  async list(): Promise<readonly ListedDevice[]> {
    const account = this.#options.profile()?.account;
    if (account === undefined) return [];
    return (await this.#platform.store.loadContact(account))?.devices ?? [];
  }

  /** On the new device: make its keys, and what the other device needs to know of them. */
  async request(): Promise<DeviceRequest> {
    if (this.#options.profile() !== undefined) {
      throw new AccountError('ACCOUNT_EXISTS', 'this profile has an account already');
    }
    const { crypto } = this.#platform;
    const auth = crypto.ed25519KeyPair();
    const request = { registrationId: generateRegistrationId(crypto), authKey: auth.public };
    this.#asked = { request, auth };
    return request;
  }

  /**
   * On a device of the account: put the new device on the list.
   *
   * @returns SECRET; for the new device alone.
   * @throws NetworkError; VerificationError `VERIFY_DEVICE_LIST`.
   */
  async authorise(request: DeviceRequest): Promise<DeviceGrant> {
    const { crypto, store } = this.#platform;
    const engine = this.#options.engine();
    const profile = this.#options.profile();
    if (profile === undefined) throw new AccountError('ACCOUNT_NOT_REGISTERED', 'no account here');
    const self = await engine.directory.refresh(profile.account);
    const device = 1 + Math.max(...self.devices.map((listed) => listed.device));
    const devices = [...self.devices, { device, ...request }];
    const version = self.deviceListVersion + 1;
    const account = parseAccountText(profile.account);
    if (self.signedDeviceList === undefined) {
      throw new InternalError('INTERNAL_INVARIANT', 'own device list is missing');
    }
    const previous = deviceListHash(crypto, decodeSignedDeviceList(self.signedDeviceList));
    const list = { account, version, previous, devices };
    const random = crypto.randomBytes(64);
    const signed = signDeviceList(crypto, profile.identity.secret, random, list);
    const answer = await engine.link.requestPatiently({ kind: 'putDevices', devices: signed });
    if (answer.code !== 'CONFIRMED') {
      throw new NetworkError('NET_REFUSED', `relay answers ${answer.code} to the device list`);
    }
    const signedDeviceList = encodeSignedDeviceList(signed);
    const contact: Contact = { ...self, signedDeviceList, deviceListVersion: version, devices };
    await store.commit({ extra: { contacts: [contact] } });
    const { username, identity } = profile;
    return { account: profile.account, username, device, identity, signedDeviceList };
  }

  /**
   * On the new device: join the account, connect, and publish prekeys.
   *
   * @throws VerificationError `VERIFY_DEVICE_LIST` for a grant that does not name this device.
   */
  async accept(grant: DeviceGrant): Promise<void> {
    const asked = this.#asked;
    if (asked === undefined) throw new UsageError('USAGE_ARGUMENT', 'call devices.request() first');
    const { crypto, store } = this.#platform;
    const signed = decodeSignedDeviceList(grant.signedDeviceList);
    const list = verifyDeviceList(crypto, signed, {
      account: parseAccountText(grant.account),
      identityKey: grant.identity.public,
      versionMin: 1,
    });
    const entry = list.devices.find(({ device }) => device === grant.device);
    if (entry === undefined || !samePublicBytes(entry.authKey, asked.auth.public)) {
      throw new UsageError('USAGE_ARGUMENT', 'the grant is for another device');
    }
    const profile: Profile = {
      account: grant.account,
      username: grant.username,
      device: grant.device,
      registrationId: asked.request.registrationId,
      identity: grant.identity,
      auth: asked.auth,
      registration: 'registered',
      prekeys: EMPTY_LEDGER,
      relayEpoch: 0,
    };
    const contact: Contact = {
      account: grant.account,
      username: grant.username,
      signedDeviceList: grant.signedDeviceList,
      deviceListVersion: list.version,
      devices: list.devices,
      offeredIdentity: undefined,
    };
    await store.commit({
      identities: [{ name: grant.account, identityKey: grant.identity.public }],
      extra: { profile, contacts: [contact] },
    });
    this.#asked = undefined;
    this.#options.adopted(profile);
  }
}
