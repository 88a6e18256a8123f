/**
 * `qasid save MESSAGE [DIR]`: the files of a message, as new files of one folder. Never anywhere else, never in place
 * of something that is there (ATK-H03).
 */
import { statSync } from 'node:fs';
import { extname, join } from 'node:path';

import type { MessageDocument } from '@qasid/client-sdk';

import { untilStopped, withClient, type Context } from '../context.js';
import { CliError, EXIT, type ExitCode } from '../exit-codes.js';
import { codeOf } from '../explain.js';
import { inertLine } from '../inert.js';

/** Names tried for one file. */
const NAMES_MAX = 100;

/** Run the command. */
export async function save(context: Context, seq: number, folder: string): Promise<ExitCode> {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new CliError(EXIT.usage, `there is no folder ${folder}`);
  }
  return withClient(context, async (client) => {
    const [message] = await client.history({ after: seq - 1, limit: 1 });
    if (message?.seq !== seq) throw new CliError(EXIT.failed, `there is no message ${seq}`, HINTS);
    if (message.attachments.length === 0) {
      throw new CliError(EXIT.failed, `message ${seq} has no files`, HINTS);
    }
    for (const document of message.attachments) {
      const path = await untilStopped(context.stop, saveNew(document, folder, context.stop));
      if (path === undefined) throw new CliError(EXIT.failed, 'stopped: nothing half is left');
      if (context.json) await context.output.json({ path, size: document.size });
      else await context.output.data(inertLine(path));
    }
    return EXIT.done;
  });
}

/** Write it under its name, or the next that is free. */
async function saveNew(
  document: MessageDocument,
  folder: string,
  signal: AbortSignal,
): Promise<string> {
  const ending = extname(document.name);
  const stem = document.name.slice(0, document.name.length - ending.length);
  for (let number = 1; ; number++) {
    const path = join(folder, number === 1 ? document.name : `${stem}-${number}${ending}`);
    if (statSync(path, { throwIfNoEntry: false }) !== undefined && number < NAMES_MAX) continue;
    try {
      await document.saveTo(path, { signal });
      return path;
    } catch (error) {
      if (codeOf(error) !== 'EEXIST' || number >= NAMES_MAX) throw error;
    }
  }
}

const HINTS = ['qasid history shows the numbers of messages, and their files'];
