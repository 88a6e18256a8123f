/**
 * Making an account, and proving to the relay that a device belongs to it.
 */
import {
  copyBytes,
  generateIdentityKeyPair,
  generateRegistrationId,
  type CryptoProvider,
  decodeKemPreKeyRecord,
  decodePreKeyRecord,
  decodeSignedPreKeyRecord,
  InternalError,
} from '@qasid/protocol';
import {
  accountText,
  authSigningInput,
  decodeSignedDeviceList,
  encodeSignedDeviceList,
  generateAccountId,
  isUsername,
  parseAccountText,
  registerSigningInput,
  RELAY_PROTOCOL_VERSION,
  signDeviceList,
  type AuthRequest,
  type ChallengeEvent,
  type PrekeyUpload,
  type RegisterRequest,
} from '@qasid/protocol/envelope';

import { AccountError } from './errors.js';
import { EMPTY_LEDGER, FIRST_BATCH, makePrekeys } from './prekey-upkeep.js';
import type { ClientStore, Contact, Profile } from './stores/port.js';

/** Device id of the device that makes an account. */
const FIRST_DEVICE = 1;

/** @throws AccountError `ACCOUNT_NAME_INVALID` */
export function checkUsername(username: string): void {
  if (!isUsername(username)) {
    throw new AccountError('ACCOUNT_NAME_INVALID', 'a username has 3 to 32 of a-z 0-9 _ . -');
  }
}

/**
 * Make an account on this machine: identity, device, first prekeys, first device list. One commit; the
 * relay has not heard of it. Whatever happens afterwards, the same account is used for the next try.
 */
export async function createAccount(
  crypto: CryptoProvider,
  store: ClientStore,
  nowMs: number,
): Promise<Profile> {
  const identity = generateIdentityKeyPair(crypto);
  const auth = crypto.ed25519KeyPair();
  const id = generateAccountId(crypto);
  const account = accountText(id);
  const registrationId = generateRegistrationId(crypto);
  const batch = makePrekeys(crypto, identity, EMPTY_LEDGER, FIRST_BATCH, nowMs);
  const devices = [{ device: FIRST_DEVICE, registrationId, authKey: auth.public }];
  const signed = signDeviceList(crypto, identity.secret, crypto.randomBytes(64), {
    account: id,
    version: 1,
    devices,
  });
  const profile: Profile = {
    account,
    username: undefined,
    device: FIRST_DEVICE,
    registrationId,
    identity,
    auth,
    registration: 'local',
    prekeys: batch.ledger,
    relayEpoch: 0,
  };
  const self: Contact = {
    account,
    username: undefined,
    signedDeviceList: encodeSignedDeviceList(signed),
    deviceListVersion: 1,
    devices,
    offeredIdentity: undefined,
  };
  await store.commit({
    ...batch.changes,
    identities: [{ name: account, identityKey: identity.public }],
    extra: { profile, contacts: [self] },
  });
  return profile;
}

/** The answer to a challenge: this device speaks for its account. */
export function authRequest(
  crypto: CryptoProvider,
  profile: Profile,
  challenge: ChallengeEvent,
): AuthRequest {
  const claim = {
    relayId: challenge.relayId,
    nonce: challenge.nonce,
    account: parseAccountText(profile.account),
    device: profile.device,
  };
  return {
    kind: 'auth',
    account: claim.account,
    device: claim.device,
    signature: crypto.ed25519Sign(profile.auth.secret, authSigningInput(claim)),
    version: RELAY_PROTOCOL_VERSION,
  };
}

/** The answer to a challenge that creates the account, with the prekeys made by `createAccount`. */
export async function registerRequest(
  crypto: CryptoProvider,
  store: ClientStore,
  profile: Profile,
  admission: Pick<RegisterRequest, 'username' | 'invite' | 'ticket' | 'work'>,
  challenge: ChallengeEvent,
): Promise<RegisterRequest> {
  const self = await store.loadContact(profile.account);
  if (self?.signedDeviceList === undefined) {
    throw new InternalError('INTERNAL_INVARIANT', 'own device list is missing');
  }
  const devices = decodeSignedDeviceList(self.signedDeviceList);
  const claim = {
    relayId: challenge.relayId,
    nonce: challenge.nonce,
    account: parseAccountText(profile.account),
    device: profile.device,
  };
  return {
    kind: 'register',
    account: claim.account,
    identityKey: profile.identity.public,
    ...admission,
    devices,
    device: profile.device,
    prekeys: await storedPrekeys(store, profile),
    signature: crypto.ed25519Sign(
      profile.auth.secret,
      registerSigningInput(crypto, { ...claim, devices }),
    ),
    version: RELAY_PROTOCOL_VERSION,
  };
}

/** The public halves of everything that lies in the store: nothing of it was published before. */
export async function storedPrekeys(store: ClientStore, profile: Profile): Promise<PrekeyUpload> {
  const { prekeys } = profile;
  const oneTime: { id: number; public: Uint8Array<ArrayBuffer> }[] = [];
  for (let id = 1; id < prekeys.nextPreKeyId; id++) {
    const record = await store.loadPreKey(id);
    if (record === undefined) continue;
    oneTime.push({ id, public: copyBytes(decodePreKeyRecord(record).keyPair.public) });
  }
  const kem: { id: number; public: Uint8Array<ArrayBuffer>; signature: Uint8Array<ArrayBuffer> }[] =
    [];
  let lastResortKem: (typeof kem)[number] | undefined;
  for (let id = 1; id < prekeys.nextKemPreKeyId; id++) {
    const stored = await store.loadKemPreKey(id);
    if (stored === undefined) continue;
    const { keyPair, signature } = decodeKemPreKeyRecord(stored.record);
    const published = { id, public: copyBytes(keyPair.public), signature };
    if (stored.kind === 'one-time') kem.push(published);
    else lastResortKem = published;
  }
  const signedId = prekeys.signed.at(-1)?.id ?? 0;
  const signedRecord = await store.loadSignedPreKey(signedId);
  const signed = signedRecord && decodeSignedPreKeyRecord(signedRecord);
  return {
    oneTime,
    kem,
    ...(signed && {
      signed: { id: signedId, public: signed.keyPair.public, signature: signed.signature },
    }),
    ...(lastResortKem && { lastResortKem }),
  };
}
