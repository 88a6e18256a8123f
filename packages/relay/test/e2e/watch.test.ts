// 13 §8: what those see who watch a relay: alive, ready, and sums that name nobody.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NO_QUOTAS, type RelayOptions, type RelayParts, startRelay } from '@qasid/relay';
import t, { type Test } from 'tap';
import { Health } from '#src/observe/health.js';
import { HandClock, settle } from '../support/bench-relay.js';
import { newPerson, TestClient } from '../support/client.js';

async function watched(t: Test, options: RelayOptions = {}, parts: RelayParts = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-watch-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const relay = await startRelay(
    {
      directory,
      port: 0,
      metricsPort: 0,
      logLevel: 'silent',
      requirePadding: false,
      diskFloorBytes: 0,
      quotas: NO_QUOTAS,
      ...options,
    },
    parts,
  );
  t.teardown(() => relay.close());
  const page = async (path: string) => {
    const response = await fetch(`${relay.metricsUrl}${path}`);
    return { status: response.status, text: await response.text() };
  };
  return { relay, page };
}

t.test('the metrics of a conversation', async (t) => {
  const { relay, page } = await watched(t);
  const [alice, bob] = [newPerson(), newPerson()];
  const a = await TestClient.register(relay.url, alice);
  const b = await TestClient.register(relay.url, bob);
  for (let i = 0; i < 3; i++) await a.send(bob, `letter ${i}`);
  await a.send(newPerson(), 'to nobody');
  for (let i = 0; i < 4; i++)
    await a.ask({ kind: 'takePrekeys', account: bob.account, devices: [] });
  await b.until(() => b.delivered.length === 3);
  const { status, text } = await page('/metrics');
  t.equal(status, 200);
  const value = (name: string): number => {
    const line = text.split('\n').find((one) => one.startsWith(`${name} `));
    return Number(line?.slice(name.length + 1) ?? Number.NaN);
  };
  t.equal(value('qasid_sends_total{code="CONFIRMED"}'), 3);
  t.equal(value('qasid_sends_total{code="NOT_FOUND"}'), 1);
  t.equal(value('qasid_deliveries_total'), 3);
  t.equal(value('qasid_queue_messages'), 3);
  t.equal(value('qasid_queue_bytes'), 24);
  t.equal(value('qasid_accounts'), 2);
  t.equal(value('qasid_sockets{kind="attached"}'), 2);
  t.equal(value('qasid_prekey_empty_total'), 1, 'three keys, four requests');
  t.ok(value('qasid_commit_seconds_count') >= 3);
  t.ok(value('qasid_deliver_seconds_count') >= 3);
  t.ok(value('qasid_commit_batch_size_sum') >= 3);
  t.ok(value('qasid_received_bytes_total') > 500);
  t.ok(value('qasid_store_bytes') > 4_096);
  t.ok(value('qasid_disk_free_bytes') > 1e6);
  t.equal(value('qasid_ready'), 1);
  for (const name of [
    'qasid_busy_total',
    'qasid_out_buffer_bytes',
    'qasid_sweep_deleted_total',
    'qasid_sweep_found_total',
    'qasid_eventloop_lag_seconds',
    'process_cpu_seconds_total',
  ]) {
    t.match(text, `# TYPE ${name} `, name);
  }
  const again = (await page('/metrics')).text;
  t.match(again, 'qasid_sends_total{code="CONFIRMED"} 3', 'asking does not count');
});

t.test(
  'ATK-D08 ATK-I15 the pages of the listener, and nothing on the address of the clients',
  async (t) => {
    for (const transport of ['uws', 'ws'] as const) {
      const { relay, page } = await watched(t, { transport });
      t.equal((await page('/livez')).text, 'ok\n');
      t.equal((await page('/readyz')).text, 'ok\n');
      const probes = ['/', '/debug', '/metrics/x', '/heap', '/json', '/status', '/favicon.ico'];
      for (const path of probes) t.equal((await page(path)).status, 404, path);
      const posted = await fetch(`${relay.metricsUrl}/metrics`, { method: 'POST' });
      t.equal(posted.status, 404);
      for (const path of ['/metrics', ...probes.slice(1)]) {
        const response = await fetch(`${relay.url.replace('ws', 'http')}${path}`);
        t.equal(response.status, 404, `clients: ${path}`);
      }
    }
  },
);

t.test('not ready below the floor of the disk', async (t) => {
  const { page } = await watched(t, { diskFloorBytes: 2 ** 50 });
  t.equal((await page('/readyz')).status, 503);
  t.equal((await page('/livez')).status, 200);
});

t.test('not ready while commits are slow, and again when they are not', async (t) => {
  let delayed: (() => void) | undefined;
  let isSlow = true;
  const clock = new HandClock();
  const writer = {
    isFull: false,
    isFailed: false,
    submit: async () => {
      if (isSlow) await new Promise<void>((resolve) => (delayed = resolve));
    },
  };
  const health = new Health({
    clock,
    writer: writer as never,
    store: { isUp: true } as never,
    directory: undefined,
    diskFloorBytes: 0,
  });
  await health.start();
  t.ok(health.isReady);
  await clock.pass(11_000);
  t.ok(health.isReady, 'a probe is under way');
  await clock.pass(2_000);
  t.notOk(health.isReady, 'and takes too long');
  isSlow = false;
  delayed?.();
  await settle();
  t.notOk(health.isReady, 'that it ended does not help');
  await clock.pass(1_000);
  await settle();
  t.ok(health.isReady, 'the next one does');
  writer.submit = async () => {
    throw new Error('disk full');
  };
  await clock.pass(12_000);
  await settle();
  t.notOk(health.isReady, 'a commit that fails');
  health.stop();
});

t.test('not alive when the event loop does not turn', async (t) => {
  const clock = new HandClock();
  const writer = { isFull: false, isFailed: false, submit: async () => undefined };
  const health = new Health({
    clock,
    writer: writer as never,
    store: { isUp: true } as never,
    directory: undefined,
    diskFloorBytes: 0,
  });
  await health.start();
  await clock.pass(60_000);
  t.ok(health.isAlive);
  health.stop();
  await clock.pass(4_000);
  t.ok(health.isAlive);
  await clock.pass(2_000);
  t.notOk(health.isAlive);
});
