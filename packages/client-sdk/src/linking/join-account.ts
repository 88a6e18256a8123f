/**
 * 20 Linking. A new device from its first question to its first connection.
 */
import { UsageError } from '@qasid/protocol';

import type { ClientOptions } from '../api.js';
import type { Engine, Platform } from '../engine.js';
import { LinkError } from '../errors.js';
import type { Registrar } from '../registrar.js';
import type { Profile } from '../stores/port.js';
import { forgetGrant, isJoinPending, receiveGrant, type JoinOptions } from './joining.js';
import { parseLinkText } from './link-text.js';

export { isJoinPending, type JoinOptions };

/** How to open a client that becomes a device of an account. */
export interface LinkOptions extends Omit<ClientOptions, 'relay' | 'connect'>, JoinOptions {
  /** Address of the relay; default: the one in `link`. */
  readonly relay?: string;
}

/**
 * The relay that a device of an account names in its code.
 *
 * @throws LinkError `LINK_INVALID`, `LINK_DIRECTION`.
 */
export function relayOfLink(link: string): string {
  return parseLinkText(link, 'account').relay;
}

/** Where to meet. @throws LinkError `LINK_INVALID`, `LINK_DIRECTION`; UsageError `USAGE_ARGUMENT`. */
export function relayOf(options: Pick<LinkOptions, 'relay' | 'link'>): string {
  const { relay, link } = options;
  const shown = link === undefined ? undefined : relayOfLink(link);
  const found = relay ?? shown;
  if (found !== undefined) return found;
  throw new UsageError('USAGE_ARGUMENT', 'without a code to scan, name the relay');
}

/**
 * Meet a device of the account, unless its grant is here already, and have the relay take this one over.
 *
 * @param options - Absent: only go on with a grant that is here.
 * @throws as `QasidClient.link`.
 */
export async function joinAccount(
  platform: Platform,
  options: JoinOptions | undefined,
  registrar: Pick<Registrar, 'join'>,
  makeEngine: (profile: Profile) => Engine,
): Promise<{ readonly profile: Profile; readonly engine: Engine }> {
  const { store } = platform;
  if (await isJoinPending(store)) {
    try {
      return await finish(platform, registrar, makeEngine);
    } catch (error) {
      // An old grant that is over does not stand in the way of a new one.
      if (!(error instanceof LinkError) || options === undefined) throw error;
    }
  }
  if (options === undefined) throw new LinkError('LINK_OUTDATED', 'nothing was granted');
  await receiveGrant(platform, options);
  return finish(platform, registrar, makeEngine);
}

async function finish(
  platform: Platform,
  registrar: Pick<Registrar, 'join'>,
  makeEngine: (profile: Profile) => Engine,
): Promise<{ readonly profile: Profile; readonly engine: Engine }> {
  try {
    return await registrar.join(makeEngine);
  } catch (error) {
    if (error instanceof LinkError) await forgetGrant(platform);
    throw error;
  }
}
