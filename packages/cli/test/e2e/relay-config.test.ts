// The operator's first steps: init, check-config, and what is said when something is wrong.
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import t from 'tap';

import { qasid, temporaryFolder } from '../support/processes.js';

t.test('init writes a file for its owner only, and never over another', async (t) => {
  const home = temporaryFolder(t.teardown);
  const args = ['relay', 'init', 'etc/relay.toml', '--data', join(home, 'data')];
  const made = await qasid(home, [
    ...args,
    '--listen',
    '127.0.0.1:9000',
    '--set',
    'retention_days=14',
  ]);
  t.equal(made.code, 0, made.stderr);
  t.equal(made.stdout, '');
  t.match(made.stderr, /hint: qasid relay check-config etc\/relay\.toml/);
  const file = join(home, 'etc/relay.toml');
  t.equal(statSync(file).mode & 0o777, 0o600);
  t.equal(statSync(join(home, 'data')).mode & 0o777, 0o700);
  const text = readFileSync(file, 'utf8');
  t.match(text, /^retention_days = 14$/m);
  t.match(text, /^#devices_max = 8$/m);
  const again = await qasid(home, [...args]);
  t.equal(again.code, 1);
  t.match(again.stderr, /there is a configuration already/);
  t.equal(readFileSync(file, 'utf8'), text);

  const checked = await qasid(home, ['relay', 'check-config', 'etc/relay.toml']);
  t.equal(checked.code, 0, checked.stderr);
  t.match(checked.stdout, /^port = 9000$/m);
  t.match(checked.stdout, /^retention_days = 14$/m);
  t.match(checked.stderr, /profile development/);
});

t.test('check-config names everything that is wrong, and exits 2', async (t) => {
  const home = temporaryFolder(t.teardown);
  writeFileSync(join(home, 'relay.toml'), '[network]\nhost = "0.0.0.0"\nprot = 1\nhots = ""\n');
  const unknown = await qasid(home, ['relay', 'check-config', 'relay.toml']);
  t.equal(unknown.code, 2);
  t.equal(unknown.stdout, '');
  t.match(unknown.stderr, /relay\.toml line 3: prot is not an option: did you mean port\?/);
  t.match(unknown.stderr, /relay\.toml line 4: hots is not an option: did you mean host\?/);
  const open = await qasid(home, ['relay', 'check-config', '--set', 'host=0.0.0.0']);
  t.equal(open.code, 2);
  t.match(open.stderr, /--set host is refused where others reach the relay/);
  t.match(open.stderr, /hint: .*add "plain-ws" to i_know/);
  const started = await qasid(home, ['relay', 'start', '--config', 'relay.toml']);
  t.equal(started.code, 2, 'a relay does not start with it either');
});
