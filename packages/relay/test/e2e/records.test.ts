// Records and TURN credentials over real sockets.
import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bytes, RequestOp } from '@qasid/protocol/envelope';
import { accountText, MAX_RECORD_BYTES } from '@qasid/protocol/envelope';
import { provider } from '@qasid/protocol/crypto/node';
import {
  NO_QUOTAS,
  type RelayOptions,
  type RelayParts,
  type RunningRelay,
  startRelay,
  systemClock,
} from '@qasid/relay';
import t, { type Test } from 'tap';
import { newPerson, TestClient } from '../support/client.js';

function folder(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-records-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

async function relayFor(
  t: Test,
  options: RelayOptions = {},
  parts: RelayParts = {},
): Promise<RunningRelay> {
  const directory = folder(t);
  const relay = await startRelay(
    { port: 0, directory, quotas: NO_QUOTAS, logLevel: 'silent', ...options },
    parts,
  );
  t.teardown(() => relay.close());
  return relay;
}

interface Named {
  readonly id: Bytes;
  readonly capability: Bytes;
}
const newRecord = (): Named => ({
  id: provider.randomBytes(32),
  capability: provider.randomBytes(32),
});
const put = (record: Named, expectedVersion: number, value: Uint8Array): RequestOp => ({
  kind: 'recordPut',
  ...record,
  expectedVersion,
  value,
});

for (const transport of ['uws', 'ws'] as const) {
  t.test(`records over ${transport}`, async (t) => {
    const relay = await relayFor(t, { transport });
    const alice = await TestClient.register(relay.url, newPerson());
    const record = newRecord();
    const value = provider.randomBytes(MAX_RECORD_BYTES);
    t.match(await alice.ask({ kind: 'recordGet', id: record.id }), { code: 'NOT_FOUND' });
    t.match(await alice.ask(put(record, 0, value)), { code: 'CONFIRMED', body: { version: 1 } });
    t.match(await alice.ask(put(record, 0, provider.randomBytes(8))), {
      code: 'VERSION_CONFLICT',
      body: { version: 1 },
    });

    const stranger = await TestClient.connect(relay.url);
    const got = await stranger.ask({ kind: 'recordGet', id: record.id });
    t.match(got, { code: 'CONFIRMED', body: { version: 1 } });
    t.same(got.body.kind === 'record' && got.body.value, value, 'who knows the id reads it');
    const next = provider.randomBytes(100);
    t.match(await stranger.ask(put(record, 1, next)), { code: 'CONFIRMED', body: { version: 2 } });
    t.match(await stranger.ask(put(newRecord(), 0, next)), { code: 'REFUSED' });
    t.match(
      await stranger.ask(put({ ...record, capability: provider.randomBytes(32) }, 2, next)),
      { code: 'REFUSED' },
      'knowing the id is not enough to write',
    );
    const remove = { kind: 'recordDelete', ...record } as const;
    t.match(await stranger.ask({ ...remove, expectedVersion: 1 }), { code: 'VERSION_CONFLICT' });
    t.match(await stranger.ask({ ...remove, expectedVersion: 2 }), { code: 'CONFIRMED' });
    t.match(await alice.ask({ kind: 'recordGet', id: record.id }), { code: 'NOT_FOUND' });
  });
}

t.test('of writers at the same time one wins, and the others are told', async (t) => {
  const relay = await relayFor(t);
  const alice = await TestClient.register(relay.url, newPerson());
  const record = newRecord();
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => alice.ask(put(record, 0, provider.randomBytes(32)))),
  );
  const codes = answers.map(({ code }) => code).sort();
  t.strictSame(codes, ['CONFIRMED', ...Array.from({ length: 19 }, () => 'VERSION_CONFLICT')]);
});

t.test('ATK-L06 budgets bound what an account and what strangers may do', async (t) => {
  const rule = { burst: 2, perSecond: 0 };
  const quotas = {
    ...NO_QUOTAS,
    recordCreates: rule,
    recordWrites: rule,
    recordReads: rule,
    recordsAnonymous: rule,
  };
  const relay = await relayFor(t, { quotas });
  const alice = await TestClient.register(relay.url, newPerson());
  const bob = await TestClient.register(relay.url, newPerson());
  const stranger = await TestClient.connect(relay.url);
  const value = provider.randomBytes(8);
  const records = [newRecord(), newRecord(), newRecord()] as const;
  const codes = async (client: TestClient, ops: readonly RequestOp[]): Promise<string[]> => {
    const answers: string[] = [];
    for (const op of ops) answers.push((await client.ask(op)).code);
    return answers;
  };
  const limited = ['CONFIRMED', 'CONFIRMED', 'RATE_LIMITED'];
  t.strictSame(
    await codes(
      alice,
      records.map((record) => put(record, 0, value)),
    ),
    limited,
  );
  const changes = [1, 2, 3].map((version) => put(records[0], version, provider.randomBytes(8)));
  t.strictSame(await codes(alice, changes), limited);
  const reads = Array.from(
    { length: 3 },
    () => ({ kind: 'recordGet', id: records[0].id }) as const,
  );
  t.strictSame(await codes(alice, reads), limited);
  t.strictSame(await codes(bob, reads), limited, 'a budget each');
  t.strictSame(await codes(stranger, reads), limited, 'one for all who are nobody');
});

