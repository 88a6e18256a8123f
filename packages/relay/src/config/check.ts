/**
 * 13 Relay §8. Options checked as a whole: every value against its kind, and what must hold between them.
 */
import { MAX_TURN_URLS } from '@qasid/protocol/envelope';
import { DEFAULT_CONFIG, type Quotas, type RelayConfig, type RelayOptions } from '../config.js';
import { isLoopback } from '../transport/loopback.js';
import { parseNetwork } from '../transport/peer-address.js';
import { DANGERS, type Danger } from './dangers.js';
import { OPTION_KEYS, OPTIONS, type OptionKind, QUOTA_KEYS } from './options.js';
import { type ConfigProblem, failOn, unknownName } from './problems.js';

/** Where an option was set, for messages: the name as spelt there, and the place. */
export type NameOf = (key: string) => { readonly key: string; readonly place?: string } | undefined;

/** Check options and fill in defaults. @throws RelayError `RELAY_CONFIG`, listing every problem. */
export function checkConfig(options: RelayOptions, nameOf: NameOf = () => undefined): RelayConfig {
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  );
  const problems: ConfigProblem[] = Object.keys(given)
    .filter((name) => !Object.hasOwn(OPTIONS, name))
    .map((name) => unknownName(name, OPTION_KEYS));
  const add = (key: string, message: string, hint?: string): void => {
    const named = nameOf(key) ?? { key };
    problems.push({ ...named, message, hint: hint ?? `correct ${named.key}` });
  };
  failOn(problems);
  const config: RelayConfig = {
    ...DEFAULT_CONFIG,
    ...given,
    quotas: { ...DEFAULT_CONFIG.quotas, ...options.quotas },
  };
  for (const key of OPTION_KEYS) {
    const message = wrongValue(OPTIONS[key].kind, config[key]);
    if (message !== undefined) add(key, message);
  }
  checkQuotas(config.quotas, add);
  // What follows compares values with each other: they have to be values first.
  failOn(problems);
  checkTogether(config, add);
  failOn(problems);
  return Object.freeze({ ...config, quotas: Object.freeze(config.quotas) });
}

/** How the relay is run, as the operator's status and the log tell it. */
export interface Profile {
  /** `development`: only this machine reaches it. `acknowledged`: dangerous settings, named in `iKnow`. */
  readonly name: 'production' | 'acknowledged' | 'development';
  readonly dangers: readonly Danger[];
}

/** The profile of a checked configuration. */
export function profileOf(config: RelayConfig): Profile {
  const dangers = dangersOf(config);
  if (!isExposed(config)) return { name: 'development', dangers };
  return { name: dangers.length > 0 ? 'acknowledged' : 'production', dangers };
}

type Add = (key: string, message: string, hint?: string) => void;

/** What is wrong with `value`, or nothing. `undefined` is the default of options that may be absent. */
function wrongValue(kind: OptionKind, value: unknown): string | undefined {
  if (value === undefined) return undefined;
  switch (kind.type) {
    case 'text':
    case 'path':
      return typeof value === 'string' && value !== '' ? undefined : 'must be a text';
    case 'flag':
      return typeof value === 'boolean' ? undefined : 'must be true or false';
    case 'number': {
      const { low, high } = kind;
      const isGood = Number.isInteger(value) && Number(value) >= low && Number(value) <= high;
      return isGood ? undefined : `must be a whole number from ${low} to ${high}`;
    }
    case 'choice':
      return kind.values.includes(String(value))
        ? undefined
        : `must be one of ${kind.values.join(', ')}`;
    case 'list': {
      const { values } = kind;
      const isList = Array.isArray(value) && value.every((item) => typeof item === 'string');
      if (!isList) return 'must be a list of texts';
      const isKnown = values === undefined || value.every((item) => values.includes(item));
      return isKnown ? undefined : `may only hold ${values.join(', ')}`;
    }
    case 'quotas':
      return undefined;
  }
}

function checkQuotas(quotas: Quotas, add: Add): void {
  for (const [name, rule] of Object.entries(quotas)) {
    if (!QUOTA_KEYS.some((key) => key === name)) {
      const { message, hint } = unknownName(name, QUOTA_KEYS, undefined, 'is not a quota');
      add(`quotas.${name}`, message, hint);
      continue;
    }
    const isRule = rule?.burst >= 1 && rule.perSecond >= 0;
    if (!isRule) add(`quotas.${name}`, 'needs burst >= 1 and per_second >= 0');
  }
}

function checkTogether(config: RelayConfig, add: Add): void {
  if (config.store === 'sqlite' && config.directory === undefined) {
    add('directory', 'is needed for the SQLite store', 'name a directory on a local disk');
  }
  checkTurn(config, add);
  checkBucket(config, add);
  checkTls(config, add);
  checkPush(config, add);
  if (config.registration === 'ticket') {
    for (const key of ['ticketIssuer', 'ticketAudience', 'ticketKeyFile'] as const) {
      if (config[key] !== undefined) continue;
      add(key, 'is needed for registration by ticket', 'see docs/guides/bring-your-own-users.md');
    }
  }
  if (!isExposed(config)) return;
  for (const danger of dangersOf(config)) {
    if (config.iKnow.includes(danger)) continue;
    add(
      DANGER_KEYS[danger],
      `is refused where others reach the relay: ${DANGERS[danger]}`,
      `correct it, or add "${danger}" to i_know if you mean it`,
    );
  }
}

