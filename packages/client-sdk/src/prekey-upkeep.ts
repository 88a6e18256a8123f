/**
 * Keeps the published prekeys fresh: refill one-time keys, rotate signed ones, delete what nobody can use.
 *
 * A new key is committed here before the relay hears of it: nobody may get a key we could lose. Ids are
 * never published twice; after an upload whose answer got lost, new keys are made.
 */
import {
  encodeKemPreKeyRecord,
  encodePreKeyRecord,
  encodeSignedPreKeyRecord,
  generateKemPreKey,
  generatePreKey,
  generateSignedPreKey,
  type CryptoProvider,
  type KemPreKeyRecord,
  type KeyPair,
  type PreKeyRecord,
  type SignedPreKeyRecord,
  type StoreChanges,
} from '@qasid/protocol';
import type { PrekeyUpload, RequestOp, ResponseItem } from '@qasid/protocol/envelope';

import { NetworkError } from './errors.js';
import type { ClientExtra, ClientStore, DatedKey, PrekeyLedger, Profile } from './stores/port.js';

/** One-time curve prekeys to have published. Lower: more handshakes without one. Higher: more upkeep. */
export const ONE_TIME_TARGET = 100;
/** Refill below this. */
const ONE_TIME_LOW = 50;
/** One-time KEM prekeys to have published; each is 1.6 kB at the relay. */
export const KEM_TARGET = 20;
/** Refill below this. */
const KEM_LOW = 10;

const DAY_MS = 86_400_000;

/** Age at which signed and last-resort keys are replaced. Higher: a stolen key opens more first messages. */
const ROTATE_AFTER_MS = 2 * DAY_MS;

/**
 * How long a replaced key is kept. Lower than the relay's retention (30 days, at most 45): first messages
 * that waited there can no longer be opened. Higher: a stolen device opens older first messages.
 */
const GRACE_MS = 46 * DAY_MS;

/** How long client ids are remembered; at least the relay's longest retention. */
export const SEEN_DAYS = 46;

/** Prekeys to store and to publish. */
interface Batch {
  readonly ledger: PrekeyLedger;
  readonly changes: StoreChanges<ClientExtra>;
  readonly upload: PrekeyUpload;
}

/** How many of each to make. */
interface Wanted {
  readonly oneTime: number;
  readonly kem: number;
  readonly signed: boolean;
  readonly lastResort: boolean;
}

/** Everything a new device publishes. */
export const FIRST_BATCH: Wanted = {
  oneTime: ONE_TIME_TARGET,
  kem: KEM_TARGET,
  signed: true,
  lastResort: true,
};

/** A ledger before the first key. Ids start at 1: 0 is what a missing field reads as. */
export const EMPTY_LEDGER: PrekeyLedger = {
  nextPreKeyId: 1,
  nextSignedPreKeyId: 1,
  nextKemPreKeyId: 1,
  signed: [],
  lastResort: [],
};

/** Make prekeys. Nothing is stored or sent. */
export function makePrekeys(
  crypto: CryptoProvider,
  identity: KeyPair,
  ledger: PrekeyLedger,
  wanted: Wanted,
  nowMs: number,
): Batch {
  const preKeys: PreKeyRecord[] = [];
  for (let i = 0; i < wanted.oneTime; i++) {
    preKeys.push(generatePreKey(crypto, ledger.nextPreKeyId + i));
  }
  const signedPreKeys: SignedPreKeyRecord[] = wanted.signed
    ? [generateSignedPreKey(crypto, identity, ledger.nextSignedPreKeyId, nowMs)]
    : [];
  const kem: KemPreKeyRecord[] = [];
  for (let i = 0; i < wanted.kem + (wanted.lastResort ? 1 : 0); i++) {
    kem.push(generateKemPreKey(crypto, identity, ledger.nextKemPreKeyId + i, nowMs));
  }
  const lastResort = wanted.lastResort ? kem[wanted.kem] : undefined;
  const signed = signedPreKeys[0];
  return {
    ledger: {
      nextPreKeyId: ledger.nextPreKeyId + preKeys.length,
      nextSignedPreKeyId: ledger.nextSignedPreKeyId + signedPreKeys.length,
      nextKemPreKeyId: ledger.nextKemPreKeyId + kem.length,
      signed: signed ? [...ledger.signed, { id: signed.id, createdAtMs: nowMs }] : ledger.signed,
      lastResort: lastResort
        ? [...ledger.lastResort, { id: lastResort.id, createdAtMs: nowMs }]
        : ledger.lastResort,
    },
    changes: {
      preKeys: preKeys.map((key) => ({ id: key.id, record: encodePreKeyRecord(key) })),
      signedPreKeys: signedPreKeys.map((key) => ({
        id: key.id,
        record: encodeSignedPreKeyRecord(key),
      })),
      kemPreKeys: kem.map((key) => ({
        id: key.id,
        record: encodeKemPreKeyRecord(key),
        kind: key === lastResort ? ('last-resort' as const) : ('one-time' as const),
      })),
    },
    upload: {
      oneTime: preKeys.map(({ id, keyPair }) => ({ id, public: keyPair.public })),
      kem: kem.filter((key) => key !== lastResort).map(toPublic),
      ...(signed && { signed: toPublic(signed) }),
      ...(lastResort && { lastResortKem: toPublic(lastResort) }),
    },
  };
}