t.test('a record nobody used goes after the configured days', async (t) => {
  let days = 0;
  const tasks: { task: () => void; delayMs: number }[] = [];
  const clock = {
    nowMs: () => Date.now() + days * 86_400_000,
    monotonicMs: () => performance.now() + days * 86_400_000,
    after: (delayMs: number, task: () => void) => {
      if (delayMs < 60_000) return systemClock.after(delayMs, task);
      tasks.push({ task, delayMs });
      return () => undefined;
    },
  };
  const relay = await relayFor(t, { recordDays: 30 }, { clock });
  const alice = await TestClient.register(relay.url, newPerson());
  const [used, unused] = [newRecord(), newRecord()];
  for (const record of [used, unused]) await alice.ask(put(record, 0, provider.randomBytes(9)));
  days = 20;
  await alice.ask({ kind: 'recordGet', id: used.id });
  days = 31;
  for (const { task } of tasks.splice(0)) task();
  const ended = Date.now() + 30_000;
  let code = '';
  while (code !== 'NOT_FOUND' && Date.now() < ended) {
    ({ code } = await alice.ask({ kind: 'recordGet', id: unused.id }));
  }
  t.equal(code, 'NOT_FOUND');
  t.match(await alice.ask({ kind: 'recordGet', id: used.id }), { code: 'CONFIRMED' });
});

t.test('TURN credentials are what coturn computes, and name nobody', async (t) => {
  const secret = 'north-remembers-0123456789';
  const secretFile = join(folder(t), 'turn.secret');
  writeFileSync(secretFile, `${secret}\n`, { mode: 0o600 });
  const urls = ['turn:turn.example:3478?transport=udp', 'turns:turn.example:5349'];
  const relay = await relayFor(t, { turnUrls: urls, turnSecretFile: secretFile });
  const person = newPerson();
  const alice = await TestClient.register(relay.url, person);
  const usernames: string[] = [];
  for (let round = 0; round < 2; round++) {
    const { code, body } = await alice.ask({ kind: 'turn' });
    t.equal(code, 'CONFIRMED');
    if (body.kind !== 'turn') throw new Error(body.kind);
    t.same(body.urls, urls);
    t.equal(body.ttlSeconds, 1_800);
    const [expires, id] = body.username.split(':');
    const left = Number(expires) - Date.now() / 1000;
    t.ok(left > 1_700 && left <= 1_801, 'holds for the announced time');
    const expected = createHmac('sha1', secret).update(body.username).digest('base64');
    t.equal(body.credential, expected);
    usernames.push(id ?? '');
    t.notOk(body.username.includes(accountText(person.account)));
    t.notOk(body.username.includes(Buffer.from(person.account).toString('base64url')));
  }
  t.not(usernames[0], usernames[1], 'another id each time');
  const stranger = await TestClient.connect(relay.url);
  t.match(await stranger.ask({ kind: 'turn' }), { code: 'REFUSED' }, 'not without a proof');
});

t.test('ATK-L06 credentials are on a budget; without a server there are none', async (t) => {
  const secretFile = join(folder(t), 'turn.secret');
  writeFileSync(secretFile, 'x'.repeat(16));
  const turn = { turnUrls: ['turn:turn.example'], turnSecretFile: secretFile };
  const quotas = { ...NO_QUOTAS, turn: { burst: 1, perSecond: 0 } };
  const relay = await relayFor(t, { ...turn, quotas });
  const alice = await TestClient.register(relay.url, newPerson());
  t.match(await alice.ask({ kind: 'turn' }), { code: 'CONFIRMED' });
  t.match(await alice.ask({ kind: 'turn' }), { code: 'RATE_LIMITED' });
  const without = await relayFor(t);
  const bob = await TestClient.register(without.url, newPerson());
  t.match(await bob.ask({ kind: 'turn' }), { code: 'UNSUPPORTED' });
});

t.test('a TURN section that cannot work is named before anything starts', async (t) => {
  const secretFile = join(folder(t), 'turn.secret');
  writeFileSync(secretFile, 'short\n');
  const good: RelayOptions = { turnUrls: ['turn:turn.example'], turnSecretFile: secretFile };
  const start = (options: RelayOptions) => startRelay({ store: 'memory', port: 0, ...options });
  for (const [name, options] of Object.entries({
    'has 5 bytes': good,
    'cannot be read': { ...good, turnSecretFile: join(folder(t), 'none') },
    'turn: or turns: URLs': { ...good, turnUrls: ['http://turn.example'] },
    'is needed with TURN URLs': { turnUrls: ['turn:turn.example'] },
    'from 60 to 86400': { ...good, turnTtlSeconds: 5 },
  })) {
    await t.rejects(start(options), { code: 'RELAY_CONFIG', message: new RegExp(name) }, name);
  }
});
