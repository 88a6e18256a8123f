/**
 * `qasid send TO [TEXT|-]`, `qasid group send GROUP [TEXT|-]`: done when the relay has stored the message durably.
 *
 * The encrypted message is committed to the outbox before anything leaves. Whatever happens afterwards
 * (no relay, a crash, Ctrl-C) the next `send` or `receive` of this profile delivers it, once.
 */
import { createInterface } from 'node:readline';

import type { Conversation, QasidClient, SentMessage } from '@qasid/client-sdk';

import { within, withClient, type Context } from '../context.js';
import { codeOf, explain } from '../explain.js';
import { CliError, EXIT, type ExitCode } from '../exit-codes.js';
import { groupNamed, quotedTitle } from '../groups.js';
import { grouped } from '../message-line.js';

/** What may be said with it. */
export interface SendOptions {
  readonly lines?: boolean;
  readonly queue?: boolean;
  readonly file?: readonly string[];
}

/** Where messages go. */
export interface Target {
  /** As the person named it. */
  readonly name: string;
  readonly send: (text: string) => Promise<SentMessage>;
  readonly chat: () => Promise<Conversation>;
  /** What to tell of an error. */
  readonly explained: (error: unknown, kept: boolean) => Promise<unknown>;
}

/** Run `qasid send`. */
export async function send(
  context: Context,
  to: string,
  text: string | undefined,
  options: SendOptions,
): Promise<ExitCode> {
  return sendTo(context, text, options, async (client) => ({
    name: to,
    send: (message) => client.send(to, message),
    chat: () => client.conversation(to),
    explained: (error, kept) => withNumbers(client, to, error, kept),
  }));
}

/** Run `qasid group send`. */
export async function sendToGroup(
  context: Context,
  named: string,
  text: string | undefined,
  options: SendOptions,
): Promise<ExitCode> {
  return sendTo(context, text, options, async (client) => {
    const group = await groupNamed(client, named);
    return {
      name: quotedTitle((await group.details()).title),
      send: (message) => group.send(message),
      chat: async () => group,
      explained: async (error) => error,
    };
  });
}

async function sendTo(
  context: Context,
  text: string | undefined,
  options: SendOptions,
  targetOf: (client: QasidClient) => Promise<Target>,
): Promise<ExitCode> {
  const { file } = options;
  if (file !== undefined) {
    if (options.lines === true || options.queue === true) {
      throw new CliError(EXIT.usage, '--file goes with neither --lines nor --queue');
    }
    const caption = text === '-' ? await readStdin() : text;
    const { uploadFiles } = await import('./send-files.js');
    return withClient(context, async (client) => {
      const target = await targetOf(client);
      const upload = async () => uploadFiles(context, client, await target.chat(), caption, file);
      return sendOne(context, client, target, upload, false);
    });
  }
  if (options.lines === true) {
    if (text !== undefined && text !== '-') {
      throw new CliError(EXIT.usage, '--lines reads stdin: leave the text out');
    }
    return withClient(context, async (client) =>
      sendLines(context, client, await targetOf(client), options.queue === true),
    );
  }
  const message = text === undefined || text === '-' ? await readStdin() : text;
  if (message === '') throw new CliError(EXIT.usage, 'the message is empty: nothing was sent');
  return withClient(context, async (client) => {
    const target = await targetOf(client);
    const begin = () => target.send(message);
    return sendOne(context, client, target, begin, options.queue === true);
  });
}

/** One message, from `begin`, which puts it into the outbox. */
async function sendOne(
  context: Context,
  client: QasidClient,
  target: Target,
  begin: () => Promise<SentMessage>,
  queueOnly: boolean,
): Promise<ExitCode> {
  let kept = false;
  try {
    const sent = await begin();
    kept = true;
    await report(context, sent, 'queued');
    if (queueOnly) {
      context.output.note(`kept for ${target.name}: the next send or receive delivers it`);
      return EXIT.done;
    }
    await confirmed(context, client, sent);
    await report(context, sent, 'confirmed');
    context.output.note(`sent to ${target.name}`);
    return EXIT.done;
  } catch (error) {
    throw await target.explained(error, kept);
  }
}

/**
 * A changed identity key is a person's decision: give them both numbers to decide by.
 *
 * @param kept - The message is in the outbox and goes when the person trusts the new key.
 */
