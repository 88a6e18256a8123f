/**
 * 13 Relay §8. Options of a relay, checked and frozen, with their defaults.
 */
import { MAX_ENVELOPE_BYTES, MAX_FRAME_BYTES } from '@qasid/protocol/envelope';
import { RelayError } from './errors.js';
import type { LogLevel } from './observe/log.js';
import type { BucketRule } from './protocol/quota.js';

/** Token buckets: how much at once (`burst`) and how much per second after that. */
export interface Quotas {
  /** Sends, per device. */
  readonly sends: BucketRule;
  /** Bytes of envelopes, per receiving account. */
  readonly inboundBytes: BucketRule;
  /** Prekey requests, per requesting device and target account. */
  readonly prekeysPerPair: BucketRule;
  /** Prekey requests, per target account; beyond it only last-resort keys are handed out. */
  readonly prekeysPerTarget: BucketRule;
  /** Uploads of prekeys and device lists, per device. */
  readonly uploads: BucketRule;
  /** User name and device look-ups, per device. */
  readonly lookups: BucketRule;
  /** The same, all devices together. */
  readonly lookupsTotal: BucketRule;
  /** New accounts, per network prefix; not applied while listening on a loopback address only. */
  readonly registrations: BucketRule;
  /** New accounts, altogether. */
  readonly registrationsTotal: BucketRule;
  /** Failed proofs, per network prefix and device. */
  readonly failedAuth: BucketRule;
}

/** Everything that can be set. */
export interface RelayConfig {
  /** Address to listen on. */
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  /** Where the SQLite store lives; needed unless `store` is `memory`. */
  readonly directory: string | undefined;
  readonly store: 'sqlite' | 'memory';
  /** Which thread commits. */
  readonly storeThread: 'main' | 'worker';
  readonly synchronous: 'FULL' | 'NORMAL';
  /** `auto`: uWebSockets.js, or `ws` when that does not load here. */
  readonly transport: 'auto' | 'uws' | 'ws';
  readonly logLevel: LogLevel;
  readonly retentionDays: number;
  readonly devicesMax: number;
  /** Refuse bodies that have none of the sizes of chapter 12 §5. */
  readonly requirePadding: boolean;
  /** What one mailbox may hold. */
  readonly mailboxEnvelopesMax: number;
  readonly mailboxBytesMax: number;
  /** One-time prekeys at which their owner is told. */
  readonly prekeysLow: number;
  readonly windowEnvelopes: number;
  readonly windowBytes: number;
  readonly creditParts: number;
  readonly creditBytes: number;
  /** Bytes waiting in a socket at which delivery pauses. */
  readonly outBufferBytes: number;
  /** A full window without any acknowledgement for so long closes the socket, in milliseconds. */
  readonly ackTimeoutMs: number;
  readonly quotas: Quotas;
}

/** What a caller gives: everything has a default, `directory` for the SQLite store excepted. */
export type RelayOptions = Partial<Omit<RelayConfig, 'quotas'>> & {
  readonly quotas?: Partial<Quotas>;
};

/** Defaults, with the reasons in spec/13-relay.md §6 and §8. */
export const DEFAULT_CONFIG: RelayConfig = Object.freeze({
  host: '127.0.0.1',
  port: 7443,
  directory: undefined,
  store: 'sqlite',
  storeThread: 'main',
  synchronous: 'FULL',
  transport: 'auto',
  logLevel: 'warn',
  retentionDays: 30,
  devicesMax: 8,
  requirePadding: true,
  mailboxEnvelopesMax: 10_000,
  mailboxBytesMax: 64 * 1024 * 1024,
  prekeysLow: 10,
  windowEnvelopes: 256,
  windowBytes: 1_048_576,
  creditParts: 64,
  creditBytes: 1_048_576,
  outBufferBytes: 262_144,
  ackTimeoutMs: 60_000,
  quotas: Object.freeze({
    sends: { burst: 120, perSecond: 2 },
    inboundBytes: { burst: 128 * 1024 * 1024, perSecond: 2 * 1024 * 1024 },
    prekeysPerPair: { burst: 6, perSecond: 1 / 600 },
    prekeysPerTarget: { burst: 60, perSecond: 1 / 60 },
    uploads: { burst: 30, perSecond: 0.1 },
    lookups: { burst: 60, perSecond: 0.2 },
    lookupsTotal: { burst: 2_000, perSecond: 50 },
    registrations: { burst: 6, perSecond: 1 / 120 },
    registrationsTotal: { burst: 1_000, perSecond: 5 },
    failedAuth: { burst: 10, perSecond: 1 / 60 },
  }),
});

