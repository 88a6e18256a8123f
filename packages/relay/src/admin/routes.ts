/**
 * 13 Relay §15. The operator's questions about accounts and the relay as a whole.
 *
 * An account is named by whoever asks, by id or user name. Nothing here lists accounts, and no answer holds a
 * key, a message, a device or another account.
 */
import {
  type AccountId,
  fromHex,
  INVITE_BYTES,
  inviteText,
  isUsername,
  parseAccountText,
  toHex,
} from '@qasid/protocol/envelope';
import { profileOf } from '../config/check.js';
import type { Context } from '../service/context.js';
import type { Services } from '../service/services.js';
import { type AdminAnswer, type AdminHandler, type AdminRouter, done, failed } from './router.js';

/** Add the routes of this file. `drain`: end the relay. */
export function addAdminRoutes(router: AdminRouter, services: Services, drain: () => void): void {
  const { context } = services;
  router.add(
    { method: 'GET', path: '/status', handle: () => status(services) },
    {
      method: 'POST',
      path: '/drain',
      audit: 'DRAIN',
      handle: () => done({ draining: true }, drain),
    },
    { method: 'GET', path: '/invites', handle: () => listInvites(context) },
    {
      method: 'POST',
      path: '/invites',
      audit: 'INVITE_CREATE',
      handle: ({ body }) => createInvite(context, body),
    },
    {
      method: 'DELETE',
      path: '/invites/:id',
      audit: 'INVITE_REVOKE',
      handle: ({ params }) => revokeInvite(context, params.id ?? ''),
    },
    {
      method: 'POST',
      path: '/accounts/:who/suspend',
      audit: 'ACCOUNT_SUSPEND',
      handle: forAccount(context, (account) =>
        services.accounts.set(account, { isSuspended: true }),
      ),
    },
    {
      method: 'POST',
      path: '/accounts/:who/resume',
      audit: 'ACCOUNT_RESUME',
      handle: forAccount(context, (account) =>
        services.accounts.set(account, { isSuspended: false }),
      ),
    },
    {
      method: 'POST',
      path: '/accounts/:who/quota',
      audit: 'ACCOUNT_QUOTA',
      handle: ({ params, body }) => {
        const { mailbox_bytes: bytes } = body;
        if (bytes !== null && !isCount(bytes, 2 ** 40)) {
          return failed(400, 'ADMIN_VALUE', 'mailbox_bytes is a number of bytes, or null');
        }
        const change = { mailboxBytesMax: bytes };
        const set = forAccount(context, (account) => services.accounts.set(account, change));
        return set({ params, body });
      },
    },
    {
      method: 'DELETE',
      path: '/accounts/:who',
      audit: 'ACCOUNT_DELETE',
      handle: forAccount(context, (account) => services.accounts.remove(account)),
    },
  );
}

async function status({ context, connections, presence }: Services): Promise<AdminAnswer> {
  const { store, config, isDraining, epoch } = context;
  const { accounts, devices, envelopes, bytes } = await store.totals();
  const invites = (await store.invites()).length;
  const { registration } = config;
  const online = presence.count;
  const sockets = connections.size;
  const { name: profile, dangers } = profileOf(config);
  return done({
    profile,
    dangers,
    draining: isDraining,
    registration,
    accounts,
    devices,
    online,
    sockets,
    envelopes,
    bytes,
    invites,
    epoch,
  });
}

async function listInvites({ store }: Context): Promise<AdminAnswer> {
  const rows = await store.invites();
  return done({
    invites: rows.map(({ id, uses, untilMinute, mailboxBytesMax }) => ({
      id: toHex(id),
      uses,
      expires_at: new Date(untilMinute * 60_000).toISOString(),
      ...(mailboxBytesMax !== undefined && { mailbox_bytes: mailboxBytesMax }),
    })),
  });
}

async function createInvite(
  { crypto, writer, clock }: Context,
  body: Readonly<Record<string, unknown>>,
): Promise<AdminAnswer> {
  const { uses = 1, hours = 7 * 24, mailbox_bytes: mailboxBytesMax } = body;
  if (!isCount(uses, 10_000) || !isCount(hours, 24 * 366)) {
    return failed(400, 'ADMIN_VALUE', 'uses is 1 to 10000, hours is 1 to 8784');
  }
  if (mailboxBytesMax !== undefined && !isCount(mailboxBytesMax, 2 ** 40)) {
    return failed(400, 'ADMIN_VALUE', 'mailbox_bytes is a number of bytes');
  }
  const invite = crypto.randomBytes(INVITE_BYTES);
  const hash = crypto.sha256(invite);
  const untilMinute = Math.ceil(clock.nowMs() / 60_000) + hours * 60;
  await writer.submit({ kind: 'addInvite', hash, uses, untilMinute, mailboxBytesMax });
  const expiresAt = new Date(untilMinute * 60_000).toISOString();
  // The only time that it is shown: the relay keeps its hash.
  return done({
    id: toHex(hash.subarray(0, 8)),
    invite: inviteText(invite),
    uses,
    expires_at: expiresAt,
  });
}

async function revokeInvite({ writer }: Context, text: string): Promise<AdminAnswer> {
  const id = /^[0-9a-f]{16}$/.test(text) ? fromHex(text) : undefined;
  if (id === undefined) return failed(400, 'ADMIN_VALUE', 'an invite is named by 16 hex digits');
  const { count } = await writer.submit({ kind: 'dropInvite', id });
  return count > 0 ? done() : failed(404, 'ADMIN_NOT_FOUND', 'no invite of that name is left');
}

/** A route about one account; `act` says whether there is one. */
function forAccount(
  { store }: Context,
  act: (account: AccountId) => Promise<boolean>,
): AdminHandler {
  return async ({ params }) => {
    const account = await accountNamed(params.who ?? '', (name) => store.lookup(name));
    const isDone = account !== undefined && (await act(account));
    return isDone ? done() : failed(404, 'ADMIN_NOT_FOUND', 'no account of that id or user name');
  };
}

async function accountNamed(
  who: string,
  lookup: (username: string) => Promise<AccountId | undefined>,
): Promise<AccountId | undefined> {
  try {
    return parseAccountText(who);
  } catch {
    return isUsername(who) ? lookup(who) : undefined;
  }
}

function isCount(value: unknown, max: number): value is number {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= max;
}
