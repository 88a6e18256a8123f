/**
 * 13 Relay. What the services share: the store behind its commit queue, the clock, the budgets.
 */
import { createHmac } from 'node:crypto';
import type { RelayId } from '@qasid/protocol/envelope';
import { StoreError } from '@qasid/protocol/envelope';
import type { Bus } from '../bus.js';
import type { Clock } from '../clock.js';
import type { RelayConfig } from '../config.js';
import type { RelayCrypto } from '../crypto.js';
import type { Log } from '../observe/log.js';
import type { Metrics } from '../observe/metrics.js';
import { type BucketRule, BucketTable } from '../protocol/quota.js';
import { type Reply, refused } from '../protocol/replies.js';
import type { GroupCommit } from '../store/group-commit.js';
import type { RelayStore } from '../store/port.js';
import { isLoopback } from '../transport/loopback.js';

/** Shared by all services of one relay. */
export interface Context {
  readonly config: RelayConfig;
  readonly relayId: RelayId;
  /** Of the data: another one means that it came back from a backup. */
  readonly epoch: number;
  readonly store: RelayStore;
  readonly writer: GroupCommit;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly crypto: RelayCrypto;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly budgets: Budgets;
  /** No new sends: the relay is going down. */
  isDraining: boolean;
}

/** The token buckets of a relay, all in memory. */
export interface Budgets {
  readonly sends: BucketTable;
  readonly inboundBytes: BucketTable;
  readonly prekeysPerPair: BucketTable;
  readonly prekeysPerTarget: BucketTable;
  readonly uploads: BucketTable;
  readonly lookups: BucketTable;
  readonly lookupsTotal: BucketTable;
  readonly registrations: BucketTable | undefined;
  readonly registrationsTotal: BucketTable;
  readonly links: BucketTable | undefined;
  readonly rendezvous: BucketTable | undefined;
  readonly rendezvousTotal: BucketTable;
  readonly failedAuth: BucketTable;
  readonly recordReads: BucketTable;
  readonly recordWrites: BucketTable;
  readonly recordCreates: BucketTable;
  readonly recordsAnonymous: BucketTable;
  readonly blobRequests: BucketTable;
  readonly blobBytes: BucketTable;
  readonly blobReads: BucketTable;
  readonly turn: BucketTable;
  readonly tokens: BucketTable;
  readonly sealedPerToken: BucketTable;
  readonly sealedPerAddress: BucketTable | undefined;
  /** Listening on loopback without a proxy: all peers look the same. */
  readonly hasOneAddress: boolean;
}

/** Fresh budgets. */
export function createBudgets(config: RelayConfig): Budgets {
  const { quotas, host, trustProxy } = config;
  const hasOneAddress = isLoopback(host) && !trustProxy;
  // Behind a loopback address everybody has the same one: a limit per address would be a limit for all.
  const perAddress = (rule: BucketRule): BucketTable | undefined =>
    hasOneAddress ? undefined : new BucketTable(rule);
  return {
    sends: new BucketTable(quotas.sends),
    inboundBytes: new BucketTable(quotas.inboundBytes),
    prekeysPerPair: new BucketTable(quotas.prekeysPerPair),
    prekeysPerTarget: new BucketTable(quotas.prekeysPerTarget),
    uploads: new BucketTable(quotas.uploads),
    lookups: new BucketTable(quotas.lookups),
    lookupsTotal: new BucketTable(quotas.lookupsTotal, 1),
    registrations: perAddress(quotas.registrations),
    registrationsTotal: new BucketTable(quotas.registrationsTotal, 1),
    links: perAddress(quotas.links),
    rendezvous: perAddress(quotas.rendezvous),
    rendezvousTotal: new BucketTable(quotas.rendezvousTotal, 1),
    failedAuth: new BucketTable(quotas.failedAuth),
    recordReads: new BucketTable(quotas.recordReads),
    recordWrites: new BucketTable(quotas.recordWrites),
    recordCreates: new BucketTable(quotas.recordCreates),
    recordsAnonymous: new BucketTable(quotas.recordsAnonymous, 1),
    blobRequests: new BucketTable(quotas.blobRequests),
    blobBytes: new BucketTable(quotas.blobBytes),
    blobReads: new BucketTable(quotas.blobReads),
    turn: new BucketTable(quotas.turn),
    tokens: new BucketTable(quotas.tokens),
    sealedPerToken: new BucketTable(quotas.sealedPerToken),
    sealedPerAddress: hasOneAddress ? undefined : new BucketTable(quotas.sealedPerAddress),
    hasOneAddress,
  };
}

/** Days since 1970. */
export function dayOf(clock: Clock): number {
  return Math.floor(clock.nowMs() / DAY_MS);
}

/** Whether a device may upload now; checking signatures and rewriting pages is the dearest work there is. */
export function limitUpload(context: Context, mailbox: number): Reply | undefined {
  const { budgets, clock, isDraining } = context;
  if (isDraining) return refused('DRAINING', 2_000);
  const wait = budgets.uploads.take(String(mailbox), 1, clock.monotonicMs());
  return wait > 0 ? refused('RATE_LIMITED', wait) : undefined;
}

/** The answer when the store could not: it may be tried again, since nothing has happened. */
export function storeRefusal(context: Context, error: unknown): Reply {
  if (!(error instanceof StoreError)) {
    const errorClass = error instanceof Error ? error.name : 'unknown';
    context.log.write('error', 'REQUEST_FAULT', { errorClass });
    return refused('UNAVAILABLE', 5_000);
  }
  return refused('UNAVAILABLE', error.code === 'STORE_FULL' ? 5_000 : 1_000);
}

/**
 * Turns a peer's address into the key of its budgets: an HMAC of its network prefix (/24, /56) under a key
 * that lives in memory and changes every day. The address itself goes no further.
 */
export class AddressKeys {
  readonly #crypto: RelayCrypto;
  readonly #clock: Clock;
  #key: Uint8Array;
  #madeMs: number;

  constructor(crypto: RelayCrypto, clock: Clock) {
    this.#crypto = crypto;
    this.#clock = clock;
    this.#key = crypto.randomBytes(32);
    this.#madeMs = clock.monotonicMs();
  }

  of(address: string): string {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#madeMs > DAY_MS) {
      this.#key = this.#crypto.randomBytes(32);
      this.#madeMs = nowMs;
    }
    const mac = createHmac('sha256', this.#key).update(networkPrefix(address)).digest();
    return mac.toString('base64url', 0, 12);
  }
}

/** The /24 of an IPv4 address or the /56 of an IPv6 address, as text. */
export function networkPrefix(address: string): string {
  const mapped = /^(?:.*:)?((?:\d{1,3}\.){3})\d{1,3}$/.exec(address);
  if (mapped?.[1] !== undefined) return mapped[1];
  const [head = '', tail] = address.split('::', 2);
  const groups = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  while (groups.length + last.length < 8) groups.push('0');
  const all = [...groups, ...last].map((group) => Number.parseInt(group, 16) || 0);
  return `${all.slice(0, 3).join(':')}:${(all[3] ?? 0) & 0xff00}`;
}

const DAY_MS = 24 * 60 * 60 * 1000;
