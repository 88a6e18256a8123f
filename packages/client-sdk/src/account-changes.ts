/**
 * Changes of one's own account at the relay: another name, and its end.
 */
import { wipe } from '@qasid/protocol';
import { parseAccountText, signAccountDeletion } from '@qasid/protocol/envelope';

import { checkUsername } from './account.js';
import type { Engine, Platform } from './engine.js';
import { AccountError, NetworkError } from './errors.js';
import { RelayLink } from './link.js';
import type { Profile } from './stores/port.js';

/** Failed attempts to reach the relay before it is said. A person is waiting. */
const FAILURES_MAX = 3;

/** Throws as `QasidClient.setUsername`. @returns the profile as it is stored now. */
export async function changeUsername(
  { store }: Platform,
  engine: Engine,
  username: string | undefined,
): Promise<Profile> {
  if (username !== undefined) checkUsername(username);
  const op = { kind: 'setUsername', ...(username !== undefined && { username }) } as const;
  const { code } = await engine.link.requestPatiently(op);
  if (code === 'USERNAME_TAKEN') {
    throw new AccountError('ACCOUNT_NAME_TAKEN', 'the username is taken');
  }
  if (code !== 'CONFIRMED') throw new NetworkError('NET_REFUSED', `relay answers ${code}`);
  const profile = await store.loadProfile();
  const self = profile && (await store.loadContact(profile.account));
  if (profile === undefined) throw new AccountError('ACCOUNT_NOT_REGISTERED', 'no account here');
  const changed = { ...profile, username };
  await store.commit({
    extra: { profile: changed, contacts: self === undefined ? [] : [{ ...self, username }] },
  });
  return changed;
}

/** Throws as `QasidClient.deleteAccount`. */
export async function deleteAccountAt(platform: Platform, profile: Profile): Promise<void> {
  const { url, dial, clock, dice, crypto } = platform;
  let link: RelayLink | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      let failures = 0;
      link = new RelayLink({
        url,
        dial,
        clock,
        dice,
        prove: async ({ relayId, nonce }) => {
          const account = parseAccountText(profile.account);
          const { device } = profile;
          const random = crypto.randomBytes(64);
          const claim = { relayId, nonce, account, device };
          const { secret } = profile.identity;
          const signature = signAccountDeletion(crypto, secret, random, claim);
          wipe(random);
          return { kind: 'deleteAccount', account, device, signature };
        },
        proved: async ({ code }) => {
          if (code === 'CONFIRMED') resolve();
          else reject(new NetworkError('NET_REFUSED', `relay answers ${code}`));
          return 'refused';
        },
        onEvent: () => undefined,
        onStatus: (status, problem) => {
          if (status !== 'backing-off' || ++failures < FAILURES_MAX) return;
          reject(problem ?? new NetworkError('NET_UNREACHABLE', 'relay cannot be reached'));
        },
      });
      link.connect();
    });
  } finally {
    link?.close();
  }
}
