/**
 * Somebody else answers to Bob's name and account: the relay's operator, or Bob on a new computer. Alice's
 * program stops, shows both safety numbers, and goes on only when she says so. Exit code 3.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { openNodeClient } from '@qasid/client-sdk/node';
import { defaultCrypto } from '@qasid/protocol';
import t from 'tap';

import { freePort, pause, qasid, RelayProcess, temporaryFolder } from '../support/processes.js';

t.setTimeout(300_000);

/** What an operator can do to an account: everything but know its key. */
function forget(data: string, username: string): void {
  const Database = createRequire(import.meta.resolve('@qasid/relay'))('better-sqlite3');
  const database = new Database(join(data, 'relay.db'));
  const { account } = database.prepare('SELECT account FROM username WHERE name = ?').get(username);
  for (const table of ['username', 'device']) {
    database.prepare(`DELETE FROM ${table} WHERE account = ?`).run(account);
  }
  database.prepare('DELETE FROM account WHERE id = ?').run(account);
  database.close();
}

t.test('ATK-F01 a changed identity key stops the command until a person decides', async (t) => {
  const home = temporaryFolder(t.teardown);
  const relay = new RelayProcess(home, join(home, 'relay-data'), await freePort());
  t.teardown(() => relay.stop('SIGKILL'));
  await relay.start();
  const as = (name: string, ...args: string[]) => qasid(home, ['--profile', name, ...args]);
  for (const name of ['alice', 'bob']) {
    await as(name, 'register', name, '--relay', relay.url, '--no-passphrase');
  }
  t.equal((await as('alice', 'send', 'bob', 'one')).code, 0);
  t.equal((await as('bob', 'receive')).stdout, 'alice: one\n');
  t.equal((await as('bob', 'send', 'alice', 'two')).code, 0);
  t.equal((await as('alice', 'receive')).stdout, 'bob: two\n');
  const before = (await as('alice', 'safety-number', 'bob')).stdout;
  const { account } = JSON.parse((await as('bob', 'status', '--json')).stdout);

  await relay.stop('SIGTERM');
  forget(relay.data, 'bob');
  await relay.start();
  let drawn = false;
  const impostor = await openNodeClient({
    relay: relay.url,
    directory: join(home, 'impostor'),
    crypto: {
      ...defaultCrypto,
      randomBytes: (length) => {
        // The first 16 bytes an account draws are its id.
        if (drawn || length !== 16) return defaultCrypto.randomBytes(length);
        drawn = true;
        return new Uint8Array(Buffer.from(account.replaceAll('-', ''), 'hex'));
      },
    },
  });
  t.teardown(() => impostor.close());
  const received = async (): Promise<readonly string[]> =>
    (await impostor.history())
      .filter((message) => message.direction === 'received')
      .map(({ text }) => text);
  impostor.on('undecryptable', ({ cause }) => t.comment(`impostor cannot open: ${cause}`));
  await impostor.register({ username: 'bob' });
  t.equal(impostor.me.account, account, 'the same name and the same account');

  const stopped = await as('alice', 'send', 'bob', 'for Bob alone');
  t.equal(stopped.code, 3, stopped.stderr);
  const lines = stopped.stderr.trimEnd().split('\n');
  t.equal(lines[0], 'qasid: error: the identity key of bob changed: the message waits');
  t.match(lines[1], /^qasid: hint: safety number before: (\d{5} ){11}\d{5}$/);
  t.match(lines[2], /^qasid: hint: safety number now: {4}(\d{5} ){11}\d{5}$/);
  t.match(lines[3], /^qasid: hint: .*qasid trust bob, and it goes$/);
  const digits = (text: string | undefined): string => (text ?? '').replaceAll(/\D/g, '');
  t.equal(digits(lines[1]), digits(before), 'the one they had');
  t.not(digits(lines[2]), digits(before), 'is another now');

  await (await impostor.send('alice', 'it is me, Bob')).confirmed;
  const waiting = await as('alice', 'receive');
  t.equal(waiting.stdout, '', 'nothing of theirs is shown');
  t.equal(waiting.code, 3, waiting.stderr);
  t.match(
    waiting.stderr,
    /^qasid: error: the identity key of bob changed: their new messages wait\n/,
  );
  const again = await as('alice', 'send', 'bob', 'still for Bob alone');
  t.equal(again.code, 3, 'it stays so');
  t.match(
    again.stderr,
    /^qasid: error: .*: the message was not sent\n/,
    'and nothing is kept for later',
  );
  const numbers = await as('alice', 'safety-number', 'bob');
  t.equal(numbers.stdout.startsWith(before), true, 'the trusted number comes first');
  t.equal(numbers.code, 3, 'and the command says that something is wrong');
  t.equal(digits(numbers.stdout), digits(before), 'stdout has the trusted one only');
  t.ok(digits(numbers.stderr).includes(digits(lines[2])), 'stderr the new one');

  const accepted = await as('alice', 'trust', 'bob');
  t.equal(accepted.code, 0, accepted.stderr);
  t.equal((await as('alice', 'send', 'bob', 'hello again')).code, 0, 'now it goes');
  t.equal(
    (await as('alice', 'receive')).stdout,
    'bob: it is me, Bob\n',
    'and what waited is shown',
  );
  await impostor.caughtUp({ timeoutMs: 10_000 });
  for (let wait = 0; wait < 100 && (await received()).length < 2; wait++) await pause(100);
  const texts = await received();
  t.same(texts, ['for Bob alone', 'hello again']);
});