/** Replaced keys whose grace period is over, and the ledger without them. The newest always stays. */
export function expiredPrekeys(
  ledger: PrekeyLedger,
  nowMs: number,
): {
  readonly ledger: PrekeyLedger;
  readonly signed: readonly number[];
  readonly lastResort: readonly number[];
} {
  // A key is out of use from the day its successor was made, so that day starts its grace period.
  const isOver = (keys: readonly DatedKey[], index: number): boolean => {
    const successor = keys[index + 1];
    return successor !== undefined && nowMs - successor.createdAtMs > GRACE_MS;
  };
  const split = (keys: readonly DatedKey[]): readonly [DatedKey[], number[]] => [
    keys.filter((_, index) => !isOver(keys, index)),
    keys.filter((_, index) => isOver(keys, index)).map(({ id }) => id),
  ];
  const [signedKept, signed] = split(ledger.signed);
  const [lastResortKept, lastResort] = split(ledger.lastResort);
  return {
    ledger: { ...ledger, signed: signedKept, lastResort: lastResortKept },
    signed,
    lastResort,
  };
}

/** What upkeep needs. */
export interface UpkeepOptions {
  readonly crypto: CryptoProvider;
  readonly store: ClientStore;
  /** What the relay said its epoch is. */
  readonly epoch: number;
  now(): number;
  /** Patient: asks again while the relay is busy. */
  ask(op: RequestOp): Promise<ResponseItem>;
}

/**
 * One round, with the connection open: see what the relay has left and bring it up to the mark.
 *
 * @throws NetworkError, StoreError; the next round mends it.
 */
export async function tendPrekeys(options: UpkeepOptions): Promise<void> {
  const { crypto, store, ask } = options;
  const profile = await store.loadProfile();
  if (profile === undefined) return;
  const nowMs = options.now();
  const answer = await ask({ kind: 'prekeyCount' });
  if (answer.code !== 'CONFIRMED' || answer.body.kind !== 'prekeyCounts') {
    throw new NetworkError('NET_REFUSED', `relay answers ${answer.code}`);
  }
  const { oneTime, kem, signedId, lastResortKemId } = answer.body;
  // After a restore the relay may hold keys from before its backup: everything is published anew.
  const isNewEpoch = profile.relayEpoch !== options.epoch;
  const isLow = (left: number, low: number): boolean => isNewEpoch || left < low;
  const wanted: Wanted = {
    oneTime: isLow(oneTime, ONE_TIME_LOW) ? Math.max(0, ONE_TIME_TARGET - oneTime) : 0,
    kem: isLow(kem, KEM_LOW) ? Math.max(0, KEM_TARGET - kem) : 0,
    signed: isNewEpoch || isDue(profile.prekeys.signed, signedId, nowMs),
    lastResort: isNewEpoch || isDue(profile.prekeys.lastResort, lastResortKemId, nowMs),
  };
  await deleteExpired(store, profile, nowMs);
  if (wanted.oneTime === 0 && wanted.kem === 0 && !wanted.signed && !wanted.lastResort) return;
  await publishPrekeys(options, crypto, wanted);
}

/** Make, commit and publish prekeys. Throws as `tendPrekeys`. */
export async function publishPrekeys(
  options: UpkeepOptions,
  crypto: CryptoProvider,
  wanted: Wanted,
): Promise<void> {
  const profile = await options.store.loadProfile();
  if (profile === undefined) return;
  const batch = makePrekeys(crypto, profile.identity, profile.prekeys, wanted, options.now());
  await options.store.commit({
    ...batch.changes,
    extra: { profile: { ...profile, prekeys: batch.ledger } },
  });
  const answer = await options.ask({ kind: 'putPrekeys', prekeys: batch.upload });
  if (answer.code !== 'CONFIRMED') {
    throw new NetworkError('NET_REFUSED', `relay answers ${answer.code} to new prekeys`);
  }
  const published = await options.store.loadProfile();
  if (published === undefined || published.relayEpoch === options.epoch) return;
  await options.store.commit({ extra: { profile: { ...published, relayEpoch: options.epoch } } });
}

async function deleteExpired(store: ClientStore, profile: Profile, nowMs: number): Promise<void> {
  const expired = expiredPrekeys(profile.prekeys, nowMs);
  await store.commit({
    removedSignedPreKeys: expired.signed,
    removedKemPreKeys: expired.lastResort,
    extra: {
      seenBeforeDay: Math.floor(nowMs / DAY_MS) - SEEN_DAYS,
      ...(expired.signed.length + expired.lastResort.length > 0 && {
        profile: { ...profile, prekeys: expired.ledger },
      }),
    },
  });
}

/** Old, or not the one the relay has: its upload got lost, or the relay came back from a backup. */
function isDue(keys: readonly DatedKey[], publishedId: number, nowMs: number): boolean {
  const newest = keys.at(-1);
  if (newest === undefined || newest.id !== publishedId) return true;
  // Of a key that was made while the clock was far ahead nobody knows the age: it must not stay until then.
  return Math.abs(nowMs - newest.createdAtMs) > ROTATE_AFTER_MS;
}

function toPublic(key: SignedPreKeyRecord | KemPreKeyRecord): {
  readonly id: number;
  readonly public: Uint8Array<ArrayBuffer>;
  readonly signature: Uint8Array<ArrayBuffer>;
} {
  return { id: key.id, public: key.keyPair.public, signature: key.signature };
}
