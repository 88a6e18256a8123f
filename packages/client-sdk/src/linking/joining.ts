/**
 * 20 Linking. On the new device: show or scan a code, ask a person, become part of the account.
 *
 * What was granted is stored before the relay is asked, so a program that dies in between goes on where it
 * was: the relay either has the device, or takes the same request again while the permission lasts.
 */
import {
  generateRegistrationId,
  ProtoWriter,
  samePublicBytes,
  wipe,
  type Bytes,
  type CryptoProvider,
  type SigningKeyPair,
} from '@qasid/protocol';
import {
  decodeSignedDeviceList,
  linkSigningInput,
  parseAccountText,
  RELAY_PROTOCOL_VERSION,
  verifyDeviceList,
  type ChallengeEvent,
  type LinkRequest,
} from '@qasid/protocol/envelope';

import { createAccount, storedPrekeys } from '../account.js';
import { Fields } from '../content/fields.js';
import type { Platform } from '../engine.js';
import { LinkError } from '../errors.js';
import { EMPTY_LEDGER, FIRST_BATCH, makePrekeys } from '../prekey-upkeep.js';
import type { ClientExtra, ClientStore, Contact, Profile, RecordChange } from '../stores/port.js';
import { Batch, joinExtras, SPACE } from '../timeline/batch.js';
import { setDeviceFacts } from '../timeline/device-facts.js';
import { linkQr, type LinkQr } from './admitting.js';
import { checkedDeviceName, deviceSync, ownSync } from './device-sync.js';
import { STEP } from './handshake.js';
import { DEVICE_NAME_BYTES, LINK_MAX_MS, SEED_BYTES } from './limits.js';
import { linkText, parseLinkText, type LinkCode } from './link-text.js';
import { cancelled, Meeting } from './meeting.js';
import {
  decodeJoinGrant,
  encodeConfirmation,
  encodeJoinRequest,
  type JoinGrant,
} from './messages.js';
import { ARRIVAL, encodeArrival } from './transfer-state.js';

/** How a new device links itself. */
export interface JoinOptions {
  /** What a device of the account shows. Absent: this device shows a code, through `show`. */
  readonly link?: string;
  /** What this device is called; up to 64 bytes. Its other devices see it, the relay does not. */
  readonly name: string;
  /** What it runs on, up to 64 bytes; default empty. */
  readonly platformName?: string;
  /** Show this code to a device of the account. Needed without `link`. */
  readonly show?: (shown: { readonly qr: LinkQr; readonly expiresAt: number }) => void;
  /** Ask the person whether the same eight digits stand on the other screen. */
  confirm(request: { readonly code: string }): boolean | Promise<boolean>;
  /** Gives up. */
  readonly signal?: AbortSignal;
}

/**
 * Meet a device of an account and get its grant. Stores it; the relay has not heard of it.
 *
 * @throws LinkError; NetworkError; StoreError.
 */
