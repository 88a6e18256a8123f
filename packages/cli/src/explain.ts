/**
 * Any error → one clear line, what to do next, and the exit code.
 *
 * Branches on `code`, never on the class: two copies of a package break `instanceof`. An error that is not
 * known here is a defect of ours and says so; its text is shown, its stack only with `QASID_DEBUG`.
 */
import type { ConfigProblem } from '@qasid/relay';

import { CliError, EXIT, type ExitCode } from './exit-codes.js';
import { systemReason } from './prompt.js';

/** An error as people and scripts see it. */
export interface Explanation {
  readonly exitCode: ExitCode;
  readonly message: string;
  readonly hints: readonly string[];
}

/** What to tell about `error`. */
export function explain(error: unknown): Explanation {
  if (error instanceof CliError) return error;
  const code = codeOf(error);
  const known = code === undefined ? undefined : KNOWN[code];
  if (known !== undefined) {
    const detail = (error as Error).message;
    return {
      exitCode: known.exit,
      message: typeof known.message === 'string' ? known.message : known.message(detail),
      hints: known.hints ?? [],
    };
  }
  const hint = (error as { hint?: unknown } | null | undefined)?.hint;
  if (code?.startsWith('RELAY_') === true && typeof hint === 'string') {
    const exitCode = code === 'RELAY_CONFIG' ? EXIT.usage : EXIT.failed;
    const problems = (error as { problems?: readonly ConfigProblem[] }).problems ?? [];
    // The message names the first problem; people want to correct all of them at once.
    const hints = problems.length < 2 ? [hint] : problems.flatMap(problemLines);
    return { exitCode, message: (error as Error).message, hints };
  }
  if (code !== undefined && /^E[A-Z0-9]+$/.test(code)) {
    return { exitCode: EXIT.failed, message: systemReason(error), hints: [] };
  }
  const text = error instanceof Error ? error.message : String(error);
  return {
    exitCode: EXIT.failed,
    message: code === undefined ? `unexpected: ${text}` : `${text} (${code})`,
    hints: code === undefined ? ['this is a defect of qasid: please report it'] : [],
  };
}

function problemLines({ key, message, hint, place }: ConfigProblem): readonly string[] {
  return [`${place === undefined ? '' : `${place}: `}${key} ${message}: ${hint}`];
}

