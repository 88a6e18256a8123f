/**
 * What `#platform` resolves to in Node: SQLite below `QASID_HOME`, and the `ws` package.
 *
 * Both are loaded when a client is opened that needs them: a program that brings its own store never loads
 * native code.
 */
import { homedir } from 'node:os';
import { join } from 'node:path';

import { nodeFiles } from '../documents/node-files.js';
import type { PlatformParts } from './types.js';

/** Folder of a profile: `sdk/NAME` in `QASID_HOME`, or in `~/.qasid`. Beside what the CLI keeps there. */
export function profileDirectory(profile: string): string {
  const named = process.env.QASID_HOME;
  const home = named === undefined || named === '' ? join(homedir(), '.qasid') : named;
  return join(home, 'sdk', profile);
}

/** Node. */
export const platform: PlatformParts = {
  files: nodeFiles,
  async openStore(profile, passphrase) {
    const { SqliteStore } = await import('../stores/sqlite.js');
    return SqliteStore.open({ directory: profileDirectory(profile), passphrase });
  },
  async dial() {
    return (await import('../transport/node-socket.js')).nodeDial;
  },
};
