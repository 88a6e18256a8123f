// docs/guides/first-message.md §8: its two programs, as they stand there, from a folder that holds nothing else.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

import { tempDirectory } from '../support/temp.js';
import { testRelay, until } from '../support/world.js';

t.setTimeout(180_000);
const root = fileURLToPath(new URL('../../../../', import.meta.url));
const guide = readFileSync(`${root}docs/guides/first-message.md`, 'utf8');

t.test('the programs of the guide write to each other', async (t) => {
  const relay = await testRelay(t);
  const folder = tempDirectory(t);
  const scope = join(folder, 'node_modules', '@qasid');
  mkdirSync(scope, { recursive: true });
  symlinkSync(`${root}packages/client-sdk`, join(scope, 'client-sdk'));
  const programs = [...guide.matchAll(/^```js (\S+)\n([\s\S]*?)^```/gm)];
  t.equal(programs.length, 2);
  for (const [, name = '', code = ''] of programs) {
    writeFileSync(join(folder, name), code.replace('ws://127.0.0.1:7443', relay.url));
  }
  const run = (name: string): { readonly child: ChildProcess; said: string } => {
    const child = spawn(process.execPath, [name], {
      cwd: folder,
      env: { ...process.env, QASID_HOME: join(folder, 'home') },
    });
    t.teardown(() => child.kill('SIGKILL'));
    const running = { child, said: '' };
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        running.said += chunk.toString();
      });
    }
    return running;
  };
  const bob = run('bob.mjs');
  await until(() => bob.said.includes('bob is listening'), 60_000);
  for (let round = 1; round <= 2; round++) {
    const alice = run('alice.mjs');
    await until(() => alice.child.exitCode !== null, 60_000);
    t.equal(alice.child.exitCode, 0, alice.said);
    t.match(guide, `\n${alice.said}`, 'what the guide says');
  }
  await until(() => bob.said.split('alice-sdk: salaam').length === 3, 60_000);
});
