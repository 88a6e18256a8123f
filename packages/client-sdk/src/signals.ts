/**
 * 14 Calls §2. Messages between devices that are not history: encrypted and authenticated like all others,
 * sent at once or not at all, and kept by the relay for a minute.
 */
import { StateError, type Bytes } from '@qasid/protocol';
import { isRetryable } from '@qasid/protocol/envelope';

import { CONTENT_ID_BYTES, encodeContent } from './content/index.js';
import type { Engine, Platform } from './engine.js';
import { AccountError, NetworkError } from './errors.js';
import type { Emitter } from './events.js';
import { devicesOf, devicesWithoutSession, sealFor, type Recipient } from './sealing.js';
import type { Contact, OutboxPart } from './stores/port.js';

/** Which devices of an account get a signal. */
export type SignalAudience =
  | { readonly kind: 'all' }
  | { readonly kind: 'only'; readonly device: number }
  | { readonly kind: 'except'; readonly device: number };

/** A signal that arrived. Its sender is who the session says. */
export interface Signal {
  /** Account id, UUID; may be our own. */
  readonly account: string;
  /** 1 to 127. */
  readonly device: number;
  readonly data: Bytes;
}

/** How to send a signal. */
export interface SignalOptions {
  /** Wake sleeping devices. */
  readonly urgent?: boolean;
}

/** Signals of one client. */
export interface Signals {
  /**
   * Send `data` to devices of an account. Resolves when the relay has it.
   *
   * @throws NetworkError when this process is not connected, `NET_BUSY`, `NET_REFUSED`; AccountError
   *   `ACCOUNT_UNKNOWN`; TrustError `TRUST_IDENTITY_CHANGED`; StateError `STATE_NO_SESSION` for a device that
   *   has no prekeys yet; StoreError.
   */
  send(
    account: string,
    audience: SignalAudience,
    data: Bytes,
    options?: SignalOptions,
  ): Promise<void>;
  /** Call `listener` for each signal that arrives at this process; returns what ends it. */
  on(listener: (signal: Signal) => void): () => void;
}

/** Seconds the relay may keep a signal: later it is worth nothing. */
const SIGNAL_TTL_SECONDS = 60;

/** Times the relay may say that our picture of the recipient's devices is wrong. */
const ROUNDS_MAX = 3;

/** A TURN or STUN server, as WebRTC takes it. */
export interface IceServer {
  readonly urls: string[];
  readonly username: string;
  readonly credential: string;
}

/**
 * Fresh credentials for the relay's TURN servers; none where it has no such servers.
 *
 * @throws NetworkError
 */
export async function turnServersOf(engine: Engine): Promise<readonly IceServer[]> {
  const { code, body, retryAfterMs } = await engine.link.request({ kind: 'turn' });
  if (code === 'UNSUPPORTED') return [];
  if (code === 'CONFIRMED' && body.kind === 'turn') {
    return [{ urls: [...body.urls], username: body.username, credential: body.credential }];
  }
  const isLater = isRetryable(code);
  throw new NetworkError(isLater ? 'NET_BUSY' : 'NET_REFUSED', `relay answers ${code}`, {
    ...(isLater && { retryAfterMs }),
  });
}

/** Signals over `emitter`, sent by the engine of the moment. */
export function makeSignals(
  platform: Platform,
  engine: () => Engine,
  emitter: Emitter<{ readonly signal: Signal }>,
): Signals {
  return {
    send: async (account, audience, data, options) =>
      sendSignal(platform, engine(), account, audience, data, options),
    on: (listener) => emitter.on('signal', listener),
  };
}

/** Send one signal; see `Signals.send`. */
async function sendSignal(
  platform: Platform,
  engine: Engine,
  account: string,
  audience: SignalAudience,
  data: Bytes,
  options: SignalOptions = {},
): Promise<void> {
  let contact = await engine.directory.resolve(account);
  for (let round = 0; ; round++) {
    const parts = await sealSignal(platform, engine, contact, audience, data);
    if (parts.length === 0) return;
    const answer = await engine.post.send(contact.account, parts, {
      urgent: options.urgent === true,
      ttlSeconds: SIGNAL_TTL_SECONDS,
    });
    if (answer.code === 'CONFIRMED') return;
    const isOutdated = answer.body.kind === 'mismatch' || answer.body.kind === 'stale';
    if (isOutdated && round < ROUNDS_MAX) {
      contact = await engine.directory.refresh(account);
      continue;
    }
    if (answer.code === 'NOT_FOUND') throw new AccountError('ACCOUNT_UNKNOWN', 'no such account');
    const code = isRetryable(answer.code) ? 'NET_BUSY' : 'NET_REFUSED';
    throw new NetworkError(code, `relay answers ${answer.code}`);
  }
}

/**
 * Ciphertexts for all devices: a relay takes a message for all of them or for none. Those that are not
 * meant get an empty signal of the same size.
 */
async function sealSignal(
  { crypto, clock }: Platform,
  engine: Engine,
  contact: Contact,
  audience: SignalAudience,
  data: Bytes,
): Promise<readonly OutboxPart[]> {
  const { sealing, directory } = engine;
  const nowMs = clock.now();
  const listed = devicesOf(sealing, contact);
  const without = await devicesWithoutSession(sealing, contact, nowMs);
  const needed = without.map(({ device }) => device);
  const taken =
    needed.length === 0 ? undefined : await directory.takeBundles(contact.account, needed);
  for (const device of needed) {
    if (taken?.bundles.has(device) === false) {
      throw new StateError('STATE_NO_SESSION', 'a device of the recipient has no prekeys yet');
    }
  }
  const contentOf = (bytes: Bytes): Bytes =>
    encodeContent({
      id: crypto.randomBytes(CONTENT_ID_BYTES),
      sentAtMs: nowMs,
      body: { kind: 'call', data: bytes },
    });
  const isMeant = ({ device }: { readonly device: number }): boolean =>
    audience.kind === 'all' || (device === audience.device) === (audience.kind === 'only');
  const bundles = taken && { bundles: taken.bundles };
  // The decoy says as many bytes of nothing, so that both fall into one step of padding.
  const recipients: Recipient[] = [
    { contact, content: contentOf(data), devices: listed.filter(isMeant), ...bundles },
    {
      contact,
      content: contentOf(new Uint8Array(data.length)),
      devices: listed.filter((device) => !isMeant(device)),
      ...bundles,
    },
  ];
  if (recipients[0]?.devices?.length === 0) return [];
  let sealed: readonly OutboxPart[] = [];
  await sealFor(sealing, recipients, nowMs, (parts) => {
    sealed = parts.flat().sort((a, b) => a.device - b.device);
    return {};
  });
  return sealed;
}
