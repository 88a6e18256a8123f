/**
 * Who is who: accounts behind names, their identity keys and signed device lists.
 *
 * The relay is asked, and believed in nothing that can be checked: an identity key is trusted on first use
 * and then pinned; a device list must carry that key's signature and never an older version.
 */
import {
  TrustError,
  VerificationError,
  samePublicBytes,
  toKemPublicKey,
  toPublicKey,
  verifyBundle,
  type CryptoProvider,
  type PreKeyBundle,
  type PublicKey,
} from '@qasid/protocol';
import {
  decodeSignedDeviceList,
  encodeSignedDeviceList,
  followsDeviceList,
  isUsername,
  parseAccountText,
  accountText,
  verifyDeviceList,
  type PrekeyBundleItem,
  type RequestOp,
  type ResponseItem,
  type SignedDeviceList,
} from '@qasid/protocol/envelope';

import { AccountError, NetworkError } from './errors.js';
import { deviceChangeRecord } from './linking/device-changes.js';
import type { ClientStore, Contact } from './stores/port.js';

/** What the directory needs. */
export interface DirectoryOptions {
  readonly crypto: CryptoProvider;
  readonly store: ClientStore;
  /** Our own account. */
  readonly self: string;
  /** This device's clock, milliseconds since 1970. */
  nowMs(): number;
  /** Patient: asks again while the relay is busy. */
  ask(op: RequestOp): Promise<ResponseItem>;
  /** A contact whose key the relay now shows differently. Called after it is stored. */
  onIdentityChanged(contact: Contact, trusted: PublicKey, offered: PublicKey): void;
  /** An account met for the first time: its key was trusted because nothing else was known. */
  onFirstUse(contact: Contact, identityKey: PublicKey): void;
  /** The devices of an account that was known are others now. Called after it is stored. */
  onDevicesChanged(contact: Contact, before: Contact): void;
}

/** What a relay says of an account. */
interface Claim {
  readonly identityKey: Uint8Array;
  readonly devices: SignedDeviceList;
  readonly username?: string | undefined;
}

/** Whether `text` can only be an account id. */
export function isAccountText(text: string): boolean {
  return text.length === 36 && text[8] === '-';
}

/** Contacts, checked. */
export class Directory {
  readonly #options: DirectoryOptions;

  constructor(options: DirectoryOptions) {
    this.#options = options;
  }

  /**
   * A contact from what we know already, by account id or user name. No network.
   *
   * @throws AccountError `ACCOUNT_NAME_INVALID` when it is neither.
   */
  async known(who: string): Promise<Contact | undefined> {
    if (isAccountText(who)) return this.#options.store.loadContact(accountText(parse(who)));
    if (!isUsername(who)) {
      throw new AccountError('ACCOUNT_NAME_INVALID', 'a name has 3 to 32 of a-z 0-9 _ . -');
    }
    return this.#options.store.loadContactByUsername(who);
  }

  /**
   * A contact with a device list, asking the relay when we have none.
   *
   * @throws AccountError `ACCOUNT_UNKNOWN`, `ACCOUNT_NAME_INVALID`; NetworkError; VerificationError
   * `VERIFY_DEVICE_LIST`; TrustError `TRUST_IDENTITY_CHANGED`.
   */
  async resolve(who: string): Promise<Contact> {
    const known = await this.known(who);
    if (known !== undefined && known.devices.length > 0) return known;
    if (known !== undefined) return this.refresh(known.account);
    if (isAccountText(who)) return this.refresh(who);
    const answer = await this.#options.ask({ kind: 'lookup', username: who });
    if (answer.code !== 'CONFIRMED') throw refusal(answer, 'no one by that name');
    if (answer.body.kind !== 'found') throw notARelay();
    const contact = await this.refresh(accountText(answer.body.account), who);
    // A name for an account we know under another one: the relay would have us write to the wrong person,
    // or to ourselves, which looks like a message that was delivered.
    if (contact.username !== who) {
      throw new AccountError('ACCOUNT_UNKNOWN', 'the relay names an account that has another name');
    }
    return contact;
  }