export async function receiveGrant(platform: Platform, options: JoinOptions): Promise<Profile> {
  const { crypto, clock, url } = platform;
  const name = checkedDeviceName(options.name);
  const platformName = checkedDeviceName(options.platformName ?? '');
  const auth = crypto.ed25519KeyPair();
  const registrationId = generateRegistrationId(crypto);
  const request = encodeJoinRequest({
    name,
    platform: platformName,
    registrationId,
    authKey: auth.public,
  });
  const keyPair = crypto.x25519KeyPair();
  const { link } = options;
  const code: LinkCode =
    link === undefined
      ? {
          shownBy: 'new-device',
          createdAtMs: clock.now(),
          seed: crypto.randomBytes(SEED_BYTES),
          key: keyPair.public,
          relay: url,
        }
      : parseLinkText(link, 'account');
  // The address may be given beside the code; what both sides hash is the code as it was shown.
  const meeting = new Meeting(platform, code, url);
  const stop = (): void => meeting.end(cancelled());
  options.signal?.addEventListener('abort', stop);
  if (options.signal?.aborted === true) stop();
  try {
    const met = link === undefined ? meeting.show(keyPair, request) : meeting.scan(request);
    if (link === undefined) {
      options.show?.({ qr: linkQr(linkText(code)), expiresAt: clock.now() + LINK_MAX_MS });
    }
    const { keys } = await met;
    // Whoever refuses meanwhile need not be waited for.
    const granted = meeting.hear(keys, STEP.grant);
    granted.catch(() => undefined);
    const asked = Promise.resolve(options.confirm({ code: keys.code }));
    const first = await Promise.race([
      asked.then((agreed) => ({ agreed })),
      granted.then(() => ({ agreed: undefined })),
    ]);
    // A grant before our yes is the other side's no.
    if (first.agreed === undefined) throw refused();
    await meeting.tell(keys, STEP.confirm, encodeConfirmation(first.agreed));
    if (!first.agreed) throw cancelled();
    const bytes = await granted;
    const grant = decodeJoinGrant(bytes);
    wipe(bytes);
    if (grant === undefined) throw refused();
    return await storeGrant(platform, grant, { auth, registrationId, name, platformName });
  } finally {
    options.signal?.removeEventListener('abort', stop);
    stop();
  }
}

/** What the relay is asked on behalf of a stored grant. */
export async function joinRequest(
  crypto: CryptoProvider,
  store: ClientStore,
  profile: Profile,
  challenge: ChallengeEvent,
): Promise<LinkRequest> {
  const pending = await loadPending(store);
  const self = await store.loadContact(profile.account);
  if (pending === undefined || self?.signedDeviceList === undefined) throw outdated();
  const devices = decodeSignedDeviceList(self.signedDeviceList);
  const { relayId, nonce } = challenge;
  const account = parseAccountText(profile.account);
  const claim = { relayId, nonce, account, device: profile.device, devices };
  return {
    kind: 'link',
    account,
    device: profile.device,
    devices,
    grant: { expiresAtSeconds: pending.expiresAtSeconds, signature: pending.permission },
    prekeys: await storedPrekeys(store, profile),
    signature: crypto.ed25519Sign(profile.auth.secret, linkSigningInput(crypto, claim)),
    version: RELAY_PROTOCOL_VERSION,
  };
}

/** Whether a grant waits for the relay. */
export async function isJoinPending(store: ClientStore): Promise<boolean> {
  return (await loadPending(store)) !== undefined;
}

/** What is committed when the relay has the device: the grant is used, and the other devices hear of it. */
export async function joinedChange(platform: Platform, profile: Profile): Promise<ClientExtra> {
  const { crypto, store, clock } = platform;
  const row = await store.loadRecord(SPACE.meta, PENDING);
  const pending = await loadPending(store);
  if (row === undefined || pending === undefined) return {};
  const { name, platformName, transferId } = pending;
  const { device } = profile;
  const nowMs = clock.now();
  const facts = { name, platform: platformName, addedAtMs: nowMs, atMs: nowMs };
  const batch = new Batch(store);
  await setDeviceFacts(batch, device, facts);
  const content = deviceSync(crypto, profile.account, { device, ...facts, transfer: transferId });
  return joinExtras(batch.toExtra(), {
    records: [{ space: SPACE.meta, key: PENDING, value: undefined, expectedVersion: row.version }],
    outboxAdded: [ownSync(profile, content)],
  });
}

/** The relay will not have the device any more: forget the account, whose identity does not belong here. */
export async function forgetGrant(platform: Platform): Promise<void> {
  const { crypto, store, clock } = platform;
  await createAccount(crypto, store, clock.now());
  const records: RecordChange[] = [];
  for (const key of [PENDING, ARRIVAL]) {
    const row = await store.loadRecord(SPACE.meta, key);
    if (row === undefined) continue;
    records.push({ space: SPACE.meta, key, value: undefined, expectedVersion: row.version });
  }
  await store.commit({ extra: { records } });
}

