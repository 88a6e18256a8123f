/**
 * 13 Relay §8. Where devices are woken, in SQLite. Rows go with their device. Inside the caller's transaction.
 */
import { copyBytes, samePublicBytes } from '@qasid/protocol/envelope';
import type Database from 'better-sqlite3';
import type { MailboxNo, PutPushWrite, WriteResults } from './port.js';

/** The push table. */
export class SqlitePush {
  readonly #get: Database.Statement<[number], { target: Uint8Array }>;
  readonly #set: Database.Statement<[number, Uint8Array]>;
  readonly #drop: Database.Statement<[number]>;
  readonly #device: Database.Statement<[number], { rid: number }>;

  constructor(db: Database.Database) {
    this.#get = db.prepare('SELECT target FROM push WHERE mb = ?');
    this.#set = db.prepare('INSERT OR REPLACE INTO push (mb, target) VALUES (?, ?)');
    this.#drop = db.prepare('DELETE FROM push WHERE mb = ?');
    this.#device = db.prepare('SELECT rid FROM device WHERE rid = ?');
  }

  get(mailbox: MailboxNo): Uint8Array | undefined {
    const row = this.#get.get(mailbox);
    return row && copyBytes(row.target);
  }

  put({ mailbox, target, ifTarget }: PutPushWrite): WriteResults['putPush'] {
    if (this.#device.get(mailbox) === undefined) return { kind: 'noMailbox' };
    const stored = this.#get.get(mailbox)?.target;
    const isAsExpected = ifTarget === undefined || (stored && samePublicBytes(stored, ifTarget));
    if (isAsExpected && target === undefined) this.#drop.run(mailbox);
    else if (isAsExpected && target !== undefined) this.#set.run(mailbox, target);
    return { kind: 'pushPut' };
  }
}
