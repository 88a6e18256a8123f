#!/usr/bin/env node
/**
 * `qasid`: run one command, tell how it went, end with its exit code.
 */
import { parseArguments } from './args.js';
import { explain } from './explain.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { standardOutput } from './output.js';

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (stop.signal.aborted) process.exit(130); // asked twice: do not wait for the network
    stop.abort();
  });
}

process.exitCode = await run();

async function run(): Promise<ExitCode> {
  const output = standardOutput(process.argv.includes('--quiet'));
  try {
    return await parseArguments(process.argv, stop.signal, output);
  } catch (error) {
    const { message, hints, exitCode } = explain(error);
    // A reader that has enough (`| head -1`) is no failure worth a line.
    if ((error as NodeJS.ErrnoException | undefined)?.code === 'EPIPE') return EXIT.failed;
    output.error(message);
    for (const hint of hints) output.hint(hint);
    if (process.env['QASID_DEBUG'] !== undefined) console.error(error);
    return exitCode;
  }
}
