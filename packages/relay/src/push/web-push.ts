/**
 * 13 Relay §8. Web Push (RFC 8030) with VAPID (RFC 8292) and without a payload.
 *
 * The endpoint comes from a client, so it is a request this server makes for a stranger: https only, hosts of
 * a list only, and never to an address of a private network, also when a name points there.
 */
import { createECDH } from 'node:crypto';
import type { Agent } from 'node:https';
import { copyBytes, type Bytes } from '@qasid/protocol/envelope';
import pRetry, { AbortError } from 'p-retry';
import { RequestFilteringHttpsAgent } from 'request-filtering-agent';
import webPush from 'web-push';
import type { Push, PushTarget, WakeOutcome } from './port.js';

/** How Web Push is done. */
export interface WebPushOptions {
  /** P-256 private scalar, 32 bytes. */
  readonly vapidSecret: Uint8Array;
  /** `mailto:` or `https:`: whom a push service asks when something is wrong. */
  readonly contact: string;
  /** Host names; `*.example.org` is every name below it. */
  readonly hosts: readonly string[];
  /** In place of the one that keeps out of private networks; for tests. */
  readonly agent?: Agent;
  /** The first wait before a repetition, in milliseconds. */
  readonly retryMs?: number;
}

/** Web Push. */
export function createWebPush(options: WebPushOptions): Push {
  const { contact, vapidSecret, hosts } = options;
  const agent = options.agent ?? publicAgent();
  const vapidDetails = {
    subject: contact,
    publicKey: Buffer.from(vapidPublicKey(vapidSecret)).toString('base64url'),
    // The library takes text only.
    privateKey: Buffer.from(vapidSecret).toString('base64url'),
  };
  const knock = async (endpoint: string): Promise<void> => {
    try {
      await webPush.sendNotification({ endpoint, keys: NO_KEYS }, null, {
        vapidDetails,
        agent,
        TTL: WAKE_TTL_SECONDS,
        urgency: 'high',
        timeout: WAKE_TIMEOUT_MS,
      });
    } catch (error) {
      const { statusCode } = error as { statusCode?: number };
      // Only a service that is overloaded or unwell may like the same question better later.
      const mayRepeat = statusCode === 429 || (statusCode !== undefined && statusCode >= 500);
      throw mayRepeat ? error : new AbortError(error as Error);
    }
  };
  return {
    accepts: (target) => target.kind === 'endpoint' && isAllowed(target.endpoint, hosts),
    wake: async (target: PushTarget): Promise<WakeOutcome> => {
      // The list may have become shorter since the device registered.
      if (target.kind !== 'endpoint' || !isAllowed(target.endpoint, hosts)) return 'failed';
      try {
        const minTimeout = options.retryMs ?? RETRY_MS;
        await pRetry(() => knock(target.endpoint), { retries: RETRIES, minTimeout });
        return 'sent';
      } catch (error) {
        const { statusCode } = error as { statusCode?: number };
        return statusCode === 404 || statusCode === 410 ? 'gone' : 'failed';
      }
    },
  };
}

/** Connects to public addresses only, whatever a name resolves to. */
export function publicAgent(): Agent {
  return new RequestFilteringHttpsAgent({ keepAlive: true });
}

/** The public key a client subscribes with, 65 bytes. */
export function vapidPublicKey(secret: Uint8Array): Bytes {
  const pair = createECDH('prime256v1');
  pair.setPrivateKey(secret);
  return copyBytes(pair.getPublicKey());
}

/** Whether the relay may make a request there for a client. */
export function isAllowed(endpoint: string, hosts: readonly string[]): boolean {
  let url: URL;
  try {
    url = new URL(endpoint);
  } catch {
    return false;
  }
  const { protocol, username, password, port, hostname } = url;
  if (protocol !== 'https:' || username !== '' || password !== '' || port !== '') return false;
  return hosts.some((host) =>
    host.startsWith('*.') ? hostname.endsWith(host.slice(1)) : hostname === host,
  );
}

/** Keys encrypt a payload; there is none. */
const NO_KEYS = { p256dh: '', auth: '' };

/** After a day the device has come by itself, or will not. */
const WAKE_TTL_SECONDS = 24 * 60 * 60;
const WAKE_TIMEOUT_MS = 10_000;
const RETRIES = 3;
const RETRY_MS = 1_000;
