// Relays whose blobs are files, for the tests over HTTP.
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  NO_QUOTAS,
  type RelayOptions,
  type RelayParts,
  type RunningRelay,
  startRelay,
} from '@qasid/relay';
import type { Test } from 'tap';
import { newPerson, TestClient } from './client.js';

/** A relay whose directory a test looks into. */
export interface Running extends RunningRelay {
  readonly directory: string;
}

/** A relay with files for blobs, gone after the test. */
export async function relayFor(
  t: Test,
  options: RelayOptions = {},
  parts: RelayParts = {},
): Promise<Running> {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-blobs-'));
  const relay = await startRelay(
    { port: 0, directory, quotas: NO_QUOTAS, logLevel: 'silent', ...options },
    parts,
  );
  t.teardown(async () => {
    await relay.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return { ...relay, directory };
}

/** Somebody with an account. */
export async function member(relay: RunningRelay): Promise<TestClient> {
  return TestClient.register(relay.url, newPerson());
}

// Comparing element by element takes seconds for a megabyte.
export const equal = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** Files of blobs on disk. */
export function files(relay: Running): string[] {
  const root = join(relay.directory, 'blobs');
  return readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) =>
    statSync(join(root, file)).isFile(),
  );
}

/** Whether it became true in half a minute. */
export async function until(condition: () => Promise<boolean> | boolean): Promise<boolean> {
  const ended = Date.now() + 30_000;
  while (Date.now() < ended) {
    if (await condition()) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}
