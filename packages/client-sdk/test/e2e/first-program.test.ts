// The programs of docs/guides, as they stand there, from a folder that holds nothing else: `js NAME` blocks, and what they say.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';

import { tempDirectory } from '../support/temp.js';
import { testRelay, until } from '../support/world.js';

t.setTimeout(180_000);
const root = fileURLToPath(new URL('../../../../', import.meta.url));

interface Running {
  readonly child: ChildProcess;
  said: string;
}

/** The folder of a person who follows a guide, after `npm install`. */
async function follow(t: Test, name: string, programs: readonly string[]) {
  const guide = readFileSync(`${root}docs/guides/${name}`, 'utf8');
  const relay = await testRelay(t);
  const folder = tempDirectory(t);
  const scope = join(folder, 'node_modules', '@qasid');
  mkdirSync(scope, { recursive: true });
  symlinkSync(`${root}packages/client-sdk`, join(scope, 'client-sdk'));
  const blocks = [...guide.matchAll(/^```js (\S+)\n([\s\S]*?)^```/gm)];
  t.strictSame(
    blocks.map(([, file]) => file),
    programs,
  );
  for (const [, file = '', code = ''] of blocks) {
    writeFileSync(join(folder, file), code.replace('ws://127.0.0.1:7443', relay.url));
  }
  const run = (file: string): Running => {
    const child = spawn(process.execPath, [file], {
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
  /** Run a program that ends; it must say what the guide says. */
  const runs = async (file: string): Promise<void> => {
    const { child, said } = await ended(run(file));
    t.equal(child.exitCode, 0, said);
    t.ok(guide.includes(`\`\`\`text\n${said}\`\`\``), `what the guide says: ${said}`);
  };
  return { run, runs };
}

async function ended(running: Running): Promise<Running> {
  const closed = new Promise((resolve) => running.child.on('close', resolve));
  await closed;
  return running;
}

t.test('first-message.md: two programs write to each other', async (t) => {
  const { run, runs } = await follow(t, 'first-message.md', ['bob.mjs', 'alice.mjs']);
  const bob = run('bob.mjs');
  await until(() => bob.said.includes('bob is listening'), 60_000);
  await runs('alice.mjs');
  await runs('alice.mjs');
  await until(() => bob.said.split('alice-sdk: salaam').length === 3, 60_000);
});

t.test('groups.md: a group of three', async (t) => {
  const { runs } = await follow(t, 'groups.md', ['team.mjs']);
  await runs('team.mjs');
});
