/**
 * 18 Stored rows. The one write of the SQLite store: everything a commit carries, in one transaction.
 */
import {
  StateError,
  StoreError,
  addressText,
  toHex,
  utf8,
  type Bytes,
  type SessionChange,
  type StoreChanges,
  type UsedKemPreKey,
  samePublicBytes,
  type PublicKey,
} from '@qasid/protocol';
import type Database from 'better-sqlite3';

import type { ClientExtra, OutboxRow } from './port.js';
import { encodeContact, encodeHeld, encodeOutboxRow, encodeProfile } from './rows.js';
import { EPOCH_COUNTER } from './restored.js';
import type { SqliteEpoch } from './sqlite-epoch.js';
import { Statements } from './sqlite-statements.js';
import { SqliteHistoryWriter } from './sqlite-history.js';
import type { Vault } from './vault.js';

/** `prekey.kind`. */
export const KIND = { oneTime: 1, signed: 2, kemOneTime: 3, kemLastResort: 4 } as const;

/** `outbox.state`: 0 without ciphertext, 1 ready to go, 2 waiting for a person. */
function stateOf(row: Omit<OutboxRow, 'id'>): number {
  if (row.held) return 2;
  return row.parts === undefined ? 0 : 1;
}

/** Writes commits into one database. */
export class SqliteWriter {
  readonly #database: Database.Database;
  readonly #vault: Vault;
  readonly #sql: Statements;
  readonly #history: SqliteHistoryWriter;
  readonly #transaction: (changes: StoreChanges<ClientExtra>) => number | undefined;
  readonly #epoch: SqliteEpoch;

  constructor(database: Database.Database, vault: Vault, epoch: SqliteEpoch) {
    this.#epoch = epoch;
    this.#database = database;
    this.#vault = vault;
    this.#sql = new Statements(database);
    this.#history = new SqliteHistoryWriter(this.#sql, vault);
    const transaction = database.transaction((changes: StoreChanges<ClientExtra>) => {
      this.#writeKeys(changes);
      if (changes.extra !== undefined) this.#writeExtra(changes.extra);
      return changes.sessions === undefined || changes.sessions.length === 0
        ? undefined
        : // Sessions move: an older copy of the store can be told from this one. 18 §8.
          this.#sql.next(EPOCH_COUNTER);
    });
    // IMMEDIATE: the write lock comes before the first read, so versions cannot change under the check.
    this.#transaction = (changes) => transaction.immediate(changes);
  }

  /** All of it or none of it; durable on return, unless `relaxed`. */
  commit(changes: StoreChanges<ClientExtra>): void {
    if (changes.extra?.relaxed !== true) {
      const epoch = this.#transaction(changes);
      // After the commit: a mark ahead of its store would be taken for a store that was put back.
      if (epoch !== undefined) this.#epoch.note(epoch);
      return;
    }
    // NORMAL writes the log without waiting for the disk; the next FULL commit takes this one along.
    this.#database.pragma('synchronous = NORMAL');
    try {
      this.#transaction(changes);
    } finally {
      this.#database.pragma('synchronous = FULL');
    }
  }

