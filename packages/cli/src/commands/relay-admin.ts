/**
 * `qasid relay invite | account | status | drain`: what an operator asks of a relay that is running.
 */
import { type AdminOptions, type AdminReply, askRelay } from '../admin.js';
import type { Context } from '../context.js';
import { CliError, EXIT, type ExitCode } from '../exit-codes.js';

/** How an invite is made. */
export interface InviteOptions extends AdminOptions {
  readonly uses: number;
  readonly hours: number;
  readonly mailboxBytes?: number;
}

/** Make an invite and print it: the relay will not show it again. */
export async function inviteCreate(context: Context, options: InviteOptions): Promise<ExitCode> {
  const { uses, hours, mailboxBytes } = options;
  const quota = mailboxBytes === undefined ? {} : { mailbox_bytes: mailboxBytes };
  const made = await askRelay(options, 'POST', '/invites', { uses, hours, ...quota });
  if (context.json) await context.output.json(made);
  else await context.output.data(String(made.invite));
  context.output.note(`invite ${made.id}, uses ${made.uses}, until ${made.expires_at}`);
  return EXIT.done;
}

/** What is left of the invites, one a line. */
export async function inviteList(context: Context, options: AdminOptions): Promise<ExitCode> {
  const { invites } = await askRelay(options, 'GET', '/invites');
  for (const invite of invites as readonly AdminReply[]) {
    if (context.json) await context.output.json(invite);
    else await context.output.data(`${invite.id} uses ${invite.uses} until ${invite.expires_at}`);
  }
  return EXIT.done;
}

/** Make an invite worthless. */
export async function inviteRevoke(
  context: Context,
  id: string,
  options: AdminOptions,
): Promise<ExitCode> {
  await askRelay(options, 'DELETE', `/invites/${encodeURIComponent(id)}`);
  context.output.note(`invite ${id} is revoked`);
  return EXIT.done;
}

/** Suspend, resume or delete an account, by account id or user name. */
export async function accountChange(
  context: Context,
  action: 'suspend' | 'resume' | 'delete',
  who: string,
  options: AdminOptions & { readonly yes?: boolean },
): Promise<ExitCode> {
  const path = `/accounts/${encodeURIComponent(who)}`;
  if (action === 'delete') {
    if (options.yes !== true) {
      throw new CliError(EXIT.usage, 'a deleted account does not come back', [
        'add --yes if you mean it; suspend can be undone',
      ]);
    }
    await askRelay(options, 'DELETE', path);
  } else await askRelay(options, 'POST', `${path}/${action}`);
  context.output.note(DONE[action]);
  return EXIT.done;
}

/** What each mailbox of an account may hold; `undefined` is the relay's own limit. */
export async function accountQuota(
  context: Context,
  who: string,
  mailboxBytes: number | undefined,
  options: AdminOptions,
): Promise<ExitCode> {
  await askRelay(options, 'POST', `/accounts/${encodeURIComponent(who)}/quota`, {
    mailbox_bytes: mailboxBytes ?? null,
  });
  const limit =
    mailboxBytes === undefined ? "as much as the relay's limit" : `${mailboxBytes} bytes`;
  context.output.note(`a mailbox of the account holds ${limit}`);
  return EXIT.done;
}

/** Sums of what the relay holds and does. */
export async function relayStatus(context: Context, options: AdminOptions): Promise<ExitCode> {
  const status = await askRelay(options, 'GET', '/status');
  if (context.json) {
    await context.output.json(status);
    return EXIT.done;
  }
  for (const [name, value] of Object.entries(status)) {
    await context.output.data(`${name} ${value}`);
  }
  return EXIT.done;
}

/** Let the relay go down without losing anything. */
export async function relayDrain(context: Context, options: AdminOptions): Promise<ExitCode> {
  await askRelay(options, 'POST', '/drain');
  context.output.note('the relay lets its clients go and ends');
  return EXIT.done;
}

const DONE = {
  suspend: 'the account is suspended; resume lets it in again',
  resume: 'the account is let in again',
  delete: 'the account is deleted',
} as const;