/** Quotas that never refuse: for load tests, and for nothing that is reachable by others. */
export const NO_QUOTAS: Quotas = Object.freeze(
  Object.fromEntries(
    Object.keys(DEFAULT_CONFIG.quotas).map((name) => [name, { burst: 1e12, perSecond: 1e12 }]),
  ) as unknown as Quotas,
);

/** Check options and fill in defaults. @throws RelayError `RELAY_CONFIG` naming the option. */
export function checkConfig(options: RelayOptions): RelayConfig {
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  );
  const unknown = Object.keys(given).find((name) => !(name in DEFAULT_CONFIG));
  if (unknown !== undefined) throw wrong(unknown, 'is not an option');
  const config: RelayConfig = {
    ...DEFAULT_CONFIG,
    ...given,
    quotas: { ...DEFAULT_CONFIG.quotas, ...options.quotas },
  };
  if (config.store === 'sqlite' && !config.directory) {
    throw wrong('directory', 'is needed for the SQLite store');
  }
  oneOf(config, 'store', ['sqlite', 'memory']);
  oneOf(config, 'storeThread', ['main', 'worker']);
  oneOf(config, 'synchronous', ['FULL', 'NORMAL']);
  oneOf(config, 'transport', ['auto', 'uws', 'ws']);
  oneOf(config, 'logLevel', ['trace', 'debug', 'info', 'warn', 'error', 'silent']);
  isFlag(config, 'requirePadding');
  inRange(config, 'port', 0, 65_535);
  inRange(config, 'retentionDays', 1, 45);
  inRange(config, 'devicesMax', 1, 127);
  inRange(config, 'mailboxEnvelopesMax', 1, 10_000_000);
  inRange(config, 'mailboxBytesMax', MAX_ENVELOPE_BYTES, 2 ** 40);
  inRange(config, 'prekeysLow', 0, 400);
  inRange(config, 'windowEnvelopes', 1, 4_096);
  inRange(config, 'windowBytes', MAX_ENVELOPE_BYTES, 2 ** 26);
  inRange(config, 'creditParts', 1, 4_096);
  inRange(config, 'creditBytes', MAX_FRAME_BYTES, 2 ** 26);
  inRange(config, 'outBufferBytes', 16_384, 2 ** 26);
  inRange(config, 'ackTimeoutMs', 100, 3_600_000);
  for (const [name, rule] of Object.entries(config.quotas)) {
    const isRule = rule.burst >= 1 && rule.perSecond >= 0;
    if (!isRule) throw wrong(`quotas.${name}`, 'needs burst >= 1 and perSecond >= 0');
  }
  return Object.freeze({ ...config, quotas: Object.freeze(config.quotas) });
}

type KeysOf<Value> = {
  [Key in keyof RelayConfig]: RelayConfig[Key] extends Value ? Key : never;
}[keyof RelayConfig];

function inRange(config: RelayConfig, name: KeysOf<number>, low: number, high: number): void {
  const value = config[name];
  if (!Number.isInteger(value) || value < low || value > high) {
    throw wrong(name, `must be a whole number from ${low} to ${high}`);
  }
}

function isFlag(config: RelayConfig, name: KeysOf<boolean>): void {
  if (typeof config[name] !== 'boolean') throw wrong(name, 'must be true or false');
}

function oneOf(config: RelayConfig, name: KeysOf<string>, values: readonly string[]): void {
  if (!values.includes(config[name])) throw wrong(name, `must be one of ${values.join(', ')}`);
}

function wrong(name: string, what: string): RelayError {
  return new RelayError('RELAY_CONFIG', `${name} ${what}`, `correct ${name}`);
}
