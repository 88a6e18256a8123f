/**
 * 13 Relay §8. Every option once: its section in the file, its kind, and what it is for.
 *
 * The name of an option follows from its key: `retentionDays` is `retention_days` in the file,
 * `QASID_RELAY_RETENTION_DAYS` in the environment and `--set retention_days=14` on the command line.
 */
import { MAX_ENVELOPE_BYTES, MAX_FRAME_BYTES } from '@qasid/protocol/envelope';
import type { Quotas, RelayConfig } from '../config.js';
import { DANGERS } from './dangers.js';

/** What an option's value may be. */
export type OptionKind =
  | { readonly type: 'text' }
  /** A file or directory; in the file, relative to the file. */
  | { readonly type: 'path' }
  | { readonly type: 'number'; readonly low: number; readonly high: number }
  | { readonly type: 'choice'; readonly values: readonly string[] }
  | { readonly type: 'flag' }
  /** Texts; with `values`, only these. */
  | { readonly type: 'list'; readonly values?: readonly string[] }
  | { readonly type: 'quotas' };

/** One option. */
export interface OptionSpec {
  readonly section: Section;
  readonly kind: OptionKind;
  /** For people: what it is for, with its unit. Never a full stop at the end. */
  readonly about: string;
  /** Shown as `(redacted)` wherever the configuration is printed. */
  readonly isSecret?: true;
}

/** The sections of the file, in order. */
export const SECTIONS = {
  network: 'where clients connect',
  store: 'what is kept, and how safely',
  accounts: 'who may have an account',
  mailboxes: 'how much waits, and how long',
  documents: 'blobs and records: what clients keep here, encrypted',
  calls: 'the TURN server of the deployment',
  delivery: 'windows and credits of one connection',
  quotas: 'token buckets: how much at once (burst), and how much per second after that',
  push: 'waking devices that are away, without a word',
  operation: 'logs, and what the operator has to confirm',
} as const;

/** A section of the file. */
export type Section = keyof typeof SECTIONS;

const choice = (...values: readonly string[]): OptionKind => ({ type: 'choice', values });
const number = (low: number, high: number): OptionKind => ({ type: 'number', low, high });

