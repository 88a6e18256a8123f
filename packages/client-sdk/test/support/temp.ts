// Directories that vanish with the test.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A fresh directory, removed when `t` ends. */
export function tempDirectory(t: { teardown(run: () => void): void }): string {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-sdk-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true });
    // The mark of a store lies beside it.
    rmSync(`${directory}.epoch`, { force: true });
  });
  return directory;
}
