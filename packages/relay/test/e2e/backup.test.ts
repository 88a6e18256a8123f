// Backup beside a running relay, restore into an empty directory, and what a restored relay never does again.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  backupRelay,
  NO_QUOTAS,
  type RelayOptions,
  restoreRelay,
  startRelay,
  verifyRelay,
} from '@qasid/relay';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { Checker } from '../support/checker.js';
import {
  deviceEntry,
  fakePrekeys,
  newDevice,
  newPerson,
  signList,
  TestClient,
} from '../support/client.js';

function fresh(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-backup-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function start(directory: string, options: RelayOptions = {}) {
  return startRelay({
    directory,
    port: 0,
    quotas: NO_QUOTAS,
    requirePadding: false,
    logLevel: 'silent',
    ...options,
  });
}

t.test(
  'a backup of a running relay, restored: same relay, new epoch, nothing handed out again',
  async (t) => {
    const root = fresh(t);
    const data = join(root, 'data');
    const backup = join(root, 'backup');
    const book = new Checker();
    const relay = await start(data);
    const [alice, bob, carol] = [newPerson(), newPerson(), newPerson()];
    const a = await TestClient.register(relay.url, alice, { username: 'alice' });
    const bobs = fakePrekeys(6);
    await (await TestClient.register(relay.url, bob, { username: 'bob', prekeys: bobs })).close();
    const take = async (client: TestClient, label: string): Promise<number | undefined> => {
      const answer = await client.ask({ kind: 'takePrekeys', account: bob.account, devices: [] });
      const bundle = answer.body.kind === 'bundles' ? answer.body.bundles[0] : undefined;
      if (bundle?.oneTime) book.prekey('bob', 'curve', bundle.oneTime.id);
      if (bundle && !bundle.kemLastResort) book.prekey('bob', 'kem', bundle.kem.id);
      t.ok(bundle, label);
      return bundle?.oneTime?.id;
    };
    t.equal(a.challenge?.epoch, 0);
    await take(a, 'before the backup');
    t.equal((await a.send(bob, 'waits')).code, 'CONFIRMED');
    const counts = backupRelay(data, backup);
    t.match(counts, { accounts: 2, devices: 2, envelopes: 0, bytes: 0 });
    t.strictSame(readdirSync(backup).sort(), ['relay.db', 'relay.key']);
    t.equal(statSync(backup).mode & 0o777, 0o700);
    for (const name of readdirSync(backup))
      t.equal(statSync(join(backup, name)).mode & 0o777, 0o600);
    t.notOk(existsSync(`${backup}.partial`));
    t.equal((await a.send(bob, 'the relay went on')).code, 'CONFIRMED');
    await take(a, 'after the backup');
    await (await TestClient.register(relay.url, carol)).close();
    await relay.close();
    await a.close();

    const back = join(root, 'back');
    const report = restoreRelay(backup, back, { nowMs: 1_800_000_000_000 });
    t.match(report, { accounts: 2, devices: 2, envelopes: 0, epoch: 1_800_000_000 });
    t.strictSame(verifyRelay(back).problems, []);
    const again = await start(back);
    t.teardown(() => again.close());
    t.strictSame(again.relayId, relay.relayId, 'clients recognise it');
    const a2 = await TestClient.login(again.url, alice);
    t.equal(a2.challenge?.epoch, 1_800_000_000);
    t.equal(await take(a2, 'last-resort keys are there'), undefined, 'one-time keys are not');
    const b2 = await TestClient.login(again.url, bob);
    await b2.until(() => b2.events.some(({ kind }) => kind === 'queueEmpty'));
    t.strictSame(b2.bodies(), [], 'the queue was not in it');
    t.equal((await a2.send(bob, 'hello again')).code, 'CONFIRMED');
    await b2.until(() => b2.delivered.length === 1);
    t.ok(b2.delivered[0]!.seq > 2 ** 40, 'numbers are new');
    await t.rejects(
      TestClient.login(again.url, carol),
      /auth/,
      'what came after the backup is gone',
    );
    t.strictSame(book.verdict().problems, []);
    await a2.close();
    await b2.close();
  },
);

t.test('ATK-L03 what the relay deleted is in no backup made later', async (t) => {
  const root = fresh(t);
  const data = join(root, 'data');
  const relay = await start(data);
  const [alice, bob] = [newPerson(), newPerson()];
  const a = await TestClient.register(relay.url, alice);
  const b = await TestClient.register(relay.url, bob);
  const acked = 'marker of an acknowledged letter 77a0';
  const kept = 'marker of a letter that waits 90f1';
  for (const times of [1, 300]) await a.send(bob, acked.repeat(times));
  await b.until(() => b.delivered.length === 2);
  b.ack(b.delivered[1]!.seq);
  await b.close();
  await a.send(bob, kept);
  const find = (backup: string, marker: string): boolean =>
    readdirSync(backup).some((name) => readFileSync(join(backup, name)).includes(marker));
  const plain = join(root, 'plain');
  // The deletion rides with a commit, at latest 50 ms after the acknowledgement.
  const isOne = async (): Promise<boolean> => (await relay.totals()).envelopes === 1;
  for (let n = 0; n < 600 && !(await isOne()); n++) await new Promise((r) => setTimeout(r, 50));
  t.equal(backupRelay(data, plain).envelopes, 0);
  t.notOk(find(plain, acked) || find(plain, kept));
  const full = join(root, 'full');
  t.equal(backupRelay(data, full, { withQueue: true }).envelopes, 1);
  t.ok(find(full, kept));
  t.notOk(find(full, acked));
  // Expired, and not swept yet: it does not live on either. Nor does it when an old backup is restored.
  const nowMs = Date.now() + 31 * 24 * 60 * 60 * 1000;
  const late = join(root, 'late');
  t.equal(backupRelay(data, late, { withQueue: true, nowMs }).envelopes, 0);
  t.notOk(find(late, kept));
  const restored = join(root, 'restored');
  t.equal(restoreRelay(full, restored, { nowMs }).envelopes, 0);
  t.notOk(find(restored, kept));
  await relay.close();
  await a.close();
});

t.test('with its queue, a restored relay delivers what waited', async (t) => {
  const root = fresh(t);
  const relay = await start(join(root, 'data'), { storeThread: 'worker' });
  const [alice, bob] = [newPerson(), newPerson()];
  const a = await TestClient.register(relay.url, alice);
  await (await TestClient.register(relay.url, bob)).close();
  for (let n = 0; n < 5; n++) await a.send(bob, `letter ${n}`);
  await relay.close();
  backupRelay(join(root, 'data'), join(root, 'backup'), { withQueue: true });
  restoreRelay(join(root, 'backup'), join(root, 'back'));
  const again = await start(join(root, 'back'));
  const b = await TestClient.login(again.url, bob);
  await b.until(() => b.delivered.length === 5);
  t.strictSame(
    b.bodies(),
    [0, 1, 2, 3, 4].map((n) => `letter ${n}`),
  );
  await again.close();
});

t.test('two restores of one backup are two epochs, and numbers rise', async (t) => {
  const root = fresh(t);
  await (await start(join(root, 'data'))).close();
  backupRelay(join(root, 'data'), join(root, 'backup'));
  const first = restoreRelay(join(root, 'backup'), join(root, 'one'), { nowMs: 1_000_000 });
  const second = restoreRelay(join(root, 'backup'), join(root, 'two'), { nowMs: 2_000_000 });
  t.ok(second.epoch > first.epoch);
  // A clock that stands still, and a backup of a restored relay.
  backupRelay(join(root, 'two'), join(root, 'backup-2'));
  const third = restoreRelay(join(root, 'backup-2'), join(root, 'three'), { nowMs: 0 });
  t.ok(third.epoch > second.epoch);
});

t.test('ATK-G04 after a restore a newer device list may jump, an older one may not', async (t) => {
  const root = fresh(t);
  const bob = newPerson();
  const lists = [2, 3, 4].map((version) =>
    signList(bob, version, [
      deviceEntry(bob),
      ...(version === 4 ? [deviceEntry(newDevice(bob, 2))] : []),
    ]),
  );
  const relay = await start(join(root, 'data'));
  const b = await TestClient.register(relay.url, bob);
  backupRelay(join(root, 'data'), join(root, 'backup'));
  const put = async (client: TestClient, index: number) =>
    (await client.ask({ kind: 'putDevices', devices: lists[index]! })).code;
  t.equal(await put(b, 2), 'VERSION_CONFLICT', 'an ordinary relay takes the next one only');
  for (const index of [0, 1, 2]) t.equal(await put(b, index), 'CONFIRMED');
  await relay.close();
  restoreRelay(join(root, 'backup'), join(root, 'back'));
  const again = await start(join(root, 'back'));
  t.teardown(() => again.close());
  const b2 = await TestClient.login(again.url, bob);
  t.equal(await put(b2, 2), 'CONFIRMED');
  t.equal(await put(b2, 0), 'VERSION_CONFLICT');
  t.equal(await put(b2, 1), 'VERSION_CONFLICT');
  await b2.close();
});

t.test('nothing is overwritten, nothing is half done', async (t) => {
  const root = fresh(t);
  const data = join(root, 'data');
  await (await start(data)).close();
  const backup = join(root, 'backup');
  mkdirSync(backup);
  writeFileSync(join(backup, 'photo'), 'something of value');
  t.throws(() => backupRelay(data, backup), { code: 'RELAY_TARGET_NOT_EMPTY' });
  t.strictSame(readdirSync(backup), ['photo']);
  t.throws(() => backupRelay(root, join(root, 'x')), { code: 'RELAY_DATA_MISSING' });
  t.throws(() => restoreRelay(root, join(root, 'x')), { code: 'RELAY_DATA_MISSING' });
  t.throws(() => restoreRelay(data, backup), { code: 'RELAY_TARGET_NOT_EMPTY' });
  // An empty directory is fine, and so is what an interrupted backup left.
  const empty = join(root, 'empty');
  mkdirSync(empty);
  mkdirSync(`${empty}.partial`);
  writeFileSync(join(`${empty}.partial`, 'relay.db'), 'half');
  backupRelay(data, empty);
  t.strictSame(verifyRelay(empty).problems, []);
  const db = new Database(join(data, 'relay.db'));
  db.pragma('user_version = 99');
  db.close();
  t.throws(() => backupRelay(data, join(root, 'newer')), { code: 'RELAY_DATA_NEWER' });
  t.notOk(existsSync(join(root, 'newer')) || existsSync(join(root, 'newer.partial')));
  writeFileSync(join(data, 'relay.db'), 'not a database at all, but of some length'.repeat(200));
  t.throws(() => backupRelay(data, join(root, 'worse')), { code: 'RELAY_DATA_CORRUPT' });
  t.throws(() => verifyRelay(data), { code: 'RELAY_DATA_CORRUPT' });
});

t.test('verify names damage and no names', async (t) => {
  const root = fresh(t);
  const data = join(root, 'data');
  const relay = await start(data);
  const [alice, bob] = [newPerson(), newPerson()];
  const a = await TestClient.register(relay.url, alice, { username: 'alice' });
  await (await TestClient.register(relay.url, bob)).close();
  for (let n = 0; n < 20; n++) await a.send(bob, 'x'.repeat(3_000));
  const busy = verifyRelay(data);
  t.strictSame(busy.problems, [], 'beside a running relay');
  t.match(busy, { accounts: 2, devices: 2, envelopes: 20, epoch: 0 });
  await relay.close();
  const db = new Database(join(data, 'relay.db'));
  db.exec("UPDATE q SET mb = 999 WHERE seq = 1; UPDATE q SET cid = x'00' WHERE seq = 2");
  db.exec('UPDATE prekey_cur SET next = n + 1; UPDATE device SET auth_key = zeroblob(5)');
  db.exec("UPDATE username SET account = x'00'");
  db.close();
  rmSync(join(data, 'relay.key'));
  const { problems } = verifyRelay(data);
  t.strictSame(problems, [
    '1 × a user name without an account',
    '2 × a device with a key of the wrong length',
    '1 × an envelope without a mailbox',
    '1 × an envelope with an id of the wrong length',
    '4 × a prekey cursor that does not fit its page',
    'relay.key is missing',
  ]);
  await a.close();
});
