/**
 * From what a program says to what a client runs on: its own store, or the one of a profile by name.
 */
import { defaultCrypto, readU32be, UsageError, type CryptoProvider } from '@qasid/protocol';
import { platform } from '#platform';

import type { ClientOptions } from '../api.js';
import { systemClock } from '../clock.js';
import type { Platform } from '../engine.js';
import type { ClientStore } from '../stores/port.js';
import type { Dial } from '../transport/port.js';

/** Options with nothing left to choose. */
export interface OpenedOptions extends ClientOptions {
  readonly store: ClientStore;
  readonly socket: Dial;
}

/**
 * Open what the options leave to the platform.
 *
 * @throws UsageError `USAGE_ARGUMENT`; StoreError as the platform's store.
 */
export async function openPlatform(given: ClientOptions): Promise<OpenedOptions> {
  checkRelay(given.relay);
  const options = { ...(platform.files && { files: platform.files }), ...given };
  const { profile, passphrase } = options;
  if (options.store !== undefined) {
    if (profile !== undefined || passphrase !== undefined) {
      throw new UsageError('USAGE_ARGUMENT', 'give a store, or a profile and its passphrase');
    }
    return { ...options, store: options.store, socket: options.socket ?? (await platform.dial()) };
  }
  if (profile === undefined) {
    throw new UsageError('USAGE_ARGUMENT', 'give the name of a profile, or a store');
  }
  checkProfile(profile);
  if (passphrase === '') throw new UsageError('USAGE_ARGUMENT', 'the passphrase is empty');
  const socket = options.socket ?? (await platform.dial());
  return { ...options, store: await platform.openStore(profile, passphrase), socket };
}

/** What the whole SDK runs on, from options with nothing left to choose. */
export function platformOf(options: OpenedOptions): Platform {
  const crypto: CryptoProvider = options.crypto ?? defaultCrypto;
  return {
    url: options.relay,
    store: options.store,
    crypto,
    clock: options.clock ?? systemClock,
    // One generator for everything, so that nobody has to ask which draw matters. ATK-A04.
    dice: options.random ?? (() => readU32be(crypto.randomBytes(4), 0) / 2 ** 32),
    dial: options.socket,
    receipts: options.receipts ?? { delivered: true, read: true },
    sealed: options.sealed ?? 'prefer',
    trust: options.trust ?? 'first-use',
  };
}

/**
 * A profile is a folder or a database: its name must not lead anywhere else.
 *
 * @throws UsageError `USAGE_ARGUMENT`
 */
function checkProfile(profile: string): void {
  if (typeof profile !== 'string' || !/^[a-z0-9][a-z0-9_-]{0,31}$/.test(profile)) {
    throw new UsageError('USAGE_ARGUMENT', 'a profile name is 1 to 32 of a-z 0-9 _ -');
  }
}

/** @throws UsageError `USAGE_ARGUMENT` */
function checkRelay(relay: string): void {
  if (typeof relay !== 'string' || !/^wss?:\/\/./i.test(relay)) {
    throw new UsageError('USAGE_ARGUMENT', 'the address of a relay begins with wss:// or ws://');
  }
}
