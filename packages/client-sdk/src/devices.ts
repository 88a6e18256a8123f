/**
 * 20 Linking. The devices of our own account: the signed list, their names, adding and removing.
 *
 * `startLinking` and `link` are what programs use: linking/ makes the channel between the two devices. `request`,
 * `authorise` and `accept` are for programs that have a channel of their own. The grant holds the account's
 * identity key.
 */
import {
  generateRegistrationId,
  samePublicBytes,
  UsageError,
  type Bytes,
  type KeyPair,
} from '@qasid/protocol';
import {
  decodeSignedDeviceList,
  encodeSignedDeviceList,
  parseAccountText,
  verifyDeviceList,
} from '@qasid/protocol/envelope';

import type { Engine, Platform } from './engine.js';
import { AccountError, NetworkError } from './errors.js';
import { DAY_MS } from './inbox.js';
import { admit, type LinkChoices, type Linking } from './linking/admitting.js';
import { checkedDeviceName, deviceSync, ownSync } from './linking/device-sync.js';
import { freeDevice, nextList, proposeList } from './linking/grant.js';
import { Transfers, type TransferProgress } from './linking/transfers.js';
import { EMPTY_LEDGER } from './prekey-upkeep.js';
import type { Contact, ListedDevice, Profile } from './stores/port.js';
import { Batch, joinExtras } from './timeline/batch.js';
import { deviceFacts, setDeviceFacts } from './timeline/device-facts.js';

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

/** A device of the account. */
export interface AccountDevice extends ListedDevice {
  /** What its owner calls it; empty while it has not said. The relay does not know it. */
  readonly name: string;
  readonly platform: string;
  /** When it joined, milliseconds since 1970; 0: not known. */
  readonly addedAtMs: number;
  /** Day this device last heard of it, days since 1970. */
  readonly lastSeenDay: number | undefined;
  /** It is this one. */
  readonly current: boolean;
}

/** How the devices reach the rest of the client. */
export interface DevicesOptions {
  engine(): Engine;
  profile(): Profile | undefined;
  /** This device is part of an account from now on. */
  adopted(profile: Profile): void;
  progress(progress: TransferProgress): void;
  trouble(error: unknown): void;
}

/** How to link. */
export interface LinkingOptions extends LinkChoices {
  /**
   * With `history`: how long to wait before messages are sent, in milliseconds; default 10 minutes. In that time
   * whoever was tricked may remove the device. 0: at once.
   */
  readonly historyAfterMs?: number;
}

/** Devices of one account. */
export class Devices {
  readonly #platform: Platform;
  readonly #options: DevicesOptions;
  readonly #transfers: Transfers;
  readonly #linkings = new Set<Linking>();
  #asked: { readonly request: DeviceRequest; readonly auth: Profile['auth'] } | undefined;

