/**
 * 18 Stored rows. How tables of older versions become those of this one. Node only.
 *
 * Each step runs in the transaction that opens the store: a process that dies in it leaves the old tables.
 */
import type Database from 'better-sqlite3';

import { PLACE_STEP } from './port.js';
import { decodeMessageRow, decodeProfile, encodeMessageRow } from './rows.js';
import type { Vault } from './vault.js';

const CONVERSATIONS = `
ALTER TABLE message ADD COLUMN peer BLOB;
ALTER TABLE message ADD COLUMN name BLOB;
ALTER TABLE message ADD COLUMN place INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN expires INTEGER;
CREATE INDEX message_peer ON message (peer, place, seq);
CREATE INDEX message_name ON message (name, seq);
CREATE INDEX message_revision ON message (revision);
CREATE INDEX message_expires ON message (expires) WHERE expires IS NOT NULL;
CREATE TABLE message_term (term BLOB NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (term, seq)) WITHOUT ROWID;
CREATE INDEX message_term_seq ON message_term (seq);
CREATE TABLE record (key BLOB PRIMARY KEY, space TEXT NOT NULL, revision INTEGER NOT NULL,
  value BLOB NOT NULL);
CREATE INDEX record_space ON record (space, revision);
`;

/** Version 1 to 2: messages are found by conversation, author and word; records. */
export function addConversations(database: Database.Database, vault: Vault): void {
  database.exec(CONVERSATIONS);
  const stored = database.prepare('SELECT value FROM profile WHERE id = 1').pluck().get() as
    | Uint8Array
    | undefined;
  const self = stored === undefined ? '' : decodeProfile(vault.open('profile/1', stored)).account;
  const rows = database.prepare('SELECT seq, value FROM message ORDER BY seq').all() as {
    readonly seq: number;
    readonly value: Uint8Array;
  }[];
  const update = database.prepare(
    'UPDATE message SET value = ?, peer = ?, name = ?, place = ?, revision = ? WHERE seq = ?',
  );
  for (const [index, { seq, value }] of rows.entries()) {
    const numbers = { seq, place: seq * PLACE_STEP, revision: index + 1 };
    const row = decodeMessageRow(numbers, vault.open(`message/${seq}`, value), self);
    update.run(
      vault.seal(`message/${seq}`, encodeMessageRow(row)),
      vault.rowKey('peer', row.peer),
      vault.rowKey('message', `${row.peer}/${row.author}/${row.id}`),
      numbers.place,
      numbers.revision,
      seq,
    );
  }
  database.prepare("INSERT INTO counter VALUES ('revision', ?)").run(rows.length);
}
