/**
 * What a finished command tells the shell, and the error a command ends with.
 *
 * The numbers are API: scripts branch on them. doc/qasid.1.md lists them for people.
 */

/** Exit codes of every command. */
export const EXIT = {
  /** Everything asked for was done. */
  done: 0,
  /** Not done, and trying again will not help by itself. */
  failed: 1,
  /** The command line is wrong: nothing was tried. */
  usage: 2,
  /** A key, safety number or message could not be verified: a person must look. */
  notVerified: 3,
  /** The relay could not be reached or did not answer: trying again may help. */
  network: 4,
} as const;

/** One of {@link EXIT}. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** How a command fails: one clear line, what to do next, and the exit code. */
export class CliError extends Error {
  readonly exitCode: ExitCode;
  readonly hints: readonly string[];
  constructor(
    exitCode: ExitCode,
    message: string,
    hints: readonly string[] = [],
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'CliError';
    this.exitCode = exitCode;
    this.hints = hints;
  }
}
