/**
 * 13 Relay §8. The operator's own gateway to other push services: a POST of the opaque handle, signed.
 *
 * `Qasid-Signature: t=SECONDS,v1=HEX`, the HMAC-SHA256 of `SECONDS.` and the body under the shared secret. The
 * address is the operator's, not a client's.
 */
import { createHmac } from 'node:crypto';
import pRetry, { AbortError } from 'p-retry';
import type { Push, PushTarget, WakeOutcome } from './port.js';

/** How the gateway is reached. */
export interface WebhookOptions {
  readonly url: string;
  readonly secret: Uint8Array;
  readonly nowMs: () => number;
  /** The first wait before a repetition, in milliseconds. */
  readonly retryMs?: number;
}

/** The gateway. */
export function createWebhookPush({ url, secret, nowMs, retryMs }: WebhookOptions): Push {
  const knock = async (handle: Uint8Array): Promise<void> => {
    const body = Buffer.from(handle);
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/octet-stream',
        'qasid-signature': signature(secret, Math.floor(nowMs() / 1000), body),
      },
      body,
      redirect: 'error',
      signal: AbortSignal.timeout(WAKE_TIMEOUT_MS),
    });
    await response.body?.cancel();
    if (response.ok) return;
    const failure = Object.assign(new Error('refused'), { statusCode: response.status });
    throw response.status === 429 || response.status >= 500 ? failure : new AbortError(failure);
  };
  return {
    accepts: (target) => target.kind === 'handle' && target.handle.length >= HANDLE_BYTES_MIN,
    wake: async (target: PushTarget): Promise<WakeOutcome> => {
      if (target.kind !== 'handle') return 'failed';
      try {
        await pRetry(() => knock(target.handle), {
          retries: RETRIES,
          minTimeout: retryMs ?? RETRY_MS,
          // fetch() tells of a broken connection by a TypeError, which the library takes for a defect.
          shouldRetry: () => true,
        });
        return 'sent';
      } catch (error) {
        return (error as { statusCode?: number }).statusCode === 410 ? 'gone' : 'failed';
      }
    },
  };
}

function signature(secret: Uint8Array, seconds: number, body: Uint8Array): string {
  const mac = createHmac('sha256', secret).update(`${seconds}.`).update(body).digest('hex');
  return `t=${seconds},v1=${mac}`;
}

/** Shorter ones can be guessed, and a guess would wake a stranger. */
const HANDLE_BYTES_MIN = 16;
const WAKE_TIMEOUT_MS = 10_000;
const RETRIES = 3;
const RETRY_MS = 1_000;
