#!/usr/bin/env node
/**
 * `qasid`: run one command, tell how it went, end with its exit code.
 */
import { parseArguments } from './args.js';
import { codeOf, explain } from './explain.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { standardOutput } from './output.js';

/** A second signal this long after the first ends the program at once: someone does not want to wait. */
const IMPATIENCE_MS = 500;

/** What may still run once the command is done; more means a defect, and nobody should wait for it. */
const GRACE_MS = 3_000;

const stop = new AbortController();
let stoppedAt = 0;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    // npm passes a Ctrl-C on that the terminal has sent us already: the same one, twice.
    if (stop.signal.aborted && performance.now() - stoppedAt > IMPATIENCE_MS) process.exit(130);
    if (!stop.signal.aborted) stoppedAt = performance.now();
    stop.abort();
  });
}
// A file size limit is an error to tell, like a full disk, and no reason to die without a word.
process.on('SIGXFSZ', () => {});

// Nobody reads stderr any more: go on without it.
process.stderr.on('error', () => {});

process.exitCode = await run();
setTimeout(() => process.exit(), GRACE_MS).unref();

async function run(): Promise<ExitCode> {
  const output = standardOutput(process.argv.includes('--quiet'));
  try {
    return await parseArguments(process.argv, stop.signal, output);
  } catch (error) {
    // A reader that has enough (`| head -1`) is no failure worth a line.
    if (codeOf(error) === 'EPIPE') return EXIT.failed;
    const { message, hints, exitCode } = explain(error);
    output.error(message);
    for (const hint of hints) output.hint(hint);
    if (process.env.QASID_DEBUG !== undefined) console.error(error);
    return exitCode;
  }
}
