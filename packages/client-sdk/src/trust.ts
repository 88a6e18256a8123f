/**
 * 15 Content §11. Whose key is it: what a person has compared, and what may be sent before they have.
 *
 * A decision is about exact bytes: our identity key and theirs. Another key on either side, and nothing has been
 * decided (ATK-F02, ATK-F06).
 */
import {
  compareScannable,
  concatBytes,
  createFingerprint,
  samePublicBytes,
  toPublicKey,
  TrustError,
  type Bytes,
  type CryptoProvider,
  type PublicKey,
} from '@qasid/protocol';
import { parseAccountText } from '@qasid/protocol/envelope';

import type { SafetyNumber } from './api.js';
import { identityChanged } from './directory.js';
import type { ClientStore, Contact, Profile } from './stores/port.js';
import { SPACE } from './timeline/batch.js';

/** Something to decide about a key. */
export interface TrustEvent {
  /** `first-use`: never seen before. `changed`: another one than the trusted, which nobody had verified. */
  readonly kind: 'first-use' | 'changed';
  readonly account: string;
  readonly username: string | undefined;
  /** 33 bytes. */
  readonly identityKey: PublicKey;
}

/** `accept`: go on with this key. `hold`: what is to be sent waits until `SafetyNumber.verify`, or `trust` after a change. */
export type TrustDecision = 'accept' | 'hold';

/**
 * What may be sent before a person has compared safety numbers. `first-use`: a key is trusted when it is
 * first seen, and held when it changes. `verified-only`: nothing leaves to an account that is not verified. A
 * function decides about each key once. Whatever the policy: a verified key that changes stops sending until a
 * person decides.
 */
export type TrustPolicy =
  | 'first-use'
  | 'verified-only'
  | ((event: TrustEvent) => TrustDecision | Promise<TrustDecision>);

/** First byte of a record. */
const DECIDED = { verified: 1, accept: 2, hold: 3 } as const;

type Decided = keyof typeof DECIDED;

const KEY_BYTES = 33;

/** What was decided about the keys as they are now. */
export async function decisionOf(
  store: ClientStore,
  account: string,
): Promise<Decided | undefined> {
  const row = await store.loadRecord(SPACE.trust, account);
  const keys = row && (await keysOf(store, account));
  if (row === undefined || keys === undefined) return undefined;
  // ATK-F02: the exact bytes, or nothing was decided.
  if (!samePublicBytes(row.value.subarray(1), keys)) return undefined;
  const [code] = row.value;
  if (code === DECIDED.verified) return 'verified';
  return code === DECIDED.accept ? 'accept' : 'hold';
}

/**
 * A person has compared the safety number of these keys: true; or takes it back: false.
 *
 * @param keys - Those behind the number that was compared.
 * @throws TrustError `TRUST_IDENTITY_CHANGED` when they are no longer the ones in use, or the relay shows others.
 */
async function setVerified(
  store: ClientStore,
  account: string,
  keys: Bytes,
  verified: boolean,
): Promise<void> {
  const row = await store.loadRecord(SPACE.trust, account);
  if (!verified) {
    if (row === undefined) return;
    const gone = { space: SPACE.trust, key: account, value: undefined };
    await store.commit({ extra: { records: [{ ...gone, expectedVersion: row.version }] } });
    return;
  }
  const now = await keysOf(store, account);
  const { offeredIdentity } = (await store.loadContact(account)) ?? {};
  if (offeredIdentity !== undefined) throw identityChanged(offeredIdentity);
  if (now === undefined || !samePublicBytes(now, keys)) {
    throw identityChanged(toPublicKey(keys.slice(KEY_BYTES)));
  }
  const value = concatBytes(new Uint8Array([DECIDED.verified]), keys);
  const change = { space: SPACE.trust, key: account, value, expectedVersion: row?.version ?? 0 };
  const rows = await store.loadOutbox({ limit: 10_000 });
  const freed = rows.filter((one) => one.account === account && one.held);
  await store.commit({
    extra: { records: [change], outboxChanged: freed.map((one) => ({ ...one, held: false })) },
  });
}

/**
 * Whether something may be sent to an account, by the policy.
 *
 * @throws TrustError `TRUST_NOT_VERIFIED` when it may not.
 */
export async function checkMayWrite(
  store: ClientStore,
  policy: TrustPolicy,
  self: string,
  account: string,
): Promise<void> {
  if (policy === 'first-use' || account === self) return;
  const identityKey = await store.loadIdentity(account);
  let decided = await decisionOf(store, account);
  if (decided === undefined && typeof policy === 'function' && identityKey !== undefined) {
    const contact = await store.loadContact(account);
    const username = contact?.username;
    decided = await policy({ kind: 'first-use', account, username, identityKey });
    await remember(store, account, decided);
  }
  if (decided === 'verified' || (decided === 'accept' && typeof policy === 'function')) return;
  throw new TrustError('TRUST_NOT_VERIFIED', 'nobody has compared the safety number', {
    identityKey,
  });
}

/** A key that nobody had verified has changed: does the policy take the new one? */
export async function acceptsChange(
  store: ClientStore,
  policy: TrustPolicy,
  { account, username }: Contact,
  identityKey: PublicKey,
): Promise<boolean> {
  if (typeof policy !== 'function') return false;
  // ATK-F01: what a person verified, only a person gives up.
  if ((await decisionOf(store, account)) === 'verified') return false;
  return (await policy({ kind: 'changed', account, username, identityKey })) === 'accept';
}

/** The number under the trusted key, and under the one the relay shows, when that is another. */
export async function makeSafetyNumber(
  deps: {
    readonly store: ClientStore;
    readonly crypto: CryptoProvider;
    /** Something that waited may go. */
    released(): void;
  },
  profile: Profile,
  contact: Contact,
  trusted: PublicKey,
): Promise<SafetyNumber> {
  const { account, username, offeredIdentity } = contact;
  const number = (key: PublicKey): { readonly digits: string; readonly scannable: Bytes } =>
    createFingerprint(
      deps.crypto,
      { identifier: parseAccountText(profile.account), identityKey: profile.identity.public },
      { identifier: parseAccountText(account), identityKey: key },
    );
  const current = number(trusted);
  const keys = concatBytes(profile.identity.public, trusted);
  return {
    ...current,
    qr: current.scannable,
    verified: (await decisionOf(deps.store, account)) === 'verified',
    theirs: { account, username },
    changed: offeredIdentity === undefined ? undefined : number(offeredIdentity),
    compare: (scanned) => (compareScannable(current.scannable, scanned) ? 'match' : 'mismatch'),
    verify: async () => {
      await setVerified(deps.store, account, keys, true);
      deps.released();
    },
    unverify: () => setVerified(deps.store, account, keys, false),
  };
}

async function remember(
  store: ClientStore,
  account: string,
  decided: TrustDecision,
): Promise<void> {
  const row = await store.loadRecord(SPACE.trust, account);
  const keys = await keysOf(store, account);
  if (keys === undefined) return;
  const value = concatBytes(new Uint8Array([DECIDED[decided]]), keys);
  const change = { space: SPACE.trust, key: account, value, expectedVersion: row?.version ?? 0 };
  await store.commit({ extra: { records: [change] } });
}

/** Our key and theirs; `undefined` while one of them is not known: then nothing is verified. */
async function keysOf(store: ClientStore, account: string): Promise<Bytes | undefined> {
  const profile = await store.loadProfile();
  const theirs = await store.loadIdentity(account);
  if (profile === undefined || theirs?.length !== KEY_BYTES) return undefined;
  return concatBytes(profile.identity.public, theirs);
}
