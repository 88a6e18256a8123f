#!/usr/bin/env node
/**
 * 13 Relay §8. The relay as a command: `qasid-relay [--listen HOST:PORT] [--data DIR]`, and signals.
 *
 * The `qasid relay` command of the CLI offers the same with help texts.
 */
import { parseArgs } from 'node:util';
import type { RelayOptions } from './config.js';
import { RelayError } from './errors.js';
import { startRelay } from './relay.js';

/** Options from arguments and environment. @throws RelayError `RELAY_CONFIG` */
function readOptions(): RelayOptions {
  try {
    const { values } = parseArgs({
      options: {
        listen: { type: 'string', default: process.env.QASID_RELAY_LISTEN ?? '127.0.0.1:7443' },
        data: { type: 'string', default: process.env.QASID_RELAY_DATA ?? './qasid-relay' },
        transport: { type: 'string', default: 'auto' },
        'store-thread': { type: 'string', default: 'main' },
        'log-level': { type: 'string', default: 'warn' },
      },
    });
    const at = values.listen.lastIndexOf(':');
    return {
      host: values.listen.slice(0, at).replace(/^\[|\]$/g, ''),
      port: Number(values.listen.slice(at + 1)),
      directory: values.data,
      // Checked by `checkConfig`, like everything else here.
      transport: values.transport as 'auto',
      storeThread: values['store-thread'] as 'main',
      logLevel: values['log-level'] as 'warn',
    };
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : 'wrong arguments';
    throw new RelayError('RELAY_CONFIG', message, 'see the README of @qasid/relay', { cause });
  }
}

function report(error: unknown): void {
  const lines =
    error instanceof RelayError
      ? [`error: ${error.message} (${error.code})`, `hint: ${error.hint}`]
      : [`error: internal fault (${error instanceof Error ? error.name : 'unknown'})`];
  for (const line of lines) process.stderr.write(`qasid-relay: ${line}\n`);
}

try {
  const relay = await startRelay(readOptions());
  process.stdout.write(`${relay.url}\n`);
  let signals = 0;
  const stop = (): void => {
    signals++;
    // A second signal does not wait for slow clients; what was confirmed is on disk already.
    if (signals > 1) process.exit(1);
    relay.close().then(
      () => process.exit(0),
      (error: unknown) => {
        report(error);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  void relay.failed.then((error) => {
    report(error);
    // The state of the disk is unknown: confirm nothing more, not even by accident.
    process.exit(1);
  });
} catch (error) {
  report(error);
  process.exit(error instanceof RelayError && error.code === 'RELAY_CONFIG' ? 2 : 1);
}
