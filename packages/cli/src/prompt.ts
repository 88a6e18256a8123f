/**
 * Passphrases: from the terminal, a file or a file descriptor; never from an argument or the environment,
 * where other users and every child process could read them.
 *
 * Questions go to the terminal itself (`/dev/tty`), so that stdin and stdout stay free for data.
 */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { ReadStream, WriteStream } from 'node:tty';

import { CliError, EXIT } from './exit-codes.js';
import type { Output } from './output.js';

/** Where the passphrase comes from when it is not asked for. */
export interface PassphraseSource {
  readonly file?: string | undefined;
  readonly fd?: number | undefined;
}

/** Whether any source was named on the command line. */
export function hasSource(source: PassphraseSource): boolean {
  return source.file !== undefined || source.fd !== undefined;
}

/**
 * The passphrase of an existing profile.
 *
 * @throws CliError `usage` when no source is named and there is no terminal to ask on.
 */
export async function readPassphrase(source: PassphraseSource, output: Output): Promise<string> {
  const given = await fromSource(source, output);
  if (given !== undefined) return given;
  return withTerminal((ask) => ask('passphrase'));
}

/**
 * The passphrase of a new profile, asked for twice; an empty answer means none.
 *
 * @throws CliError `usage` when no source is named and there is no terminal to ask on.
 */
export async function choosePassphrase(
  source: PassphraseSource,
  output: Output,
): Promise<string | undefined> {
  const given = await fromSource(source, output);
  if (given !== undefined) return given;
  return withTerminal(async (ask) => {
    const first = await ask('passphrase for this profile (empty for none)');
    if (first === '') return undefined;
    if (first !== (await ask('the same again'))) {
      throw new CliError(EXIT.usage, 'the two passphrases differ');
    }
    return first;
  });
}

async function fromSource(source: PassphraseSource, output: Output): Promise<string | undefined> {
  if (source.file !== undefined && source.fd !== undefined) {
    throw new CliError(EXIT.usage, 'give --passphrase-file or --passphrase-fd, not both');
  }
  const from = source.file ?? source.fd;
  if (from === undefined) return undefined;
  const fd = typeof from === 'number' ? from : openPassphraseFile(from);
  try {
    if (typeof from === 'string' && (fstatSync(fd).mode & 0o077) !== 0 && fstatSync(fd).isFile()) {
      output.hint('other users of this computer can read the passphrase file: chmod 600 it');
    }
    const text = readFileSync(fd, 'utf8').replace(/\r?\n$/, '');
    if (text === '') throw new CliError(EXIT.usage, 'the passphrase is empty');
    return text;
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(EXIT.usage, `cannot read the passphrase: ${systemReason(error)}`, [], {
      cause: error,
    });
  } finally {
    closeSync(fd);
  }
}

function openPassphraseFile(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    throw new CliError(EXIT.usage, `cannot read the passphrase file: ${systemReason(error)}`, [], {
      cause: error,
    });
  }
}

/** `no such file`, `permission denied`, …: what a system error means, without the path in it. */
export function systemReason(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return (code !== undefined && REASONS[code]) || code || 'unknown reason';
}

type Ask = (message: string) => Promise<string>;

async function withTerminal<Answer>(run: (ask: Ask) => Promise<Answer>): Promise<Answer> {
  let fd: number;
  try {
    fd = openSync('/dev/tty', 'r+');
  } catch (cause) {
    throw new CliError(
      EXIT.usage,
      'a passphrase is needed and there is no terminal to ask on',
      ['use --passphrase-file or --passphrase-fd'],
      { cause },
    );
  }
  const { password, isCancel } = await import('@clack/prompts');
  const input = new ReadStream(fd);
  const output = new WriteStream(fd);
  try {
    return await run(async (message) => {
      const answer = await password({ message, input, output });
      if (isCancel(answer)) throw new CliError(EXIT.failed, 'stopped at the passphrase');
      return answer ?? '';
    });
  } finally {
    input.destroy();
    output.destroy();
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of the path is not a directory',
  EBADF: 'not an open file descriptor',
  ENOSPC: 'no space left on the disk',
  EDQUOT: 'disk quota used up',
  EFBIG: 'file size limit reached',
  EROFS: 'the file system is read-only',
  EADDRINUSE: 'the address is in use',
  EADDRNOTAVAIL: 'the address does not belong to this computer',
  ECONNREFUSED: 'connection refused',
  ENOTFOUND: 'no such host',
  EPIPE: 'the reader is gone',
};
