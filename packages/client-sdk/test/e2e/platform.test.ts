// `QasidClient.open` without a store: a profile by name, in Node.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { QasidClient, type ClientOptions } from '@qasid/client-sdk';
import { MemoryStore } from '@qasid/client-sdk';
import t from 'tap';

import { tempDirectory } from '../support/temp.js';
import { Inbox, testRelay } from '../support/world.js';

const PACKAGE = new URL('../../', import.meta.url);
const home = tempDirectory(t);
process.env.QASID_HOME = home;

const ask = { relay: 'ws://127.0.0.1:1', connect: false };
const open = (options: Partial<ClientOptions>) => QasidClient.open({ ...ask, ...options });

t.test('a profile is a folder of its own, encrypted, and comes back', async (t) => {
  const relay = await testRelay(t);
  const passphrase = 'correct horse battery staple';
  const options = { relay: relay.url, profile: 'alice', passphrase };
  const alice = await QasidClient.open(options);
  const { account } = await alice.register({ username: 'alice' });
  await alice.close();
  const bob = await QasidClient.open({ relay: relay.url, profile: 'bob' });
  t.teardown(() => bob.close());
  await bob.register({ username: 'bob' });
  const inbox = new Inbox(bob);
  const again = await QasidClient.open(options);
  t.teardown(() => again.close());
  t.equal(again.me.account, account);
  await (await again.send('bob', 'salaam')).confirmed;
  await inbox.reach(1, 60_000);
  t.strictSame(inbox.texts, ['salaam']);
  const entries = readdirSync(join(home, 'sdk'), { withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  t.strictSame(folders.sort(), ['alice', 'bob']);
  t.equal(statSync(join(home, 'sdk', 'alice')).mode & 0o777, 0o700);
  const raw = readFileSync(join(home, 'sdk', 'alice', 'store.sqlite'), 'latin1');
  t.notOk(raw.includes('salaam'), 'not readable');
});

t.test('a wrong passphrase, one too few and one too many: nothing changes', async (t) => {
  const made = await open({ profile: 'locked', passphrase: 'right' });
  await made.close();
  const before = readFileSync(join(home, 'sdk', 'locked', 'store.sqlite'));
  for (const passphrase of ['wrong', undefined]) {
    await t.rejects(open({ profile: 'locked', passphrase }), { code: 'STORE_PASSPHRASE' });
  }
  t.same(readFileSync(join(home, 'sdk', 'locked', 'store.sqlite')), before);
  await (await open({ profile: 'locked', passphrase: 'right' })).close();
  await (await open({ profile: 'free' })).close();
  await t.rejects(open({ profile: 'free', passphrase: 'x' }), { code: 'STORE_PASSPHRASE' });
});

t.test('ATK-J08 what makes no sense is refused before anything is opened', async (t) => {
  const before = readdirSync(join(home, 'sdk')).length;
  const names = [
    '../alice',
    'a/b',
    'a\\b',
    '.',
    '..',
    '',
    'Alice',
    'a'.repeat(33),
    'a b',
    'ä',
    '-a',
    'a\0',
  ];
  for (const profile of names) {
    await t.rejects(open({ profile }), { code: 'USAGE_ARGUMENT' }, JSON.stringify(profile));
  }
  const wrong: Partial<ClientOptions>[] = [
    {},
    { passphrase: 'x' },
    { profile: 'a', store: new MemoryStore() },
    { store: new MemoryStore(), passphrase: 'believed to encrypt' },
    { profile: 'a', passphrase: '' },
    { profile: 7 as unknown as string },
    { profile: 'a', relay: 'https://relay.example' },
    { profile: 'a', relay: 'relay.example' },
    { profile: 'a', relay: undefined as unknown as string },
  ];
  for (const options of wrong) await t.rejects(open(options), { code: 'USAGE_ARGUMENT' });
  t.equal(readdirSync(join(home, 'sdk')).length, before);
  t.notOk(existsSync(join(home, 'alice')));
});

t.test('a store of a newer version is refused and left as it is', async (t) => {
  await (await open({ profile: 'newer' })).close();
  const path = join(home, 'sdk', 'newer', 'store.sqlite');
  const { default: Database } = await import('better-sqlite3');
  const database = new Database(path);
  database.pragma('user_version = 99');
  database.close();
  const before = readFileSync(path);
  await t.rejects(open({ profile: 'newer' }), { code: 'STORE_CORRUPT' });
  t.same(readFileSync(path), before);
});

t.test('importing the SDK loads no native code', async (t) => {
  const script = `
    import { QasidClient } from '@qasid/client-sdk';
    const loaded = process.report.getReport().sharedObjects.filter((path) => path.endsWith('.node'));
    console.log(JSON.stringify([typeof QasidClient, loaded]));`;
  const said = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
    cwd: PACKAGE,
    encoding: 'utf8',
  });
  t.strictSame(JSON.parse(said), ['function', []]);
});

t.test('SQLite that was not built: a typed error that says what to do', async (t) => {
  // What a package manager leaves behind that runs no install scripts, or a Node of another version.
  const ways = [
    `Object.assign(new Error('Could not locate the bindings file.'), { tries: ['build'] })`,
    `Object.assign(new Error('was compiled against'), { code: 'ERR_DLOPEN_FAILED' })`,
  ];
  for (const [index, error] of ways.entries()) {
    const hook = join(tempDirectory(t), 'hook.cjs');
    writeFileSync(
      hook,
      `const Module = require('node:module');
       const load = Module._load;
       Module._load = (name, ...rest) => {
         if (name === 'bindings') return () => { throw ${error}; };
         return load(name, ...rest);
       };`,
    );
    const program = `
      const { QasidClient } = await import('@qasid/client-sdk');
      await QasidClient.open({ relay: 'ws://127.0.0.1:1', profile: 'unbuilt-${index}', connect: false })
        .catch(({ code, message }) => console.log(code, message));`;
    const said = execFileSync(
      process.execPath,
      ['--require', hook, '--input-type=module', '--eval', program],
      { cwd: PACKAGE, encoding: 'utf8', env: { ...process.env, QASID_HOME: home } },
    );
    t.match(said, /^STORE_FAILED .*npm rebuild better-sqlite3\n$/);
  }
});
