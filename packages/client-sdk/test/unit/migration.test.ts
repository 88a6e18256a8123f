// A profile of the first version is opened by this one, and nothing of it is lost.
import { join } from 'node:path';

import { ProtoWriter } from '@qasid/protocol';
import { PLACE_STEP, type NewMessage } from '@qasid/client-sdk';
import { SqliteStore } from '@qasid/client-sdk/node';
import Database from 'better-sqlite3';
import t from 'tap';

import { openVault, unlockVault } from '../../dist/stores/vault.js';
import { ACCOUNT, messageRow, OTHER, outboxRow, PROFILE } from '../support/rows.js';
import { tempDirectory } from '../support/temp.js';

/** A row as the first version wrote it. */
function firstVersion(row: NewMessage): Uint8Array {
  return new ProtoWriter()
    .uint32(1, 1)
    .text(2, row.id)
    .uint32(3, 0)
    .uint32(4, row.direction === 'sent' ? 0 : 1)
    .bool(5, row.arrived)
    .text(6, row.peer)
    .text(7, row.peerName ?? '')
    .uint32(8, row.device)
    .text(9, row.text)
    .uint64(11, row.sentAtMs)
    .uint64(12, row.receivedAtMs)
    .uint32(13, row.arrived ? 3 : 0)
    .finish();
}

/** Take what the second version added out of a database, and write the rows as the first did. */
function makeOld(directory: string, passphrase: string | undefined, rows: NewMessage[]): void {
  const db = new Database(join(directory, 'store.sqlite'));
  const header = db.prepare("SELECT value FROM meta WHERE name = 'vault'").pluck().get();
  const vault =
    passphrase === undefined ? openVault : unlockVault(passphrase, header as Uint8Array);
  for (const index of ['peer', 'name', 'revision', 'expires']) {
    db.exec(`DROP INDEX message_${index}`);
  }
  for (const column of ['peer', 'name', 'place', 'revision', 'expires']) {
    db.exec(`ALTER TABLE message DROP COLUMN ${column}`);
  }
  db.exec(
    "DROP TABLE message_term; DROP TABLE record; DELETE FROM counter WHERE name = 'revision'",
  );
  const update = db.prepare('UPDATE message SET value = ? WHERE seq = ?');
  for (const [index, row] of rows.entries()) {
    update.run(vault.seal(`message/${index + 1}`, firstVersion(row)), index + 1);
  }
  db.pragma('user_version = 1');
  db.close();
}

for (const passphrase of [undefined, 'correct horse']) {
  t.test(passphrase === undefined ? 'plain' : 'with a passphrase', async (t) => {
    const directory = tempDirectory(t);
    const options = { directory, passphrase, scryptLog2N: 4 };
    const rows = [
      { ...messageRow('aa', false), raw: undefined },
      { ...messageRow('bb', true), raw: undefined },
    ];
    const store = await SqliteStore.open(options);
    await store.commit({
      extra: { profile: PROFILE, messagesAdded: rows, outboxAdded: [outboxRow('aa')] },
    });
    await store.close();
    makeOld(directory, passphrase, rows);
    if (passphrase !== undefined) {
      await t.rejects(SqliteStore.open({ ...options, passphrase: 'wrong' }), {
        code: 'STORE_PASSPHRASE',
      });
    }
    const again = await SqliteStore.open(options);
    t.strictSame(await again.loadMessages({}), [
      { ...rows[0], author: ACCOUNT, seq: 1, place: PLACE_STEP, revision: 1 },
      { ...rows[1], author: OTHER, seq: 2, place: 2 * PLACE_STEP, revision: 2 },
    ]);
    t.equal((await again.loadMessage(OTHER, OTHER, 'bb'))?.seq, 2);
    t.equal((await again.loadSentMessage('aa'))?.seq, 1);
    t.equal((await again.loadConversation({ peer: OTHER, limit: 9 })).length, 2);
    t.equal((await again.loadOutbox({ limit: 9 })).length, 1);
    t.strictSame(await again.loadProfile(), PROFILE);
    await again.commit({ extra: { messagesAdded: [messageRow('cc', true)] } });
    t.equal((await again.loadChanges({ after: 2, limit: 9 }))[0]?.seq, 3);
    await again.close();
  });
}

t.test('a store of a newer version is refused, and left as it is', async (t) => {
  const directory = tempDirectory(t);
  await (await SqliteStore.open({ directory })).close();
  const db = new Database(join(directory, 'store.sqlite'));
  db.pragma('user_version = 99');
  db.close();
  await t.rejects(SqliteStore.open({ directory }), { code: 'STORE_CORRUPT' });
});
