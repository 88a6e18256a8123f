#!/usr/bin/env node
/**
 * 13 Relay §8. The relay as a command: `qasid-relay [--config FILE] [--set name=value]`, and signals.
 *
 * The `qasid relay` command of the CLI offers the same with help texts.
 */
import { parseArgs } from 'node:util';
import type { RelayOptions } from './config.js';
import { loadConfig } from './config/load.js';
import { RelayConfigError, sentence } from './config/problems.js';
import { RelayError } from './errors.js';
import { startRelay } from './relay.js';

/** Options from file, environment and arguments. @throws RelayError `RELAY_CONFIG` */
function readOptions(): RelayOptions {
  const { config: file, set = [], ...flags } = readArguments();
  const settings = Object.entries(flags).map(
    ([name, value]) => `${name.replaceAll('-', '_')}=${value}`,
  );
  const fallback = { directory: './qasid-relay' };
  const sources = { file, environment: process.env, settings: [...settings, ...set], fallback };
  return loadConfig(sources).options;
}

function readArguments() {
  try {
    return parseArgs({
      options: {
        config: { type: 'string' },
        set: { type: 'string', multiple: true },
        listen: { type: 'string' },
        data: { type: 'string' },
        transport: { type: 'string' },
        'store-thread': { type: 'string' },
        'log-level': { type: 'string' },
      },
    }).values;
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : 'wrong arguments';
    throw new RelayError('RELAY_CONFIG', message, 'see the README of @qasid/relay', { cause });
  }
}

function report(error: unknown): void {
  const problems = error instanceof RelayConfigError ? error.problems : [];
  const lines =
    problems.length > 0
      ? problems.flatMap((one) => [`error: ${sentence(one)} (RELAY_CONFIG)`, `hint: ${one.hint}`])
      : error instanceof RelayError
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
    // The second signal does not wait for clients, the third for nothing: what was confirmed is on disk.
    if (signals > 2) process.exit(1);
    (signals === 1 ? relay.drain() : relay.close()).then(
      () => process.exit(0),
      (error: unknown) => {
        report(error);
        process.exit(1);
      },
    );
  };
  // Without a certificate a hang-up ends it, as it ends any program.
  if (relay.url.startsWith('wss:')) process.on('SIGHUP', () => void relay.reload());
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  // An operator drained it.
  void relay.ended.then(() => process.exit(0));
  void relay.failed.then((error) => {
    report(error);
    // The state of the disk is unknown: confirm nothing more, not even by accident.
    process.exit(1);
  });
} catch (error) {
  report(error);
  process.exit(error instanceof RelayError && error.code === 'RELAY_CONFIG' ? 2 : 1);
}
