/**
 * Which messages `qasid receive` has shown: each one exactly once, also across `kill -9`.
 *
 * Showing a line and recording that it was shown cannot be one atomic step, so it takes three: write down
 * the intent, print the line, write down that it is done. A crash leaves at most one intent open. If stdout
 * is the same regular file again, the file itself tells whether the line is in it, wholly, partly or not
 * at all. A terminal or a pipe cannot be asked: then the message counts as shown, a hint names it, and
 * `qasid history` has it. Never twice, never silently lost.
 *
 * The record is a text file of its own beside the profile's database: one line per step, appended and
 * synced; a torn last line is an unfinished step and is dropped.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

import { CliError, EXIT } from './exit-codes.js';
import { STDOUT, writeFully } from './output.js';

/** A regular file that stdout goes to, as it was before the line. */
export interface Target {
  readonly device: string;
  readonly inode: string;
  /** Its size in bytes: where the line begins. */
  readonly size: number;
}

/** A line that was about to be printed. */
export interface Intent {
  readonly seq: number;
  /** Bytes of the line, its end of line included. */
  readonly length: number;
  /** SHA-256 of these bytes, hex. */
  readonly hash: string;
  /** Absent when stdout was a terminal or a pipe. */
  readonly target?: Target | undefined;
}

/** What became of an intent a crash left open. */
export type Outcome =
  | { readonly kind: 'shown' }
  | { readonly kind: 'not-shown' }
  | { readonly kind: 'partly'; readonly rest: Uint8Array }
  | { readonly kind: 'doubt' };

/** The record of one profile. One process at a time: `receive` holds the profile's receive lock. */
export class Shown {
  readonly #path: string;
  #fd: number;
  #last: number;
  #open: Intent | undefined;

  private constructor(path: string, last: number, open: Intent | undefined) {
    this.#path = path;
    this.#last = last;
    this.#open = open;
    this.#fd = this.#rewrite();
  }

  /**
   * Read the record in `directory`; a missing one means nothing was shown.
   *
   * @throws CliError `failed` when it is damaged.
   */
  static open(directory: string): Shown {
    const path = join(directory, 'shown.log');
    const { last, open } = parse(readOrEmpty(path));
    return new Shown(path, last, open);
  }

  /** Sequence number of the last message shown. */
  get last(): number {
    return this.#last;
  }

  /** The line a crash interrupted, if any. */
  get interrupted(): Intent | undefined {
    return this.#open;
  }

  /**
   * Print one line on stdout, exactly once.
   *
   * @throws the system error when stdout does not take it; the record then tells what is known.
   */
  async print(seq: number, line: string): Promise<void> {
    const bytes = new TextEncoder().encode(line);
    const target = stdoutTarget();
    this.#append(intentLine({ seq, length: bytes.length, hash: sha256(bytes), target }));
    try {
      await writeFully(STDOUT, bytes);
    } catch (error) {
      // Nothing went out: the message is still to be shown. A part went out: the intent stays open.
      if ((error as { written?: number }).written === 0) this.#append(`undone ${seq}`);
      throw error;
    }
    if (target !== undefined) fsyncSync(STDOUT);
    this.done(seq);
  }

  /** Record that everything up to `seq` has been shown. */
  done(seq: number): void {
    this.#append(`shown ${seq}`);
    this.#last = seq;
    this.#open = undefined;
  }

  /** Pass over a message that is not to be shown. Not recorded: passing over it again costs nothing. */
  pass(seq: number): void {
    this.#last = seq;
  }