/** All options. A key of `RelayConfig` without an entry here does not compile. */
export const OPTIONS: { readonly [Key in keyof RelayConfig]: OptionSpec } = {
  host: {
    section: 'network',
    kind: { type: 'text' },
    about: 'address to listen on; 0.0.0.0 or :: for all of this machine',
  },
  port: { section: 'network', kind: number(0, 65_535), about: 'port; 0 for any free one' },
  transport: {
    section: 'network',
    kind: choice('auto', 'uws', 'ws'),
    about: 'auto: uWebSockets.js, or ws where that does not load',
  },
  tlsCert: {
    section: 'network',
    kind: { type: 'path' },
    about: 'certificate chain as PEM; read again on SIGHUP, and when it changes',
  },
  tlsKey: {
    section: 'network',
    kind: { type: 'path' },
    about: 'its private key as PEM, not readable by others',
  },
  trustProxy: {
    section: 'network',
    kind: { type: 'flag' },
    about: 'a proxy in front does TLS and names the client in X-Forwarded-For',
  },
  proxyAddresses: {
    section: 'network',
    kind: { type: 'list' },
    about: 'addresses and networks (10.0.0.0/8) of that proxy; nobody else is believed',
  },
  directory: {
    section: 'store',
    kind: { type: 'path' },
    about: "the relay's own directory, on a local disk",
  },
  store: { section: 'store', kind: choice('sqlite', 'memory'), about: 'memory is for tests' },
  storeThread: { section: 'store', kind: choice('main', 'worker'), about: 'which thread commits' },
  synchronous: {
    section: 'store',
    kind: choice('FULL', 'NORMAL'),
    about: 'FULL: fsync before a send is confirmed',
  },
  devicesMax: { section: 'accounts', kind: number(1, 127), about: 'devices of one account' },
  registration: {
    section: 'accounts',
    kind: choice('open', 'invite', 'ticket', 'closed'),
    about: 'who may register: everybody, by invite, by ticket of your backend, nobody',
  },
  registrationWork: {
    section: 'accounts',
    kind: choice('auto', 'on', 'off'),
    about: 'whether an open registration costs a moment of computing; auto: not on loopback',
  },
  ticketIssuer: {
    section: 'accounts',
    kind: { type: 'text' },
    about: 'iss of the tickets your backend signs',
  },
  ticketAudience: {
    section: 'accounts',
    kind: { type: 'text' },
    about: 'aud of the tickets: a name for this relay',
  },
  ticketKeyFile: {
    section: 'accounts',
    kind: { type: 'path' },
    about: 'public Ed25519 keys of your backend, JWK set or PEM',
  },
  ticketMaxSeconds: {
    section: 'accounts',
    kind: number(10, 86_400),
    about: 'seconds a ticket may live at most',
  },
  idleDays: {
    section: 'accounts',
    kind: number(46, 3_650),
    about: 'days a device may stay away before nothing is stored for it',
  },
  usernameHoldDays: {
    section: 'accounts',
    kind: number(0, 3_650),
    about: 'days in which a user name that was given up belongs to nobody',
  },
  tokensMax: {
    section: 'accounts',
    kind: number(0, 4_096),
    about: 'delivery tokens and inlets of one account',
  },
  prekeysLow: {
    section: 'accounts',
    kind: number(0, 400),
    about: 'one-time prekeys left at which their owner is told',
  },
  retentionDays: {
    section: 'mailboxes',
    kind: number(1, 45),
    about: 'days an envelope waits for its device, then it is deleted',
  },
  mailboxEnvelopesMax: {
    section: 'mailboxes',
    kind: number(1, 10_000_000),
    about: 'envelopes that may wait for one device; then senders are told MAILBOX_FULL',
  },
  mailboxBytesMax: {
    section: 'mailboxes',
    kind: number(MAX_ENVELOPE_BYTES, 2 ** 40),
    about: 'bytes that may wait for one device',
  },
  requirePadding: {
    section: 'mailboxes',
    kind: { type: 'flag' },
    about: 'refuse bodies whose size tells more than their bucket',
  },
  multiRecipient: {
    section: 'mailboxes',
    kind: { type: 'flag' },
    about: 'take one message for many recipients; it shows who was written to together',
  },
  anonymousSocketsMax: {
    section: 'delivery',
    kind: number(1, 1_000_000),
    about: 'anonymous sockets of one network prefix',
  },
  anonymousIdleMs: {
    section: 'delivery',
    kind: number(100, 3_600_000),
    about: 'milliseconds without a request after which an anonymous socket is closed',
  },
  windowEnvelopes: {
    section: 'delivery',
    kind: number(1, 4_096),
    about: 'envelopes sent to a device and not acknowledged',
  },
  windowBytes: {
    section: 'delivery',
    kind: number(MAX_ENVELOPE_BYTES, 2 ** 26),
    about: 'the same in bytes',
  },
  creditParts: {
    section: 'delivery',
    kind: number(1, 4_096),
    about: 'envelopes a client may send before it has an answer',
  },
  creditBytes: {
    section: 'delivery',
    kind: number(MAX_FRAME_BYTES, 2 ** 26),
    about: 'the same in bytes',
  },
  outBufferBytes: {
    section: 'delivery',
    kind: number(16_384, 2 ** 26),
    about: 'bytes waiting in a socket at which its delivery pauses',
  },
  eagerPush: {
    section: 'delivery',
    kind: { type: 'flag' },
    about: 'hand an envelope to devices that are online while it is being written to disk',
  },
  ackTimeoutMs: {
    section: 'delivery',
    kind: number(100, 3_600_000),
    about: 'milliseconds without acknowledgement after which a full window closes the socket',
  },
  blobStore: {
    section: 'documents',
    kind: choice('files', 's3'),
    about: 'where the bytes of blobs are: files below the directory, or an S3-compatible store',
  },
  s3Endpoint: {
    section: 'documents',
    kind: { type: 'text' },
    about: 'URL of the store, without the bucket',
  },
  s3Bucket: { section: 'documents', kind: { type: 'text' }, about: 'name of the bucket' },
  s3Region: { section: 'documents', kind: { type: 'text' }, about: 'region to sign for' },
  s3Prefix: {
    section: 'documents',
    kind: { type: 'text' },
    about: 'what comes before the name of every object',
  },
  s3AccessKey: { section: 'documents', kind: { type: 'text' }, about: 'name of the access key' },
  s3SecretFile: {
    section: 'documents',
    kind: { type: 'path' },
    about: 'file with the secret of the access key, mode 0600',
  },
  blobBytesMax: {
    section: 'documents',
    kind: number(1, 2 ** 40),
    about: 'bytes of the largest blob',
  },
  blobQuotaBytes: {
    section: 'documents',
    kind: number(1, 2 ** 50),
    about: 'bytes of blobs that one account may have in all',
  },
  blobUploadsMax: {
    section: 'documents',
    kind: number(1, 1_000),
    about: 'unfinished uploads of one account',
  },
  blobDays: {
    section: 'documents',
    kind: number(1, 365),
    about: 'days a blob is kept when its owner does not say',
  },
  blobDaysMax: {
    section: 'documents',
    kind: number(1, 365),
    about: 'days from now that an owner may ask for',
  },
  blobFloorBytes: {
    section: 'documents',
    kind: number(0, 2 ** 50),
    about: 'free bytes of the disk below which blobs are refused; never more than a tenth of it',
  },
  blobReadTicket: {
    section: 'documents',
    kind: { type: 'flag' },
    about: 'reading a blob needs a ticket of a member beside its id',
  },
  blobOrigins: {
    section: 'documents',
    kind: { type: 'list' },
    about: 'web origins whose pages may use blobs; none listed: all',
  },
  recordDays: {
    section: 'documents',
    kind: number(1, 3_650),
    about: 'days after which a record that nobody used is deleted',
  },
  turnUrls: {
    section: 'calls',
    kind: { type: 'list' },
    about: 'turn: and turns: URLs, as clients use them; none: no calls through a server',
  },
  turnSecretFile: {
    section: 'calls',
    kind: { type: 'path' },
    about: 'file with the static-auth-secret of the TURN server, mode 0600',
  },
  turnTtlSeconds: {
    section: 'calls',
    kind: number(60, 86_400),
    about: 'seconds that TURN credentials hold',
  },
  quotas: { section: 'quotas', kind: { type: 'quotas' }, about: 'token buckets' },
  adminSocket: {
    section: 'operation',
    kind: { type: 'path' },
    about: "the operator's Unix socket, like admin.sock; without it there is none",
  },
  adminPort: {
    section: 'operation',
    kind: number(0, 65_535),
    about: "the operator's port on 127.0.0.1, with a key in admin.key; without it there is none",
  },
  logLevel: {
    section: 'operation',
    kind: choice('trace', 'debug', 'info', 'warn', 'error', 'silent'),
    about: 'lines below this level are not written',
  },
  metricsHost: {
    section: 'operation',
    kind: { type: 'text' },
    about: 'address of the metrics listener: /metrics, /livez, /readyz',
  },
  metricsPort: {
    section: 'operation',
    kind: number(0, 65_535),
    about: 'its port, like 9464; without one there is no such listener',
  },
  diskFloorBytes: {
    section: 'operation',
    kind: number(0, 2 ** 50),
    about: 'free bytes on the data disk below which the relay is not ready',
  },
  drainJitterMs: {
    section: 'operation',
    kind: number(0, 300_000),
    about: 'milliseconds over which clients come back after a restart, at most',
  },
  drainLimitMs: {
    section: 'operation',
    kind: number(1_000, 3_600_000),
    about: 'milliseconds a drain may take; what is under way then ends',
  },
  pushContact: {
    section: 'push',
    kind: { type: 'text' },
    about: 'mailto: or https: address for push services; Web Push is off without one',
  },
  pushHosts: {
    section: 'push',
    kind: { type: 'list' },
    about: 'hosts of push services that devices may name; *.example.org is every name below it',
  },
  pushWebhookUrl: {
    section: 'push',
    kind: { type: 'text' },
    about: 'https address of your own push gateway',
  },
  pushWebhookSecretFile: {
    section: 'push',
    kind: { type: 'path' },
    about: 'file with the secret shared with that gateway, 16 bytes or more',
  },
  iKnow: {
    section: 'operation',
    kind: { type: 'list', values: Object.keys(DANGERS) },
    about: 'dangerous settings that are meant',
  },
};