  #writeKeys(changes: StoreChanges<ClientExtra>): void {
    for (const change of changes.sessions ?? []) this.#writeSession(change);
    for (const { name, identityKey, firstUse } of changes.identities ?? []) {
      if (firstUse === true) this.#refuseOtherIdentity(name, identityKey);
      const value = this.#vault.seal(`identity/${name}`, identityKey);
      this.#sql.run(
        'INSERT INTO identity VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
        this.#vault.rowKey('identity', name),
        value,
      );
    }
    for (const { id, record } of changes.preKeys ?? []) this.#putPrekey(KIND.oneTime, id, record);
    for (const { id, record } of changes.signedPreKeys ?? []) {
      this.#putPrekey(KIND.signed, id, record);
    }
    for (const { id, record, kind } of changes.kemPreKeys ?? []) {
      this.#removeKem(id);
      this.#putPrekey(kind === 'one-time' ? KIND.kemOneTime : KIND.kemLastResort, id, record);
    }
    for (const id of changes.removedPreKeys ?? []) this.#takeOneTime(id);
    for (const used of changes.usedKemPreKeys ?? []) this.#useKem(used);
    for (const id of changes.removedSignedPreKeys ?? []) {
      this.#removePrekey(KIND.signed, id);
      this.#sql.run('DELETE FROM used_kem WHERE signed = ?', id);
    }
    for (const id of changes.removedKemPreKeys ?? []) {
      this.#removeKem(id);
      this.#sql.run('DELETE FROM used_kem WHERE kem = ?', id);
    }
  }

  /** A deleted session leaves its version behind, so that a stale writer never finds its number again. */
  #refuseOtherIdentity(name: string, identityKey: PublicKey): void {
    const row = this.#sql.get(
      'SELECT value FROM identity WHERE key = ?',
      this.#vault.rowKey('identity', name),
    ) as { readonly value: Uint8Array } | undefined;
    if (row === undefined) return;
    const known = this.#vault.open(`identity/${name}`, row.value);
    if (!samePublicBytes(known, identityKey)) {
      throw new StoreError('STORE_CONFLICT', 'another identity key is remembered by now');
    }
  }

  #writeSession(change: SessionChange): void {
    const name = addressText(change.address);
    const key = this.#vault.rowKey('session', name);
    const row = this.#sql.get(
      'SELECT version, value IS NULL AS gone FROM session WHERE key = ?',
      key,
    ) as { readonly version: number; readonly gone: number } | undefined;
    const version = row?.version ?? 0;
    const fresh = row?.gone === 1 && change.expectedVersion === 0;
    if (version !== change.expectedVersion && !fresh) {
      throw new StoreError('STORE_CONFLICT', `session is at version ${version}`);
    }
    const value =
      change.record === undefined ? null : this.#vault.seal(`session/${name}`, change.record);
    this.#sql.run(
      'INSERT INTO session VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET version = excluded.version, value = excluded.value',
      key,
      version + 1,
      value,
    );
  }

  #putPrekey(kind: number, id: number, record: Bytes): void {
    const value = this.#vault.seal(`prekey/${kind}/${id}`, record);
    this.#sql.run('INSERT OR REPLACE INTO prekey VALUES (?, ?, ?)', kind, id, value);
  }

  #removePrekey(kind: number, id: number): void {
    this.#sql.run('DELETE FROM prekey WHERE kind = ? AND id = ?', kind, id);
  }

  #removeKem(id: number): void {
    this.#removePrekey(KIND.kemOneTime, id);
    this.#removePrekey(KIND.kemLastResort, id);
  }

  /** Two messages may race for one prekey, also in two processes: the second must find it gone. */
  #takeOneTime(id: number): void {
    const sql = 'DELETE FROM prekey WHERE kind = ? AND id = ?';
    if (this.#sql.run(sql, KIND.oneTime, id) === 0) throw noPreKey('one-time prekey', id);
  }

  #useKem(used: UsedKemPreKey): void {
    const { kemPreKeyId: kem, signedPreKeyId: signed } = used;
    const removed = this.#sql.run(
      'DELETE FROM prekey WHERE kind = ? AND id = ?',
      KIND.kemOneTime,
      kem,
    );
    if (removed > 0) return;
    const sql = 'SELECT 1 FROM prekey WHERE kind = ? AND id = ?';
    if (this.#sql.get(sql, KIND.kemLastResort, kem) === undefined)
      throw noPreKey('KEM prekey', kem);
    const base = this.#vault.rowKey('used-kem', toHex(used.baseKey));
    if (this.#sql.run('INSERT OR IGNORE INTO used_kem VALUES (?, ?, ?)', kem, signed, base) === 0) {
      throw new StateError('STATE_PREKEY_REPLAYED', 'last-resort prekey met this base key before');
    }
  }

  #writeExtra(extra: ClientExtra): void {
    for (const { clientId, day } of extra.seen ?? []) {
      if (this.#sql.run('INSERT OR IGNORE INTO seen VALUES (?, ?)', clientId, day) === 0) {
        throw new StateError('STATE_DUPLICATE_MESSAGE', 'client id was processed before');
      }
    }
    if (extra.seenBeforeDay !== undefined) {
      this.#sql.run('DELETE FROM seen WHERE day < ?', extra.seenBeforeDay);
    }
    if (extra.profile !== undefined) {
      const value = this.#vault.seal('profile/1', encodeProfile(extra.profile));
      this.#sql.run('INSERT OR REPLACE INTO profile VALUES (1, ?)', value);
    }
    this.#writeContacts(extra);
    this.#writeOutbox(extra);
    this.#history.write(extra);
    for (const held of extra.heldAdded ?? []) {
      const id = this.#sql.next('held');
      const key = this.#vault.rowKey('held', held.account);
      const value = this.#vault.seal(`held/${id}`, encodeHeld(held));
      this.#sql.run('INSERT INTO held VALUES (?, ?, ?)', id, key, value);
    }
    for (const id of extra.heldRemoved ?? []) this.#sql.run('DELETE FROM held WHERE id = ?', id);
    for (const { name, seq } of extra.cursors ?? []) {
      this.#sql.run(
        'INSERT INTO cursor VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET seq = max(seq, excluded.seq)',
        name,
        seq,
      );
    }
  }

  #writeContacts(extra: ClientExtra): void {
    for (const contact of extra.contacts ?? []) {
      const { account, username } = contact;
      const value = this.#vault.seal(`contact/${account}`, encodeContact(contact));
      const key = this.#vault.rowKey('contact', account);
      this.#sql.run('INSERT OR REPLACE INTO contact VALUES (?, ?)', key, value);
      if (username === undefined) continue;
      this.#sql.run(
        'INSERT OR REPLACE INTO contact_name VALUES (?, ?)',
        this.#vault.rowKey('username', username),
        this.#vault.seal(`username/${username}`, utf8(account)),
      );
    }
  }

  #writeOutbox(extra: ClientExtra): void {
    for (const row of extra.outboxAdded ?? []) {
      const id = this.#sql.next('outbox');
      const value = this.#vault.seal(`outbox/${id}`, encodeOutboxRow(row));
      this.#sql.run('INSERT INTO outbox VALUES (?, ?, ?)', id, stateOf(row), value);
    }
    for (const row of extra.outboxChanged ?? []) {
      const value = this.#vault.seal(`outbox/${row.id}`, encodeOutboxRow(row));
      const sql = 'UPDATE outbox SET state = ?, value = ? WHERE id = ?';
      this.#sql.run(sql, stateOf(row), value, row.id);
    }
    for (const id of extra.outboxRemoved ?? [])
      this.#sql.run('DELETE FROM outbox WHERE id = ?', id);
  }
}

function noPreKey(kind: string, id: number): StateError {
  return new StateError('STATE_NO_PREKEY', `no ${kind} ${id}`);
}