  constructor(platform: Platform, options: DevicesOptions) {
    this.#platform = platform;
    this.#options = options;
    this.#transfers = new Transfers({
      platform,
      profile: () => options.profile(),
      isOwner: () => isOwner(options),
      pump: () => options.engine().pump(),
      progress: (progress) => options.progress(progress),
      groupsCame: (ids) => options.engine().groups.cameAlong(ids),
      trouble: (error) => options.trouble(error),
    });
  }

  /** The devices on the newest list this device has seen, itself included. */
  async list(): Promise<readonly AccountDevice[]> {
    const profile = this.#options.profile();
    if (profile === undefined) return [];
    const { store, clock } = this.#platform;
    const batch = new Batch(store);
    const listed = (await store.loadContact(profile.account))?.devices ?? [];
    return Promise.all(
      listed.map(async (device) => {
        const facts = await deviceFacts(batch, device.device);
        const current = device.device === profile.device;
        return {
          ...device,
          name: facts.name,
          platform: facts.platform,
          addedAtMs: facts.addedAtMs,
          lastSeenDay: current ? Math.floor(clock.now() / DAY_MS) : facts.seenDay,
          current,
        };
      }),
    );
  }

  /**
   * Let a new device join: show it `qr`, compare the eight digits on both screens, then `confirm()`. Valid for
   * 5 minutes and one device. Nothing is changed before both sides agreed.
   *
   * @throws AccountError `ACCOUNT_NOT_REGISTERED`; what happens later rejects `done`.
   */
  async startLinking(options: LinkingOptions = {}): Promise<Linking> {
    return this.#admit(undefined, options);
  }

  /**
   * The same, when the new device shows the code.
   *
   * @param text - What it shows.
   * @throws LinkError `LINK_INVALID`, `LINK_DIRECTION`; as `startLinking`.
   */
  async link(text: string, options: LinkingOptions = {}): Promise<Linking> {
    return this.#admit(text, options);
  }

  /**
   * Call a device something else, up to 64 bytes of UTF-8. The other devices of the account hear of it.
   *
   * @throws UsageError `USAGE_ARGUMENT` for a device that is not listed, or a longer name.
   */
  async rename(device: number, name: string): Promise<void> {
    checkedDeviceName(name);
    const { crypto, store, clock } = this.#platform;
    const profile = this.#require();
    const listed = await this.list();
    const found = listed.find((one) => one.device === device);
    if (found === undefined) throw noSuchDevice();
    const batch = new Batch(store);
    const { platform, addedAtMs } = found;
    const before = await deviceFacts(batch, device);
    const facts = { name, platform, addedAtMs, atMs: Math.max(clock.now(), before.atMs + 1) };
    await setDeviceFacts(batch, device, facts);
    const content = deviceSync(crypto, profile.account, { device, ...facts });
    const told = listed.length > 1 ? [ownSync(profile, content)] : [];
    await store.commit({ extra: joinExtras(batch.toExtra(), { outboxAdded: told }) });
    this.#options.engine().pump();
  }

  /**
   * Remove a device: it gets nothing from now on, and its connection ends as `removed`. What lies on it stays
   * there, the identity key included: a thief who can read it can still pose as a new device of this account,
   * which everybody sees.
   *
   * @throws UsageError `USAGE_ARGUMENT` for a device that is not listed, or the last one; NetworkError.
   */
  async remove(device: number): Promise<void> {
    const engine = this.#options.engine();
    const profile = this.#require();
    const deps = { platform: this.#platform, profile, engine };
    for (let attempt = 1; ; attempt++) {
      const self = await engine.directory.refresh(profile.account);
      const left = self.devices.filter((listed) => listed.device !== device);
      if (left.length === self.devices.length) throw noSuchDevice();
      if (left.length === 0) {
        throw new UsageError('USAGE_ARGUMENT', 'the last device: delete the account instead');
      }
      const answer = await proposeList(deps, nextList(deps, self, left));
      if (answer === 'done') break;
      // Another device changed the list meanwhile.
      if (attempt >= REMOVE_TRIES) {
        throw new NetworkError('NET_REFUSED', 'other devices keep changing the list');
      }
    }
    // Read back rather than assumed: it is then stored, and told, as every change is.
    if (device !== profile.device) await engine.directory.refresh(profile.account);
  }

  /** Something came in, or the connection opened: transfers may go on. */
  poke(): void {
    this.#transfers.poke();
  }

  /** End what is under way; transfers go on when the client is opened again. */
  async close(): Promise<void> {
    for (const linking of [...this.#linkings]) linking.cancel();
    await this.#transfers.stop();
  }

  #admit(text: string | undefined, options: LinkingOptions): Linking {
    const { historyAfterMs = HISTORY_AFTER_MS } = options;
    const linking = admit(
      {
        platform: this.#platform,
        engine: this.#options.engine(),
        profile: this.#require(),
        prepare: (device, transfer) => this.#transfers.prepare(device, transfer, historyAfterMs),
      },
      text,
      options,
    );
    this.#linkings.add(linking);
    void linking.done.catch(() => undefined).finally(() => this.#linkings.delete(linking));
    return linking;
  }

  #require(): Profile {
    const profile = this.#options.profile();
    if (profile === undefined) throw new AccountError('ACCOUNT_NOT_REGISTERED', 'no account here');
    return profile;
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
    const engine = this.#options.engine();
    const profile = this.#options.profile();
    if (profile === undefined) throw new AccountError('ACCOUNT_NOT_REGISTERED', 'no account here');
    const deps = { platform: this.#platform, profile, engine };
    const self = await engine.directory.refresh(profile.account);
    const device = freeDevice(self.devices);
    const devices = [...self.devices, { device, ...request }].sort((a, b) => a.device - b.device);
    const next = nextList(deps, self, devices);
    if ((await proposeList(deps, next)) !== 'done') {
      throw new NetworkError('NET_REFUSED', 'another device changed the list');
    }
    await this.#platform.store.commit({ extra: { contacts: [next.contact] } });
    const signedDeviceList = encodeSignedDeviceList(next.signed);
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

function noSuchDevice(): UsageError {
  return new UsageError('USAGE_ARGUMENT', 'the account has no such device');
}

/** Whether this process holds the connection of its profile. */
function isOwner(options: DevicesOptions): boolean {
  try {
    return options.engine().isOwner;
  } catch {
    // Not part of an account yet.
    return false;
  }
}

/** Time to change one's mind before messages of the past leave for a new device. */
const HISTORY_AFTER_MS = 600_000;

/** Tries of a change that other devices get ahead of. */
const REMOVE_TRIES = 4;