function checkPush(config: RelayConfig, add: Add): void {
  const { pushContact, pushWebhookUrl, pushWebhookSecretFile } = config;
  if (pushContact !== undefined && !/^(mailto:[^@\s]+@|https:\/\/)[^\s]+$/.test(pushContact)) {
    add('pushContact', 'must be a mailto: or https: address');
  }
  if ((pushWebhookUrl === undefined) !== (pushWebhookSecretFile === undefined)) {
    const missing = pushWebhookUrl === undefined ? 'pushWebhookUrl' : 'pushWebhookSecretFile';
    add(missing, 'is missing: URL and secret go together', 'name both, or none');
  }
  if (pushWebhookUrl === undefined) return;
  const url = URL.canParse(pushWebhookUrl) ? new URL(pushWebhookUrl) : undefined;
  const isSafe =
    url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname));
  if (!isSafe) add('pushWebhookUrl', 'must be an https: address, or http: on loopback');
}

function checkTls({ tlsCert, tlsKey, trustProxy, proxyAddresses }: RelayConfig, add: Add): void {
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    const missing = tlsCert === undefined ? 'tlsCert' : 'tlsKey';
    add(missing, 'is missing: certificate and key go together', 'name both files, or none');
  }
  if (proxyAddresses.some((address) => parseNetwork(address) === undefined)) {
    const hint = 'write addresses, or networks like 10.0.0.0/8';
    add('proxyAddresses', 'holds what is no address', hint);
  }
  if (trustProxy && proxyAddresses.length === 0) {
    add('proxyAddresses', 'is empty', 'name the addresses of the proxy');
  }
}

function checkBucket(config: RelayConfig, add: Add): void {
  if (config.blobStore !== 's3') return;
  for (const key of ['s3Endpoint', 's3Bucket', 's3AccessKey', 's3SecretFile'] as const) {
    if (config[key] === undefined) add(key, 'is needed with blob_store = "s3"');
  }
  const { s3Endpoint, s3Bucket, s3Prefix } = config;
  if (s3Endpoint !== undefined && !/^https?:\/\/[^/?#@\s]+\/?$/.test(s3Endpoint)) {
    add('s3Endpoint', 'must be https://host or http://host, with or without a port');
  }
  if (s3Bucket !== undefined && !/^[a-z0-9][a-z0-9.-]{1,62}$/.test(s3Bucket)) {
    add('s3Bucket', 'is not the name of a bucket');
  }
  if (!/^[\w./-]{0,200}$/.test(s3Prefix)) add('s3Prefix', 'may hold letters, digits, _ . / -');
}

function checkTurn({ turnUrls, turnSecretFile }: RelayConfig, add: Add): void {
  const isUrls =
    turnUrls.length <= MAX_TURN_URLS && turnUrls.every((url) => /^turns?:[^\s]{1,255}$/.test(url));
  if (!isUrls) add('turnUrls', `must be at most ${MAX_TURN_URLS} turn: or turns: URLs`);
  if (turnUrls.length > 0 && turnSecretFile === undefined) {
    add('turnSecretFile', 'is needed with TURN URLs', 'name the file with the shared secret');
  }
}

/** Whether anybody but programs of this machine may be on the other end. */
function isExposed(config: RelayConfig): boolean {
  const hasOpenMetrics = config.metricsPort !== undefined && !isLoopback(config.metricsHost);
  return config.trustProxy || hasOpenMetrics || !isLoopback(config.host);
}

function dangersOf(config: RelayConfig): readonly Danger[] {
  const found: Danger[] = [];
  if (config.logLevel === 'trace' || config.logLevel === 'debug') found.push('debug-logs');
  if (config.store === 'memory') found.push('memory-store');
  if (QUOTA_KEYS.some((name) => isOff(config, name))) found.push('no-quotas');
  if (config.metricsPort !== undefined && !isLoopback(config.metricsHost)) {
    found.push('open-metrics');
  }
  const isPlain = config.tlsCert === undefined && !config.trustProxy;
  if (isPlain && isExposed(config)) found.push('plain-ws');
  if (config.synchronous === 'NORMAL') found.push('synchronous-normal');
  return found;
}

function isOff({ quotas }: RelayConfig, name: keyof Quotas): boolean {
  const { burst, perSecond } = DEFAULT_CONFIG.quotas[name];
  return quotas[name].burst >= burst * 1_000 || quotas[name].perSecond >= perSecond * 1_000;
}

const DANGER_KEYS: { readonly [Name in Danger]: string } = {
  'debug-logs': 'logLevel',
  'memory-store': 'store',
  'no-quotas': 'quotas',
  'open-metrics': 'metricsHost',
  'plain-ws': 'host',
  'synchronous-normal': 'synchronous',
};
