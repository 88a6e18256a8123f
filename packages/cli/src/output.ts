/**
 * The two voices of the command line: stdout carries data only, stderr everything for people.
 *
 * Lines for people are `qasid: …`, `qasid: error: …` and `qasid: hint: …`: lower-case, no full stop, inert.
 * Data goes through {@link writeFully}, because a message line must be known to be written before it is
 * recorded as shown.
 */
import { write } from 'node:fs';

import { inertJson, inertLine } from './inert.js';

/** Where a command writes. Tests pass their own. */
export interface Output {
  /** Data: one line on stdout. Resolves when the kernel has taken all of it. */
  readonly data: (line: string) => Promise<void>;
  /** Data as one JSON object on one line. */
  readonly json: (value: unknown) => Promise<void>;
  /** For people: what is happening. */
  readonly note: (message: string) => void;
  /** For people: what went wrong. */
  readonly error: (message: string) => void;
  /** For people: what to do next. */
  readonly hint: (message: string) => void;
}

/**
 * Output on file descriptors 1 and 2.
 *
 * @param quiet - Leave out notes; errors and hints stay.
 */
export function standardOutput(quiet: boolean): Output {
  const say = (line: string): void => {
    process.stderr.write(`${line}\n`);
  };
  return {
    data: (line) => writeFully(STDOUT, `${line}\n`),
    json: (value) => writeFully(STDOUT, `${inertJson(value)}\n`),
    note: (message) => {
      if (!quiet) say(`qasid: ${inertLine(message)}`);
    },
    error: (message) => say(`qasid: error: ${inertLine(message)}`),
    hint: (message) => say(`qasid: hint: ${inertLine(message)}`),
  };
}

/**
 * Write all of `text` to a descriptor, also when the kernel takes it in parts or asks to wait.
 *
 * @throws the system error (`EPIPE`, `ENOSPC`, …) with `written`, the bytes that went out before it.
 */
export async function writeFully(fd: number, text: string | Uint8Array): Promise<void> {
  const bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text;
  let written = 0;
  while (written < bytes.length) {
    try {
      written += await writeOnce(fd, bytes.subarray(written));
    } catch (error) {
      // A pipe shared with a program that made it non-blocking: the reader is slow, not gone.
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') {
        await new Promise((resolve) => setTimeout(resolve, 10));
        continue;
      }
      throw Object.assign(error as Error, { written });
    }
  }
}

function writeOnce(fd: number, bytes: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, bytes, 0, bytes.length, null, (error, count) => {
      if (error) reject(error);
      else resolve(count);
    });
  });
}

/** File descriptor of standard output. */
export const STDOUT = 1;
