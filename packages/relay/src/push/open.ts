/**
 * 13 Relay §8. The ways to wake devices that the configuration asks for, and their secrets.
 */
import { createECDH } from 'node:crypto';
import type { Bytes } from '@qasid/protocol/envelope';
import type { Clock } from '../clock.js';
import type { RelayConfig } from '../config.js';
import { loadSecretFile } from '../data-directory.js';
import { readSharedSecret } from '../shared-secret.js';
import type { Push } from './port.js';

/** Ways to wake devices. */
export interface PushWays {
  readonly ways: readonly Push[];
  /** For clients that subscribe at a push service. */
  readonly vapidKey: Bytes | undefined;
  readonly hasGateway: boolean;
}

/** Open what is configured. The libraries are loaded only then. @throws RelayError `RELAY_CONFIG`, `RELAY_DATA_…` */
export async function openPush(config: RelayConfig, clock: Clock): Promise<PushWays> {
  const ways: Push[] = [];
  let vapidKey: Bytes | undefined;
  const { pushContact, pushHosts, pushWebhookUrl, pushWebhookSecretFile, directory } = config;
  if (pushContact !== undefined) {
    const { createWebPush, vapidPublicKey } = await import('./web-push.js');
    const make = (): Uint8Array => {
      const pair = createECDH('prime256v1');
      pair.generateKeys();
      // Without leading zeros as OpenSSL gives it: the library wants 32 bytes.
      const secret = new Uint8Array(32);
      const scalar = pair.getPrivateKey();
      secret.set(scalar, 32 - scalar.length);
      return secret;
    };
    const vapidSecret =
      directory === undefined ? make() : loadSecretFile(directory, VAPID_FILE, make);
    ways.push(createWebPush({ vapidSecret, contact: pushContact, hosts: pushHosts }));
    vapidKey = vapidPublicKey(vapidSecret);
  }
  const hasGateway = pushWebhookUrl !== undefined && pushWebhookSecretFile !== undefined;
  if (hasGateway) {
    const { createWebhookPush } = await import('./webhook.js');
    const secret = readSharedSecret(pushWebhookSecretFile, 'push gateway');
    ways.push(createWebhookPush({ url: pushWebhookUrl, secret, nowMs: () => clock.nowMs() }));
  }
  return { ways, vapidKey, hasGateway };
}

/** A new key would make every subscription worthless. */
const VAPID_FILE = 'vapid.key';