  /** Release the file. */
  close(): void {
    closeSync(this.#fd);
  }

  #append(line: string): void {
    writeSync(this.#fd, `${line}\n`);
    fdatasyncSync(this.#fd);
  }

  /** Start the file anew with what matters; the rename keeps either the old or the new one. */
  #rewrite(): number {
    const lines = [`shown ${this.#last}\n`];
    if (this.#open !== undefined) lines.push(`${intentLine(this.#open)}\n`);
    const next = `${this.#path}.new`;
    writeFileSync(next, lines.join(''), { mode: 0o600, flush: true });
    renameSync(next, this.#path);
    const directory = openSync(dirname(this.#path), 'r');
    fsyncSync(directory); // the rename itself must survive a power cut, or later steps land in a lost file
    closeSync(directory);
    return openSync(this.#path, 'a');
  }
}

/**
 * Find out what became of an interrupted line, from the file stdout goes to.
 *
 * @param line - The line as it would be printed now.
 */
export function outcomeOf(intent: Intent, line: string): Outcome {
  const now = stdoutTarget();
  const then = intent.target;
  if (then === undefined || now === undefined) return { kind: 'doubt' };
  if (now.device !== then.device || now.inode !== then.inode) return { kind: 'doubt' };
  if (now.size < then.size) return { kind: 'doubt' }; // emptied since: the line may have been in it
  if (now.size === then.size) return { kind: 'not-shown' };
  const after = readStdoutFile(then.size, now.size);
  if (after === undefined) return { kind: 'doubt' };
  if (sha256(after.subarray(0, intent.length)) === intent.hash) return { kind: 'shown' };
  const wanted = new TextEncoder().encode(line);
  if (sha256(wanted) !== intent.hash) return { kind: 'doubt' }; // printed in another form than now
  if (startsWith(wanted, after)) return { kind: 'partly', rest: wanted.subarray(after.length) };
  // Someone else wrote to the file too: the line may stand further on.
  return { kind: indexOf(after, wanted) >= 0 ? 'shown' : 'not-shown' };
}

/** The regular file stdout goes to, or undefined for a terminal, a pipe or a socket. */
function stdoutTarget(): Target | undefined {
  const stat = fstatSync(STDOUT, { bigint: true });
  if (!stat.isFile()) return undefined;
  return { device: String(stat.dev), inode: String(stat.ino), size: Number(stat.size) };
}

function readStdoutFile(from: number, to: number): Uint8Array | undefined {
  let fd: number;
  try {
    fd = openSync('/dev/fd/1', 'r'); // stdout itself is usually open for writing only
  } catch {
    return undefined;
  }
  try {
    const bytes = new Uint8Array(to - from);
    let got = 0;
    while (got < bytes.length) {
      const count = readSync(fd, bytes, got, bytes.length - got, from + got);
      if (count === 0) break;
      got += count;
    }
    return bytes.subarray(0, got);
  } finally {
    closeSync(fd);
  }
}

function parse(text: string): { last: number; open: Intent | undefined } {
  const lines = text.split('\n');
  lines.pop(); // what follows the last end of line: nothing, or a torn step
  let last = 0;
  let open: Intent | undefined;
  for (const line of lines) {
    const words = line.split(' ');
    const seq = Number(words[1]);
    if (!Number.isSafeInteger(seq) || seq < 0) throw damaged();
    if (words[0] === 'shown') {
      last = seq;
      open = undefined;
    } else if (words[0] === 'undone') {
      open = undefined;
    } else if (words[0] === 'intent') {
      open = parseIntent(seq, words);
    } else {
      throw damaged();
    }
  }
  return { last, open };
}

function parseIntent(seq: number, words: readonly string[]): Intent {
  const [, , length, hash, device, inode, size] = words;
  if (length === undefined || hash === undefined) throw damaged();
  const intent = { seq, length: Number(length), hash };
  if (device === undefined || inode === undefined || size === undefined) return intent;
  return { ...intent, target: { device, inode, size: Number(size) } };
}

function intentLine({ seq, length, hash, target }: Intent): string {
  const line = `intent ${seq} ${length} ${hash}`;
  return target === undefined ? line : `${line} ${target.device} ${target.inode} ${target.size}`;
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

function damaged(): CliError {
  return new CliError(EXIT.failed, 'the record of shown messages is damaged', [
    'remove shown.log in the profile folder: receive will then show every message again',
  ]);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function startsWith(whole: Uint8Array, start: Uint8Array): boolean {
  return start.length <= whole.length && start.every((byte, at) => byte === whole[at]);
}

function indexOf(whole: Uint8Array, part: Uint8Array): number {
  for (let at = 0; at + part.length <= whole.length; at++) {
    if (startsWith(whole.subarray(at), part)) return at;
  }
  return -1;
}
