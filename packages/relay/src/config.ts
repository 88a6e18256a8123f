/**
 * 13 Relay §8. Options of a relay, with their defaults. Each also has an entry in config/options.ts: its
 * section in the file, its kind, and what it is for. config/check.ts checks them.
 */
import type { Danger } from './config/dangers.js';
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
  /** Devices that join, per network prefix; not applied while listening on a loopback address only. */
  readonly links: BucketRule;
  /** Messages put into a rendezvous and fetched from one, per network prefix; the same exception. */
  readonly rendezvous: BucketRule;
  /** The same, altogether. */
  readonly rendezvousTotal: BucketRule;
  /** Failed proofs, per network prefix and device. */
  readonly failedAuth: BucketRule;
  /** Reads of records, per device or network prefix. */
  readonly recordReads: BucketRule;
  /** Changes of records, per device or network prefix. */
  readonly recordWrites: BucketRule;
  /** New records, per device. */
  readonly recordCreates: BucketRule;
  /** All requests about records without an account, together. */
  readonly recordsAnonymous: BucketRule;
  /** Requests about blobs on the socket, per device. */
  readonly blobRequests: BucketRule;
  /** Uploaded bytes, per account. */
  readonly blobBytes: BucketRule;
  /** Downloaded bytes, per account with a ticket, else per network prefix. */
  readonly blobReads: BucketRule;
  /** Credentials for TURN, per device. */
  readonly turn: BucketRule;
  /** Registering and removing delivery tokens and inlets, per account. */
  readonly tokens: BucketRule;
  /** Anonymous sends, per delivery token or inlet. */
  readonly sealedPerToken: BucketRule;
  /** Anonymous requests, per network prefix; not applied while listening on a loopback address only. */
  readonly sealedPerAddress: BucketRule;
}

/** Everything that can be set. */
export interface RelayConfig {
  /** Address to listen on. */
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  /** Certificate chain and private key, PEM; both or none. */
  readonly tlsCert: string | undefined;
  readonly tlsKey: string | undefined;
  /** Whether a proxy stands in front, which does TLS and names the client in `X-Forwarded-For`. */
  readonly trustProxy: boolean;
  /** Addresses and networks of that proxy; others are not believed. */
  readonly proxyAddresses: readonly string[];
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
  /**
   * Who may register: everybody, who has an invite, whom the host application's backend gives a ticket, nobody.
   */
  readonly registration: 'open' | 'invite' | 'ticket' | 'closed';
  /** Whether an open registration costs work. `auto`: not while listening on a loopback address only. */
  readonly registrationWork: 'auto' | 'on' | 'off';
  /** `iss` and `aud` of tickets, the file with the public keys, and their longest life. */
  readonly ticketIssuer: string | undefined;
  readonly ticketAudience: string | undefined;
  readonly ticketKeyFile: string | undefined;
  readonly ticketMaxSeconds: number;
  /** Days without a proof after which nothing is stored for a device any more. */
  readonly idleDays: number;
  /** Path of the operator's Unix socket; off without one. */
  readonly adminSocket: string | undefined;
  /** Port of the operator on 127.0.0.1, with a key in `admin.key`; off without one. */
  readonly adminPort: number | undefined;
  /** Days in which a user name that was given up belongs to nobody. */
  readonly usernameHoldDays: number;
  /** Take one message for many recipients and split it here. */
  readonly multiRecipient: boolean;
  /** Delivery tokens and inlets of one account. */
  readonly tokensMax: number;
  /** Anonymous sockets of one network prefix; not applied while listening on a loopback address only. */
  readonly anonymousSocketsMax: number;
  /** An anonymous socket that asks for nothing for so long is closed, in milliseconds. */
  readonly anonymousIdleMs: number;
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
  /** Push to devices that are online before the commit is durable; confirm only after. */
  readonly eagerPush: boolean;
  /** Where the bytes of blobs are: below `directory`, or in a bucket. */
  readonly blobStore: 'files' | 's3';
  /** URL of an S3-compatible store, its bucket and region, and what comes before every name. */
  readonly s3Endpoint: string | undefined;
  readonly s3Bucket: string | undefined;
  readonly s3Region: string;
  readonly s3Prefix: string;
  readonly s3AccessKey: string | undefined;
  /** File with the secret that belongs to `s3AccessKey`. */
  readonly s3SecretFile: string | undefined;
  /** Largest blob, in bytes. */
  readonly blobBytesMax: number;
  /** What an account may have in all, in bytes. */
  readonly blobQuotaBytes: number;
  /** Unfinished uploads of one account. */
  readonly blobUploadsMax: number;
  /** Days a whole blob is kept, and how many its owner may ask for. */
  readonly blobDays: number;
  readonly blobDaysMax: number;
  /** Free bytes of the disk below which blobs are refused; at most a tenth of the disk counts. */
  readonly blobFloorBytes: number;
  /** Whether reading needs a ticket beside the id: only members read. */
  readonly blobReadTicket: boolean;
  /** Web origins whose pages may use blobs; empty for all. */
  readonly blobOrigins: readonly string[];
  /** Days after which a record that nobody used is deleted. */
  readonly recordDays: number;
  /** `turn:` and `turns:` URLs for clients. Empty: none, and requests are answered `UNSUPPORTED`. */
  readonly turnUrls: readonly string[];
  /** File with the `static-auth-secret` of the TURN server. */
  readonly turnSecretFile: string | undefined;
  /** How long credentials hold, in seconds. */
  readonly turnTtlSeconds: number;
  /** Where Prometheus finds the metrics; off without a port. */
  readonly metricsHost: string;
  readonly metricsPort: number | undefined;
  /** Free bytes on the data disk below which the relay is not ready. */
  readonly diskFloorBytes: number;
  /** At a restart clients come back spread over at most so long, in milliseconds. */
  readonly drainJitterMs: number;
  /** How long a drain may take, in milliseconds. */
  readonly drainLimitMs: number;
  /** `mailto:` or `https:` contact for push services; Web Push is off without one. */
  readonly pushContact: string | undefined;
  /** Hosts of push services that devices may name; `*.example.org` is every name below it. */
  readonly pushHosts: readonly string[];
  /** The operator's own gateway to other push services, and the secret shared with it; both or none. */
  readonly pushWebhookUrl: string | undefined;
  readonly pushWebhookSecretFile: string | undefined;
  readonly quotas: Quotas;
  /** Dangerous settings that are meant; see `DANGERS`. */
  readonly iKnow: readonly Danger[];
}