  /**
   * Ask the relay for the newest device list of an account and check it. Throws as `resolve`.
   *
   * @param name - The user name that led to this account, if one did.
   */
  async refresh(account: string, name?: string): Promise<Contact> {
    const answer = await this.#options.ask({ kind: 'devices', account: parse(account) });
    if (answer.code !== 'CONFIRMED') throw refusal(answer, 'no such account');
    if (answer.body.kind !== 'devices') throw notARelay();
    const { identityKey, devices, username } = answer.body;
    return this.#accept(account, { identityKey, devices, username: name ?? username });
  }

  /**
   * The relay showed another key for `account`: does it still? Otherwise one lie of the past would stop us until
   * a person trusts the liar's key.
   *
   * @throws TrustError `TRUST_IDENTITY_CHANGED` when it does, or cannot be asked now; as `resolve`.
   */
  async recheck(account: string, offered: PublicKey): Promise<Contact> {
    try {
      return await this.refresh(account);
    } catch (error) {
      throw error instanceof NetworkError ? identityChanged(offered) : error;
    }
  }

  /**
   * Take prekey bundles of some devices of a contact, checked against its identity and its device list.
   *
   * @returns bundles by device, and the contact as of now. A device may be missing: it has no prekeys yet.
   * @throws as `resolve`; VerificationError `VERIFY_SIGNATURE`.
   */
  async takeBundles(
    account: string,
    devices: readonly number[],
  ): Promise<{ readonly contact: Contact; readonly bundles: ReadonlyMap<number, PreKeyBundle> }> {
    const answer = await this.#options.ask({
      kind: 'takePrekeys',
      account: parse(account),
      devices,
    });
    if (answer.code !== 'CONFIRMED') throw refusal(answer, 'no such account');
    if (answer.body.kind !== 'bundles') throw notARelay();
    const contact = await this.#accept(account, answer.body);
    const identityKey = toPublicKey(answer.body.identityKey);
    const bundles = new Map<number, PreKeyBundle>();
    for (const item of answer.body.bundles) {
      const listed = contact.devices.find(({ device }) => device === item.device);
      // ATK-G01: a device that the account did not sign gets nothing.
      if (listed === undefined || listed.registrationId !== item.registrationId) continue;
      const bundle = toBundle(item, identityKey);
      verifyBundle(this.#options.crypto, bundle);
      bundles.set(item.device, bundle);
    }
    return { contact, bundles };
  }

  /**
   * Give the relay our own device list again if it shows an older one: it came back from a backup.
   *
   * @throws NetworkError; VerificationError `VERIFY_DEVICE_LIST`
   */
  async restoreOwnList(): Promise<void> {
    const { store, crypto, self, ask } = this.#options;
    const known = await store.loadContact(self);
    const identityKey = await store.loadIdentity(self);
    if (known?.signedDeviceList === undefined || identityKey === undefined) return;
    const account = parse(self);
    const answer = await ask({ kind: 'devices', account });
    if (answer.code !== 'CONFIRMED') throw refusal(answer, 'no such account');
    if (answer.body.kind !== 'devices') throw notARelay();
    const expected = { account, identityKey, versionMin: 1 };
    const shown = verifyDeviceList(crypto, answer.body.devices, expected);
    if (shown.version >= known.deviceListVersion) return;
    const devices = decodeSignedDeviceList(known.signedDeviceList);
    const put = await ask({ kind: 'putDevices', devices });
    if (put.code !== 'CONFIRMED') throw refusal(put, 'no such account');
  }

  async #accept(account: string, claim: Claim): Promise<Contact> {
    const { store, crypto, nowMs } = this.#options;
    const offered = toPublicKey(claim.identityKey);
    const trusted = await store.loadIdentity(account);
    const before = (await store.loadContact(account)) ?? newContact(account);
    if (trusted !== undefined && !samePublicBytes(trusted, offered)) {
      // Our own key is nobody else's to change, and no person should be asked to believe it.
      if (account === this.#options.self) {
        throw new VerificationError(
          'VERIFY_DEVICE_LIST',
          'relay shows another key for this account',
        );
      }
      return this.#refuseIdentity(before, trusted, offered);
    }
    const list = verifyDeviceList(crypto, claim.devices, {
      account: parse(account),
      identityKey: offered,
      versionMin: Math.max(1, before.deviceListVersion),
    });
    const encoded = encodeSignedDeviceList(claim.devices);
    if (list.version === before.deviceListVersion && before.signedDeviceList !== undefined) {
      const known = decodeSignedDeviceList(before.signedDeviceList).list;
      // Two lists under one number: the account or the relay shows different people different devices.
      if (!samePublicBytes(known, claim.devices.list)) {
        throw new VerificationError('VERIFY_DEVICE_LIST', 'two device lists of one version');
      }
    }
    if (list.version === before.deviceListVersion + 1 && before.signedDeviceList !== undefined) {
      const known = {
        version: before.deviceListVersion,
        signed: decodeSignedDeviceList(before.signedDeviceList),
      };
      // The next list names another one before it than we were shown: our history is not theirs (ATK-G04).
      if (!followsDeviceList(crypto, known, list)) {
        throw new VerificationError('VERIFY_DEVICE_LIST', 'device list of another history');
      }
    }
    const contact: Contact = {
      account,
      username: before.username ?? (await this.#freeName(claim.username, account)),
      signedDeviceList: encoded,
      deviceListVersion: list.version,
      devices: list.devices,
      offeredIdentity: undefined,
    };
    const isNewer = before.deviceListVersion > 0 && list.version > before.deviceListVersion;
    await store.commit({
      ...(trusted === undefined && {
        identities: [{ name: account, identityKey: offered, firstUse: true }],
      }),
      extra: {
        contacts: [contact],
        ...(isNewer && { records: [await deviceChangeRecord(store, contact, before, nowMs())] }),
      },
    });
    // ATK-G03: a device that somebody added in secret is seen by everybody.
    if (isNewer) this.#options.onDevicesChanged(contact, before);
    if (trusted === undefined) this.#options.onFirstUse(contact, offered);
    return contact;
  }

  /** A name goes to the account it first came with; a relay cannot move it to another. */
  async #freeName(name: string | undefined, account: string): Promise<string | undefined> {
    if (name === undefined) return undefined;
    const holder = await this.#options.store.loadContactByUsername(name);
    return holder === undefined || holder.account === account ? name : undefined;
  }

  async #refuseIdentity(contact: Contact, trusted: PublicKey, offered: PublicKey): Promise<never> {
    const known = contact.offeredIdentity;
    if (known === undefined || !samePublicBytes(known, offered)) {
      const changed = { ...contact, offeredIdentity: offered };
      await this.#options.store.commit({ extra: { contacts: [changed] } });
      this.#options.onIdentityChanged(changed, trusted, offered);
    }
    throw identityChanged(offered);
  }
}

