/**
 * `@qasid/client-sdk/node`: the parts that `QasidClient.open` uses in Node, for programs that choose the folder.
 */
import { QasidClient } from './client.js';
import type { ClientOptions } from './api.js';
import { fileFromPath, nodeFiles } from './documents/node-files.js';
import type { LinkOptions } from './linking/join-account.js';
import { inspectStore, takeLock } from './stores/sqlite-file.js';
import { SqliteStore } from './stores/sqlite.js';
import { nodeDial } from './transport/node-socket.js';

export { fileFromPath, inspectStore, nodeDial, nodeFiles, SqliteStore, takeLock };
export type { SqliteStoreOptions } from './stores/sqlite-file.js';

/** How to open a client in Node. */
export interface NodeClientOptions extends Omit<ClientOptions, 'store' | 'profile' | 'passphrase'> {
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

/** How to make a folder of this computer a device of an account. */
export interface NodeLinkOptions extends Omit<LinkOptions, 'store' | 'profile' | 'passphrase'> {
  /** As in {@link NodeClientOptions}. */
  readonly directory: string;
  readonly passphrase?: string;
}

/**
 * `QasidClient.link` on the SQLite store in `directory`.
 *
 * @throws as `QasidClient.link` and `openNodeClient`.
 */
export async function linkNodeClient(options: NodeLinkOptions): Promise<QasidClient> {
  const { directory, passphrase, ...rest } = options;
  const store = await SqliteStore.open({ directory, passphrase });
  try {
    return await QasidClient.link({ socket: nodeDial, ...rest, store });
  } catch (error) {
    await store.close();
    throw error;
  }
}