/** The stable code of an error, if it has one. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

interface Known {
  readonly exit: ExitCode;
  readonly message: string | ((detail: string) => string);
  readonly hints?: readonly string[];
}

const asIs = (detail: string): string => detail;

const LINK_AGAIN = 'show a new code: qasid device link';

const KNOWN: Readonly<Record<string, Known>> = {
  NET_UNREACHABLE: {
    exit: EXIT.network,
    message: 'the relay cannot be reached',
    hints: ['is it running? qasid relay start'],
  },
  LINK_INVALID: { exit: EXIT.usage, message: asIs },
  LINK_DIRECTION: { exit: EXIT.usage, message: asIs },
  LINK_EXPIRED: { exit: EXIT.failed, message: asIs, hints: [LINK_AGAIN] },
  LINK_USED: { exit: EXIT.failed, message: asIs, hints: [LINK_AGAIN] },
  LINK_OUTDATED: { exit: EXIT.failed, message: asIs, hints: [LINK_AGAIN] },
  LINK_REFUSED: { exit: EXIT.notVerified, message: asIs },
  LINK_CANCELLED: { exit: EXIT.notVerified, message: asIs },
  LINK_ALTERED: {
    exit: EXIT.notVerified,
    message: asIs,
    hints: ['somebody may be in between', LINK_AGAIN],
  },
  LINK_TOO_MANY: {
    exit: EXIT.failed,
    message: asIs,
    hints: ['remove one: qasid device list, qasid device remove N'],
  },
  NET_LOST: { exit: EXIT.network, message: 'the connection to the relay was lost' },
  NET_TIMEOUT: { exit: EXIT.network, message: 'the relay did not answer in time' },
  NET_BUSY: { exit: EXIT.network, message: 'the relay is busy', hints: ['try again in a minute'] },
  NET_REFUSED: { exit: EXIT.failed, message: (detail) => `the relay refused: ${detail}` },
  NET_NOT_A_RELAY: {
    exit: EXIT.network,
    message: 'there is no qasid relay at this address',
    hints: ['a relay address looks like ws://127.0.0.1:7443'],
  },
  NET_CLOSED: { exit: EXIT.failed, message: 'stopped' },
  ACCOUNT_NAME_TAKEN: {
    exit: EXIT.failed,
    message: 'this username is taken',
    hints: ['choose another one and run register again: nothing was lost'],
  },
  ACCOUNT_INVITE_INVALID: {
    exit: EXIT.failed,
    message: 'the relay takes members by invite, and not this one',
    hints: ['ask its operator for an invite, and give it with --invite-file'],
  },
  ACCOUNT_TICKET_INVALID: {
    exit: EXIT.failed,
    message: 'the relay takes members by ticket, and not this one',
    hints: ['fetch a new ticket from your application, and give it with --ticket-file'],
  },
  ACCOUNT_USER_REGISTERED: {
    exit: EXIT.failed,
    message: 'this user of the application has an account already',
    hints: ['go on where it was made, or fetch a ticket that replaces it'],
  },
  ACCOUNT_REGISTRATION_CLOSED: {
    exit: EXIT.failed,
    message: 'the relay takes nobody new',
    hints: ['ask its operator'],
  },
  ACCOUNT_NAME_INVALID: {
    exit: EXIT.usage,
    message: 'a username is 3 to 32 of a-z 0-9 _ . -',
  },
  ACCOUNT_UNKNOWN: {
    exit: EXIT.failed,
    message: 'the relay knows nobody by this name',
    hints: ['ask them for the username they registered, and at which relay'],
  },
  ACCOUNT_NOT_REGISTERED: {
    exit: EXIT.failed,
    message: 'this profile is not registered yet',
    hints: ['qasid register USERNAME --relay URL'],
  },
  ACCOUNT_EXISTS: {
    exit: EXIT.failed,
    message: 'this profile is registered under another username',
    hints: ['qasid status shows it; another identity needs another --profile'],
  },
  TRUST_IDENTITY_CHANGED: {
    exit: EXIT.notVerified,
    message: 'the identity key of this person changed',
    hints: [
      'they may have a new device, or someone may be in between: compare safety numbers with them',
      'then: qasid trust WHO',
    ],
  },
  GROUP_UNKNOWN: {
    exit: EXIT.failed,
    message: 'there is no such group',
    hints: ['qasid group list shows them'],
  },
  GROUP_NOT_MEMBER: {
    exit: EXIT.failed,
    message: 'you are not in this group',
    hints: ['a member can add you: qasid group add GROUP WHO'],
  },
  GROUP_NOT_ALLOWED: {
    exit: EXIT.failed,
    message: (detail) => `the group does not allow it: ${detail}`,
    hints: ['qasid group show GROUP says who is its admin'],
  },
  GROUP_CONTESTED: {
    exit: EXIT.network,
    message: 'others keep changing the group',
    hints: ['try again in a minute'],
  },
  GROUP_FORKED: {
    exit: EXIT.notVerified,
    message: 'members disagree about the group: nothing was sent',
  },
  GROUP_LINK_INVALID: {
    exit: EXIT.usage,
    message: 'this is no link to a group',
    hints: ['a link looks like qasid-group:…: ask for it again'],
  },
  LIMIT_ENVELOPE_SIZE: { exit: EXIT.failed, message: (detail) => `too long: ${detail}` },
  LIMIT_MAILBOX_FULL: {
    exit: EXIT.failed,
    message: 'their mailbox is full',
    hints: ['it empties when they receive'],
  },
  LIMIT_RATE: {
    exit: EXIT.network,
    message: 'too many requests',
    hints: ['try again in a minute'],
  },
  LIMIT_BUSY: {
    exit: EXIT.network,
    message: 'the relay is busy',
    hints: ['try again in a minute'],
  },
  LIMIT_FILE_SIZE: { exit: EXIT.failed, message: (detail) => `too large: ${detail}` },
  LIMIT_QUOTA: {
    exit: EXIT.failed,
    message: 'no room is left for files at the relay',
    hints: ['files expire after some days; the same command goes on then'],
  },
  DOCUMENT_UNSUPPORTED: {
    exit: EXIT.failed,
    message: 'this relay keeps no files',
    hints: ['its operator gives it a data directory'],
  },
  DOCUMENT_GONE: {
    exit: EXIT.failed,
    message: 'the relay does not have this file any more',
    hints: ['ask for it again'],
  },
  DOCUMENT_CHANGED: {
    exit: EXIT.failed,
    message: 'the file changed since its upload began: nothing of it was sent',
    hints: ['the same command sends it anew'],
  },
  VERIFY_ATTACHMENT: {
    exit: EXIT.notVerified,
    message: 'the file is not what was sent: nothing was saved',
  },
  VERIFY_INCREMENTAL_MAC: {
    exit: EXIT.notVerified,
    message: 'the file is not what was sent: nothing was saved',
  },
  STORE_PASSPHRASE: {
    exit: EXIT.failed,
    message: 'wrong passphrase',
    hints: ['nothing was changed: try again'],
  },
  STORE_CORRUPT: {
    exit: EXIT.failed,
    message: 'the database of this profile is damaged',
    hints: ['restore the profile folder from a backup; it was not changed'],
  },
  STORE_FULL: {
    exit: EXIT.failed,
    message: 'no space left on the disk',
    hints: ['free some space and run the command again: nothing was lost'],
  },
  STORE_LOCKED: {
    exit: EXIT.failed,
    message: 'another program is using this profile',
    hints: ['wait for it to end, or use another --profile'],
  },
  STORE_FAILED: {
    exit: EXIT.failed,
    message: (detail) => `the database of this profile cannot be used: ${detail}`,
  },
  USAGE_RANGE: { exit: EXIT.usage, message: asIs },
  USAGE_ARGUMENT: { exit: EXIT.usage, message: asIs },
  VERIFY_SIGNATURE: {
    exit: EXIT.notVerified,
    message: 'a signature from the relay is wrong: nothing was sent',
  },
  VERIFY_DEVICE_LIST: {
    exit: EXIT.notVerified,
    message: 'the device list of this person is not signed by them: nothing was sent',
  },
  ENOSPC: {
    exit: EXIT.failed,
    message: 'no space left on the disk',
    hints: ['free some space and run the command again: nothing was lost'],
  },
  EPIPE: { exit: EXIT.failed, message: 'the reader of the output is gone' },
};
