/**
 * `qasid receive`: show each message once. `--follow` goes on until Ctrl-C.
 *
 * The SDK has every message durably before the relay forgets it; this command only decides what has been
 * shown, and shown.ts says how that survives `kill -9`.
 */
import type { Message, QasidClient } from '@qasid/client-sdk';

import { untilStopped, withClient, type Context } from '../context.js';
import { CliError, EXIT, type ExitCode } from '../exit-codes.js';
import { codeOf, explain } from '../explain.js';
import { reportGroups } from '../group-notes.js';
import { titleOf } from '../groups.js';
import { messageLine } from '../message-line.js';
import { STDOUT, writeFully } from '../output.js';
import { outcomeOf, Shown } from '../shown.js';

/** Run the command. */
export async function receive(
  context: Context,
  options: { readonly follow: boolean },
): Promise<ExitCode> {
  const { takeLock } = await import('@qasid/client-sdk/node');
  return withClient(context, async (client) => {
    const { directory } = context.profile;
    const unlock = takeLock(directory, 'receive.lock');
    if (unlock === undefined) {
      throw new CliError(EXIT.failed, 'another receive of this profile is running', [
        'one at a time: each message is shown once',
      ]);
    }
    let shown: Shown | undefined;
    try {
      shown = Shown.open(directory);
      await settleInterrupted(context, client, shown);
      if (options.follow) return await follow(context, client, shown);
      return await fetchOnce(context, client, shown);
    } finally {
      shown?.close();
      unlock();
    }
  });
}

/** Show what is here and what the relay has, then end. */
async function fetchOnce(context: Context, client: QasidClient, shown: Shown): Promise<ExitCode> {
  const changed = reportOddities(context, client);
  const groupsTold = reportGroups(context, client);
  await showStored(context, client, shown);
  const caughtUp = client.caughtUp({ timeoutMs: context.timeoutMs });
  let problem: unknown;
  await untilStopped(context.stop, caughtUp).catch((error: unknown) => {
    problem = error;
  });
  await showStored(context, client, shown);
  await groupsTold();
  // What was kept, and what answers to what came: a welcome to somebody who asked to join a group.
  if (client.status === 'open') {
    const flushed = client.flush({ timeoutMs: context.timeoutMs });
    await untilStopped(context.stop, flushed).catch(() => undefined);
  }
  if (problem !== undefined && client.status !== 'open') {
    const seconds = context.timeoutMs / 1_000;
    throw new CliError(
      EXIT.network,
      `the relay could not be reached within ${seconds} s`,
      ['messages that wait there will be shown by the next receive'],
      { cause: problem },
    );
  }
  if (problem !== undefined) throw problem;
  return changed() ? EXIT.notVerified : EXIT.done;
}

/** Everything stored that was not shown, in order. */
async function showStored(context: Context, client: QasidClient, shown: Shown): Promise<void> {
  for (;;) {
    const page = await client.history({ after: shown.last, limit: PAGE });
    for (const message of page) {
      if (context.stop.aborted) return;
      await show(context, client, shown, message);
    }
    if (page.length < PAGE) return;
  }
}

/** Show messages as they come; the relay may come and go. */
async function follow(context: Context, client: QasidClient, shown: Shown): Promise<ExitCode> {
  reportRelay(context, client);
  reportOddities(context, client);
  reportGroups(context, client);
  const messages = client.messages({ after: shown.last });
  for (;;) {
    const next = await untilStopped(context.stop, messages.next());
    if (next === undefined || next.done === true) return EXIT.done;
    await show(context, client, shown, next.value);
  }
}

async function show(
  context: Context,
  client: QasidClient,
  shown: Shown,
  message: Message,
): Promise<void> {
  if (message.direction === 'sent') return shown.pass(message.seq);
  // Taken back before anybody saw it.
  if (message.deleted) return shown.done(message.seq);
  if (message.kind === 'unknown') {
    const who = message.sender.username ?? message.sender.account;
    context.output.hint(`message ${message.seq} from ${who} needs a newer version of qasid`);
    return shown.done(message.seq);
  }
  const title = await titleOf(client, message.peer);
  await shown.print(message.seq, `${messageLine(message, context.json, title)}\n`);
}

/** A line that was being printed when the last receive was killed. */
async function settleInterrupted(
  context: Context,
  client: QasidClient,
  shown: Shown,
): Promise<void> {
  const intent = shown.interrupted;
  if (intent === undefined) return;
  const [message] = await client.history({ after: intent.seq - 1, limit: 1 });
  if (message?.seq !== intent.seq) return shown.done(intent.seq);
  const title = await titleOf(client, message.peer);
  const outcome = outcomeOf(intent, `${messageLine(message, context.json, title)}\n`);
  switch (outcome.kind) {
    case 'shown':
      return shown.done(intent.seq);
    case 'not-shown':
      return; // `shown.last` is before it: it is the next to be shown
    case 'partly':
      await writeFully(STDOUT, outcome.rest);
      return shown.done(intent.seq);
    case 'doubt': {
      const who = message.sender.username ?? message.sender.account;
      context.output.hint(
        `message ${intent.seq} from ${who} may not have been shown when receive was killed: ` +
          `qasid history --after ${intent.seq - 1} --limit 1`,
      );
      return shown.done(intent.seq);
    }
  }
}

/** Tell of messages that cannot be shown; gives back whether an identity key changed. */
function reportOddities(context: Context, client: QasidClient): () => boolean {
  const changed = new Set<string>();
  const tellChanged = (account: string, who: string): void => {
    if (changed.has(account)) return;
    changed.add(account);
    context.output.error(`the identity key of ${who} changed: their new messages wait`);
    context.output.hint(`compare numbers: qasid safety-number ${who}; then: qasid trust ${who}`);
  };
  client.on('undecryptable', ({ claimedAccount, cause }) => {
    const who = claimedAccount ?? 'somebody';
    context.output.note(`a message in the name of ${who} could not be opened (${cause})`);
  });
  client.on('identity-changed', ({ account, username }) =>
    tellChanged(account, username ?? account),
  );
  client.on('held', ({ account, username }) => tellChanged(account, username ?? account));
  client.on('trouble', (error) => {
    if (codeOf(error)?.startsWith('NET_') === true) return;
    context.output.error(explain(error).message);
  });
  return () => changed.size > 0;
}

/** Tell once when the relay goes away and once when it is back. */
function reportRelay(context: Context, client: QasidClient): void {
  let away = false;
  client.on('status', (status) => {
    if (status === 'backing-off' && !away) {
      away = true;
      context.output.note('the relay cannot be reached: trying again until it can');
    } else if (status === 'open' && away) {
      away = false;
      context.output.note('the relay is back');
    }
  });
}

/** Messages read from the database at a time. */
const PAGE = 200;