/** The refusal that a person must resolve. */
export function identityChanged(offered: PublicKey): TrustError {
  return new TrustError('TRUST_IDENTITY_CHANGED', 'the identity key of this account changed', {
    identityKey: offered,
  });
}

/** A contact of which nothing is known yet. */
export function newContact(account: string): Contact {
  return {
    account,
    username: undefined,
    signedDeviceList: undefined,
    deviceListVersion: 0,
    devices: [],
    offeredIdentity: undefined,
  };
}

function toBundle(item: PrekeyBundleItem, identityKey: PublicKey): PreKeyBundle {
  return {
    registrationId: item.registrationId,
    deviceId: item.device,
    identityKey,
    ...(item.oneTime && {
      preKey: { id: item.oneTime.id, public: toPublicKey(item.oneTime.public) },
    }),
    signedPreKey: {
      id: item.signed.id,
      public: toPublicKey(item.signed.public),
      signature: item.signed.signature,
    },
    kemPreKey: {
      id: item.kem.id,
      public: toKemPublicKey(item.kem.public),
      signature: item.kem.signature,
    },
  };
}

function parse(account: string): ReturnType<typeof parseAccountText> {
  try {
    return parseAccountText(account);
  } catch (cause) {
    throw new AccountError('ACCOUNT_NAME_INVALID', 'not an account id', { cause });
  }
}

function notARelay(): NetworkError {
  return new NetworkError('NET_NOT_A_RELAY', 'relay answered something else');
}

/** What a refused question means to its asker. */
function refusal(answer: ResponseItem, unknown: string): Error {
  if (answer.code === 'NOT_FOUND') return new AccountError('ACCOUNT_UNKNOWN', unknown);
  return new NetworkError('NET_REFUSED', `relay answers ${answer.code}`);
}
