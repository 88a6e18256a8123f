/**
 * `@qasid/client-sdk/node`: clients on a SQLite store, over the `ws` package.
 */
import { MAX_FRAME_BYTES } from '@qasid/protocol';
import { WebSocket } from 'ws';

import { QasidClient } from './client.js';
import type { ClientOptions } from './api.js';
import { inspectStore, takeLock } from './stores/sqlite-file.js';
import { SqliteStore } from './stores/sqlite.js';
import type { Dial } from './transport/port.js';
import { webSocketDial } from './transport/websocket.js';

export { SqliteStore, inspectStore, takeLock };
export type { SqliteStoreOptions } from './stores/sqlite-file.js';

/** The `ws` class within our limits: no frame beyond the protocol's, no compression, no redirects. */
class BoundedSocket extends WebSocket {
  constructor(url: string, protocols: string[]) {
    super(url, protocols, {
      maxPayload: MAX_FRAME_BYTES,
      perMessageDeflate: false,
      followRedirects: false,
      handshakeTimeout: 10_000,
    });
  }
}

/** Sockets of the `ws` package. */
export const nodeDial: Dial = webSocketDial(BoundedSocket);

/** How to open a client in Node. */
export interface NodeClientOptions extends Omit<ClientOptions, 'store'> {
  /** Everything the client keeps; made with mode 0700, files 0600. */
  readonly directory: string;
  /** Encrypts what is kept. Without it, whoever reads the files reads everything. */
  readonly passphrase?: string;
}

/**
 * Open a client on the SQLite store in `directory`. Any number of processes may have it open at once.
 *
 * @throws StoreError `STORE_PASSPHRASE`, `STORE_CORRUPT`, `STORE_FULL`, `STORE_LOCKED`, `STORE_FAILED`
 */
export async function openNodeClient(options: NodeClientOptions): Promise<QasidClient> {
  const { directory, passphrase, ...rest } = options;
  const store = await SqliteStore.open({ directory, passphrase });
  try {
    return await QasidClient.open({ socket: nodeDial, ...rest, store });
  } catch (error) {
    await store.close();
    throw error;
  }
}
