// The relay comes back from a backup: clients notice, publish new prekeys, and go on.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryStore } from '@qasid/client-sdk';
import { backupRelay, NO_QUOTAS, restoreRelay, type RunningRelay, startRelay } from '@qasid/relay';
import Database from 'better-sqlite3';
import t from 'tap';

import { Inbox, person, until } from '../support/world.js';

t.setTimeout(180_000);

t.test(
  'ATK-H06 after a restore: new prekeys, the newest device list, and every message',
  async (t) => {
    const root = mkdtempSync(join(tmpdir(), 'qasid-restored-'));
    t.teardown(() => rmSync(root, { recursive: true, force: true }));
    const start = (directory: string, port: number): Promise<RunningRelay> =>
      startRelay({ directory, port, quotas: NO_QUOTAS, logLevel: 'silent' });
    const relay = await start(join(root, 'data'), 0);
    const bobsStore = new MemoryStore();
    const alice = await person(t, relay, 'alice');
    const bob = await person(t, relay, 'bob', { store: bobsStore });
    const carol = await person(t, relay, 'carol');
    const erin = await person(t, relay, 'erin');
    const inbox = new Inbox(bob);
    await alice.send('bob', 'before');
    await inbox.reach(1);
    const before = await bobsStore.loadProfile();
    backupRelay(join(root, 'data'), join(root, 'backup'));
    // What happens after the backup is lost with the disk.
    await erin.devices.authorise({ registrationId: 77, authKey: new Uint8Array(32).fill(9) });
    await erin.devices.authorise({ registrationId: 78, authKey: new Uint8Array(32).fill(8) });
    await relay.close();

    const { epoch } = restoreRelay(join(root, 'backup'), join(root, 'back'));
    const again = await start(join(root, 'back'), relay.port);
    t.teardown(() => again.close());
    await until(async () => (await bobsStore.loadProfile())?.relayEpoch === epoch, 60_000);
    const after = await bobsStore.loadProfile();
    t.ok((after?.prekeys.nextPreKeyId ?? 0) >= (before?.prekeys.nextPreKeyId ?? 0) + 100);
    t.ok((after?.prekeys.nextKemPreKeyId ?? 0) > (before?.prekeys.nextKemPreKeyId ?? 0) + 20);
    t.equal(after?.prekeys.nextSignedPreKeyId, (before?.prekeys.nextSignedPreKeyId ?? 0) + 1);
    await alice.send('bob', 'in the old session');
    await carol.send('bob', 'in a new one');
    await inbox.reach(3, 60_000);
    t.strictSame([...inbox.texts].sort(), ['before', 'in a new one', 'in the old session']);
    // Erin's devices joined after the backup: the relay has her newest list again, from herself.
    const versions = (): number[] => {
      const db = new Database(join(root, 'back', 'relay.db'), { readonly: true });
      const rows = db.prepare('SELECT version FROM account ORDER BY version').pluck().all();
      db.close();
      return rows as number[];
    };
    await until(() => versions().at(-1) === 3, 60_000);
    t.strictSame(versions(), [1, 1, 1, 3]);
  },
);