async function withNumbers(
  client: QasidClient,
  to: string,
  error: unknown,
  kept: boolean,
): Promise<unknown> {
  if (codeOf(error) !== 'TRUST_IDENTITY_CHANGED') return error;
  const { digits, changed } = await client.safetyNumber(to);
  return new CliError(
    EXIT.notVerified,
    `the identity key of ${to} changed: the message ${kept ? 'waits' : 'was not sent'}`,
    [
      `safety number before: ${grouped(digits)}`,
      `safety number now:    ${changed === undefined ? 'unknown' : grouped(changed.digits)}`,
      `compare the new one with ${to}; if it is right: qasid trust ${to}${kept ? ', and it goes' : ''}`,
    ],
    { cause: error },
  );
}

/** Every line of stdin as one message, in order; a failed one does not stop the rest. */
async function sendLines(
  context: Context,
  client: QasidClient,
  target: Target,
  queueOnly: boolean,
): Promise<ExitCode> {
  let exitCode: ExitCode = EXIT.done;
  const waiting = new Set<Promise<void>>();
  const failed = async (error: unknown, kept: boolean): Promise<void> => {
    const told = await target.explained(error, kept);
    const { message, hints, exitCode: code } = explain(told);
    context.output.error(message);
    for (const hint of hints) context.output.hint(hint);
    if (exitCode === EXIT.done || code !== EXIT.network) exitCode = code;
  };
  const lines = createInterface({ input: process.stdin, terminal: false });
  const stopped = (): void => lines.close();
  context.stop.addEventListener('abort', stopped);
  if (process.stdin.isTTY) context.output.note(`every line goes to ${target.name}; Ctrl-D ends`);
  let number = 0;
  for await (const text of lines) {
    const line = ++number;
    if (text === '') continue;
    try {
      const sent = await target.send(text);
      await report(context, sent, 'queued', line);
      if (queueOnly) continue;
      const done = sent.confirmed.then(
        () => report(context, sent, 'confirmed', line),
        (error) => failed(error, true),
      );
      waiting.add(done);
      void done.then(() => waiting.delete(done));
    } catch (error) {
      await failed(error, false);
    }
  }
  context.stop.removeEventListener('abort', stopped);
  const outcome = await within(context, Promise.all(waiting));
  if (outcome.kind !== 'done') {
    await failed(notConfirmed(context, client, `${waiting.size} messages`, outcome.kind), true);
  }
  process.stdin.destroy();
  return exitCode;
}

/** Wait until the relay has stored it. */
async function confirmed(context: Context, client: QasidClient, sent: SentMessage): Promise<void> {
  const trouble = storeTrouble(client);
  const outcome = await within(context, Promise.race([sent.confirmed, trouble]));
  if (outcome.kind !== 'done') throw notConfirmed(context, client, 'the message', outcome.kind);
}

/** Rejects when the store fails: waiting for the relay would hide what is really wrong. */
function storeTrouble(client: QasidClient): Promise<never> {
  return new Promise((_resolve, reject) => {
    client.on('trouble', (error) => {
      if (codeOf(error)?.startsWith('STORE_') === true) reject(error);
    });
  });
}

function notConfirmed(
  context: Context,
  client: QasidClient,
  what: string,
  why: 'timeout' | 'stopped',
): CliError {
  const seconds = context.timeoutMs / 1_000;
  const reason =
    why === 'stopped'
      ? 'stopped before the relay confirmed'
      : client.status === 'open'
        ? `the relay did not confirm within ${seconds} s`
        : `the relay could not be reached within ${seconds} s`;
  return new CliError(EXIT.network, reason, [
    `${what} stays in the outbox: the next send or receive delivers it`,
  ]);
}

async function report(
  context: Context,
  sent: SentMessage,
  state: 'queued' | 'confirmed',
  line?: number,
): Promise<void> {
  if (!context.json) return;
  await context.output.json({
    id: sent.id,
    to: sent.to,
    state,
    ...(line === undefined ? {} : { line }),
  });
}

async function readStdin(): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Uint8Array);
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(
      await new Blob(chunks).arrayBuffer(),
    );
    return text.replace(/\r?\n$/, '');
  } catch (cause) {
    throw new CliError(EXIT.usage, 'the message is not UTF-8 text: nothing was sent', [], {
      cause,
    });
  }
}
