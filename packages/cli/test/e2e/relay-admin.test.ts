// What an operator asks of a running relay, and a member who comes by invite.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { startRelay } from '@qasid/relay';
import t from 'tap';

import { qasid, temporaryFolder } from '../support/processes.js';

t.test('invite, register, suspend, resume, delete, status, drain', async (t) => {
  const home = temporaryFolder(t.teardown);
  const directory = join(home, 'data');
  const admin = join(home, 'ask.sock');
  const relay = await startRelay({
    port: 0,
    directory,
    registration: 'invite',
    adminSocket: admin,
    logLevel: 'silent',
  });
  t.teardown(() => relay.close());
  const ask = (...args: readonly string[]) => qasid(home, ['relay', ...args, '--admin', admin]);
  const register = (...args: readonly string[]) =>
    qasid(home, ['register', 'ann', '--relay', relay.url, '--no-passphrase', ...args]);

  const without = await register();
  t.equal(without.code, 1, without.stderr);
  t.match(without.stderr, /by invite, and not this one/);
  const made = await ask('invite', 'create', '--uses', '2', '--hours', '3');
  t.equal(made.code, 0, made.stderr);
  t.match(made.stdout, /^qasid-invite:[a-z2-7]{32}\n$/);
  const file = join(home, 'invite');
  writeFileSync(file, made.stdout);
  const joined = await register('--invite-file', file);
  t.equal(joined.code, 0, joined.stderr);
  t.notOk(joined.stderr.includes('qasid-invite:'), 'an invite is a secret until it is used');

  const listed = await ask('invite', 'list');
  const id = /^([0-9a-f]{16}) uses 1 until /.exec(listed.stdout)?.[1];
  t.ok(id, listed.stdout);
  t.equal((await ask('invite', 'revoke', id!)).code, 0);
  t.equal((await ask('invite', 'revoke', id!)).code, 1, 'twice');
  t.equal((await ask('invite', 'list')).stdout, '');

  const status = await qasid(home, ['--json', 'relay', 'status', '--admin', admin]);
  t.match(JSON.parse(status.stdout), { accounts: 1, registration: 'invite', draining: false });
  const bound = await ask('account', 'quota', 'ann', '65536');
  t.equal(bound.code, 0, bound.stderr);
  t.match(bound.stderr, /holds 65536 bytes/);
  t.match((await ask('account', 'quota', 'ann', 'default')).stderr, /the relay's limit/);
  t.equal((await ask('account', 'quota', 'nobody', '65536')).code, 1);
  t.equal((await ask('account', 'suspend', 'ann')).code, 0);
  t.equal((await ask('account', 'resume', 'ann')).code, 0);
  t.equal((await ask('account', 'suspend', 'nobody')).code, 1);
  const careless = await ask('account', 'delete', 'ann');
  t.equal(careless.code, 2);
  t.match(careless.stderr, /does not come back/);
  t.equal((await ask('account', 'delete', 'ann', '--yes')).code, 0);
  t.match(await relay.totals(), { accounts: 0 });

  t.equal((await ask('drain')).code, 0);
  await relay.ended;
  const gone = await ask('status');
  t.equal(gone.code, 4, gone.stderr);
  t.match(gone.stderr, /admin_socket/);
});

t.test('what is mistyped is told before anything is asked', async (t) => {
  const home = temporaryFolder(t.teardown);
  for (const args of [
    ['invite', 'create', '--uses', '0'],
    ['invite', 'revoke'],
    ['account', 'suspend'],
    ['account', 'quota', 'ann', 'much'],
    ['account', 'quota', 'ann', '0'],
    ['invite', 'shred'],
  ]) {
    const { code } = await qasid(home, ['relay', ...args]);
    t.equal(code, 2, args.join(' '));
  }
  const { code } = await qasid(home, [
    'register',
    'ann',
    '--relay',
    'ws://127.0.0.1:1',
    '--no-passphrase',
    '--invite-file',
    join(home, 'missing'),
  ]);
  t.equal(code, 2);
});
