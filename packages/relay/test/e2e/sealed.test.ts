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
import { backupRelay, restoreRelay, startRelay } from '@qasid/relay';
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
      const files = readdirSync(directory, { recursive: true, withFileTypes: true });
      for (const { name, parentPath } of files.filter((file) => file.isFile())) {
        const bytes = readFileSync(join(parentPath, name));
        for (const { secret } of [token, inlet])
          t.notOk(bytes.includes(Buffer.from(secret)), `no token in ${name}`);
      }
    },
  );
}

t.test('tokens come back with a backup, and so do those that were removed after it', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'qasid-sealed-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const [data, backup, back] = ['data', 'backup', 'back'].map((name) => join(root, name)) as [
    ...[string, string, string],
  ];
  const start = (directory: string) => startRelay({ directory, port: 0, logLevel: 'silent' });
  const bob = newPerson();
  const [kept, removed] = [newGrant(), newGrant()];
  const relay = await start(data);
  const b = await TestClient.register(relay.url, bob);
  for (const { put } of [kept, removed]) t.equal((await b.ask(put)).code, 'CONFIRMED');
  backupRelay(data, backup);
  t.equal((await b.ask({ kind: 'removeToken', id: removed.put.id })).code, 'CONFIRMED');
  await relay.close();
  restoreRelay(backup, back);
  const restored = await start(back);
  t.teardown(() => restored.close());
  const nobody = await TestClient.anonymous(restored.url);
  const send = async ({ credential }: typeof kept) => {
    const letter = part(bob, provider.randomBytes(512));
    return (await nobody.ask(sealedOp(bob.account, { credential }, letter))).code;
  };
  t.equal(await send(kept), 'CONFIRMED');
  t.equal(await send(removed), 'CONFIRMED', 'as chapter 12 §8.4 warns');
  const again = await TestClient.login(restored.url, bob);
  const { body } = await again.ask({ kind: 'listTokens' });
  t.equal(body.kind === 'tokens' && body.tokens.length, 2, 'which its owner can see');
  t.equal((await again.ask({ kind: 'removeToken', id: removed.put.id })).code, 'CONFIRMED');
  t.equal(await send(removed), 'REFUSED');
});
