/**
 * `qasid send TO [CAPTION] --file PATH…`: upload first, and go on with what an earlier run began.
 */
import { resolve } from 'node:path';

import type {
  Conversation,
  DocumentProgress,
  QasidClient,
  SentMessage,
  Upload,
} from '@qasid/client-sdk';

import { untilStopped, type Context } from '../context.js';
import { CliError, EXIT } from '../exit-codes.js';

/** Files below this are there before anybody reads a percentage. */
const SHOWN_FROM_BYTES = 4 * 1_048_576;

/**
 * Upload files and put their message into the outbox.
 *
 * @throws CliError `network` when nothing moves for the time of `--timeout`, or on Ctrl-C; and what the SDK throws.
 */
export async function uploadFiles(
  context: Context,
  client: QasidClient,
  chat: Conversation,
  caption: string | undefined,
  paths: readonly string[],
): Promise<SentMessage> {
  let movedAtMs = Date.now();
  let tens = 0;
  const onProgress = ({ ratio, total }: DocumentProgress): void => {
    movedAtMs = Date.now();
    const now = Math.floor(10 * ratio);
    if (total < SHOWN_FROM_BYTES || now <= tens) return;
    tens = now;
    context.output.note(`${10 * tens} % of ${total} bytes`);
  };
  const upload = await begin(
    client,
    chat,
    caption,
    paths.map((path) => resolve(path)),
    onProgress,
  );
  let timer: NodeJS.Timeout | undefined;
  const stuck = new Promise<'stuck'>((done) => {
    timer = setInterval(() => {
      if (Date.now() - movedAtMs > context.timeoutMs) done('stuck');
    }, LOOK_MS);
  });
  try {
    const sent = await untilStopped(context.stop, Promise.race([upload.sent, stuck]));
    if (sent !== undefined && sent !== 'stuck') return sent;
    const seconds = context.timeoutMs / 1_000;
    throw new CliError(
      EXIT.network,
      sent === undefined ? 'stopped before all was sent' : `nothing was sent for ${seconds} s`,
      ['what was sent is kept: the same command goes on there'],
    );
  } catch (error) {
    // What can never be sent is not to be tried again by a later command.
    if (isFinal(error)) await client.documents.cancel(upload.id);
    throw error;
  } finally {
    clearInterval(timer);
  }
}

async function begin(
  client: QasidClient,
  chat: Conversation,
  caption: string | undefined,
  paths: readonly string[],
  onProgress: (progress: DocumentProgress) => void,
): Promise<Upload> {
  const { fileFromPath } = await import('@qasid/client-sdk/node');
  const before = (await client.documents.pending()).find(
    (one) =>
      one.to === chat.id &&
      !one.running &&
      one.files.length === paths.length &&
      one.files.every(({ path }, at) => path === paths[at]),
  );
  const file = await Promise.all(paths.map(fileFromPath));
  if (before !== undefined) {
    const fits = before.files.every(({ size }, at) => size === file[at]?.size);
    if (fits) return client.documents.resume(before.id, { files: file, onProgress });
    await client.documents.cancel(before.id);
  }
  return chat.upload({ file, ...(caption !== undefined && { caption }) }, { onProgress });
}

function isFinal(error: unknown): boolean {
  const code = (error as { code?: unknown } | undefined)?.code;
  return (
    code === 'LIMIT_FILE_SIZE' || code === 'DOCUMENT_UNSUPPORTED' || code === 'DOCUMENT_CHANGED'
  );
}

/** How often to look whether anything moves. */
const LOOK_MS = 250;
