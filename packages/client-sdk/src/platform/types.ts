/**
 * What differs between the places the SDK runs in: where a profile is kept, and how a socket is opened.
 */
import type { FileAccess } from '../documents/source.js';
import type { ClientStore } from '../stores/port.js';
import type { Dial } from '../transport/port.js';

/** One place the SDK runs in. `#platform` chooses by import condition: `node`, else a browser. */
export interface PlatformParts {
  /**
   * The store of a profile, made when it is not there.
   *
   * @param profile - Checked: nothing in it can leave the place where profiles are kept.
   * @throws StoreError
   */
  openStore(profile: string, passphrase: string | undefined): Promise<ClientStore>;
  /** How to open sockets here. */
  dial(): Promise<Dial>;
  /** Its files, where there are any. */
  readonly files?: FileAccess;
}