/** What a caller gives: everything has a default, `directory` for the SQLite store excepted. */
export type RelayOptions = Partial<Omit<RelayConfig, 'quotas'>> & {
  readonly quotas?: Partial<Quotas>;
};

/** Defaults, with the reasons in spec/13-relay.md §6 and §8. */
export const DEFAULT_CONFIG: RelayConfig = Object.freeze({
  host: '127.0.0.1',
  port: 7443,
  tlsCert: undefined,
  tlsKey: undefined,
  trustProxy: false,
  proxyAddresses: Object.freeze(['127.0.0.1', '::1']),
  directory: undefined,
  store: 'sqlite',
  storeThread: 'main',
  synchronous: 'FULL',
  transport: 'auto',
  logLevel: 'warn',
  retentionDays: 30,
  devicesMax: 8,
  requirePadding: true,
  registration: 'open',
  registrationWork: 'auto',
  ticketIssuer: undefined,
  ticketAudience: undefined,
  ticketKeyFile: undefined,
  ticketMaxSeconds: 600,
  idleDays: 90,
  adminSocket: undefined,
  adminPort: undefined,
  usernameHoldDays: 30,
  multiRecipient: true,
  tokensMax: 1_000,
  anonymousSocketsMax: 64,
  anonymousIdleMs: 120_000,
  mailboxEnvelopesMax: 10_000,
  mailboxBytesMax: 64 * 1024 * 1024,
  prekeysLow: 10,
  windowEnvelopes: 256,
  windowBytes: 1_048_576,
  creditParts: 64,
  creditBytes: 1_048_576,
  outBufferBytes: 262_144,
  ackTimeoutMs: 60_000,
  eagerPush: false,
  blobStore: 'files',
  s3Endpoint: undefined,
  s3Bucket: undefined,
  s3Region: 'us-east-1',
  s3Prefix: 'qasid/',
  s3AccessKey: undefined,
  s3SecretFile: undefined,
  blobBytesMax: 2 * 1024 ** 3,
  blobQuotaBytes: 5 * 1024 ** 3,
  blobUploadsMax: 16,
  blobDays: 30,
  blobDaysMax: 365,
  blobFloorBytes: 5 * 1024 ** 3,
  blobReadTicket: false,
  blobOrigins: Object.freeze([]),
  recordDays: 400,
  turnUrls: Object.freeze([]),
  turnSecretFile: undefined,
  turnTtlSeconds: 1_800,
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
    links: { burst: 6, perSecond: 1 / 120 },
    rendezvous: { burst: 12, perSecond: 1 / 60 },
    rendezvousTotal: { burst: 1_000, perSecond: 5 },
    failedAuth: { burst: 10, perSecond: 1 / 60 },
    recordReads: { burst: 300, perSecond: 5 },
    recordWrites: { burst: 60, perSecond: 0.5 },
    recordCreates: { burst: 30, perSecond: 1 / 60 },
    recordsAnonymous: { burst: 2_000, perSecond: 100 },
    blobRequests: { burst: 120, perSecond: 1 },
    blobBytes: { burst: 1024 ** 3, perSecond: 1024 ** 2 },
    blobReads: { burst: 8 * 1024 ** 3, perSecond: 8 * 1024 ** 2 },
    turn: { burst: 10, perSecond: 1 / 60 },
    tokens: { burst: 200, perSecond: 0.5 },
    sealedPerToken: { burst: 60, perSecond: 1 },
    sealedPerAddress: { burst: 300, perSecond: 10 },
  }),
  metricsHost: '127.0.0.1',
  metricsPort: undefined,
  diskFloorBytes: 1024 * 1024 * 1024,
  drainJitterMs: 30_000,
  drainLimitMs: 60_000,
  pushContact: undefined,
  pushHosts: Object.freeze([
    'fcm.googleapis.com',
    'updates.push.services.mozilla.com',
    'web.push.apple.com',
    '*.notify.windows.com',
  ]),
  pushWebhookUrl: undefined,
  pushWebhookSecretFile: undefined,
  iKnow: Object.freeze([]),
});

/** Quotas that never refuse: for load tests, and for nothing that is reachable by others. */
export const NO_QUOTAS: Quotas = Object.freeze(
  Object.fromEntries(
    Object.keys(DEFAULT_CONFIG.quotas).map((name) => [name, { burst: 1e12, perSecond: 1e12 }]),
  ) as unknown as Quotas,
);
