// Anonymous sends over real sockets and a real store, with bodies of the sizes relays take.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { provider } from '@qasid/protocol/crypto/node';
import {
  ENVELOPE_BUCKETS,
  sealedView,
  readSealedForMany,
  type SendManyRequest,
} from '@qasid/protocol/envelope';
import { startRelay } from '@qasid/relay';
import t from 'tap';
import { newPerson, part, TestClient } from '../support/client.js';
import { newGrant, sealedOp, sentForMany } from '../support/sealed.js';

for (const [transport, storeThread] of [
  ['ws', 'worker'],
  ['uws', 'main'],
] as const) {
  t.test(
    `ATK-I17 ${transport}, ${storeThread}: sent by nobody, received, and what stays on disk`,
    async (t) => {
      const directory = mkdtempSync(join(tmpdir(), 'qasid-sealed-'));
      t.teardown(() => rmSync(directory, { recursive: true, force: true }));
      // Default options, as anybody has them: padding and quotas included.
      const relay = await startRelay({
        directory,
        port: 0,
        transport,
        storeThread,
        logLevel: 'silent',
      });
      const [alice, bob] = [newPerson(), newPerson()];
      const a = await TestClient.register(relay.url, alice);
      const b = await TestClient.register(relay.url, bob);
      const [token, inlet] = [newGrant(), newGrant({ isInlet: true })];
      t.equal((await b.ask(token.put)).code, 'CONFIRMED');
      t.equal((await a.ask(inlet.put)).code, 'CONFIRMED');
      const nobody = await TestClient.anonymous(relay.url);
      const body = provider.randomBytes(512);
      t.equal((await nobody.ask(sealedOp(bob.account, token, part(bob, body)))).code, 'CONFIRMED');
      await b.until(() => b.delivered.length === 1);
      t.strictSame(Uint8Array.from(b.delivered[0]!.body), body);

      const entries = [
        { name: bob.account, devices: [bob], keyMaterial: provider.randomBytes(48) },
        { name: inlet.put.id, devices: [alice], keyMaterial: provider.randomBytes(48) },
      ];
      const message = sentForMany(entries, provider.randomBytes(ENVELOPE_BUCKETS[1]! - 49));
      const many: SendManyRequest = {
        kind: 'sendMany',
        message,
        targets: [
          { dest: bob.account, ...token.credential },
          { dest: inlet.put.id as typeof bob.account, ...inlet.credential },
        ],
        clientId: provider.randomBytes(16),
        ephemeral: false,
        urgent: false,
        ttlSeconds: 0,
      };
      t.equal((await nobody.ask(many)).code, 'CONFIRMED');
      await Promise.all([
        b.until(() => b.delivered.length === 2),
        a.until(() => a.delivered.length === 1),
      ]);
      const sent = readSealedForMany(message);
      const view = (of: number) => sealedView(sent, entries[of]!.keyMaterial);
      t.strictSame(Uint8Array.from(b.delivered[1]!.body), view(0));
      t.strictSame(Uint8Array.from(a.delivered[0]!.body), view(1));
      await nobody.close();
      await relay.close();
      for (const name of readdirSync(directory)) {
        const bytes = readFileSync(join(directory, name));
        for (const { secret } of [token, inlet])
          t.notOk(bytes.includes(Buffer.from(secret)), `no token in ${name}`);
      }
    },
  );
}
