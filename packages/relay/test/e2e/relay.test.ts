// The whole relay over real sockets, on both transports.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NO_QUOTAS, type RelayOptions, type RunningRelay, startRelay } from '@qasid/relay';
import t, { type Test } from 'tap';
import { newPerson, TestClient } from '../support/client.js';

async function relayFor(t: Test, options: RelayOptions = {}): Promise<RunningRelay> {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-relay-'));
  const relay = await startRelay({
    port: 0,
    directory,
    quotas: NO_QUOTAS,
    logLevel: 'silent',
    ...options,
  });
  t.teardown(async () => {
    await relay.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return relay;
}

for (const transport of ['uws', 'ws'] as const) {
  t.test(`over ${transport}`, async (t) => {
    t.test('a letter, end to end', async (t) => {
      const relay = await relayFor(t, { transport });
      t.equal(relay.transport, transport);
      const alice = newPerson();
      const bob = newPerson();
      const a = await TestClient.register(relay.url, alice, { username: 'alice' });
      const b = await TestClient.register(relay.url, bob, { username: 'bob' });
      const found = await a.ask({ kind: 'lookup', username: 'bob' });
      t.strictSame(found.body, { kind: 'found', account: bob.account });
      const taken = await a.ask({ kind: 'takePrekeys', account: bob.account, devices: [] });
      t.equal(taken.code, 'CONFIRMED');
      t.equal(taken.body.kind === 'bundles' && taken.body.bundles.length, 1);
      t.equal((await a.send(bob, 'salaam')).code, 'CONFIRMED');
      await b.until(() => b.delivered.length === 1);
      t.strictSame(b.bodies(), ['salaam']);
      t.same((await relay.totals()).envelopes, 1);
      b.ack(b.delivered[0]!.seq);
      await b.until(() => true);
      await new Promise((resolve) => setTimeout(resolve, 150));
      t.same((await relay.totals()).envelopes, 0);
    });
  });
}
