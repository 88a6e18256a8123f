/**
 * What `#platform` resolves to outside Node: IndexedDB, and the browser's own WebSocket.
 *
 * Imported at once, not when needed: a bundler that makes one file for a worker cannot load parts later.
 */
import { IndexedDbStore } from '../stores/indexed-db.js';
import { platformDial } from '../transport/websocket.js';
import type { PlatformParts } from './types.js';

/** A browser. */
export const platform: PlatformParts = {
  openStore: (profile, passphrase) => IndexedDbStore.open({ profile, passphrase }),
  dial: async () => platformDial,
};