/** What each quota limits. */
export const QUOTA_ABOUT: { readonly [Name in keyof Quotas]: string } = {
  sends: 'sends, per device',
  inboundBytes: 'bytes of envelopes, per receiving account',
  prekeysPerPair: 'prekey requests, per requesting device and target account',
  prekeysPerTarget: 'prekey requests, per target account',
  uploads: 'uploads of prekeys and device lists, per device',
  lookups: 'user name and device look-ups, per device',
  lookupsTotal: 'the same, all devices together',
  registrations: 'new accounts, per network prefix',
  registrationsTotal: 'new accounts, altogether',
  links: 'devices that join, per network prefix',
  rendezvous: 'messages of a rendezvous, per network prefix',
  rendezvousTotal: 'the same, altogether',
  failedAuth: 'failed proofs, per network prefix and device',
  recordReads: 'reads of records, per device or network prefix',
  recordWrites: 'changes of records, per device or network prefix',
  recordCreates: 'new records, per device',
  recordsAnonymous: 'requests about records without an account, altogether',
  blobRequests: 'requests about blobs on the socket, per device',
  blobBytes: 'uploaded bytes of blobs, per account',
  blobReads: 'downloaded bytes of blobs, per account with a ticket, else per network prefix',
  turn: 'credentials for TURN, per device',
  tokens: 'changes of delivery tokens and inlets, per account',
  sealedPerToken: 'anonymous sends, per delivery token or inlet',
  sealedPerAddress: 'anonymous requests, per network prefix',
};

/** `retentionDays` → `retention_days`. */
export function snakeCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The key of `name` as it stands in a file, if it is one. */
export function optionNamed(name: string): keyof RelayConfig | undefined {
  return OPTION_KEYS.find((key) => snakeCase(key) === name);
}

/** The quota of `name` as it stands in a file, if it is one. */
export function quotaNamed(name: string): keyof Quotas | undefined {
  return QUOTA_KEYS.find((key) => snakeCase(key) === name);
}

/** All keys, in the order of the file. */
export const OPTION_KEYS: readonly (keyof RelayConfig)[] = keysOf(OPTIONS);

/** All quotas, in the order of the file. */
export const QUOTA_KEYS: readonly (keyof Quotas)[] = keysOf(QUOTA_ABOUT);

function keysOf<T extends object>(value: T): readonly (keyof T)[] {
  return Object.keys(value) as (keyof T)[];
}