/** The error of a grant that the relay no longer takes. */
export function outdated(): LinkError {
  return new LinkError('LINK_OUTDATED', 'the relay takes this device no longer: link again');
}

async function storeGrant(
  platform: Platform,
  grant: JoinGrant,
  own: {
    readonly auth: SigningKeyPair;
    readonly registrationId: number;
    readonly name: string;
    readonly platformName: string;
  },
): Promise<Profile> {
  const { crypto, store, clock } = platform;
  const { account, username, device, identity, signedDeviceList } = grant;
  const list = verifyDeviceList(crypto, decodeSignedDeviceList(signedDeviceList), {
    account: parseAccountText(account),
    identityKey: identity.public,
    versionMin: 2,
  });
  const entry = list.devices.find((listed) => listed.device === device);
  if (entry === undefined || !samePublicBytes(entry.authKey, own.auth.public)) {
    throw new LinkError('LINK_ALTERED', 'the grant is for another device');
  }
  const batch = makePrekeys(crypto, identity, EMPTY_LEDGER, FIRST_BATCH, clock.now());
  const profile: Profile = {
    account,
    username,
    device,
    registrationId: own.registrationId,
    identity,
    auth: own.auth,
    registration: 'asked',
    prekeys: batch.ledger,
    relayEpoch: 0,
  };
  const self: Contact = {
    account,
    username,
    signedDeviceList,
    deviceListVersion: list.version,
    devices: list.devices,
    offeredIdentity: undefined,
  };
  const before = await store.loadRecord(SPACE.meta, PENDING);
  const arrival = await store.loadRecord(SPACE.meta, ARRIVAL);
  await store.commit({
    ...batch.changes,
    identities: [{ name: account, identityKey: identity.public }],
    extra: {
      profile,
      contacts: [self],
      records: [
        {
          space: SPACE.meta,
          key: PENDING,
          value: encodePending({ ...grant, ...own }),
          expectedVersion: before?.version ?? 0,
        },
        {
          space: SPACE.meta,
          key: ARRIVAL,
          value: encodeArrival({
            id: grant.transferId,
            key: grant.transferKey,
            next: 0,
            hash: new Uint8Array(32),
            place: 0,
            messages: 0,
            total: 0,
            done: false,
          }),
          expectedVersion: arrival?.version ?? 0,
        },
      ],
    },
  });
  return profile;
}

interface Pending {
  readonly expiresAtSeconds: number;
  readonly permission: Bytes;
  readonly name: string;
  readonly platformName: string;
  readonly transferId: Bytes;
}

function encodePending(pending: Pending): Bytes {
  return new ProtoWriter(256)
    .uint64(1, pending.expiresAtSeconds)
    .bytes(2, pending.permission)
    .text(3, pending.name)
    .text(4, pending.platformName)
    .bytes(5, pending.transferId)
    .finish();
}

async function loadPending(store: ClientStore): Promise<Pending | undefined> {
  const row = await store.loadRecord(SPACE.meta, PENDING);
  if (row === undefined) return undefined;
  const types = { 1: 'number', 2: 'bytes', 3: 'bytes', 4: 'bytes', 5: 'bytes' } as const;
  const fields = new Fields(row.value, types);
  return {
    expiresAtSeconds: fields.number(1, Number.MAX_SAFE_INTEGER),
    permission: fields.bytes(2, 64),
    name: fields.text(3, DEVICE_NAME_BYTES),
    platformName: fields.text(4, DEVICE_NAME_BYTES),
    transferId: fields.bytes(5, 16),
  };
}

function refused(): LinkError {
  return new LinkError('LINK_REFUSED', 'the other device said no');
}

/** Name of the record of a grant that the relay has not confirmed. */
const PENDING = 'linking';
