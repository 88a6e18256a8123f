/**
 * Answers from stdin, for people and scripts alike.
 */
import { createInterface, type Interface } from 'node:readline';

import { CliError, EXIT } from './exit-codes.js';

/** Lines of stdin, one at a time. */
export class Lines {
  readonly #lines: Interface = createInterface({ input: process.stdin });
  readonly #iterator = this.#lines[Symbol.asyncIterator]();

  /** @throws CliError `usage` at the end of stdin. */
  async next(what: string): Promise<string> {
    const { value, done } = await this.#iterator.next();
    if (done === true) throw new CliError(EXIT.usage, `stdin ended before the ${what}`);
    return value;
  }

  close(): void {
    this.#lines.close();
    // A terminal or pipe would keep the process; a file has nothing to let go.
    if ('unref' in process.stdin) process.stdin.unref();
  }
}
